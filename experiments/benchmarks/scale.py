"""Measure how time and memory grow with the length and the number of recordings, in each stage of an experiment.

    python -m experiments.benchmarks.scale --cache=runs/scale

The worms are simulated once, into the cache (4.5 GB for the default sizes).

Simulated worms are written to containers once; each size is then gone through by a process of its own, with the
functions that `generalize` calls. One run trains on four worms in five, an epoch of windows that do not overlap, and
decodes the others. Memory is the most that was resident at any time of a stage, the process that reads files included.

    python -m experiments.benchmarks.scale --measure=FOLDER    (the process of one size; `measure_size` starts it)
"""

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from tqdm import tqdm

from configs import generalize
from experiments.benchmarks.memory import measure_peak
from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.features.neurons import choose_neurons
from wormjax.features.studies import open_recordings
from wormjax.recordings import container
from wormjax.recordings.recording import Recording
from wormjax.simulation.worms import KATO_NEURONS, TIME_STEP, iterate_worms
from wormjax.tasks.decode import runs
from wormjax.tasks.groups import Group, model_folder, restore_best
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import build
from wormjax.training.workdir import describe_dataset

STAGES = ("reading", "features", "training", "evaluation")
FRAME_RATE = 1 / TIME_STEP  # Hertz. A frame an integration step: long recordings are soon simulated.
TRAINING_SHARE = 0.8  # Of the worms.
CONFIG_FILE, RESULT_FILE = "config.json", "measured.json"
SHOWN_LINES = 5  # Of what a process said that failed.


class Stage(NamedTuple):
    """What a stage took: seconds on the clock and of all processors, and bytes of memory at its peak."""

    seconds: float
    processor: float
    peak: int


class Measured(NamedTuple):
    """A size, its stages by name, and the accuracy on the worms held out (that something was learned)."""

    worms: int
    frames: int
    stages: dict[str, Stage]
    accuracy: float


def make_study(cache: str | os.PathLike, worms: int, frames: int, neurons: int, seed: int = 0) -> Path:
    """A folder of containers, a simulated worm each; what is in the cache is not made again.

    Args:
      cache: the folder of all studies; 2.4 GB for 100 worms of 20,000 frames and 300 neurons.
      worms, frames, neurons: how many; all of `neurons` are identified in every worm, five more are in none.
      seed: of the simulation.

    Raises:
      InputError: fewer frames or neurons than can be simulated, or a cache that cannot be written.
    """
    if frames < 15 * FRAME_RATE or neurons < len(KATO_NEURONS) or worms < 2:
        found = f"found {worms} worms of {frames} frames and {neurons} neurons"
        raise InputError(
            f"{found}, expected at least 2 of {15 * FRAME_RATE:.0f} frames and {len(KATO_NEURONS)} neurons"
        )
    whole = Path(cache) / f"seed_{seed}_neurons_{neurons}_frames_{frames}"
    paths = [whole / f"worm_{number:03d}.h5" for number in range(1, worms + 1)]
    names = (*KATO_NEURONS, *(f"N{number:03d}" for number in range(neurons - len(KATO_NEURONS))))
    if not all(path.exists() for path in paths):
        minutes = (frames + 2) * TIME_STEP / 60
        simulated = iterate_worms(seed, worms, minutes, names, (FRAME_RATE, FRAME_RATE), all_found=True)
        bar = tqdm(zip(paths, simulated, strict=True), total=worms, desc=f"simulating {frames} frames", unit="worm")
        for path, recording in bar:
            if not path.exists():
                container.write(path, [cut_recording(recording, frames)])
    return _link_files(paths, whole / f"first_{worms}")


def cut_recording(recording: Recording, frames: int) -> Recording:
    """The first frames of one uninterrupted recording: float32 traces, times and motor states."""
    return dataclasses.replace(
        recording,
        traces=recording.traces[:frames].astype(np.float32),
        times=recording.times[:frames],
        motor_state=recording.motor_state[:frames],
        derivatives=None,
        behavior={},
        stretches=(),
    )


def _link_files(paths, folder) -> Path:
    """The folder with the same files under the same names, taking no room."""
    folder.mkdir(exist_ok=True)
    for path in paths:
        if not (folder / path.name).exists():
            os.link(path, folder / path.name)
    return folder


def choose_config(config: ml_collections.ConfigDict, model: str, study: Path) -> ml_collections.ConfigDict:
    """A config of `generalize`, with one run of one model on the study's worms for one epoch."""
    config = config.copy_and_resolve_references()
    config.data.study, config.data.path, config.data.neurons = "container", str(study), "shared"
    config.data.inputs, config.data.frame_rate = ("trace", "smoothed_derivative"), 0.0
    config.seeds, config.models, config.baselines = 1, (model,), ()
    config.train.epochs, config.train.window_stride = 1, config.train.window_frames
    config.train.steps_per_chunk = 20  # The last chunk runs to its end, whether or not the epoch does.
    return config


def measure_size(config: ml_collections.ConfigDict, study: Path, worms: int, frames: int, model: str) -> Measured:
    """Goes through all stages in a process of its own.

    Raises:
      InputError: the process failed; with the last lines that it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(json.loads(choose_config(config, model, study).to_json_best_effort()))
        Path(folder, CONFIG_FILE).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "experiments.benchmarks.scale", f"--measure={folder}"]
        ended = subprocess.run(command, capture_output=True, check=False)
        if ended.returncode:
            said = " / ".join(ended.stderr.decode(errors="replace").strip().splitlines()[-SHOWN_LINES:])
            raise InputError(f"{study}: the process of {worms} worms ended with exit code {ended.returncode}: {said}")
        measured = json.loads(Path(folder, RESULT_FILE).read_text(encoding="utf-8"))
    stages = {name: Stage(*measured["stages"][name]) for name in STAGES}
    return Measured(worms, frames, stages, measured["accuracy"])


def measure_stages(config: ml_collections.ConfigDict, workdir: str | os.PathLike) -> tuple[dict[str, Stage], float]:
    """Reads, makes features, trains and evaluates in this process, as `generalize` does.

    Returns:
      The stages by name, and the mean accuracy on the worms held out.
    """
    stages: dict[str, Stage] = {}
    recordings = _time(stages, "reading", lambda: list(open_recordings(config.data.study, config.data.path, None)))

    def make_features():
        dataset = build(config, recordings, choose_neurons(recordings, config.data.neurons))
        return dataset, describe_dataset(dataset)

    dataset, description = _time(stages, "features", make_features)
    groups = [Group(config.seed, split_worms(len(dataset.worms)))]
    (name,) = config.models
    _time(stages, "training", lambda: runs.train_model(name, config, dataset, groups, workdir))

    def evaluate():
        best = restore_best(model_folder(workdir, name))
        decoded = runs.decode_model(name, config, description, dataset, groups, best)
        return runs.score_model(name, config, description, dataset, groups, decoded)

    rows = _time(stages, "evaluation", evaluate)
    return stages, float(np.mean([row.value for row in rows if row.metric == "accuracy"]))


def split_worms(worms: int) -> Split:
    """The first four worms in five train, the others are tested."""
    trained = max(1, min(worms - 1, round(TRAINING_SHARE * worms)))
    return Split(tuple(range(trained)), tuple(range(trained, worms)))


try:
    import resource
except ImportError:  # Windows has no such module.
    resource = None


def _measure_children() -> tuple[float, int]:
    """Return the processor seconds and the peak bytes of processes that have ended."""
    if resource is None:
        return 0.0, 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss


def _time(stages: dict[str, Stage], name: str, work: Callable):
    reset_peak()
    before, _ = _measure_children()
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    after, peak = _measure_children()
    stages[name] = Stage(clock, processor + after - before, read_peak() + (peak if after > before else 0))
    return result


def reset_peak() -> None:
    """Makes `read_peak` begin anew; on other systems than Linux it goes on from the start of the process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def read_peak() -> int:
    """Bytes: the most memory of this process that was resident since `reset_peak`."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        return int(measure_peak())


def format_table(series: Sequence[Measured]) -> list[str]:
    """The lines of a Markdown table: processor seconds and GB of each stage, and how the seconds grow with the size."""
    head = ("worms", "frames", *STAGES, "all", "a doubling", "on the clock", "peak")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for before, measured in zip((None, *series[:-1]), series, strict=True):
        stages = list(measured.stages.values())
        cells = [f"{stage.processor:.1f} s, {stage.peak / 1e9:.1f} GB" for stage in stages]
        cells.append(f"{sum(stage.processor for stage in stages):.0f} s")
        cells.append(f"× {growth_per_doubling(before, measured):.2f}" if before else "")
        cells.append(f"{sum(stage.seconds for stage in stages):.0f} s")
        cells.append(f"**{max(stage.peak for stage in stages) / 1e9:.1f} GB**")
        lines.append(f"| {measured.worms} | {measured.frames:,} | {' | '.join(cells)} |")
    return lines


def growth_per_doubling(smaller: Measured, larger: Measured) -> float:
    """The factor by which all processor seconds grow where worms times frames double; 2 is linear."""
    doublings = math.log2(larger.worms * larger.frames / (smaller.worms * smaller.frames))
    one, other = (sum(stage.processor for stage in measured.stages.values()) for measured in (smaller, larger))
    return (other / one) ** (1 / doublings)


def measure_folder(folder: str) -> None:
    """Measures the size that `folder` has the config of."""
    config = ml_collections.ConfigDict(json.loads(Path(folder, CONFIG_FILE).read_text(encoding="utf-8")))
    stages, accuracy = measure_stages(config, os.path.join(folder, "workdir"))
    Path(folder, RESULT_FILE).write_text(json.dumps({"stages": stages, "accuracy": accuracy}), encoding="utf-8")


FLAGS = [
    ("string", "cache", "runs/scale", "Folder of the simulated worms."),
    ("integer", "neurons", 300, "Neurons identified in every worm."),
    ("list", "frames", ["2500", "5000", "10000", "20000"], "Frames of the first table, at the most worms."),
    ("list", "worms", ["12", "25", "50", "100"], "Worms of the second table, at the most frames."),
    ("string", "model", "temporal_convolution", "The model that is trained, a section of the config's `model`."),
    ("string", "measure", "", "Folder of one size's config, measured in this process."),
]


def main(values):
    if values.measure:
        measure_folder(values.measure)
        return
    frames, worms = read_sizes("frames", values.frames), read_sizes("worms", values.worms)
    config = generalize.get_config()
    print(f"{jax.local_devices()[0].device_kind}, JAX {jax.__version__}, {time.strftime('%Y-%m-%d')}\n", flush=True)
    measured = {}
    for series in ([(worms[-1], count) for count in frames], [(count, frames[-1]) for count in worms]):
        for size in series:
            if size not in measured:
                study = make_study(values.cache, *size, values.neurons)
                measured[size] = measure_size(config, study, *size, values.model)
        print("\n".join(format_table([measured[size] for size in series])), "\n", flush=True)
    accuracy = measured[worms[-1], frames[-1]].accuracy
    print(f"Accuracy on the worms held out, the largest size: {accuracy:.3f}")


def read_sizes(flag, values) -> list[int]:
    """Numbers in increasing order."""
    try:
        sizes = [int(value) for value in values]
    except ValueError:
        sizes = []
    if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise InputError(f"--{flag}: found {','.join(values)!r}, expected numbers that increase, such as 1000,2000")
    return sizes


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
