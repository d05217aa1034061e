"""Running a program from the command line: a user's mistake is one line on stderr and exit code 2, no traceback.

    from wormjax.command_line import define_config, run

    CONFIG = define_config("configs/generalize.py")

    def main(_):
        print(CONFIG.value.data.study)

    if __name__ == "__main__":
        run(main)

ml_collections reads the overrides (`--config.data.path=...`) when the flag is defined, and ends in a traceback for a
field that the config has not. Here the flag is defined without a config, and the overrides are checked first.
"""

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from wormjax.errors import InputError, TrainingError
from wormjax.training.preemption import Stopped, describe_stop, exit_code, stop_on_signals
from wormjax.value_checks import shorten, show_value

EXIT_CODE = 2
_DEFAULTS: dict[str, str | None] = {}  # Config flag → the config file where none is given.
_ARGUMENTS: list[str] = []  # What ml_collections reads as the command line.


def define_config(default: str | None = None, name: str = "config") -> flags.FlagHolder:
    """Defines the flag `--config=FILE`, with overrides `--config.field=value`; the config is locked.

    Args:
      default: the config file where the flag is not given; None: it must be.
      name: the flag's name.
    """
    _DEFAULTS[name] = default
    description = f"the config file (default: {default}); fields are set by --{name}.field=value"
    return config_flags.DEFINE_config_file(name, None, description, sys_argv=_ARGUMENTS)


def run(main: Callable[[list[str]], Any]) -> None:
    """Parses the flags and runs `main(argv)`; a mistake of the user's ends the program.

    An InputError, a misspelt flag or config field print `error: <message>` to stderr; the exit code is 2. Training that
    met a number that is not finite and a disk that is full do the same with exit code 1. SIGTERM and Ctrl-C save what
    is being trained, and end the program with exit code 143 or 130.
    """

    use_all_cores()
    stop_on_signals()

    def guarded_main(argv: list[str]) -> Any:
        logging.set_verbosity(logging.WARNING)  # Orbax tells every step of a save.
        try:
            return main(argv)
        except InputError as error:
            _exit(error)
        except TrainingError as error:
            _exit(error, 1)
        except MemoryError as error:
            _exit(f"not enough memory ({error}); what was saved before is kept", 1)
        except OSError as error:
            _exit(_describe_os_error(error), 1)

    try:
        app.run(guarded_main, flags_parser=parse_flags)
    except Stopped:
        print(f"\n{describe_stop()}", file=sys.stderr)
        sys.exit(exit_code())


def use_all_cores() -> None:
    """Makes each core of a CPU a device of its own, among which runs are shared out; does nothing to a GPU or TPU.

    Small networks leave most of a core to overhead: two cores that train a run each are twice as fast as two cores that
    share every operation of one run. XLA_FLAGS or JAX_NUM_CPU_DEVICES, where set, decide instead.
    """
    told = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not told and "JAX_NUM_CPU_DEVICES" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        jax.config.update("jax_num_cpu_devices", max(1, min(cores or 1, 16)))


def parse_flags(argv: Sequence[str]) -> list[str]:
    """absl's parser of flags, with a mistake in one line and exit code 2."""
    try:
        argv = _complete_configs(list(argv))
        for name in _DEFAULTS:
            _check_overrides(argv, name)
        _ARGUMENTS[:] = argv
        try:
            rest = flags.FLAGS(argv)
        except Exception as error:  # ml_collections evaluates overrides as literals of Python, which may be anything.
            said = shorten(str(error), 300) or type(error).__name__
            given = " ".join(
                argument for argument in argv[1:] if argument.partition("=")[0].lstrip("-") not in _DEFAULTS
            )
            raise InputError(said if "--" in said or not given else f"{shorten(given, 200)}: {said}") from None
        if len(rest) > 1:
            raise InputError(f"found the argument {show_value(rest[1])}, expected flags only (--name=value)")
        return rest
    except InputError as error:
        _exit(error)


def list_fields(config: ml_collections.ConfigDict) -> list[str]:
    """All fields of a config with their full names: `data`, `data.path`, ..."""
    fields = []
    for name, value in config.items(preserve_field_references=True):  # A required value may not be set yet.
        fields.append(name)
        if isinstance(value, ml_collections.ConfigDict):
            fields += [f"{name}.{inner}" for inner in list_fields(value)]
    return fields


def suggest_field(field: str, known: Sequence[str]) -> str:
    """A hint at the nearest of the known fields; a field in the wrong group is near, too."""
    near = difflib.get_close_matches(field, known, 1, cutoff=0.6)
    if not near:
        by_last_word = {name.rpartition(".")[2]: name for name in known}
        near = [by_last_word[word] for word in difflib.get_close_matches(field.rpartition(".")[2], by_last_word, 1)]
    return f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(known)}"


def _describe_os_error(error: OSError) -> str:
    """What the system refused, in one line: a disk that is full, a folder that is read-only."""
    where = error.filename if isinstance(error.filename, str) else "the output"
    return f"{where}: {error.strerror or error}; what was saved before is kept, and the same command goes on from there"


def _exit(error: Exception | str, code: int = EXIT_CODE) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(code)


def find_flag(argv: Sequence[str], name: str) -> str | None:
    """The value that a command line gives a flag, before any flag is defined; None where it does not."""
    for position, argument in enumerate(argv[1:], 1):
        flag, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and flag == name:
            return value if equals else next(iter(argv[position + 1 :]), None)
    return None


def _complete_configs(argv: list[str]) -> list[str]:
    """The command line with the default config files written out, before the overrides."""
    missing = [name for name, default in _DEFAULTS.items() if default and find_flag(argv, name) is None]
    return argv[:1] + [f"--{name}={_DEFAULTS[name]}" for name in missing] + argv[1:]


def _check_overrides(argv: Sequence[str], name: str) -> None:
    """Raises the error of the first override whose field the config has not."""
    path = find_flag(argv, name)
    if path is None:
        raise InputError(f"--{name}: found none, expected a config file (--{name}=configs/NAME.py)")
    known = list_fields(load_config(path, name))
    for argument in argv[1:]:
        flag = argument.lstrip("-").partition("=")[0]
        field = flag.removeprefix(f"no{name}.").removeprefix(f"{name}.").partition("[")[0]
        if not argument.startswith("-") or field == flag:
            continue
        if field not in known:
            raise InputError(f"--{shorten(flag)}: found no such config field, {suggest_field(field[:200], known)}")
        if any(other.startswith(f"{field}.") for other in known):
            found = f"found {show_value(argument.partition('=')[2])} for a section of fields"
            raise InputError(f"{shorten(argument)}: {found}, expected one of its fields (--{flag}.FIELD=VALUE)")


def load_config(path: str, name: str = "config") -> ml_collections.ConfigDict:
    """The config that a file's get_config() returns, as --config=PATH gives it."""
    try:
        config = config_flags.config_flags.ConfigFileFlagParser(name).parse(path)
        if isinstance(config, ml_collections.ConfigDict):
            list_fields(config)  # One that contains itself has no end.
    except InputError:
        raise
    except Exception as error:  # A config file is a program of the user's: anything may happen in it.
        reason = str(error).strip().splitlines() or [""]
        said = f"{type(error).__name__}: {shorten(reason[-1])}"
        raise InputError(f"--{name}: {shorten(path)} does not load: {said}") from None
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(
            f"--{name}: found no config that loads at {show_value(path)}, expected a file with get_config()"
        )
    return config
