"""The motor states of all studies under common names, so that studies can be trained and tested on together.

The four states are those of Wang et al. (2021): REV1, REV2 and REVSUS are reverse, FWD and SLOW are forward, DT and VT
are the dorsal and ventral turn. A state without a counterpart is not scored, neither in the loss nor in a metric.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from wormjax.errors import ConfigError, note
from wormjax.recordings import hdf5
from wormjax.recordings.faults import fail
from wormjax.recordings.recording import UNSCORED, Recording

FOUR_STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
TWO_STATES = ("reverse", "forward")
STATE_SETS = {"four": FOUR_STATES, "two": TWO_STATES}
VELOCITY_STATES = ("forward", "reverse")
OWN = "own"  # Instead of a set's name: the recordings' own names, as they are.

# The study's own name, in lower case → the common name (None: no counterpart, not scored): the eight states of Kato et
# al. 2015, the four of its sister files, those of Nichols et al. 2017.
COMMON_NAMES: dict[str, str | None] = dict.fromkeys(("fwd", "slow", "forward"), "forward")
COMMON_NAMES |= dict.fromkeys(("rev1", "rev2", "revsus", "rev", "reverse", "reversal"), "reverse")
COMMON_NAMES |= dict.fromkeys(("dt", "dorsal turn"), "dorsal turn")
COMMON_NAMES |= dict.fromkeys(("vt", "ventral turn"), "ventral turn")
COMMON_NAMES |= dict.fromkeys(("nostate", "quiescence", "turn", "undefined turn"))


def number_states(
    numbers: np.ndarray, names: Sequence[str], first: int, place: hdf5.Place, field: str
) -> Int[np.ndarray, " frame"]:
    """Return a file's state numbers as indices into `names`, UNSCORED where they are NaN or the one before the first.

    `first` is the number of the first state; `place` and `field` are for messages. RecordingError for one without a
    name.
    """
    numbers = numbers.astype(np.float64)
    scored = ~np.isnan(numbers) & (numbers != first - 1)
    unknown = scored & ~np.isin(numbers, np.arange(first, first + len(names)))
    if unknown.any():
        found = f"found state number {numbers[unknown][0]:g} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{first + k} {name}" for k, name in enumerate(names))
        hdf5.fail(place, field, f"{found}, expected one of: {known}")
    return np.where(scored, np.where(scored, numbers, 0) - first, UNSCORED).astype(np.int32)


def split_velocity(velocity: np.ndarray) -> Int[np.ndarray, " frame"]:
    """Return indices into VELOCITY_STATES by the sign of the velocity, UNSCORED where it is NaN."""
    return np.where(np.isnan(velocity), UNSCORED, velocity < 0).astype(np.int32)


def read_state_map(text: str) -> dict[str, str]:
    """Return the pairs of a text such as "REV=reverse, pause=forward"."""
    pairs = [[word.strip() for word in pair.split("=")] for pair in text.split(",") if pair.strip()]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise ConfigError("data.state_map", f"found {'='.join(pair)!r}, expected 'NAME IN THE FILE=NAME, ...'")
    return dict(map(tuple, pairs))


def choose_state_names(
    recordings: Sequence[Recording], state_set: str, state_map: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the names of the states to decode, those of a set.

    "own" takes the recordings' own names, which are also taken, with a warning, where none of theirs is known.
    `state_map`: the file's name of a state → another for it; ConfigError for one that no recording has.
    """
    state_map = state_map or {}
    there = {name for worm in recordings for name in worm.state_names}
    strange = [name for name in state_map if there and name not in there]
    if strange:
        found = f"found {strange[0]!r}, which is no state of the recordings"
        raise ConfigError("data.state_map", f"{found}; expected some of {', '.join(sorted(there))}")
    own = dict.fromkeys(state_map.get(name, name) for worm in recordings if worm.scored for name in worm.state_names)
    if state_set != OWN and own and not any(name.lower() in COMMON_NAMES for name in own):
        found = f"found the motor states {', '.join(own)}, none of which is known"
        note(f"{found}; they are decoded as they are (data.states, data.state_map)")
        state_set = OWN
    return tuple(own) if state_set == OWN else STATE_SETS[state_set]


def map_motor_states(
    recording: Recording, states: str | Sequence[str], state_map: Mapping[str, str] | None = None, strict: bool = True
) -> Int[np.ndarray, " frame"]:
    """Return a recording's motor states as indices into other names, UNSCORED where there is no counterpart.

    `states` is one of `STATE_SETS`, or names; `state_map`: the file's name of a state → another for it. If `strict`, a
    state that neither it nor `COMMON_NAMES` has is an error where `states` are common names.
    """
    if recording.motor_state is None:
        return np.full(len(recording.times), UNSCORED, np.int32)
    names = STATE_SETS[states] if isinstance(states, str) else tuple(states)
    strict = strict and names in STATE_SETS.values()
    table = np.full(len(recording.state_names) + 1, UNSCORED, np.int32)  # The last entry is that of UNSCORED, -1.
    for number, name in enumerate(recording.state_names):
        name = (state_map or {}).get(name, name)
        if strict and name not in names and name.lower() not in COMMON_NAMES:
            known = ", ".join(sorted(COMMON_NAMES))
            remedy = f"or its counterpart in data.state_map='{name}=forward', or data.states='own'"
            fail(recording, "state_names", f"found {name!r}, expected one of: {known}; {remedy}")
        counterpart = name if name in names else COMMON_NAMES.get(name.lower())
        table[number] = names.index(counterpart) if counterpart in names else UNSCORED
    return table[recording.motor_state]
