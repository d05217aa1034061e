"""Trains and decodes small experiments: run by test_parallel.py on one device and, as a program, on four.

python train_on_devices.py FOLDER CASE ... trains each case into FOLDER/CASE, or goes on with what is there.
"""

import json
import os
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "data"))

import small_systems
from small_experiments import small_config, small_dataset

from wormjax.evaluation import inference
from wormjax.evaluation.decoding import decode_model, list_groups, restore_best, score_model, train_model
from wormjax.evaluation.protocols import list_splits
from wormjax.features.systems import scale_systems
from wormjax.training.elbo import SystemData
from wormjax.training.loop import train_ensemble
from wormjax.training.workdir import describe_dataset

DATASET = small_dataset()
SIZES = {
    "mlp": {"hidden": 4},
    "nri_graph": {"channels": 4, "dilations": (1,), "node_hidden": 3, "edge_hidden": 4},
    "wang_graph": {"hidden": 4},
}
NO_AUGMENTATION = {f"train__{kind}": 0.0 for kind in ("gain", "offset", "noise", "neuron_dropout")}
# Case → model, how it is placed on several devices, how many of the six splits, and what else differs.
CASES = {
    "runs": (  # Two devices get two runs, the others one and a copy.
        "mlp",
        "runs",
        6,
        NO_AUGMENTATION | {"train__noise": 0.2, "train__runs_at_once": 1},
    ),
    "few runs": ("mlp", "runs", 3, NO_AUGMENTATION),  # Fewer than devices.
    "batch": (
        "nri_graph",
        "batch",
        2,
        NO_AUGMENTATION | {"train__gain": 0.2, "train__kl_weight": 0.5, "train__edge_prior": (0.7, 0.3)},
    ),
    "batch norm": ("wang_graph", "batch", 2, {"train__class_balance": 1.0, **NO_AUGMENTATION}),
}
# Case of neural relational inference → how it is placed, its seeds, and what else differs. The gradient of an
# attention's bias is zero but for rounding, which Adam makes a step of: not so in an MLP encoder.
MLP_ENCODER = {"model__encoder__name": "mlp"}
SYSTEM_CASES = {
    "systems by batch": ("batch", 1, MLP_ENCODER | {"train__roll_out": 3, "train__given": 0.5, "train__hard": True}),
    "systems by run": ("runs", 5, MLP_ENCODER | {"train__degrees_of_freedom": 3.0, "train__prior": (0.7, 0.3)}),
}


def configure(case, placement):
    """The config and the groups of one case."""
    name, _, count, fields = CASES[case]
    fields = {f"model__{name}": SIZES[name], "train__learning_rate": 0.01} | fields
    config = small_config(train__steps=6, train__steps_per_chunk=3, train__placement=placement, **fields)
    splits = list_splits("subsets", 3)
    return name, config, list_groups(config, splits[:count])


def train_case(case, folder, placement=None, stop=None):
    """Trains one case and returns the state."""
    name, config, groups = configure(case, placement or CASES[case][1])
    return train_model(name, config, DATASET, groups, folder, stop)


def train_system_case(case, folder, placement=None):
    """Trains one case of neural relational inference and returns the state."""
    usual, seeds, fields = SYSTEM_CASES[case]
    config = small_systems.small_config(seeds=seeds, train__placement=placement or usual, **fields)
    systems = scale_systems(small_systems.make_splits(), config.data.frames)
    data = SystemData(inference.stack_system(systems.train), inference.stack_system(systems.valid))
    materials = inference.Materials(systems, data, 2)
    runs = inference.build_runs(config)
    _, recipe, engine = inference.build_training(config, materials, runs)
    return train_ensemble(engine, recipe, data, runs, folder)


def score_case(case, folder):
    """The rows of what was trained into a folder, on whatever device this is."""
    name, config, groups = configure(case, "single")
    best = restore_best(os.path.join(folder, "models", name))
    description = describe_dataset(DATASET)
    decoded = decode_model(name, config, description, DATASET, groups, best)
    return score_model(name, config, description, DATASET, groups, decoded)


def main(folder, *cases):
    jax.config.update("jax_disable_most_optimizations", True)
    assert jax.local_device_count() == 4
    rows = {}
    for case in SYSTEM_CASES:
        train_system_case(case, os.path.join(folder, case))
    for case in cases:
        path = os.path.join(folder, case)
        train_case(case, path)
        rows[case] = [[*row[:-1], float(np.float64(row.value))] for row in score_case(case, path)]
    pathlib.Path(folder, "rows.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
