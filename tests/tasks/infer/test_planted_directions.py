"""A directed graph is recovered from trajectories alone, in systems never seen: each edge, and which way it goes."""

import numpy as np
import pytest
from small_systems import small_config

from wormjax.tasks.infer.experiment import infer

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = {
    "data__system": "springs",
    "data__simulation__directed": True,
    "data__frames": 24,
    "data__test_frames": 25,
    "data__simulations__train": 256,
    "data__simulations__valid": 32,
    "data__simulations__test": 40,
    "model__encoder__hidden": 16,
    "model__decoder__hidden": 16,
    "model__decoder__name": "equivariant",
    "train__posterior": "exact",
    "train__batch_simulations": 16,
    "train__segments": 8,
    "train__steps": 100,
    "train__steps_per_chunk": 50,
    "train__learning_rate": 1e-2,
    "evaluate__steps": (1,),
    "evaluate__adaptation_steps": 100,
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Model and metric → its mean over groups of test systems."""
    folder = tmp_path_factory.mktemp("directed")
    config = small_config(**CONFIG, data__cache=str(folder), baselines=("correlation",))
    rows = infer(config, folder / "run")
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        values.setdefault((row.model, row.metric), []).append(row.value)
    return {key: np.mean(some) for key, some in values.items()}


def test_edges_and_their_directions_are_recovered(scores):
    assert scores["nri_posterior", "edge_auroc"] > 0.97
    assert scores["nri_posterior", "direction_auroc"] > 0.97
    assert scores["nri_posterior", "edge_accuracy"] > 0.95


def test_a_correlation_knows_no_direction(scores):
    assert scores["correlation", "direction_auroc"] == pytest.approx(0.5)
    assert scores["correlation", "edge_auroc"] < 0.8


def test_an_encoder_adapted_to_each_system_comes_near_the_posterior(scores):
    encoder, adapted, limit = (scores[name, "edge_auroc"] for name in ("nri", "nri_adapted", "nri_posterior"))
    assert (encoder + limit) / 2 < adapted <= limit
