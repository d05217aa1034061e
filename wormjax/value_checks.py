"""What a field of a config or of a file may hold, and the one line that says what was found and what was expected.

A kind is a type with its range: `whole(1, 1000)`, `number(above=0)`, `text(choices)`, `several(number(), once=True)`.
Every kind has an upper limit, far above anything of use: what lies beyond is a slip of the keyboard or a damaged file,
and would fill the memory or run for ever.
"""

import numbers
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from wormjax.errors import ConfigError, InputError

LARGEST_WHOLE = 1_000_000_000  # Fits in 32 bits, as steps and seeds must.
LARGEST_NUMBER = 1e9  # Whose square float32 still holds.
LONGEST_TEXT = 4_096  # Characters; also the longest path.
MOST_ITEMS = 1_000
SHOWN = 80  # Characters of a value in a message.
TYPE_NAMES = {str: "a string", bool: "true or false", dict: "a section", list: "a list", tuple: "a list"}

_short = reprlib.Repr()
_short.maxtuple = _short.maxlist = _short.maxdict = 6
_short.maxstring = _short.maxother = _short.maxlong = SHOWN
_short.maxlevel = 3


class Kind(NamedTuple):
    """What a field may hold.

    Attributes:
      words: it, in words, for messages.
      of_type: whether a value has the right type.
      find_fault: a value of the right type → None, or what was expected, in words.
    """

    words: str
    of_type: Callable[[Any], bool]
    find_fault: Callable[[Any], str | None]


def whole(low: int = 0, high: int = LARGEST_WHOLE) -> Kind:
    """A whole number from `low` to `high`; true and false are none."""

    def find_fault(value):
        if value < low:
            return f"{low:,} or more"
        return f"at most {high:,}" if value > high else None

    return Kind(f"a whole number, {low:,} or more", _is_whole, find_fault)


def number(
    low: float | None = None, high: float = LARGEST_NUMBER, above: float | None = None, below: float | None = None
) -> Kind:
    """A finite number: `low` ≤ it ≤ `high`, more than `above`, less than `below`."""
    words = _range_in_words(low, high, above, below)
    lowest = -high if low is None else low

    def find_fault(value):
        if value > high and f"{high:g}" not in words:
            return f"at most {high:g}"
        fits = lowest <= value <= high  # NaN does not.
        wrong = (above is not None and value <= above) or (below is not None and value >= below)
        return words if wrong or not fits else None

    return Kind(f"a number, {words}", _is_number, find_fault)


def text(choices: Iterable[str] = (), longest: int = LONGEST_TEXT) -> Kind:
    """A printable string of one line; one of `choices` where there are any."""
    choices = tuple(choices)
    words = f"one of {', '.join(name or repr(name) for name in choices)}" if choices else "a string"

    def find_fault(value):
        if choices:
            return None if value in choices else words
        if len(value) > longest:
            return f"a string of at most {longest:,} characters, not {len(value):,}"
        return None if value.isprintable() else "a string of printable characters on one line"

    return Kind(words, lambda value: isinstance(value, str), find_fault)


def truth() -> Kind:
    """True or false."""
    return Kind("true or false", lambda value: isinstance(value, bool), lambda value: None)


def several(kind: Kind, least: int = 0, most: int = MOST_ITEMS, once: bool = False) -> Kind:
    """A list (or tuple) of values of one kind; each `once` where it must be."""
    words = _words_of_several(kind.words) + (f", {least} or more of them" if least else "")

    def find_fault(values):
        if len(values) > most:
            return f"a list of at most {most:,}, not {len(values):,}"
        if len(values) < least:
            return words
        for place, value in enumerate(values, 1):
            expected = kind.words if not kind.of_type(value) else kind.find_fault(value)
            if expected:
                return f"{_words_of_several(expected)} (number {place} is {show_value(value)})"
        return "each name once" if once and len(set(values)) != len(values) else None

    return Kind(words, lambda values: isinstance(values, list | tuple), find_fault)


def optional(kind: Kind) -> Kind:
    """The kind, or None."""
    return Kind(
        f"{kind.words}, or none",
        lambda value: value is None or kind.of_type(value),
        lambda value: None if value is None else kind.find_fault(value),
    )


def check_value(place: str, value: Any, kind: Kind) -> None:
    """Raises InputError, which begins with `place`, where a value is not of the kind."""
    if not kind.of_type(value):
        raise InputError(f"{place}: found {show_value(value)}{_name_type(value)}, expected {kind.words}")
    expected = kind.find_fault(value)
    if expected:
        raise InputError(f"{place}: found {show_value(value)}, expected {expected}")


def check_field(field: str, value: Any, kind: Kind) -> None:
    """Raise ConfigError where the value of a config field is not of the kind."""
    try:
        check_value(field, value, kind)
    except InputError as error:
        raise ConfigError(field, str(error).removeprefix(f"{field}: ")) from None


def check_fields(place: str, fields: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Raises InputError for the first field that is not there or not of its kind; `place` names the file."""
    for field, kind in kinds.items():
        if field not in fields:
            raise InputError(f"{place}: field {field!r}: found none, expected {kind.words}")
        check_value(f"{place}: field {field!r}", fields[field], kind)


def show_value(value: Any) -> str:
    """A value as Python writes it, on one line, shortened to about 80 characters."""
    if isinstance(value, int) and value.bit_length() > 300:  # Python refuses to write the longest ones out.
        return f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, list | tuple) and len(value) > _short.maxlist:
        return f"{len(value):,} values, the first {show_value(value[0])}"
    shown = " ".join(_short.repr(value).split())
    return shorten(shown) if len(shown) > 2 * SHOWN else shown


def shorten(words: str, most: int = SHOWN) -> str:
    """Text as it is, cut where it is longer than `most` characters."""
    return words if len(words) <= most else f"{words[:most]}..."


def _words_of_several(words: str) -> str:
    return f"some of {words.removeprefix('one of ')}" if words.startswith("one of ") else f"a list, each {words}"


def _is_whole(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _name_type(value) -> str:
    for kind, name in TYPE_NAMES.items():
        if isinstance(value, kind):
            return "" if kind is bool else f" ({name})"
    return ""


def _range_in_words(low, high, above, below) -> str:
    if above is not None:
        return f"more than {above:g}" + (f" and at most {high:g}" if high < LARGEST_NUMBER else "")
    if below is not None:
        return f"{low:g} or more and less than {below:g}"
    if low is None:
        return "finite"
    return f"from {low:g} to {high:g}" if high < LARGEST_NUMBER else f"{low:g} or more"
