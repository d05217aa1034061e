"""Config files: those that wormjax ships and those of users, their fields, and the comments beside these."""

import ast
import difflib
import importlib
import importlib.util
import inspect
import os
import re
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from wormjax.errors import InputError
from wormjax.value_checks import shorten, show_value

CONFIGS = "wormjax.configs"
IMPORTED = re.compile(f"from {re.escape(CONFIGS)} import (.+)")
ASSIGNED, KEY = re.compile(r"\s*(\w+)\.([\w.]+) = "), re.compile(r'\s*"(\w+)": ')  # Lines of a config file.
EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", tuple: "values: A,B or (A, B)"}


def load_config(name: str) -> ml_collections.ConfigDict:
    """Return the config of `FILE.py`, `FILE.py:VARIANT`, or of a config that wormjax ships: `NAME`, `NAME:VARIANT`.

    Raises:
      InputError: there is no such config, or it does not load.
    """
    path, variant = split_variant(os.path.expanduser(name))
    try:
        get_config = _load_module(path).get_config
        if variant and not inspect.signature(get_config).parameters:
            raise InputError(f"--config: found {shorten(name)}, but {shorten(path)} has no variants")
        config = get_config(*variant)
        list_fields(config)  # Fails for a config that contains itself.
    except InputError:
        raise
    except Exception as error:  # A config file is a program of the user's: anything may happen in it.
        reason = (str(error).strip().splitlines() or [""])[-1]
        problem = f"{type(error).__name__}: {shorten(reason)}"
        raise InputError(f"--config: {shorten(name)} does not load: {problem}") from None
    return config


def split_variant(name: str) -> tuple[str, list[str]]:
    if os.path.isfile(name):
        return name, []
    end = name.find(".py:") + 3 if ".py:" in name else name.find(":")
    return (name[:end], [name[end + 1 :]]) if end > 0 else (name, [])


def _load_module(path: str):
    if not path.endswith(".py") and path.isidentifier() and importlib.util.find_spec(f"{CONFIGS}.{path}"):
        return importlib.import_module(f"{CONFIGS}.{path}")
    if not os.path.isfile(path):
        known = f"a file or one of: {', '.join(list_configs())}"
        raise InputError(f"--config: found no config that loads at {show_value(path)}, expected {known}")
    spec = importlib.util.spec_from_file_location("config_file", path)
    if spec is None or spec.loader is None:
        raise InputError(f"--config: found no config that loads at {show_value(path)}, expected a file NAME.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def list_configs() -> list[str]:
    """Return the names of the configs that wormjax ships."""
    folder = Path(next(iter(importlib.import_module(CONFIGS).__path__)))
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "base", "of_workdir"))


def set_field(config: ml_collections.ConfigDict, field: str, text: str) -> None:
    """Set a field, given by its full name, to the value that `text` stands for."""
    known = list_fields(config)
    if field not in known:
        raise InputError(f"--config.{shorten(field)}: found no such config field, {suggest_field(field[:200], known)}")
    section, name = find_field(config, field)
    given = f"--config.{field}={shorten(text)}"
    kind = section.get_type(name)
    if issubclass(kind, ml_collections.ConfigDict):
        expected = f"expected one of its fields (--config.{field}.NAME=VALUE)"
        raise InputError(f"{given}: found a value for a section, {expected}")
    try:
        section[name] = parse_value(text, kind)
    except Exception as error:  # Of Python's literals: text that nests too deeply ends in almost any error.
        raise InputError(f"{given}: expected {EXPECTED.get(kind, error)}") from None


def find_field(config: ml_collections.ConfigDict, field: str) -> tuple[ml_collections.ConfigDict, str]:
    """Return the section that a field stands in, and its name there."""
    *sections, name = field.split(".")
    for one in sections:
        config = config[one]
    return config, name


def parse_value(text: str, kind: type) -> Any:
    """Return the value of type `kind` that a text stands for: `1e3` is a whole number, `mlp,recurrent` a tuple."""
    if kind is str:
        return os.path.expanduser(text)
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    try:
        value = ast.literal_eval(text)
    except Exception:
        value = text
    if kind is float:
        return float(value)
    if kind is int:
        if isinstance(value, bool) or int(value) != value:
            raise ValueError("a whole number")
        return int(value)
    if kind in (tuple, list):
        if isinstance(value, str) and set(value) & set("()[]{}'\""):
            raise ValueError("a list")
        if isinstance(value, str):
            value = [word.strip() for word in value.split(",") if word.strip()]
        return kind(value if isinstance(value, tuple | list) else [value])
    return value


def list_fields(config: ml_collections.ConfigDict) -> list[str]:
    """Return all fields of a config by their full names: `data`, `data.path`, ..."""
    fields = []
    for name, value in config.items(preserve_field_references=True):  # A required value may not be set yet.
        fields.append(name)
        if isinstance(value, ml_collections.ConfigDict):
            fields += [f"{name}.{inner}" for inner in list_fields(value)]
    return fields


def suggest_field(field: str, known: Sequence[str]) -> str:
    """Return a hint at the nearest known field, which may be in another section, or at all fields of its section."""
    section, _, word = field.rpartition(".")
    inside = f"{section}." if section in known else ""
    near = difflib.get_close_matches(field, [name for name in known if name != section], 1, cutoff=0.6)
    if not near:
        by_last_word = {name.rpartition(".")[2]: name for name in known}
        near = [by_last_word[one] for one in difflib.get_close_matches(word, by_last_word, 1, cutoff=0.65)]
    beside = [name for name in known if name.startswith(inside) and "." not in name.removeprefix(inside)]
    return f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(beside)}"


def read_comments(config: str) -> dict[str, str]:
    """Return field → the comments above and beside it, in a config file and the shipped configs that it imports.

    Comments beside a key of a dictionary, whose section is unknown, have the field `*.KEY`.
    """
    path = config if os.path.isfile(config) else importlib.util.find_spec(f"{CONFIGS}.{config}").origin
    with tokenize.open(path) as stream:
        lines = stream.read().splitlines()
    comments, above = {}, []
    for line in lines:
        if line.lstrip().startswith("# "):
            above.append(line.strip()[2:])
            continue
        code, _, beside = line.partition("  # ")
        words, above = " ".join(filter(None, (*above, beside))), []
        if imported := IMPORTED.match(code):
            for name in imported[1].split(", "):
                comments |= read_comments(name)
        elif words and (assigned := ASSIGNED.match(code)):
            comments[assigned[2] if assigned[1] == "config" else f"{assigned[1]}.{assigned[2]}"] = words
        elif beside and (key := KEY.match(code)):
            comments.setdefault(f"*.{key[1]}", beside)
    return comments


def list_alike(config: str) -> list[str]:
    """Return the names of the shipped configs of the same experiment as a config."""
    experiment = load_config(config).get("experiment")
    return [name for name in list_configs() if load_config(name).get("experiment") == experiment]
