"""What the objectives of systems read: trajectories, the runs of a config, batches, and what shapes a bound."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from wormjax.features.symmetries import Symmetries, turn_and_mirror
from wormjax.models.nri import Nri

TASKS = ("unsupervised", "supervised", "true_graph")
TURN = 3  # Of a simulation's keys, that which turns it.
# Of the graph: the encoder's, sampled; the decoder's, as `nri_exact` has it; or of each pair (`nri_pairwise`).
POSTERIORS = ("sampled", "exact", "listed", "pairwise")

# Numbers that may differ from run to run within one compiled program.
PER_RUN = (
    "learning_rate",
    "weight_decay",
    "temperature",
    "temperature_end",
    "kl_weight",
    "kl_weight_end",
    "kl_warm_up",
    "free_bits",
    "given",
    "given_end",
)


class SystemArrays(NamedTuple):
    """Trajectories of many simulations, scaled; an edge whose type is not known has type -1."""

    features: Float[Array, "simulation frame object feature"]
    edges: Int[Array, "simulation *frame edge"]  # With an axis of frames where they change.
    observed: Bool[Array, "simulation frame object"] | None = None  # What counts in loss and metrics; None: all.
    base: Float[Array, "simulation step object output"] | None = None  # What a regression predicts of a future.


class SystemData(NamedTuple):
    """What an objective reads; it stays on the device."""

    training: SystemArrays
    validation: SystemArrays


class SystemRuns(NamedTuple):
    """Arrays with a leading run axis."""

    seed: Int[Array, "run 2"]
    steps: Int[Array, " run"]
    hyper: dict[str, Float[Array, " run"]]


class Bound(NamedTuple):
    """What shapes the program of a bound."""

    # "unsupervised"; "supervised" (cross-entropy of the true edge types, no decoder) or "true_graph" (the decoder is
    # given them): what the encoder and the decoder can reach.
    task: str
    batch: int  # Simulations per update.
    segments: int  # Pieces of each simulation that the decoder goes over.
    decoded_frames: int  # First frames of a simulation that pieces are cut from; 0 for all.
    burn_in: int  # True frames that a segment begins with; at least one.
    # Frames after the burn-in, which are predicted; each is given to the prediction of the next with a probability that
    # goes from `given` to `given_end`.
    roll_out: int
    hard: bool  # Whether sampled edge types are one-hot (straight-through).
    variance: float  # Of the likelihood; 0 estimates it.
    variance_floor: float  # Of an estimated variance, in units of the features' own change per frame, squared.
    degrees_of_freedom: float  # Of a Student's t likelihood; 0 for the Gaussian.
    prior: tuple[float, ...]  # Probability of each edge type; () for uniform.
    # Variance of each object's own offset and gain, in units of the errors' own; 0 for none. Of the exact and the
    # listed posterior alone; see `models.units`.
    offset_and_gain: float = 0.0
    roll_out_weight: float = 0.0  # Of roll-outs beside the exact posterior's evidence; 0 for none.
    combinations: int = 0  # Arriving at an object, of which the listed posterior is made; 0 for all there are.
    symmetries: Symmetries | None = None  # Of which each simulation is shown one, drawn anew in each update.
    strengths: tuple[float, ...] = ()  # Of all messages of a system, which the exact posterior tries; () for one.
    mutual: bool = False  # Whether both edges of a pair are known to have one type; of the listed posterior alone.
    # Whether an encoder of evidence reads the pieces that are left when `segments` are drawn, and learns the posterior
    # of those: errors of a poor decoder are not learnt with it.
    cross_fitted: bool = False


def find_prior(nri: Nri, bound: Bound) -> Float[np.ndarray, " type"]:
    """Return the probability of each edge type before anything is seen."""
    return np.asarray(bound.prior or (1.0 / nri.edge_types,) * nri.edge_types, np.float32)


def draw_batch(
    arrays: SystemArrays, batch: int, key: PRNGKeyArray, shard, symmetries: Symmetries | None = None
) -> tuple[SystemArrays, PRNGKeyArray]:
    """Draw this shard's part of a batch of simulations, each after one of the symmetries, and a key each."""
    draw_key, noise_key = jax.random.split(key)
    part = batch // shard.count
    chosen = jax.random.randint(draw_key, (batch,), 0, len(arrays.features))
    chosen = jax.lax.dynamic_slice_in_dim(chosen, shard.index * part, part)
    numbers = shard.index * part + jnp.arange(part)
    keys = jax.vmap(lambda number: jax.random.fold_in(noise_key, number))(numbers)
    features = arrays.features[chosen]
    if symmetries is not None:
        features = turn_all(features, symmetries, keys)
    observed = None if arrays.observed is None else arrays.observed[chosen]
    base = None if arrays.base is None else arrays.base[chosen]
    return SystemArrays(features, arrays.edges[chosen], observed, base), keys


def turn_all(features: Float[Array, "simulation frame object feature"], symmetries: Symmetries, keys: PRNGKeyArray):
    """Return each simulation after one of the symmetries."""
    turn = jax.vmap(lambda x, key: turn_and_mirror(x, symmetries, key))
    return turn(features, fold_keys(keys, TURN))


def fold_keys(keys: PRNGKeyArray, number: int) -> PRNGKeyArray:
    """Return the keys of one purpose, of the simulations of a batch."""
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def anneal(start, end, progress):
    """Go from `start` to `end`, in a line."""
    return start + (end - start) * progress


def stack_runs(seeds: Sequence[int], train) -> SystemRuns:
    """Stack one run per seed, with the hyperparameters of a config's `train` section."""
    count = len(seeds)
    return SystemRuns(
        seed=np.stack([np.asarray(seeds), np.zeros(count)], axis=1).astype(np.int32),
        steps=np.full(count, train.steps, np.int32),
        hyper={name: np.full(count, train[name], np.float32) for name in PER_RUN},
    )
