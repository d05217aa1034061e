"""What an `infer` experiment leaves behind: results.csv, summary.md and figures."""

from pathlib import Path

import numpy as np

from wormjax.evaluation.inference import Inference
from wormjax.evaluation.results import Row, write_rows
from wormjax.simulation.trajectories import Trajectories


def write_report(config, rows: list[Row], outputs: dict[str, Inference], test: Trajectories, workdir: Path):
    """Writes rows, summary and figures into the workdir of an experiment."""
    write_rows(workdir / "results.csv", rows)
    import collections

    table = collections.defaultdict(list)
    for row in rows:
        table[row.model, row.metric].append(row.value)
    for key, values in table.items():
        print(*key, f"{np.mean(values):.4g}")
