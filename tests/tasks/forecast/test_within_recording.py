"""Forecasts within a recording: parts that do not overlap, choices that no test frame enters, the score as defined."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from configs.forecast_within_recording import get_config
from wormjax.baselines.window_regression import cut_windows
from wormjax.errors import InputError, RecordingWarning
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.forecast import within_recording
from wormjax.tasks.forecast.experiment import check_config, forecast

KATO = Path(os.environ.get("WORMJAX_DATA_DIR", "")) / "kato2015"


def small_config(**fields):
    config = get_config()
    changes = {
        "data.simulation.worms": 2,
        "data.simulation.minutes": 3.0,  # 540 frames: two segments, and a rest.
        "data.simulation.named": 0.5,
        "segment.frames": 200,
        "forecast.first": 16,
        "forecast.steps": 8,
        "forecast.scored": (1, 8),
        "train.roll_out": 8,
        "linear.orders": (2, 8),
        "linear.ridges": (1e-3, 1.0),
        "baselines": ("persistence", "mean", "ar_8", "var_2", "direct", "direct_shared", "mixture"),
        "model.kernel.components": 3,
        "model.kernel.random_features": 16,
        "model.kernel.noise_variances": (5.0, 20.0),
    }
    with config.unlocked():
        config.update_from_flattened_dict(changes | {name.replace("__", "."): value for name, value in fields.items()})
    return config


def replace_features(worm, change):
    features = worm.arrays.features.copy()
    change(features)
    return within_recording.dataclasses.replace(worm, arrays=worm.arrays._replace(features=features))


@pytest.fixture(scope="module")
def config():
    return small_config()


@pytest.fixture(scope="module")
def worms(config):
    return within_recording.open_worms(config)


def test_all_recorded_neurons_are_in_play(config, worms):
    recordings = within_recording.open_config_recordings(config)
    assert [len(worm.neuron_names) for worm in worms] == [len(worm.neuron_names) for worm in recordings]
    for worm, recording in zip(worms, recordings, strict=True):
        assert set(recording.identified) <= set(worm.neuron_names)
        assert 0 < len(recording.identified) < len(worm.neuron_names)


def test_parts_do_not_overlap_and_no_window_crosses_one(config, worms):
    numbered = replace_features(
        worms[0], lambda features: features.__setitem__(0, np.arange(features.shape[1])[:, None, None])
    )
    parts = within_recording.divide_worm(config, numbered)
    numbers = [[values[:, 0].astype(int).tolist() for values in part] for part in parts]
    assert numbers[0] == [list(range(120)), list(range(200, 320))]
    assert numbers[1] == [list(range(120, 160)), list(range(320, 360))]
    assert numbers[2] == [list(range(160, 200)), list(range(360, 400))]  # And from 400 on a rest.
    assert numbers[3] == [list(range(160)), list(range(200, 360))]
    for part, frames in zip(parts, (120, 40, 40, 160), strict=True):
        windows = cut_windows(part, 16, 8)
        assert len(windows.past) == 2 * (frames - 24 + 1)
        assert (np.diff(windows.past[:, :, 0], axis=1) == 1).all()
        assert (windows.change[:, :, 0] == np.arange(1, 9)).all()


def test_choices_and_fits_know_no_test_frame(config, worms):
    def disturb(features):
        features[:, 160:200] += 50.0
        features[:, 360:] -= 50.0

    found = []
    past = cut_windows(within_recording.divide_worm(config, worms[0]).test, 16, 8).past
    for worm in (worms[0], replace_features(worms[0], disturb)):
        parts = within_recording.divide_worm(config, worm)
        found.append(within_recording.forecast_worm(config, parts, cut_windows(parts.validation, 16, 8), past, 0))
    for one, other in zip(*found, strict=True):
        for name, values in one.items():
            np.testing.assert_allclose(values, other[name], atol=1e-9, err_msg=name)
    assert found[0][0].keys() >= {*config.models, *config.baselines}


def test_validation_frames_teach_no_forecast_of_themselves(config, worms):
    """A worm of one segment is fitted on its training frames when its penalties are chosen, as the protocol has it."""
    parts = within_recording.divide_worm(config, worms[0])
    one = within_recording.Parts(*(part[:1] for part in parts))
    validation = cut_windows(one.validation, 16, 8)
    _, scales = within_recording.forecast_worm(config, one, validation, validation.past, 0)
    settings = {"ar_8": (1e-3, 1.0)}
    tried = within_recording._forecast_members(small_config(models=()), one.train, validation.past, settings, 0)
    errors = [np.square(changes - validation.change).mean() for changes in tried.values()]
    best = list(tried.values())[int(np.argmin(errors))]
    np.testing.assert_allclose(scales["ar_8"], np.sqrt(np.square(best - validation.change).mean(axis=0)))


def test_weights_are_non_negative_least_squares_by_step():
    random = np.random.default_rng(0)
    members = random.normal(size=(3, 500, 2, 4))
    true = np.stack([0.7, 0.2])[:, None] * members[0] + np.stack([0.0, 0.5])[:, None] * members[1] - 0.4 * members[2]
    weights = within_recording.weigh_members(list(members), true)
    np.testing.assert_allclose(weights, [[0.7, 0.0, 0.0], [0.2, 0.5, 0.0]], atol=0.03)
    assert (weights[:, 2] == 0.0).all()


def test_the_score_of_a_worm_is_that_of_all_its_windows_together(config, worms):
    rows = within_recording.score_worm(config, worms[0])
    scores = {row.model: row.value for row in rows if row.metric == "score"}
    assert scores["persistence"] == 0.0
    parts = within_recording.divide_worm(config, worms[0])
    test = cut_windows(parts.test, 16, 8)
    forecasts, _ = within_recording.forecast_worm(config, parts, cut_windows(parts.validation, 16, 8), test.past, 0)
    for name, changes in forecasts.items():
        expected = 1.0 - np.square(test.change - changes).mean() / np.square(test.change).mean()
        if name in scores:
            assert scores[name] == pytest.approx(expected, abs=1e-5), name
    assert scores["ensemble"] > 0.1
    assert {row.train_worms for row in rows} == {worms[0].worms}


def test_program_writes_rows_summary_and_figure_and_evaluation_is_refused(config, tmp_path):
    rows = forecast(config, tmp_path / "run")
    written = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    assert len(written) == len(rows)
    assert {row["metric"] for row in written} >= {"score", "mse@1", "coverage90@8"}
    assert {row["model"] for row in written} == {*config.models, *config.baselines}
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert "| score |" in summary
    assert "neurons, 2 segments of 200 frames" in summary
    assert (tmp_path / "run" / "figures" / "forecast_error.png").stat().st_size > 5000
    with pytest.raises(InputError, match=r"'protocol\.name'.*within_recording"):
        evaluate(config, tmp_path / "run")


def test_worms_without_a_segment_are_left_out_and_named():
    with pytest.warns(RecordingWarning, match=r"'simulated-0-01' is left out: it has 505 frames without a break"):
        assert len(within_recording.open_worms(small_config(segment__frames=506))) == 1
    with pytest.raises(InputError, match=r"found no worm that can be used: .* frames without a break"):
        within_recording.open_worms(small_config(segment__frames=900))


MISTAKES = {
    "model": ({"models": ("nri_graph",)}, "'models'"),
    "baseline": ({"baselines": ("var_3",)}, "'baselines'"),
    "adapted": ({"baselines": ("var_adapted",)}, "'baselines'"),
    "order": ({"linear__orders": (17,), "baselines": ()}, "'forecast.first'"),
    "validation": ({"segment__validation_fraction": 0.1}, "'segment.validation_fraction'"),
    "test": ({"segment__test_fraction": 0.0}, "'segment.test_fraction'"),
    "training": ({"segment__test_fraction": 0.75}, "'segment.test_fraction'"),
    "kernel": ({"model__kernel__own_width": 0.0}, "'model.kernel.own_width'"),
    "priors": ({"model__kernel__priors": ((1.0, 1.0, 1.0),)}, "'model.kernel.priors'"),
    "segment elsewhere": ({"protocol__name": "subsets", "data__unnamed": False, "models": ()}, "'segment.frames'"),
    "unnamed elsewhere": ({"protocol__name": "subsets", "models": ()}, "'data.unnamed'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_its_field(mistake):
    fields, word = MISTAKES[mistake]
    with pytest.raises(InputError, match=word.replace(".", r"\.")):
        check_config(small_config(**fields))


@pytest.mark.slow
@pytest.mark.skipif(not KATO.is_dir(), reason="needs Kato's recordings (WORMJAX_DATA_DIR)")
def test_score_on_katos_worms():
    config = get_config()
    config.data.study, config.data.path = "kato2015", str(KATO)
    rows = [row for worm in within_recording.open_worms(config) for row in within_recording.score_worm(config, worm)]
    scores = {
        name: np.mean([r.value for r in rows if (r.model, r.metric) == (name, "score")])
        for name in ("ensemble", "ar_16")
    }
    assert scores["ensemble"] > 0.38
    assert 0.33 < scores["ar_16"] < 0.35
