"""Few neurons: the score of trained decoders by how many named neurons the worm that is tested has.

Of each tested worm a random order of its neurons is drawn; the first 1, 2, 4, ... stay and all others are masked. The
orders are the same for all models. Beside them stands a linear decoder that is fitted anew to exactly these neurons.
Neurons that are masked have lost their names alone: where decodings are refined by the worm's own activity, that is the
activity of all neurons.
"""

import dataclasses
import zlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from wormjax.features.dataset import Dataset
from wormjax.scoring.rows import Row
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.groups import Group, split_by_seed
from wormjax.tasks.worms import Materials
from wormjax.training.progress import track

BASE, REFITTED = "linear_union", "linear_refitted"


def score_few_neurons(
    config, description: dict, materials: Materials, groups: Sequence[Group], variables: dict[str, Any]
) -> list[Row]:
    """Return the rows of the first model and of `linear_union` with fewer neurons; metrics are called METRIC@COUNT.

    METRIC@all is that of a number which no worm exceeds.
    """
    dataset, few = materials.test_dataset, config.few_neurons
    activity, score = decoding.factor_worms(config, dataset), decoding.score_decoder
    # Fitted to whole worms, a linear decoder is the same for every seed: it is scored once.
    by_seed = config.protocol.name == "same_worm"
    seeds = dict.fromkeys(group.seed for group in groups)
    own = np.array([number for number, group in enumerate(groups) if by_seed or group.seed == config.seed])
    linear = [groups[number] for number in own]
    values: dict[Row, list[float]] = defaultdict(list)
    most = dataset.find_present().sum(axis=1).max()
    jobs = [(count, number) for count in few.counts for number in range(few.orders if count < most else 1)]
    for count, number in track(jobs, "few neurons"):
        kept = choose_subsets(dataset, count, number)
        features = dataset.arrays.features * kept[dataset.stretch_worm][:, None, :, None]
        masked = dataclasses.replace(dataset, arrays=dataset.arrays._replace(features=features))
        rows = _score_refitted(config, description, materials, masked, linear, kept, activity)
        if BASE in variables:
            fitted = decoding.select_runs(variables[BASE], own)
            rows += score(BASE, BASE, config, description, masked, linear, fitted, activity)
        if not by_seed:
            rows = [row._replace(seed=seed) for seed in seeds for row in rows]
        for name in config.models[:1]:
            rows = score(name, name, config, description, masked, groups, variables[name], activity) + rows
        amount = count if count < most else "all"
        for row in rows:
            values[row._replace(metric=f"{row.metric}@{amount}", value=0.0)].append(row.value)
    return [row._replace(value=float(np.mean(found))) for row, found in values.items()]


def choose_subsets(dataset: Dataset, count: int, number: int) -> Bool[np.ndarray, "worm neuron"]:
    """Return which `count` neurons of each worm stay in its random order with this number; all where it has fewer."""
    kept = dataset.find_present()
    for worm, own in enumerate(kept):
        random = np.random.default_rng([zlib.crc32(dataset.worms[worm].encode()), number])
        own[random.permutation(np.flatnonzero(own))[count:]] = False
    return kept


def _score_refitted(config, description, materials, masked: Dataset, groups, kept, activity) -> list[Row]:
    """Return the rows of a linear decoder that is fitted to the training worms' neurons that each tested worm keeps."""
    labels, rows = split_by_seed(config, materials.dataset), []
    for group in groups:
        for tested in group.split.test:
            one = [group._replace(split=group.split._replace(test=(tested,)))]
            own = group.split.train, kept[tested], labels[group.seed]
            fitted = baselines.fit_neurons(BASE, config, materials.dataset, *own)
            fitted = {name: values[None] for name, values in fitted.items()}
            rows += decoding.score_decoder(REFITTED, BASE, config, description, masked, one, fitted, activity)
    return rows
