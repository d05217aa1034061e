"""Which neurons enter: those uniquely identified in every worm in play (Wang et al. 2021), any of them, or a list."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax.errors import ConfigError, InputError
from wormjax.recordings.faults import fail
from wormjax.recordings.names import normalise_neuron_name, split_neuron_name
from wormjax.recordings.recording import Recording

SHARED, ANY = "shared", "any"
PLACES = 16
UNNAMED = ""  # On a neuron axis: the next of a worm's neurons without a name, or nothing.


def shared_neurons(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the neurons uniquely identified in every recording, in alphabetical order.

    Without any, an InputError says which worm misses which of the most often identified neurons.
    """
    identified = [set(recording.identified) for recording in recordings]
    if shared := set.intersection(*identified):
        return tuple(sorted(shared))
    everywhere = sorted(set.union(*identified), key=lambda name: (-sum(name in names for names in identified), name))
    missing = []
    for recording, names in zip(recordings, identified, strict=True):
        absent = [name for name in everywhere[:5] if name not in names]
        label = f"{recording.study}/{recording.worm}"
        missing.append(f"{label} misses {', '.join(absent)}" if names else f"{label} has no identified neuron")
    raise InputError(
        f"{recordings[0].source}: field 'neuron_names': found no neuron identified in all {len(recordings)} worms "
        f"(of the most frequent ones {'; '.join(missing)}), expected at least one shared neuron"
    )


def choose_neurons(
    recordings: Sequence[Recording], neurons: str | Sequence[str], least_worms: int = 1, unnamed: bool = False
) -> tuple[str, ...]:
    """Return the neurons in play, in alphabetical order or that of a list.

    `neurons` is "shared" for those that all worms share; "any" for those named in at least `least_worms` of them; or
    names, each of which must be there. `unnamed`: whether neurons without a name follow, called UNNAMED: as many as the
    worm with the most of them has. InputError for no such neurons, an empty or repeated list, or a worm that lacks one
    of the list.
    """
    if neurons == SHARED:
        return shared_neurons(recordings)
    if neurons == ANY:
        counts = Counter(name for recording in recordings for name in recording.identified)
        names = tuple(sorted(name for name, count in counts.items() if count >= least_worms))
        if not names and not unnamed:
            most = max(counts.values(), default=0)
            found = f"found {least_worms}, and no neuron that is named in more than {most} of {len(recordings)} worms"
            expected = f"expected {most} or less, or more worms" if most else "expected worms with named neurons"
            raise ConfigError("data.least_worms", f"{found}; {expected}")
        most = max(len(recording.neuron_names) - len(recording.identified) for recording in recordings)
        return names + (UNNAMED,) * (most * unnamed)
    names = parse_neurons(neurons)
    if not names or len(set(names)) != len(names) or not all(names):
        raise ConfigError("data.neurons", f"found {names}, expected 'shared', 'any' or names, each once")
    for recording in recordings:
        if missing := [name for name in names if name not in recording.identified]:
            there = ", ".join(sorted(recording.identified)) or "no neuron"
            fail(recording, "neuron_names", f"found {there}, expected {', '.join(missing)} too (data.neurons)")
    return names


def extend_neurons(names: Sequence[str], recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return names with those of the recordings' neurons whose class they have: AVAR, where AVAL is there.

    Places that are UNNAMED follow up to a multiple of PLACES, so that few numbers of places occur.
    """
    classes = {split_neuron_name(name)[0] for name in names if name != UNNAMED}
    named = {name for recording in recordings for name in recording.identified}
    more = sorted(name for name in named.difference(names) if split_neuron_name(name)[0] in classes)
    places = -(-len(more) // PLACES) * PLACES
    return (*names, *more, *(UNNAMED,) * (places - len(more)))


def parse_neurons(neurons: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of a list "AVAL,vb2" as recordings spell them."""
    return tuple(map(normalise_neuron_name, neurons.split(",") if isinstance(neurons, str) else neurons))


def align_neurons(
    recording: Recording, names: Sequence[str], field: str = "traces"
) -> Float[np.ndarray, "frame neuron"]:
    """Return the columns of `names` of a recording's "traces" or "derivatives", in that order; NaN if it has none.

    Each UNNAMED takes the next of the neurons that the recording has no name for.
    """
    identified, values = recording.identified, getattr(recording, field)
    unnamed = iter([column for column, name in enumerate(recording.neuron_names) if name is None])
    columns = np.array([next(unnamed, -1) if name == UNNAMED else identified.get(name, -1) for name in names])
    if (columns >= 0).all():
        return np.ascontiguousarray(values[:, columns])
    aligned = np.full((len(values), len(names)), np.nan, values.dtype)
    aligned[:, columns >= 0] = values[:, columns[columns >= 0]]
    return aligned


def find_poor_worms(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the worms without which the others share more than twice as many neurons, the poorest first."""
    kept, poor = list(recordings), []
    while len(kept) > 2:
        sets = [set(worm.identified) for worm in kept]
        without = [len(set.intersection(*sets[:k], *sets[k + 1 :])) for k in range(len(sets))]
        if max(without) <= 2 * len(set.intersection(*sets)):
            break
        poor.append(kept.pop(int(np.argmax(without))))
    return poor
