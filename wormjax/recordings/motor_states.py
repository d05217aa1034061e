"""The motor states of all studies under common names, so that studies can be trained and tested on together.

The four states are those of Wang et al. (2021): REV1, REV2 and REVSUS are reverse, FWD and SLOW are forward, DT and VT
are the dorsal and ventral turn. A state without a counterpart is not scored, neither in the loss nor in a metric.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from wormjax.recordings import hdf5
from wormjax.recordings.recording import UNSCORED, Recording, fail

FOUR_STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
TWO_STATES = ("reverse", "forward")
STATE_SETS = {"four": FOUR_STATES, "two": TWO_STATES}

# The study's own name, in lower case → the common name (None: no counterpart, not scored).
COMMON_NAMES: dict[str, str | None] = {
    # Kato et al. 2015, WT_NoStim: eight states.
    "fwd": "forward",
    "slow": "forward",
    "dt": "dorsal turn",
    "vt": "ventral turn",
    "rev1": "reverse",
    "rev2": "reverse",
    "revsus": "reverse",
    "nostate": None,
    # Kato et al. 2015, WT_Stim and AVA_HisCl; Nichols et al. 2017, FourStates and FiveStates.
    "forward": "forward",
    "rev": "reverse",
    "reverse": "reverse",
    "reversal": "reverse",
    "quiescence": None,
    "turn": None,
    "dorsal turn": "dorsal turn",
    "ventral turn": "ventral turn",
    "undefined turn": None,
}


def number_states(
    numbers: np.ndarray, names: Sequence[str], first: int, place: hdf5.Place, field: str
) -> Int[np.ndarray, " frame"]:
    """Return a file's state numbers as indices into `names`, UNSCORED where they are NaN.

    Args:
      numbers: the state of each frame as the file numbers them.
      names: the states in the order of their numbers.
      first: the number of the first state.
      place: where the field lies, for messages.
      field: its name, for messages.

    Raises:
      RecordingError: a number without a name.
    """
    numbers = numbers.astype(np.float64)
    scored = ~np.isnan(numbers)
    unknown = scored & ~np.isin(numbers, np.arange(first, first + len(names)))
    if unknown.any():
        found = f"found state number {numbers[unknown][0]:g} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{first + k} {name}" for k, name in enumerate(names))
        hdf5.fail(place, field, f"{found}, expected one of: {known}")
    return np.where(scored, np.where(scored, numbers, 0) - first, UNSCORED).astype(np.int32)


def map_motor_states(recording: Recording, state_set: str) -> Int[np.ndarray, " frame"]:
    """Return a recording's motor states as indices into `STATE_SETS[state_set]`, UNSCORED without a counterpart.

    Raises:
      RecordingError: the recording has no motor state, or one that `COMMON_NAMES` lacks.
    """
    if recording.motor_state is None:
        fail(recording, "motor_state", "found none, expected a scored motor state to train or test a classifier")
    common = STATE_SETS[state_set]
    table = np.full(len(recording.state_names) + 1, UNSCORED, np.int32)  # The last entry is that of UNSCORED, -1.
    for number, name in enumerate(recording.state_names):
        if name.lower() not in COMMON_NAMES:
            known = ", ".join(sorted(COMMON_NAMES))
            fail(recording, "state_names", f"found {name!r}, expected one of: {known}")
        counterpart = COMMON_NAMES[name.lower()]
        table[number] = common.index(counterpart) if counterpart in common else UNSCORED
    return table[recording.motor_state]
