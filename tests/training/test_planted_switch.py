"""Springs that attach and detach are found in each frame, from trajectories alone, for systems never seen."""

import jax
import numpy as np
import pytest
from small_systems import small_config

from wormjax.features.system_scaling import scale_systems
from wormjax.features.systems import take_simulations
from wormjax.scoring.edges import match_types, pair_frames, relabel_types, score_edges
from wormjax.simulation.springs import simulate_changing_springs
from wormjax.tasks.infer.materials import Materials, find_edges, stack_system
from wormjax.tasks.infer.networks import build_training, vary_config
from wormjax.tasks.infer.outputs import run_model
from wormjax.tasks.training import train_best
from wormjax.training.objectives.system_batches import SystemData

pytestmark = pytest.mark.usefixtures("quick_compilation")

OBJECTS, FRAMES, UNSEEN = 3, 24, 48


@pytest.mark.slow
def test_a_planted_switch_is_found():
    """By the decoder's posterior; from the past alone, with fewer of the changes."""
    whole = simulate_changing_springs(jax.random.key(0), 256 + 2 * UNSEEN, OBJECTS, FRAMES, chunk_size=88)
    parts = {"valid": slice(0, UNSEEN), "test": slice(UNSEEN, 2 * UNSEEN), "train": slice(2 * UNSEEN, None)}
    systems = scale_systems({split: take_simulations(whole, part) for split, part in parts.items()}, FRAMES)
    data = SystemData(stack_system(systems.train), stack_system(systems.valid))
    blind = SystemData(*(part._replace(edges=np.full_like(part.edges, -1)) for part in data))
    config = small_config(
        data__frames=FRAMES,
        data__simulations__valid=UNSEEN,
        models=("dnri",),
        model__decoder__name="equivariant",
        model__decoder__hidden=16,
        train__posterior="exact",
        train__batch_simulations=16,
        train__steps=150,
        train__steps_per_chunk=150,
        train__learning_rate=1e-2,
    )
    config = vary_config("dnri", config)
    variables = train_best(build_training(config, Materials(systems, blind, 2)), "dnri", False)
    outputs = run_model("dnri", config, 2, systems.scaling, variables, systems.valid, systems.test)
    assert outputs.keys() == {"dnri", "dnri_prior", "dnri_posterior", "dnri_filter"}
    true, accuracies = find_edges(systems.test, FRAMES), {}
    for name, output in outputs.items():
        assert output.test_edges.shape == (1, UNSEEN, FRAMES - 1, 6, 2)
        matching = match_types(*pair_frames(output.validation_edges[0], data.validation.edges))
        scores = score_edges(*pair_frames(relabel_types(output.test_edges[0], matching), true))
        accuracies[name] = scores["edge_accuracy"]
    assert accuracies["dnri_posterior"] > 0.95
    assert 0.85 < accuracies["dnri_filter"] < accuracies["dnri_posterior"] - 0.01
