"""Which neurons enter: those uniquely identified in every worm in play (Wang et al. 2021), or a list."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax.errors import ConfigError, InputError
from wormjax.recordings.recording import Recording, fail


def shared_neurons(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """The neurons uniquely identified in every recording, in alphabetical order.

    Raises:
      InputError: there are none; says which worm misses which of the most often identified neurons.
    """
    identified = [set(recording.identified) for recording in recordings]
    shared = set.intersection(*identified)
    if not shared:
        raise InputError(_no_shared_message(recordings, identified))
    return tuple(sorted(shared))


def choose_neurons(recordings: Sequence[Recording], neurons: str | Sequence[str]) -> tuple[str, ...]:
    """The neurons in play: "shared" for those that all worms share, or the given names, each of which must be there.

    Raises:
      InputError: no shared neurons, an empty or repeated list, or a worm without one of the listed neurons.
    """
    if neurons == "shared":
        return shared_neurons(recordings)
    names = tuple(name.strip() for name in (neurons.split(",") if isinstance(neurons, str) else neurons))
    if not names or len(set(names)) != len(names) or not all(names):
        raise ConfigError("data.neurons", f"found {names}, expected 'shared' or names, each once")
    for recording in recordings:
        _check_identified(recording, names)
    return names


def align_neurons(
    recording: Recording, names: Sequence[str], field: str = "traces"
) -> Float[np.ndarray, "frame neuron"]:
    """The columns of `names`, in that order, of a recording's "traces" or "derivatives".

    Raises:
      InputError: one of the names is not identified in this worm.
    """
    _check_identified(recording, names)
    identified = recording.identified  # Made anew at each call.
    columns = [identified[name] for name in names]
    return np.ascontiguousarray(getattr(recording, field)[:, columns])


def _check_identified(recording: Recording, names: Sequence[str]):
    identified = recording.identified
    missing = [name for name in names if name not in identified]
    if missing:
        there = ", ".join(sorted(identified)) or "no neuron"
        fail(recording, "neuron_names", f"found {there}, expected {', '.join(missing)} too (data.neurons)")


def _no_shared_message(recordings: Sequence[Recording], identified: list[set[str]]) -> str:
    everywhere = sorted(set.union(*identified), key=lambda name: (-sum(name in names for names in identified), name))
    missing = []
    for recording, names in zip(recordings, identified, strict=True):
        absent = [name for name in everywhere[:5] if name not in names]
        label = f"{recording.study}/{recording.worm}"
        missing.append(f"{label} misses {', '.join(absent)}" if names else f"{label} has no identified neuron")
    return (
        f"{recordings[0].source}: field 'neuron_names': found no neuron identified in all {len(recordings)} worms "
        f"(of the most frequent ones {'; '.join(missing)}), expected at least one shared neuron"
    )
