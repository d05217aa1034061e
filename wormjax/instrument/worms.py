"""load and simulate_worms: recordings to train on and to decode or forecast."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from wormjax.instrument.settings import take_path
from wormjax.recordings import catalog
from wormjax.recordings.recording import Recording
from wormjax.simulation import worms as simulation


def simulate_worms(worms: int = 4, minutes: float = 10.0, seed: int = 0) -> tuple[Recording, ...]:
    """Return simulated worms with scored motor states, which share a wiring and differ in almost everything else.

    Args:
      worms: how many.
      minutes: length of each recording.
      seed: the same seed gives the same worms.

    Examples:
      >>> worms = wormjax.simulate_worms(4, minutes=4.0)
      >>> worms[0].traces.shape
      (646, 20)
    """
    return simulation.simulate_worms(seed, worms, minutes).recordings


def load(
    reader: str, path: str | os.PathLike | Sequence[str | os.PathLike] | None = None, **options: Any
) -> tuple[Recording, ...]:
    """Return the recordings of a file or a folder, or of a list of them. A warning says what was odd and what was done.

    Args:
      reader: "kato2015", "nichols2017", "dag2023", "wormwideweb", "nwb", "csv", "npz", "container" (wormjax's own
        file), or "auto", which finds the reader by the files. May be left out: `load(path)`.
      path: the file or folder, or a list of them.
      options: `frame_rate` (hertz) of "csv" and "npz" files without times; `series` and `labels` of "nwb".

    Raises:
      InputError: no such file, or one that cannot be used; the message says how to mend it.

    Examples:
      >>> worms = wormjax.load("kato2015", "WT_NoStim.mat")
      >>> worms = wormjax.load("recordings/worm.csv", frame_rate=3.0)
    """
    reader, path = (catalog.AUTO, reader) if path is None else (reader, path)
    paths = list(path) if isinstance(path, list | tuple) and path else [path]
    worms = [worm for one in paths for worm in catalog.open_study(reader, take_path(one), **options)]
    if options.get("frame_rate"):  # A recording says where its times contradict it.
        worms = [dataclasses.replace(worm, frame_rate=options["frame_rate"]) for worm in worms]
    return tuple(worms)
