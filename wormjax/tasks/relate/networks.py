"""Graphs that trained networks imply: how far their predictions of one neuron move with another.

hidden_neuron: of the reconstruction network (wormjax.models.reconstruction), the derivative of a hidden neuron's
reconstruction by each visible neuron's trace, mean over frames. forecaster: of a trained forecaster, the response of
each neuron to one that is driven for a second.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wormjax.baselines.consensus import Stack, list_halvings
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import cut_past, list_starts
from wormjax.models.forecast_roll_outs import Clamp, clamp_lacking, predict
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.groups import Group, list_seeds, model_folder, restore_best
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct import networks as reconstruction

HIDDEN_NEURON, FORECASTER = "hidden_neuron", "forecaster"
MODELS = (HIDDEN_NEURON, FORECASTER)
NETWORK = "network"  # The section of tasks.reconstruct.model.
FRAME_STEP = 4  # Every fourth frame enters a derivative: neighbouring frames are alike.


# What a network's runs give: scores [worm, sender, receiver] by seed, and of either half of the worms alone.
Trained = tuple[list[Stack], tuple[Stack, Stack] | None]


def relate_hidden(config, task, dataset: Dataset, workdir) -> Trained:
    """Train the reconstruction network for every seed, and on either half of the worms; return what moves what.

    Args:
      config: of the experiment.
      task: of the reconstruction.
      dataset: all worms.
      workdir: receives the checkpoints.
    """
    everyone = tuple(range(len(dataset.worms)))
    groups = [Group(seed, Split(everyone, ())) for seed in list_seeds(config)]
    halvings = list_halvings(len(everyone))
    halves = [Group(config.seed, Split(tuple(half), ())) for half in (halvings[0] if halvings else ())]
    reconstruction.train_model(NETWORK, task, dataset, [*groups, *halves], workdir)
    best = restore_best(model_folder(workdir, NETWORK))
    members, stacks = task.train.members, []
    for number, group in enumerate([*groups, *halves]):
        runs = [jax.tree.map(lambda x, k=number * members + k: x[k], best) for k in range(members)]
        module = reconstruction.build_module(NETWORK, task, dataset.neuron_names)
        stacks.append(np.stack([_derive_worm(module, runs, dataset, worm) for worm in group.split.train]))
    return stacks[: len(groups)], tuple(stacks[len(groups) :]) or None


def _derive_worm(module, runs, dataset: Dataset, worm: int) -> Float[np.ndarray, "sender receiver"]:
    """Return the mean derivative over a worm's frames and the runs; NaN for neurons that the worm lacks."""
    total, frames = 0.0, 0
    for stretch in dataset.stretches_of(worm):
        features = jnp.asarray(dataset.arrays.features[stretch][::FRAME_STEP])
        valid = jnp.asarray(dataset.arrays.valid[stretch][::FRAME_STEP])
        total += sum(np.asarray(_derive(module, run, features, valid), float) for run in runs) / len(runs)
        frames += int(valid.sum())
    return _hide_lacking(total.T / frames, dataset, worm)


@functools.partial(jax.jit, static_argnums=0)
def _derive(module, variables, features, valid) -> Float[np.ndarray, "receiver sender"]:
    """Return the derivative of each neuron's reconstruction by each trace, the sum over frames."""
    neurons = features.shape[1]

    def derive(receiver):
        hidden = (jnp.arange(neurons) == receiver)[None]

        def reconstruct(shown):
            return (module.apply(variables, shown[None], valid[None], hidden)[0, :, receiver] * valid).sum()

        return jax.grad(reconstruct)(features)[..., 0].sum(axis=0)

    return jax.lax.map(derive, jnp.arange(neurons))


def respond_forecaster(config, task, dataset: Dataset, workdir) -> Trained:
    """Train the forecaster for every seed, and return each neuron's response to every one that is driven.

    The driven neuron is held one s.d. above its last value, against held there, for `perturbation.held_seconds`; then
    all run free. The response is the mean difference over `perturbation.seconds` and starts.
    """
    (name,), split = task.models, Split(tuple(range(len(dataset.worms))), ())
    groups = [Group(seed, split) for seed in list_seeds(config)]
    forecasting.check_training(task, dataset, [split], groups)
    fit = forecasting.fit_baselines(task, dataset, [split], workdir)
    forecasting.train_model(name, task, dataset, [split], groups, fit, workdir)
    best, module = restore_best(model_folder(workdir, name)), forecasting.build_module(name, task, dataset)
    stacks = np.zeros((len(groups), len(dataset.worms), *(len(dataset.neuron_names),) * 2))
    for worm in range(len(dataset.worms)):
        starts = list_starts(dataset, task.forecast.first, task.forecast.every)
        own = np.flatnonzero(starts.worm == worm)  # Spread over its recording.
        starts = starts.of(own[np.linspace(0, len(own) - 1, config.perturbation.starts).astype(int)])
        past = jnp.asarray(cut_past(dataset, starts, forecasting.build_shape(task).past))
        operators = jnp.asarray(forecasting.find_operators(task, name, fit, 0, dataset, starts))
        for seed in range(len(groups)):
            variables = jax.tree.map(lambda x, seed=seed: x[seed], best)
            respond = functools.partial(_respond, module, *count_frames(config, dataset.frame_rate))
            matrix = jax.lax.map(functools.partial(respond, variables, past, operators), jnp.arange(past.shape[2]))
            stacks[seed, worm] = _hide_lacking(np.array(matrix, float), dataset, worm)
    return list(stacks), None


def count_frames(config, frame_rate: float) -> tuple[int, int]:
    """Return for how many frames a neuron is driven, and over how many the response is averaged."""
    own = config.perturbation
    held = max(1, round(own.held_seconds * frame_rate))
    return held, max(held + 1, round(own.seconds * frame_rate))


def _hide_lacking(matrix, dataset: Dataset, worm: int) -> Float[np.ndarray, "sender receiver"]:
    """Return a matrix with NaN on its diagonal and for neurons that the worm lacks."""
    lacking = ~dataset.find_present()[worm]
    matrix[lacking], matrix[:, lacking] = np.nan, np.nan
    np.fill_diagonal(matrix, np.nan)
    return matrix


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _respond(module, held, steps, variables, past, operators, driven) -> Float[np.ndarray, " receiver"]:
    lacking = clamp_lacking(past)

    def roll(lift):
        values = past[:, -1].at[..., 0].add(lift)
        clamped = lacking.neurons | (jnp.arange(past.shape[2]) == driven)
        values = jnp.where(lacking.neurons[..., None], 0.0, values)
        first = predict(module, variables, past, operators, held, clamp=Clamp(clamped, values)).mean[:, 0]
        further = jnp.concatenate([past, first], axis=1)[:, held:]
        rest = predict(module, variables, further, operators, steps - held, clamp=lacking).mean[:, 0]
        return jnp.concatenate([first, rest], axis=1)[..., 0]

    return (roll(1.0) - roll(0.0)).mean(axis=(0, 1))
