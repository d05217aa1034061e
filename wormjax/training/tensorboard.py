"""Curves for TensorBoard, written as they come: an error of the disk reaches the caller, and no thread waits.

tensorboardX's own SummaryWriter hands its events to a thread; where that thread meets a full disk it dies, and the next
events wait for ever. Its EventsWriter, which is used here, writes them at once.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar


@contextlib.contextmanager
def open_curves(folder: str | os.PathLike, first: int = 0) -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """A function that adds a point to each curve: (name → value, step).

    Args:
      folder: receives a file of events.
      first: hides what earlier files of the folder have from this step on.
    """
    os.makedirs(folder, exist_ok=True)
    writer = EventsWriter(os.path.join(folder, "events"), f".{os.getpid()}")

    def write(values: Mapping[str, float], step: int):
        for name, value in values.items():
            writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        writer.flush()

    try:
        writer.write_event(Event(wall_time=time.time(), step=first, session_log=SessionLog(status=SessionLog.START)))
        yield write
    except BaseException:
        with contextlib.suppress(OSError):  # Where the disk is full, that has been said.
            writer.close()
        raise
    writer.close()
