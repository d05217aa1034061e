"""An ensemble ends where its runs would have ended alone, and where it would have ended without a stop."""

import functools
import re

import jax
import numpy as np
import pytest
from flax import serialization
from small_experiments import replace_worm, small_config, small_dataset

from wormjax.models.catalog import build_classifier
from wormjax.tasks.decode.runs import build_group_runs
from wormjax.tasks.groups import list_groups, restore_best
from wormjax.tasks.protocols import list_splits
from wormjax.training.checkpoints import open_checkpoints, restore_latest
from wormjax.training.loop import TrainingError, train_ensemble
from wormjax.training.objectives.classification import classification
from wormjax.training.parallel import build_engine
from wormjax.training.preemption import Stopped
from wormjax.training.runs import Runs
from wormjax.training.step import Recipe, TrainState

pytestmark = pytest.mark.usefixtures("quick_compilation")

DATASET = small_dataset()
CONFIG = small_config(seeds=2, train__learning_rate=0.03)
GROUPS = list_groups(CONFIG, list_splits("subsets", 3))  # Six subsets by two seeds.
RUNS = build_group_runs(CONFIG, DATASET, GROUPS)
RECIPE = Recipe(steps_per_chunk=4, schedule="cosine", average_decay=0.5)


@functools.cache
def engine_of(count, at_once=0):
    """The engine for `count` runs, built once: a program takes longer to compile than to run."""
    module = build_classifier("mlp", 4, {"hidden": 4})
    objective = classification(module, (4, 2), window_frames=16, batch_windows=8)
    return build_engine(objective, RECIPE, count, runs_at_once=at_once)


def train(folder, runs=RUNS, dataset=DATASET, stop=None, at_once=0) -> TrainState:
    engine = engine_of(len(runs.seed), at_once)
    return train_ensemble(engine, RECIPE, dataset.arrays, runs, str(folder), "mlp", 0.0, stop)


def take(tree, runs):
    return jax.tree.map(lambda values: np.asarray(values)[list(runs)], tree)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def assert_close(state, other):
    """Equal but for the order of sums; `best` too, since no two validations of these runs are nearly equal."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), state, other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, quick_compilation) -> TrainState:
    return train(tmp_path_factory.mktemp("whole"))


def test_training_learns(whole):
    assert (whole.step == 12).all()
    assert np.isin(whole.best_step, [4, 8, 12]).all()
    assert (whole.best_score < np.log(4)).mean() > 0.5  # Better than chance, after twelve steps.


def test_resumed_is_uninterrupted_bit_for_bit(whole, tmp_path):
    for chunk in (1, 2, 3):
        stopped = train(tmp_path, stop=1)
        assert (stopped.step == 4 * chunk).all()
    assert_equal(stopped, whole)
    assert_equal(restore_best(tmp_path), whole.best)
    assert_equal(train(tmp_path), whole)  # Nothing is left to do.


def test_a_run_is_the_same_alone_and_among_others(whole, tmp_path):
    for run in (0, 11):
        assert_close(train(tmp_path / str(run), take(RUNS, [run])), take(whole, [run]))
    assert_close(train(tmp_path / "some", take(RUNS, [7, 2, 3, 0])), take(whole, [7, 2, 3, 0]))


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_runs_at_once_do_not_matter(whole, tmp_path, at_once):
    runs = [1, 4, 6, 9, 10]  # An odd number: the last is left over from pairs.
    assert_close(train(tmp_path, take(RUNS, runs), at_once=at_once), take(whole, runs))


def test_every_run_ends_elsewhere(whole):
    kernels = np.asarray(whole.variables["params"]["Dense_0"]["kernel"]).reshape(len(GROUPS), -1)
    apart = np.abs(kernels[:, None] - kernels[None]).max(axis=-1)
    assert (apart[~np.eye(len(kernels), dtype=bool)] > 1e-2).all()


def test_runs_of_fewer_steps_stand_still_while_others_go_on(tmp_path):
    steps = np.array([3, 12, 7, 4], np.int32)
    runs = take(RUNS, [0, 1, 2, 3])._replace(steps=steps)
    state = train(tmp_path / "all", runs)
    np.testing.assert_array_equal(state.step, steps)
    for run in (0, 2):
        assert_close(train(tmp_path / str(run), take(runs, [run])), take(state, [run]))
    stopped = train(tmp_path / "stopped", runs, stop=2)
    np.testing.assert_array_equal(stopped.step, np.minimum(steps, 8))
    assert_equal(train(tmp_path / "stopped", runs), state)


def test_a_held_out_worm_leaves_no_trace(whole, tmp_path):
    unseen = [k for k, group in enumerate(GROUPS) if 1 not in group.split.train]
    seen = [k for k, group in enumerate(GROUPS) if 1 in group.split.train]
    state = train(tmp_path, dataset=replace_worm(DATASET, 1, 50.0, 3))
    assert_equal(take(state, unseen), take(whole, unseen))
    for got, was in zip(jax.tree.leaves(state.variables), jax.tree.leaves(whole.variables), strict=True):
        assert all((got[run] != was[run]).any() for run in seen)


@pytest.mark.parametrize("worm", [0, 2])
def test_not_even_where_its_features_are_no_numbers(worm, tmp_path):
    runs = take(RUNS, [k for k, group in enumerate(GROUPS) if worm not in group.split.train][:4])
    state = train(tmp_path / "nan", runs, replace_worm(DATASET, worm, np.nan))
    assert_equal(state, train(tmp_path / "numbers", runs))
    assert np.isfinite(state.best_score).all()


def with_rates(rate, *bad) -> Runs:
    rates = RUNS.hyper["learning_rate"].copy()
    rates[list(bad)] = rate
    return RUNS._replace(hyper=RUNS.hyper | {"learning_rate": rates})


def kept_state(folder) -> dict:
    with open_checkpoints(folder / "checkpoints", read_only=True) as manager:
        return restore_latest(manager, fall_back=False)[1]


@pytest.mark.parametrize("rate", [np.nan, np.inf, 1e38])
def test_a_run_that_meets_no_number_is_named_and_spoils_no_other(rate, whole, tmp_path, capfd):
    runs = with_rates(rate, 7)
    with pytest.raises(TrainingError) as error:
        train(tmp_path, runs)
    assert re.fullmatch(
        r"mlp: a number that is not finite at step [123] of run 7 of 12 \(seed 1\); the last good checkpoint is "
        rf"{tmp_path}/checkpoints/12, which has run 7 after 0 steps and 11 sound runs to their end",
        str(error.value),
    )
    assert capfd.readouterr().err.count("warning: mlp: a number that is not finite") == 1
    state = kept_state(tmp_path)
    others = [run for run in range(12) if run != 7]
    assert state["step"].tolist() == [0 if run == 7 else 12 for run in range(12)]
    assert (state["failed_step"][others] == -1).all()
    assert_equal(take(state, others), take(serialization.to_state_dict(whole), others))
    assert all(np.isfinite(values[7]).all() for values in jax.tree.leaves(state["variables"]))
    with pytest.raises(TrainingError, match="run 7 of 12"):  # Going on does not hide it.
        train(tmp_path, runs)


def test_where_every_run_fails_training_stops_at_once(tmp_path):
    with pytest.raises(
        TrainingError, match=r"run 0 of 12 .*, and in 11 more runs; .*checkpoints/4, which has run 0 after 0"
    ):
        train(tmp_path, with_rates(np.nan, *range(12)))


def test_a_run_that_fails_late_keeps_its_last_good_chunk(whole, tmp_path):
    """Another worm's features turn to no numbers between two chunks: what the run had learnt until then is kept."""
    train(tmp_path, stop=1)
    before = kept_state(tmp_path)
    bad = [k for k, group in enumerate(GROUPS) if 1 in group.split.train]
    with pytest.raises(
        TrainingError, match=rf"at step 4 of run {bad[0]} .*, and in {len(bad) - 1} more runs.* after 4 steps"
    ):
        train(tmp_path, dataset=replace_worm(DATASET, 1, np.nan, 3))
    state = kept_state(tmp_path)
    assert state["failed_step"].tolist() == [4 if run in bad else -1 for run in range(12)]
    assert_equal(take(state["best"], bad), take(before["best"], bad))
    others = [run for run in range(12) if run not in bad]
    assert_equal(take(state["best"], others), take(whole.best, others))


def test_asked_to_stop_training_saves_the_chunk_and_goes_on_bit_for_bit(whole, tmp_path, monkeypatch):
    for step in (4, 8):
        monkeypatch.setattr("wormjax.training.loop.stop_requested", lambda: True)
        with pytest.raises(Stopped):
            train(tmp_path)
        assert (kept_state(tmp_path)["step"] == step).all()
    monkeypatch.undo()
    assert_equal(train(tmp_path), whole)


def test_what_must_end_within_a_chunk_saves_the_one_before(whole, tmp_path, monkeypatch):
    """The copy that is kept for such a case is that chunk's, though the devices go on in the same memory."""
    kept = []
    monkeypatch.setattr("wormjax.training.loop.LONG_CHUNK", -1.0)
    monkeypatch.setattr("wormjax.training.loop.keep_last_chunk", kept.append)
    engine = engine_of(12)
    train_ensemble(engine, RECIPE, DATASET.arrays, RUNS, tmp_path / "a", "mlp", 1e9)
    step, state = kept[1].args[1:]
    train(tmp_path / "b", stop=2)
    assert step == 8
    assert_equal(serialization.to_state_dict(state), kept_state(tmp_path / "b"))


def test_after_damage_training_ends_where_it_would_have(whole, tmp_path, capfd):
    train(tmp_path, stop=2)
    for path in (tmp_path / "checkpoints" / "8").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    assert_equal(train(tmp_path), whole)
    assert "checkpoints/8: found a checkpoint that is damaged" in capfd.readouterr().err
    assert_equal(restore_best(tmp_path), whole.best)
