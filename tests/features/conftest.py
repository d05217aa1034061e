"""Small recordings for the tests of the features."""

import numpy as np
import pytest

from wormjax.recordings.recording import Recording

NAMES = ("AVAL", None, "RID", "AVBR")


def make_recording(worm="w1", frames=40, rate=4.0, seed=0, **changes) -> Recording:
    rng = np.random.default_rng(seed)
    fields = {
        "study": "study",
        "worm": worm,
        "traces": rng.normal(size=(frames, len(NAMES))).cumsum(axis=0),
        "times": np.arange(frames) / rate,
        "neuron_names": NAMES,
        "motor_state": rng.integers(-1, 2, frames),
        "state_names": ("forward", "reverse"),
        "source": f"{worm}.mat",
    }
    return Recording(**(fields | changes))


@pytest.fixture(name="make_recording")
def recording_builder():
    """A function that makes one worm: make_recording(worm, frames, rate, seed, any field of Recording)."""
    return make_recording
