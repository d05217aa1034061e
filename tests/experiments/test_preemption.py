"""Training that is ended and begun again, or shared out between processes, ends as if nothing had been."""

import io
import signal
import socket

import numpy as np
import pytest
from preemption import (
    LONGEST_STOP,
    PROGRAMS,
    check_kill,
    end_once,
    find_difference,
    finish,
    read_end,
    run_harness,
    start,
)

QUICK = {
    "models": "('mlp',)",
    "baselines": "()",
    "model.mlp.hidden": "4",
    "seeds": "3",
    "train.steps": "4",
    "train.steps_per_chunk": "1",
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder for workdirs and compiled programs, and what a small program ends with when nobody disturbs it."""
    scratch = tmp_path_factory.mktemp("undisturbed")
    finish("generalize", scratch / "whole", scratch, QUICK)
    return scratch, read_end(scratch / "whole")


def start_two(program, workdir, scratch, fields):
    """The same program as two processes that know of each other."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    shared = fields | {"distributed.coordinator_address": address, "distributed.num_processes": "2"}
    return [start(program, workdir, scratch, shared | {"distributed.process_id": str(number)}) for number in (0, 1)]


def wait_for(processes, workdir, scratch):
    try:
        for process in processes:
            assert process.wait(timeout=300) == 0, (scratch / f"{workdir.name}.log").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()


def assert_same_end(one, other):
    """Bit for bit but for where the processes met (config, summary) and for metrics of curves, which programs of other
    numbers of runs sum in another order."""
    ends = [{name: content for name, content in end.items() if name != "config.json"} for end in (one, other)]
    for name in [name for name in one if name.endswith("curves.csv")]:
        curves, others = (np.genfromtxt(io.BytesIO(end.pop(name)), delimiter=",", skip_header=1) for end in ends)
        np.testing.assert_allclose(curves, others, rtol=1e-6)
    for end in ends:
        end["summary.md"] = end["summary.md"].partition(b"distributed")[0]
    assert find_difference(*ends) is None


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGKILL,), pytest.param((signal.SIGTERM, signal.SIGKILL), marks=pytest.mark.slow)],
    ids=["killed", "stopped and killed"],
)
def test_a_program_that_is_ended_goes_on_to_the_same_end(signals, undisturbed):
    """As soon as its workdir has a checkpoint that is half written."""
    scratch, expected = undisturbed
    workdir = scratch / f"interrupted {len(signals)}"
    for number in signals:
        kill = end_once("generalize", workdir, scratch, number, after=0.0, half_written=True, fields=QUICK)
        assert kill is not None
        check_kill(kill)
    finish("generalize", workdir, scratch, QUICK)
    assert find_difference(expected, read_end(workdir)) is None


def test_two_processes_end_as_one(undisturbed):
    """Three seeds and two worms are six runs, three for each of the two."""
    scratch, expected = undisturbed
    workdir = scratch / "both"
    wait_for(start_two("generalize", workdir, scratch, QUICK), workdir, scratch)
    assert_same_end(expected, read_end(workdir))


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_twelve_ends_at_random_moments_leave_no_trace(program, tmp_path):
    kills = run_harness(program, 12, 0, tmp_path)
    assert {kill.signal for kill in kills} == {"SIGTERM", "SIGKILL"}
    assert any(kill.half_written for kill in kills)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_two_processes_end_as_one_in_every_program(program, tmp_path):
    """Of the three runs of `infer` the second process trains one, and fills its share up with a copy of it."""
    fields = {"seeds": "3"}
    finish(program, tmp_path / "one", tmp_path, fields)
    both = tmp_path / "both"
    wait_for(start_two(program, both, tmp_path, fields), both, tmp_path)
    assert_same_end(read_end(tmp_path / "one"), read_end(both))


@pytest.mark.slow
def test_a_stop_of_one_process_stops_both_and_both_go_on(tmp_path):
    finish("generalize", tmp_path / "one", tmp_path)
    both = tmp_path / "both"
    processes = start_two("generalize", both, tmp_path, {})
    while len(list(both.glob("models/*/checkpoints/*"))) < 2:
        assert processes[0].poll() is None
    processes[1].send_signal(signal.SIGTERM)
    assert processes[1].wait(timeout=LONGEST_STOP) == 143
    processes[0].send_signal(signal.SIGTERM)
    assert processes[0].wait(timeout=LONGEST_STOP) == 143
    wait_for(start_two("generalize", both, tmp_path, {}), both, tmp_path)
    assert_same_end(read_end(tmp_path / "one"), read_end(both))
