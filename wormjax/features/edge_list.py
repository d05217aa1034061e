"""Read a graph between named neurons that a model is given: a CSV table of sender, receiver, weight; or the wiring."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from wormjax import connectome
from wormjax.errors import ConfigError
from wormjax.recordings.names import normalise_neuron_name

WIRING = "cook2019:"
WEIGHTS = ("weight", "probability")  # Of one of these names is the column of weights; `edges.csv` has the second.


def read_edges(
    path: str, names: Sequence[str], field: str = "data.edges", expected: str = "a CSV table of edges"
) -> Float[np.ndarray, "sender receiver"]:
    """Return the weights of the edges between neurons, divided by the largest; 0 where the table has no edge.

    `path` is that of a CSV table with the columns sender, receiver, and weight or probability (without one, all weigh
    1); or "cook2019:KIND", the wiring: chemical, electrical or both. For errors, `field` gives the path, and may hold
    what is `expected`. ConfigError for no such table, a missing column, a weight that is not finite, no edge between
    the neurons.
    """
    if path.startswith(WIRING):
        kinds = connectome.load("cook2019")
        kind = path.removeprefix(WIRING)
        if kind not in kinds.kinds:
            raise ConfigError(field, f"found {path!r}, expected {WIRING} with {', '.join(kinds.kinds)}")
        return _scale(np.nan_to_num(kinds.matrix(kind, names)), path, field)
    try:
        table = pd.read_csv(path, comment="#", skipinitialspace=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ConfigError(field, f"found {path!r} ({reason}), expected {expected}") from None
    lacking = [column for column in ("sender", "receiver") if column not in table]
    if lacking:
        found = f"found {path!r} with the columns {', '.join(map(str, table.columns[:10]))}"
        raise ConfigError(field, f"{found}, expected {' and '.join(lacking)} too")
    column = next((name for name in WEIGHTS if name in table), None)
    weights = pd.to_numeric(table[column], errors="coerce") if column else pd.Series(1.0, index=table.index)
    if not np.isfinite(weights).all():
        row = int(np.argmin(np.isfinite(weights)))
        raise ConfigError(field, f"found {path!r}: row {row + 2} has no finite {column}, expected a number")
    places = {name: place for place, name in enumerate(names) if name}
    matrix = np.zeros((len(names), len(names)), np.float32)
    for sender, receiver, weight in zip(table["sender"], table["receiver"], weights, strict=True):
        ends = [places.get(normalise_neuron_name(str(name))) for name in (sender, receiver)]
        if None not in ends and ends[0] != ends[1]:
            matrix[ends[0], ends[1]] = weight
    return _scale(matrix, path, field)


def _scale(matrix, path, field):
    np.fill_diagonal(matrix, 0.0)
    if not matrix.any():
        raise ConfigError(field, f"found {path!r}, without an edge between the neurons in play, expected some")
    return (matrix / np.abs(matrix).max()).astype(np.float32)
