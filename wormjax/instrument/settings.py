"""The config of an estimator: a shipped config, with the estimator's parameters and the user's settings in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from wormjax.command_line import list_fields, load_config, suggest_field
from wormjax.errors import InputError
from wormjax.recordings.recording import Recording


def build_config(
    config: str | ml_collections.ConfigDict, experiment: str, settings: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Return a copy of a config with some fields changed, unlocked.

    Args:
      config: a name or file that `--config` takes, or a config.
      experiment: what the config must be of: "generalize", "forecast", "infer".
      settings: full name of a field → value, such as {"train.steps": 400}; None leaves the config's own.

    Raises:
      InputError: no such config, or a field that it does not have or of another type.
    """
    chosen = load_config(config) if isinstance(config, str) else config.copy_and_resolve_references()
    found = chosen.get("experiment", "generalize")
    if found != experiment:
        raise InputError(f"config: found a config of {found!r}, expected one of {experiment!r}")
    chosen.unlock()
    known = list_fields(chosen)
    for field, value in settings.items():
        if value is None:
            continue
        if field not in known:
            raise InputError(f"settings: found no config field {field!r}, {suggest_field(field, known)}")
        section, _, name = field.rpartition(".")
        place = chosen[section] if section else chosen
        kind = place.get_type(name)
        try:
            place[name] = tuple(value) if kind is tuple and not isinstance(value, str) else value
        except (TypeError, ValueError):
            raise InputError(f"settings[{field!r}]: found {value!r}, expected {kind.__name__}") from None
    return chosen


def list_worms(worms: Recording | Sequence[Recording], least: int = 1) -> list[Recording]:
    """Return recordings as a list, whether one or several were given.

    Raises:
      InputError: something else than recordings, or too few of them.
    """
    listed = [worms] if isinstance(worms, Recording) else list(worms)
    strange = [one for one in listed if not isinstance(one, Recording)]
    if strange:
        found = f"found {type(strange[0]).__name__}"
        raise InputError(f"worms: {found}, expected recordings (wormjax.load, wormjax.Recording)")
    if len(listed) < least:
        raise InputError(f"worms: found {len(listed)}, expected {least} or more")
    return listed
