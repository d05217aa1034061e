"""Open the recordings that a config names: a study's files, or simulated worms."""

import os

from wormjax.errors import ConfigError
from wormjax.recordings.catalog import open_study
from wormjax.recordings.recording import Recording
from wormjax.simulation.worms import KATO_NEURONS, choose_names, hide_names, simulate_worms

SIMULATED = "simulated"
DATA_DIR_VARIABLE = "WORMJAX_DATA_DIR"


def open_recordings(study: str, path: str, simulation, frame_rate: float = 0.0) -> tuple[Recording, ...]:
    """Return the worms of one study: "simulated", or a name of wormjax.recordings.catalog.

    Args:
      path: the file or folder as downloaded; "" stands for the study's folder in `WORMJAX_DATA_DIR`.
      simulation: the config's `data.simulation` (seed, worms, minutes; perhaps neurons, named).
      frame_rate: hertz, of files that hold no times (`data.frame_rate`).

    InputError for no path, an unknown study, or files that cannot be used.
    """
    if study == SIMULATED:
        neurons, named = simulation.get("neurons", len(KATO_NEURONS)), simulation.get("named", 1.0)
        study = simulate_worms(simulation.seed, simulation.worms, simulation.minutes, choose_names(neurons))
        return tuple(hide_names(worm, named, simulation.seed) for worm in study.recordings)
    if not path and os.environ.get(DATA_DIR_VARIABLE):
        path = os.path.join(os.environ[DATA_DIR_VARIABLE], study)
    if not path:
        expected = f"expected the file or folder of {study} (or {DATA_DIR_VARIABLE} set to the folder above it)"
        raise ConfigError("data.path", f"found none, {expected}")
    return open_study(study, path, **({"frame_rate": frame_rate} if frame_rate else {}))
