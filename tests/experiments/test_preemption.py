"""Training that is ended at random moments, and begun again, ends as if nothing had been: see preemption.py."""

import signal

import pytest
from preemption import PROGRAMS, check_kill, end_once, find_difference, finish, read_end, run_harness


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_twelve_ends_at_random_moments_leave_no_trace(program, tmp_path):
    kills = run_harness(program, 12, 0, tmp_path)
    assert {kill.signal for kill in kills} == {"SIGTERM", "SIGKILL"}
    assert any(kill.half_written for kill in kills)


def test_a_program_that_is_stopped_and_killed_goes_on_to_the_same_end(tmp_path):
    """As soon as training has begun: its workdir has a checkpoint, half written or whole."""
    fields = {"seeds": "1", "train.steps": "8", "train.steps_per_chunk": "1"}
    finish("generalize", tmp_path / "whole", tmp_path, fields)
    workdir = tmp_path / "interrupted"
    for number in (signal.SIGTERM, signal.SIGKILL):
        kill = end_once("generalize", workdir, tmp_path, number, after=0.0, half_written=True, fields=fields)
        assert kill is not None
        check_kill(kill)
    finish("generalize", workdir, tmp_path, fields)
    assert find_difference(read_end(tmp_path / "whole"), read_end(workdir)) is None
