"""What the report computes for its figures: from which groups, worms and frames."""

import numpy as np
import pytest
from small_experiments import replace_arrays, small_config, small_dataset

from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.decode import report
from wormjax.tasks.decode.runs import Decoded
from wormjax.tasks.groups import list_groups
from wormjax.tasks.protocols import Split, list_splits
from wormjax.tasks.worms import Materials

DATASET = small_dataset()
STATES = DATASET.arrays.states
CONFIG = small_config()
SPLITS = list_splits("subsets", 3)
GROUPS = list_groups(CONFIG, SPLITS)
MATERIALS = Materials(DATASET, DATASET, tuple(SPLITS))
RIGHT = np.eye(4)[np.maximum(STATES, 0)]


@pytest.fixture
def drawn(monkeypatch):
    """Name of the figure → the arguments that it was drawn with."""
    calls = {}
    for name in ("plot_confusions", "plot_graph", "plot_ethogram", "plot_transfer"):

        def draw(*arguments, name=name, **named):
            calls[name] = (arguments, named)

        monkeypatch.setattr(report.figures, name, draw)
    return calls


def test_confusions_are_of_unseen_worms_after_training_on_the_most(drawn):
    probabilities = np.stack([RIGHT if len(group.split.train) == 2 else np.roll(RIGHT, 1, -1) for group in GROUPS])
    report.plot_confusions(CONFIG, MATERIALS, GROUPS, {"mlp": Decoded(probabilities, None)})
    matrix = drawn["plot_confusions"][0][0]["mlp"]
    counts = np.bincount(STATES[STATES != UNSCORED], minlength=4)  # Each worm is left out by one pair of the others.
    np.testing.assert_array_equal(matrix, np.diag(counts))


def test_the_graph_is_the_mean_over_worms_of_runs_that_had_not_seen_them(drawn):
    edges = np.zeros((6, 4, 12, 2))
    for index, group in enumerate(GROUPS):
        for stretch, worm in enumerate(DATASET.stretch_worm):
            edges[index, stretch, :, 1] = 0.2 * worm + 0.1 if worm in group.split.test else 0.9
    edges[..., 0] = 1.0 - edges[..., 1]
    report.plot_graph("nri_graph", DATASET, GROUPS, Decoded(None, edges))
    arguments, named = drawn["plot_graph"]
    off_diagonal = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(arguments[0][off_diagonal], 0.3)
    np.testing.assert_allclose(named["worm_probabilities"][:, 0, 1], [0.1, 0.3, 0.5])


def test_the_ethogram_is_of_a_worm_that_its_group_had_not_seen(drawn):
    probabilities = np.stack([RIGHT] * len(GROUPS))
    report.plot_ethogram("mlp", CONFIG, MATERIALS, GROUPS, Decoded(probabilities, None))
    arguments, _ = drawn["plot_ethogram"]
    text = " ".join(argument for argument in arguments if isinstance(argument, str))
    assert "trained on 2 other worms" in text
    assert "accuracy 1.000" in text
    assert "worm 0" in text  # The last pair, worms 1 and 2, leaves it out.


def test_neuron_aurocs_are_of_reverse_against_forward():
    states = np.where(STATES == UNSCORED, UNSCORED, STATES % 3)
    features = DATASET.arrays.features.copy()
    features[..., 0, 1] = -states  # Reverse (0) above forward (1).
    features[..., 1, 1] = states
    dataset = replace_arrays(DATASET, DATASET.arrays._replace(features=features, states=states))
    table = report.neuron_aurocs(dataset, 1)
    assert table.shape == (3, 4)
    np.testing.assert_array_equal(table[:, :2], [[1.0, 0.0]] * 3)
    assert np.abs(table[:, 2:] - 0.5).max() < 0.5
    one_state = replace_arrays(dataset, dataset.arrays._replace(states=np.where(states == 1, UNSCORED, states)))
    assert np.isnan(report.neuron_aurocs(one_state, 1)).all()


def test_the_largest_groups_have_a_worm_to_be_tested_on():
    groups = list_groups(CONFIG, [Split((0,), (1, 2)), Split((0, 1), (2,)), Split((1, 2), (0,)), Split((0, 1, 2), ())])
    assert report.largest_groups(groups) == [1, 2]


def test_a_long_name_is_cut_and_a_short_one_is_not():
    assert report.shorten_worm("TS20140715e") == "TS20140715e"
    cut = report.shorten_worm("a" * 40)
    assert len(cut) == 28
    assert cut.endswith("…")
