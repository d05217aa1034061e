"""Write decoded states as behavioural time series of an NWB file (`pip install 'wormjax[nwb]'`)."""

import datetime
import os
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
    names = ", ".join(decoding.state_names)
    known = np.isfinite(decoding.probabilities).all(axis=1)
    series = pynwb.behavior.BehavioralTimeSeries(
        time_series=[
            pynwb.TimeSeries(
                name="state_probabilities",
                description=f"probability of each motor state: {names}; {model}",
                data=decoding.probabilities,
                unit="probability",
                timestamps=decoding.times,
            ),
            pynwb.TimeSeries(
                name="decoded_state",
                description=f"most probable motor state, counted from 0: {names}; -1 in frames that were not decoded",
                data=np.where(known, np.nan_to_num(decoding.probabilities).argmax(axis=1), -1),
                unit="state",
                timestamps=decoding.times,
            ),
        ]
    )
    file.create_processing_module("behavior", "decoded behaviour").add(series)
    with open_place(Path(path)) as beside, pynwb.NWBHDF5IO(str(beside), "w") as writer:
        writer.write(file)
