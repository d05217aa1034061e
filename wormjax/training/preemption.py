"""SIGTERM and Ctrl-C: training saves and ends, everything else just ends; the same command then goes on.

A machine that is to be taken away sends SIGTERM and soon after SIGKILL. Training ends at the next chunk of updates and
saves it. Where a chunk takes longer than `GRACE_SECONDS`, Python is deep in a compiled program and receives nothing: a
thread then saves the last chunk that was whole and ends the process.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 5.0
EXIT_CODES = {number: 128 + number for number in SIGNALS}  # As of a process that the signal itself has ended.

_received: list[int] = []  # Signals so far.
_training = threading.Event()  # Set while a loop looks at `stop_requested` by itself.
_saving = threading.RLock()
_last_chunk: list[Callable[[], None]] = []  # Saves the last whole chunk, where that is not on the disk yet.


class Stopped(BaseException):
    """The process was asked to end. No Exception: nothing that goes on after errors may swallow it."""


def stop_on_signals() -> None:
    """From now on `SIGNALS` end the process in good order; to be called once, in the main thread of a program."""
    wake_up, given = os.pipe()
    os.set_blocking(given, False)
    signal.set_wakeup_fd(given, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _note)
    threading.Thread(target=_watch, args=(wake_up,), daemon=True).start()


def stop_requested() -> bool:
    """Whether the process has been asked to end."""
    return bool(_received)


def describe_stop() -> str:
    """What has ended the process, and how to go on: one line."""
    name = signal.Signals(_received[0]).name if _received else "another process, which was asked to end"
    return f"stopped by {name}; nothing that was saved is lost: the same command goes on from there"


def exit_code() -> int:
    """The process's exit code after a stop; of SIGTERM where another process received it."""
    return EXIT_CODES[_received[0] if _received else signal.SIGTERM]


@contextlib.contextmanager
def stopping_at_chunks() -> Iterator[None]:
    """Within it a signal raises nothing: the loop asks `stop_requested` after each chunk, and saves."""
    _training.set()
    try:
        yield
    finally:
        _training.clear()
        keep_last_chunk(None)


def keep_last_chunk(save: Callable[[], None] | None) -> None:
    """What saves the last whole chunk, in case that the process must end before the next is one; None: nothing new."""
    with _saving:
        _last_chunk[:] = [] if save is None else [save]


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """While a checkpoint is written within it, the process is not ended."""
    with _saving:
        yield


def _note(number: int, frame: FrameType | None) -> None:
    """The handler, which Python calls in the main thread between two of its steps."""
    again = bool(_received)
    _received.append(number)
    if again or not _training.is_set():
        raise Stopped


def _watch(wake_up: int) -> None:
    """Waits for a signal's byte, which comes even where the main thread is within a compiled program."""
    while (number := os.read(wake_up, 1)[0]) not in SIGNALS:
        pass
    time.sleep(GRACE_SECONDS)
    with _saving:  # The main thread may be saving already: then it ends by itself, soon after.
        if not _received:
            _received.append(number)
        if _last_chunk:
            _last_chunk.pop()()
    sys.stderr.write(f"\n{describe_stop()}\n")
    sys.stderr.flush()
    os._exit(exit_code())
