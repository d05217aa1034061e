"""What trained models make of test systems: the probabilities of edges, and the frames that follow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from wormjax.features.system_scaling import Scaling
from wormjax.models import nri as model
from wormjax.models.decoders import MARKOV
from wormjax.models.nri import HORIZON, Nri, is_dynamic
from wormjax.models.units import estimate_units
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.horizons import find_plan, infer_windows, predict_windows
from wormjax.tasks.infer.materials import find_pairs, stack_system
from wormjax.tasks.infer.networks import BOUNDS, build_bound, build_model, is_exact, is_pairwise, vary_config
from wormjax.training.objectives.exact_inference import (
    Decoded,
    adapt_edges,
    infer_changes,
    infer_posterior,
    infer_strengths,
)
from wormjax.training.objectives.nri_hidden import Hidden
from wormjax.training.objectives.nri_pairwise import infer_pairwise
from wormjax.training.stacked_runs import map_systems

# What follows a model's name where not its encoder but its exact or pairwise posterior infers, from all frames, and
# where its encoder's edges are adapted to each system.
POSTERIOR, ADAPTED = "_posterior", "_adapted"
# With a graph in each frame, what follows the name where edges are inferred from the frames so far, by the encoder's
# prior or by the decoder.
PRIOR, FILTER = "_prior", "_filter"
AT_ONCE = 128  # Simulations that are run at a time.
Frames = Float[np.ndarray, "simulation frame object feature"]
There = Bool[np.ndarray, "simulation frame object"]


class Inference(NamedTuple):
    """One model's output for every run: edge probabilities, and frames predicted after the history of test systems.

    Each is None where the model does not give it.
    """

    # Between observed objects; with a graph in each frame, of each frame of the history but the last.
    validation_edges: Float[np.ndarray, "run simulation *interval edge type"] | None
    test_edges: Float[np.ndarray, "run simulation *interval edge type"] | None
    predicted: Float[np.ndarray, "run simulation step object feature"] | None
    named: bool = True  # Whether inferred types are named after true ones.
    meant: bool = False  # Whether they mean what true ones do by themselves, and need no match.
    validation_predicted: Float[np.ndarray, "run simulation step object feature"] | None = None
    hidden: Hidden | None = None  # The edges from objects that are not observed, and their trajectories.
    strengths: Float[np.ndarray, "run simulation"] | None = None  # Of each test system's messages.


def run_model(
    name: str, config, edge_types: int, scaling: Scaling, variables: Mapping[str, Any], valid: Trajectories, test
) -> dict[str, Inference]:
    """Infer the graphs of validation and test systems, and predict the test systems' frames after `data.frames`.

    Edges are inferred from the first `data.frames` frames alone; a recurrent decoder is burnt in on the same.

    Returns:
      The model's output by its name; also those of POSTERIOR, ADAPTED, PRIOR and FILTER where there are such.
    """
    config = vary_config(name, config)
    nri = build_model(config, edge_types, scaling.change_scale)
    if config.model.decoder.name == HORIZON:
        return {name: run_horizons(config, nri, variables, valid, test)}
    params, steps = variables["params"], count_steps(config, test)
    seen = [see_history(config, part) for part in (valid, test)]
    inferred, last, strengths = infer_graphs(name, config, nri, variables, seen)
    outputs = {}
    for output, edges in inferred.items():
        own = strengths if output == name + POSTERIOR else None
        outputs[output] = Inference(*edges, None, meant=is_pairwise(config), strengths=own)
        if nri.decoder is None or steps < 1:
            continue
        predicted = None
        if is_dynamic(nri) and output != name + POSTERIOR:
            predicted = predict_on_prior(nri, params, *seen[-1], steps) if output == name else None
        elif edges[1] is not None or name not in BOUNDS or test.edges is not None:
            best = choose_edges(edges[1] if last is None else last, test, edge_types, variables)
            best = best if strengths is None else best * strengths[..., None, None]
            freedom = config.train.offset_and_gain if is_exact(config) else 0.0
            features = np.asarray(test.features, np.float32)
            predicted = predict_frames(nri, params, features, best, config.data.frames, steps, freedom)
        outputs[output] = outputs[output]._replace(predicted=predicted)
    if name == "lstm" and config.evaluate.futures:
        known = np.asarray(valid.features, np.float32)
        best = np.zeros((len(jax.tree.leaves(variables)[0]), len(known), 1, 1))
        shown = predict_frames(nri, params, known, best, config.data.frames, steps)
        outputs[name] = outputs[name]._replace(validation_predicted=shown)
    return outputs


def count_steps(config, test: Trajectories) -> int:
    """Return how many frames after `data.frames` are predicted: those that are scored and there."""
    return min(max(config.evaluate.steps), np.shape(test.features)[1] - config.data.frames)


def see_history(config, part: Trajectories) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the frames that graphs are inferred from, and which objects are there in each (None: all)."""
    observed = None if part.observed is None else np.asarray(part.observed)[:, : config.data.frames]
    return np.asarray(part.features[:, : config.data.frames], np.float32), observed


def infer_graphs(name: str, config, nri: Nri, variables: Mapping[str, Any], seen):
    """Return the edges of each output's name, of validation and test systems; of test systems, more.

    That is, the edges of the frame after the last one, where they change, and the strengths of messages, or None.
    """
    inferred: dict[str, tuple] = {name: (None, None)}
    last = strengths = None
    if is_dynamic(nri):
        pairs = [infer_frames(nri, variables["params"], *part) for part in seen]
        inferred = dict(zip((name, name + PRIOR), zip(*pairs, strict=True), strict=True))
    elif nri.encoder is not None:
        inferred[name] = tuple(infer_edges(nri, variables["params"], features) for features, _ in seen)
    if is_pairwise(config):
        inferred[name + POSTERIOR] = tuple(infer_pairwise(variables, features) for features, _ in seen)
    if not is_exact(config):
        return inferred, last, strengths
    bound, price = build_bound(config), config.train.kl_weight_end
    decoded = [Decoded(nri, bound, price, variables, *part) for part in seen]
    if is_dynamic(nri):
        chains = [infer_changes(part) for part in decoded]
        inferred[name + POSTERIOR] = tuple(chain.smoothed for chain in chains)
        inferred[name + FILTER] = tuple(chain.predicted[:, :, :-1] for chain in chains)
        return inferred, chains[-1].predicted[:, :, -1], strengths
    inferred[name + POSTERIOR] = tuple(infer_posterior(part) for part in decoded)
    if bound.strengths:
        strengths = infer_strengths(decoded[-1])
    if config.evaluate.get("adaptation_steps", 0):
        amount = config.evaluate.adaptation_steps, config.evaluate.adaptation_rate
        pairs = zip(decoded, inferred[name], strict=True)
        inferred[name + ADAPTED] = tuple(adapt_edges(part, edges, *amount) for part, edges in pairs)
    return inferred, last, strengths


def choose_edges(edges, test: Trajectories, edge_types: int, variables: Mapping[str, Any]):
    """Return the likeliest types, one-hot, of edges that are there; without `edges` the true ones, for every run."""
    if edges is None:
        true = stack_system(test).edges
        best = (true[..., None] == np.arange(edge_types)).astype(np.float32)  # An unknown edge has no message.
        return np.broadcast_to(best, (len(jax.tree.leaves(variables)[0]), *best.shape))
    return np.eye(edge_types, dtype=np.float32)[edges.argmax(axis=-1)] * find_pairs(test.present)[..., None]


def run_horizons(config, nri: Nri, variables: Mapping[str, Any], valid: Trajectories, test: Trajectories) -> Inference:
    """Return the output of a model of all steps at once; `variables` holds the regression that it corrects, too."""
    edges, predicted = [], []
    for part in (valid, test):
        past, _ = see_history(config, part)
        probabilities = infer_windows(nri, variables["params"], find_plan(config, part), past)
        # Relaxed edges train it, whose mean is their probability; the likeliest types where one-hot ones do.
        used = np.asarray(probabilities, np.float32) * find_pairs(part.present)[..., None]
        if config.train.hard:
            used = choose_edges(probabilities, part, probabilities.shape[-1], variables)
        edges.append(probabilities)
        predicted.append(predict_windows(config, nri, variables, part, used))
    return Inference(*edges, predicted[1], validation_predicted=predicted[0])


def infer_edges(nri: Nri, params: Mapping[str, Any], features: Frames) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the probability of each edge type, for every run (stacked parameters)."""
    logits = map_systems(lambda run, x: model.encode(nri, run, x[None])[0], params, (features,), at_once=AT_ONCE)
    return np.minimum(jax.nn.softmax(logits), 1.0)  # Rounding may lift one above.


def infer_frames(
    nri: Nri, params: Mapping[str, Any], features: Frames, observed: There | None = None
) -> tuple[Float[np.ndarray, "run simulation interval edge type"], ...]:
    """Return the probability of each edge type in each frame but the last: by the posterior, and by the prior.

    Of a model with a graph in each frame (`nri.is_dynamic`), for every run (stacked parameters). The prior of a frame
    has seen the frames up to it. `observed`: which objects are there in each frame; None for all.
    """

    def infer(run, *system):
        return [part[0] for part in model.encode_frames(nri, run, *(part[None] for part in system))]

    there = np.ones(features.shape[:3], bool) if observed is None else observed
    logits = map_systems(infer, params, (features, there), at_once=AT_ONCE // 8)
    return tuple(np.minimum(jax.nn.softmax(part), 1.0) for part in logits)


def predict_on_prior(
    nri: Nri, params: Mapping[str, Any], features: Frames, observed: There | None, steps: int
) -> Float[np.ndarray, "run simulation step object feature"]:
    """Return the `steps` frames after the given ones, each on the edges that the prior has from the frames before it.

    Objects that are there in the last given frame are those of all later ones.
    """
    history = features.shape[1]
    there = np.ones(features.shape[:3], bool) if observed is None else observed
    given = np.arange(history + steps - 1) < history
    later = [(0, 0), (0, steps - 1), (0, 0)]
    features, there = np.pad(features, [*later, (0, 0)]), np.pad(there, later)
    there[:, history:] = there[:, history - 1 : history]

    def predict(run, frames, there):
        inputs = frames[None], jnp.asarray(given)[None], frames[None, :history], there[None]
        return model.decode_on_prior(nri, run, *inputs)[0, history - 1 :]

    return np.asarray(map_systems(predict, params, (features, there), at_once=AT_ONCE // 8))


def predict_frames(
    nri: Nri,
    params: Mapping[str, Any],
    features: Frames,
    edges: Float[np.ndarray, "run simulation *frame edge type"],
    history: int,
    steps: int,
    freedom: float = 0.0,
) -> Float[np.ndarray, "run simulation step object feature"]:
    """Return the frames `history`, `history` + 1, ... as each run predicts them from the frames before alone.

    Where a decoder was trained up to an offset and a gain of each object's own (`freedom`: their variance,
    `train.offset_and_gain`), these are learnt from the same frames.
    """
    # A Markov decoder needs the last frame or two.
    first = max(history - nri.decoder.memory, 0) if isinstance(nri.decoder, MARKOV) else 0
    frames = features[:, first : history + steps - 1].copy()
    edges = edges[:, :, first : history + steps - 1] if edges.ndim == 5 else edges
    given = np.arange(frames.shape[1]) < history - first
    frames[:, ~given] = 0.0  # So that nothing of them can be used.

    def predict(run, after, before, edges):
        correct = None
        if freedom:
            shown = model.decode(nri, run, before, edges, jnp.ones(history, bool), before)
            shown, true = shown[nri.decoder.memory - 1 : -1], before[nri.decoder.memory :]
            correct = estimate_units(shown - true, shown, jnp.asarray(nri.change_scale), freedom).remove
        return model.decode(nri, run, after, edges, jnp.asarray(given), before, correct)[history - first - 1 :]

    return np.asarray(map_systems(predict, params, (frames, features[:, :history]), (edges,), AT_ONCE))
