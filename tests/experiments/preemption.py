"""A harness that ends training at random moments and starts it again, and compares the end with an undisturbed run's.

    python tests/experiments/preemption.py KILLS [SEED]

ends KILLS times in all, half by SIGTERM and half by SIGKILL, spread over classification, neural relational inference
and forecasting; every third waits for a checkpoint to be half written. It prints a line for each.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
LONGEST_STOP = 10.0  # Seconds from SIGTERM to the end of the process.
COMMON = {"train.checkpoint_seconds": "0.0", "train.placement": "runs"}
PROGRAMS = {
    "generalize": COMMON
    | {
        "seeds": "2",
        "data.simulation.worms": "2",
        "data.simulation.minutes": "3",
        "baselines": "('lda',)",
        "models": "('nri_graph',)",
        "model.nri_graph.channels": "4",
        "model.nri_graph.dilations": "(1,)",
        "split.block": "48",
        "split.gap": "4",
        "train.steps": "40",
        "train.epochs": "0",
        "train.steps_per_chunk": "2",
        "train.members": "1",
        "train.window_frames": "16",
        "train.batch_windows": "4",
    },
    "infer": COMMON
    | {
        "seeds": "2",
        "models": "('nri',)",
        "baselines": "('var', 'correlation')",
        "data.objects": "3",
        "data.frames": "12",
        "data.test_frames": "34",
        "data.simulations.train": "60",
        "data.simulations.valid": "20",
        "data.simulations.test": "20",
        "model.encoder.hidden": "8",
        "model.decoder.hidden": "8",
        "train.steps": "40",
        "train.steps_per_chunk": "2",
        "train.batch_simulations": "8",
        "train.segments": "2",
        "train.roll_out": "1",
    },
    "forecast": COMMON
    | {
        "seeds": "2",
        "data.simulation.worms": "2",
        "data.simulation.minutes": "3.0",
        "data.neurons": "AVAL,AVBL,RIML,VB01",
        "models": "('nri_graph',)",
        "baselines": "('persistence', 'var_2')",
        "split.block": "48",
        "split.gap": "4",
        "linear.orders": "(1, 2)",
        "linear.adaptation.order": "2",
        "linear.adaptation.block": "8",
        "forecast.first": "16",
        "forecast.every": "16",
        "forecast.steps": "8",
        "forecast.scored": "(1, 8)",
        "train.steps": "40",
        "train.steps_per_chunk": "2",
        "train.burn_in": "3",
        "train.roll_out": "4",
        "train.batch_windows": "4",
    },
}
CONFIGS = {"generalize": "generalize.py", "infer": "nri_springs.py:small", "forecast": "forecast.py"}


class Kill(NamedTuple):
    """One end of a process: what ended it, when (seconds after its start), whether a checkpoint was half written."""

    program: str
    signal: str
    after: float
    half_written: bool
    took: float
    code: int


def start(program: str, workdir: pathlib.Path, scratch: pathlib.Path, fields=None) -> subprocess.Popen:
    """Starts a program in its own workdir; its output goes to a file beside it."""
    settings = PROGRAMS[program] | (fields or {})
    if program == "infer":
        settings |= {"data.cache": str(scratch / "simulations")}
    command = [sys.executable, "-m", f"experiments.{program}", f"--config=configs/{CONFIGS[program]}"]
    command += [f"--workdir={workdir}", *(f"--config.{field}={value}" for field, value in settings.items())]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
        "WORMJAX_DATA_DIR": "",
    }
    output = open(scratch / f"{workdir.name}.log", "ab")  # noqa: SIM115
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)


def finish(program: str, workdir: pathlib.Path, scratch: pathlib.Path, fields=None) -> float:
    """Runs a program to its end; seconds that it took."""
    begun = time.monotonic()
    code = start(program, workdir, scratch, fields).wait(timeout=600)
    if code:
        raise AssertionError((scratch / f"{workdir.name}.log").read_text()[-3000:])
    return time.monotonic() - begun


def end_once(
    program: str,
    workdir: pathlib.Path,
    scratch: pathlib.Path,
    number: signal.Signals,
    after: float,
    half_written: bool,
    fields=None,
) -> Kill | None:
    """Starts a program and ends it `after` seconds; with `half_written`, then when a checkpoint is half written.

    None where the program had ended by itself before.
    """
    process, begun = start(program, workdir, scratch, fields), time.monotonic()
    seen = False
    while process.poll() is None:
        late = time.monotonic() - begun - after
        seen = late > 0 and half_written and any(workdir.glob("models/*/checkpoints/*tmp*"))
        if seen or (late > 0 and not half_written):
            break
        time.sleep(0.0005 if late > 0 else 0.01)
    else:
        if process.returncode:
            raise AssertionError((scratch / f"{workdir.name}.log").read_text()[-3000:])
        return None
    process.send_signal(number)
    sent = time.monotonic()
    try:
        code = process.wait(timeout=60)
    finally:
        process.kill()
    if code == 0:  # It was ending when the signal came.
        return None
    return Kill(program, number.name, sent - begun, seen, time.monotonic() - sent, code)


def check_kill(kill: Kill):
    """Raises AssertionError where the process did not end as it should."""
    if kill.signal == "SIGKILL":
        assert kill.code == -signal.SIGKILL, kill
    else:
        # Before Python has come to our handler, the signal itself ends the process.
        assert kill.code in (128 + signal.SIGTERM, -signal.SIGTERM), kill
        assert kill.took < LONGEST_STOP, kill


def read_end(workdir: pathlib.Path) -> dict:
    """All that a workdir ends with: files byte by byte, arrays of the last checkpoints; without curves and times."""
    from wormjax.training.checkpoints import open_checkpoints, restore_latest

    files = {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in sorted(workdir.rglob("*"))
        if path.is_file() and "checkpoints" not in path.parts and path.name != "report.html"  # It names the command.
    }
    for folder in sorted(workdir.glob("models/*/checkpoints")):
        with open_checkpoints(folder, read_only=True) as manager:
            files[f"checkpoint of {folder.parent.name}"] = restore_latest(manager, fall_back=False)
    return files


def find_difference(one: dict, other: dict) -> str | None:
    """The first thing in which two ends differ; None where they are the same bit for bit."""
    import jax

    if one.keys() != other.keys():
        return f"files {sorted(one.keys() ^ other.keys())}"
    for name, content in one.items():
        leaves, others = (jax.tree_util.tree_leaves_with_path(end[name]) for end in (one, other))
        if len(leaves) != len(others):
            return f"{name}: {len(leaves)} arrays, not {len(others)}"
        for (path, values), (_, wanted) in zip(leaves, others, strict=True):
            same = values == wanted if isinstance(content, bytes) else np.array_equal(values, wanted, equal_nan=True)
            if not same:
                return f"{name}{jax.tree_util.keystr(path)}"
    return None


def run_harness(program: str, kills: int, seed: int, scratch: pathlib.Path, say=print) -> list[Kill]:
    """Ends a program `kills` times, lets it come to its end, and compares that with an undisturbed one.

    Raises:
      AssertionError: a process did not end as it should, or the two ends differ.
    """
    choose, done, part = random.Random(f"{program} {seed}"), [], 0
    whole, interrupted = scratch / f"{program}-whole", scratch / f"{program}-interrupted"
    finish(program, scratch / f"{program}-first", scratch)  # Fills the cache of compiled programs.
    length = finish(program, whole, scratch)
    expected = read_end(whole)
    say(f"{program}: undisturbed in {length:.1f} s")
    while len(done) < kills:
        number = (signal.SIGTERM, signal.SIGKILL)[len(done) % 2]
        half_written = len(done) % 3 == 2
        after = choose.uniform(0.25, 0.6 if half_written else 1.0) * length
        kill = end_once(program, interrupted, scratch, number, after, half_written)
        if kill is None:  # It was faster than thought; the next begins anew.
            _compare(program, expected, interrupted, say)
            part += 1
            interrupted = scratch / f"{program}-interrupted-{part}"
            continue
        check_kill(kill)
        done.append(kill)
        steps = sorted(int(path.name) for path in interrupted.glob("models/nri*/checkpoints/*") if path.name.isdigit())
        say(
            f"{program}: {kill.signal} after {kill.after:.1f} s{' in a half-written checkpoint' * kill.half_written}, "
            f"ended in {kill.took:.1f} s ({kill.code}); checkpoints {steps}"
        )
    finish(program, interrupted, scratch)
    _compare(program, expected, interrupted, say)
    return done


def _compare(program, expected, workdir, say):
    difference = find_difference(expected, read_end(workdir))
    assert difference is None, f"{program}: {difference} differs from the undisturbed run"
    unfinished = [path for path in workdir.rglob("*") if "tmp" in path.name or path.name.endswith(".partial")]
    assert not [path for path in unfinished if "checkpoints" in path.parts], unfinished
    say(f"{program}: the same as undisturbed, bit for bit: {len(expected)} files and checkpoints")


def main(kills: str, seed: str = "0"):
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="preemption-"))
    done: list[Kill] = []
    for position, program in enumerate(PROGRAMS):
        share = int(kills) // len(PROGRAMS) + (position < int(kills) % len(PROGRAMS))
        done += run_harness(program, share, int(seed), scratch)
    terms = [kill.took for kill in done if kill.signal == "SIGTERM"]
    written = sum(kill.half_written for kill in done)
    print(f"{len(done)} ends, {written} within a checkpoint's writing; SIGTERM took at most {max(terms):.1f} s")
    shutil.rmtree(scratch)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
