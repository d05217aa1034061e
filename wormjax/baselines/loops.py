"""Loops and phase: the model that an asymmetric diffusion map makes of worm dynamics, and new worms placed on it.

After Brennan & Proekt (2019, eLife 8:e46814). Frames of the training worms fall into states, each a bin of phase in one
loop; the states' transitions are the flow between them. A new worm is placed on it by its nearest frames, a
distribution over states that the transitions carry into the future; what the training worms did in each state (their
motor state, their activity) is what is expected there.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from wormjax.baselines import diffusion_maps as maps
from wormjax.baselines.dwell_times import take_steps
from wormjax.recordings.recording import UNSCORED

# Fields of a model that are kept in a file; see `pack_loops`.
PACKED = ("phase", "loop", "state", "period", "loop_of_state", "phase_of_state", "transitions")
CELLS_IN = 10  # Principal coordinates of the embedding in which cells are cut.

Traces = Float[np.ndarray, "frame neuron"]
Labels = Int[np.ndarray, " frame"]


class Partition(NamedTuple):
    """How the flow is cut into states."""

    phase_bins: int = 125  # Of a whole cycle (published: 125).
    resolution: float = 0.9  # Of the modularity that makes loops; higher gives more of them.
    attempts: int = 10  # Of the clustering, of which the one of highest modularity is kept.
    cells: int = 100  # Groups of frames that lie together, which loops are made of.
    smallest_share: float = 0.05  # Of frames in a loop; smaller ones join the loop that they flow to.
    shortest_frames: int = 5  # Of a stay in a loop; shorter ones join the loop before.


class LoopModel(NamedTuple):
    """The (loop, phase) model of some worms."""

    places: maps.Places  # Of the frames it was made from.
    # Of each of these frames: radians; loops by size; states sorted by loop and phase.
    phase: Float[np.ndarray, " frame"]
    loop: Labels
    state: Labels
    period: float  # Of the cycle, in frames.
    # Of each state; its phase is the middle of its bin.
    loop_of_state: Int[np.ndarray, " state"]
    phase_of_state: Float[np.ndarray, " state"]
    transitions: Float[np.ndarray, "state state"]  # From state to state in a frame; rows sum to one.
    embedding: maps.Embedding  # By this and the next, new worms are placed.
    neighbourhood: maps.Neighbourhood


def fit_loops(
    stretches: Sequence[Traces],
    embedding: maps.Embedding = maps.Embedding(),  # noqa: B008
    neighbourhood: maps.Neighbourhood = maps.Neighbourhood(),  # noqa: B008
    partition: Partition = Partition(),  # noqa: B008
    seed: int = 0,
) -> LoopModel:
    """Build the model of uninterrupted stretches of traces, of one worm or several; errors as of `find_phase`."""
    places = maps.build_places(stretches, embedding, neighbourhood)
    flow = maps.build_transitions(places, neighbourhood)
    phase, period = maps.find_phase(flow)
    loop = find_loops(places, flow, period, partition, seed)
    edges = np.linspace(-np.pi, np.pi, partition.phase_bins + 1)
    bins = np.clip(np.digitize(phase, edges) - 1, 0, partition.phase_bins - 1)
    used, state = np.unique(loop * partition.phase_bins + bins, return_inverse=True)
    member = _one_hot(state, len(used))
    flows = (member.T @ flow @ member).toarray(order="C")  # As it is restored, so that sums are the same to the bit.
    middle = 0.5 * (edges[:-1] + edges[1:])
    return LoopModel(
        places=places,
        phase=phase,
        loop=loop,
        state=state,
        period=period,
        loop_of_state=used // partition.phase_bins,
        phase_of_state=middle[used % partition.phase_bins],
        transitions=flows / flows.sum(axis=1, keepdims=True),
        embedding=embedding,
        neighbourhood=neighbourhood,
    )


def find_loops(places: maps.Places, flow: sparse.csr_array, period: float, partition: Partition, seed: int) -> Labels:
    """Return the loop of each frame, by size: clusters of the flow over one period, of the highest modularity.

    Within one period the flow out of a frame goes all the way round its loop. So a loop is what keeps the flow to
    itself for a period, and does not fall into arcs.
    """
    frames = len(places.places)
    cells = min(partition.cells, frames // 4)
    coordinates = PCA(min(CELLS_IN, *places.places.shape), random_state=0).fit_transform(places.places)
    cell = KMeans(cells, n_init=1, max_iter=50, random_state=seed).fit_predict(coordinates)
    member = _one_hot(cell, cells)
    reached, visits = member.toarray(), np.zeros((frames, cells))
    for _ in range(max(1, round(period))):
        reached = flow @ reached
        visits += reached
    between = member.T @ visits
    graph = nx.from_numpy_array(between + between.T)
    best, groups = -np.inf, []
    for attempt in range(partition.attempts):
        found = nx.community.louvain_communities(graph, resolution=partition.resolution, seed=seed + attempt)
        quality = nx.community.modularity(graph, found, resolution=partition.resolution)
        if quality > best + 1e-9:
            best, groups = quality, found
    loop_of_cell = np.empty(cells, int)
    for number, group in enumerate(groups):
        loop_of_cell[list(group)] = number
    loop_of_cell = _merge_small(loop_of_cell, between, np.bincount(cell, minlength=cells), partition.smallest_share)
    loop = _merge_short(loop_of_cell[cell], places.stretch, partition.shortest_frames)
    used, loop = np.unique(loop, return_inverse=True)
    by_size = np.argsort(-np.bincount(loop, minlength=len(used)), kind="stable")
    return np.argsort(by_size)[loop]


def _one_hot(labels, count) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), shape=(len(labels), count))


def _merge_small(loop, between, sizes, smallest_share):
    """Loops of too few frames join the one that most of their flow goes to, the smallest first."""
    while True:
        used = np.unique(loop)
        frames = np.array([sizes[loop == one].sum() for one in used])
        if len(used) < 2 or frames.min() >= smallest_share * sizes.sum():
            return loop
        small = used[frames.argmin()]
        goes = [between[loop == small][:, loop == other].sum() if other != small else -1.0 for other in used]
        loop = np.where(loop == small, used[int(np.argmax(goes))], loop)


def _merge_short(loop, stretch, shortest):
    """Stays of fewer than `shortest` frames join the loop before (at a stretch's start, the one after)."""
    loop = loop.copy()
    for one in np.unique(stretch):
        frames = np.flatnonzero(stretch == one)
        while True:
            edges = np.flatnonzero(np.diff(loop[frames])) + 1
            starts, stops = np.append(0, edges), np.append(edges, len(frames))
            lengths = stops - starts
            if len(lengths) < 2 or lengths.min() >= shortest:
                break
            short = int(lengths.argmin())
            other = frames[starts[short] - 1] if short else frames[stops[short]]
            loop[frames[starts[short] : stops[short]]] = loop[other]
    return loop


def place_worm(
    model: LoopModel, traces: Traces, frames: Int[np.ndarray, " placed"] | None = None
) -> Float[np.ndarray, "placed state"]:
    """Return the distribution over the model's states in frames of a stretch of a new worm; all without `frames`.

    By the nearest frames of the model's worms (`weigh_distances`). No value depends on a later frame.
    """
    weights = weigh_neighbours(model, traces, frames)
    return np.asarray((weights @ _one_hot(model.state, len(model.loop_of_state))).todense())


def weigh_neighbours(
    model: LoopModel, traces: Traces, frames: Int[np.ndarray, " placed"] | None = None
) -> sparse.csr_array:
    """Return the weight of each of the model's frames in frames of a new worm; rows sum to one."""
    known, options = model.places, model.neighbourhood
    places = maps.embed_delays(traces, model.embedding) / known.scale
    # Looking back alone, and no surer of itself than the model's own frames usually are.
    noise = maps.measure_noise(places, options.noise_frames, ahead=False)
    noise = np.maximum(noise, np.median(known.noise, axis=0))
    chosen = slice(None) if frames is None else frames
    found, distances = maps.find_neighbours(places[chosen], noise[chosen], known, options)
    weights = maps.weigh_distances(distances)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(found)), found.shape[1])
    return sparse.csr_array((weights.ravel(), (rows, found.ravel())), shape=(len(found), len(known.places)))


def pack_loops(model: LoopModel) -> dict[str, np.ndarray]:
    """Return all of a model but its places, which are many times larger than the traces that they are made of."""
    return {field: np.asarray(getattr(model, field)) for field in PACKED}


def unpack_loops(
    packed: Mapping[str, np.ndarray],
    stretches: Sequence[Traces],
    embedding: maps.Embedding,
    neighbourhood: maps.Neighbourhood,
) -> LoopModel:
    """Return the model that was fitted to these very stretches, with the same options; `packed` may hold more."""
    fields = {field: packed[field] for field in PACKED} | {"period": float(packed["period"])}
    places = maps.build_places(stretches, embedding, neighbourhood)
    return LoopModel(places=places, embedding=embedding, neighbourhood=neighbourhood, **fields)


def carry_states(
    model: LoopModel, placed: Float[np.ndarray, "start state"], steps: Sequence[int]
) -> Float[np.ndarray, "start step state"]:
    """Return distributions over the model's states, `steps` frames later."""
    return np.stack(take_steps(placed, lambda now: now @ model.transitions, steps), axis=1)


def share_states(model: LoopModel, motor_states: Labels, count: int) -> Float[np.ndarray, "state motor_state"]:
    """Return the share of each motor state in each of the model's states, with one more frame of average make.

    `motor_states` are those of the frames that it was made from; UNSCORED counts for nothing.
    """
    scored = motor_states != UNSCORED
    shares = np.zeros((len(model.loop_of_state), count))
    np.add.at(shares, (model.state[scored], motor_states[scored]), 1.0)
    shares += (shares.sum(axis=0) + 0.5) / (shares.sum() + 0.5 * count)
    return shares / shares.sum(axis=1, keepdims=True)


def predict_onset(
    model: LoopModel, inside: Bool[np.ndarray, " state"], steps: Sequence[int]
) -> Float[np.ndarray, "step state"]:
    """Return the probability of entering the states `inside` from without within `steps` frames, from each state."""
    entering = (~inside)[:, None] & inside[None]

    def advance(begun):
        return (model.transitions * np.where(entering, 1.0, begun[None])).sum(axis=1)

    return np.stack(take_steps(np.zeros(len(inside)), advance, steps))


def keep_frames(model: LoopModel, kept: Bool[np.ndarray, " frame"]) -> LoopModel:
    """Return the model with some of its frames alone to place worms by; its states and transitions stay."""
    places = model.places
    fewer = places._replace(places=places.places[kept], noise=places.noise[kept], stretch=places.stretch[kept])
    return model._replace(places=fewer, phase=model.phase[kept], loop=model.loop[kept], state=model.state[kept])
