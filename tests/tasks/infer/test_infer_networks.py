"""The infer experiment in small: its rows, its checkpoints, what it may look at, and what it refuses."""

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_systems import make_splits, make_system, replace_features, small_config, write_archives, write_reference

from wormjax.errors import InputError
from wormjax.models import nri as model
from wormjax.scoring.frame_errors import measure_errors
from wormjax.scoring.rows import read_rows
from wormjax.simulation.trajectory_files import write_trajectories
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.groups import model_folder, restore_best
from wormjax.tasks.infer.experiment import infer, match_outputs, score_outputs
from wormjax.tasks.infer.materials import describe_materials, prepare_materials, stack_system
from wormjax.tasks.infer.model_checks import check_models, check_systems
from wormjax.tasks.infer.networks import build_bound, build_model, build_training, train_model, vary_config
from wormjax.tasks.infer.outputs import predict_frames, run_model
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.exact_inference import Decoded, infer_posterior
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

HISTORY, STEPS = 12, (1, 4, 8)
ALL_MODELS = ("nri", "nri_supervised", "nri_true_graph", "lstm")
MODELS, BASELINES = ("nri", "lstm"), ("static", "var", "correlation")  # All models: slow.
EDGE_METRICS = {"edge_accuracy", "balanced_accuracy", "auroc", "edge_auroc", "nll", "calibration_error"}
ERRORS = {f"mse@{step}" for step in STEPS}
EXACT = {"train__posterior": "exact"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of splits."""
    folder = tmp_path_factory.mktemp("systems")
    write_reference(folder, make_splits())
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return small_config(data__path=str(folder), models=MODELS, baselines=BASELINES, seeds=2)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory, quick_compilation):
    """A workdir, and the rows of its training."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    return workdir, infer(config, workdir)


@pytest.fixture(scope="module")
def materials(config, tmp_path_factory):
    return prepare_materials(config, tmp_path_factory.mktemp("cache"))


def change(workdir, **fields):
    changed = read_config(workdir)
    changed.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return changed


def test_every_model_has_its_metrics_in_every_group_of_test_systems(trained):
    workdir, rows = trained
    assert read_rows(workdir / "results.csv") == rows
    expected = {
        "nri": EDGE_METRICS | ERRORS,
        "lstm": ERRORS,
        "static": ERRORS,
        "var": ERRORS,
        "correlation": {"edge_accuracy", "balanced_accuracy", "auroc", "edge_auroc"},
    }
    found: dict[str, set] = {}
    for row in rows:
        found.setdefault(row.model, set()).add(row.metric)
    # A group of two systems may hold edges of one type alone, and then has no AUROC.
    assert {
        name: metrics | {"auroc", "edge_auroc"} if "nll" in metrics else metrics for name, metrics in found.items()
    } == expected
    assert {row.test_study for row in rows} == {"springs3"}
    assert {row.test_worm for row in rows} == {f"test-{k}" for k in range(10)}
    assert {row.seed for row in rows if row.model == "nri"} == {0, 1}
    assert np.isfinite([row.value for row in rows]).all()
    assert "nri" in (workdir / "summary.md").read_text()
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    assert figures.keys() >= {"confusions.png", "graphs.png", "roll_out_error.png", "trajectories.png"}
    assert min(figures.values()) > 5000
    assert (workdir / "models" / "nri" / "curves.csv").stat().st_size
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


def test_rows_are_what_the_checkpoints_say(trained, config, materials):
    workdir, rows = trained
    systems = materials.systems
    best = restore_best(model_folder(workdir, "nri"))
    outputs = run_model("nri", config, 2, systems.scaling, best, systems.valid, systems.test)
    assert outputs.keys() == {"nri"}
    output = outputs["nri"]
    for step in STEPS:
        expected = ((output.predicted[:, :, step - 1] - systems.test.features[:, HISTORY + step - 1]) ** 2).mean()
        values = [row.value for row in rows if (row.model, row.metric) == ("nri", f"mse@{step}")]
        assert np.mean(values) == pytest.approx(expected, rel=1e-5)
    static = [row.value for row in rows if (row.model, row.metric) == ("static", "mse@4")]
    moved = systems.test.features[:, HISTORY + 3] - systems.test.features[:, HISTORY - 1]
    assert np.mean(static) == pytest.approx((moved**2).mean(), rel=1e-5)
    known = stack_system(systems.test).edges
    for run in range(2):
        share = (output.test_edges[run].argmax(-1) == known).mean()
        right = [row.value for row in rows if (row.model, row.metric, row.seed) == ("nri", "edge_accuracy", run)]
        assert min(abs(np.mean(right) - share), abs(np.mean(right) - (1 - share))) < 1e-6


def test_evaluate_gives_the_rows_of_the_training(trained):
    workdir, rows = trained
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    assert evaluate(read_config(workdir), workdir) == rows
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_evaluate_takes_other_systems_of_the_kind(trained, tmp_path):
    workdir, rows = trained
    write_archives(tmp_path, make_splits(seed=9))
    other = evaluate(change(workdir, data__path=str(tmp_path)), workdir)
    assert {(row.model, row.seed) for row in other} == {(row.model, row.seed) for row in rows}
    assert [row.value for row in other] != [row.value for row in rows]


@pytest.mark.slow
def test_evaluate_takes_more_objects_where_the_model_does(trained, folder, tmp_path):
    workdir, _ = trained
    splits = make_splits(objects=5)
    write_archives(tmp_path, splits)
    config = small_config(data__path=str(folder), models=("nri",))
    infer(config, tmp_path / "run")
    rows = evaluate(change(tmp_path / "run", data__path=str(tmp_path)), tmp_path / "run")
    assert {row.test_study for row in rows} == {f"{splits['test'].system}5"}
    with pytest.raises(InputError, match="5 objects"):  # The LSTM of the other workdir sees three.
        evaluate(change(workdir, data__path=str(tmp_path)), workdir)


def test_evaluate_refuses_what_training_fixed_and_files_that_do_not_fit(trained, tmp_path):
    workdir, _ = trained
    with pytest.raises(InputError, match=r"config field 'train\.learning_rate': found another value"):
        evaluate(change(workdir, train__learning_rate=0.5), workdir)
    splits = make_splits()
    named = {split: dataclasses.replace(part, feature_names=tuple("abcd")) for split, part in splits.items()}
    short = splits | {"test": make_system(20, HISTORY - 1)}
    three = {split: dataclasses.replace(part, edges=part.edges * 2, edge_types=()) for split, part in splits.items()}
    cases = {"named": (named, "'feature_names': found a, b, c, d"), "three": (three, "'edges': found 3 edge types")}
    cases["short"] = (short, f"found {HISTORY - 1} frames")
    for name, (parts, message) in cases.items():
        (tmp_path / name).mkdir()
        write_archives(tmp_path / name, parts)
        with pytest.raises(InputError, match=message):
            evaluate(change(workdir, data__path=str(tmp_path / name)), workdir)


@pytest.mark.slow
def test_training_that_was_stopped_ends_bit_for_bit_where_it_would_have(config, materials, trained, tmp_path):
    workdir, _ = trained
    for name in ("nri", "lstm"):
        stopped = train_model(name, config, materials, tmp_path, stop_after_chunks=1)
        assert (stopped.step == 2).all()
        jax.clear_caches()
        state = train_model(name, config, materials, tmp_path)
        whole = train_model(name, config, materials, workdir)
        assert (state.step == 4).all()
        jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_nothing_after_the_history_is_looked_at(trained, config, materials):
    workdir, _ = trained
    systems, test = materials.systems, materials.systems.test
    features = np.array(test.features)
    features[::2, HISTORY:], features[1::2, HISTORY:] = 1e6, np.nan
    for name in config.models:
        best = restore_best(model_folder(workdir, name))
        runs = [
            run_model(name, config, 2, systems.scaling, best, systems.valid, case)
            for case in (test, replace_features(test, features))
        ]
        jax.tree.map(np.testing.assert_array_equal, *runs)


EQUIVARIANT = EXACT | {"model__decoder__name": "equivariant", "train__kl_weight_end": 0.5}


def expect_whole_rows(rows, models):
    """Rows of all metrics of these models, each a finite number."""
    found = {name: {row.metric for row in rows if row.model == name} for name in {row.model for row in rows}}
    assert found.keys() == models
    for name in ("nri", "nri_posterior"):  # A group of two systems may hold edges of one type alone.
        assert found[name] | {"auroc"} == EDGE_METRICS | ERRORS
    assert np.isfinite([row.value for row in rows]).all()


def trace_loss(name, config, materials):
    """The objective of one model, the variables of its runs, drawn at random, and the names of its loss's metrics."""
    config = vary_config(name, config)
    training = build_training(config, materials)
    run, objective = jax.tree.map(lambda leaf: leaf[0], training.runs), training.objective
    shapes = jax.eval_shape(objective.initialise, run)
    random = np.random.default_rng(0)
    draw = lambda leaf: (0.3 * random.normal(size=(1, *leaf.shape))).astype(np.float32)  # noqa: E731
    variables = jax.tree.map(draw, shapes)
    key = jax.random.key(0)
    loss = jax.eval_shape(lambda *inputs: objective.loss(*inputs, Shard()), shapes, materials.data, run, 0.5, key)
    return variables, loss[1][1].keys()


def test_the_exact_posterior_is_that_of_the_unsupervised_model_alone(folder, materials):
    config = small_config(data__path=str(folder), models=ALL_MODELS, **EQUIVARIANT)
    check_models(config)
    check_systems(config, materials)
    names = {name: trace_loss(name, config, materials)[1] for name in ALL_MODELS}
    assert names == {
        "nri": {"loss", "mse", "cross_entropy"},
        "nri_supervised": {"loss", "edge_accuracy"},
        "nri_true_graph": {"loss", "mse", "kl"},
        "lstm": {"loss", "mse", "kl"},
    }


def test_the_decoders_own_posterior_is_of_the_history_alone_and_has_rows_of_its_own(folder, materials):
    config, systems = small_config(data__path=str(folder), model__encoder__name="mlp", **EQUIVARIANT), materials.systems
    variables, _ = trace_loss("nri", config, materials)
    variables["batch_stats"] = {"squared_error": np.full((1, 1, 4), 0.3, np.float32)}
    test, features = systems.test, np.array(systems.test.features)
    features[::2, HISTORY:], features[1::2, HISTORY:] = 1e6, np.nan
    unseen = replace_features(test, features)
    outputs = run_model("nri", config, 2, systems.scaling, variables, systems.valid, unseen)
    expect_whole_rows(
        score_outputs(config, match_outputs(outputs, systems.valid), test, systems.scaling), {"nri", "nri_posterior"}
    )
    nri, found = build_model(config, 2, systems.scaling.change_scale), outputs["nri_posterior"]
    price = 0.5  # The last one.
    expected = infer_posterior(Decoded(nri, build_bound(config), price, variables, test.features[:, :HISTORY]))
    np.testing.assert_allclose(found.test_edges, expected, rtol=1e-4, atol=1e-6)
    assert found.validation_edges.shape == (1, 20, 6, 2)
    assert abs(outputs["nri"].test_edges - expected).max() > 0.1
    likeliest = np.eye(2, dtype=np.float32)[expected.argmax(axis=-1)]
    predicted = predict_frames(nri, variables["params"], test.features, likeliest, HISTORY, 8)
    np.testing.assert_allclose(found.predicted, predicted, rtol=1e-4)


@pytest.mark.slow
def test_the_whole_experiment_with_the_exact_posterior(folder, tmp_path):
    workdir = tmp_path / "run"
    rows = infer(small_config(data__path=str(folder), models=ALL_MODELS, seeds=2, **EQUIVARIANT), workdir)
    expect_whole_rows(rows, {*ALL_MODELS, "nri_posterior"})
    metrics = {name: {row.metric for row in rows if row.model == name} for name in ALL_MODELS}
    assert metrics["nri_supervised"] | {"auroc", "edge_auroc"} == EDGE_METRICS
    assert metrics["nri_true_graph"] == metrics["lstm"] == ERRORS
    assert r"nri\_posterior" in (workdir / "summary.md").read_text()
    assert evaluate(read_config(workdir), workdir) == rows


@pytest.mark.parametrize(
    "decoder", ["recurrent", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlp", "equivariant"))]
)
def test_predictions_are_a_roll_out_from_the_history(decoder):
    config = small_config(model__decoder__name=decoder)
    nri = build_model(config, 2, np.full(4, 0.1))
    features = make_system(3, 20).features
    initialise = jax.jit(jax.vmap(lambda seed: model.initialise(nri, jax.random.key(seed), HISTORY, 3)))
    params = jax.device_get(initialise(jnp.arange(2)))
    # Nothing starts at zero, or every prediction would be "nothing changes".
    params = jax.tree.map(lambda x: x + 0.1 * np.random.default_rng(0).normal(size=x.shape).astype(np.float32), params)
    edges = np.eye(2, dtype=np.float32)[np.random.default_rng(1).integers(0, 2, (2, 3, 6))]
    predicted = predict_frames(nri, params, features, edges, HISTORY, 5)
    assert predicted.shape == (2, 3, 5, 3, 4)
    given = jnp.broadcast_to(jnp.arange(16) < HISTORY, (3, 16))
    roll_out = jax.jit(lambda params, edges: model.decode(nri, params, features[:, :16], edges, given))
    for run in range(2):
        own = jax.tree.map(lambda x, run=run: x[run], params)
        expected = roll_out(own, edges[run])[:, HISTORY - 1 :]
        np.testing.assert_allclose(predicted[run], expected, rtol=1e-3, atol=1e-4)
    assert abs(predicted[0] - predicted[1]).max() > 1e-3


@pytest.mark.parametrize(
    "fields",
    [{"name": "mlp"}, pytest.param({"name": "context", "hidden": 4}, marks=pytest.mark.slow)],
    ids=["one frame", "two frames"],
)
def test_an_offset_and_a_gain_are_learnt_from_the_history_and_rolled_out(fields):
    """A decoder that predicts no change, of objects that each grow by a factor and an amount of their own."""
    config = small_config(**{f"model__decoder__{name}": value for name, value in fields.items()})
    nri = build_model(config, 2, np.full(4, 0.1))
    factors, amounts = np.random.default_rng(0).uniform((0.9, -0.1), (1.1, 0.1), (3, 3, 4, 2)).transpose(3, 0, 1, 2)
    features = np.ones((3, 20, 3, 4), np.float32)
    for frame in range(1, 20):
        features[:, frame] = factors * features[:, frame - 1] + amounts
    unseen = features.copy()
    unseen[:, HISTORY:] = np.nan
    shapes = jax.eval_shape(lambda: model.initialise(nri, jax.random.key(0), HISTORY, 3))
    params = jax.tree.map(lambda x: np.zeros((1, *x.shape), x.dtype), shapes)  # The read-out starts at zero.
    edges = np.eye(2, dtype=np.float32)[np.zeros((1, 3, 6), int)]
    still = predict_frames(nri, params, unseen, edges, HISTORY, 8)[0]
    assert np.abs(still - features[:, HISTORY - 1 : HISTORY]).max() == 0.0
    found = predict_frames(nri, params, unseen, edges, HISTORY, 8, freedom=1e6)[0]
    np.testing.assert_allclose(found, features[:, HISTORY:], rtol=2e-3)


def test_errors_are_those_of_the_frame_that_many_steps_later():
    features = np.zeros((2, 10, 3, 4), np.float32)
    features[:, 6:] = np.arange(1.0, 5.0)[None, :, None, None]
    predicted = np.zeros((2, 3, 3, 4), np.float32)
    assert measure_errors(predicted, features, 6, (1, 3, 9)) == {"mse@1": 1.0, "mse@3": 9.0}


def test_stacked_edges_stand_where_the_encoder_puts_them():
    system = make_system(4, 5, objects=3)
    arrays = stack_system(system)
    pairs = [(sender, receiver) for receiver in range(3) for sender in range(3) if sender != receiver]
    for edge, (sender, receiver) in enumerate(pairs):
        np.testing.assert_array_equal(arrays.edges[:, edge], system.edges[:, sender, receiver])
    unknown = stack_system(dataclasses.replace(system, edges=None, edge_types=()))
    assert (unknown.edges == -1).all()


@pytest.mark.slow
def test_an_archive_without_graphs_has_errors_and_no_edge_metric(tmp_path):
    whole = dataclasses.replace(make_system(60, 20), edges=None, edge_types=())
    np.savez(tmp_path / "bare.npz", features=whole.features)
    config = small_config(data__path=str(tmp_path / "bare.npz"), baselines=("static", "correlation"))
    rows = infer(config, tmp_path / "run")
    assert {(row.model, row.metric) for row in rows} == {
        (name, error) for name in ("nri", "static") for error in ERRORS
    }
    assert (tmp_path / "run" / "edges.csv").is_file()
    assert evaluate(read_config(tmp_path / "run"), tmp_path / "run") == rows


@pytest.mark.parametrize("name", ["nri_supervised", "nri_true_graph"])
def test_a_model_that_is_given_the_graph_needs_one(tmp_path, name):
    write_archives(tmp_path, make_splits(), known=False)
    config = small_config(data__path=str(tmp_path), models=(name,))
    with pytest.raises(InputError, match="edges"):
        infer(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_test_systems_of_no_more_frames_have_edge_metrics_and_no_error(tmp_path):
    write_archives(tmp_path, make_splits(test_frames=HISTORY))
    config = small_config(data__path=str(tmp_path), baselines=("static",))
    rows = infer(config, tmp_path / "run")
    assert {row.metric for row in rows if row.model == "nri"} == EDGE_METRICS
    assert {row.model for row in rows} == {"nri"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": ("nrii",)}, r"'models': found 'nrii', expected some of nri, "),
        ({"models": ("nri", "nri")}, r"'models': found"),
        ({"baselines": ("granger", "gc")}, r"'baselines': found 'gc', expected some of static"),
        ({"model__encoder__name": "gnn"}, r"'model\.encoder\.name': found 'gnn'"),
        ({"train__roll_out": 12}, r"'train\.roll_out': found .* expected .* data\.frames, 12"),
        ({"train__roll_out": 0}, r"'train\.roll_out': found 0, expected a whole number, 1 or more"),
        ({"train__prior": (0.5, 0.3, 0.2)}, r"'train\.prior': found \(0\.5, 0\.3, 0\.2\), expected 2 probabilities"),
        ({"train__prior": (0.9, 0.3)}, r"'train\.prior': found \(0\.9, 0\.3\), expected 2 probabilities"),
        ({"train__prior": (1.0, 0.0)}, r"'train\.prior': found \(1\.0, 0\.0\), expected 2 probabilities"),
        ({"train__task": "guess"}, r"'train\.task': found 'guess', expected one of unsupervised"),
        ({"train__schedule": "cosin"}, r"'train\.schedule': found 'cosin'"),
        ({"train__steps": 0}, r"'train\.steps': found 0, expected 1 or more"),
        ({"train__kl_weight_end": 0.0}, r"'train\.kl_weight_end': found 0\.0, expected a number, more than 0"),
        ({"train__given": 1.5}, r"'train\.given': found 1\.5, expected a number, 0 or more and at most 1"),
        ({"evaluate__steps": (0, 1)}, r"'evaluate\.steps': found 0 at place 1, expected a whole number, 1 or more"),
        ({"train__placement": "everywhere"}, r"'train\.placement': found 'everywhere'"),
        ({"data__scaling": "minmax"}, r"'data\.scaling': found 'minmax'"),
        ({"data__frames": 13}, r"found 12 frames in the train split, expected 13 \(data\.frames\)"),
        ({"model__encoder__kernels": (9, 9)}, r"'model\.encoder\.kernels': found \(9, 9\)"),
        ({"model__edge_types": 1}, r"'model\.edge_types': found 1"),
        ({"train__posterior": "exakt"}, r"'train\.posterior': found 'exakt', expected one of sampled, exact"),
        (EXACT | {"train__roll_out": 2}, r"'train\.roll_out': found 2 with a train\.posterior of 'exact' and a train"),
        (
            EXACT | {"model__decoder__name": "recurrent"},
            r"'model\.decoder\.name': found 'recurrent' with a train\.post",
        ),
        (EXACT | {"model__decoder__name": "none"}, r"'model\.decoder\.name': found 'none' with a train\.posterior of"),
        (EXACT | {"model__encoder__name": "none"}, r"'model\.encoder\.name': found 'none' with a train\.posterior of"),
        ({"train__offset_and_gain": 1.0}, r"'train\.offset_and_gain': found 1\.0 with a train\.posterior of 'sampled'"),
        ({"train__roll_out_weight": 0.5}, r"'train\.roll_out_weight': found 0\.5 with a train\.posterior of 'sampled'"),
        (
            EXACT | {"train__offset_and_gain": 1.0, "train__roll_out_weight": 0.5},
            r"'train\.offset_and_gain': found 1\.0 with train\.roll_out_weight 0\.5, expected 0 for one of the two",
        ),
        (
            EXACT | {"train__offset_and_gain": 1.0, "train__degrees_of_freedom": 2.0},
            r"'train\.offset_and_gain': found 1\.0 with train\.degrees_of_freedom 2\.0, expected 0",
        ),
        (
            EXACT | {"model__edge_types": 33},
            r"'train\.posterior': found 'exact' with 3 objects and 33 edge types, 1,089",
        ),
    ],
)
def test_a_mistake_is_one_line_and_no_workdir(folder, tmp_path, fields, message):
    config = small_config(data__path=str(folder), **fields)
    with pytest.raises(InputError, match=message) as caught:
        infer(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("names", "fields", "message"),
    [
        (
            "xyz",
            {"model__decoder__name": "equivariant"},
            r"'model\.decoder\.name': found 'equivariant' with 3 features",
        ),
        (
            "abcd",
            {"train__turn_and_mirror": True},
            r"'train\.turn_and_mirror': found True with the features a, b, c, d",
        ),
    ],
)
def test_what_turns_wants_locations_and_velocities(names, fields, message, tmp_path):
    named = {
        split: dataclasses.replace(part, features=part.features[..., : len(names)], feature_names=tuple(names))
        for split, part in make_splits().items()
    }
    write_archives(tmp_path, named)
    with pytest.raises(InputError, match=message):
        infer(small_config(data__path=str(tmp_path), **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_config_or_other_systems_in_a_workdir_are_refused(trained, config, tmp_path):
    workdir, _ = trained
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"'train\.learning_rate': found"):
        infer(change(workdir, train__learning_rate=0.5), workdir)
    write_reference(tmp_path, make_splits(seed=3))
    with pytest.raises(InputError, match=r"data\.json: field"):
        infer(change(workdir, data__path=str(tmp_path)), workdir)
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_a_file_of_trajectories_trains_too(tmp_path):
    write_trajectories(make_system(40, 20, types=3), tmp_path / "circles.h5")
    config = small_config(data__path=str(tmp_path / "circles.h5"), train__placement="batch", train__devices=1)
    materials = prepare_materials(config, tmp_path)
    assert materials.edge_types == 3
    assert materials.data.training.features.shape == (32, HISTORY, 3, 4)
    assert describe_materials(materials)["edge_types"] == ["type 0", "type 1", "type 2"]
