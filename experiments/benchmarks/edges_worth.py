"""Tabulate the errors of a trained model's predictions on its inferred edges, on other edges, and on none.

    python -m experiments.benchmarks.edges_worth --workdir=runs/motion

The work directory is one of `experiments.infer` with `model.decoder.name` "horizon". Errors are of its test windows, by
steps ahead, the mean over trials and seeds as in its own tables; in brackets, how far they are from those on the edges
as the model uses them. With --config.data.path=FILE they are those of other trials.
"""

import numpy as np

from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.models.nri import HORIZON
from wormjax.scoring.markdown import to_markdown
from wormjax.scoring.tables import summarise
from wormjax.tasks.infer.experiment import open_scored, restore_variables, score_outputs
from wormjax.tasks.infer.horizons import predict_windows
from wormjax.tasks.infer.materials import find_pairs
from wormjax.tasks.infer.networks import build_model, vary_config
from wormjax.tasks.infer.outputs import Inference, choose_edges, run_model
from wormjax.training.progress import follow

MODEL = "nri"
USED = "as used"
FLAGS = [
    ("string", "workdir", "runs/motion", "Folder of a trained experiment."),
    ("integer", "seed", 0, "Of which window's edges another one gets."),
]


def list_edges(likeliest: np.ndarray, pairs: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return edges [run, window, edge, type] by what they are.

    Args:
      likeliest: the inferred ones, one-hot.
      pairs: which edges have both their objects [window, edge].
      seed: of the order in which each window gets the edges of the one before it, so that none keeps its own.
    """
    order = np.random.default_rng(seed).permutation(likeliest.shape[1])
    shuffled = np.empty_like(likeliest)
    shuffled[:, order] = likeliest[:, np.roll(order, 1)]
    every, none = np.zeros_like(likeliest), np.zeros_like(likeliest)
    every[..., -1] = 1.0
    edges = {"likeliest": likeliest, "likeliest of other windows": shuffled, "all": every, "none": none}
    return {name: one * pairs[..., None] for name, one in edges.items()}


def measure(config, workdir: str, seed: int):
    """Return the mean errors [edges, metric] as a table."""
    if config.model.decoder.name != HORIZON:
        raise InputError(f"{workdir}: found model.decoder.name {config.model.decoder.name!r}, expected {HORIZON!r}")
    scored, variables = open_scored(config, workdir), restore_variables(MODEL, config, workdir)
    test, inputs = scored.test, (scored.edge_types, scored.scaling, variables, scored.valid, scored.test)
    used = run_model(MODEL, config, *inputs)[MODEL]
    likeliest = choose_edges(used.test_edges, test, scored.edge_types, variables)
    edges = list_edges(likeliest, find_pairs(test.present), seed)
    nri = build_model(vary_config(MODEL, config), scored.edge_types, scored.scaling.change_scale)
    outputs = {USED: used._replace(named=False)}
    for name in follow([*edges], "edges"):
        predicted = predict_windows(config, nri, variables, test, edges[name])
        outputs[name] = Inference(None, None, predicted)
    rows = score_outputs(config, outputs, test, scored.scaling)
    return summarise(rows).pivot(index="model", columns="metric", values="mean").loc[[*outputs]]


def format_table(table) -> list[str]:
    """Return the lines of a table of errors, each with its difference from those on the edges as used."""
    metrics = sorted(table.columns, key=lambda metric: int(metric.partition("@")[2] or 0))
    texts = table[metrics].map("{:.3g}".format)
    changes = (table[metrics] / table.loc[USED, metrics] - 1).map(" ({:+.1%})".format)
    changes.loc[USED] = ""
    return to_markdown(texts + changes, "edges")


def main(values, config) -> None:
    """Print the table."""
    print("\n".join(format_table(measure(config, values.workdir, values.seed))))


if __name__ == "__main__":
    run(main, FLAGS, __doc__, config="of_workdir:{workdir}")
