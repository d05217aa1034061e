"""Training and decoding by groups: what may train, what is decoded from which parameters, and what is scored."""

import jax
import numpy as np
import pytest
from small_experiments import replace_arrays, replace_worm, small_config, small_dataset

from wormjax.baselines.hidden_markov import count_transitions, smooth_probabilities, transition_matrix
from wormjax.errors import InputError
from wormjax.features.dataset import WormArrays
from wormjax.features.splits import TEST
from wormjax.models.catalog import build_classifier
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.decode.baselines import train_baseline
from wormjax.tasks.decode.runs import (
    Decoded,
    build_group_runs,
    check_models,
    decode_model,
    score_model,
    train_model,
)
from wormjax.tasks.decode.runs import test_labels as labels_of_test
from wormjax.tasks.decode.windows import predict_stretches
from wormjax.tasks.groups import list_groups, restore_best, split_by_seed
from wormjax.tasks.protocols import list_splits
from wormjax.training.workdir import describe_dataset

pytestmark = pytest.mark.usefixtures("quick_compilation")

DATASET = small_dataset()
DESCRIPTION = describe_dataset(DATASET)
STATES = DATASET.arrays.states


def make_groups(config):
    return list_groups(config, list_splits(config.protocol.name, len(DATASET.worms)))


def draw_parameters(runs):
    """Parameters of an MLP for `runs` runs, untrained."""
    module = build_classifier("mlp", 4, {"hidden": 4})
    arrays = DATASET.arrays
    one = lambda seed: module.init(jax.random.key(seed), arrays.features[:1, :16], arrays.valid[:1, :16])  # noqa: E731
    return module, jax.device_get(jax.vmap(one)(np.arange(runs)))


def decode(config, best, dataset=DATASET, description=DESCRIPTION, name="mlp"):
    return decode_model(name, config, description, dataset, make_groups(config), best).probabilities


def spoil(dataset, where, features=40.0, state=2):
    """The dataset with one value and one state in the frames `where` [stretch, frame]."""
    arrays = dataset.arrays
    return replace_arrays(
        dataset,
        WormArrays(
            np.where(where[..., None, None], np.float32(features), arrays.features),
            np.where(where & arrays.valid, np.int32(state), arrays.states),
            arrays.valid,
        ),
    )


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


@pytest.fixture
def same_worm():
    return small_config(protocol__name="same_worm", split__block=24, split__test_fraction=0.3)


def test_in_same_worm_the_test_frames_leave_no_trace_in_training(same_worm, tmp_path):
    groups = make_groups(same_worm)
    test = split_by_seed(same_worm, DATASET)[0] == TEST
    assert 0.2 < test[DATASET.arrays.valid].mean() < 0.4
    spoilt = spoil(DATASET, test)
    train_model("mlp", same_worm, DATASET, groups, tmp_path / "a")
    train_model("mlp", same_worm, spoilt, groups, tmp_path / "b")
    assert_equal(*(restore_best(tmp_path / folder / "models" / "mlp") for folder in "ab"))
    for name in ("lda_context", "logistic_regression_context"):
        train_baseline(name, same_worm, DATASET, groups, tmp_path / "a")
        train_baseline(name, same_worm, spoilt, groups, tmp_path / "b")
        assert_equal(*(restore_best(tmp_path / folder / "models" / name) for folder in "ab"))


@pytest.mark.parametrize("name", ["mlp", "lda_context"])
def test_in_same_worm_a_test_frame_is_decoded_from_test_frames_alone(same_worm, name, tmp_path):
    groups = make_groups(same_worm)
    labels = labels_of_test(same_worm, DATASET, groups)[0]
    if name == "mlp":
        _, best = draw_parameters(len(groups))
    else:
        train_baseline(name, same_worm, DATASET, groups, tmp_path)
        best = restore_best(tmp_path / "models" / name)
    one, other = (decode(same_worm, best, d, name=name) for d in (DATASET, spoil(DATASET, ~labels)))
    np.testing.assert_allclose(one[:, labels], other[:, labels], atol=1e-6)
    assert np.ptp(one[:, labels], axis=1).max() > 0.1


def test_in_same_worm_only_test_frames_are_scored(same_worm):
    groups = make_groups(same_worm)
    labels = labels_of_test(same_worm, DATASET, groups)[0]
    right = np.eye(4)[np.maximum(STATES, 0)]
    probabilities = np.where(labels[..., None], right, np.roll(right, 1, axis=-1))  # Wrong on all other frames.
    rows = score_model("mlp", same_worm, DESCRIPTION, DATASET, groups, Decoded(np.stack([probabilities] * 3), None))
    accuracies = [row for row in rows if row.metric == "accuracy"]
    assert [(row.train_worms, row.test_worm, row.value) for row in accuracies] == [
        ((worm,), worm, 1.0) for worm in DATASET.worms
    ]


def test_a_lone_training_worm_that_was_never_scored_is_refused(same_worm):
    arrays = DATASET.arrays._replace(states=np.where(DATASET.stretch_worm[:, None] == 1, UNSCORED, STATES))
    dataset = replace_arrays(DATASET, arrays)
    for config in (small_config(), same_worm):
        groups = make_groups(config)
        with pytest.raises(InputError, match=f"{DATASET.worms[1]} as training worms, of which no frame has a scored"):
            build_group_runs(config, dataset, groups)
        others = [group for group in groups if group.split.train != (1,)]
        build_group_runs(config, dataset, others)


def test_a_held_out_worm_leaves_no_trace_in_a_baseline(tmp_path):
    config = small_config()
    groups = make_groups(config)
    for name in ("logistic_regression", "lda_context"):
        train_baseline(name, config, DATASET, groups, tmp_path / "a")
        train_baseline(name, config, replace_worm(DATASET, 1, 7.0, 2), groups, tmp_path / "b")
        one, other = (restore_best(tmp_path / folder / "models" / name)["weights"] for folder in "ab")
        for index, group in enumerate(groups):
            assert (one[index] == other[index]).all() == (1 not in group.split.train)


def test_a_baseline_is_fitted_once_and_not_again(tmp_path):
    config = small_config(seeds=2)
    groups = make_groups(config)
    train_baseline("lda", config, DATASET, groups, tmp_path)
    first = restore_best(tmp_path / "models" / "lda")
    np.testing.assert_array_equal(first["weights"][:6], first["weights"][6:])  # Whole worms: no seed enters.
    train_baseline("lda", config, small_dataset(seed=5), groups, tmp_path)
    assert_equal(restore_best(tmp_path / "models" / "lda"), first)


@pytest.fixture
def plain():
    """Two seeds of two members, decoded in windows and not smoothed."""
    return small_config(seeds=2, train__members=2, decode__state_durations=False)


def test_a_group_s_members_are_averaged_and_no_others(plain):
    groups = make_groups(plain)
    module, best = draw_parameters(2 * len(groups))
    alone = predict_stretches(module, best, DATASET.arrays, 16).probabilities
    decoded = decode(plain, best)
    assert decoded.shape == (12, *STATES.shape, 4)
    for group, values, first, second in zip(groups, decoded, alone[0::2], alone[1::2], strict=True):
        tested = np.isin(DATASET.stretch_worm, group.split.test)
        np.testing.assert_allclose(values[tested], ((first + second) / 2)[tested], atol=1e-6)


def test_runs_of_a_seed_are_told_apart_by_split_and_member(plain):
    groups = make_groups(plain)
    runs = build_group_runs(plain, DATASET, groups)
    assert len({tuple(seed) for seed in runs.seed}) == len(runs.seed) == 24
    np.testing.assert_array_equal(runs.seed[:, 0], [0] * 12 + [1] * 12)
    for run, (windows, count) in enumerate(zip(runs.training_windows, runs.training_count, strict=True)):
        worms = set(DATASET.stretch_worm[windows[:count, 0]])
        assert worms == set(groups[run // 2].split.train)


def test_a_checkpoint_of_another_number_of_runs_is_refused(plain):
    with pytest.raises(InputError, match="'mlp': found 12 runs, expected 12 groups of 2"):
        decode(plain, draw_parameters(12)[1])


def test_smoothing_takes_the_durations_of_the_training_worms_alone():
    config = small_config(decode__state_durations=True)
    groups = make_groups(config)
    _, best = draw_parameters(len(groups))
    raw = decode(small_config(decode__state_durations=False), best)
    smoothed = decode(config, best)
    for index, group in enumerate(groups):
        stretches = np.isin(DATASET.stretch_worm, group.split.train)
        transitions = transition_matrix(count_transitions(STATES[stretches], 4))
        expected = smooth_probabilities(raw[index], DATASET.arrays.valid, transitions)
        np.testing.assert_allclose(smoothed[index], expected, atol=1e-5)
    unlabelled = replace_arrays(DATASET, DATASET.arrays._replace(states=np.full_like(STATES, UNSCORED)))
    np.testing.assert_array_equal(decode(config, best, unlabelled), smoothed)


def test_rows_name_the_worms_that_trained_and_the_worm_that_was_tested():
    config = small_config(seeds=2, seed=4)
    groups = make_groups(config)
    probabilities = np.full((12, *STATES.shape, 4), 0.25)
    probabilities[3] = np.eye(4)[np.maximum(STATES, 0)]  # Seed 4, trained on worms 0 and 1.
    rows = score_model("a model", config, DESCRIPTION, DATASET, groups, Decoded(probabilities, None))
    assert {row.seed for row in rows} == {4, 5}
    pairs = {(row.train_worms, row.test_worm) for row in rows}
    assert len(pairs) == 3 * 2 + 3
    assert not any(test in train for train, test in pairs)
    perfect = {(row.seed, row.train_worms, row.test_worm) for row in rows if row[-2:] == ("accuracy", 1.0)}
    assert perfect == {(4, ("worm 0", "worm 1"), "worm 2")}
    assert {row.metric for row in rows} >= {"accuracy", "balanced_accuracy", "auroc", "nll", "calibration_error"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": ("mlpp",)}, "'models': found 'mlpp', expected one of mlp"),
        ({"baselines": ("ldaa",)}, "'baselines': found 'ldaa', expected some of logistic_regression"),
        ({"model__mlp": {"hiden": 4}}, "'model.mlp': found 'hiden', expected some of hidden, offsets"),
    ],
)
def test_a_model_that_does_not_exist_is_an_error_of_its_field(fields, message):
    with pytest.raises(InputError, match=message):
        check_models(small_config(**fields))


def test_a_group_decodes_its_test_worms_and_no_others(plain, monkeypatch):
    config = small_config(protocol__name="leave_one_worm_out", decode__state_durations=False)
    groups, asked = make_groups(config), []

    def predict(*arguments):
        asked.append(arguments[-1].tolist())
        return predict_stretches(*arguments)

    monkeypatch.setattr("wormjax.tasks.decode.runs.predict_stretches", predict)
    module, best = draw_parameters(len(groups))
    decoded = decode(config, best)
    assert [group.split.test for group in groups] == [(2,), (1,), (0,)]
    assert asked == [[[2, 3], [1, 1], [0, 0]]]  # Of stretches; the third worm has two.
    alone = predict_stretches(module, best, DATASET.arrays, 16).probabilities
    for group, own in enumerate(([2, 3], [1], [0])):
        np.testing.assert_array_equal(decoded[group, own], alone[group, own])
