"""Objects that are hidden from the models (`data.hidden`, the last ones): inferred, scored and written.

Three models stand beside each other: "nri" does not know that there are more objects than it sees, "nri_hidden" is its
decoder with the hidden objects inferred (`nri_hidden.infer_hidden`), and "nri_seeing" is shown them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from wormjax import graphs
from wormjax.features.system_scaling import Scaling
from wormjax.scoring.edges import score_directions
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.materials import stack_system
from wormjax.tasks.infer.networks import build_bound, build_model, vary_config
from wormjax.tasks.infer.outputs import Inference, see_history
from wormjax.training.objectives.exact_inference import Decoded
from wormjax.training.objectives.nri_hidden import Hidden, infer_hidden

# FILE has what `infer_hidden` finds of all test systems: edges go from each observed object's hidden senders, in their
# order; paths are in scaled features.
NAME, FILE = "nri_hidden", "hidden.npz"


def run_hidden(
    config, edge_types: int, scaling: Scaling, variables: Mapping[str, Any], test: Trajectories, validation_edges
) -> Inference:
    """Return what the decoder of "nri" makes of test systems with hidden objects; types are named as its others are.

    Frames are not predicted.
    """
    config = vary_config("nri", config)
    nri, hidden = build_model(config, edge_types, scaling.change_scale), config.data.hidden
    decoded = Decoded(nri, build_bound(config), config.train.kl_weight_end, variables, *see_history(config, test))
    found = infer_hidden(decoded, hidden)
    between, out = select_edges(decoded.features.shape[2] + hidden, hidden)
    found, edges = found._replace(edges=found.edges[:, :, out]), found.edges[:, :, between]
    return Inference(validation_edges, edges, None, hidden=found)


def split_hidden(output: Inference, whole: Trajectories, hidden: int, history: int) -> Inference:
    """Return the output of a model that sees all objects as one of the observed ones, and of the hidden ones."""
    objects = whole.features.shape[2]
    between, out = select_edges(objects, hidden)
    predicted = None if output.predicted is None else output.predicted[:, :, :, :-hidden]
    paths = np.asarray(whole.features)[None, :, :history, -hidden:]
    found = Hidden(output.test_edges[:, :, out], np.broadcast_to(paths, (len(output.test_edges), *paths.shape[1:])))
    return Inference(output.validation_edges[:, :, between], output.test_edges[:, :, between], predicted, hidden=found)


def select_edges(objects: int, hidden: int) -> tuple[Bool[np.ndarray, " edge"], Bool[np.ndarray, " edge"]]:
    """Return which edges are between observed objects, and which go from hidden ones, the last, to observed ones."""
    senders, receivers = graphs.complete_edges(objects)
    kept = objects - hidden
    return (senders < kept) & (receivers < kept), (senders >= kept) & (receivers < kept)


def score_hidden(found: Hidden, run: int, group: np.ndarray, whole: Trajectories, history: int) -> dict[str, float]:
    """Return hidden_auroc, of the edges from hidden objects (left out where all or none are there), and hidden_r.

    That is the correlation of inferred and true trajectories over systems and frames, mean over features.
    """
    true, scores = stack_system(whole).edges[group], {}
    hidden = found.paths.shape[3]
    _, out = select_edges(whole.features.shape[2], hidden)
    measured = score_directions(found.edges[run, group][..., 1:].sum(axis=-1), true[:, out])
    if "edge_auroc" in measured:
        scores["hidden_auroc"] = measured["edge_auroc"]
    paths, features = found.paths[run, group], np.asarray(whole.features)[group, :history, -hidden:]
    pairs = [(paths[..., k].ravel(), features[..., k].ravel()) for k in range(paths.shape[-1])]
    return scores | {"hidden_r": float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))}
