"""SIGTERM and Ctrl-C: training saves and ends, everything else just ends; the same command then goes on.

A machine that is to be taken away sends SIGTERM and soon after SIGKILL. Training ends at the next chunk of updates and
saves it. Where a chunk takes longer than `GRACE_SECONDS`, Python is deep in a compiled program and receives nothing: a
thread then saves the last chunk that was whole and ends the process. Where the signal comes within a destructor, which
can raise nothing, the thread sends it again.
"""

import contextlib
import dataclasses
import functools
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


@dataclasses.dataclass
class _Stop:
    """Where this process stands: signals are of a process, and so is this."""

    received: int | None = None  # The first signal.
    in_training: bool = False  # Whether a loop looks at `stop_requested` by itself.
    save: Callable[[], None] | None = None  # Saves the last whole chunk, where that is not on the disk yet.
    saving: threading.RLock = dataclasses.field(default_factory=threading.RLock)  # Held while a checkpoint is written.
    swallowed: bool = False  # Whether Python has dropped the `Stopped` that the signal raised.


_stop = _Stop()


class Stopped(BaseException):
    """The process was asked to end. No Exception: nothing that goes on after errors may swallow it."""


def stop_on_signals() -> None:
    """End the process in good order on `SIGNALS` from now on; to be called once, in the main thread of a program."""
    wake_up, given = os.pipe()
    os.set_blocking(given, False)
    signal.set_wakeup_fd(given, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _note)
    sys.unraisablehook = functools.partial(_note_dropped, others=sys.unraisablehook)
    threading.Thread(target=_watch, args=(wake_up,), daemon=True).start()


def stop_requested() -> bool:
    """Return whether the process has been asked to end."""
    return _stop.received is not None


def describe_stop() -> str:
    """Return what has ended the process, and how to go on: one line."""
    name = signal.Signals(_stop.received).name if _stop.received else "another process, which was asked to end"
    return f"stopped by {name}; nothing that was saved is lost: the same command goes on from there"


def exit_code() -> int:
    """Return the process's exit code after a stop; of SIGTERM where another process received it."""
    return EXIT_CODES[_stop.received or signal.SIGTERM]


@contextlib.contextmanager
def stopping_at_chunks() -> Iterator[None]:
    """Let a signal raise nothing: the loop within asks `stop_requested` after each chunk, and saves."""
    _stop.in_training = True
    try:
        yield
    finally:
        _stop.in_training = False
        keep_last_chunk(None)


def keep_last_chunk(save: Callable[[], None] | None) -> None:
    """Keep what saves the last whole chunk, in case that the process must end before the next; None: nothing new."""
    with _stop.saving:
        _stop.save = save


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Keep the process from being ended while a checkpoint is written within."""
    with _stop.saving:
        yield


def _note(number: int, frame: FrameType | None) -> None:
    """Note a signal; Python calls this handler in the main thread between two of its steps."""
    again = stop_requested()
    _stop.received = _stop.received or number
    if again or not _stop.in_training:
        raise Stopped


def _note_dropped(dropped, others: Callable) -> None:
    """Note a `Stopped` that Python drops and would print; all `others` are printed."""
    if dropped.exc_type is not Stopped:
        others(dropped)
        return
    _stop.swallowed = True  # Nothing follows: a signal raised from here would be dropped, too.


def _watch(wake_up: int) -> None:
    """Wait for a signal's byte, which comes even where the main thread is within a compiled program."""
    while (number := os.read(wake_up, 1)[0]) not in SIGNALS:
        pass
    ends = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < ends:
        time.sleep(0.05)
        if _stop.swallowed:
            _stop.swallowed = False
            signal.pthread_kill(threading.main_thread().ident, number)
    with _stop.saving:  # The main thread may be saving already: then it ends by itself, soon after.
        _stop.received = _stop.received or number
        if _stop.save is not None:
            _stop.save()
    sys.stderr.write(f"\n{describe_stop()}\n")
    sys.stderr.flush()
    os._exit(exit_code())
