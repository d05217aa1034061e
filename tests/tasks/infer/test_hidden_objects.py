"""Hidden objects: who they drive and where they are is inferred; what cannot be inferred is refused or left out."""

import numpy as np
import pytest
from small_systems import make_system, small_config

from wormjax.errors import InputError
from wormjax.features.systems import hide_objects
from wormjax.tasks.infer.experiment import check_config, evaluate_inference, infer
from wormjax.tasks.infer.hidden_objects import score_hidden, select_edges
from wormjax.tasks.infer.materials import stack_system
from wormjax.training.objectives import nri_hidden
from wormjax.training.objectives.nri_hidden import Hidden
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = {
    "data__system": "springs",
    "data__simulation__directed": True,
    "data__objects": 4,
    "data__hidden": 1,
    "data__frames": 40,
    "data__test_frames": 41,
    "data__simulations__train": 256,
    "data__simulations__valid": 32,
    "data__simulations__test": 20,
    "model__encoder__hidden": 8,
    "model__decoder__hidden": 16,
    "model__decoder__name": "equivariant",
    "models": ("nri", "nri_seeing"),
    "train__posterior": "exact",
    "train__degrees_of_freedom": 2.0,
    "train__batch_simulations": 16,
    "train__segments": 12,
    "train__steps": 200,
    "train__steps_per_chunk": 100,
    "train__learning_rate": 1e-2,
    "evaluate__steps": (1,),
}
BRIEF = {"train__steps": 2, "train__steps_per_chunk": 2, "data__simulations__train": 20}


@pytest.mark.slow
def test_a_planted_hidden_cause_is_recovered(tmp_path, monkeypatch):
    monkeypatch.setattr(nri_hidden, "STARTS", 4)
    monkeypatch.setattr(nri_hidden, "STEPS", 200)
    config = small_config(**CONFIG, data__cache=str(tmp_path))
    rows = infer(config, tmp_path / "run")
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        values.setdefault((row.model, row.metric), []).append(row.value)
    scores = {key: np.mean(some) for key, some in values.items()}
    assert scores["nri_hidden", "hidden_auroc"] > 0.8
    assert scores["nri_hidden", "hidden_r"] > 0.5
    assert scores["nri_posterior", "edge_auroc"] + 0.03 < scores["nri_hidden", "edge_auroc"]
    assert scores["nri_seeing_posterior", "edge_auroc"] > 0.97
    assert scores["nri_seeing_posterior", "hidden_auroc"] > 0.97
    assert not {metric for model, metric in scores if model == "nri"} & {"hidden_auroc", "hidden_r"}
    with np.load(tmp_path / "run" / "hidden.npz") as file:
        assert file["edges"].shape == (1, 20, 3, 2)
        assert file["paths"].shape == (1, 20, 40, 1, 4)


@pytest.mark.slow
def test_evaluate_gives_the_rows_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(nri_hidden, "STARTS", 1)
    monkeypatch.setattr(nri_hidden, "STEPS", 2)
    rows = infer(small_config(**CONFIG | BRIEF, data__cache=str(tmp_path)), tmp_path / "run")
    assert {row.model for row in rows} >= {"nri", "nri_posterior", "nri_hidden", "nri_seeing"}
    assert evaluate_inference(read_config(tmp_path / "run"), tmp_path / "run") == rows


def test_the_hidden_objects_are_the_last():
    whole = make_system(5, 6, 4)
    seen = hide_objects(whole, 1)
    np.testing.assert_array_equal(seen.features, whole.features[:, :, :3])
    np.testing.assert_array_equal(seen.edges, whole.edges[:, :3, :3])
    between, out = select_edges(4, 1)
    edges = stack_system(whole).edges
    np.testing.assert_array_equal(edges[:, between], stack_system(seen).edges)
    np.testing.assert_array_equal(edges[:, out], whole.edges[:, 3, :3])
    with pytest.raises(InputError, match="found 4 objects, of which 3 are hidden"):
        hide_objects(whole, 3)


def test_scores_of_hidden_objects_by_hand():
    whole = make_system(6, 8, 3)
    _, out = select_edges(3, 1)
    edges = np.eye(2)[stack_system(whole).edges[:, out]][None]
    paths = np.asarray(whole.features)[None, :, :5, 2:]
    group = np.arange(6)
    assert score_hidden(Hidden(edges, 3.0 * paths + 1.0), 0, group, whole, 5) == pytest.approx(
        {"hidden_auroc": 1.0, "hidden_r": 1.0}
    )
    turned = score_hidden(Hidden(edges[..., ::-1], -paths), 0, group, whole, 5)
    assert turned == pytest.approx({"hidden_auroc": 0.0, "hidden_r": -1.0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train__posterior": "sampled", "train__degrees_of_freedom": 0.0}, "'train.posterior': found 'sampled' with"),
        ({"train__burn_in": 2}, "'train.burn_in': found 2 with data.hidden=1, expected 1"),
        ({"data__hidden": 3}, "'data.hidden': found 3 of 4 objects"),
        ({"data__hidden": 0}, "'models': found 'nri_seeing' with data.hidden=0"),
    ],
)
def test_what_cannot_be_inferred_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(**CONFIG | fields))
