"""Trials of one kind of system, each of its own length, and the windows that they are cut into.

Two kinds of file are read:

- A NumPy archive (.npz) of trials: one array [frame, object, feature] per trial, whose name is the trial's. NaN is a
  missing sample. An array of as many texts as there are objects names these, whatever it is called (`joints`);
  `feature_names` and `frame_interval` (seconds) may be there too. Two or three features are locations: x, y, z.
- A folder of basketball games as tufts-ml/team-dynamics-time-series writes them, for each SPLIT (train, val, test):
  `player_coords_SPLIT*.npy` [frame, 10, 2], `ball_coords_SPLIT*.npy` [frame, 2 or 3] and
  `example_stop_idxs_SPLIT*.npy`. The court is scaled to [0, 1]. Example e is the frames stop[e] + 1 to stop[e + 1].
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from wormjax.errors import InputError, note
from wormjax.simulation import array_files

AXES = "xyz"
COURT = (94.0, 50.0)  # Feet.
PLAYERS = (*(f"A{k}" for k in range(1, 6)), *(f"B{k}" for k in range(1, 6)))  # The five of one team first.
GAME_INTERVAL = 0.2  # Seconds between the frames of games.
GAME_SPLITS = {"train": "train", "val": "valid", "test": "test"}  # As files call them, and as configs do.
FRAME = 1.0  # The interval of trials that do not state one: time is in frames.


class Trials(NamedTuple):
    """Trials of one kind of system."""

    names: tuple[str, ...]  # One per trial.
    values: tuple[Float[np.ndarray, "frame object feature"], ...]  # At float32; NaN where missing.
    feature_names: tuple[str, ...]  # One per feature.
    object_names: tuple[str, ...]  # One per object; () where they have none.
    frame_interval: float  # Seconds, or 1 where it is not known.
    source: str  # The file or folder, for messages.


def read_trials(path: Path) -> Trials | None:
    """Read a NumPy archive of trials; None where it holds no array of three axes, or `features` of trajectories.

    InputError for a damaged file, or trials that differ in their objects or features.
    """
    names = array_files.list_npz(path)
    if "features" in names:
        return None
    fields = array_files.read_npz(path, names)
    found = {name: np.asarray(value) for name, value in fields.items() if np.ndim(value) == 3}
    found = {name: value for name, value in found.items() if value.dtype.kind in "fiu"}
    if not found:
        return None
    first = next(iter(found))
    _, objects, features = found[first].shape
    for name, value in found.items():
        if value.shape[1:] != (objects, features):
            wanted = f"[frame, {objects}, {features}] as in {first!r}"
            raise InputError(f"{path}: field {name!r}: found the shape {value.shape}, expected {wanted}")
        if np.isinf(value).any():
            raise InputError(f"{path}: field {name!r}: found infinite values, expected numbers, or NaN where missing")
    if objects < 2:
        raise InputError(f"{path}: field {first!r}: found {objects} objects, expected two or more")
    values = tuple(value.astype(np.float32) for value in found.values())
    lists = {name: value for name, value in fields.items() if isinstance(value, list)}
    texts = {name: value for name, value in lists.items() if all(isinstance(x, str) and x.isprintable() for x in value)}
    numbered = AXES[:features] if 2 <= features <= len(AXES) else [f"feature {k + 1}" for k in range(features)]
    feature_names = texts.pop("feature_names", None) or numbered
    if len(feature_names) != features:
        wanted = f"expected {features}, one per feature"
        raise InputError(f"{path}: field 'feature_names': found {len(feature_names)} names, {wanted}")
    named = [tuple(value) for value in texts.values() if len(value) == objects]
    interval = fields.get("frame_interval", FRAME)
    if not isinstance(interval, int | float) or not interval > 0:
        raise InputError(f"{path}: field 'frame_interval': found {interval!r}, expected seconds above 0")
    return Trials(tuple(found), values, tuple(feature_names), named[0] if named else (), float(interval), str(path))


def holds_games(folder: Path) -> bool:
    """Return whether a folder holds the files of basketball games."""
    return any(folder.glob("player_coords_*.npy"))


def read_games(folder: Path, suffix: str | None = None) -> dict[str, Trials]:
    """Read the basketball games of a folder, in feet: those of the splits train, valid and test that it holds.

    `suffix` is what follows the name of the split in a file's name, where there are several. InputError for a file that
    is missing or damaged, several where one is expected, or indices that do not fit.
    """
    splits = {}
    for written, split in GAME_SPLITS.items():
        if any(folder.glob(f"player_coords_{written}*.npy")):
            splits[split] = _read_games_of(folder, written, suffix)
    if not splits:
        raise InputError(f"{folder}: found no player_coords_SPLIT*.npy, expected SPLIT to be train, val or test")
    return splits


def _read_games_of(folder: Path, split: str, suffix: str | None) -> Trials:
    paths = {}
    for field in ("player_coords", "ball_coords", "example_stop_idxs"):
        pattern = f"{field}_{split}{suffix if suffix else '*'}.npy"
        matches = sorted(folder.glob(pattern))
        if len(matches) != 1:
            found = ", ".join(path.name for path in matches) or "no such file"
            raise InputError(f"{folder}: found {found} for {pattern}, expected one (data.suffix names it)")
        paths[field] = matches[0]
    players, ball, stops = (array_files.read_npy(path) for path in paths.values())
    frames = len(players)
    if players.shape != (frames, len(PLAYERS), 2) or players.dtype.kind not in "fiu":
        found = f"found {players.dtype} of shape {players.shape}, expected numbers [frame, {len(PLAYERS)}, 2]"
        raise InputError(f"{paths['player_coords']}: {found}")
    if ball.ndim != 2 or ball.shape[0] != frames or ball.shape[1] < 2 or ball.dtype.kind not in "fiu":
        found = f"found {ball.dtype} of shape {ball.shape}, expected numbers [{frames}, 2 or 3]"
        raise InputError(f"{paths['ball_coords']}: {found}")
    whole = stops.ndim == 1 and stops.dtype.kind in "iu" and len(stops) >= 2
    if not whole or stops[0] < -1 or stops[-1] > frames or (np.diff(stops) < 1).any():
        wanted = f"expected increasing whole numbers from -1 to {frames}"  # Published files end one frame late.
        raise InputError(f"{paths['example_stop_idxs']}: found {stops.dtype} of shape {stops.shape}, {wanted}")
    places = np.concatenate([players, ball[:, None, :2]], axis=1) * COURT
    if np.isinf(places).any():
        raise InputError(f"{paths['player_coords']}: found infinite values, expected numbers, or NaN where missing")
    bounds = zip(stops[:-1] + 1, stops[1:] + 1, strict=True)
    values = tuple(places[start:stop].astype(np.float32) for start, stop in bounds)
    names = tuple(f"{split} {number}" for number in range(len(values)))
    return Trials(names, values, ("x", "y"), (*PLAYERS, "ball"), GAME_INTERVAL, str(paths["player_coords"]))


def take_trials(trials: Trials, chosen: Sequence[int]) -> Trials:
    """Return some of the trials, by number."""
    return trials._replace(names=tuple(trials.names[k] for k in chosen), values=tuple(trials.values[k] for k in chosen))


def split_trials(trials: Trials, names: Mapping[str, Sequence[str]]) -> dict[str, Trials]:
    """Return the trials of each split, by their names; those that are in none are left out, with a warning.

    Names that the file lacks are passed over. InputError for a split none of whose trials is there, or a trial in two.
    """
    listed = [name for split in names.values() for name in split]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise InputError(f"data.trials: found {twice[0]!r} in two places, expected each trial in one split")
    splits = {}
    for split, wanted in names.items():
        chosen = [number for number, name in enumerate(trials.names) if name in set(wanted)]
        if not chosen:
            have = f"found the trials {_list_some(trials.names)}"
            raise InputError(f"{trials.source}: {have}, expected some of data.trials.{split}: {_list_some(wanted)}")
        splits[split] = take_trials(trials, chosen)
    left = [name for name in trials.names if name not in listed]
    if left:
        text = f"{trials.source}: left out {_list_some(left)}, which are in no list of data.trials"
        note(text)
    return splits


def share_trials(trials: Trials, shares: Sequence[float]) -> list[Trials]:
    """Return the first of the trials, the next, ..., each with its share of all frames but at least one trial.

    InputError for fewer trials than shares.
    """
    count, parts = len(trials.names), len(shares)
    if count < parts:
        wanted = f"expected {parts} or more to split (data.trials names those of each split)"
        raise InputError(f"{trials.source}: found {count} trials, {wanted}")
    ends = np.cumsum([len(value) for value in trials.values])
    cuts = [0]
    for number, share in enumerate(np.cumsum(shares[:-1]), start=1):
        cut = int(np.searchsorted(ends, share * ends[-1], side="right"))
        cuts.append(int(np.clip(cut, cuts[-1] + 1, count - (parts - number))))
    return [take_trials(trials, range(start, stop)) for start, stop in zip(cuts, [*cuts[1:], count], strict=True)]


def add_velocity(trials: Trials) -> Trials:
    """Return the trials with the velocity of each feature after all features, from the frame before; units per second.

    The first frame has the velocity of the second.
    """
    values = []
    for value in trials.values:
        changes = np.diff(value, axis=0) / np.float32(trials.frame_interval)
        changes = np.concatenate([changes[:1], changes]) if len(changes) else np.zeros_like(value)
        values.append(np.concatenate([value, changes], axis=2))
    names = (*trials.feature_names, *(f"velocity {name}" for name in trials.feature_names))
    return trials._replace(values=tuple(values), feature_names=names)


def stretch_trials(trials: Trials, factor: float) -> Trials:
    """Return the trials slowed down by a factor, between frames by cubic splines.

    Where samples are missing, by lines, and what lies beside a missing one is missing.
    """
    values = []
    for value in trials.values:
        times = np.arange(0.0, len(value) - 1, 1.0 / factor)
        if len(value) > 1 and np.isfinite(value).all():
            value = CubicSpline(np.arange(len(value)), value, axis=0)(times)
        elif len(value) > 1:
            before = times.astype(int)
            share = (times - before)[:, None, None]
            value = (1.0 - share) * value[before] + share * value[before + 1]
        values.append(value.astype(np.float32))
    return trials._replace(values=tuple(values))


def join_trials(parts: Sequence[Trials]) -> Trials:
    """Return the trials of all parts, which are alike in their objects and features."""
    names = tuple(name for part in parts for name in part.names)
    return parts[0]._replace(names=names, values=tuple(value for part in parts for value in part.values))


def cut_trials(
    trials: Trials, frames: int, stride: int
) -> tuple[Float[np.ndarray, "window frame object feature"], list[tuple[str, int]]]:
    """Cut windows of `frames` frames that begin every `stride` frames of each trial, none across two trials.

    Return the windows in order of trial and time, and the trial and first frame of each. Trials that are shorter than a
    window are left out, with a warning, and so is a window in which nothing is observed; InputError where none is left.
    """
    long = [number for number, value in enumerate(trials.values) if len(value) >= frames]
    if not long:
        longest = max((len(value) for value in trials.values), default=0)
        raise InputError(f"{trials.source}: found trials of {longest} frames at most, expected {frames} (data.window)")
    if len(long) < len(trials.names):
        short = len(trials.names) - len(long)
        text = f"{trials.source}: left out {short} of {len(trials.names)} trials, of fewer than {frames} frames"
        note(f"{text} (data.window)")
    windows, places = [], []
    for number in long:
        value = trials.values[number]
        for start in range(0, len(value) - frames + 1, stride):
            if np.isfinite(value[start : start + frames]).any():
                windows.append(value[start : start + frames])
                places.append((trials.names[number], start))
    return np.stack(windows), places


def _list_some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "none"
