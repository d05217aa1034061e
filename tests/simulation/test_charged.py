"""Charged particles: physics against conservation laws and SciPy, and what the edge types mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from wormjax.errors import InputError
from wormjax.simulation.charged import find_products, push_charges, simulate_charged
from wormjax.simulation.ensembles import enable_float64
from wormjax.simulation.particles import LARGEST_FORCE, integrate_particles


@pytest.fixture(scope="module")
def start():
    """Four systems of five charges on a wide ring, so that no encounter is close."""
    random = np.random.default_rng(3)
    angle = 2 * np.pi * np.arange(5)[:, None] / 5 + 0.1 * random.standard_normal((5, 4))
    location = 2.0 * np.stack([np.cos(angle), np.sin(angle)])
    velocity = 0.2 * random.standard_normal((2, 5, 4))
    charge = random.choice([-1.0, 1.0], (5, 4))
    return location, velocity, charge[:, None] * charge[None] * (1 - np.eye(5))[..., None]


@pytest.fixture(scope="module")
def states(start):
    with enable_float64():
        location, velocity, coupling = map(jnp.array, start)
        force = jax.jit(lambda where: push_charges(where, coupling))
        return np.asarray(integrate_particles(force, location, velocity, 20, box=None))


def test_momentum_and_energy_are_conserved(start, states):
    location, velocity, coupling = states[:, :2], states[:, 2:], start[2]
    momentum = velocity.sum(axis=2)
    np.testing.assert_allclose(momentum, np.broadcast_to(start[1].sum(axis=1), momentum.shape), atol=1e-12)
    apart = np.linalg.norm(location[:, :, :, None] - location[:, :, None], axis=1)
    energy = 0.5 * (velocity**2).sum((1, 2)) + 0.5 * (coupling / (apart + np.eye(5)[..., None])).sum((1, 2))
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), atol=1e-4)
    assert np.ptp(velocity, axis=0).max() > 0.5  # The charges push, so the test can fail.


def test_agrees_with_a_fine_scipy_integration(start, states):
    coupling = start[2][..., 0]

    def slope(_, state):
        location, velocity = state.reshape(2, 2, 5)
        apart = location[:, None, :] - location[:, :, None]
        distance = np.linalg.norm(apart, axis=0) + np.eye(5)
        return np.concatenate([velocity.ravel(), (coupling / distance**3 * apart).sum(1).ravel()])

    begin = np.concatenate([start[0][..., 0].ravel(), start[1][..., 0].ravel()])
    exact = solve_ivp(slope, (0, 2), begin, t_eval=0.1 * np.arange(1, 21), rtol=1e-11, atol=1e-11).y.T
    np.testing.assert_allclose(states[..., 0].reshape(20, 20), exact, atol=1e-4)


def test_close_encounters_are_clipped():
    location = np.array([[[0.0], [1e-4]], [[0.0], [0.0]]])
    coupling = np.array([[0.0, 1.0], [1.0, 0.0]])[..., None]
    with enable_float64():
        states = np.asarray(
            integrate_particles(
                lambda where: push_charges(where, jnp.array(coupling)),
                jnp.array(location),
                jnp.zeros((2, 2, 1)),
                1,
                box=None,
                steps_per_frame=1,
            )
        )
    assert states[0, 2, 1, 0] == pytest.approx(LARGEST_FORCE * 0.001)  # Half a kick, then half a kick.
    assert states[0, 2, 0, 0] == pytest.approx(-LARGEST_FORCE * 0.001)


def test_type_zero_attracts_and_type_one_repels():
    pairs = simulate_charged(jax.random.key(0), 64, objects=2, frames=2, box=None, speed=0.0, location_scale=3.0)
    assert pairs.edge_types == ("attract 1", "repel 1")
    location = np.asarray(pairs.features[..., :2], np.float64)
    distance = np.linalg.norm(location[:, :, 0] - location[:, :, 1], axis=-1)
    grows = distance[:, 1] > distance[:, 0]
    far = distance[:, 0] > 0.5
    np.testing.assert_array_equal(grows[far], np.asarray(pairs.edges)[far, 0, 1] == 1)
    assert 0.3 < grows.mean() < 0.7


def test_graph_is_a_product_of_charges():
    three = simulate_charged(jax.random.key(1), 64, frames=1, charges=(-1.0, 0.0, 1.0))
    assert find_products((-1.0, 0.0, 1.0)) == (-1.0, 0.0, 1.0)
    assert three.edge_types == ("attract 1", "none", "repel 1")
    sign = np.asarray(three.edges) - 1
    for a, b, c in ((0, 1, 2), (1, 2, 3), (2, 3, 4)):
        closed = sign[:, a, b] * sign[:, b, c] * sign[:, a, c]
        assert (closed >= 0).all()  # (qa qb)(qb qc)(qa qc) is a square.
    np.testing.assert_array_equal(three.edges, np.swapaxes(three.edges, 1, 2))
    assert set(np.unique(sign)) == {-1, 0, 1}
    assert np.isfinite(three.features).all()


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="'strength': found nan"):
        simulate_charged(jax.random.key(0), 1, strength=float("nan"))
    with pytest.raises(InputError, match="two or more different"):
        simulate_charged(jax.random.key(0), 1, charges=(1.0,))
