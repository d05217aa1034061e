"""Experiments small enough for a test: a config of a few steps, and made-up worms that a small model can decode."""

from collections.abc import Sequence

import jax
import ml_collections
import numpy as np

from configs.generalize import get_config
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.recordings.motor_states import STATE_SETS
from wormjax.recordings.recording import UNSCORED, Recording

SMALL = {
    "seeds": 1,
    "baselines": ("lda",),
    "models": ("mlp",),
    "model.mlp.hidden": 4,
    "split.block": 48,
    "split.gap": 4,
    "split.validation_fraction": 0.25,
    "decode.whole": False,
    "linear.inverse_penalty": 0.0,
    "train.keep_best": True,
    "train.noise": 0.2,
    "train.steps": 12,
    "train.epochs": 0,
    "train.steps_per_chunk": 4,
    "train.window_frames": 16,
    "train.window_stride": 1,
    "train.batch_windows": 8,
    "train.members": 1,
    "train.runs_at_once": 1_000,
    "train.placement": "single",
    "train.checkpoint_seconds": 0.0,
}
NEURONS = ("AVAL", "AVAR", "AVBL", "RIML")
FRAMES = ((260,), (220,), (140, 110))  # Of each stretch of each worm.


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.generalize, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    # A fresh section takes sizes that the config does not name, and so says every size of the model.
    for name in [name for name in changes if name.startswith("model.") and name.count(".") == 1]:
        config.model[name.partition(".")[2]] = ml_collections.ConfigDict(changes.pop(name))
    with config.unlocked():
        config.update_from_flattened_dict(SMALL | changes)
    return config


def small_dataset(frames: Sequence[Sequence[int]] = FRAMES, neurons: int = 4, seed: int = 0, padding: int = 0):
    """Worms whose neurons tell the motor state through noise; one frame in twenty is unscored.

    Args:
      frames: of each stretch of each worm.
      neurons: how many.
      seed: of the worms.
      padding: frames of padding after the longest stretch.
    """
    prototypes = np.random.default_rng(seed).normal(size=(4, neurons, 2))
    lengths = [(worm, count) for worm, counts in enumerate(frames) for count in counts]
    longest = max(count for _, count in lengths) + padding
    features = np.zeros((len(lengths), longest, neurons, 2), np.float32)
    states = np.full((len(lengths), longest), UNSCORED, np.int32)
    valid = np.zeros((len(lengths), longest), bool)
    for stretch, (_, count) in enumerate(lengths):
        random = np.random.default_rng([seed, stretch])
        own = np.repeat(random.integers(0, 4, count), random.integers(4, 12, count))[:count]
        features[stretch, :count] = prototypes[own] + 0.7 * random.normal(size=(count, neurons, 2))
        states[stretch, :count] = np.where(random.random(count) < 0.05, UNSCORED, own)
        valid[stretch, :count] = True
    return Dataset(
        arrays=WormArrays(features, states, valid),
        scored_states=states.copy(),
        scored=valid.copy(),
        times=np.cumsum(valid, axis=1) / 3.0,
        stretch_worm=np.array([worm for worm, _ in lengths], np.int32),
        worms=tuple(f"worm {worm}" for worm in range(len(frames))),
        neuron_names=tuple(f"N{neuron}" for neuron in range(neurons)),
        feature_names=("trace", "smoothed_derivative 5 s"),
        state_names=STATE_SETS["four"],
        study="made up",
        frame_rate=3.0,
    )


def replace_worm(dataset: Dataset, worm: int, features: float, state: int = UNSCORED) -> Dataset:
    """The dataset with one value in all of a worm's features, and one motor state in all of its frames."""
    arrays = jax.tree.map(np.copy, dataset.arrays)
    for stretch in dataset.stretches_of(worm):
        arrays.features[stretch] = features
        arrays.states[stretch] = state
    return replace_arrays(dataset, arrays)


def replace_arrays(dataset: Dataset, arrays: WormArrays) -> Dataset:
    """The dataset with other arrays, all of whose valid frames may be scored."""
    fields = {name: getattr(dataset, name) for name in Dataset.__dataclass_fields__}
    return Dataset(**fields | {"arrays": arrays, "scored_states": arrays.states.copy(), "scored": arrays.valid.copy()})


def make_worms(
    count: int, first: int = 0, neurons: Sequence[str] = NEURONS, frames: int = 240, study: str = "mine", rate=3.0
) -> list[Recording]:
    """Recordings of `count` worms, named "worm FIRST" and so on, whose neurons tell the state through noise."""
    levels = np.random.default_rng(11).normal(size=(4, 20))
    recordings = []
    for worm in range(first, first + count):
        random = np.random.default_rng([11, worm])
        states = np.repeat(random.integers(0, 4, frames), random.integers(5, 15, frames))[:frames]
        traces = levels[states, : len(neurons)] + 0.5 * random.normal(size=(frames, len(neurons)))
        recordings.append(
            Recording(
                study=study,
                worm=f"worm {worm}",
                traces=traces,
                times=np.arange(frames) / rate,
                neuron_names=tuple(neurons),
                motor_state=states,
                state_names=("forward", "reverse", "dorsal turn", "ventral turn"),
            )
        )
    return recordings
