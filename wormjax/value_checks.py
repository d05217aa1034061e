"""What a config field may hold, and the line that says what was found and what was expected.

A kind is a type with its range: `whole(1, 1000)`, `number(above=0)`, `text(choices)`, `several(number())`. Every kind
has an upper limit, far above anything of use: what lies beyond is a typing error, and would fill the memory.
"""

import numbers
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from wormjax.errors import ConfigError

LARGEST_WHOLE = 1_000_000_000  # Fits in 32 bits, as steps and seeds must.
LARGEST_NUMBER = 1e9  # Whose square float32 still holds.
LONGEST_TEXT = 4_096  # Characters; also the longest path.
MOST_ITEMS = 1_000
SHOWN = 80  # Characters of a value in a message.

_short = reprlib.Repr()
_short.maxtuple = _short.maxlist = _short.maxdict = 6
_short.maxstring = _short.maxother = _short.maxlong = SHOWN
_short.maxlevel = 3


class Kind(NamedTuple):
    """What a field may hold: in words, as a test of a value, and, of a list, the kind of its items."""

    words: str
    fits: Callable[[Any], bool]
    item: "Kind | None" = None


def whole(low: int = 0, high: int = LARGEST_WHOLE) -> Kind:
    """Return the kind of whole numbers from `low` to `high`; true and false are none."""

    def fits(value):
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and low <= value <= high

    return Kind(f"a whole number, {low:,} or more and at most {high:,}", fits)


def number(
    low: float = 0, high: float = LARGEST_NUMBER, above: float | None = None, below: float | None = None
) -> Kind:
    """Return the kind of finite numbers from `low` to `high`, or instead `above` and `below` a limit."""
    least = f"{low:g} or more" if above is None else f"more than {above:g}"
    most = f"at most {high:g}" if below is None else f"less than {below:g}"

    def fits(value):
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return False
        inside = low <= value if above is None else value > above  # NaN is not.
        return inside and (value <= high if below is None else value < below)

    return Kind(f"a number, {least} and {most}", fits)


def text(choices: Iterable[str] = (), longest: int = LONGEST_TEXT) -> Kind:
    """Return the kind of printable strings of one line; of `choices` where there are any."""
    choices = tuple(choices)
    if choices:
        words = f"one of {', '.join(name or repr(name) for name in choices)}"
        return Kind(words, lambda value: isinstance(value, str) and value in choices)
    words = f"a string of at most {longest:,} printable characters on one line"
    return Kind(words, lambda value: isinstance(value, str) and len(value) <= longest and value.isprintable())


def truth() -> Kind:
    """Return the kind of true and false."""
    return Kind("true or false", lambda value: isinstance(value, bool))


def several(item: Kind, least: int = 0, most: int = MOST_ITEMS) -> Kind:
    """Return the kind of lists (or tuples) of one kind of items."""
    words = f"a list of {least:,} to {most:,}, each {item.words}"
    return Kind(words, lambda value: isinstance(value, list | tuple) and least <= len(value) <= most, item)


def optional(kind: Kind) -> Kind:
    """Return the kind that may also be None."""
    return Kind(f"{kind.words}, or none", lambda value: value is None or kind.fits(value), kind.item)


def check_value(field: str, value: Any, kind: Kind) -> None:
    """Raise ConfigError where a value, or an item of a list, is not of the kind, or a string stands twice in a list."""
    if not kind.fits(value):
        raise ConfigError(field, f"found {show_value(value)}, expected {kind.words}")
    for place, item in enumerate(value or () if kind.item else ()):
        if not kind.item.fits(item):
            raise ConfigError(field, f"found {show_value(item)} at place {place + 1}, expected {kind.item.words}")
        if isinstance(item, str) and item in value[:place]:
            raise ConfigError(field, f"found {show_value(item)} twice, expected each name once")


def check_names(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not among those that are known."""
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ConfigError(field, f"found {show_value(name)}, expected some of {', '.join(known)}")


def show_value(value: Any) -> str:
    """Return a value as Python writes it, on one line, shortened to about 80 characters."""
    if isinstance(value, int) and value.bit_length() > 300:  # Python refuses to write the longest ones out.
        return f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, list | tuple) and len(value) > _short.maxlist:
        return f"{len(value):,} values, the first {show_value(value[0])}"
    shown = " ".join(_short.repr(value).split())
    return shorten(shown) if len(shown) > 2 * SHOWN else shown


def shorten(words: str, most: int = SHOWN) -> str:
    """Return text as it is, cut where it is longer than `most` characters."""
    return words if len(words) <= most else f"{words[:most]}..."
