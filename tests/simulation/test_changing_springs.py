"""Springs that attach and detach: the recorded edges are those of the forces, frame by frame."""

import jax
import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.simulation.springs import simulate_changing_springs

CHANGE, REACH = 0.1, 0.8


@pytest.fixture(scope="module")
def springs():
    """Stiff springs that are redrawn and end at a distance, without walls."""
    return simulate_changing_springs(
        jax.random.key(0), 64, frames=20, change=CHANGE, reach=REACH, box=None, stiffness=0.5
    )


def pull(springs, edges):
    """The acceleration of each object in each frame on these edges."""
    location = np.asarray(springs.features, np.float64)[..., :2]
    apart = location[:, :, :, None] - location[:, :, None]  # [simulation, frame, sender, receiver, dimension].
    return 0.5 * np.einsum("ntsr,ntsrd->ntrd", edges, apart)


def test_the_edges_of_a_frame_act_from_it_to_the_next(springs):
    velocity, edges = np.asarray(springs.features, np.float64)[..., 2:], np.asarray(springs.edges)
    assert edges.shape == (64, 20, 5, 5)
    measured = np.diff(velocity, axis=1) / springs.frame_interval
    between = (pull(springs, edges)[:, :-1] + pull(springs, np.roll(edges, 1, axis=1))[:, 1:]) / 2
    np.testing.assert_allclose(between, measured, atol=0.02)
    late = (pull(springs, np.roll(edges, -1, axis=1))[:, :-1] + pull(springs, edges)[:, 1:]) / 2
    assert abs(late - measured).max() > 0.1


def test_springs_end_at_their_reach_and_are_drawn_anew_at_the_rate_of_change(springs):
    location, edges = np.asarray(springs.features)[..., :2], np.asarray(springs.edges)
    apart = np.linalg.norm(location[:, :, :, None] - location[:, :, None], axis=-1)
    assert not edges[apart > REACH + 1e-4].any()
    assert 0.4 < edges[(apart < REACH - 1e-4) & (apart > 0)].mean() < 0.6
    near = (apart[:, :-1] < REACH) & (apart[:, 1:] < REACH) & ~np.eye(5, dtype=bool)
    assert (np.diff(edges, axis=1) != 0)[near].mean() == pytest.approx(CHANGE / 2, rel=0.2)
    np.testing.assert_array_equal(edges, edges.swapaxes(2, 3))


@pytest.mark.parametrize("field", ["change", "reach"])
def test_bad_arguments_are_named(field):
    with pytest.raises(InputError, match=r"changing_springs"):
        simulate_changing_springs(jax.random.key(0), 1, **{field: -0.5})
