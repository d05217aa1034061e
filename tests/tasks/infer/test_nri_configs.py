"""The configs of neural relational inference as they are: sound, and an objective on systems of their shape."""

import importlib

import jax
import jax.numpy as jnp
import pytest
from small_systems import make_system

from wormjax.features.system_scaling import scale_systems
from wormjax.simulation.trajectories import SPLITS
from wormjax.tasks.infer.experiment import check_config
from wormjax.tasks.infer.materials import Materials, stack_system
from wormjax.tasks.infer.model_checks import check_systems
from wormjax.tasks.infer.networks import build_training, is_exact, vary_config
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.system_batches import SystemData

CONFIGS = (
    "nri_springs",
    "nri_springs_sampled",
    "nri_springs3",
    "nri_springs_changing",
    "nri_springs10",
    "nri_charged",
    "nri_charged10",
    "nri_kuramoto",
    "nri_kuramoto10",
    "causal_kuramoto",
    "causal_springs",
    "causal_hidden",
    "causal_temperature",
)


@pytest.mark.parametrize("variant", ["small", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_trains_the_model_that_it_names(name, variant):
    """Traced, not run: an encoder that sees all frames, and gradients of the size of every parameter."""
    config = importlib.import_module(f"configs.{name}").get_config(variant)
    check_config(config)
    types = 3 if name == "nri_springs3" else 2
    splits = {split: make_system(4, config.data.frames, config.data.objects, types=types) for split in SPLITS}
    systems = scale_systems(splits, config.data.frames, config.data.scaling)
    data = SystemData(stack_system(systems.train), stack_system(systems.valid))
    materials = Materials(systems, data, types)
    check_systems(config, materials)
    config.train.batch_simulations = 4
    changed = vary_config("nri", config)
    _, recipe, _, runs, objective = build_training(changed, materials)
    assert recipe.clip_parts == is_exact(changed) == (name != "nri_springs_sampled")
    run = jax.tree.map(lambda x: jnp.asarray(x[0]), runs)
    variables = jax.eval_shape(objective.initialise, run)

    inputs = jax.tree.map(jnp.asarray, materials.data), run, 0.5, jax.random.key(0), Shard()

    def differentiate(variables):
        return jax.grad(lambda params: objective.loss({**variables, "params": params}, *inputs)[0])(variables["params"])

    gradients = jax.eval_shape(differentiate, variables)
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, variables["params"])
    assert {"encoder", "decoder"} <= set(gradients)
    score, metrics = jax.eval_shape(lambda v: objective.validate(v, inputs[0], run), variables)
    assert score.shape == ()
    assert {"mse", "edge_accuracy"} <= set(metrics)
