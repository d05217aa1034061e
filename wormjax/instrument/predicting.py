"""predict: what trained models say of recordings, written to a folder; the program `wormjax predict`.

OUTPUT/
  summary.md             which models, which worms, what was masked or resampled, scores where states are known
  scores.csv             every metric of every worm with scored states, where there is one
  predictions.h5         everything below as arrays, a group per worm
  WORM/states.csv        per frame: time, probability of each state, decoded state
  WORM/states.nwb        the same as behavioural time series, with --nwb
  WORM/ethogram.png
  WORM/decoded_behaviour.png  velocity and the like, beside what was measured, where the model decodes it
  WORM/forecasts.csv     per origin, step and neuron: mean, s.d. and 90 % interval, in the units of the traces
  WORM/forecast.png
  WORM/edges.csv         per ordered pair of neurons: probability of an edge, in falling order
  WORM/graph.png
"""

import contextlib
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from wormjax import plot
from wormjax.atomic_write import open_place
from wormjax.errors import InputError, RecordingWarning, note
from wormjax.figures import save_figure
from wormjax.figures.style import wrap_name
from wormjax.instrument.decoder import Decoder
from wormjax.instrument.forecaster import Forecaster
from wormjax.instrument.nwb_file import expect_pynwb, write_nwb
from wormjax.instrument.results import find_linked, list_edges, sum_types
from wormjax.recordings.recording import Recording
from wormjax.scoring.markdown import join_cells, start_table
from wormjax.scoring.tables import title_metric
from wormjax.tasks.decode.graphs import is_chance
from wormjax.training.progress import track

SUMMARY, SCORES, ARRAYS = "summary.md", "scores.csv", "predictions.h5"
WRITTEN = ["states.csv", "states.nwb", "ethogram.png", "decoded_behaviour.png", "forecasts.csv", "forecast.png"]
WRITTEN += [f"{prefix}{name}" for prefix in ("", "forecast_") for name in ("edges.csv", "graph.png")]
STEPS = 16  # Frames of a forecast.
MOST_ORIGINS = 40  # Per worm.
METRICS = ("accuracy", "balanced_accuracy", "auroc", "velocity_r")


def predict(
    models: Sequence[Decoder | Forecaster],
    worms: Sequence[Recording],
    output: str | os.PathLike,
    steps: int = STEPS,
    nwb: bool = False,
) -> pd.DataFrame:
    """Decode and forecast recordings into a folder, and return the scores of those with scored states.

    A recording that a model cannot use is left out, and the summary names it with the reason.

    Args:
      models: fitted estimators.
      worms: recordings, scored or not.
      output: the folder; new, empty, or of an earlier prediction of the same worms, which is replaced.
      steps: frames per forecast.
      nwb: whether to write decoded states as NWB files, too, which needs pynwb.

    Raises:
      InputError: a folder with other files, or no recording that could be used.
    """
    if nwb:
        expect_pynwb()
    folders = _name_folders(worms)
    output = _claim_output(Path(output), set(folders.values()))
    scores, lines, arrays = [], [], {}
    for worm in track(worms, "worms", "worm"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", RecordingWarning)
            try:
                arrays[folders[worm]], own_scores = _predict_worm(models, worm, output / folders[worm], steps, nwb)
                scores += own_scores
                lines.append(f"- `{folders[worm]}`: {worm!r}")
            except InputError as error:
                shutil.rmtree(output / folders[worm], ignore_errors=True)
                lines.append(f"- `{folders[worm]}`: **left out**: {error}")
                tqdm.write(f"left out: {error}", file=sys.stderr)
        notes = dict.fromkeys(str(one.message) for one in said if issubclass(one.category, RecordingWarning))
        for text in notes:
            note(text)
        lines += [f"    - {text}" for text in notes]
    if not arrays:
        with contextlib.suppress(OSError):  # It holds something.
            output.rmdir()
        raise InputError(f"{worms[0].source}: found no recording that could be used; see the lines above")
    with open_place(output / ARRAYS) as beside, h5py.File(beside, "w") as file:
        for folder, values in arrays.items():
            group = file.create_group(folder)
            for name, value in values.items():
                if isinstance(value, str):
                    group.attrs[name] = value
                else:
                    is_text = np.asarray(value).dtype.kind == "U"
                    group[name] = np.char.encode(np.asarray(value), "utf-8") if is_text else value
    table = pd.concat(scores, ignore_index=True) if scores else pd.DataFrame()
    (output / SCORES).unlink(missing_ok=True)
    if len(table):
        _write_table(output / SCORES, table)
    with open_place(output / SUMMARY) as beside:
        beside.write_text("\n".join(_summarise(models, lines, table)) + "\n", encoding="utf-8")
    return table


def _claim_output(output: Path, folders: set[str]) -> Path:
    if output.is_dir() and any(output.iterdir()):
        if not (output / ARRAYS).is_file():
            raise InputError(f"--output: found {output} with other files in it, expected a new folder")
        with h5py.File(output / ARRAYS) as file:
            others = sorted(set(file) - folders)
        if others:
            raise InputError(f"--output: found predictions of {', '.join(others)} in {output}, expected a new folder")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output: {output}: {error.strerror}, expected a folder to write into") from None
    return output


def _name_folders(worms: Sequence[Recording]) -> dict[Recording, str]:
    """Return a folder's name for each worm: its own name, made fit for every file system, with a number where twice."""
    names: dict[Recording, str] = {}
    for worm in worms:
        plain = re.sub(r"[^\w+=.-]+", "_", worm.worm).strip("._") or "worm"
        name, number = plain, 2
        while name.lower() in {taken.lower() for taken in names.values()}:
            name, number = f"{plain}_{number}", number + 1
        names[worm] = name
    return names


def _predict_worm(
    models, worm: Recording, folder: Path, steps: int, nwb: bool
) -> tuple[dict[str, Any], list[pd.DataFrame]]:
    """Write one worm's files; return its arrays and its scores."""
    folder.mkdir(exist_ok=True)
    for name in WRITTEN:  # By an earlier prediction, perhaps of other models.
        (folder / name).unlink(missing_ok=True)
    arrays: dict[str, Any] = {"times": worm.times}
    arrays["study"], arrays["worm"], scores = worm.study, worm.worm, []
    for model in models:
        if isinstance(model, Decoder):
            arrays |= _write_decoding(model, worm, folder, nwb)
            if worm.scored:
                scores.append(model.evaluate(worm))
        else:
            # Where a decoder has written its graph, the forecaster's has a name of its own.
            prefix = "forecast_" if "edges/probabilities" in arrays else ""
            arrays |= _write_forecasts(model, worm, folder, steps, prefix)
    return arrays, scores


def _write_decoding(decoder: Decoder, worm: Recording, folder: Path, nwb: bool) -> dict[str, Any]:
    decoding = decoder.decode(worm)
    _write_table(folder / "states.csv", decoding.to_pandas())
    if nwb:
        write_nwb(folder / "states.nwb", decoding, repr(decoder))
    figure = _start_figure(9.0, 2.4, worm)
    plot.ethogram(worm, decoding, ax=figure.subplots())
    save_figure(figure, folder / "ethogram.png")
    if decoding.behavior:
        figure = _start_figure(9.0, 0.6 + 1.8 * len(decoding.behavior), worm)
        panels = figure.subplots(len(decoding.behavior), squeeze=False)[:, 0]
        for name, panel in zip(decoding.behavior, panels, strict=True):
            plot.behavior(worm, decoding, name, ax=panel)
        save_figure(figure, folder / "decoded_behaviour.png")
    arrays = {
        "states/probabilities": decoding.probabilities,
        "states/names": decoding.state_names,
        "states/decoded": decoding.states,
        **{f"behavior/{name}": values for name, values in decoding.behavior.items()},
    }
    return arrays | _write_edges(decoder, decoding.edges, decoding.neuron_names, worm, folder)


def _write_forecasts(forecaster: Forecaster, worm: Recording, folder: Path, steps: int, prefix: str) -> dict[str, Any]:
    forecasts = list(_forecast_along(forecaster, worm, steps))
    _write_table(folder / "forecasts.csv", pd.concat([one.to_pandas() for one in forecasts], ignore_index=True))
    figure = _start_figure(9.0, 2.6, worm)
    plot.forecast(worm, forecasts[-3:], ax=figure.subplots())
    save_figure(figure, folder / "forecast.png")
    low, high = (np.stack(ends) for ends in zip(*(one.interval(0.9) for one in forecasts), strict=True))
    arrays = {"forecasts/origins": np.array([one.origin for one in forecasts])}
    for name in ("times", "mean", "sd"):
        arrays[f"forecasts/{name}"] = np.stack([getattr(one, name) for one in forecasts])
    arrays |= {"forecasts/low_90": low, "forecasts/high_90": high}
    arrays["forecasts/neuron_names"] = forecasts[0].neuron_names
    edges = None if forecasts[0].edges is None else np.mean([one.edges for one in forecasts], axis=0)
    return arrays | _write_edges(forecaster, edges, forecaster.neuron_names_, worm, folder, prefix)


def _forecast_along(forecaster: Forecaster, worm: Recording, steps: int) -> Iterator:
    """Yield forecasts from origins that are spread over a recording, the last of which is its end."""
    last = worm.times[-1] + 1 / worm.frame_rate
    for origin in [*np.linspace(worm.times[0], last, MOST_ORIGINS, endpoint=False), None]:
        try:
            yield forecaster.forecast(worm, origin=origin, steps=steps)
        except InputError:  # Too few frames before the origin: at the start, or after a pause.
            if origin is None:
                raise


def _start_figure(width: float, height: float, worm: Recording) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(wrap_name(worm.worm, int(13 * width)), x=0.01, ha="left", fontsize="medium")
    return figure


def _write_edges(model, edges, names: Sequence[str], worm: Recording, folder: Path, prefix: str = "") -> dict[str, Any]:
    if edges is None:
        return {}
    probabilities = sum_types(edges)
    _write_table(folder / f"{prefix}edges.csv", list_edges(probabilities, tuple(names)))
    if len(find_linked(probabilities)) < 2:
        note(f"worm {worm.worm!r}: the model reads fewer than two of its neurons; there is no graph between them")
    elif is_chance(model.config_, probabilities, names):
        text = "its inferred graph is no better than chance against the known one, and is not drawn"
        note(f"worm {worm.worm!r}: {text}; {prefix}edges.csv has the probabilities")
    else:
        figure = _start_figure(4.6, 4.8, worm)
        plot.graph(probabilities, names, ax=figure.subplots())
        save_figure(figure, folder / f"{prefix}graph.png")
    # [sender, receiver, type].
    return {f"{prefix}edges/probabilities": edges, f"{prefix}edges/neuron_names": names}


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with open_place(path) as beside:
        table.to_csv(beside, index=False, float_format="%.9g")


def _summarise(models, lines: Sequence[str], scores: pd.DataFrame) -> list[str]:
    text = ["# Predictions", "", "## Models", "", *(f"- {model!r}" for model in models), "", "## Worms", "", *lines]
    if len(scores):
        text += ["", "## Scores", "", "Of worms with scored states; every value is in `scores.csv`.", ""]
        chosen = scores[scores.metric.isin(METRICS)]
        wide = chosen.pivot_table(index=["model", "test_worm"], columns="metric", values="value").round(3).reset_index()
        titles = ["model", "worm", *map(title_metric, wide.columns[2:])]
        text += [*start_table(titles), *map(join_cells, wide.astype(str).to_numpy())]
    return text
