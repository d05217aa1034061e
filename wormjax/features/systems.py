"""Trajectories of many systems, opened from a simulator or files, cut into windows, and split."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from wormjax.errors import ConfigError, InputError, note
from wormjax.features.neurons import align_neurons
from wormjax.recordings import container
from wormjax.recordings.catalog import open_study
from wormjax.recordings.recording import SIMILAR_RATES, Recording
from wormjax.simulation import array_files
from wormjax.simulation.charged import simulate_charged
from wormjax.simulation.ensembles import SIMULATOR_VERSION
from wormjax.simulation.kuramoto import simulate_kuramoto
from wormjax.simulation.springs import simulate_changing_springs, simulate_springs
from wormjax.simulation.subject_files import list_subjects, read_subjects
from wormjax.simulation.trajectories import SPLITS, Trajectories, hide_missing
from wormjax.simulation.trajectory_files import HDF5_ENDINGS, cache_trajectories, read_splits, read_trajectories
from wormjax.simulation.trials import (
    Trials,
    add_velocity,
    cut_trials,
    holds_games,
    join_trials,
    read_games,
    read_trials,
    share_trials,
    split_trials,
    stretch_trials,
)

SIMULATORS = {
    "springs": simulate_springs,
    "changing_springs": simulate_changing_springs,
    "charged": simulate_charged,
    "kuramoto": simulate_kuramoto,
}
LEAST_SIMULATIONS = 10
SHARES = (0.8, 0.1, 0.1)  # Of one file's simulations: training, validation, test.


def open_systems(data, cache: str | os.PathLike, trained: bool = False) -> dict[str, Trajectories]:
    """Return the splits train, valid and test that a config's `data` section names: read from files, or simulated.

    Args:
      data: the section. `path` is a folder of splits, or one file, of which the first tenths train and the last test; a
        file of few long simulations, or of recordings of worms, is cut into windows of `window` frames (0: of
        `test_frames`, or of `frames` where these would be too few). Trials (`simulation.trials`) are cut into windows
        of `test_frames` frames every `stride` frames, those to train on every `train_stride`, of the trials as they
        are and `stretches` times slower. Of a folder of subjects (`simulation.subject_files`), `simulations` says how
        many train, validate and test; `fold` moves on by `fold` times the number of test subjects.
      trained: whether the models have been trained on other files: then all trials or subjects of these are the test,
        or those of the test games where a folder has some.

    InputError for no such system, or files that cannot be used.
    """
    splits = _open_splits(data, cache, trained)
    if data.get("longest_period", 0.0):
        splits = {split: remove_drift(part, data.longest_period) for split, part in splits.items()}
    if data.get("shuffle_objects", False):
        splits = {
            split: shuffle_objects(part, np.random.default_rng([data.seed, number]))
            for number, (split, part) in enumerate(splits.items())
        }
    return splits


def _open_splits(data, cache, trained):
    path = Path(data.path)
    if data.path and path.is_dir() and os.access(path, os.R_OK) and list_subjects(path):
        return _split_subjects(data, read_subjects(path), trained)
    if data.get("fold", 0):
        raise ConfigError("data.fold", f"found {data.fold} without a folder of subjects, expected 0")
    if data.path:
        trials = _read_trials(data, path, trained)
        return _read_path(data, path) if trials is None else _cut_splits(data, trials)
    if data.system not in SIMULATORS:
        expected = f"expected one of {', '.join(SIMULATORS)}, or a data.path"
        raise ConfigError("data.system", f"found {data.system!r}, {expected}")
    return {split: _simulate(data, split, number, cache) for number, split in enumerate(SPLITS)}


def _split_subjects(data, whole: Trajectories, trained: bool) -> dict[str, Trajectories]:
    """Return the subjects that train, validate and test; all of them in each where the models are `trained`."""
    count, sizes = len(whole.features), [data.simulations[split] for split in SPLITS]
    if trained:
        return {split: whole for split in SPLITS}
    if sum(sizes) > count:
        shares = ", ".join(f"{split} {size}" for split, size in zip(SPLITS, sizes, strict=True))
        raise ConfigError("data.simulations", f"found {shares} with {count} subjects in {data.path}, expected fewer")
    order = np.roll(np.arange(count), data.get("fold", 0) * sizes[-1])
    parts = np.split(order, np.cumsum(sizes))
    return {split: take_simulations(whole, part) for split, part in zip(SPLITS, parts, strict=False)}


def remove_drift(trajectories: Trajectories, longest: float) -> Trajectories:
    """Return trajectories without what changes more slowly than once in `longest` frames, and without their means.

    As is usual for functional MRI, cosines of longer periods are regressed out of each simulation.
    """
    features = np.asarray(trajectories.features, np.float64)
    frames = features.shape[1]
    numbers = np.arange(int(2 * frames / longest) + 1)
    basis = np.cos(np.pi * np.outer(np.arange(frames) + 0.5, numbers) / frames)
    basis /= np.linalg.norm(basis, axis=0)
    drift = np.einsum("tk,uk,nu...->nt...", basis, basis, features, optimize=True)
    return dataclasses.replace(trajectories, features=(features - drift).astype(np.float32))


def shuffle_objects(trajectories: Trajectories, rng: np.random.Generator) -> Trajectories:
    """Return each simulation with its objects in an order of its own, which its graph follows."""
    count, _, objects, _ = np.shape(trajectories.features)
    orders = rng.permuted(np.tile(np.arange(objects), (count, 1)), axis=1)
    rows = np.arange(count)[:, None, None]
    functions = {
        "features": lambda values: np.take_along_axis(values, orders[:, None, :, None], axis=2),
        "edges": lambda values: values[rows, orders[:, :, None], orders[:, None, :]],
        "observed": lambda values: np.take_along_axis(values, orders[:, None], axis=2),
    }
    return _change(trajectories, functions, object_names=())


def _change(trajectories: Trajectories, functions: Mapping[str, Callable], **others) -> Trajectories:
    """Return trajectories with functions of the arrays that there are in their place, and other fields."""
    given = {name: getattr(trajectories, name) for name in functions}
    changes = {name: functions[name](np.asarray(values)) for name, values in given.items() if values is not None}
    return dataclasses.replace(trajectories, **changes, **others)


def _simulate(data, split, number, cache):
    frames = data.test_frames if split == "test" else data.frames
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list | tuple) else value for name, value in data.simulation.items()
    }
    settings = {
        "system": data.system,
        "split": split,
        "seed": data.seed,
        "simulations": data.simulations[split],
        "objects": data.objects,
        "frames": frames,
        "simulator": SIMULATOR_VERSION,
        **options,
    }

    def make():
        key = jax.random.fold_in(jax.random.key(data.seed), number)
        return SIMULATORS[data.system](key, data.simulations[split], data.objects, frames, **options)

    try:
        return cache_trajectories(cache, f"{data.system}{data.objects}-{split}", settings, make)
    except TypeError as error:
        raise ConfigError("data.simulation", f"{error}") from None


def _read_path(data, path: Path) -> dict[str, Trajectories]:
    window = data.get("window", 0)
    if path.is_dir():
        splits = read_splits(path, data.suffix or None)
        missing = [split for split in SPLITS if split not in splits]
        if missing:
            raise InputError(f"{path}: found no {missing[0]} split, expected {', '.join(SPLITS)}")
        return {split: cut_windows(part, window) for split, part in splits.items()} if window else splits
    if not path.exists():
        raise ConfigError("data.path", f"found no such file or folder {str(path)!r}")
    if path.suffix in HDF5_ENDINGS and array_files.read_hdf5(path, (), ("format",)).get("format") == container.FORMAT:
        whole = relate_neurons(open_study("container", path))
    else:
        whole = read_trajectories(path)
    if window or len(whole.features) < LEAST_SIMULATIONS:
        whole = _cut_few(whole, [window] if window else [data.test_frames, data.frames])
    count = len(whole.features)
    ends = np.cumsum([0, *(int(share * count) for share in SHARES[:-1]), count])[[0, 1, 2, -1]]
    if min(np.diff(ends)) < 1:
        found = f"found {count} simulations or windows, expected {LEAST_SIMULATIONS} or more to split"
        raise InputError(f"{path}: field 'features': {found} (data.window, data.frames cut long ones)")
    parts = zip(SPLITS, ends[:-1], ends[1:], strict=True)
    return {split: take_simulations(whole, slice(start, end)) for split, start, end in parts}


def _read_trials(data, path: Path, trained: bool) -> dict[str, Trials] | None:
    """Return the trials of each split; None where the path leads to something else."""
    names = {split: tuple(data.trials[split]) for split in SPLITS}
    if path.is_dir() and holds_games(path):
        splits = read_games(path, data.suffix or None)
        if trained:
            test = splits.get("test", next(reversed(splits.values())))
            return {split: test for split in SPLITS}
        if "train" not in splits:
            raise InputError(f"{path}: found no player_coords_train*.npy, expected games to train on")
        if len(splits) == 3:
            return splits
        if len(splits) == 1:
            return dict(zip(SPLITS, share_trials(splits["train"], SHARES), strict=True))
        test = splits.get("test", splits.get("valid"))
        train, valid = share_trials(splits["train"], (1.0 - SHARES[1], SHARES[1]))
        return {"train": train, "valid": valid, "test": test}
    if path.suffix != ".npz" or not path.is_file():
        return None
    trials = read_trials(path)
    if trials is None:
        return None
    if trained:
        seen = [name for name in trials.names if name in names["train"]]
        if seen:
            note(f"{path}: trial {seen[0]!r} has the name of one that was trained on: its score may flatter")
        return {split: trials for split in SPLITS}
    listed = {name for split in names.values() for name in split}
    if listed & set(trials.names):
        return split_trials(trials, names)
    if listed:
        unlisted = f"{path}: none of its trials is in a list of data.trials"
        note(f"{unlisted}: the first ones train, the last ones are the test")
    return dict(zip(SPLITS, share_trials(trials, SHARES), strict=True))


def _cut_splits(data, splits: Mapping[str, Trials]) -> dict[str, Trajectories]:
    """Return windows of the trials of each split."""
    frames, system = data.test_frames, "trials" if data.system in SIMULATORS else data.system
    found, cut = {}, {}
    for split, trials in splits.items():
        training = split == "train"
        stride = data.train_stride if training else data.stride
        key = (id(trials), training)
        if key not in cut:
            stretched = [stretch_trials(trials, factor) for factor in data.stretches] if training else ()
            moving = join_trials([trials, *stretched])
            moving = add_velocity(moving) if data.velocity else moving
            features, _ = cut_trials(moving, frames, stride or frames)
            names, named = moving.feature_names, (trials.frame_interval, trials.source, trials.object_names)
            cut[key] = Trajectories(system, features, None, names, (), *named)
        found[split] = cut[key]
    return found


def _cut_few(whole: Trajectories, windows: Sequence[int]) -> Trajectories:
    """Return windows of the first of these lengths that makes enough of them, or of the last one."""
    count, frames, *_ = np.shape(whole.features)
    if frames < min(windows):
        return whole
    fitting = [length for length in windows if length <= frames]
    length = next((one for one in fitting if count * (frames // one) >= LEAST_SIMULATIONS), fitting[-1])
    cut = cut_windows(whole, length)
    found = f"{count} simulation{'s' * (count != 1)} of {frames} frames"
    done = f"cut into {len(cut.features)} windows of {length} frames (data.window), in their order"
    note(f"{whole.source}: {found}: {done}")
    return cut


def cut_windows(trajectories: Trajectories, frames: int) -> Trajectories:
    """Return the trajectories cut into windows of a given number of frames, as simulations in their order of time.

    What is left at a simulation's end is dropped, and so is a window in which nothing is observed. InputError for
    simulations of fewer frames.
    """
    features = hide_missing(trajectories)
    count, total = features.shape[:2]
    windows = total // frames
    if not windows:
        found = f"found {total} frames, expected {frames} or more (data.window)"
        raise InputError(f"{trajectories.source}: field 'features': {found}")
    cut = features[:, : windows * frames].reshape(count * windows, frames, *features.shape[2:])
    kept = np.isfinite(cut).any(axis=(1, 2, 3))

    def cut_edges(edges):
        if edges.ndim == 3:
            return np.repeat(edges, windows, axis=0)[kept]
        return edges[:, : windows * frames].reshape(count * windows, frames, *edges.shape[2:])[kept]

    names = trajectories.sample_names and tuple(np.repeat(trajectories.sample_names, windows)[kept].tolist())
    functions = {"edges": cut_edges, "temperatures": lambda values: np.repeat(values, windows)[kept]}
    return _change(trajectories, functions, features=cut[kept], observed=None, sample_names=names)


def relate_neurons(recordings: Recording | Sequence[Recording]) -> Trajectories:
    """Return worms as systems whose objects are their named neurons and whose one feature is the trace.

    A simulation is an uninterrupted stretch of a worm; shorter ones are masked at their end, and so are neurons that a
    worm lacks and missing samples. Long ones can be cut into windows (`cut_windows`). InputError for fewer than two
    named neurons, or worms at rates that differ by more than a quarter.

    Examples:
      >>> worms = wormjax.load("kato2015", "WT_NoStim.mat")
      >>> trajectories = cut_windows(relate_neurons(worms), 49)
    """
    worms = [recordings] if isinstance(recordings, Recording) else list(recordings)
    rates = [worm.frame_rate for worm in worms]
    apart = np.concatenate([1 / np.array(rates), *(worm.local_seconds for worm in worms if worm.uneven)])
    if max(apart) > SIMILAR_RATES * min(apart):
        found = f"found frames that are {min(apart):.2f} to {max(apart):.2f} s apart"
        raise InputError(f"{worms[0].source}: {found}, expected one rate")
    names = sorted({name for worm in worms for name in worm.identified})
    if len(names) < 2:
        found = f"found the named neurons {', '.join(names) or 'none'}, expected two or more"
        raise InputError(f"{worms[0].source}: {found}")
    stretches = [(worm, start, stop) for worm in worms for start, stop in worm.stretches]
    longest = max(stop - start for _, start, stop in stretches)
    features = np.full((len(stretches), longest, len(names), 1), np.nan, np.float32)
    for row, (worm, start, stop) in enumerate(stretches):
        features[row, : stop - start, :, 0] = align_neurons(worm, names)[start:stop]
    interval, source = 1.0 / float(np.median(rates)), worms[0].source
    study = worms[0].study or "worms"
    return Trajectories(study, features, None, ("trace",), (), interval, source, tuple(names))


def take_simulations(trajectories: Trajectories, chosen: slice | Int[np.ndarray, " chosen"]) -> Trajectories:
    """Return some of the simulations."""
    fields = ("features", "edges", "observed", "temperatures")
    names = trajectories.sample_names and tuple(np.array(trajectories.sample_names)[chosen].tolist())
    return _change(trajectories, dict.fromkeys(fields, lambda values: values[chosen]), sample_names=names)


def hide_objects(trajectories: Trajectories, hidden: int) -> Trajectories:
    """Return trajectories without their last objects and these objects' edges; InputError if one or none is left."""
    kept = np.shape(trajectories.features)[2] - hidden
    if kept < 2:
        found = f"found {kept + hidden} objects, of which {hidden} are hidden (data.hidden)"
        raise InputError(f"{trajectories.source}: field 'features': {found}, expected two or more that are not")
    functions = dict.fromkeys(("features", "observed"), lambda values: values[:, :, :kept])
    functions["edges"] = lambda values: values[..., :kept, :kept]
    return _change(trajectories, functions, object_names=trajectories.object_names[:kept])


def hold_out_simulations(trajectories: Trajectories) -> tuple[Trajectories, Trajectories]:
    """Return the first simulations to train on, and the last tenth to choose by; InputError for a single simulation."""
    count = len(trajectories.features)
    if count < 2:
        found = f"found {count} simulation, expected two or more; a long one can be cut (`cut_windows`)"
        raise InputError(f"{trajectories.source}: field 'features': {found}")
    start = count - max(1, int(SHARES[1] * count))
    return take_simulations(trajectories, slice(start)), take_simulations(trajectories, slice(start, None))


def cut_frames(trajectories: Trajectories, frames: int) -> Trajectories:
    """Return the first frames of the trajectories."""
    functions = dict.fromkeys(("features", "observed"), lambda values: values[:, :frames])
    functions["edges"] = lambda values: values[:, :frames] if values.ndim == 4 else values
    return _change(trajectories, functions)
