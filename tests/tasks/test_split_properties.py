"""Whatever the recordings and the config: windows of two splits share no frame, and keep the gap, in every protocol."""

import hypothesis.strategies as st
import numpy as np
import pytest
import small_ahead
import small_experiments
import small_forecasts
from hypothesis import assume, example, given, settings

from wormjax.errors import InputError
from wormjax.features.splits import TEST, TRAINING, VALIDATION
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead.questions import find_steps
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.groups import list_groups, split_by_seed
from wormjax.tasks.protocols import PROTOCOLS, list_splits
from wormjax.training.runs import tabulate_windows

TASKS = {"decode": small_experiments, "forecast": small_forecasts, "ahead": small_ahead}
STRETCHES = st.lists(st.integers(1, 160), min_size=1, max_size=2)  # Frames of each, of one worm.
FRACTIONS = st.sampled_from([0.0, 0.2, 0.4])


OWN_TESTS = {"within_recording"}  # tests/tasks/forecast/test_within_recording.py


@st.composite
def experiments(draw, task):
    """A config, and a dataset of two or three worms."""
    protocols = [name for name in PROTOCOLS if name not in OWN_TESTS and (task == "decode" or name != "same_worm")]
    config = TASKS[task].small_config(
        seeds=draw(st.integers(1, 2)),
        seed=draw(st.integers(0, 99)),
        protocol__name=draw(st.sampled_from(protocols)),
        split__block=draw(st.integers(1, 70)),
        split__gap=draw(st.integers(0, 12)),
        split__validation_fraction=draw(FRACTIONS),
        split__test_fraction=draw(st.sampled_from([0.2, 0.4])),
        train__window_stride=draw(st.integers(1, 9)),
    )
    if task != "forecast":
        config.train.window_frames = draw(st.integers(1, 20))
    frames = draw(st.lists(STRETCHES, min_size=2, max_size=3))
    return config, small_experiments.small_dataset([tuple(some) for some in frames], neurons=1, padding=3)


def build_windows(task, config, dataset, groups):
    """The runs' tables of windows, and the frames of a window with those that it is asked about."""
    if task == "decode":
        return decoding.build_group_runs(config, dataset, groups), config.train.window_frames
    if task == "forecast":
        return forecasting._tabulate_runs(config, dataset, groups), forecasting.build_shape(config).frames
    asked = max(find_steps(config, dataset)) if config.split.validation_fraction else 0
    return ahead_models.build_group_runs(config, dataset, groups), config.train.window_frames + asked


def mark_frames(dataset, windows, length):
    """Which frames [stretch, frame] some windows hold; each lies within one stretch."""
    marked = np.zeros(dataset.arrays.valid.shape, bool)
    for stretch, start in windows:
        assert dataset.arrays.valid[stretch, start : start + length].sum() == length
        marked[stretch, start : start + length] = True
    return marked


def assert_apart(one, other, gap):
    """No frame in both, and more than `gap` frames from one to the other in every stretch."""
    for first, second in zip(one, other, strict=True):
        first, second = np.flatnonzero(first), np.flatnonzero(second)
        if len(first) and len(second):
            assert np.abs(first[:, None] - second).min() > gap


def check(task, config, dataset):
    cross = config.protocol.name == "cross_study"
    splits = list_splits(config.protocol.name, len(dataset.worms), 2 * cross)
    groups, gap = list_groups(config, splits), config.split.gap
    try:
        runs, length = build_windows(task, config, dataset, groups)
    except InputError:  # Worms too short for a window: nothing is trained.
        assume(False)
    labels, tested = split_by_seed(config, dataset), decoding.test_labels(config, dataset, groups)
    for run, group in enumerate(groups):
        tables = (runs.training_windows, runs.training_count), (runs.validation_windows, runs.validation_count)
        training, validation = (mark_frames(dataset, table[run][: count[run]], length) for table, count in tables)
        assert training.any()
        for table, count in tables:
            drawn = table[run] if count[run] else table[run][:0]  # What fills a table up, too.
            assert set(dataset.stretch_worm[drawn[:, 0]]) <= set(group.split.train)
        assert_apart(training, validation, gap)
        assert (labels[group.seed][training] == TRAINING).all()
        assert (labels[group.seed][validation] == VALIDATION).all()
        if tested is None:
            assert cross or not set(group.split.train) & set(group.split.test)
            assert not (labels[group.seed] == TEST).any()
            continue
        windows = np.concatenate(tabulate_windows(labels[group.seed], TEST, 1, 1))
        test = mark_frames(dataset, windows, 1)
        np.testing.assert_array_equal(test, tested[group.seed])
        assert_apart(training, test, gap)
        assert_apart(validation, test, gap)


@pytest.mark.parametrize("task", TASKS)
def test_windows_of_two_splits_share_no_frame_and_keep_the_gap_under_every_protocol(task):
    seen = set()

    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(experiments(task))
    def run(experiment):
        config, dataset = experiment
        check(task, config, dataset)
        seen.add(config.protocol.name)

    run()
    assert seen == set(PROTOCOLS) - OWN_TESTS - ({"same_worm"} if task != "decode" else set())


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_windows_of_two_splits_share_no_frame_in_many_more_cases(task):
    @settings(deadline=None, max_examples=3000)
    @given(experiments(task))
    def run(experiment):
        check(task, *experiment)

    run()


@pytest.mark.parametrize("task", TASKS)
def test_a_gap_that_is_not_kept_is_noticed(task):
    config = TASKS[task].small_config(split__gap=0, split__block=48, split__validation_fraction=0.4)
    dataset = small_experiments.small_dataset(((400,), (400,)), neurons=1)
    check(task, config, dataset)
    groups = list_groups(config, list_splits(config.protocol.name, 2))
    runs, length = build_windows(task, config, dataset, groups)
    training, validation = (
        mark_frames(dataset, table[0][: count[0]], length)
        for table, count in (
            (runs.training_windows, runs.training_count),
            (runs.validation_windows, runs.validation_count),
        )
    )
    with pytest.raises(AssertionError):
        assert_apart(training, validation, 47)


@given(
    stretches=st.lists(st.integers(1, 120), min_size=1, max_size=3),
    context=st.integers(0, 6),
    gap=st.integers(0, 12),
    seed=st.integers(0, 99),
)
@example(stretches=[90], context=4, gap=0, seed=0)
@settings(deadline=None, max_examples=60)
def test_a_linear_baseline_s_context_reaches_into_no_test_frame(stretches, context, gap, seed):
    config = small_experiments.small_config(
        protocol__name="same_worm", split__block=9, split__gap=gap, split__test_fraction=0.3, seed=seed
    )
    dataset = small_experiments.small_dataset([tuple(stretches)], neurons=1)
    labels = split_by_seed(config, dataset)[seed]
    used = np.isin(labels, (TRAINING, VALIDATION))
    marked = np.where(labels == TEST, np.nan, 1.0)[..., None, None] * np.ones_like(dataset.arrays.features)
    marked = marked.astype(np.float32)
    arrays = dataset.arrays._replace(features=marked)
    assume((used & (dataset.arrays.states != UNSCORED)).any())
    offsets = tuple(range(-context, context + 1))
    shown = small_experiments.replace_arrays(dataset, arrays)
    channels, _, _ = baselines._stack_frames(shown, (0,), used, np.ones(1), offsets)
    assert np.isfinite(channels).all()
