"""The search for the likeliest combinations of edges, against all of them."""

import itertools

import jax
import numpy as np
import pytest

from wormjax.models.listed_posterior import find_combinations, list_switches

pytestmark = pytest.mark.usefixtures("quick_compilation")

PRIOR = {2: np.log([0.6, 0.4]), 3: np.log([0.5, 0.3, 0.2])}
search = jax.jit(find_combinations, static_argnames="most")


def draw_problem(senders, types, noise, seed=0):
    """Messages that add up, most of them alike: the quadratic form, and the true types."""
    random = np.random.default_rng(seed)
    effects = random.normal(size=(senders * (types - 1), 40)) + 3.0 * random.normal(size=40)
    kinds = random.integers(0, types, senders)
    true = np.eye(types)[kinds][:, 1:].reshape(-1)
    target = true @ effects + noise * random.normal(size=40)
    return effects @ effects.T / noise**2, effects @ target / noise**2, kinds


def cost_all(gram, linear, types):
    senders = len(linear) // (types - 1)
    kinds = np.array([*itertools.product(range(types), repeat=senders)])
    z = np.eye(types)[kinds][..., 1:].reshape(len(kinds), -1)
    return kinds, 0.5 * np.einsum("ca,ab,cb->c", z, gram, z) - z @ linear - PRIOR[types][kinds].sum(axis=1)


@pytest.mark.parametrize(("senders", "types"), [(4, 2), (3, 3)])
def test_with_room_for_all_combinations_none_is_left_out(senders, types):
    gram, linear, _ = draw_problem(senders, types, 3.0)
    found = search(gram, linear, PRIOR[types], most=100)
    assert found.combinations.shape == (100, senders, types)
    kinds = np.argmax(found.combinations, axis=-1)[np.asarray(found.valid)]
    assert len(kinds) == types**senders == len(np.unique(kinds, axis=0))


@pytest.mark.parametrize(("senders", "types"), [(9, 2), (5, 3)])
def test_a_few_combinations_are_the_likeliest(senders, types):
    """The best is found, and of the posterior next to nothing is lost."""
    for seed in range(5):
        gram, linear, _ = draw_problem(senders, types, 2.0, seed)
        kinds, cost = cost_all(gram, linear, types)
        found = search(gram, linear, PRIOR[types], most=48)
        listed = np.argmax(found.combinations, axis=-1)
        place = np.ravel_multi_index(listed.T, (types,) * senders)
        share = np.exp(cost.min() - cost)
        assert share[place].sum() > 0.95 * share.sum()
        assert kinds[cost.argmin()].tolist() in listed.tolist()
        assert len(np.unique(place)) == 48


def test_the_edges_of_thirty_objects_are_found():
    for seed in range(5):
        gram, linear, kinds = draw_problem(29, 2, 0.5, seed)
        found = search(gram, linear, PRIOR[2], most=64)
        np.testing.assert_array_equal(np.argmax(found.combinations[0], axis=-1), kinds)


def test_switches_are_one_edge_each():
    switches = list_switches(3, 3).argmax(axis=-1)
    assert switches.tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 2, 0], [0, 0, 1], [0, 0, 2]]
