"""The config of an estimator: a shipped config, changed by the estimator's parameters and the user's settings."""

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from wormjax.config_files import list_fields, load_config, suggest_field
from wormjax.errors import InputError
from wormjax.recordings.recording import Recording


def build_config(
    config: str | ml_collections.ConfigDict,
    experiment: str,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> ml_collections.ConfigDict:
    """Return a copy of a config with some fields changed and a single seed, unlocked.

    Args:
      config: a name or file that `--config` takes, or a ConfigDict.
      experiment: what the config must be of: "generalize", "forecast", "infer".
      parameters: full name of a field → value; None leaves the config's own.
      settings: the user's, likewise, such as {"train.steps": 400}.
      seed: of the one run, or group of runs.

    Raises:
      InputError: no such config, or a field that it does not have or of another type.
    """
    if not isinstance(config, str | os.PathLike | ml_collections.ConfigDict):
        expected = "expected a name, a file or a ConfigDict (fields of it: settings={'train.steps': 400})"
        raise InputError(f"config: found {type(config).__name__}, {expected}")
    chosen = load_config(os.fspath(config)) if isinstance(config, str | os.PathLike) else config
    chosen = chosen.copy_and_resolve_references()
    found = chosen.get("experiment", "generalize")
    if found != experiment:
        raise InputError(f"config: found a config of {found!r}, expected one of {experiment!r}")
    chosen.unlock()
    known = list_fields(chosen)
    if not isinstance(settings, Mapping | None):
        raise InputError(f"settings: found {type(settings).__name__}, expected fields by name: {{'train.steps': 400}}")
    for field, value in {**parameters, **(settings or {})}.items():
        if value is None:
            continue
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if field not in known:
            raise InputError(f"settings: found no config field {field!r}, {suggest_field(field, known)}")
        section, _, name = field.rpartition(".")
        place = chosen[section] if section else chosen
        kind = place.get_type(name)
        try:
            place[name] = tuple(value) if kind is tuple and not isinstance(value, str) else value
        except (TypeError, ValueError):
            raise InputError(f"settings[{field!r}]: found {value!r}, expected {kind.__name__}") from None
    chosen.seed, chosen.seeds = take_whole("seed", seed), 1
    return chosen


def choose_model(
    config: ml_collections.ConfigDict, name: Any, networks: Iterable[str], baselines: Iterable[str]
) -> None:
    """Make a network or a baseline the only one that a config trains.

    Raises:
      InputError: a name of neither.
    """
    known = tuple(dict.fromkeys((*networks, *baselines)))
    if name not in known:
        raise InputError(f"model: found {name!r}, expected one of: {', '.join(known)}")
    config.models, config.baselines = ((), (name,)) if name in baselines else ((name,), ())


def list_worms(worms: Recording | Sequence[Recording]) -> list[Recording]:
    """Return recordings as a list, whether one or several were given."""
    listed = list(worms) if isinstance(worms, Iterable) else [worms]
    for one in listed:
        if not isinstance(one, Recording):
            found = f"found {type(one).__name__}"
            raise InputError(f"worms: {found}, expected recordings (wormjax.load, wormjax.Recording)")
    if not listed:
        raise InputError("worms: found none, expected one or more")
    return listed


def take_one(worm: Recording) -> Recording:
    """Return a recording as it is."""
    if not isinstance(worm, Recording):
        raise InputError(f"worm: found {type(worm).__name__}, expected one recording")
    return worm


def take_path(path: Any) -> str:
    """Return the path of a file or folder, with the user's home for ~.

    Raises:
      InputError: something else.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: found {path!r}, expected a file or a folder")
    return os.path.expanduser(path)


def take_whole(name: str, value: Any, least: int = 0) -> int:
    """Return a whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name}: found {value!r}, expected a whole number") from None
    if number < least:
        raise InputError(f"{name}: found {number}, expected {least} or more")
    return number


def join_neurons(neurons: str | Iterable[str]) -> str:
    """Return the names of neurons as a config has them: "shared", or "AVAL,AVAR"."""
    if isinstance(neurons, str):
        return neurons
    names = list(neurons) if isinstance(neurons, Iterable) else [neurons]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"neurons: found {neurons!r}, expected 'shared' or names, such as ['AVAL', 'AVAR']")
    return ",".join(map(str, names))
