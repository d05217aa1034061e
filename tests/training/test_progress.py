"""A program says which of its models it trains and how long all will take: in a terminal and in a log."""

import re

import pytest
from tqdm.notebook import tqdm_notebook

from wormjax.training import progress
from wormjax.training.progress import LogLines, describe_left, describe_place, estimate_left, follow, track


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_each_model_says_its_place_and_the_time_that_all_will_take(clock, capsys):
    for name in follow(("mlp", "recurrent", "nri_graph")):
        assert describe_place("x").endswith(name)
        clock.now += {"mlp": 60.0, "recurrent": 180.0, "nri_graph": 0.0}[name]
    assert capsys.readouterr().err.splitlines() == [
        "model 1 of 3: mlp",
        "model 2 of 3: recurrent, about 2 min left",
        "model 3 of 3: nri_graph, about 2 min left",
    ]
    assert describe_place("alone") == "alone"


def test_time_left_counts_the_models_to_come(clock):
    for number, _ in enumerate(follow("abc")):
        clock.now += 100.0
        if number == 0:
            assert estimate_left(50.0) == pytest.approx(50 + 2 * 150)
        if number == 1:
            assert estimate_left(0.0) == pytest.approx(100)
    assert estimate_left(7.0) == 7.0  # Outside of a program.


def test_restored_models_say_nothing_of_those_to_come(clock, capsys):
    for _ in follow("ab"):
        clock.now += 0.2
    assert "left" not in capsys.readouterr().err


def test_tasks_hold_models(clock, capsys):
    for _ in follow(("decode", "ahead"), "task"):
        for _ in follow(("mlp",)):
            clock.now += 60.0
            assert estimate_left(30.0) >= 30.0
    assert capsys.readouterr().err.splitlines() == [
        "task 1 of 2: decode",
        "task 1 of 2: decode, model 1 of 1: mlp",
        "task 2 of 2: ahead, about 60 s left",
        "task 2 of 2: ahead, model 1 of 1: mlp, about 60 s left",
    ]


def test_an_error_leaves_no_place_behind(clock):
    def fail():
        for _ in follow("ab"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert describe_place("alone") == "alone"


def test_a_log_receives_a_line_every_half_a_minute(clock, capsys):
    bar = track(range(10), "model 2 of 5: recurrent", "chunk")
    assert isinstance(bar, LogLines)  # Tests have no terminal.
    with bar:
        for number in bar:
            clock.now += 12.0
            bar.set_postfix_str(f"loss 0.{number}, about 3 min left")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "model 2 of 5: recurrent: 3 of 10 chunks, loss 0.2, about 3 min left",
        "model 2 of 5: recurrent: 6 of 10 chunks, loss 0.5, about 3 min left",
        "model 2 of 5: recurrent: 9 of 10 chunks, loss 0.8, about 3 min left",
    ]


def test_a_resumed_bar_counts_on_and_says_the_time_left(clock, capsys):
    for _ in track(range(4, 10), "forecasts", "run", initial=4, total=10):
        clock.now += 20.0
    assert capsys.readouterr().err.splitlines()[0] == "forecasts: 6 of 10 runs, about 80 s left"


def test_a_terminal_has_a_moving_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    for _ in track(range(3), "forecasts", "run"):
        pass
    said = capsys.readouterr().err
    assert re.search(r"forecasts: 100%.*3/3", said)


def test_a_notebook_has_its_widget(monkeypatch):
    class Widget(tqdm_notebook):
        def __init__(self, items, **about):
            self.items, self.about, self.disable = items, about, True

    monkeypatch.setattr(progress, "moving_bar", Widget)
    assert track(range(3), "forecasts", "run").about == {"desc": "forecasts", "unit": "run", "total": 3}


def test_a_bar_that_is_not_shown_is_silent(capsys):
    assert list(track(range(3), "forecasts", shown=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_times_are_rounded():
    times = {4: "10 s", 44: "40 s", 100: "2 min", 3000: "50 min", 7300: "2.0 h"}
    assert {seconds: describe_left(seconds) for seconds in times} == {
        seconds: f", about {text} left" for seconds, text in times.items()
    }
