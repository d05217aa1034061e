"""Recording refuses what cannot be used, in one line that names source, worm and field."""

import numpy as np
import pytest

from wormjax.recordings.motor_states import FOUR_STATES, map_motor_states
from wormjax.recordings.recording import FieldError, Recording, RecordingError, name_fields


def make(**changes):
    fields = {
        "study": "s",
        "worm": "w",
        "traces": np.random.default_rng(0).normal(size=(10, 3)),
        "times": np.arange(10) / 2.0,
        "neuron_names": ("AVAL", None, "RID"),
        "motor_state": np.array([0, 1] * 4 + [-1, 1]),
        "state_names": ("forward", "reverse"),
    }
    return Recording(**(fields | changes))


def with_value(value, frame=4, neuron=0):
    traces = make().traces.copy()
    traces[frame, neuron] = value
    return traces


def test_a_valid_recording():
    recording = make()
    assert recording.frame_rate == 2.0
    assert recording.identified == {"AVAL": 0, "RID": 2}
    assert recording.stretches == ((0, 10),)
    assert recording.ambiguous_names == ((), (), ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"traces": with_value(np.nan)}, ["'traces'", "nan at frame 4", "neuron 1 (AVAL)"]),
        ({"traces": with_value(np.inf, neuron=1)}, ["'traces'", "inf", "neuron 2"]),
        ({"traces": abs(make().traces) * [1, 0, 1]}, ["'traces'", "constant 0", "neuron 2"]),
        ({"traces": np.zeros((10, 3), int)}, ["'traces'", "int64", "floating point"]),
        ({"times": np.array([0, 1, 2, 1.5, 4, 5, 6, 7, 8, 9])}, ["'times'", "1.5 s after 2 s at frame 3"]),
        ({"times": np.arange(9.0)}, ["'times'", "expected 10 seconds"]),
        ({"neuron_names": ("AVAL", None, "AVAL")}, ["'neuron_names'", "AVAL twice (neurons 1 and 3)"]),
        ({"neuron_names": ("AVAL",)}, ["'neuron_names'", "found 1 names, expected 3"]),
        ({"motor_state": np.full(10, 7)}, ["'motor_state'", "state number 7 at frame 0", "0 forward, 1 reverse"]),
        ({"derivatives": np.zeros((10, 2))}, ["'derivatives'", "(10, 2)"]),
        ({"behavior": {"velocity": np.zeros(3)}}, ["'behavior/velocity'", "(3,)"]),
        ({"stretches": ((0, 5), (4, 10))}, ["'stretches'", "[4, 10) after frame 5"]),
    ],
)
def test_refuses_and_says_where(changes, words):
    with pytest.raises(RecordingError) as caught:
        make(**changes, source="my.mat")
    message = str(caught.value)
    assert message.startswith("my.mat: worm 'w', field ")
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_errors_can_speak_the_words_of_the_file():
    with pytest.raises(FieldError, match="field 'tv'"), name_fields({"times": "tv"}):
        make(times=np.zeros(10))


def test_motor_states_of_all_studies_share_the_common_names():
    recording = make(state_names=("REVSUS", "TURN", "DT"), motor_state=np.array([0, 1, 2, -1, 0, 1, 2, -1, 0, 2]))
    mapped = map_motor_states(recording, "four")
    reverse, dorsal = FOUR_STATES.index("reverse"), FOUR_STATES.index("dorsal turn")
    assert mapped.tolist() == [reverse, -1, dorsal, -1, reverse, -1, dorsal, -1, reverse, dorsal]


def test_an_unknown_state_name_is_refused():
    with pytest.raises(RecordingError, match="'state_names': found 'hop'"):
        map_motor_states(make(state_names=("hop", "reverse")), "two")
