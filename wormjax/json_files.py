"""Reading a JSON file that anyone may have touched: one object of finite numbers, or one line that says what it is."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wormjax.errors import InputError
from wormjax.value_checks import show_value

LARGEST_FILE = 64 << 20  # Bytes.
DEEPEST = 20  # Objects and lists within each other.


def read_json(path: str | os.PathLike, expected: str = "what training wrote", of: str = "file") -> dict[str, Any]:
    """The object of a JSON file.

    Args:
      path: the file.
      expected: and of: what an error says that the file should hold, and be part of.

    Raises:
      InputError: no such file, no JSON, no object, a name twice in one object, a number that is not finite, or too much
        of it.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: found no regular file, expected {expected}")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"{path}: found {size:,} bytes, expected at most {LARGEST_FILE:,}: {expected}")
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_collect_once)
    except FileNotFoundError:
        raise InputError(f"{path}: found no such file, expected {of}") from None
    except OSError as error:
        raise InputError(f"{path}: found a file that cannot be read ({error.strerror}), expected {expected}") from None
    except _Twice as error:
        raise InputError(f"{path}: field {show_value(error.args[0])}: found twice, expected once") from None
    except RecursionError:
        raise InputError(f"{path}: found objects within each other without end, expected {expected}") from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: found a file that is not JSON ({error}), expected {expected}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected a JSON object")
    for field, depth, value in _list_values(content):
        if depth > DEEPEST:
            found = f"found objects or lists {DEEPEST} deep within each other"
            raise InputError(f"{path}: field {show_value(field)}: {found}, expected {expected}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{path}: field {show_value(field)}: found {value}, expected a finite number")
    return content


class _Twice(Exception):  # noqa: N818
    """A name that an object holds twice."""


def _collect_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; Python's own reading would keep the last of two values of one name without a word."""
    collected: dict[str, Any] = {}
    for name, value in pairs:
        if name in collected:
            raise _Twice(name)
        collected[name] = value
    return collected


def _list_values(content: dict[str, Any]) -> Iterator[tuple[str, int, Any]]:
    """All values, empty objects and lists too, with the names that lead to them and how deep they lie."""
    waiting: list[tuple[str, int, Any]] = [("", 0, content)]
    while waiting:
        field, depth, value = waiting.pop()
        if depth <= DEEPEST and isinstance(value, dict):
            waiting += [(f"{field}.{name}".lstrip("."), depth + 1, inner) for name, inner in value.items()]
        elif depth <= DEEPEST and isinstance(value, list):
            waiting += [(field, depth + 1, inner) for inner in value]
        else:
            yield field, depth, value
