"""Files are read in a process of their own: one that hangs, crashes or fills the process ends in one line here."""

import io
import os
import pathlib
import subprocess
import sys
import time
import zlib

import h5py
import numpy as np
import pytest
import recording_files

from wormjax.recordings import container, isolation
from wormjax.recordings.catalog import READERS, open_study
from wormjax.recordings.recording import Recording, RecordingError

ROOT = pathlib.Path(__file__).parents[2]
# Runs in place of h5py.File in the reading process, where a file's name begins with "bad".
FAULTS = {
    "loops": "while True: pass",
    "sleeps": "time.sleep(60)",
    "crashes": "ctypes.string_at(0)",
    "exits": "os._exit(0)",
    "fills": "bytearray(8 << 30)",
    "raises": "raise StopIteration('what?\\n\\x1b[2J')",
    "nonsense": "os.write(answers, b'\\xff{[\\n')",
}
FAULTY = """
import ctypes, os, sys, time, h5py
answers = 0
plain, dup = h5py.File, os.dup
def remember(number):
    global answers
    answers = dup(number)
    return answers
os.dup = remember
def File(path, mode):
    if os.path.basename(path).startswith("bad"):
        FAULT
    os.write(1, b"noise\\n")
    print("noise", flush=True)
    return plain(path, mode)
h5py.File = File
"""


def make(worm="w", **fields):
    traces = np.random.default_rng(0).normal(size=(10, 2))
    return Recording("s", worm, traces, np.arange(10.0), ("AVAL", None), **fields)


def plant_fault(folder: pathlib.Path, monkeypatch, fault: str) -> None:
    """Make the reading process run a fault when it opens a file."""
    (folder / "start").mkdir()
    (folder / "start" / "sitecustomize.py").write_text(FAULTY.replace("FAULT", fault))
    monkeypatch.setenv("PYTHONPATH", str(folder / "start"))


def read_bad(path, monkeypatch) -> str:
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    before = time.monotonic()
    with pytest.raises(RecordingError) as caught:
        open_study("container", path)
    assert time.monotonic() - before < 30  # One second of a processor that is shared with other tests.
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("loops", "found a file that could not be read within 1 s, expected a whole one"),
        ("sleeps", "found a file that could not be read within 1 s, expected a whole one"),
        ("crashes", "found a file that ends the HDF5 library (exit code -"),
        ("exits", "found a file that ends the HDF5 library (exit code 0)"),
        ("fills", "found more than the memory can hold, expected a smaller recording"),
        ("raises", "found a file that cannot be read (RuntimeError: generator raised StopIteration), expected a whole"),
        ("nonsense", "found a file that ends the HDF5 library"),
    ],
)
def test_an_error_names_the_file_whose_reading_ends(fault, words, tmp_path, monkeypatch):
    for name in ("a", "bad", "c"):
        container.write(tmp_path / "in" / f"{name}.h5", [make(name)])
    plant_fault(tmp_path, monkeypatch, FAULTS[fault])
    if fault == "sleeps":
        monkeypatch.setattr(isolation, "START_SECONDS", 4.0)
        monkeypatch.setattr(isolation, "PATIENCE", 1)
    message = read_bad(tmp_path / "in", monkeypatch)
    assert words in message
    assert message.startswith(f"{tmp_path / 'in' / 'bad.h5'}: ")
    os.remove(tmp_path / "in" / "bad.h5")
    assert [worm.worm for worm in open_study("container", tmp_path / "in")] == ["a", "c"]


def test_a_file_that_is_opened_after_unreadable_output_is_not_blamed():
    """The worker may open the next file before it is ended."""
    sent = [b'{"opening": "a"}', b'{"fields": {}, "arrays": []}', b'{"opening": "bad"}', b"\xff{[", b'{"opening": "c"}']
    results, opened = [], []
    assert isolation._receive_results(io.BytesIO(b"\n".join(sent)), results, opened) == {}
    assert results == [{}]
    assert opened == ["a", "bad"]


def test_recordings_arrive_as_the_reader_returns_them(tmp_path):
    recording_files.write_kato(tmp_path / "kato.mat")
    recording_files.write_nichols(tmp_path / "nichols.mat")
    recording_files.write_dag(tmp_path / "dag")
    behavior = {"pumping": np.full(10, np.nan), "a b": np.arange(10)}
    own = make(behavior=behavior, stretches=((0, 4), (5, 10)), motor_state=np.zeros(10, np.int8), state_names=("f ä",))
    container.write(tmp_path / "own.h5", [own, make("é")])
    paths = {"kato2015": "kato.mat", "nichols2017": "nichols.mat", "dag2023": "dag", "container": "own.h5"}
    for study, path in paths.items():
        expected = READERS[study].read(tmp_path / path)
        for found, whole in zip(open_study(study, tmp_path / path), expected, strict=True):
            for field in Recording.__dataclass_fields__:
                assert_same(getattr(found, field), getattr(whole, field))


def assert_same(found, expected):
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert type(found) is type(expected)


def test_nothing_beside_the_file_is_run(tmp_path, monkeypatch):
    """Python looks for modules in the current folder first, where a download may have left anything."""
    container.write(tmp_path / "c.h5", [make()])
    for name in ("numpy", "h5py", "json", "wormjax"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert open_study("container", "c.h5")[0].worm == "w"


def test_the_process_starts_without_jax():
    modules = "wormjax.recordings.isolation, wormjax.recordings.catalog, wormjax.simulation.array_files"
    program = f"import sys, {modules}; print('jax' in sys.modules, 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_system_without_limits_reads_files(tmp_path, monkeypatch):
    """Windows has no module `resource`."""
    container.write(tmp_path / "c.h5", [make()])
    plant_fault(tmp_path, monkeypatch, "")
    (tmp_path / "start" / "sitecustomize.py").write_text("import sys; sys.modules['resource'] = None")
    assert open_study("container", tmp_path / "c.h5")[0].worm == "w"


@pytest.mark.parametrize("mode", ["r+", "w"])
def test_a_file_that_another_program_holds_open_is_locked_not_damaged(mode, tmp_path):
    container.write(tmp_path / "c.h5", [make()])
    program = "import h5py, sys; file = h5py.File(sys.argv[1], sys.argv[2]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(tmp_path / "c.h5"), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(RecordingError, match=r"c\.h5: found a locked file: another program holds it open"):
            open_study("container", tmp_path / "c.h5")


def test_an_error_names_a_process_that_does_not_start(tmp_path, monkeypatch):
    container.write(tmp_path / "c.h5", [make()])
    plant_fault(tmp_path, monkeypatch, "")
    (tmp_path / "start" / "sitecustomize.py").write_text("import os; os.write(2, b'no room\\n'); os._exit(3)")
    with pytest.raises(RecordingError, match=r"did not start \(no room\)"):
        open_study("container", tmp_path / "c.h5")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(RecordingError, match="cannot start a process"):
        open_study("container", tmp_path / "c.h5")


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    """1.9 GB of zeros, deflated to 2 MB; as large as the readers allow."""
    container.write(tmp_path / "c.h5", [make()])
    rows = 1 << 14
    block = zlib.compress(bytes(rows * 128 * 8), 9)
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file["worm_1/traces"]
        shape = (rows * 118, 128)
        traces = file.create_dataset("worm_1/traces", shape, "f8", chunks=(rows, 128), compression="gzip")
        for row in range(0, shape[0], rows):
            traces.id.write_direct_chunk((row, 0), block)
    assert os.path.getsize(tmp_path / "c.h5") < 3e6
    message = read_bad(tmp_path / "c.h5", monkeypatch)
    assert message.startswith(str(tmp_path / "c.h5"))
    assert "found more than the memory can hold, expected a smaller recording" in message


def test_a_worm_in_two_files_of_a_folder_is_refused(tmp_path):
    for name in "ab":
        container.write(tmp_path / f"{name}.h5", [make()])
    with pytest.raises(RecordingError, match="worm 'w' twice"):
        open_study("container", tmp_path)


@pytest.mark.slow
def test_time_grows_with_size_and_memory_is_not_doubled(tmp_path):
    """20,000 frames of 300 neurons in float32, a container a worm: 24 MB each."""
    traces = np.random.default_rng(0).normal(size=(20_000, 300)).astype(np.float32)
    names = (None,) * 300
    for number in range(40):
        worm = Recording("s", f"w{number:02d}", traces, np.arange(20_000) / 3, names)
        container.write(tmp_path / f"{40 if number >= 10 else 10}" / f"{number:02d}.h5", [worm])
    program = (
        "import resource, sys, time\n"
        "from wormjax.recordings.catalog import open_study\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = time.perf_counter(); worms = open_study('container', sys.argv[1])\n"
        "held = sum(worm.traces.nbytes for worm in worms) / 1024\n"
        "print(time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / held,\n"
        "      resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    seconds = {}
    for count in (10, 40):
        command = [sys.executable, "-c", program, str(tmp_path / str(count))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds[count], parent, child = map(float, done.stdout.split())
        print(count, seconds[count], parent, child)
        assert parent < 1.3
        assert child < 400_000  # KB: one worm, not all.
    assert seconds[40] < 6 * seconds[10]
