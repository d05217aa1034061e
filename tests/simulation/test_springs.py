"""Springs: physics against conservation laws and SciPy, the graph against the forces, sampling, speed."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from wormjax.errors import InputError
from wormjax.simulation.ensembles import enable_float64
from wormjax.simulation.particles import integrate_particles
from wormjax.simulation.springs import pull_springs, simulate_springs


@pytest.fixture(scope="module")
def start():
    """Location and velocity [dimension, object, simulation] and symmetric couplings of four systems."""
    random = np.random.default_rng(0)
    coupling = 0.1 * (random.random((5, 5, 4)) < 0.5)
    coupling = np.triu(coupling.T, 1) + np.triu(coupling.T, 1).swapaxes(1, 2)
    return 0.5 * random.standard_normal((2, 5, 4)), 0.5 * random.standard_normal((2, 5, 4)), coupling.T


def simulate_directed(simulations):
    """Observed systems with three strengths, each way of a pair its own, and no walls."""
    return simulate_springs(
        jax.random.key(1),
        simulations,
        frames=30,
        strengths=(0.0, 0.5, 1.0),
        directed=True,
        box=None,
        stiffness=0.5,
        chunk_size=24,
    )


@pytest.fixture(scope="module")
def directed():
    return simulate_directed(64)


def integrate(start, frames, box):
    location, velocity, coupling = start
    with enable_float64():
        states = integrate_particles(
            lambda where: pull_springs(where, jnp.array(coupling)),
            jnp.array(location),
            jnp.array(velocity),
            frames,
            box=box,
        )
        return np.asarray(states)


def test_energy_is_conserved_without_a_box(start):
    states, coupling = integrate(start, 50, None), start[2]
    location, velocity = states[:, :2], states[:, 2:]
    apart = location[:, :, :, None] - location[:, :, None]
    energy = 0.5 * (velocity**2).sum((1, 2)) + 0.25 * (coupling * apart**2).sum((1, 2, 3))
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), rtol=1e-6)
    kinetic = 0.5 * (velocity**2).sum((1, 2))
    assert (np.ptp(kinetic, axis=0) > 0.01 * kinetic[0]).all()  # The springs do work, so the test can fail.


def test_agrees_with_a_fine_scipy_integration(start):
    states = integrate(start, 50, None)
    for k in range(2):
        coupling = start[2][..., k]

        def slope(_, state, coupling=coupling):
            location, velocity = state.reshape(2, 2, 5)
            force = (coupling * (location[:, :, None] - location[:, None, :])).sum(1)
            return np.concatenate([velocity.ravel(), force.ravel()])

        begin = np.concatenate([start[0][..., k].ravel(), start[1][..., k].ravel()])
        times = 0.1 * np.arange(1, 51)
        exact = solve_ivp(slope, (0, 5), begin, t_eval=times, rtol=1e-10, atol=1e-10).y.T
        np.testing.assert_allclose(states[..., k].reshape(50, 20), exact, atol=1e-6)


def test_walls_reflect_and_keep_the_speed(start):
    location, velocity, coupling = start
    states = integrate((location, 10 * velocity, 0 * coupling), 30, 2.0)
    free = location + 10 * velocity * 0.1 * np.arange(1, 31)[:, None, None, None]
    folded = np.abs((free - 2.0) % 8.0 - 4.0) - 2.0  # A path folded at the walls at -2 and 2.
    np.testing.assert_allclose(states[:, :2], folded, atol=1e-9)
    np.testing.assert_allclose(np.abs(states[:, 2:]), np.abs(10 * velocity)[None].repeat(30, 0), atol=1e-9)
    assert np.abs(free).max() > 6


def predict_acceleration(trajectories, edges):
    location = np.asarray(trajectories.features, np.float64)[1:-1, :, :, :2]
    coupling = 0.5 * np.array((0.0, 0.5, 1.0))[edges]
    apart = location[:, :, :, None] - location[:, :, None]  # [simulation, frame, sender, receiver, dimension].
    return np.einsum("nsr,ntsrd->ntrd", coupling[1:-1], apart)


def test_recorded_graph_is_the_graph_of_the_forces(directed):
    velocity = np.asarray(directed.features, np.float64)[1:-1, :, :, 2:]
    measured = (velocity[:, 2:] - velocity[:, :-2]) / (2 * directed.frame_interval)
    edges = np.asarray(directed.edges)
    assert set(np.unique(edges)) == {0, 1, 2}
    np.testing.assert_allclose(predict_acceleration(directed, edges)[:, 1:-1], measured, atol=0.05)
    assert np.abs(predict_acceleration(directed, edges.swapaxes(1, 2))[:, 1:-1] - measured).max() > 1


def test_one_simulation_depends_on_the_key_and_its_number_alone(directed):
    again = simulate_directed(30)  # Chunks of 24 and 6, where the others were 24, 24 and 16.
    assert directed.features.shape[0] == 64
    np.testing.assert_allclose(again.features, directed.features[:30], atol=1e-6)
    np.testing.assert_array_equal(again.edges, directed.edges[:30])
    assert len(np.unique(directed.features[:, 0, 0, 0])) == 64


def test_defaults_are_the_references_and_noise_is_added_to_the_same_systems():
    clean = simulate_springs(jax.random.key(0), 512)
    noisy = simulate_springs(jax.random.key(0), 512, noise=0.1)
    assert clean.features.shape == (512, 49, 5, 4)
    assert clean.features.dtype == jnp.float32
    assert jnp.ones(1).dtype == jnp.float32  # Float64 has stayed inside.
    assert clean.frame_interval == pytest.approx(0.1)
    assert clean.edge_types == ("no spring", "spring 1")
    edges = np.asarray(clean.edges)
    np.testing.assert_array_equal(edges, edges.swapaxes(1, 2))
    assert not edges[:, np.arange(5), np.arange(5)].any()
    assert edges.sum() / (512 * 20) == pytest.approx(0.5, abs=0.03)
    first = np.asarray(clean.features[:, 0])
    assert first[..., :2].std() == pytest.approx(0.5, abs=0.03)
    assert np.linalg.norm(first[..., 2:], axis=-1).mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(clean.features[..., :2]).max() <= 5.0
    np.testing.assert_array_equal(noisy.edges, edges)
    added = np.asarray(noisy.features - clean.features)
    assert added.std() == pytest.approx(0.1, rel=0.02)
    assert abs(np.corrcoef(added[:, :-1].ravel(), added[:, 1:].ravel())[0, 1]) < 0.01


@pytest.mark.slow
def test_a_simulation_takes_a_hundredth_of_the_references_time():
    seconds = []
    for _ in range(4):  # The first compiles.
        begin = time.process_time()
        jax.block_until_ready(simulate_springs(jax.random.key(2), 512).features)
        seconds.append(time.process_time() - begin)
    assert min(seconds) / 512 < 0.002  # Seconds of processor; the reference takes 0.2 s.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"simulations": 0}, "'simulations': found 0"),
        ({"objects": 1}, "'objects': found 1, expected a whole number from 2"),
        ({"frames": 2.5}, "'frames': found 2.5"),
        ({"noise": -1.0}, "'noise': found -1"),
        ({"strengths": (1.0,)}, "two or more different"),
        ({"strengths": (1.0, 1.0)}, "two or more different"),
        ({"probabilities": (0.5, 0.6)}, "'probabilities': found .*sum to 1"),
        ({"probabilities": (0.5, 0.3, 0.2)}, "2 numbers"),
        ({"box": 0.0}, "'box': found 0.0"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        simulate_springs(jax.random.key(0), **{"simulations": 1, **arguments})


def test_a_temperature_is_a_factor_of_the_stiffness():
    draw = functools.partial(simulate_springs, jax.random.key(3), 40, 3, 6, chunk_size=20)
    warm, fixed = draw(temperatures=(0.5, 2.0)), draw(temperatures=(2.0, 2.0))
    assert fixed.temperatures is None
    np.testing.assert_allclose(fixed.features, draw(stiffness=0.2).features, atol=1e-5)
    temperatures = np.asarray(warm.temperatures)
    assert temperatures.shape == (40,)
    assert 0.5 <= temperatures.min() < 0.7 < 1.4 < temperatures.max() <= 2.0
    one = draw(stiffness=0.1 * float(temperatures[7]))
    np.testing.assert_allclose(warm.features[7], one.features[7], atol=1e-5)
    assert np.abs(np.asarray(warm.features)[7] - np.asarray(draw().features)[7]).max() > 1e-3
    with pytest.raises(InputError, match=r"'temperatures': found \(2.0, 1.0\)"):
        draw(temperatures=(2.0, 1.0))
