"""An ensemble ends where its runs would have ended alone, and where it would have ended without a stop."""

import functools

import jax
import numpy as np
import pytest
from small_experiments import replace_worm, small_config, small_dataset

from wormjax.evaluation.decoding import build_group_runs, list_groups, restore_best
from wormjax.evaluation.protocols import list_splits
from wormjax.models.catalog import build_classifier
from wormjax.training.loop import TrainingError, train_ensemble
from wormjax.training.objectives import classification
from wormjax.training.parallel import build_engine
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
        if chunk == 2:
            jax.clear_caches()
        stopped = train(tmp_path, stop=1)
        assert (stopped.step == 4 * chunk).all()
    assert_equal(stopped, whole)
    assert_equal(restore_best(tmp_path), whole.best)
    assert_equal(train(tmp_path), whole)  # Nothing is left to do.


def test_a_run_is_the_same_alone_and_among_others(whole, tmp_path):
    for run in (0, 11):
        assert_close(train(tmp_path / str(run), take(RUNS, [run])), take(whole, [run]))
    assert_close(train(tmp_path / "some", take(RUNS, [7, 2, 3, 0])), take(whole, [7, 2, 3, 0]))


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


def test_a_loss_that_is_not_finite_ends_training_and_names_the_run(tmp_path):
    rates = RUNS.hyper["learning_rate"].copy()
    rates[7] = np.nan
    runs = RUNS._replace(hyper=RUNS.hyper | {"learning_rate": rates})
    with pytest.raises(TrainingError, match=r"^mlp: loss not finite by step 4 in run 7 of \d+ \(seed 1\)$"):
        train(tmp_path, runs)
    with pytest.raises(ValueError, match="no whole checkpoint"):  # What diverged is not kept.
        restore_best(tmp_path)
