"""Scores of edges between the neurons of a worm: signs, directions, and what each takes out."""

import numpy as np
import pytest

from wormjax.baselines.neuron_scores import METHODS, choose_method, find_innovations
from wormjax.baselines.sparse_autoregression import infer_edges


@pytest.fixture(scope="module")
def chain():
    """Traces in which 0 drives 1, 1 drives 2 against its sign, and 3 is alone."""
    random, frames = np.random.default_rng(0), 4000
    weights = np.zeros((4, 4))
    weights[0, 1], weights[1, 2] = 0.5, -0.5
    traces = np.zeros((frames, 4))
    for frame in range(1, frames):
        traces[frame] = 0.6 * traces[frame - 1] + traces[frame - 1] @ weights + random.standard_normal(4)
    return traces


@pytest.mark.parametrize("name", METHODS)
def test_every_method_prefers_what_drives_and_has_no_diagonal(name, chain):
    scores = choose_method(name, {"steps": 6})(chain)
    assert scores.shape == (4, 4)
    assert not np.diagonal(scores).any()
    if name != "innovations":  # What is new in a frame is not yet passed on.
        assert abs(scores[0, 1]) > 3 * abs(scores[[0, 1, 2], 3]).max()
        assert scores[0, 1] > 0
        assert scores[1, 2] < 0 or name == "granger"


def test_directed_methods_find_directions(chain):
    for name in ("granger", "var", "var_response"):
        scores = abs(choose_method(name, {"steps": 6})(chain))
        assert scores[0, 1] > 2 * scores[1, 0]
        assert scores[1, 2] > 2 * scores[2, 1]


def test_partial_correlation_takes_out_what_others_explain(chain):
    settings = {"shrinkage": 0.05}
    between = [abs(choose_method(name, settings)(chain)[0, 2]) for name in ("correlation", "partial_correlation")]
    assert between[1] < between[0]


def test_innovations_are_white(chain):
    innovations = find_innovations(chain)
    own = [np.corrcoef(innovations[1:, k], innovations[:-1, k])[0, 1] for k in range(4)]
    assert np.abs(own).max() < 0.1
    assert np.corrcoef(chain[1:, 0], chain[:-1, 0])[0, 1] > 0.5


def test_settings_that_a_method_does_not_read_are_left_out(chain):
    np.testing.assert_array_equal(choose_method("correlation", {"lag": 5})(chain), METHODS["correlation"](chain))
    assert (choose_method("lagged_correlation", {"lag": 5})(chain) != METHODS["lagged_correlation"](chain)).any()


def test_the_sparse_posterior_is_sure_of_edges_and_shares_its_prior(chain):
    everyone = np.arange(4)
    (edges,) = infer_edges([chain], [everyone], 4)
    assert edges[0, 1] > 0.99
    assert edges[1, 2] > 0.99
    others = edges[~np.eye(4, dtype=bool) & (abs(edges) < 0.99)]
    assert len(others) == 10
    assert others.max() < 0.5
    # In a short recording alone the edge is doubtful; among worms that have it, it is likelier.
    short = np.random.default_rng(1).standard_normal((60, 4))
    short[1:, 1] += 0.35 * short[:-1, 0]
    (alone,) = infer_edges([short], [everyone], 4)
    *_, among = infer_edges([chain, chain[:2000], short], [everyone] * 3, 4)
    assert among[0, 1] > alone[0, 1]
