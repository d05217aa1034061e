"""Write decoded states as behavioural time series of an NWB file (`pip install 'wormjax[nwb]'`)."""

import datetime
import os
from functools import partial
from pathlib import Path

import numpy as np

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.instrument.results import Decoding

UNKNOWN_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)  # NWB requires one, and recordings seldom have it.


def expect_pynwb() -> None:
    """Raise InputError where pynwb is not installed."""
    try:
        import pynwb  # noqa: F401
    except ImportError:
        raise InputError("--nwb: found no package pynwb, expected it: pip install 'wormjax[nwb]'") from None


def write_nwb(path: str | os.PathLike, decoding: Decoding, model: str) -> None:
    """Write the probabilities and the decoded state per frame, below processing/behavior/BehavioralTimeSeries.

    Args:
      path: the file, which appears under its name when it is complete.
      decoding: of `Decoder.decode`.
      model: what decoded it, for the description.
    """
    import pynwb

    file = pynwb.NWBFile(
        session_description=f"motor states of {decoding.worm}, decoded by wormjax",
        identifier=decoding.worm,
        session_start_time=UNKNOWN_START,
    )
    names, values = ", ".join(decoding.state_names), decoding.probabilities
    best = np.where(np.isfinite(values).all(axis=1), np.nan_to_num(values).argmax(axis=1), -1)
    numbered = f"most probable motor state, counted from 0: {names}; -1 in frames that were not decoded"
    of_frames = partial(pynwb.TimeSeries, timestamps=decoding.times)
    chances = f"probability of each motor state: {names}; {model}"
    series = [
        of_frames(name="state_probabilities", description=chances, data=values, unit="probability"),
        of_frames(name="decoded_state", description=numbered, data=best, unit="state"),
    ]
    behavior = file.create_processing_module("behavior", "decoded behaviour")
    behavior.add(pynwb.behavior.BehavioralTimeSeries(time_series=series))
    with open_place(Path(path)) as beside, pynwb.NWBHDF5IO(str(beside), "w") as writer:
        writer.write(file)
