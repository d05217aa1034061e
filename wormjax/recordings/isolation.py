"""Read files in a process of its own, so that no file can hang, crash or fill the program.

A damaged heap of variable-length strings sends the HDF5 library into an endless loop or ends the process, and a small
file may unpack to many times the memory. The worker, `python -m wormjax.recordings.isolation`, limits its own processor
time and memory where the system can (not on Windows); a limit on the clock holds everywhere. It sends one line of JSON
per file that it opens and per result, which the bytes of its arrays follow: what it was reading when it ended is known
from the order. Nothing is pickled, and JAX is not imported.
"""

import contextlib
import importlib
import itertools
import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wormjax.errors import InputError, RecordingWarning, note
from wormjax.recordings.faults import TOO_LARGE, RecordingError

SECONDS, SECONDS_PER_BYTE = 3.0, 1 / 4e6  # Processor time; the published files need a twentieth of it.
MEMORY, MEMORY_PER_BYTE = 3 << 29, 6  # Bytes; Python, NumPy and h5py take a fifth of the first.
START_SECONDS, PATIENCE = 60.0, 10  # On the clock: to start Python, and for each second of processor time.
PACKAGE_FOLDER = str(Path(__file__).parents[2])


def call_isolated(function: Callable[..., Iterable[dict]], path: str | os.PathLike, *arguments) -> list[dict[str, Any]]:
    """Return the results of `function(path, *arguments)`, called in a process of its own.

    Each result is a dictionary of arrays and of values that JSON can hold, as it must the arguments; tuples arrive as
    lists. The size of the file or folder sets the limits. RecordingError where the function refused the file; or
    reading it hung, crashed or took too much memory.
    """
    path = Path(path)
    files = itertools.islice(path.rglob("*"), 100_000) if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    seconds = SECONDS + SECONDS_PER_BYTE * size
    limits = [seconds, MEMORY + MEMORY_PER_BYTE * size]
    request = json.dumps([function.__module__, function.__name__, [os.fspath(path), *arguments], *limits])
    command = [sys.executable, "-P", "-m", "wormjax.recordings.isolation", request]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment["PYTHONPATH"] = os.pathsep.join([PACKAGE_FOLDER, *filter(None, [os.environ.get("PYTHONPATH")])])
    deadline = time.monotonic() + START_SECONDS + PATIENCE * seconds
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            worker = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        except OSError as error:
            raise RecordingError(f"data.path: cannot start a process to read the files ({error.strerror})") from None
        timer = threading.Timer(deadline - time.monotonic(), worker.kill)
        timer.start()
        results: list[dict[str, Any]] = []
        opened: list[str] = []
        try:
            end = _receive_results(worker.stdout, results, opened)
        finally:
            timer.cancel()
            worker.kill()
            worker.wait()
            worker.stdout.close()
        log.seek(0)
        lines = log.read().splitlines()
    if "error" in end:
        raise RecordingError(end["error"])
    if "done" in end:
        return results
    if not opened:
        said = lines[-1] if lines else "no output"
        raise RecordingError(f"data.path: the process that reads the files did not start ({said})")
    if time.monotonic() > deadline or worker.returncode == -getattr(signal, "SIGXCPU", math.inf):
        problem = f"found a file that could not be read within {seconds:.0f} s, expected a whole one: is it damaged?"
    else:
        ended = f"found a file that ends the HDF5 library (exit code {worker.returncode}), expected a whole one"
        problem = end.get("problem", ended)
    raise RecordingError(f"{opened[-1]}: {problem}")


def _receive_results(stream: BinaryIO, results: list[dict[str, Any]], opened: list[str]) -> dict[str, Any]:
    """Append the results and the opened files that a worker sends; return its last message, {} where it sent none."""
    with contextlib.suppress(ValueError):  # A line that is not JSON: the worker was cut off.
        while line := stream.readline():
            message = json.loads(line)
            if "warning" in message:
                note(message["warning"])
                continue
            if "opening" in message:
                opened.append(message["opening"])
                continue
            if "fields" not in message:
                return message
            for name, dtype, shape in message["arrays"]:
                message["fields"][name] = np.empty(shape, dtype)
                stream.readinto(message["fields"][name].reshape(-1).view(np.uint8))
            results.append(message["fields"])
    return {}


def _send_result(stream: BinaryIO, fields: dict[str, Any]) -> None:
    arrays = {name: np.ascontiguousarray(value) for name, value in fields.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in fields.items() if name not in arrays}
    header = {"fields": plain, "arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()]}
    stream.write(json.dumps(header).encode() + b"\n")
    for array in arrays.values():
        stream.write(array.reshape(-1).view(np.uint8))


def _limit_process(seconds: float, memory: float) -> None:
    """Limit this process's processor time from now on (seconds) and its address space (bytes); dump no core."""
    try:
        import resource
    except ImportError:  # Windows: the caller's limit on the clock has to do.
        return
    for kind, limit in (("RLIMIT_CPU", time.process_time() + seconds), ("RLIMIT_AS", memory), ("RLIMIT_CORE", 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS does not limit memory; a lower limit may be in force.
            hard = resource.getrlimit(getattr(resource, kind))[1]
            resource.setrlimit(getattr(resource, kind), (math.ceil(limit), hard))


def main(module: str, name: str, arguments: list, seconds: float, memory: float) -> None:
    """Call a function and send its results to standard output; other output goes to standard error."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message).encode() + b"\n")
        stream.flush()  # At once: the process may end while it reads the file that it opens.

    def send_opened(record: logging.LogRecord) -> None:
        if record.getMessage().startswith("opening "):
            send({"opening": record.getMessage().removeprefix("opening ")})

    def send_warning(message, category, *place, **more) -> None:
        if issubclass(category, RecordingWarning):  # The caller gives it again.
            send({"warning": str(message)})

    logger, handler = logging.getLogger("wormjax"), logging.Handler()
    handler.emit = send_opened
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    function = getattr(importlib.import_module(module), name)
    warnings.simplefilter("always")
    warnings.showwarning = send_warning
    _limit_process(seconds, memory)
    try:
        for fields in function(*arguments):
            _send_result(stream, fields)
        end = {"done": True}
    except InputError as error:
        end = {"error": str(error)}
    except MemoryError:
        end = {"problem": TOO_LARGE}
    except Exception as error:
        found = f"found a file that cannot be read ({type(error).__name__}: {error})"
        end = {"problem": f"{found}, expected a whole one"}
    send(end)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
