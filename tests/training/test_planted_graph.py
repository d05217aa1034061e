"""The graphs of springs are recovered from trajectories alone, for systems never seen, in under a minute."""

import jax
import numpy as np
import pytest
from small_systems import small_config

from wormjax.features.system_scaling import scale_systems
from wormjax.features.systems import take_simulations
from wormjax.scoring.edges import match_types, relabel_types, score_edges
from wormjax.simulation.springs import simulate_springs
from wormjax.tasks.infer.materials import Materials, stack_system
from wormjax.tasks.infer.networks import build_model, build_training
from wormjax.tasks.infer.outputs import infer_edges
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.system_batches import SystemData

pytestmark = pytest.mark.usefixtures("quick_compilation")

SIMULATIONS, OBJECTS, FRAMES, UNSEEN = 1024, 3, 49, 128
CONFIG = {
    "data__frames": FRAMES,
    "data__simulations__valid": UNSEEN,
    "model__encoder__hidden": 32,
    "model__encoder__stride": 3,
    "model__decoder__hidden": 32,
    "train__batch_simulations": 32,
    "train__segments": 8,
    "train__steps": 300,
    "train__steps_per_chunk": 100,
    "train__learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def materials(quick_compilation) -> Materials:
    """Springs to train, to choose and to test on."""
    whole = simulate_springs(jax.random.key(0), SIMULATIONS + 2 * UNSEEN, OBJECTS, FRAMES, chunk_size=UNSEEN)
    parts = {
        "valid": slice(0, UNSEEN),
        "test": slice(UNSEEN, 2 * UNSEEN),
        "train": slice(2 * UNSEEN, None),
    }
    systems = scale_systems({split: take_simulations(whole, part) for split, part in parts.items()}, FRAMES)
    return Materials(systems, SystemData(stack_system(systems.train), stack_system(systems.valid)), 2)


def recover(materials: Materials, folder, **fields) -> dict[str, float]:
    """Trains without a look at any graph; the scores of the test systems' edges."""
    config = small_config(**CONFIG | fields)
    blind = materials._replace(
        data=SystemData(
            materials.data.training._replace(edges=np.full_like(materials.data.training.edges, -1)),
            materials.data.validation._replace(edges=np.full_like(materials.data.validation.edges, -1)),
        )
    )
    params = train_ensemble(*build_training(config, blind)[:4], folder).best["params"]
    nri = build_model(config, materials.edge_types, materials.systems.scaling.change_scale)
    test = stack_system(materials.systems.test)
    inferred = [infer_edges(nri, params, arrays.features)[0] for arrays in (materials.data.validation, test)]
    matching = match_types(inferred[0], materials.data.validation.edges)
    return score_edges(relabel_types(inferred[1], matching), test.edges)


@pytest.mark.slow
def test_springs_and_no_springs_are_told_apart(materials, tmp_path):
    scores = recover(materials, tmp_path)
    assert scores["edge_accuracy"] > 0.85  # Chance is one half.
    assert scores["auroc"] > 0.9


@pytest.mark.slow
def test_also_where_no_type_is_said_to_be_silent(materials, tmp_path):
    scores = recover(materials, tmp_path, model__skip_first=False)
    assert scores["edge_accuracy"] > 0.85
