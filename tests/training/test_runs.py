"""Which windows a run may draw: its own worms' training frames, and nothing else."""

import jax
import numpy as np
import pytest
from small_experiments import small_config, small_dataset

from wormjax.errors import InputError
from wormjax.features.splits import GAP, TRAINING, VALIDATION
from wormjax.recordings.recording import UNSCORED
from wormjax.training.objectives.classification import cut_windows, draw_windows
from wormjax.training.runs import build_runs, share_windows, split_stretches

LENGTH = 16
DATASET = small_dataset()
WORMS = [(0,), (1,), (2,), (0, 2), (1, 2)]


def label_frames(seed=0):
    return split_stretches(DATASET, block=32, gap=4, validation_fraction=0.25, test_fraction=0.2, seed=seed)


def make_runs(worms=WORMS, seeds=None, **train):
    seeds = seeds or [0] * len(worms)
    fields = {f"train__{name}": value for name, value in train.items()}
    labels = {seed: label_frames(seed) for seed in seeds}
    return build_runs(DATASET, worms, seeds, list(range(len(worms))), labels, small_config(**fields).train)


def frames_of(windows, length=LENGTH):
    """All (stretch, frame) of windows."""
    return {(int(stretch), int(start) + k) for stretch, start in windows for k in range(length)}


def test_every_drawn_window_is_of_the_run_s_own_worms_and_training_frames():
    runs, labels = make_runs(), label_frames()
    for run, worms in enumerate(WORMS):
        table, count = runs.training_windows[run], runs.training_count[run]
        drawn = np.asarray(draw_windows(table, count, jax.random.key(run), 4000))
        stretches, frames = np.array(sorted(frames_of(np.unique(drawn, axis=0)))).T
        assert set(DATASET.stretch_worm[stretches]) == set(worms)
        assert (labels[stretches, frames] == TRAINING).all()
        assert DATASET.arrays.valid[stretches, frames].all()
        # None of its windows is out of reach.
        assert {tuple(window) for window in drawn} == {tuple(window) for window in table[:count]}


def test_the_tables_hold_every_training_window_and_disjoint_validation_windows():
    runs, labels = make_runs(), label_frames()
    for run, worms in enumerate(WORMS):
        stretches = np.flatnonzero(np.isin(DATASET.stretch_worm, worms))
        for split, stride in ((TRAINING, 1), (VALIDATION, LENGTH)):
            table = runs.training_windows if split == TRAINING else runs.validation_windows
            count = (runs.training_count if split == TRAINING else runs.validation_count)[run]
            starts = [
                (stretch, start)
                for stretch in stretches
                for start in range(labels.shape[1] - LENGTH + 1)
                if (labels[stretch, start : start + LENGTH] == split).all()
            ]
            found = [tuple(window) for window in table[run][:count]]
            assert set(found) <= set(starts)
            if stride == 1:
                assert sorted(found) == starts
            else:
                assert len(frames_of(found)) == LENGTH * len(found) > 0


def test_windows_that_only_fill_the_table_are_the_run_s_own_too():
    runs = make_runs()
    for windows, counts in (
        (runs.training_windows, runs.training_count),
        (runs.validation_windows, runs.validation_count),
    ):
        assert len(set(counts)) > 1  # Some tables are filled up.
        for run, worms in enumerate(WORMS):
            assert set(DATASET.stretch_worm[windows[run][:, 0]]) == set(worms)


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_windows_of_chosen_stretches_are_repeated_to_their_share(share):
    runs, chosen = make_runs([(0,), (0, 2)]), DATASET.stretch_worm == 2
    shared = share_windows(runs, chosen, share)
    tables = [
        [tuple(window) for window in own.training_windows[run][: own.training_count[run]]]
        for run in (0, 1)
        for own in (runs, shared)
    ]
    assert tables[0] == tables[1]
    assert set(tables[2]) == set(tables[3])
    assert np.mean([chosen[stretch] for stretch, _ in tables[3]]) == pytest.approx(share, abs=0.01)


def test_cut_windows_are_the_frames_that_the_table_says():
    windows = np.array([[0, 0], [2, 7], [3, 60]])
    cut = cut_windows(DATASET.arrays, windows, LENGTH)
    for index, (stretch, start) in enumerate(windows):
        for got, whole in zip(cut, DATASET.arrays, strict=True):
            np.testing.assert_array_equal(got[index], whole[stretch, start : start + LENGTH])


def test_the_split_of_a_worm_depends_on_the_seed_and_the_worm_alone():
    labels = label_frames()
    fewer = split_stretches(small_dataset(frames=((260,), (220,))), 32, 4, 0.25, 0.2, seed=0)
    np.testing.assert_array_equal(fewer[:, :260], labels[:2, :260])
    assert (label_frames(1) != labels).any()
    assert (labels[~DATASET.arrays.valid] == GAP).all()


def test_class_weights_come_from_the_training_frames_of_the_run_s_worms():
    runs, labels = make_runs(), label_frames()
    for run, worms in enumerate(WORMS):
        used = (labels == TRAINING) & np.isin(DATASET.stretch_worm, worms)[:, None]
        states = DATASET.arrays.states[used & (DATASET.arrays.states != UNSCORED)]
        weights = runs.class_weights[run]
        np.testing.assert_allclose(weights[states].mean(), 1.0, rtol=1e-5)
        shares = [weights[states[states == state]].sum() for state in np.unique(states)]
        np.testing.assert_allclose(shares, shares[0], rtol=1e-4)


def test_epochs_are_passes_over_each_run_s_own_windows():
    runs = make_runs(epochs=3)
    np.testing.assert_array_equal(runs.steps, 3 * np.ceil(runs.training_count / 8))
    assert len(set(runs.steps)) > 1
    np.testing.assert_array_equal(make_runs().steps, 12)


@pytest.mark.parametrize(("split", "name"), [(TRAINING, "training"), (VALIDATION, "validation")])
def test_a_run_without_a_window_is_an_error_that_names_field_and_worm(split, name):
    labels = label_frames()
    labels[0, np.flatnonzero(labels[0] == split)[3:]] = GAP  # Too few frames are left for a window.
    with pytest.raises(InputError, match=rf"found 16, which leaves no {name} window in worm 0 of 260 frames"):
        build_runs(DATASET, [(0,)], [0], [0], {0: labels}, small_config().train)


def test_all_frames_may_train():
    labels = {0: np.where(label_frames() == VALIDATION, TRAINING, label_frames())}
    runs = build_runs(DATASET, [(0,)], [0], [0], labels, small_config().train)
    assert runs.validation_windows.shape == (1, 0, 2)
    assert runs.training_count > 0
