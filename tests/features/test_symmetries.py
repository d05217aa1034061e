"""The symmetries of a box: what is turned or mirrored is a trajectory of the same system, however it is scaled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.features.symmetries import list_box_symmetries, turn_and_mirror
from wormjax.simulation import particles
from wormjax.simulation.charged import push_charges
from wormjax.simulation.springs import pull_springs

NAMES = particles.FEATURE_NAMES
LOW, HIGH = np.array([-3.0, -3.0, -1.0, -1.0]), np.array([5.0, 5.0, 2.0, 2.0])
SQUARE = list_box_symmetries(NAMES, LOW, HIGH)


def apply(symmetries, number, features):
    order, sign, offset = (values[number] for values in symmetries)
    return features[..., order] * sign + offset


def scale(features):
    return (features - (HIGH + LOW) / 2) / ((HIGH - LOW) / 2)


@pytest.mark.parametrize(("names", "count"), [(("x", "y"), 8), (NAMES, 8), (("x", "velocity x"), 2), ("xyz", 48)])
def test_all_are_different_and_any_two_make_a_third(names, count):
    symmetries = list_box_symmetries(names, -np.ones(len(names)), np.ones(len(names)))
    point = np.arange(1.0, len(names) + 1)
    images = {tuple(apply(symmetries, number, point)) for number in range(count)}
    assert len(images) == count == len(symmetries.order)
    np.testing.assert_array_equal(apply(symmetries, 0, point), point)
    for image in images:
        assert {tuple(apply(symmetries, number, np.array(image))) for number in range(count)} == images


@pytest.mark.parametrize("force", [pull_springs, push_charges])
def test_what_is_turned_moves_as_the_system_does(force):
    """Through walls too: turning and then moving is moving and then turning, in features scaled off zero."""
    coupling = 2.0 * jnp.where(jnp.eye(3, k=1) + jnp.eye(3, k=-1) > 0, 1.0, 0.0)[..., None]
    start = np.random.default_rng(1).normal(size=(4, 3, 1)) * np.array([0.5, 0.5, 2.0, 2.0])[:, None, None]

    @jax.jit
    def move(start):
        location, velocity = start[:2], start[2:]
        states = particles.integrate_particles(lambda where: force(where, coupling), location, velocity, 30, box=1.0)
        return states[..., 0].swapaxes(1, 2)

    moved = np.asarray(move(start))
    assert (np.abs(moved[..., :2]) > 0.9).any()
    half, middle = (HIGH - LOW) / 2, (HIGH + LOW) / 2
    for number in range(8):
        turned = apply(SQUARE, number, scale(start[..., 0].T)) * half + middle
        expected = apply(SQUARE, number, scale(moved)) * half + middle
        np.testing.assert_allclose(move(turned.T[..., None]), expected, atol=2e-4)
        if number:
            assert abs(expected - moved).max() > 0.1


def test_a_simulation_is_turned_as_a_whole_by_a_symmetry_drawn_uniformly():
    features = np.random.default_rng(2).normal(size=(6, 3, 4)).astype(np.float32)
    images = np.stack([apply(SQUARE, number, features) for number in range(8)])
    keys = jax.random.split(jax.random.key(0), 800)
    turned = np.asarray(jax.vmap(lambda key: turn_and_mirror(features, SQUARE, key))(keys))
    apart = abs(turned[:, None] - images).max(axis=(2, 3, 4))
    np.testing.assert_allclose(apart.min(axis=1), 0.0, atol=1e-6)
    counts = np.bincount(apart.argmin(axis=1), minlength=8)
    assert counts.min() > 60
    assert counts.max() < 140


@pytest.mark.parametrize(
    ("names", "high", "words"),
    [
        (("dφ/dt", "sin φ"), (1.0, 1.0), "found True with the features dφ/dt, sin φ, expected locations"),
        (("x", "y", "velocity x"), (1.0, 1.0, 1.0), "expected locations and velocities, or False"),
        (("velocity x", "velocity y"), (1.0, 1.0), "expected locations and velocities, or False"),
        (("x", "x"), (1.0, 1.0), "expected locations and velocities, or False"),
        (("x", "y"), (1.0, 2.0), r"scaled from \[-1.0, -1.0\] to \[1.0, 2.0\], expected axes that are scaled alike"),
    ],
)
def test_what_cannot_be_turned_is_refused(names, high, words):
    with pytest.raises(InputError, match=rf"'train\.turn_and_mirror': .*{words}"):
        list_box_symmetries(names, -np.ones(len(names)), np.array(high))
