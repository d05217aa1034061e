"""Inferred graphs of decoders against a known graph: a right one is found, a random one is called chance."""

import numpy as np
from small_experiments import small_config

from wormjax import graphs
from wormjax.tasks.decode.graphs import (
    BASELINE,
    average_edges,
    find_chance,
    format_inferred,
    is_chance,
    score_inferred,
)
from wormjax.tasks.decode.runs import Decoded
from wormjax.tasks.groups import list_groups
from wormjax.tasks.references import align_wiring
from wormjax.tasks.worms import prepare_materials


def test_graphs_are_scored_against_the_wiring_of_simulated_worms():
    config = small_config(data__simulation__neurons=10, data__simulation__worms=3)
    materials = prepare_materials(config)
    dataset, groups = materials.dataset, list_groups(config, materials.splits)
    names = dataset.neuron_names
    wiring = (align_wiring(config.data.simulation, names) != 0).astype(float)
    noise = np.random.default_rng(0).random(wiring.shape)
    decoded = {}
    for name, matrix in (("right", 0.3 + 0.4 * wiring), ("random", noise)):
        own = graphs.matrix_to_edges(matrix)
        edges = np.broadcast_to(own, (len(groups), len(dataset.stretch_worm), len(own)))
        decoded[name] = Decoded(None, np.stack([1 - edges, edges], axis=-1))
    decoded["without"] = Decoded(None, None)
    np.testing.assert_allclose(average_edges(dataset, groups, decoded["right"])[0][wiring > 0], 0.7)
    scores = score_inferred(config, dataset, groups, decoded)
    assert scores["model"].tolist() == [BASELINE, "right", "random"]
    assert set(scores["reference"]) == {"wiring"}
    own = scores.set_index("model")
    assert own.loc["right", "auroc"] == 1.0
    assert own.loc["right", "p_value"] == 0.001
    assert own.loc["random", "p_value"] > 0.05
    assert find_chance(scores) == {"random"}
    assert not is_chance(config, 0.3 + 0.4 * wiring, names)
    assert is_chance(config, noise, names)
    assert not is_chance(config, noise, [f"cell {k}" for k in range(len(names))])  # No known graph has these.
    text = "\n".join(format_inferred(scores))
    assert text.count("no better than chance |") >= 1
    assert score_inferred(config, dataset, groups, {"without": decoded["without"]}).empty
