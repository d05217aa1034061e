"""Asymmetric diffusion maps of worm dynamics: which way activity flows, the phase of its cycle, and its loops.

After Brennan & Proekt (2019, eLife 8:e46814, "asymmetric diffusion map modelling"). Activity and its first difference
are embedded with delays; from each frame the process may go on to its next frame or to frames that lie near that one,
and the matrix of these transitions is asymmetric because time has a direction. The angle of its first complex
eigenvector is the phase of the cycle, and clusters of its flow are loops. wormjax.baselines.loops makes a model of it.

What differs from the article's own code: light smoothing looks back alone, so that the place of the last frame known is
the one that later frames would give it; a stretch's last frame goes on to its own neighbours; phase is taken from the
matrix itself, whose eigenvectors are those of all its powers, so that nothing dense is made; the width of the kernel is
each frame's own (`weigh_distances`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.ndimage import gaussian_filter1d
from scipy.sparse.linalg import ArpackError, eigs

from wormjax.errors import ConfigError, InputError

BLOCK = 512  # Frames whose distances to all others are held at a time.
SMALLEST_NOISE = 0.05  # Of a dimension's median noise (of its s.d., where that is 0): no distance is infinite.
EIGENVECTORS = 24  # Searched for a complex one.


class Embedding(NamedTuple):
    """How places are made."""

    delays: int = 10  # Delayed copies beside the present ("10 delays").
    delay_frames: int = 2  # Frames between two copies.
    smoothing_frames: float = 0.5  # S.d. of the smoothing that looks back; 0 does without.


class Neighbourhood(NamedTuple):
    """How transitions are made; defaults are the published ones."""

    neighbours: int = 20  # Frames that a frame may go on to, beside its next.
    apart_frames: int = 10  # Least distance in time between two of them.
    noise_frames: int = 4  # Frames to each side that local noise is taken over.
    density_frames: float = 16.0  # S.d. in frames of the smoothing of density.


class Places(NamedTuple):
    """Frames of some stretches, beside each other, as places in the delay embedding."""

    places: Float[np.ndarray, "frame dimension"]  # Scaled to a standard deviation of one.
    scale: Float[np.ndarray, " dimension"]  # What each dimension was divided by.
    noise: Float[np.ndarray, "frame dimension"]  # Local s.d. of the velocity of each dimension.
    stretch: Int[np.ndarray, " frame"]  # Of each frame.


def embed_delays(traces: Float[np.ndarray, "frame neuron"], options: Embedding) -> Float[np.ndarray, "frame dimension"]:
    """Return activity and its first difference now and at each delay; before the first frame they are as in it.

    No value depends on a later frame.
    """
    values = np.asarray(traces, np.float64)
    if options.smoothing_frames:
        reach = int(np.ceil(3 * options.smoothing_frames))
        weights = np.exp(-0.5 * (np.arange(reach + 1) / options.smoothing_frames) ** 2)
        padded = np.concatenate([np.repeat(values[:1], reach, axis=0), values])
        values = sum(w * padded[reach - lag : len(padded) - lag] for lag, w in enumerate(weights / weights.sum()))
    both = np.concatenate([values, np.diff(values, axis=0, prepend=values[:1])], axis=1)
    frames = np.arange(len(both))
    lags = [both[np.maximum(frames - lag * options.delay_frames, 0)] for lag in range(options.delays + 1)]
    return np.concatenate(lags, axis=1)


def build_places(
    stretches: Sequence[Float[np.ndarray, "frame neuron"]], embedding: Embedding, neighbourhood: Neighbourhood
) -> Places:
    """Return the places of uninterrupted stretches of traces, of one worm or of several."""
    embedded = [embed_delays(traces, embedding) for traces in stretches]
    together = np.concatenate(embedded)
    scale = together.std(axis=0)
    scale = np.where(scale > 1e-9 * np.abs(together).max(axis=0), scale, 1.0)  # A constant's is rounding error.
    noise = np.concatenate([measure_noise(part / scale, neighbourhood.noise_frames) for part in embedded])
    floor = SMALLEST_NOISE * np.median(noise, axis=0)
    noise = np.maximum(noise, np.where(floor > 1e-9, floor, SMALLEST_NOISE))
    stretch = np.repeat(np.arange(len(embedded)), [len(part) for part in embedded])
    return Places(together / scale, scale, noise, stretch)


def check_frames(frames: int, neighbourhood: Neighbourhood, field: str = "diffusion_map.neighbours") -> None:
    """Raise InputError for fewer frames than the neighbours and their distance need; `field` is its name."""
    needed = (neighbourhood.neighbours + 1) * 2 * neighbourhood.apart_frames
    if frames < needed:
        found = f"found {neighbourhood.neighbours} with {frames} frames"
        raise ConfigError(field, f"{found}, expected {needed} frames or more")


def build_transitions(places: Places, neighbourhood: Neighbourhood) -> sparse.csr_array:
    """Return the asymmetric diffusion map: the probability of going from a frame to each other; rows sum to one."""
    total = len(places.places)
    check_frames(total, neighbourhood)
    following = np.arange(1, total + 1)
    last = np.append(np.diff(places.stretch) > 0, True)
    following[last] = np.flatnonzero(last)
    next_places, next_noise = places.places[following], places.noise[following]
    found, distances = find_neighbours(next_places, next_noise, places, neighbourhood, following)
    rows = np.repeat(np.arange(total), found.shape[1] + 1)
    columns = np.concatenate([following[:, None], found], axis=1).ravel()
    values = np.concatenate([np.ones((total, 1)), weigh_distances(distances)], axis=1).ravel()  # 1 for the next frame.
    weights = sparse.csr_array((values, (rows, columns)), shape=(total, total))
    return _normalise(weights, places.stretch, neighbourhood.density_frames)


def measure_noise(
    places: Float[np.ndarray, "frame dimension"], reach: int, ahead: bool = True
) -> Float[np.ndarray, "frame dimension"]:
    """Return the s.d. of the velocity within `reach` frames to each side (or 2 * reach back, without `ahead`)."""
    velocity = np.diff(places, axis=0)
    powers = (np.zeros_like(places), np.zeros_like(places))
    for total, values in zip(powers, (velocity, velocity**2), strict=True):
        np.cumsum(values, axis=0, out=total[1:])
    frames = np.arange(len(places))
    # Velocity k leads from frame k to k + 1; looking back, frame t knows those before t.
    low = np.maximum(frames - (reach if ahead else 2 * reach), 0)
    high = np.minimum(frames + reach + 1, len(velocity)) if ahead else frames
    low = np.maximum(np.minimum(low, high - 1), 0)
    count = np.maximum(high - low, 1)[:, None]
    mean, square = ((total[high] - total[low]) / count for total in powers)
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def find_neighbours(
    query: Float[np.ndarray, "query dimension"],
    query_noise: Float[np.ndarray, "query dimension"],
    places: Places,
    options: Neighbourhood,
    taken: Int[np.ndarray, " query"] | None = None,
) -> tuple[Int[np.ndarray, "query neighbour"], Float[np.ndarray, "query neighbour"]]:
    """Return the nearest frames of each query, at least `apart_frames` from each other (and from `taken`), and how far.

    The distance is the published one: the sum over dimensions of (difference / (noise here * noise there)) squared. It
    is a metric of each pair's own, for which no search tree helps; three matrix products per block give it exactly.
    """
    centre = places.places.mean(axis=0)
    known, query = places.places - centre, query - centre
    here, there = places.noise**-2.0, query_noise**-2.0
    weighed, squares = (here * known).T, (here * known**2).T
    found = np.empty((len(query), options.neighbours), np.int64)
    distances = np.empty(found.shape)
    width = options.apart_frames - 1
    for start in range(0, len(query), BLOCK):
        part = slice(start, start + BLOCK)
        block = there[part] @ squares - 2.0 * (there[part] * query[part]) @ weighed
        block += (there[part] * query[part] ** 2) @ here.T
        rows = np.arange(len(block))
        if taken is not None:
            _strike(block, rows, taken[part], width)
        for number in range(options.neighbours):
            nearest = block.argmin(axis=1)
            found[part, number], distances[part, number] = nearest, block[rows, nearest]
            _strike(block, rows, nearest, width)
    return found, np.maximum(distances, 0.0)


def _strike(block, rows, columns, width):
    """Make what lies within `width` of each row's column infinitely far."""
    near = np.clip(columns[:, None] + np.arange(-width, width + 1), 0, block.shape[1] - 1)
    block[rows[:, None], near] = np.inf


def weigh_distances(distances: Float[np.ndarray, "query neighbour"]) -> Float[np.ndarray, "query neighbour"]:
    """Return a Gaussian of the distance whose width is the mean over the query's own neighbours.

    Local noise spreads distances over orders of magnitude. With one width for all, as in the article's code, frames far
    from all others are connected to nothing but their next frame; a path that never meets another spoils the
    eigenvectors (Kato's worms: cycles of under a second, each in 0.2 % of the frames).
    """
    return np.exp(-distances / (2.0 * np.maximum(distances.mean(axis=1, keepdims=True), 1e-300)))


def _normalise(weights: sparse.csr_array, stretch, density_frames) -> sparse.csr_array:
    """Divide by the root of the (smoothed) density at both ends, then make rows sum to one."""
    density = np.asarray(weights.sum(axis=0)).ravel()
    if density_frames:
        for one in np.unique(stretch):
            density[stretch == one] = gaussian_filter1d(density[stretch == one], density_frames, mode="nearest")
    root = sparse.diags_array(1.0 / np.sqrt(np.maximum(density, 1e-12)))
    balanced = root @ weights @ root
    return sparse.csr_array(sparse.diags_array(1.0 / np.asarray(balanced.sum(axis=1)).ravel()) @ balanced)


def find_phase(transitions: sparse.csr_array) -> tuple[Float[np.ndarray, " frame"], float]:
    """Return the phase (radians, -pi to pi) of every frame and the period of the cycle in frames.

    The phase is the angle of the first right eigenvector with a complex eigenvalue: the flow turns it by the angle of
    that eigenvalue per frame, so phase grows with time. InputError where none of the first is complex: nothing goes
    round.
    """
    start = np.random.default_rng(0).normal(size=transitions.shape[0])
    number = min(EIGENVECTORS, transitions.shape[0] - 2)
    try:
        values, vectors = eigs(transitions, k=number, which="LM", v0=start, tol=1e-6, maxiter=20_000)
    except ArpackError as error:
        raise InputError(f"asymmetric diffusion map: found no eigenvectors ({error}), expected a cycle") from None
    order = np.argsort(-np.abs(values))
    turning = [index for index in order if values[index].imag > 1e-6]
    if not turning:
        raise InputError(f"asymmetric diffusion map: found no complex eigenvalue among {number}, expected a cycle")
    return np.angle(vectors[:, turning[0]]), float(2.0 * np.pi / np.angle(values[turning[0]]))
