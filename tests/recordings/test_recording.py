"""Recording refuses what cannot be used, in one line that names source, worm and field."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from wormjax.errors import RecordingWarning
from wormjax.recordings.faults import FieldError, RecordingError, name_fields
from wormjax.recordings.motor_states import FOUR_STATES, map_motor_states
from wormjax.recordings.recording import Recording


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
        ({"traces": np.full((10, 3), np.nan)}, ["'traces'", "nan at frame 0", "neuron 1 (AVAL)"]),
        ({"traces": np.ones((10, 3))}, ["'traces'", "constant 1", "neuron 1", "3 such neurons"]),
        ({"traces": with_value(1e20)}, ["'traces'", "1e+20 in neuron 1 (AVAL)"]),
        ({"traces": None}, ["'traces'", "found none"]),
        ({"traces": [["a"] * 3] * 10}, ["'traces'", "expected numbers"]),
        ({"traces": np.ones((10, 3), complex)}, ["'traces'", "complex128", "expected numbers"]),
        ({"times": None}, ["'times'", "no frame_rate"]),
        ({"times": np.arange(10) * 371.0}, ["'times'", "371 s apart", "milliseconds", "by 0.001"]),
        ({"times": np.arange(10) / 180}, ["'times'", "minutes", "by 60"]),
        ({"times": None, "frame_rate": -1.0}, ["'frame_rate'", "-1.0"]),
        ({"behavior": [1.0]}, ["'behavior'", "found list", "by name"]),
        ({"behavior": {"velocity": ["fast"] * 10}}, ["'behavior/velocity'", "expected numbers of shape (10,)"]),
        ({"state_names": "forward"}, ["'state_names'", "a name per state"]),
        ({"motor_state": ["fwd"] * 10}, ["'motor_state'", "'fwd' at frame 0", "forward, reverse"]),
        ({"motor_state": np.full(10, 0.5)}, ["'motor_state'", "state number 0.5"]),
        ({"times": np.array([0, 1, 2, 1.5, 4, 5, 6, 7, 8, 9])}, ["'times'", "1.5 s after 2 s at frame 3"]),
        ({"times": np.arange(9.0)}, ["'times'", "float64 of shape (9,)", "expected 10 seconds"]),
        ({"neuron_names": ("AVAL", ["RID"], "AVAR")}, ["'neuron_names'", "found ['RID'] for neuron 2"]),
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


def test_errors_can_use_the_words_of_the_file():
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


def test_what_is_none_is_left_out():
    none = dict.fromkeys(("neuron_names", "ambiguous_names", "state_names", "stretches", "behavior", "motor_state"))
    assert make(**none).stretches == ((0, 10),)


def test_the_least_that_must_be_given():
    recording = Recording(traces=[[0, 1.5], [1, 3], [2, 2]], frame_rate=4)
    assert (recording.study, recording.worm, recording.neuron_names) == ("mine", "worm", (None, None))
    assert recording.traces.dtype == np.float64
    assert recording.times.tolist() == [0.0, 0.25, 0.5]
    assert recording.frame_rate == 4.0
    assert not recording.notes
    assert dataclasses.replace(recording, worm="other", times=recording.times * 2).frame_rate == 2.0
    with pytest.raises(FieldError, match=r"'study'.*give fields by name"):
        Recording(np.zeros((10, 3)), np.arange(10.0))


@pytest.mark.parametrize("dtype", ["int16", "bool", "uint8", "float16", "float32", ">f4", "longdouble", object])
def test_traces_of_any_real_type(dtype):
    traces = (np.arange(30).reshape(10, 3) % 7 > 2).astype(dtype)
    recording = make(traces=traces)
    assert recording.traces.dtype == (np.float32 if dtype in ("float16", "float32", ">f4") else np.float64)
    np.testing.assert_array_equal(recording.traces, traces.astype(float))


def test_rows_are_vectors_and_transposed_traces_are_turned():
    plain = make(derivatives=make().traces)
    with pytest.warns(RecordingWarning, match=r"\[neuron, frame\]"):
        turned = make(
            traces=plain.traces.T,
            derivatives=plain.derivatives.T,
            times=plain.times[None],
            motor_state=plain.motor_state[:, None],
        )
    for field in ("traces", "derivatives", "times", "motor_state"):
        np.testing.assert_array_equal(getattr(turned, field), getattr(plain, field))
    assert turned.notes[0] in repr(turned)


def test_missing_samples_and_dead_neurons_are_noted():
    traces = make().traces.copy()
    traces[3, 0], traces[4, 0], traces[:, 1] = np.nan, np.inf, 7.0
    with pytest.warns(RecordingWarning) as said:
        recording = make(traces=traces, derivatives=traces, ambiguous_names=((), ("X", "Y"), ()))
    assert recording.neuron_names == ("AVAL", "RID")
    assert recording.ambiguous_names == ((), ())
    assert recording.derivatives.shape == (10, 2)
    assert np.isnan(recording.traces[3:5, 0]).all()
    assert np.isfinite(recording.traces).sum() == 18
    assert "2 samples of 1 neurons are missing" in str(said[0].message)
    assert "1 neurons that never vary are dropped: neuron 2" in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # A copy says nothing twice.
        assert dataclasses.replace(recording, worm="again").notes == recording.notes


def test_an_outlier_is_noted():
    traces = np.random.default_rng(0).normal(size=(200, 3))
    times, states = np.arange(200) / 2.0, None
    assert not make(traces=traces, times=times, motor_state=states).notes
    traces[7, 2] = 1e6
    assert "neuron 3 (RID)" in make(traces=traces, times=times, motor_state=states).notes[0]


def test_repeated_times_are_dropped_or_spread():
    times = np.arange(40) / 2.0
    times[6] = times[5]
    fields = {"traces": np.random.default_rng(0).normal(size=(40, 3)), "motor_state": None}
    recording = make(**fields, times=times, stretches=((0, 10), (10, 40)), behavior={"velocity": np.arange(40)})
    assert len(recording.times) == len(recording.traces) == 39
    assert recording.behavior["velocity"].tolist() == [k for k in range(40) if k != 6]
    assert recording.stretches == ((0, 9), (9, 39))
    assert "1 frames with the time" in recording.notes[0]
    rounded = make(**fields, times=np.floor(np.arange(40) / 4))
    np.testing.assert_allclose(rounded.times, np.arange(40) / 4)
    assert rounded.frame_rate == 4.0


def test_two_rates_are_noted_and_jitter_is_not():
    steps = np.r_[np.full(60, 0.3), np.ones(80)]
    with pytest.warns(RecordingWarning, match=r"frames are 0\.3 to 1 s apart, not at one rate"):
        recording = make(
            traces=np.random.default_rng(0).normal(size=(140, 3)), times=np.cumsum(steps), motor_state=None
        )
    assert recording.uneven
    assert len(dataclasses.replace(recording, worm="other").notes) == 1
    rounded = np.round(np.arange(140) * 0.33, 1)
    rounded[70:] += 1.2  # Frames that were dropped.
    assert not dataclasses.replace(recording, times=rounded, notes=()).notes


def test_a_pause_ends_a_stretch():
    times = np.arange(40) / 2.0
    times[25:] += 60
    fields = {"traces": np.random.default_rng(0).normal(size=(40, 3)), "motor_state": None}
    recording = make(**fields, times=times)
    assert recording.stretches == ((0, 25), (25, 40))
    assert "1 pauses (the longest of 60.5 s)" in recording.notes[0]
    assert make(**fields, times=times, stretches=((0, 25), (25, 40))).notes == ()
    times[25:] += -60 + 2.0  # Four frames.
    assert make(**fields, times=times).stretches == ((0, 40),)


@pytest.mark.parametrize(
    ("states", "names", "numbers", "expected"),
    [
        ([True, False], (), [1, 0], ("False", "True")),
        ([0.0, np.nan], ("a",), [0, -1], ("a",)),
        ([1, 0], (), [1, 0], ("state 0", "state 1")),
        (["rev", "fwd"], (), [1, 0], ("fwd", "rev")),
        (["rev", None], ("rev", "fwd"), [0, -1], ("rev", "fwd")),
        (np.array([b"rev", b""]), (), [0, -1], ("rev",)),
        ([1, None], ("a", "b"), [1, -1], ("a", "b")),
    ],
)
def test_states_of_any_kind(states, names, numbers, expected):
    recording = make(motor_state=np.repeat(np.array(states), 5), state_names=names)
    assert recording.motor_state[::5].tolist() == numbers
    assert recording.state_names == expected


def test_doubtful_names_are_ambiguous():
    recording = make(neuron_names=["AVAL?", np.nan, "---"])
    assert recording.neuron_names == (None, None, None)
    assert recording.ambiguous_names[0] == ("AVAL",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"neuron_names": {"AVAL", "AVAR", "RID"}}, "'neuron_names': found a set, expected a list"),
        ({"neuron_names": "ABC"}, "'neuron_names': found a str, expected a list"),
    ],
)
def test_what_could_be_misread_is_refused(changes, words):
    with pytest.raises(FieldError, match=words):
        make(**changes)


def test_a_table_without_times_is_not_read_at_one_hertz():
    table = pd.DataFrame(make().traces, columns=["AVAL", "RIS", "RID"])
    with pytest.raises(FieldError, match=r"'times': found none, and no frame_rate"):
        Recording.from_dataframe(table, time=None)
    with pytest.raises(FieldError, match=r"'time': found such a column, expected time='time'"):
        Recording.from_dataframe(table.assign(time=make().times), time=None)
    with pytest.raises(FieldError, match=r"expected the column of seconds .time=.*, or hertz .frame_rate="):
        Recording.from_dataframe(table)
    with pytest.raises(FieldError, match="found ndarray, expected a DataFrame"):
        Recording.from_dataframe(table.to_numpy())
    velocity = Recording.from_dataframe(table.assign(velocity=1.0), behavior="velocity", frame_rate=2.0).behavior
    assert list(velocity) == ["velocity"]


def test_the_fingerprint_is_that_of_traces_and_times():
    recording = make()
    same = make(worm="other", study="t", neuron_names=(), motor_state=None, traces=recording.traces.astype("f4"))
    assert same.fingerprint == recording.fingerprint
    assert make(times=recording.times + 100.0).fingerprint == recording.fingerprint
    assert make(traces=with_value(0.5)).fingerprint != recording.fingerprint
    assert make(times=recording.times * 2).fingerprint != recording.fingerprint


def test_a_table_and_back():
    recording = make(behavior={"velocity": np.arange(10.0)})
    table = recording.to_pandas()
    assert list(table) == ["time", "AVAL", "neuron_2", "RID", "velocity", "state"]
    assert table["state"].isna().tolist() == (recording.motor_state < 0).tolist()
    back = Recording.from_dataframe(table, states="state", behavior=["velocity"], worm="w")
    np.testing.assert_array_equal(back.traces, recording.traces)
    np.testing.assert_array_equal(back.motor_state, recording.motor_state)
    assert back.identified["RID"] == 2
    indexed = Recording.from_dataframe(table.set_index("time")[["AVAL", "RID"]])
    np.testing.assert_array_equal(indexed.times, recording.times)
    assert Recording.from_dataframe(table[["AVAL", "RID"]], frame_rate=4.0).frame_rate == 4.0
    with pytest.raises(FieldError, match="'stat': found no such column, expected one of time, AVAL"):
        Recording.from_dataframe(table, states="stat")


def test_the_representation_tells_what_there_is():
    text = repr(make())
    assert (
        text == "Recording(worm 'w' of 's': 3 neurons, 2 named; 10 frames, 0.1 min at 2.00 Hz; "
        "states forward 40%, reverse 50%)"
    )


def test_a_name_that_no_table_can_hold_is_refused():
    for field in ("worm", "study"):
        with pytest.raises(FieldError, match=rf"'{field}': found 'N2\\n', expected a name on one line") as caught:
            make(**{field: "N2\n"})
        assert str(caught.value).isprintable()
