"""All steps at once on an inferred graph: trained on trials, scored on others, with a future that is given or not."""

import dataclasses
import importlib
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from small_horizons import horizon_config, make_trials, write_trials

from wormjax.errors import ConfigError, InputError
from wormjax.features.symmetries import list_mirrors, turn_and_mirror
from wormjax.features.system_scaling import Systems
from wormjax.features.systems import open_systems
from wormjax.scoring.frame_errors import measure_errors
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.baselines import predict
from wormjax.tasks.infer.experiment import check_config, evaluate_inference, infer
from wormjax.tasks.infer.horizons import predict_regression
from wormjax.tasks.infer.materials import find_truth, find_units, gather_materials, scale_splits
from wormjax.tasks.infer.networks import build_training
from wormjax.tasks.infer.outputs import run_model
from wormjax.tasks.infer.relations import fit_relations, infer_edges
from wormjax.tasks.training import train_best

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("horizons")
    trials = make_trials((60, 40, 50, 31, 44))
    trials["trial 0-1"][5:12, 2] = np.nan
    write_trials(folder / "trials.npz", trials)
    config = horizon_config(data__path=str(folder / "trials.npz"), models=("nri", "lstm"), data__velocity=True)
    return config, folder, infer(config, folder / "run")


def test_every_model_and_baseline_has_rows_of_every_metric(trained):
    config, folder, rows = trained
    metrics = {"distance", "distance@1", "distance@3", "distance@6", "distance_best5"}
    for name in (*config.models, *config.baselines):
        assert {row.metric for row in rows if row.model == name} == metrics
    assert np.isfinite([row.value for row in rows]).all()
    by_model = {row.model: row.value for row in rows if row.metric == "distance"}
    assert by_model["ridge"] < by_model["static"]
    assert (folder / "run" / "edges.csv").is_file()
    assert [row.value for row in evaluate_inference(config, folder / "run")] == pytest.approx(
        [row.value for row in rows], rel=1e-5
    )


def test_other_trials_are_scored_whole(trained):
    config, folder, _ = trained
    others = make_trials((30, 21), seed=1)
    write_trials(folder / "others.npz", others)
    config = config.copy_and_resolve_references()
    config.data.path = str(folder / "others.npz")
    rows = evaluate_inference(config, folder / "run")
    assert {row.model for row in rows} == {*config.models, *config.baselines}
    windows = [trial[start : start + 16] for trial in others.values() for start in range(0, len(trial) - 15, 4)]
    still = np.mean([np.linalg.norm(window[10] - window[9], axis=-1).mean() for window in windows])
    scored = [row.value for row in rows if (row.model, row.metric) == ("static", "distance@1")]
    assert len(scored) == len(windows)
    assert np.mean(scored) == pytest.approx(still, rel=1e-4)
    write_trials(folder / "others.npz", {name: trial[:, :2] for name, trial in others.items()})
    with pytest.raises(InputError, match="field 'object_names': found 2 without names, expected those of the training"):
        evaluate_inference(config, folder / "run")


def gather(config, lengths=(90,) * 12):
    cut = [trial[start : start + 16] for trial in make_trials(lengths).values() for start in range(0, 74, 4)]
    whole = Trajectories("follow", np.stack(cut), None, ("x", "y"), object_names=("leader", "f1", "f2"))
    parts = [dataclasses.replace(whole, features=whole.features[part::3]) for part in range(3)]
    return dict(zip(Systems._fields[:3], parts, strict=True))


@pytest.mark.slow
def test_messages_carry_what_the_leaders_future_says_of_its_followers():
    fields = {"model__decoder__given": ("leader",), "evaluate__unscored": ("leader",), "train__mirror": False}
    config = horizon_config(train__steps=150, train__steps_per_chunk=50, train__learning_rate=2e-2, **fields)
    check_config(config)
    materials = gather_materials(config, scale_splits(config, gather(config)))
    best = train_best(build_training(config, materials), "nri", False)
    systems, regression = materials.systems, materials.base.regression._asdict()
    inputs = systems.scaling, {**best, "regression": regression}, systems.valid, systems.test
    output = run_model("nri", config, 2, *inputs)["nri"]
    truth = find_truth(config, systems.test)[:, -1]
    alone = predict_regression(config, regression, np.asarray(systems.test.features)[:, :10], systems.test)
    errors = [np.nanmean((predicted[:, -1] - truth) ** 2) for predicted in (output.predicted[0], alone)]
    assert errors[0] < 0.5 * errors[1]
    features = np.array(systems.test.features)
    features[:, 10:, 1:] = 1e3  # The future of what is predicted is not seen.
    unseen = dataclasses.replace(systems.test, features=features)
    again = run_model("nri", config, 2, *inputs[:3], unseen)["nri"]
    np.testing.assert_array_equal(again.predicted, output.predicted)
    np.testing.assert_array_equal(again.test_edges, output.test_edges)


@pytest.mark.slow
def test_relations_are_inferred_in_memory():
    config = horizon_config(train__mirror=False)
    splits = gather(config)
    trained = fit_relations(config, splits["train"], progress=False)
    edges = infer_edges(trained, splits["test"])
    assert edges.shape == (len(splits["test"].features), 3, 3, 2)
    np.testing.assert_allclose(edges[:, 0, 1].sum(axis=-1), 1.0, atol=1e-5)
    with pytest.raises(InputError, match="expected those of the training"):
        infer_edges(trained, dataclasses.replace(splits["test"], object_names=("leader", "f1", "g1")))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"train__roll_out": 4}, "train.roll_out': found 4, which has no effect; expected 1 with"),
        ({"train__posterior": "exact"}, "expected 'sampled' with model.decoder.name='horizon'"),
        ({"model__encoder__name": "cnn"}, "model.encoder.name': found 'cnn' with a model.decoder.name of 'horizon'"),
        ({"models": ("nri", "dnri")}, "found 'dnri' with a model.decoder.name of 'horizon', expected nri or lstm"),
        ({"models": ("nri", "nri_true_graph")}, "found 'nri_true_graph' with a model.decoder.name of 'horizon'"),
        ({"data__test_frames": 10}, "data.test_frames': found 10 with data.frames 10, expected more, to predict"),
        ({"linear__lags": (1, 10)}, r"linear.lags': found \(1, 10\) with data.frames 10"),
        ({"evaluate__error": "mse"}, "evaluate.futures': found 5, which has no effect"),
        ({"train__turn_and_mirror": True}, "train.mirror': found True, expected False with train.turn_and_mirror"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, problem):
    with pytest.raises(ConfigError, match=problem):
        check_config(horizon_config(**fields))


@pytest.mark.parametrize("variant", ["small", "full"])
@pytest.mark.parametrize("name", ["nri_motion", "nri_basketball"])
def test_the_configs_are_sound(name, variant):
    check_config(importlib.import_module(f"configs.{name}").get_config(variant))


@pytest.mark.parametrize("kind", ["motion", "basketball"])
def test_baselines_of_real_trials_are_as_measured(kind):
    """Of trials 28 to 31 and of four games; from the measurements that the results page cites."""
    config = importlib.import_module(f"configs.nri_{kind}").get_config("small")
    folder = os.environ.get("WORMJAX_DATA_DIR") or pytest.skip("WORMJAX_DATA_DIR is unset: no real trials")
    config.data.path = str(Path(folder) / ("cmu35/cmu35_walk_xyz.npz" if kind == "motion" else "nba"))
    if kind == "motion":
        config.data.trials.valid, config.data.trials.test = ("35_16",), ("35_28", "35_29", "35_30", "35_31")
        config.data.trials.train = tuple(f"35_{number:02d}" for number in range(1, 16))
        config.data.train_stride, config.data.stretches = 10, ()
    systems = scale_splits(config, open_systems(config.data, "unused"))
    measured = {
        "motion": {"static": {"mse@1": 1.07e-5, "mse@49": 1.69e-2}, "constant_velocity": {"mse@10": 1.89e-4}},
        "basketball": {"static": {"distance": 11.38, "distance@20": 20.07}, "constant_velocity": {"distance": 9.34}},
    }
    truth, units = find_truth(config, systems.test), find_units(config, systems.scaling)
    assert len(truth) == {"motion": 121, "basketball": 1300}[kind]
    for name, expected in measured[kind].items():
        fitted = {"frames": 4 if kind == "motion" else 1, "damping": 1.0}
        predicted = predict(name, config, fitted, systems.test)
        errors = measure_errors(predicted, truth, config.data.frames, config.evaluate.steps, units)
        assert {metric: errors[metric] for metric in expected} == pytest.approx(expected, rel=0.01)


def test_a_court_is_mirrored_about_its_middle():
    low, high = np.array([0.0, 10.0, -3.0, -1.0]), np.array([94.0, 60.0, 1.0, 1.0])
    mirrors = list_mirrors(("x", "y", "velocity x", "velocity y"), low, high)
    assert mirrors.sign.shape == (4, 4)
    place = np.array([20.0, 20.0, -2.0, 0.5])
    middle, half = (low + high) / 2, (high - low) / 2
    found = set()
    for key in range(40):
        mirrored = np.asarray(turn_and_mirror((place - middle) / half, mirrors, jax.random.key(key))) * half + middle
        found.add(tuple(np.round(mirrored, 3).tolist()))
    assert found == {(x, y, u, v) for x, u in ((20, -2), (74, 2)) for y, v in ((20, 0.5), (50, -0.5))}
    with pytest.raises(ConfigError, match=r"train.mirror': found True with the features BOLD"):
        list_mirrors(("BOLD",), low[:1], high[:1])
