"""Run a program from the command line: a user's mistake is one line on stderr and exit code 2, without a traceback.

    from wormjax.command_line import run

    def main(values, config):
        print(values.workdir, config.data.study)

    if __name__ == "__main__":
        run(main, [("string", "workdir", "runs", "Folder of the results.")], __doc__, config="generalize")

A config file is executed once. Its fields are set by --config.FIELD=VALUE.
"""

import contextlib
import logging as python_logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import ml_collections
import pooch
from absl import flags, logging

from wormjax import config_files
from wormjax.errors import InputError, RecordingWarning, TrainingError
from wormjax.value_checks import shorten, show_value

EXIT_CODE = 2
HELP = ("-h", "-help", "--help", "--helpfull")
Flag = tuple[str, str, Any, str]  # Type (of absl's DEFINE_*), name, default, description.


def run(
    main: Callable[..., Any],
    define: Sequence[Flag] = (),
    about: str = "",
    config: str | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Parse the command line and call `main(values)`, or `main(values, config)` where there is a config.

    An InputError and a misspelt flag or config field print `error: <message>` to stderr; the exit code is 2. A number
    that is not finite in training and a full disk do the same with exit code 1. SIGTERM and Ctrl-C save what is being
    trained; the exit code is then 143 or 130.

    Args:
      define: the program's flags.
      about: what it does, for --help.
      config: name or file of the default config; fields in braces are flags, such as "of_workdir:{workdir}". None for a
        program without a config.
      argv: the command line; sys.argv where it is None.
    """
    argv = list(sys.argv if argv is None else argv)
    with one_line_errors():
        if any(argument in HELP for argument in argv[1:]):
            print("\n".join(describe(argv, define, about, config)), flush=True)
            return
        arguments = parse(argv, define, config)
        use_all_cores()
        use_float32()
        keep_compiled_programs()
        warnings.formatwarning = _format_warning
        logging.set_verbosity(logging.WARNING)  # Orbax logs every step of a save.
        with _stop_in_order(), _show_messages():
            main(*arguments)


@contextlib.contextmanager
def _show_messages() -> Iterator[None]:
    """Print what wormjax logs, such as the worms in play."""
    logger, handler = python_logging.getLogger("wormjax"), python_logging.StreamHandler(sys.stdout)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(python_logging.INFO)
    logger.propagate = False  # absl has a handler of its own.
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def parse(argv: Sequence[str], define: Sequence[Flag], config: str | None = None) -> tuple:
    """Return the values of the flags and, where `config` is not None, the config with its overrides, locked."""
    rest, chosen, overrides = _split_overrides(argv) if config is not None else (list(argv), None, [])
    values = flags.FlagValues()
    for kind, name, default, description in define:
        getattr(flags, f"DEFINE_{kind}")(name, default, description, flag_values=values)
    try:
        positional = values(rest)[1:]
    except flags.Error as error:
        raise InputError(f"{shorten(' '.join(rest[1:]), 200)}: {shorten(str(error), 300)}") from None
    if positional:
        raise InputError(f"found the argument {show_value(positional[0])}, expected flags only (--name=value)")
    for name in values:
        if isinstance(values[name].value, str):
            values[name].value = os.path.expanduser(values[name].value)
    if config is None:
        return (values,)
    fields = config_files.load_config(config.format_map(values.flag_values_dict()) if chosen is None else chosen)
    for field, text in overrides:
        if field in values and field not in fields:
            raise InputError(f"--config.{field}: found no such config field, did you mean --{field}={shorten(text)}?")
        config_files.set_field(fields, field, text)
    return values, fields.lock() or fields


def describe(argv: Sequence[str], define: Sequence[Flag], about: str, config: str | None) -> list[str]:
    """Return the lines of --help: the flags, and the fields of the config with their defaults and comments."""
    lines = [about.strip(), "", "Flags:"]
    if config is not None:
        names = "" if "{" in config else f"; names: {', '.join(config_files.list_alike(config))}"
        lines.append(f"  --config={config}  Name or file of a config{names}.")
    lines += [f"  --{name}={'' if default is None else default}  {text}" for _, name, default, text in define]
    chosen = _split_overrides([argument for argument in argv if argument not in HELP])[1] or config
    if config is None or "{" in chosen:
        return lines
    fields = config_files.load_config(chosen)
    comments = config_files.read_comments(config_files.split_variant(chosen)[0])
    lines += ["", f"Fields of {chosen}, set by --config.FIELD=VALUE:"]
    for field in config_files.list_fields(fields):
        section, name = config_files.find_field(fields, field)
        value = section[name]
        comment = comments.get(field) or comments.get(f"*.{name}")
        shown = f"  {field}:" if isinstance(value, ml_collections.ConfigDict) else f"  {field}={value!r}"
        lines.append(f"{shown}  # {comment}" if comment else shown)
    return lines


def use_float32() -> None:
    """Switch JAX_ENABLE_X64 off for this program, and say so: models train in float32, and rows depend on it.

    Simulators that need float64 ask for it themselves.
    """
    import jax

    if jax.config.read("jax_enable_x64"):
        print("note: JAX_ENABLE_X64 is switched off: programs of wormjax train in float32", file=sys.stderr)
        jax.config.update("jax_enable_x64", False)


def use_all_cores() -> None:
    """Make each core of a CPU a device of its own, among which runs are divided. A GPU or TPU stays as it is.

    Small networks leave a core mostly idle: two cores that train a run each are twice as fast as two cores that share
    every operation of one run. XLA_FLAGS or JAX_NUM_CPU_DEVICES take precedence where set.
    """
    import jax

    is_set = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not is_set and "JAX_NUM_CPU_DEVICES" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        with contextlib.suppress(RuntimeError):  # JAX is at work already: the program runs within another one.
            jax.config.update("jax_num_cpu_devices", max(1, min(cores or 1, 16)))


def keep_compiled_programs() -> None:
    """Keep compiled programs in the user's cache folder, so that a later run of the same shapes need not compile.

    JAX_COMPILATION_CACHE_DIR names another folder; JAX_ENABLE_COMPILATION_CACHE=0 keeps none.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(pooch.os_cache("wormjax") / "compiled"))


def _format_warning(message: Warning, category: type[Warning], *place, format_warning=warnings.formatwarning) -> str:
    """Return a warning about data as one line, without the line of code that gives it."""
    return f"note: {message}\n" if issubclass(category, RecordingWarning) else format_warning(message, category, *place)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line on stderr and an exit code where the block raises what a user can mend."""
    try:
        yield
    except InputError as error:
        _exit(error)
    except TrainingError as error:
        _exit(error, 1)
    except MemoryError as error:
        _exit(f"not enough memory ({error}); what was saved before is kept", 1)
    except BrokenPipeError:  # The reader of the output, such as `head`, has all that it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)  # As of a process that SIGPIPE has ended.
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else "the output"
        kept = "what was saved before is kept, and the same command goes on from there"
        _exit(f"{where}: {error.strerror or error}; {kept}", 1)
    except Exception:  # JAX raises more than one type where a platform has no device.
        platforms = os.environ.get("JAX_PLATFORMS")
        if not platforms or _has_devices():
            raise
        found = f"JAX_PLATFORMS: found {platforms!r}, for which JAX has no device on this machine"
        _exit(f"{found}; expected another value, such as cpu, or none")


def _has_devices() -> bool:
    import jax

    try:
        return bool(jax.devices())
    except Exception:
        return False


@contextlib.contextmanager
def _stop_in_order() -> Iterator[None]:
    """End in good order on SIGTERM and Ctrl-C. Windows has other signals; there Python's own handlers stay."""
    if sys.platform == "win32":
        yield
        return
    from wormjax.training import preemption

    preemption.stop_on_signals()
    try:
        yield
    except preemption.Stopped:
        print(f"\n{preemption.describe_stop()}", file=sys.stderr)
        sys.exit(preemption.exit_code())


def _exit(error: Exception | str, code: int = EXIT_CODE) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(code)


def _split_overrides(argv: Sequence[str]) -> tuple[list[str], str | None, list[tuple[str, str]]]:
    """Return the command line without its config, the config's name (None where not given), and field and value of
    each override."""
    rest, chosen, overrides = list(argv[:1]), None, []
    waiting = list(argv[1:])
    while waiting:
        argument = waiting.pop(0)
        flag, equals, text = argument.lstrip("-").partition("=")
        is_config = (argument.startswith("-") and flag.startswith(("config.", "noconfig."))) or flag == "config"
        if not argument.startswith("-") or not is_config:
            rest.append(argument)
            continue
        if not equals:  # --config.seed 4, or --config.decode.whole and --noconfig.decode.whole.
            takes_next = waiting and not waiting[0].startswith("--") and not flag.startswith("no")
            text = waiting.pop(0) if takes_next else str(not flag.startswith("no"))
        if flag == "config":
            chosen = text
        else:
            overrides.append((flag.partition(".")[2], text))
    return rest, chosen, overrides
