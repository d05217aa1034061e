"""Kuramoto oscillators: physics against the order parameter and SciPy, the graph against the phases, the features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from wormjax.errors import InputError
from wormjax.simulation.ensembles import enable_float64
from wormjax.simulation.kuramoto import integrate_phases, simulate_kuramoto


@pytest.fixture(scope="module")
def start():
    random = np.random.default_rng(0)
    phase, frequency = 2 * np.pi * random.random((20, 8)), 1 + 3 * random.random((20, 8))
    return phase, frequency, (random.random((20, 20, 8)) < 0.5) * (1 - np.eye(20))[..., None]


def integrate(phase, frequency, coupling, frames):
    with enable_float64():
        return np.asarray(integrate_phases(jnp.array(phase), jnp.array(frequency), jnp.array(coupling), frames))


def test_order_rises_with_coupling(start):
    phase, frequency, edges = start
    order = []
    for strength in (0.0, 0.1, 1.0):
        phases = integrate(phase, frequency, strength * edges, 100)[50:]
        order.append(abs(np.exp(1j * phases).mean(axis=1)).mean())  # Kuramoto's order parameter.
    assert order[0] < 0.35
    assert order[0] + 0.1 < order[1] + 0.1 < order[2]
    assert order[2] > 0.95


def test_agrees_with_a_fine_scipy_integration(start):
    phase, frequency, edges = (values[..., 0] for values in start)

    def slope(_, where):
        return frequency + (edges * np.sin(where[:, None] - where[None, :])).sum(axis=0)

    ours = integrate(*(values[..., None] for values in (phase, frequency, edges)), 50)[..., 0]
    exact = solve_ivp(slope, (0, 4.9), phase, t_eval=0.1 * np.arange(50), rtol=1e-11, atol=1e-11).y.T
    np.testing.assert_allclose(ours, exact, atol=1e-5)


def test_recorded_graph_is_the_graph_of_the_phases():
    raw = simulate_kuramoto(jax.random.key(0), 32, frames=20, strengths=(0.0, 0.5, 1.0), directed=True, features="raw")
    velocity, sine, cosine, frequency = np.moveaxis(np.asarray(raw.features, np.float64), -1, 0)
    pulls = sine[:, :, :, None] * cosine[:, :, None] - cosine[:, :, :, None] * sine[:, :, None]
    edges = np.asarray(raw.edges)
    assert set(np.unique(edges)) == {0, 1, 2}
    expected = frequency + np.einsum("nsr,ntsr->ntr", 0.5 * edges, pulls)
    np.testing.assert_allclose(velocity, expected, atol=1e-5)
    assert np.abs(np.einsum("nrs,ntsr->ntr", 0.5 * edges, pulls) + frequency - velocity).max() > 0.5
    assert 1 <= frequency.min() < frequency.max() <= 10


def test_scaled_features_are_the_references():
    short = simulate_kuramoto(jax.random.key(0), 32, frames=49)
    whole = simulate_kuramoto(jax.random.key(0), 32, frames=99)
    np.testing.assert_allclose(whole.features[:, :49], short.features, atol=1e-5)  # Scaled over the same run.
    edges, features = np.asarray(whole.edges), np.asarray(whole.features)
    np.testing.assert_array_equal(edges, edges.swapaxes(1, 2))
    driven = edges.any(axis=1)
    assert 0 < (~driven).sum() < 40
    velocity, sine, phase, frequency = np.moveaxis(features, -1, 0)
    assert (velocity.swapaxes(1, 2)[~driven] == 0).all()
    np.testing.assert_allclose(velocity.max(axis=1)[driven], 1, atol=1e-6)
    np.testing.assert_allclose(velocity.min(axis=1)[driven], -1, atol=1e-6)
    np.testing.assert_allclose(phase.min(axis=1), -1, atol=1e-6)
    np.testing.assert_allclose(phase.max(axis=1), 1, atol=1e-6)
    assert np.abs(sine).max() <= 1
    assert np.ptp(frequency, axis=1).max() == 0
    assert -1 <= frequency.min() < -0.5 < 0.5 < frequency.max() <= 1


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="'features': found 'phase', expected one of scaled, raw"):
        simulate_kuramoto(jax.random.key(0), 1, features="phase")
    with pytest.raises(InputError, match="'frequencies'"):
        simulate_kuramoto(jax.random.key(0), 1, frequencies=(2.0, 1.0))
