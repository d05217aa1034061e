"""Sensitivity: the ahead task's own numbers at the defaults, no value fitted twice, a map without a cycle a result."""

import numpy as np
import pytest
from small_experiments import small_dataset
from small_manifold import small_config

from wormjax.errors import InputError
from wormjax.features.forecast_origins import list_starts
from wormjax.scoring.classification import score_states
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.groups import list_groups
from wormjax.tasks.manifold.diffusion_map import decode_dataset
from wormjax.tasks.manifold.experiment import build_task
from wormjax.tasks.manifold.sensitivity import check_sensitivity, measure_sensitivity, try_value
from wormjax.tasks.protocols import Split, list_splits

DEFAULTS = {"delays": 4, "neighbours": 5, "phase_bins": 30}  # Of small_manifold.


def make_config(seconds=5.0, **parameters):
    values = {name: () for name in small_config().sensitivity.parameters} | parameters
    fields = {f"sensitivity__parameters__{name}": some for name, some in values.items()}
    return small_config(sensitivity__seconds=seconds, tasks__ahead__baselines=("diffusion_map",), **fields)


@pytest.fixture(scope="module")
def dataset():
    """Three worms, one of which has a stretch of hardly more frames than the first start, none of them 5 s ahead."""
    return small_dataset(frames=((260,), (220,), (140, 40, 110)))


@pytest.fixture(scope="module")
def splits():
    return list_splits("leave_one_worm_out", 3)


@pytest.mark.slow
def test_the_default_gives_the_rows_of_the_ahead_task(dataset, splits, tmp_path):
    """Split by split; the worms of one split are averaged, however long they are."""
    splits = [*splits, Split((1,), (0, 2))]
    config = make_config()
    task = build_task(config, "ahead")
    groups, fits = list_groups(task, splits), ahead.fit_baselines(task, dataset, splits, tmp_path)
    names = dataset.study, dataset.worms
    outputs = list(ahead.run_models(task, dataset, splits, groups, fits, tmp_path))
    rows = [row for one in outputs for row in ahead.score_output(task, names, dataset, splits, groups, fits, one)]
    for seconds in (1.0, 5.0):
        tried = try_value(make_config(seconds), task, dataset, splits)
        found = [row.value for row in rows if row.metric == f"nll@{seconds:g}s"]
        assert len(found) == 5
        expected = [*found[:3], np.mean(found[3:])]
        np.testing.assert_allclose(tried.nll, expected, rtol=1e-6)
    counted = [len(set(ahead.restore_loops(task, dataset, fits, number).loop)) for number in range(4)]
    assert tried.loops.tolist() == counted
    starts = list_starts(dataset, task.ahead.first, task.ahead.every)
    for number, (split, value) in enumerate(zip(splits, tried.decoding, strict=True)):
        shares = fits["diffusion_map"][f"split_{number}"]["shares"]
        decoded = decode_dataset(ahead.restore_loops(task, dataset, fits, number), shares, dataset, split.test)
        by_worm = []
        for worm in split.test:
            own = starts.of(starts.worm == worm)
            last = own.stretch, own.frame - 1
            by_worm.append(score_states(decoded[last], dataset.scored_states[last])["balanced_accuracy"])
        assert value == pytest.approx(np.mean(by_worm))


def test_every_value_is_there_and_no_config_is_fitted_twice(dataset, splits, monkeypatch):
    fitted = []

    def count(setting, train):
        fitted.append(setting)
        return fit(setting, train)

    fit = simple.fit_diffusion_map
    monkeypatch.setattr(simple, "fit_diffusion_map", count)
    config = make_config(delays=(2, 4), neighbours=(5.0,), phase_bins=(30, 10))
    found = measure_sensitivity(config, build_task(config, "ahead"), dataset, splits)
    assert {name: [one.value for one in some] for name, some in found.items()} == {
        "delays": [2, 4],
        "neighbours": [5],
        "phase_bins": [30, 10],
    }
    assert len(fitted) == 3 * len(splits)  # The default, delays 2, phase_bins 10.
    for split in range(3):
        used = {(one.embedding.delays, one.partition.phase_bins) for one in fitted[split::3]}
        assert used == {(2, 30), (4, 30), (4, 10)}
    at_default = [found[name][[one.value for one in found[name]].index(value)] for name, value in DEFAULTS.items()]
    for one in at_default[1:]:
        np.testing.assert_array_equal(one.nll, at_default[0].nll)
    assert not np.array_equal(found["delays"][0].nll, at_default[0].nll)
    assert [one.neighbourhood.neighbours for one in fitted] == [5] * len(fitted)


def test_where_no_cycle_is_found_there_are_no_loops(dataset, splits, monkeypatch):
    fit = simple.fit_diffusion_map

    def refuse(setting, train):
        if len(train[0]) == 1 and len(train[1]) == 1:  # The split that leaves the last worm out.
            raise InputError("asymmetric diffusion map: found no complex eigenvalue")
        return fit(setting, train)

    monkeypatch.setattr(simple, "fit_diffusion_map", refuse)
    config = make_config(delays=(4,))
    (tried,) = measure_sensitivity(config, build_task(config, "ahead"), dataset, splits)["delays"]
    none = [split.test == (2,) for split in splits]
    assert np.isnan(tried.decoding).tolist() == none
    assert np.isnan(tried.nll).tolist() == none
    assert (tried.loops == 0).tolist() == none


def test_splits_of_fewer_training_worms_are_left_out(dataset):
    config = make_config(delays=(4,))
    splits = list_splits("subsets", 3)
    (tried,) = measure_sensitivity(config, build_task(config, "ahead"), dataset, splits)["delays"]
    assert len(splits) == 6
    assert tried.nll.shape == tried.decoding.shape == tried.loops.shape == (3,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"delays": (4, 0)}, r"'sensitivity\.parameters\.delays': found 0, expected a whole number, 1 or more"),
        ({"delays": (1.5,)}, r"'sensitivity\.parameters\.delays': found 1\.5, expected whole numbers"),
        ({"delays": (float("nan"),)}, r"'sensitivity\.parameters\.delays': found nan, expected whole numbers"),
        ({"resolution": (0.0,)}, r"'sensitivity\.parameters\.resolution': found 0\.0, expected a number, more than 0"),
        ({"resolution": ("high",)}, r"'sensitivity\.parameters\.resolution': found 'high', expected numbers"),
        ({"seconds": 3.0}, r"'sensitivity\.seconds': found 3, expected one of tasks\.ahead\.ahead\.seconds"),
        ({"colour": (1,)}, r"'sensitivity\.parameters': found 'colour', expected some of .*delays"),
    ],
)
def test_what_cannot_be_tried_is_refused(values, message):
    extra = {name: values.pop(name) for name in list(values) if name == "colour"}
    config = make_config(**values)
    with config.unlocked():
        config.sensitivity.parameters.update(extra)
    with pytest.raises(InputError, match=message):
        check_sensitivity(config, build_task(config, "ahead"))
