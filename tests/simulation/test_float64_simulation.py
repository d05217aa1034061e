"""Forces, phases and steps of the simulators against plain numpy at float64.

Particles, phases and the two cycles are integrated at float64 on the device, and rounded to float32 when they are done;
the worms run at float32. Every force is also tried at float32, with particles at one place and nearly at one place.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64_reference import check_kernel, measure_error
from numerical_kernels import KERNELS
from scipy.special import expit

from wormjax.simulation import charged, kuramoto, particles, springs, two_cycles, worms
from wormjax.simulation.ensembles import draw_edge_types, enable_float64

pytestmark = pytest.mark.usefixtures("quick_compilation")

OBJECTS, SIMULATIONS = 4, 3
SAME = 1e-12  # Between two integrations at float64 by the same rule, relative.


def draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def draw_places():
    """Locations [dimension, object, simulation]; in one simulation two at one place, in one nearly so."""
    places = draw(2, OBJECTS, SIMULATIONS)
    places[:, 1, 0] = places[:, 0, 0]
    places[:, 1, 1] = places[:, 0, 1] + np.float32(1e-4)
    return places


def draw_coupling(seed=1):
    coupling = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (OBJECTS, OBJECTS, SIMULATIONS))
    coupling[np.arange(OBJECTS), np.arange(OBJECTS)] = 0.0
    return coupling.astype(np.float32)


def push_plainly(places, coupling):
    force = np.zeros_like(places)
    for sender, receiver in np.ndindex(OBJECTS, OBJECTS):
        apart = places[:, receiver] - places[:, sender]
        distance = np.sqrt((apart**2).sum(axis=0))
        there = distance > 0
        force[:, receiver] += coupling[sender, receiver] * apart / np.where(there, distance, 1.0) ** 3
    return force


def pull_plainly(places, coupling):
    force = np.zeros_like(places)
    for sender, receiver in np.ndindex(OBJECTS, OBJECTS):
        force[:, receiver] += coupling[sender, receiver] * (places[:, sender] - places[:, receiver])
    return force


def turn_plainly(phase, frequency, coupling):
    velocity = frequency.copy()
    for sender, receiver in np.ndindex(OBJECTS, OBJECTS):
        velocity[receiver] += coupling[sender, receiver] * np.sin(phase[sender] - phase[receiver])
    return velocity


def reflect_plainly(places, velocity, box):
    over, under = places > box, places < -box
    velocity = np.where(over, -abs(velocity), np.where(under, abs(velocity), velocity))
    return np.where(over, 2 * box - places, np.where(under, -2 * box - places, places)), velocity


def drift_plainly(activity):
    x, y = activity[..., 0], activity[..., 1]
    return np.stack([-x + expit(8 * x - 6 * y - 0.34), (-y + expit(16 * x - 2 * y - 2.5)) / 6], axis=-1)


def check(name, function, *inputs, reference):
    check_kernel(
        name, lambda given: function(*given), inputs, reference=lambda given: reference(*given), gradient=False
    )


def test_forces_and_phases_are_those_of_numpy():
    places, coupling = draw_places(), draw_coupling()
    check("simulation.charged.push_charges", charged.push_charges, places, coupling, reference=push_plainly)
    check("simulation.springs.pull_springs", springs.pull_springs, places, coupling, reference=pull_plainly)
    phase, frequency = draw(OBJECTS, SIMULATIONS, scale=3.0), 5.0 + draw(OBJECTS, SIMULATIONS, seed=2)
    phases = phase, frequency, coupling
    check("simulation.kuramoto.turn_phases", kuramoto.turn_phases, *phases, reference=turn_plainly)
    activity = abs(draw(50, 2))
    check("simulation.two_cycles.find_drift", two_cycles.find_drift, activity, reference=drift_plainly)

    def reflect(where, speed):
        return particles.reflect(where, speed, 1.0)

    moving = 1.5 * places, draw(2, OBJECTS, SIMULATIONS, seed=3)
    check("simulation.particles.reflect", reflect, *moving, reference=lambda *state: reflect_plainly(*state, 1.0))


def move_plainly(force, places, velocity, frames, steps, box, time_step=0.001):
    """Leapfrog: half a kick, then drift, wall and kick by turns; velocities of a frame are half a kick back."""

    def kick(where):
        return time_step * np.clip(force(where), -100.0, 100.0)

    places, velocity = reflect_plainly(places, velocity, box)
    velocity, kept = velocity + 0.5 * kick(places), []
    for _ in range(frames):
        for _ in range(steps):
            places, velocity = reflect_plainly(places + time_step * velocity, velocity, box)
            velocity = velocity + kick(places)
        kept.append(np.concatenate([places, velocity - 0.5 * kick(places)]))
    return np.stack(kept)


@pytest.mark.parametrize("system", ["springs", "charged"])
def test_particles_move_as_in_numpy(system):
    places, velocity, coupling = (
        np.asarray(values, np.float64)
        for values in (draw_places(), draw(2, OBJECTS, SIMULATIONS, seed=3), draw_coupling())
    )
    fast, plainly = (
        (springs.pull_springs, pull_plainly) if system == "springs" else (charged.push_charges, push_plainly)
    )
    with enable_float64():
        force = lambda where: fast(where, jnp.asarray(coupling))  # noqa: E731
        move = jax.jit(lambda p, v: particles.integrate_particles(force, p, v, 3, box=1.5, steps_per_frame=40))
        states = np.asarray(move(places, velocity))
    exact = move_plainly(lambda where: plainly(where, coupling), places, velocity, 3, 40, 1.5)
    # Charges that all but touch double an error with each encounter.
    assert measure_error(states, exact) < (SAME if system == "springs" else 1e-9)
    assert abs(exact[:, :2]).max() <= 1.5


def test_phases_turn_as_in_numpy_by_runge_kutta():
    phase, frequency = draw(OBJECTS, SIMULATIONS, scale=3.0), 5.0 + draw(OBJECTS, SIMULATIONS, seed=2)
    start, frequency, coupling = (np.asarray(values, np.float64) for values in (phase, frequency, draw_coupling()))
    turn = jax.jit(lambda *inputs: kuramoto.integrate_phases(*inputs, 20))
    with enable_float64():
        phases = np.asarray(turn(start, frequency, coupling))
    exact, where, step = [], start, kuramoto.TIME_STEP
    for _ in range(20):
        exact.append(where)
        for _ in range(kuramoto.STEPS_PER_FRAME):
            first = turn_plainly(where, frequency, coupling)
            second = turn_plainly(where + step / 2 * first, frequency, coupling)
            third = turn_plainly(where + step / 2 * second, frequency, coupling)
            fourth = turn_plainly(where + step * third, frequency, coupling)
            where = where + step / 6 * (first + 2 * second + 2 * third + fourth)
    assert measure_error(phases, np.stack(exact)) < SAME


def test_the_two_cycles_are_eulers_steps_and_only_rounded_to_float32():
    exact, activity = [], np.array([0.5, 0.1])
    for _ in range(300):
        exact.append(activity)
        for _ in range(two_cycles.STEPS_PER_FRAME):
            activity = activity + two_cycles.TIME_STEP * drift_plainly(activity)
    found = two_cycles.simulate_two_cycles(jax.random.key(0), 300, noise=0.0, settling_frames=0)
    assert found.dtype == jnp.float32
    assert measure_error(found, np.stack(exact)) < KERNELS["simulation.two_cycles.simulate_two_cycles"].value


def test_what_is_drawn_is_of_the_scale_and_type_that_is_asked_for():
    keys = jax.random.split(jax.random.key(0), 200)
    draw_both = jax.jit(lambda keys: particles.draw_particles(keys, OBJECTS, 2.0, 0.5))
    places, velocity = (np.asarray(values, np.float64) for values in draw_both(keys))
    error = abs(np.sqrt((velocity**2).sum(axis=0)) / 0.5 - 1.0).max()
    assert error < KERNELS["simulation.particles.draw_particles"].value
    assert np.std(places) == pytest.approx(2.0, rel=0.1)
    states = np.zeros((30, 4, OBJECTS, 200), np.float32)
    seen = np.asarray(jax.jit(particles.observe_particles)(keys, states, 0.3))
    assert seen.shape == (200, 30, OBJECTS, 4)
    assert np.std(seen) == pytest.approx(0.3, rel=0.02)
    shares = (0.2, 0.5, 0.3)
    draw_types = jax.vmap(lambda key: draw_edge_types(key, OBJECTS, shares, True))
    draw_shares = jax.vmap(lambda key: jax.random.uniform(key, (OBJECTS, OBJECTS)))
    types, drawn = map(np.asarray, jax.jit(lambda keys: (draw_types(keys), draw_shares(keys)))(keys))
    expected = np.where(np.eye(OBJECTS, dtype=bool), 0, np.digitize(drawn, [0.2, 0.7]))
    np.testing.assert_array_equal(types, expected)


def fluoresce_plainly(worm, drive, shocks):
    """One worm's dF/F before noise, by Euler-Maruyama steps of 0.05 s."""
    rate, calcium, slow, course, step = np.zeros_like(worm.bias), np.zeros_like(worm.bias), 0.0, [], 0.05
    for push, shock in zip(drive, shocks, strict=True):
        target = np.tanh(rate @ worm.weights + push + worm.loading * slow)
        moved = rate + step * (target - rate) / worm.rate_time + 0.25 * np.sqrt(step) * shock[:-1]
        calcium = calcium + step * (np.logaddexp(0.0, 3.0 * rate) / 3.0 - calcium) / worm.calcium_time
        slow = slow * (1.0 - step / 15.0) + np.sqrt(2.0 * step / 15.0) * shock[-1]
        rate = moved
        course.append(calcium)
    course = np.stack(course)
    time = np.linspace(0.0, 1.0, len(course))[:, None]
    drift = worm.drift[0] * np.exp(-4.0 * time) + worm.drift[1] * np.sin(2.0 * np.pi * time)
    return worm.gain * course * 2.5 / (course + 1.5) + worm.offset + drift


@pytest.mark.parametrize("minutes", [0.5, pytest.param(18.0, marks=pytest.mark.slow)])
def test_worms_at_float32_are_those_of_numpy(minutes):
    """Leaks forget: an error may grow a hundredfold where a command tips over, and is gone seconds later."""
    random, steps = np.random.default_rng(0), int(minutes * 60 / worms.TIME_STEP)
    wiring = worms.draw_wiring(random, 6)
    coupling = np.array([list(worms.COMMAND_COUPLING.values())[k] for k in range(6)]).T
    drawn = [worms.draw_worm(random, wiring, coupling)]
    states, since = worms.draw_command(random, steps)
    found = worms._simulate_batch(drawn, [(states, since)], [np.random.default_rng(5)])
    neurons = len(drawn[0].bias)
    shocks = np.random.default_rng(5).standard_normal((steps, neurons + 1), np.float32).astype(np.float64)
    exact = fluoresce_plainly(drawn[0], worms._drive_neurons(drawn[0], states, since), shocks)
    error, usual = measure_error(found[0], exact), np.median(abs(found[0] - exact).max(axis=1)) / abs(exact).max()
    print(f"error simulation.worms.simulate_worms {error:.1e} over {steps} steps")
    assert error < KERNELS["simulation.worms.simulate_worms"].value
    assert usual < 1e-6
