"""The process in which files are read: `python -m wormjax.recordings.reading_process`, started by `isolation`.

A line of JSON on standard input asks for a study, its path and the limits. The answers on standard output: `opened`
before each file, `recording` for each worm with its arrays behind it (see `transport`), and last `done`, `error` (the
one line for the user), `memory` (more was needed than there is) or `unexpected` (an exception that
no reader should let through).

Each file that is opened adds to the limits in proportion to its size. The system holds them: what loops within the HDF5
library is ended by the limit of processor time, which a busy machine does not use up, and what asks for too much
memory is refused it. Only numpy and h5py are imported here, so that the process starts in a third of a second.
"""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from wormjax.errors import InputError
from wormjax.recordings import container, hdf5, transport
from wormjax.recordings.catalog import READERS
from wormjax.recordings.recording import Recording

try:
    import resource
except ImportError:  # Not a Unix: `isolation` holds the limit of time from outside.
    resource = None


def answer(request: dict[str, Any], stream: BinaryIO) -> None:
    """Reads a study's files and sends what they hold.

    Args:
      request: `study`, `path`; the limits `seconds`, `memory` (bytes), and what a file adds to them for each of its
        bytes: `seconds_per_byte`, `memory_per_byte`.
      stream: where the answers go.
    """
    limit = {"seconds": time.process_time() + request["seconds"], "memory": request["memory"]}
    _set_limits(limit)

    def allow_more(path: str) -> None:
        try:
            size = os.path.getsize(path)
        except OSError:
            size = 0
        limit["seconds"] += size * request["seconds_per_byte"]
        limit["memory"] += size * request["memory_per_byte"]
        _set_limits(limit)
        transport.send_message(stream, {"opened": path, "bytes": size})

    hdf5.OPENED[:] = [allow_more]
    try:
        for recording in _iterate(request["study"], request["path"]):
            transport.send_recording(stream, recording)
        last = {"done": True}
    except InputError as error:
        last = {"error": str(error)}
    except MemoryError:
        last = {"memory": "exceeded"}
    except Exception as error:  # The last net: a user meets one line, the tests look for this word.
        last = {"unexpected": f"{type(error).__name__}: {error}"}
    transport.send_message(stream, last)


def _iterate(study: str, path: str) -> Iterator[Recording]:
    """The study's recordings; each is let go before the next is made, or as soon as it is sent."""
    if study == "container":
        yield from container.iterate(path)
        return
    worms = list(READERS[study].read(path))
    while worms:
        yield worms.pop(0)


def _set_limits(limit: dict[str, float]) -> None:
    """The limits of this process: processor seconds since it began, bytes of address space; no core is dumped."""
    if resource is None:
        return
    for name, most in (("RLIMIT_CPU", limit["seconds"]), ("RLIMIT_AS", limit["memory"]), ("RLIMIT_CORE", 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit of memory; a lower one may be in force.
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            soft = math.ceil(most) if hard == resource.RLIM_INFINITY else min(math.ceil(most), hard)
            resource.setrlimit(kind, (soft, hard))


def main() -> None:
    """Answers requests until there are no more."""
    # Only answers may stand on standard output: whatever a library prints there goes to standard error.
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    transport.send_message(stream, {"ready": True})
    for line in sys.stdin.buffer:
        answer(json.loads(line), stream)


if __name__ == "__main__":
    main()
