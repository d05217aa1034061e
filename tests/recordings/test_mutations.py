"""Damaged files: whatever is done to a small file, it ends in recordings or in one line, soon, in little memory.

Files without strings of variable length are read in this process: starting a process for each would take a hundred
times as long. Those with such strings can hang or crash the HDF5 library and are opened as programs open them. The
numbers of each outcome are printed (-s); `-m slow` has three times the files, and ten times those with such strings.
"""

import collections
import functools
import os
import pathlib
import time

import damage
import h5py
import numpy as np
import pytest
import recording_files

from wormjax.recordings import container, dag2023, kato2015
from wormjax.recordings.catalog import READERS, open_study
from wormjax.recordings.recording import Recording, RecordingError

LONGEST = 30.0  # Seconds on the clock of a busy machine.
NAMES = (("AVAL",), ("RIML", "RIMR"), ())
LABELS = {1: ("AVAL", 5.0), 3: ("AIY?", 4.0)}
# Source → the files with damaged bytes and the files with damaged fields; over 500 per reader.
COUNTS = {
    "kato2015": (180, 180),
    "kato2015_binary": (75, 75),
    "nichols2017": (260, 260),
    "dag2023": (150, 150),
    "dag2023_labels": (130, 80),
    "dag2023_labels_variable": (6, 0),
    "container": (250, 250),
    "container_variable": (4, 6),
}


def write_own(path, variable=False):
    traces = np.random.default_rng(0).normal(size=(20, 3))
    states = np.arange(20) % 3 - 1
    names, candidates = ("AVAL", None, "RID"), ((), ("RIML", "RIMR"), ())
    behavior = {"velocity": np.arange(20.0), "pumping": np.full(20, np.nan)}
    worm = Recording("s", "w", traces, np.arange(20.0), names, candidates, states, ("f", "r"), traces, behavior)
    container.write(path, [worm])
    if variable:
        with h5py.File(path, "r+") as file:
            for name in ("neuron_names", "ambiguous_names", "state_names"):
                texts = [text.decode() for text in file["worm_1"].pop(name)[()]]
                file["worm_1"].create_dataset(name, data=texts, dtype=h5py.string_dtype())
            for key, value in dict(file["worm_1"].attrs).items():
                file["worm_1"].attrs[key] = value if isinstance(value, str) else value.decode()


def write_source(source: str, base: pathlib.Path) -> tuple[str, pathlib.Path, pathlib.Path]:
    """Write a source; return the study, the path to read, and the file of it that is damaged."""
    path = base / f"{source}.h5"
    if source.startswith("container"):
        write_own(path, source.endswith("variable"))
    elif source == "nichols2017":
        recording_files.write_nichols(path, worms=1, neurons=NAMES, field="FourStates")
    elif source == "kato2015":
        recording_files.write_kato(path, worms=1, names=NAMES, state_names=("FWD", "DT", "REV1"))
    elif source == "kato2015_binary":
        recording_files.write_kato_binary(path)
    else:
        text = str if source.endswith("variable") else np.bytes_
        recording_files.write_dag(path, uids=("2022-01-01-01",), text=text, neurons=3, labels=LABELS)
        labels = pathlib.Path("data", "receptor_expression", dag2023.LABELS_FILE)
        recording = pathlib.Path("data", "swf702_with_id", "2022-01-01-01-data.h5")
        return "dag2023", path, path / (labels if "labels" in source else recording)
    return source.partition("_")[0], path, path


def damage_files(source: str, damaged: pathlib.Path, seed: int, times: int = 1):
    """Damage the file in one way after the other; yield what was done."""
    whole, rng = damaged.read_bytes(), np.random.default_rng(seed)
    of_bytes, of_fields = (times * count for count in COUNTS[source])
    for number in range(of_bytes):
        damaged.write_bytes(damage.damage_bytes(whole, rng))
        yield f"bytes {number}"
    damaged.write_bytes(whole)
    nodes = damage.list_nodes(damaged)
    with h5py.File(damaged) as file:
        keys = [(name, key) for name in ["/", *nodes] for key in file[name].attrs]
    for number in range(of_fields):
        damaged.write_bytes(whole)
        change = damage.CHANGES[number % len(damage.CHANGES)]
        if keys and rng.random() < 0.15:
            name, key = keys[rng.integers(len(keys))]
            damage.damage_attribute(damaged, name, key, change)
        else:
            name, key = nodes[rng.integers(len(nodes))], ""
            damage.damage_field(damaged, name, change)
        yield f"{name} {key}: {change}"
    damaged.write_bytes(whole)


def read_one(read, path: pathlib.Path) -> str:
    """Return what became of a file: good or refused."""
    before = time.monotonic()
    try:
        worms, message = read(path), ""
    except RecordingError as error:
        worms, message = [], str(error)
    assert time.monotonic() - before < LONGEST
    if worms:
        assert all(isinstance(worm, Recording) for worm in worms)
        return "good"
    assert message.isprintable()
    assert str(path) in message
    assert ": found" in message
    assert len(message) < 1300
    assert "cannot be read (" not in message, message  # An exception that no reader foresaw.
    assert "expected" in message or "found only" in message
    return "refused"


def read_damaged(source: str, base: pathlib.Path, seed: int, times: int = 1) -> collections.Counter:
    """Return how many damaged files of a source ended in each way."""
    study, path, damaged = write_source(source, base)
    read = functools.partial(open_study, study) if source.endswith("variable") else READERS[study].read
    outcomes: collections.Counter = collections.Counter()
    for done in damage_files(source, damaged, seed, times):
        try:
            outcomes[read_one(read, path)] += 1
        except AssertionError as error:
            raise AssertionError(f"{source}, {done}: {error}") from None
    assert read_one(read, path) == "good"
    return outcomes


@pytest.mark.parametrize("source", COUNTS)
def test_damaged_files_end_in_recordings_or_one_line(source, tmp_path):
    before = time.monotonic()
    outcomes = read_damaged(source, tmp_path, 0)
    print(source, dict(outcomes), f"{time.monotonic() - before:.1f} s")
    assert sum(outcomes.values()) == sum(COUNTS[source])
    assert outcomes["good"]
    assert outcomes["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("source", COUNTS)
def test_many_more_damaged_files(source, tmp_path):
    before, times = time.monotonic(), 10 if source.endswith("variable") else 3
    print(source, dict(read_damaged(source, tmp_path, 1, times)), f"{time.monotonic() - before:.1f} s")


def test_every_reader_meets_five_hundred_files():
    readers: collections.Counter = collections.Counter()
    for source, counts in COUNTS.items():
        readers[source.partition("_")[0]] += sum(counts)
    assert set(readers) == {"kato2015", "nichols2017", "dag2023", "container"}
    assert min(readers.values()) >= 500


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("worm_1", "self", "field 'worm_1/neuron_names': found no such field"),
        ("worm_1", "soft link", "field 'worm_1': found a link to data elsewhere"),
        ("worm_1/traces", "external link", "field 'worm_1/traces': found a link to data elsewhere"),
        ("worm_1/motor_state", "lost link", "field 'worm_1/motor_state': found a link to data elsewhere"),
        ("worm_1/traces", "huge", "field 'worm_1/traces': found a declared size of 9,007,199,254,740,992 bytes"),
        ("worm_1/traces", "text", "field 'worm_1/traces': found values of type |S4, expected numbers"),
        ("worm_1/traces", "nan", "field 'traces': found nan at frame 0 of neuron 1"),
        ("worm_1/traces", "enormous", "field 'traces': found 1e+300 in neuron 1 (AVAL)"),
        ("worm_1/traces", "type", "field 'worm_1/traces': found a datatype, expected data"),
        ("worm_1/times", "half", "field 'times': found 1 s in all frames"),
        ("worm_1/times", "long", "field 'times': found inf, expected finite seconds"),
        ("worm_1/neuron_names", "no UTF-8", "field 'worm_1/neuron_names': found b'\\xff\\xfe\\x80', expected UTF-8"),
        ("worm_1/neuron_names", "many", "field 'worm_1/neuron_names': found values of type int64, expected strings"),
        ("worm_1/state_names", "many references", "expected strings"),
    ],
)
def test_the_field_is_named(name, change, words, tmp_path):
    write_own(tmp_path / "c.h5")
    damage.damage_field(tmp_path / "c.h5", name, change)
    with pytest.raises(RecordingError) as caught:
        container.read(tmp_path / "c.h5")
    assert str(caught.value).startswith(str(tmp_path / "c.h5"))
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("version", [-1, 0, 2**62, 1e300, np.nan, "1", [1, 1]])
def test_versions_that_are_none(version, tmp_path):
    write_own(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        file.attrs["version"] = version
    with pytest.raises(RecordingError, match=r"c\.h5: field 'version': found .*, expected 1"):
        container.read(tmp_path / "c.h5")


def test_a_million_names(tmp_path):
    """In the container's own array, in MATLAB's cells, and in Julia's dictionary."""
    before = time.process_time()
    write_own(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file["worm_1/neuron_names"]
        file["worm_1/neuron_names"] = np.array([b"AVAL"]).repeat(1_000_000)
    recording_files.write_kato(tmp_path / "k.mat", worms=1)
    recording_files.write_dag(tmp_path / "d", uids=("2022-01-01-01",))
    labels = tmp_path / "d" / "data" / "receptor_expression" / dag2023.LABELS_FILE
    with h5py.File(tmp_path / "k.mat", "r+") as file:
        point_to_many(file, "WT_NoStim/IDs")
    with h5py.File(labels, "r+") as file:
        point_to_many(file, "NeuroPAL_labels")
    for read, path, words in [
        (container.read, tmp_path / "c.h5", "field 'neuron_names': found 1000000 names, expected 3"),
        (kato2015.read, tmp_path / "k.mat", "field 'IDs': found 1,000,000 entries, expected at most 10,000"),
        (dag2023.read, tmp_path / "d", "field 'NeuroPAL_labels': found 1,000,000 entries, expected at most 10,000"),
    ]:
        with pytest.raises(RecordingError, match=words):
            read(path)
    assert time.process_time() - before < 10


def point_to_many(file: h5py.File, name: str) -> None:
    """Make the reference in a field lead to a million references, each to the root."""
    many = file.create_dataset("many", (1_000_000,), h5py.ref_dtype, chunks=(10_000,), compression="gzip")
    block = np.full(10_000, file["/"].ref, object)
    for start in range(0, 1_000_000, 10_000):
        many[start : start + 10_000] = block
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, data=np.full(shape, many.ref, object), dtype=h5py.ref_dtype)


def test_a_group_of_very_many_members(tmp_path):
    write_own(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+", libver="latest") as file:
        group = file.create_group("worm_1/behavior/more")
        file.move("worm_1/behavior", "worm_1/old")
        file["worm_1/behavior"] = group
        for number in range(10_001):
            group[f"{number}"] = h5py.SoftLink("/")
    with pytest.raises(RecordingError, match="field 'worm_1/behavior': found a group of 10,001 members"):
        container.read(tmp_path / "c.h5")


def test_a_behaviour_that_nobody_scored_is_no_error(tmp_path):
    write_own(tmp_path / "c.h5")
    assert np.isnan(container.read(tmp_path / "c.h5")[0].behavior["pumping"]).all()


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (np.arange(20) * 1e-9, "found frames that are 1e-09 s apart"),
        (np.arange(20) * 1e6, "found frames that are 1e+06 s apart"),
        (np.zeros(20), "found 0 s in all frames"),
        (np.r_[np.arange(159.0), np.arange(1, 41) * 1e9], "found 40 gaps of more than 5 frames, which are 1 s apart"),
    ],
)
def test_times_that_would_fill_the_memory_when_resampled(times, words, tmp_path):
    write_own(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file["worm_1"]["times"], file["worm_1"]["stretches"]
        file["worm_1/times"] = times
        if len(times) != 20:
            for name in ("motor_state", "derivatives", "behavior", "traces"):
                del file["worm_1"][name]
            file["worm_1/traces"] = np.random.default_rng(0).normal(size=(len(times), 3))
    with pytest.raises(RecordingError) as caught:
        container.read(tmp_path / "c.h5")
    assert words in str(caught.value)


def test_a_path_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "c.h5")
    with pytest.raises(RecordingError, match="found no such file"):
        container.read(tmp_path / "c.h5")
