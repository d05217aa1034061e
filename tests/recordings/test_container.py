"""The project's own file: the round trip is exact, and nothing is half written."""

import os
import stat
import tracemalloc

import h5py
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormjax.recordings import container
from wormjax.recordings.recording import Recording, RecordingError

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)
VALUES = st.floats(-1e6, 1e6, width=32)


@st.composite
def recordings(draw, worm="w"):
    """Any recording: names in any alphabet, either precision, with and without the optional fields."""
    frames, neurons = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    traces = draw(arrays.arrays(dtype, (frames, neurons), elements=VALUES))
    traces[0], traces[1] = 0, np.arange(1, neurons + 1)
    states = draw(st.lists(TEXT, max_size=3))
    scored = arrays.arrays(
        draw(st.sampled_from([np.int8, np.int32])), frames, elements=st.integers(-1, len(states) - 1)
    )
    behavior = st.dictionaries(
        TEXT.filter(lambda name: "/" not in name and name != "."), arrays.arrays(np.float64, frames), max_size=2
    )
    cut = draw(st.integers(1, frames - 1))
    return Recording(
        study=draw(TEXT),
        worm=worm,
        traces=traces,
        times=np.cumsum(draw(arrays.arrays(np.float64, frames, elements=st.floats(0.1, 5)))),
        neuron_names=tuple(
            draw(
                st.lists(st.none() | TEXT, min_size=neurons, max_size=neurons, unique_by=lambda name: name or object())
            )
        ),
        ambiguous_names=tuple(
            draw(st.lists(st.lists(TEXT, max_size=2).map(tuple), min_size=neurons, max_size=neurons))
        ),
        motor_state=draw(st.none() | scored),
        state_names=tuple(states),
        derivatives=draw(st.none() | arrays.arrays(dtype, (frames, neurons), elements=VALUES)),
        behavior=draw(behavior),
        stretches=draw(st.sampled_from([(), ((0, cut), (cut, frames)), ((0, cut),)])),
        trace_units=draw(TEXT),
        source=draw(TEXT),
    )


def assert_same_array(found, expected):
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def assert_same(found: Recording, expected: Recording):
    plain = ("study", "worm", "neuron_names", "ambiguous_names", "state_names", "stretches", "trace_units")
    for field in plain:
        assert getattr(found, field) == getattr(expected, field), field
    for field in ("traces", "times", "motor_state", "derivatives"):
        assert_same_array(getattr(found, field), getattr(expected, field))
    assert set(found.behavior) == set(expected.behavior)
    for name in expected.behavior:
        assert_same_array(found.behavior[name], expected.behavior[name])


def make(worm="w", study="s"):
    traces = np.random.default_rng(0).normal(size=(10, 2))
    return Recording(study, worm, traces, np.arange(10.0), ("AVAL", None))


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.tuples(recordings("one"), recordings("two")))
def test_the_round_trip_is_exact(tmp_path_factory, worms):
    path = tmp_path_factory.mktemp("container") / "worms.h5"
    container.write(path, worms)
    for found, expected in zip(container.read(path), worms, strict=True):
        assert_same(found, expected)
        assert found.source == str(path)
    assert os.listdir(path.parent) == ["worms.h5"]


def test_more_than_nine_worms_keep_their_order(tmp_path):
    container.write(tmp_path / "a.h5", [make(f"w{k}") for k in range(12)])
    assert [worm.worm for worm in container.read(tmp_path / "a.h5")] == [f"w{k}" for k in range(12)]


def test_memory_stays_within_three_times_what_is_returned(tmp_path):
    traces = np.random.default_rng(0).normal(size=(20_000, 20))
    worms = [Recording("s", name, traces, np.arange(20_000.0), ("AVAL",) + (None,) * 19) for name in "ab"]
    container.write(tmp_path / "a.h5", worms)
    tracemalloc.start()
    found = container.read(tmp_path / "a.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * sum(worm.traces.nbytes for worm in found)


def test_a_folder_of_containers(tmp_path):
    for name in "ab":
        container.write(tmp_path / f"{name}.h5", [make(name)])
    assert [worm.worm for worm in container.read(tmp_path)] == ["a", "b"]
    container.write(tmp_path / "c.h5", [make("a")])
    with pytest.raises(RecordingError, match="worm 'a' twice"):
        container.read(tmp_path)


def test_a_file_written_by_other_programs(tmp_path):
    """The least that the format asks for, as MATLAB would write it: version a double, text of fixed length."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = np.bytes_("wormjax recordings"), np.array([[1.0]])
        group = file.create_group("first")
        group.attrs["study"], group.attrs["worm"] = np.bytes_("mine"), np.bytes_("w")
        group["traces"], group["times"] = make().traces, make().times
        group["neuron_names"] = np.array([b"AVAL", b""])
    recording = container.read(tmp_path / "a.h5")[0]
    assert (recording.study, recording.worm, recording.trace_units) == ("mine", "w", "dF/F")
    assert recording.neuron_names == ("AVAL", None)
    assert recording.motor_state is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.h5"
    container.write(path, [make("old")])
    before = path.read_bytes()
    broken = make("new")
    object.__setattr__(broken, "behavior", {"a/b": np.zeros(10)})
    for worms in ([make("x"), broken], [make("x"), make("x")], []):
        with pytest.raises(RecordingError):
            container.write(path, worms)
    with pytest.raises(RecordingError, match="one line"):
        container.write(path, [make("w\0")])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.h5"]


def test_the_file_has_the_usual_permissions(tmp_path):
    container.write(tmp_path / "a.h5", [make()])
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a.h5").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.attrs.__setitem__("version", 2), "field 'version': found 2, expected 1"),
        (lambda file: file.attrs.__delitem__("version"), "field 'version'"),
        (lambda file: file.attrs.__delitem__("format"), "field 'format'"),
        (lambda file: file["worm_1"].attrs.__delitem__("study"), "study': found no such attribute"),
        (lambda file: file["worm_1"].pop("traces"), "field 'worm_1/traces': found no such field"),
        (lambda file: file["worm_1"].pop("neuron_names"), "field 'worm_1/neuron_names'"),
        (lambda file: file["worm_1/times"].__setitem__(3, 0), "field 'times': found 0 s after"),
        (lambda file: file["worm_1/ambiguous_names"].__setitem__(0, "AVAL"), "expected a JSON list"),
        (lambda file: file.create_dataset("more", data=1), "field 'more"),
    ],
)
def test_bad_containers_are_named(tmp_path, change, words):
    path = tmp_path / "a.h5"
    container.write(path, [make()])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(RecordingError) as caught:
        container.read(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value), str(caught.value)
