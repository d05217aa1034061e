"""A signal ends a program in good order: at once, after its chunk, or, deep in compiled code, by what was kept."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import hashlib, sys, time
from wormjax.training import preemption
preemption.GRACE_SECONDS = 0.5
preemption.stop_on_signals()

def compute(rounds):  # As a compiled program: within it Python handles no signal.
    hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)

def report(what):
    print(what, flush=True)

try:
    {body}
except preemption.Stopped:
    report(preemption.describe_stop())
    sys.exit(preemption.exit_code())
finally:
    report("cleared away")
"""
OUTSIDE = """
    report("begun")
    time.sleep(60)
"""
LOOP = """
    with preemption.stopping_at_chunks():
        for chunk in range(1000):
            report("begun" if chunk == 0 else "chunk")
            compute(100_000)
            if preemption.stop_requested():
                report("saved")
                raise preemption.Stopped
"""
LONG_CHUNK = """
    with preemption.stopping_at_chunks():
        preemption.keep_last_chunk(lambda: report("saved the chunk before"))
        report("begun")
        compute(2_000_000_000)
"""
SLEEPING_CHUNK = """
    preemption.GRACE_SECONDS = 50
    with preemption.stopping_at_chunks():
        report("begun")
        time.sleep(30)
        report("the chunk is done")
"""
DESTRUCTOR = """
    class Held:
        def __del__(self):
            report("begun")
            time.sleep(0.3)
    Held()
    time.sleep(60)
"""
NOTHING_KEPT = """
    with preemption.stopping_at_chunks():
        report("begun")
        compute(2_000_000_000)
"""
SAVING = """
    with preemption.stopping_at_chunks():
        preemption.keep_last_chunk(lambda: report("saved the chunk before"))
        with preemption.saving():
            report("begun")
            compute(4_000_000)
            preemption.keep_last_chunk(None)
            report("saved")
        raise preemption.Stopped
"""


def end(body, number=signal.SIGTERM, times=1):
    """What a program prints after the signal, its exit code, and the seconds that it took to end."""
    command = [sys.executable, "-c", PROGRAM.format(body=body.strip())]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n", process.stderr.read()
    begun = time.monotonic()
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    return out.splitlines(), err, process.returncode, time.monotonic() - begun


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_outside_of_training_a_signal_ends_at_once_and_clears_away(number, code):
    out, _, found, _ = end(OUTSIDE, number)
    assert out == [
        f"stopped by {number.name}; nothing that was saved is lost: the same command goes on from there",
        "cleared away",
    ]
    assert found == code


def test_a_signal_within_a_destructor_says_nothing_but_the_one_line():
    out, err, code, took = end(DESTRUCTOR)
    assert (out[1:], err, code) == (["cleared away"], "", 143)
    assert out[0].startswith("stopped by SIGTERM; ")
    assert took < 10


def test_in_training_the_chunk_is_finished_and_saved():
    out, _, code, _ = end(LOOP)
    assert next(line for line in out if line != "chunk") == "saved"
    assert out[-1] == "cleared away"
    assert code == 143


def test_in_a_long_chunk_the_one_before_is_saved_and_the_process_ended():
    out, err, code, took = end(LONG_CHUNK)
    assert out == ["saved the chunk before"]
    assert "stopped by SIGTERM" in err
    assert code == 143
    assert took < 10


def test_in_a_long_chunk_without_one_before_the_process_is_ended():
    out, err, code, _ = end(NOTHING_KEPT)
    assert out == []
    assert code == 143
    assert "stopped by SIGTERM" in err


def test_a_checkpoint_that_is_being_written_is_finished():
    out, _, code, _ = end(SAVING)
    assert out[0] == "saved"
    assert "saved the chunk before" not in out
    assert code == 143


def test_a_second_signal_does_not_wait_for_the_chunk():
    out, _, code, _ = end(SLEEPING_CHUNK, times=2)
    assert code == 143
    assert out[-1] == "cleared away"
    assert "the chunk is done" not in out
