"""Reads a study's files in a process of their own, so that no file can stop, fill or crash the program.

Damage that HDF5 cannot see (a heap of variable-length strings that points into itself) loops within the library, where
no thread of the same process can reach it, or ends the process; a small file may unpack to many times the memory. The
process that reads (`reading_process`) has limits of time and memory, and hands over plain numbers and text.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from wormjax.recordings import hdf5, transport
from wormjax.recordings.recording import Recording, RecordingError

SECONDS = 3.0  # Of processor time, whatever the size; a recording of a few MB is read in a tenth of that.
SECONDS_PER_BYTE = 1 / 4e6  # Twenty times what the published files need.
MEMORY = 3 << 29  # Bytes, whatever the size; the process itself takes a fifth of that.
MEMORY_PER_BYTE = 6  # Compression, a copy with frames first, derivatives.
LIMITS = {
    "seconds": SECONDS,
    "seconds_per_byte": SECONDS_PER_BYTE,
    "memory": MEMORY,
    "memory_per_byte": MEMORY_PER_BYTE,
}
START_SECONDS = 120.0  # Until Python runs, on a machine that is busy or whose disk is far.
# Seconds on the clock for one of processor time; the clock is all there is where the system sets no limits.
PATIENCE = 10 if os.name == "posix" else 1
PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read_isolated(study: str, path: str | os.PathLike, limits: dict[str, float] | None = None) -> tuple[Recording, ...]:
    """Reads a study's recordings, as the study's own reader does, in a process of their own.

    Args:
      study: a name of wormjax.recordings.catalog.READERS.
      path: the file or folder.
      limits: in place of `LIMITS`.
    Raises:
      RecordingError: a file cannot be used; or reading it hangs, crashes or takes too much memory.
    """
    with start_process() as process:
        return tuple(receive_recordings(process, study, os.fspath(path), limits or LIMITS))


@contextlib.contextmanager
def start_process() -> Iterator[subprocess.Popen]:
    """A process that reads, ready to be asked; it is ended on leaving."""
    command = [sys.executable, "-P", "-m", "wormjax.recordings.reading_process"]
    # The package may be known to this process by its current folder alone. More threads only cost memory.
    folders = [PACKAGE_FOLDER, *filter(None, [os.environ.get("PYTHONPATH")])]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Large arrays go back to the system when they are let go, not to a heap that stays.
    own = {"PYTHONPATH": os.pathsep.join(folders), "MALLOC_MMAP_THRESHOLD_": "1048576"}
    environment = os.environ | one_thread | own
    with tempfile.TemporaryFile() as errors:
        try:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
            process = subprocess.Popen(command, env=environment, **pipes)
        except OSError as error:
            raise RecordingError(f"data.path: cannot start a process to read the files ({error.strerror})") from None
        try:
            with _watch(process) as allow:
                allow(START_SECONDS)
                ready = "ready" in _receive(process)
            if not ready:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing said"]
                raise RecordingError(f"data.path: the process that reads the files did not start ({said[-1]})")
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            with contextlib.suppress(OSError):
                process.stdin.close()


def receive_recordings(
    process: subprocess.Popen, study: str, path: str, limits: dict[str, float]
) -> Iterator[Recording]:
    """Asks a process for a study's recordings, and yields them as they come.

    Raises:
      RecordingError: see `read_isolated`. Where the process has ended, `process.returncode` is set.
    """
    with contextlib.suppress(OSError):  # A process that is gone is noticed below.
        process.stdin.write(json.dumps({"study": study, "path": path} | limits).encode() + b"\n")
        process.stdin.flush()
    file, seconds = path, limits["seconds"]
    with _watch(process) as allow:
        while True:
            late = allow(PATIENCE * seconds)
            message = _receive(process)
            if "opened" in message:
                file = message["opened"]
                seconds += message["bytes"] * limits["seconds_per_byte"]
            elif "recording" in message:
                yield message["recording"]
            elif "done" in message:
                return
            elif "error" in message:
                raise RecordingError(message["error"])
            else:
                raise RecordingError(f"{file}: {_describe_end(process, message, seconds, late.is_set())}")


@contextlib.contextmanager
def _watch(process: subprocess.Popen) -> Iterator[Callable[[float], threading.Event]]:
    """A function that gives the process so many seconds from now; the event that it returns is set where it was late.

    A thread of its own ends a process that is late, since a pipe cannot be read with a limit of time everywhere.
    """
    done, late = threading.Event(), threading.Event()
    deadline = [float("inf")]

    def wait() -> None:
        while not done.wait(min(max(0.0, deadline[0] - time.monotonic()), 1.0)):
            if time.monotonic() >= deadline[0]:
                late.set()
                process.kill()
                return

    def allow(seconds: float) -> threading.Event:
        deadline[0] = time.monotonic() + seconds
        return late

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield allow
    finally:
        done.set()
        thread.join()


def _receive(process: subprocess.Popen) -> dict[str, Any]:
    """The next message, with its recording made; {} where the process has ended."""
    try:
        message = transport.receive_message(process.stdout)
        if "recording" in message:
            message["recording"] = transport.receive_recording(process.stdout, message["recording"])
        return message
    except EOFError:
        process.kill()  # It may still run, and have sent what is no answer.
        process.wait()
        return {}


def _describe_end(process: subprocess.Popen, message: dict[str, Any], seconds: float, late: bool) -> str:
    """What is wrong with a file whose reading did not come to its end."""
    if "unexpected" in message:
        return f"found a file that cannot be read ({message['unexpected']}), expected a whole one"
    if "memory" in message:
        return hdf5.TOO_LARGE
    if late or process.returncode == -getattr(signal, "SIGXCPU", 1 << 31):
        return f"found a file that could not be read within {seconds:.0f} s, expected a whole one: is it damaged?"
    return f"found a file that ends the HDF5 library (exit code {process.returncode}), expected a whole one"
