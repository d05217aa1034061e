"""Calibration to a new animal: a trained decoder goes on training on the first seconds of the tested worm, with labels.

Scored on what follows the longest calibration, beside the decoder as it was (0 s) and beside decoders trained on those
seconds alone. This is the only protocol in which a tested worm's labels are seen, and its results say so.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from wormjax.errors import InputError, note
from wormjax.features.dataset import Dataset, scale_behavior
from wormjax.features.splits import GAP, TRAINING
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.rows import Row
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import tabulate_runs, train_best

ALONE = "{} (these seconds alone)"
LINEAR = "linear_union"  # Stands beside, fitted to these seconds.
CHUNK = 20  # Updates, the same for all that train here.


def score_calibration(
    config, description: dict, dataset: Dataset, groups: Sequence[Group], name: str, variables: Any
) -> list[Row]:
    """Return the rows of a network before and after calibration to each tested worm; metrics are METRIC@SECONDS.

    Groups of the first seed are calibrated.
    """
    first = [number for number, group in enumerate(groups) if group.seed == config.seed]
    pairs = [(number, worm) for number in first for worm in groups[number].split.test]
    tested = [Group(config.seed, Split(groups[number].split.train, (worm,))) for number, worm in pairs]
    members = config.train.members
    own = np.array([number * members + member for number, _ in pairs for member in range(members)])
    own = decoding.select_runs(variables, own)
    longest = max(config.calibration.durations)
    later = dataset.scored & ~_find_first(dataset, longest)  # Only what follows is scored.
    states = np.where(later, dataset.scored_states, UNSCORED)
    rest = dataclasses.replace(dataset, scored=later, scored_states=states)
    if not rest.scored[[worm for _, worm in pairs]].any():
        note(f"calibration.durations: no tested worm has a scored frame after {longest:g} s; calibration is left out")
        return []
    activity = decoding.factor_worms(config, dataset)

    def score(label, name, seconds, parameters):
        rows = decoding.score_decoder(label, name, config, description, rest, tested, parameters, activity)
        return [row._replace(metric=f"{row.metric}@{seconds:g}") for row in rows]

    rows = score(name, name, 0, own)
    worms, present = [worm for _, worm in pairs], dataset.find_present()
    for seconds in config.calibration.durations:
        rows += score(name, name, seconds, calibrate(name, config, dataset, worms, seconds, own))
        rows += score(ALONE.format(name), name, seconds, calibrate(name, config, dataset, worms, seconds, own, True))
        seen = _find_first(dataset, seconds)
        shown, labels = _hide_labels(dataset, seen), np.where(seen, TRAINING, GAP)
        fits = [baselines.fit_neurons(LINEAR, config, shown, (worm,), present[worm], labels) for worm in worms]
        linear = {field: np.stack([fit[field] for fit in fits]) for field in fits[0]}
        rows += score(ALONE.format(LINEAR), LINEAR, seconds, linear)
    return rows


def calibrate(
    name: str, config, dataset: Dataset, worms: Sequence[int], seconds: float, variables, alone=False, progress=False
) -> Any:
    """Return a network's parameters after further training on the first seconds of a worm, stacked by run.

    There is one worm for each group of `config.train.members` runs. With `alone`, training begins anew, with the steps
    of training, instead of going on.

    Raises:
      InputError: no scored frame in these seconds.
    """
    seen = _find_first(dataset, seconds)
    shown = _hide_labels(dataset, seen)
    for worm in worms:
        own = dataset.stretch_worm == worm
        if (shown.arrays.states[own] == UNSCORED).all() and not np.isfinite(shown.measured[own]).any():
            found = f"found no scored frame in the first {seconds:g} s of worm {dataset.worms[worm]!r}"
            raise InputError(f"seconds: {found}, expected some to calibrate to")
    config, members = config.copy_and_resolve_references().unlock(), config.train.members
    if "targets" in variables:  # Of the first run of each worm; the worm's own scale depends on frames that come later.
        mean, sd = (variables["targets"][name][::members] for name in ("mean", "sd"))
        behavior = shown.measured.copy()
        for run, worm in reversed([*enumerate(worms)]):
            own = dataset.stretch_worm == worm
            behavior[own] = scale_behavior(shown.measured[own], mean[run], sd[run])
        shown = dataclasses.replace(shown, arrays=shown.arrays._replace(behavior=behavior.astype(np.float32)))
    train = config.train
    if not alone:
        train.weight_decay = 0.0
        train.steps, train.learning_rate = config.calibration.steps, config.calibration.learning_rate
    train.update({"steps_per_chunk": CHUNK, "keep_best": False, "epochs": 0})
    wide = seen.copy()  # Where fewer frames than a window are seen, a whole window.
    wide[seen.any(axis=1), : train.window_frames] = True
    labels = {config.seed: np.where(wide & dataset.arrays.valid, TRAINING, GAP)}
    groups = [Group(config.seed, Split((worm,), ())) for worm in worms]
    runs = tabulate_runs(config, shown, groups, members, labels=labels)
    learnt = ("params", "batch_stats", *["moments"] * alone)  # Moments are of the training worms.
    own = {name: values for name, values in variables.items() if name not in learnt}
    # As many windows as a stretch has frames, whatever the seconds: one compiled program serves all.
    spare = ((0, 0), (0, max(0, seen.shape[1] - runs.training_windows.shape[1])), (0, 0))
    windows = np.pad(runs.training_windows, spare, mode="edge")
    runs = runs._replace(own=jax.tree.map(np.asarray, own), training_windows=windows)
    training = decoding.build_training(name, config, shown, runs)
    return train_best(training, name, progress, None if alone else variables)


def _find_first(dataset: Dataset, seconds: float) -> Bool[np.ndarray, "stretch frame"]:
    """Return the frames within the first seconds of each worm."""
    starts = np.array([dataset.times[dataset.stretches_of(worm)[0], 0] for worm in dataset.stretch_worm])
    return dataset.arrays.valid & (dataset.times - starts[:, None] < seconds)


def _hide_labels(dataset: Dataset, kept: Bool[np.ndarray, "stretch frame"]) -> Dataset:
    arrays = dataset.arrays
    states = np.where(kept, arrays.states, UNSCORED)
    behavior, measured = (np.where(kept[..., None], values, np.nan) for values in (arrays.behavior, dataset.measured))
    return dataclasses.replace(dataset, arrays=arrays._replace(states=states, behavior=behavior), measured=measured)
