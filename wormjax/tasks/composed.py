"""Experiments that are composed of others: the config of each task, and whose field an error names.

`config.tasks.NAME` has a task's own sections. The worms, the seeds and the protocol are given once for all tasks.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from wormjax.errors import ConfigError

OWN_FIELDS = ("inputs", "derivative_seconds", "trace_weight")  # Fields of `data` that each task has of its own.
SHARED_FIELDS = ("data", "protocol", "seed", "seeds")  # Given once, but for OWN_FIELDS.
LEAVE_ONE_OUT = {"name": "leave_one_worm_out", "train_counts": ()}  # Where the experiment has no protocol.


def build_task(config, name: str):
    """Return the config of a task: its own sections, with the worms, protocol and seeds of the experiment."""
    task = config.tasks[name].copy_and_resolve_references().unlock()
    own = {field: task.data[field] for field in OWN_FIELDS}
    task.data = config.data.copy_and_resolve_references().unlock()
    for field, value in (*own.items(), ("test_study", ""), ("test_path", "")):
        task.data[field] = value
    task.protocol = dict(config.get("protocol", LEAVE_ONE_OUT))
    for field in ("seed", "seeds", "distributed"):
        if field in config:  # A config may lack `distributed`.
            task[field] = config[field]
    return task.lock()


@contextmanager
def name_task(name: str) -> Iterator[None]:
    """Let a ConfigError from within name the field of the experiment's config, not of the task's."""
    try:
        yield
    except ConfigError as error:
        section, _, rest = error.field.partition(".")
        if section in SHARED_FIELDS and rest not in OWN_FIELDS:
            raise
        raise ConfigError(f"tasks.{name}.{error.field}", error.problem) from None
