"""Damaged files: whatever is done to a small valid file, a reader returns recordings or raises an InputError."""

import pathlib

import h5py
import numpy as np
import pytest
import recording_files
from hypothesis import given, settings
from hypothesis import strategies as st

from wormjax.errors import InputError
from wormjax.recordings import container, dag2023, kato2015, nichols2017
from wormjax.recordings.recording import Recording

CAREFULLY = settings(max_examples=60, deadline=None, derandomize=True, database=None)
SOURCES = ("kato2015", "kato2015_binary", "nichols2017", "dag2023", "dag2023_labels", "container")


def write_own(path):
    traces = np.random.default_rng(0).normal(size=(20, 3))
    states = np.arange(20) % 3 - 1
    names, candidates = ("AVAL", None, "RID"), ((), ("RIML", "RIMR"), ())
    behavior = {"velocity": np.arange(20.0)}
    worm = Recording("s", "w", traces, np.arange(20.0), names, candidates, states, ("f", "r"), traces, behavior)
    container.write(path, [worm])


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Per source: the reader, what it reads, and the file that is damaged."""
    base = tmp_path_factory.mktemp("mutations")
    recording_files.write_kato(base / "k.mat", worms=1)
    recording_files.write_kato_binary(base / "b.mat")
    recording_files.write_nichols(base / "n.mat", worms=1)
    write_own(base / "c.h5")
    for name in ("d", "l"):
        recording_files.write_dag(base / name, uids=("2022-01-01-01",))
    recording = pathlib.Path("data", "swf702_with_id", "2022-01-01-01-data.h5")
    labels = pathlib.Path("data", "receptor_expression", dag2023.LABELS_FILE)
    return {
        "kato2015": (kato2015.read, base / "k.mat", base / "k.mat"),
        "kato2015_binary": (kato2015.read, base / "b.mat", base / "b.mat"),
        "nichols2017": (nichols2017.read, base / "n.mat", base / "n.mat"),
        "dag2023": (dag2023.read, base / "d", base / "d" / recording),
        "dag2023_labels": (dag2023.read, base / "l", base / "l" / labels),
        "container": (container.read, base / "c.h5", base / "c.h5"),
    }


def expect_recordings_or_one_line(read, path) -> bool:
    """Whether the file could be read."""
    try:
        worms, message = read(path), None
    except InputError as error:
        worms, message = (), str(error)
    if message is not None:
        assert "\n" not in message
        assert str(path.parent) in message
        return False
    assert worms
    assert all(isinstance(worm, Recording) for worm in worms)
    return True


@pytest.mark.parametrize("source", SOURCES)
@CAREFULLY
@given(data=st.data())
def test_bytes_flipped_or_cut_off(sources, source, data):
    read, path, damaged = sources[source]
    whole = damaged.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    damaged.write_bytes(content)
    try:
        expect_recordings_or_one_line(read, path)
    finally:
        damaged.write_bytes(whole)
    assert expect_recordings_or_one_line(read, path)


def list_nodes(path) -> list[str]:
    nodes: list[str] = []
    with h5py.File(path) as file:
        file.visit(nodes.append)
    return nodes


def replace_node(file, name, data):
    """Takes a node away, or puts another type, shape or value in its place."""
    node = file[name]
    change = data.draw(
        st.sampled_from(["drop", "text", "number", "empty", "flat", "huge", "nan", "group", "null", "loop"])
    )
    attributes = dict(node.attrs)
    shape = getattr(node, "shape", None) or (1,)
    target = file["/"].ref
    del file[name]
    if change == "drop":
        return
    if change == "group":
        file.create_group(name)
    elif change == "null":
        file.create_dataset(name, data=h5py.Empty("f8"))
    elif change == "huge":
        file.create_dataset(name, shape=(1 << 20, 1 << 30), dtype="f8", chunks=(1, 1024))
    elif change == "loop":
        file.create_dataset(name, data=np.full(shape, target, object), dtype=h5py.ref_dtype)
    else:
        values = {
            "text": np.full(shape, b"text"),
            "number": np.full(shape, data.draw(st.integers(-3, 1 << 40))),
            "empty": np.zeros((0, *shape[1:])),
            "flat": np.zeros(int(np.prod(shape))),
            "nan": np.full(shape, np.nan),
        }
        file.create_dataset(name, data=values[change])
    for key, value in attributes.items():
        file[name].attrs[key] = value


@pytest.mark.parametrize("source", SOURCES)
@CAREFULLY
@given(data=st.data())
def test_fields_dropped_or_replaced(sources, source, data):
    read, path, damaged = sources[source]
    whole = damaged.read_bytes()
    name = data.draw(st.sampled_from(list_nodes(damaged)))
    try:
        with h5py.File(damaged, "r+") as file:
            replace_node(file, name, data)
        expect_recordings_or_one_line(read, path)
    finally:
        damaged.write_bytes(whole)
