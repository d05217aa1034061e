"""Two processes that share out an ensemble's runs end as one does, by the config alone; one's stop is both's."""

import signal
import socket

import pytest
from preemption import LONGEST_STOP, PROGRAMS, find_difference, finish, read_end, start

ADDRESS = "distributed.coordinator_address"


def start_two(program, workdir, scratch, **fields):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    shared = {ADDRESS: address, "distributed.num_processes": "2"} | fields
    return [start(program, workdir, scratch, shared | {"distributed.process_id": str(number)}) for number in (0, 1)]


def wait_for(processes, workdir, scratch, code=0):
    try:
        for process in processes:
            assert process.wait(timeout=300) == code, (scratch / f"{workdir.name}.log").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=[pytest.mark.slow] * (name != "generalize")) for name in PROGRAMS]
)
def test_two_processes_end_as_one(program, tmp_path):
    """Three runs: the second process trains one, and fills its share up with a copy of it."""
    finish(program, tmp_path / "one", tmp_path, {"seeds": "3"})
    both = tmp_path / "both"
    wait_for(start_two(program, both, tmp_path, seeds="3"), both, tmp_path)
    one, two = read_end(tmp_path / "one"), read_end(both)
    for end in (one, two):  # Where the processes met is in the config.
        end.pop("config.json"), end.pop("summary.md")
    assert find_difference(one, two) is None


@pytest.mark.slow
def test_a_stop_of_one_process_stops_both_and_both_go_on(tmp_path):
    finish("generalize", tmp_path / "one", tmp_path)
    both = tmp_path / "both"
    processes = start_two("generalize", both, tmp_path)
    while len(list(both.glob("models/*/checkpoints/*"))) < 2:
        assert processes[0].poll() is None
    processes[1].send_signal(signal.SIGTERM)
    assert processes[1].wait(timeout=LONGEST_STOP) == 143
    processes[0].send_signal(signal.SIGTERM)
    assert processes[0].wait(timeout=LONGEST_STOP) == 143
    wait_for(start_two("generalize", both, tmp_path), both, tmp_path)
    one, two = read_end(tmp_path / "one"), read_end(both)
    for end in (one, two):
        end.pop("config.json"), end.pop("summary.md")
    assert find_difference(one, two) is None
