"""The motor states of each study, in one table, so that studies can be trained and tested on together.

The four states are those of Wang et al. (2021): REV1, REV2 and REVSUS are reverse, FWD and SLOW are forward, DT and VT
are the dorsal and ventral turn. A state that has no counterpart is not scored, neither in the loss nor in a metric.
"""

import numpy as np
from jaxtyping import Int

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


def map_motor_states(recording: Recording, state_set: str) -> Int[np.ndarray, " frame"]:
    """A recording's motor states as indices into `STATE_SETS[state_set]`, UNSCORED where there is no counterpart.

    Raises:
      RecordingError: the recording has no motor state, or one that the table does not know.
    """
    if recording.motor_state is None:
        fail(
            recording,
            "motor_state",
            "found none, expected a scored motor state to train or test a classifier",
        )
    common = STATE_SETS[state_set]
    table = np.full(len(recording.state_names) + 1, UNSCORED, np.int32)  # The last entry serves UNSCORED itself.
    for number, name in enumerate(recording.state_names):
        if name.lower() not in COMMON_NAMES:
            known = ", ".join(sorted(COMMON_NAMES))
            fail(recording, "state_names", f"found {name!r}, expected one of: {known}")
        counterpart = COMMON_NAMES[name.lower()]
        table[number] = common.index(counterpart) if counterpart in common else UNSCORED
    return table[recording.motor_state]
