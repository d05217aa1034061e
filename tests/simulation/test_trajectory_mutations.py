"""Files of trajectories that are damaged or hostile: each is read, or one line names file and fault; nothing is run."""

import io
import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from damaged_trajectories import make_trajectories

from wormjax.errors import InputError
from wormjax.simulation import array_files
from wormjax.simulation.trajectory_files import cache_trajectories, read_splits, read_trajectories, write_trajectories

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("count", [250, pytest.param(5_000, marks=pytest.mark.slow)])
def test_any_bytes(tmp_path, count):
    """Two files of each of HDF5, .npz and .npy, `count` times each."""
    program = REPOSITORY / "tests" / "data" / "damaged_trajectories.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(program.parent)])}
    command = [sys.executable, str(program), str(tmp_path), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=5 * count, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["kilobytes"] < 2e6
    for kind, found in report["results"].items():
        assert found["good"] + len(found["messages"]) == count
        assert 0 < found["good"] < 0.6 * count, kind
        for message in found["messages"]:
            assert message.startswith(str(tmp_path))
            assert message.isprintable()
            assert len(message) < 1_000


class Bomb:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write_npy(header: str, content: bytes = b"", version: int = 1) -> bytes:
    """A .npy file of any header."""
    text = header.encode("latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + content


def describe_npy(descr: str = "'<f8'", shape: str = "(6, 5, 2, 3)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


NPY = {
    "pickle": lambda mark: write_npy(describe_npy("'|O'", "(1,)"), pickle.dumps(np.array([Bomb(mark)], object))),
    "bare pickle": lambda mark: pickle.dumps(Bomb(mark)),
    "objects in a record": lambda mark: write_npy(describe_npy("[('a', '|O')]", "(1,)"), pickle.dumps(Bomb(mark))),
    "huge shape": lambda mark: write_npy(describe_npy(shape="(1000000, 1000, 1000, 1)")),
    "shape beyond 64 bits": lambda mark: write_npy(describe_npy(shape=f"({10**30}, 1, 1, 1)")),
    "negative shape": lambda mark: write_npy(describe_npy(shape="(-1, -1, 2, 3)"), bytes(48)),
    "true shape": lambda mark: write_npy(describe_npy(shape="(True, 1, 2, 3)"), bytes(48)),
    "many axes": lambda mark: write_npy(describe_npy(shape=f"({'1,' * 100})"), bytes(8)),
    "no width": lambda mark: write_npy(describe_npy("'|S0'", f"({10**12},)")),
    "empty": lambda mark: write_npy(describe_npy(shape="(0, 50000, 50000, 3)")),
    "call": lambda mark: write_npy(describe_npy(f"__import__('os').mkdir({str(mark)!r})")),
    "nested": lambda mark: write_npy(describe_npy(shape="(" * 9_000)),
    "unary": lambda mark: write_npy(describe_npy(shape="-" * 9_000 + "1")),
    "long header": lambda mark: write_npy(describe_npy() + " " * 50_000, bytes(1440)),
    "header of 4 GB": lambda mark: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "version": lambda mark: write_npy(describe_npy(), bytes(1440), version=9),
    "complex": lambda mark: write_npy(describe_npy("'<c16'"), bytes(2880)),
    "dates": lambda mark: write_npy(describe_npy("'<M8[s]'"), bytes(1440)),
    "subarrays": lambda mark: write_npy(describe_npy("('<f8', (1000, 1000, 1000))", "(1,)"), bytes(8)),
    "infinite": lambda mark: write_npy(describe_npy(), np.full(180, 1e300).tobytes()),
}


@pytest.mark.parametrize("case", NPY)
def test_hostile_npy_and_npz(tmp_path, case):
    mark, folder = tmp_path / "made by a pickle", tmp_path / "springs"
    folder.mkdir()
    for field in ("loc", "vel"):
        np.save(folder / f"{field}_train_springs3.npy", np.zeros((6, 5, 2, 3)))
    (folder / "loc_train_springs3.npy").write_bytes(NPY[case](mark))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", NPY[case](mark))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="loc_train_springs3"):
        read_splits(folder)
    with pytest.raises(InputError, match=r"a\.npz: "):
        read_trajectories(tmp_path / "a.npz")
    assert not mark.exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_archives_that_unpack_to_far_more(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "LARGEST_UNPACKED", 1_000_000)
    path, zeros = tmp_path / "bomb.npz", np.zeros((5, 1000, 100, 1))
    np.savez_compressed(path, features=zeros)
    with pytest.raises(InputError, match=r"'features': found 4,000,128 bytes packed into"):
        read_trajectories(path)
    whole = path.read_bytes()
    sizes = (4_000_128).to_bytes(4, "little"), (1_128).to_bytes(4, "little")
    assert whole.count(sizes[0]) == 2  # Beside the member, and in the directory.
    path.write_bytes(whole.replace(*sizes))  # Where it is said how much the archive unpacks to.
    with pytest.raises(InputError, match=r"bomb\.npz: .*(Bad CRC-32|EOF: reading array data)"):
        read_trajectories(path)
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("features", data=zeros, chunks=zeros.shape, compression="gzip")
    with pytest.raises(InputError, match=r"bomb\.h5: .*found 4,000,000 bytes packed into"):
        read_trajectories(tmp_path / "bomb.h5")


def change_hdf5(file, case, folder):
    """Spoils a file; returns the words that the error must hold."""
    if case == "unallocated":
        del file["features"]
        file.create_dataset("features", (10**6, 10**3, 10, 4), "f8", chunks=(1, 100, 10, 4))
        return "'features': found a declared size of"
    if case == "external link":
        del file["features"]
        file["features"] = h5py.ExternalLink(str(folder / "other.h5"), "/features")
        return "'features': found a link"
    if case == "soft link to itself":
        del file["features"]
        file["features"] = h5py.SoftLink("/features")
        return "'features': found a link"
    if case == "references":
        del file["features"]
        file.create_dataset("features", data=np.full((2, 2), file.ref, object), dtype=h5py.ref_dtype)
        return "'features': found values of type object"
    if case == "strings of varying length":
        del file["features"]
        file["features"] = ["a", "b"]
        return "'features': found values of type object"
    if case == "group":
        del file["edges"]
        file.create_group("edges")
        return "'edges': found a group"
    if case == "types":
        file["edges"][0, 0, 1] = 100
        return "'edges': found the type 100, expected whole numbers from 0 to 99"
    if case == "attribute of references":
        file.attrs["system"] = file.ref
        return "attribute '"
    if case == "large attribute":
        file.attrs.create("system", np.zeros(8_000, "u1"))
        return "'system': found array"
    if case == "no string":
        file.attrs["system"] = 3
        return "'system': found 3, expected printable text"
    if case == "empty attribute":
        file.attrs["feature_names"] = h5py.Empty("S1")
        return "attribute '"
    if case == "control characters":
        file.attrs["system"] = np.bytes_(b"two\nlines\x1b")
        return r"'system': found 'two\\nlines\\x1b', expected"
    if case == "no UTF-8":
        file.attrs["system"] = np.bytes_(b"\xff\xfe")
        return "cannot be read|damaged"
    raise AssertionError(case)


HDF5 = ("unallocated", "external link", "soft link to itself", "references", "strings of varying length", "group")
HDF5 += ("types", "attribute of references", "large attribute", "no string", "empty attribute", "control characters")


@pytest.mark.parametrize("case", [*HDF5, "no UTF-8"])
def test_hostile_hdf5(tmp_path, case):
    path = tmp_path / "a.h5"
    write_trajectories(make_trajectories(), path)
    write_trajectories(make_trajectories(), tmp_path / "other.h5")
    with h5py.File(path, "a") as file:
        words = change_hdf5(file, case, tmp_path)
    with pytest.raises(InputError, match=words) as error:
        read_trajectories(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()


def test_strings_of_varying_length_are_read_apart(tmp_path, monkeypatch):
    path, known = tmp_path / "a.h5", make_trajectories()
    with h5py.File(path, "w") as file:
        file["features"] = known.features
        file.attrs.update(system="swarm", feature_names=list(known.feature_names), frame_interval=0.5)
    read = read_trajectories(path)
    assert (read.system, read.feature_names, read.frame_interval) == ("swarm", known.feature_names, 0.5)
    functions = []
    monkeypatch.setattr(array_files, "call_isolated", lambda function, *_: functions.append(function) or [{}])
    read_trajectories(path)
    assert functions == [array_files.read_attributes]


def test_a_place_that_cannot_be_read_or_written(tmp_path):
    os.mkfifo(tmp_path / "loc_train_springs3.npy")
    with pytest.raises(InputError, match="found no such file"):
        read_splits(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        cache_trajectories(tmp_path / "file", "springs", {}, make_trajectories)


def test_what_numpy_writes_is_read(tmp_path):
    values = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    for kind in (">f8", "<f4", "<i2", "|u1", "|b1"):
        np.save(tmp_path / "a.npy", values.astype(kind))
        np.testing.assert_array_equal(array_files.read_npy(tmp_path / "a.npy"), values.astype(kind))
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version=(2, 0))
    (tmp_path / "a.npy").write_bytes(stream.getvalue())
    np.testing.assert_array_equal(array_files.read_npy(tmp_path / "a.npy"), values)
