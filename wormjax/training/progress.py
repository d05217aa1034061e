"""Progress of long work: which model of how many is being trained, and about how long all of them will take.

A terminal shows a bar, a notebook a widget. A log receives a line per model, and one every half a minute.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
from tqdm import tqdm
from tqdm.auto import tqdm as moving_bar  # A widget in a notebook, else the bar of a terminal.

from wormjax.training import multihost

Part = TypeVar("Part")

LOG_SECONDS = 30.0  # Between two lines in a log.
RESTORED_SECONDS = 1.0  # A model that took no longer was restored and says nothing of those to come.


class Program:
    """The place in a sequence of long parts, such as models; `outer` is that of the sequence which this one is in."""

    def __init__(self, total: int, unit: str, outer: "Program | None"):
        self.total, self.unit, self.outer = total, unit, outer
        self.number, self.name, self.begun = 0, "", 0.0
        self.spent: list[float] = []

    def begin(self, name: str) -> None:
        """Begin the next part, and print which it is."""
        self.number, self.name, self.begun = self.number + 1, name, time.monotonic()
        if multihost.is_first():
            tqdm.write(self.describe() + describe_left(self.estimate_left()), file=sys.stderr)

    def end(self) -> None:
        """Keep how long the present part took."""
        self.spent.append(time.monotonic() - self.begun)

    def describe(self) -> str:
        """Return the place in words: "model 2 of 5: recurrent"."""
        own = f"{self.unit} {self.number} of {self.total}: {self.name}"
        return f"{self.outer.describe()}, {own}" if self.outer else own

    def estimate_left(self, own: float | None = None) -> float | None:
        """Return about how many seconds all parts will still take; None where nothing is known.

        `own` are those of the present part; None: as long as those before it took.
        """
        usual, passed = [seconds for seconds in self.spent if seconds > RESTORED_SECONDS], time.monotonic() - self.begun
        if own is None and not usual:
            return self.outer.estimate_left() if self.outer else None
        own = max(0.0, float(np.mean(usual)) - passed) if own is None else own
        left = own + (self.total - self.number) * float(np.mean([*usual, passed + own]))
        return self.outer.estimate_left(left) if self.outer else left


_program: ContextVar[Program | None] = ContextVar("program", default=None)


def follow(parts: Collection[Part], unit: str = "model", spell: Callable[[Part], str] = str) -> Iterator[Part]:
    """Yield long parts one by one, and print of each which of how many it is and about how long all will take."""
    program = Program(len(parts), unit, _program.get())
    _program.set(program)
    try:
        for part in parts:
            program.begin(spell(part))
            yield part
            program.end()
    finally:
        if _program.get() is program:
            _program.set(program.outer)


def describe_place(name: str) -> str:
    """Return which of how many models is being trained; `name` outside of `follow`."""
    program = _program.get()
    return program.describe() if program else name


def estimate_left(own: float) -> float:
    """Return about how many seconds the whole program will still take, of which `own` are left of the present part."""
    program = _program.get()
    left = program.estimate_left(own) if program else None
    return own if left is None else left


def describe_left(seconds: float | None) -> str:
    """Return ", about 3 min left"; empty where nothing is known.

    >>> [describe_left(seconds) for seconds in (4, 100, 4000, None)]
    [', about 10 s left', ', about 2 min left', ', about 1.1 h left', '']
    """
    if seconds is None:
        return ""
    if seconds < 90:
        return f", about {max(10, round(seconds, -1)):.0f} s left"
    return f", about {seconds / 60:.0f} min left" if seconds < 3600 else f", about {seconds / 3600:.1f} h left"


class LogLines(tqdm):
    """A bar for a log, where carriage returns would pile up: a line every half a minute."""

    def __init__(self, items: Iterable, desc: str, unit: str, **place):
        super().__init__(items, disable=True, **place)
        self.about, self.units, self.more = desc, f"{unit}s", ""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set what the next line says besides the count."""
        self.more = f", {s}" if s else ""

    def __iter__(self):
        begun = said = time.monotonic()
        first = self.n
        for item in self.iterable:
            yield item
            self.n += 1
            now = time.monotonic()
            if now - said > LOG_SECONDS:
                left = describe_left((now - begun) / (self.n - first) * (self.total - self.n))
                print(f"{self.about}: {self.n} of {self.total} {self.units}{self.more or left}", file=sys.stderr)
                said = now


def track(items: Collection, about: str, unit: str = "part", shown: bool = True, **place) -> tqdm:
    """Return a bar over items: in a terminal or a notebook it moves, in a log it writes a line now and then.

    `about` says what the items are, `unit` what one is called; `place` has `initial` and `total` of a longer sequence.
    """
    place = {"total": len(items), **place}
    if not shown or not multihost.is_first():
        return tqdm(items, disable=True)
    # Known by its module: to import a widget's class would import IPython, which takes time.
    if sys.stderr.isatty() or "tqdm.notebook" in {base.__module__ for base in moving_bar.__mro__}:
        return moving_bar(items, desc=about, unit=unit, **place)
    return LogLines(items, about, unit, **place)
