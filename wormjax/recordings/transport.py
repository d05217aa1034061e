"""A Recording on its way from one process to another: a line of JSON, then the bytes of its arrays. No pickle.

What arrives is made into a Recording anew, and so is checked anew.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from wormjax.recordings.recording import Recording

TEXT_FIELDS = ("study", "worm", "neuron_names", "ambiguous_names", "state_names", "stretches", "trace_units", "source")
ARRAY_FIELDS = ("traces", "times", "motor_state", "derivatives")
LONGEST_LINE = 1 << 28  # Bytes.


def send_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Writes one line of JSON."""
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def receive_message(stream: BinaryIO) -> dict[str, Any]:
    """The next line of JSON.

    Raises:
      EOFError: the stream ended, or holds no such line.
    """
    line = stream.readline(LONGEST_LINE)
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not line.endswith(b"\n") or not isinstance(message, dict):
        raise EOFError("found no message")
    return message


def send_recording(stream: BinaryIO, recording: Recording) -> None:
    """Writes a recording: its message, then its arrays one after the other."""
    arrays = list(_list_arrays(recording))
    header = {name: getattr(recording, name) for name in TEXT_FIELDS}
    header["arrays"] = [[name, array.dtype.str, array.shape] for name, array in arrays]
    send_message(stream, {"recording": header})
    for _, array in arrays:
        stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.flush()


def receive_recording(stream: BinaryIO, header: dict[str, Any]) -> Recording:
    """The recording that follows the message `{"recording": header}`.

    Raises:
      EOFError: the stream ended before the recording did.
      RecordingError: it is not a valid recording.
    """
    arrays = {name: _receive_array(stream, dtype, shape) for name, dtype, shape in header["arrays"]}
    behavior = {name.removeprefix("behavior/"): array for name, array in arrays.items() if "/" in name}
    texts = {name: header[name] for name in TEXT_FIELDS} | {
        "neuron_names": tuple(header["neuron_names"]),
        "ambiguous_names": tuple(map(tuple, header["ambiguous_names"])),
        "state_names": tuple(header["state_names"]),
        "stretches": tuple(map(tuple, header["stretches"])),
    }
    return Recording(**texts, **{name: arrays.get(name) for name in ARRAY_FIELDS}, behavior=behavior)


def _list_arrays(recording: Recording) -> Iterator[tuple[str, np.ndarray]]:
    for name in ARRAY_FIELDS:
        if getattr(recording, name) is not None:
            yield name, getattr(recording, name)
    for name, values in recording.behavior.items():
        yield f"behavior/{name}", np.asarray(values)


def _receive_array(stream: BinaryIO, dtype: str, shape: list[int]) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind not in "biuf" or min(shape, default=0) < 0:
        raise EOFError("found no array of numbers")
    content = np.empty(math.prod(shape) * kind.itemsize, np.uint8)
    if content.size and stream.readinto(content.data) != content.size:
        raise EOFError("found half an array")
    return content.view(kind).reshape(shape)
