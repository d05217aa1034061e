"""Trains and decodes small experiments: run by test_parallel.py on one device and, as a program, on four.

python train_on_devices.py FOLDER CASE ... trains each case into FOLDER/CASE, or goes on with what is there; of the case
RESUMED only when a line has come from standard input.
"""

import functools
import json
import os
import pathlib
import sys
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "data"))

import small_systems
from small_experiments import small_config, small_dataset

from wormjax.features.system_scaling import scale_systems
from wormjax.models.catalog import CLASSIFIERS
from wormjax.models.classifiers import Decoding, flatten_neurons
from wormjax.models.layers import draw_keys, drop_channels, elu
from wormjax.models.sampling import sample_edges
from wormjax.models.wang2021 import FrameNorm
from wormjax.tasks.decode.runs import decode_model, score_model, train_model
from wormjax.tasks.groups import list_groups, restore_best
from wormjax.tasks.infer.materials import Materials, stack_system
from wormjax.tasks.infer.networks import build_training
from wormjax.tasks.protocols import list_splits
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.system_batches import SystemData
from wormjax.training.parallel import build_engine
from wormjax.training.workdir import describe_dataset

DATASET = small_dataset()
EDGES = 12  # Of four neurons.


class Together(nn.Module):
    """All that a batch's parts must agree on, in as few products as compile fast.

    Batch norm over the devices, a sampled graph that pays its divergence, dropout: each window by its own key.
    """

    states: int
    hidden: int = 4
    edge_types: int = 2
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        values = elu(nn.Dense(self.hidden)(flatten_neurons(features)))
        values = drop_channels(FrameNorm(self.axis_name)(values, valid, training_rngs is not None), training_rngs, 0)
        logits = nn.Dense(EDGES * self.edge_types)(values.mean(axis=1)).reshape(len(values), EDGES, self.edge_types)
        edges = jax.nn.softmax(logits)
        if training_rngs is not None:
            keys = draw_keys(training_rngs, 100)
            edges = jax.vmap(lambda x, key: sample_edges(x, key, training_rngs.temperature))(logits, keys)
        heard = jnp.broadcast_to(edges[:, None, :, 1], (*values.shape[:2], EDGES))
        return Decoding(nn.Dense(self.states)(jnp.concatenate([values, heard], axis=-1)), logits)


SIZES = {
    "together": {"hidden": 4},
    "mlp": {"hidden": 4},
    "nri_graph": {"channels": 4, "dilations": (1,), "node_hidden": 3, "edge_hidden": 4},
    "wang_graph": {"hidden": 4},
}
NO_AUGMENTATION = {f"train__{kind}": 0.0 for kind in ("gain", "offset", "noise", "neuron_dropout")}
NOISE = NO_AUGMENTATION | {"train__noise": 0.2, "train__runs_at_once": 1}
SHARED_GRAPH = {"train__kl_weight": 0.5, "train__edge_prior": (0.7, 0.3), "train__class_balance": 1.0}
# Case → model, how it is placed on several devices, how many of the six splits, and what else differs.
CASES = {
    "runs": ("mlp", "runs", 6, NOISE),  # Two devices get two runs, the others one and a copy.
    "same seed": ("mlp", "single", 6, NOISE),  # The same once more, as one device trains it.
    "batch": ("together", "batch", 2, NO_AUGMENTATION | {"train__gain": 0.2} | SHARED_GRAPH),
    "few runs": ("mlp", "runs", 3, NO_AUGMENTATION),  # Fewer than devices.
    "batch, nri_graph": ("nri_graph", "batch", 2, NO_AUGMENTATION | {"train__gain": 0.2} | SHARED_GRAPH),
    "batch, wang_graph": ("wang_graph", "batch", 2, NO_AUGMENTATION | {"train__class_balance": 1.0}),
}
# Case of neural relational inference → how it is placed, its seeds, and what else differs. The gradient of an
# attention's bias is zero but for rounding, which Adam makes a step of: not so in an MLP encoder.
SMALL_NRI = {
    "model__encoder__name": "mlp",
    "model__encoder__hidden": 4,
    "model__decoder__hidden": 4,
    "model__decoder__relative": False,
    "model__encoder__differences": False,
}
SYSTEM_CASES = {
    "systems by batch": ("batch", 1, SMALL_NRI | {"train__roll_out": 2, "train__given": 0.5, "train__hard": True}),
    "systems by run": ("runs", 5, SMALL_NRI | {"train__degrees_of_freedom": 3.0, "train__prior": (0.7, 0.3)}),
}
# What compiles in seconds; the other cases are of networks in place of `Together`, or of placements once more.
QUICK = ("runs", "same seed", "batch")
RESUMED = "batch"  # What four devices go on with after one.
BY_PMAP = ("few runs", "batch, nri_graph")  # Cases that four devices train by pmap too.
SCORED = ("runs", "same seed", "batch")  # Cases whose rows four devices are asked for too.


def configure(case, placement):
    """The config and the groups of one case."""
    name, _, count, fields = CASES[case]
    fields = {f"model__{name}": SIZES[name], "train__learning_rate": 0.01} | fields
    config = small_config(train__steps=6, train__steps_per_chunk=3, train__placement=placement, **fields)
    splits = list_splits("subsets", 3)
    return name, config, list_groups(config, splits[:count])


def train_by_pmap(case, folder):
    """Train one case by an engine of `jax.pmap`."""
    by_pmap = functools.partial(build_engine, pmap=True)
    with mock.patch("wormjax.tasks.training.build_engine", by_pmap):
        train_case(case, folder)


def train_case(case, folder, placement=None, stop=None):
    """Trains one case, of classification or of neural relational inference, and returns the state."""
    if case in SYSTEM_CASES:
        return train_system_case(case, folder, placement)
    name, config, groups = configure(case, placement or CASES[case][1])
    with mock.patch.dict(CLASSIFIERS, together=Together):
        return train_model(name, config, DATASET, groups, folder, stop)


def train_system_case(case, folder, placement=None):
    """Trains one case of neural relational inference and returns the state."""
    usual, seeds, fields = SYSTEM_CASES[case]
    config = small_systems.small_config(seeds=seeds, train__placement=placement or usual, **fields)
    systems = scale_systems(small_systems.make_splits(), config.data.frames)
    data = SystemData(stack_system(systems.train), stack_system(systems.valid))
    materials = Materials(systems, data, 2)
    return train_ensemble(*build_training(config, materials)[:4], folder)


def score_case(case, folder):
    """The rows of what was trained into a folder, on whatever device this is."""
    name, config, groups = configure(case, "single")
    best = restore_best(os.path.join(folder, "models", name))
    description = describe_dataset(DATASET)
    with mock.patch.dict(CLASSIFIERS, together=Together):
        decoded = decode_model(name, config, description, DATASET, groups, best)
        return score_model(name, config, description, DATASET, groups, decoded)


def main(folder, *cases):
    jax.config.update("jax_disable_most_optimizations", True)
    assert jax.local_device_count() == 4
    rows = {}
    for case in cases:
        path = os.path.join(folder, case)
        if case in BY_PMAP:
            train_by_pmap(case, f"{path} by pmap")
        if case == RESUMED:
            sys.stdin.readline()
        train_case(case, path)
        if case in SCORED:
            rows[case] = [[*row[:-1], float(np.float64(row.value))] for row in score_case(case, path)]
    pathlib.Path(folder, "rows.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
