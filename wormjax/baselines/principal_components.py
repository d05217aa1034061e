"""Principal components of worm dynamics: the picture of the brain's state as a place in three dimensions.

Kato et al. (2015), Cell 163:656. The components are those of the traces' time derivatives, so that slow drift does not
make them; the trajectory is drawn by their integrals over time. A fit needs no motor state. Derivatives may look ahead
in time (`Recording.derivatives`, `smoothed_derivative`): this describes a recording, it forecasts nothing.

Kato et al. report about 65 % of the variance in three components. Derivatives in dF/F per second, not normalised and
smoothed over 5 s (Savitzky-Golay), give 0.66 of all recorded neurons. The share depends on that choice: 0.58 with 3 s,
0.72 with 8 s, and 0.27 where each neuron is z-scored, so that a noisy one counts as much as a motor command neuron.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.integrate import cumulative_trapezoid
from sklearn.decomposition import PCA
from sklearn.metrics import recall_score
from sklearn.neighbors import NearestNeighbors

from wormjax.errors import InputError

DERIVATIVE_SCALINGS = ("none", "zscore", "peak")
NEIGHBOURS = 20

Derivatives = Float[np.ndarray, "frame neuron"]
Course = Float[np.ndarray, "frame component"]


class PrincipalComponents(NamedTuple):
    """Components of the derivatives of one worm, or of several pooled."""

    weights: Float[np.ndarray, "component neuron"]  # Unit vectors over neurons, the largest weight of each positive.
    # The share of the variance of the derivatives fitted that each component carries, of all components and not only of
    # those kept; sums to 1.
    variance_share: Float[np.ndarray, " any_component"]
    scaling: str  # How each worm's derivatives are scaled, by its own statistics, before they are weighed.


class Trajectory(NamedTuple):
    """One worm along the components."""

    slopes: Course  # Derivatives along the components, per second.
    # Their integral over time within each stretch, in the traces' units; mean 0 over each stretch, as a derivative does
    # not say where a stretch begins. It is the (scaled) activity seen along the components.
    course: Course


def fit_principal_components(
    derivatives: Sequence[Derivatives], components: int | None = 3, scaling: str = "none"
) -> PrincipalComponents:
    """Return the first principal components (None: all) of the derivatives, per second, of one worm or several pooled.

    Each worm is scaled and centred by itself; neurons stand in one order. Scaling "none" is that of Kato et al. (2015)
    as reproduced here, "zscore" divides each neuron's derivative by its s.d., "peak" by its largest absolute value.

    InputError for derivatives that do not vary, and for fewer neurons than components.
    """
    scaled = [_scale(one, scaling) for one in derivatives]
    stacked = np.concatenate([one - one.mean(axis=0) for one in scaled])
    if not stacked.any():
        raise InputError("principal components, field 'derivatives': found constants, expected derivatives that vary")
    most = min(stacked.shape)
    kept = most if components is None else components
    if kept > most:
        raise InputError(f"principal components, field 'components': found {kept}, expected 1 to {most}")
    fitted = PCA(svd_solver="full").fit(stacked)
    weights = fitted.components_[:kept]
    # A component's sign is free, and libraries choose differently: here its largest weight is positive.
    largest = np.take_along_axis(weights, np.abs(weights).argmax(axis=1)[:, None], axis=1)
    return PrincipalComponents(weights * np.sign(largest), fitted.explained_variance_ratio_, scaling)


def project(
    components: PrincipalComponents,
    derivatives: Derivatives,
    times: Float[np.ndarray, " frame"],
    stretches: Sequence[tuple[int, int]] = (),
) -> Trajectory:
    """Return a worm's trajectory along components, its own or others', from its derivatives (per second).

    `stretches`: uninterrupted ones [start, stop) of frames; () for one of all frames. The course is NaN outside.
    """
    # Not centred: a worm's mean derivative is its net change, which belongs to the course.
    slopes = _scale(derivatives, components.scaling) @ components.weights.T
    course = np.full(slopes.shape, np.nan)
    for start, stop in stretches or ((0, len(times)),):
        within = cumulative_trapezoid(slopes[start:stop], times[start:stop], axis=0, initial=0)
        course[start:stop] = within - within.mean(axis=0)
    return Trajectory(slopes, course)


def measure_variance(components: PrincipalComponents, derivatives: Derivatives) -> Float[np.ndarray, " component"]:
    """Return the share of one worm's variance that each component carries, of components fitted on other worms too."""
    scaled = _scale(derivatives, components.scaling)
    return np.var(scaled @ components.weights.T, axis=0) / np.var(scaled, axis=0).sum()


def measure_separation(
    course: Course, states: Int[np.ndarray, " frame"], gap: int, neighbours: int = NEIGHBOURS
) -> float:
    """Return how well the motor state can be read from a place within one worm, by a vote among nearest neighbours.

    It is the vote's balanced accuracy. Neighbours are at least `gap` frames away in time: places met again, not the
    same bout. States vote with equal weight however frequent they are, so that chance is one over the number of states.
    Places that are not finite, and frames of state -1, neither vote nor count. InputError for too few frames to vote.
    """
    frames = _find_usable(course, states)
    needed = neighbours + max(0, 2 * gap - 1)  # However the frames near in time lie, enough others are left.
    if len(frames) < needed:
        found = f"found {len(frames)} scored frames, gap {gap}, {neighbours} neighbours"
        raise InputError(f"separation of states: {found}, expected at least {needed} frames")
    places, scored = course[frames], states[frames]
    nearest = NearestNeighbors(n_neighbors=needed).fit(places).kneighbors(places, return_distance=False)
    near_in_time = np.abs(frames[nearest] - frames[:, None]) < gap
    order = np.argsort(near_in_time, axis=1, kind="stable")[:, :neighbours]  # Others first, in order of distance.
    return _score_votes(np.take_along_axis(nearest, order, axis=1), scored, scored)


def measure_transfer(
    reference: Sequence[Course],
    reference_states: Sequence[Int[np.ndarray, " frame"]],
    course: Course,
    states: Int[np.ndarray, " frame"],
    neighbours: int = NEIGHBOURS,
) -> float:
    """Return `measure_separation`, with its errors, by places of other worms (`reference`) in the same components."""
    kept = [_find_usable(one, scored) for one, scored in zip(reference, reference_states, strict=True)]
    places = np.concatenate([one[frames] for one, frames in zip(reference, kept, strict=True)])
    voting = np.concatenate([one[frames] for one, frames in zip(reference_states, kept, strict=True)])
    frames = _find_usable(course, states)
    if not len(frames) or len(places) < neighbours:
        found = f"found {len(frames)} scored frames, {len(places)} of other worms"
        raise InputError(f"separation of states: {found}, expected at least 1 and {neighbours}")
    nearest = NearestNeighbors(n_neighbors=neighbours).fit(places).kneighbors(course[frames], return_distance=False)
    return _score_votes(nearest, voting, states[frames])


def _scale(derivatives: Derivatives, scaling: str) -> Derivatives:
    values = np.asarray(derivatives, np.float64)
    if scaling == "none":
        return values
    scale = values.std(axis=0) if scaling == "zscore" else np.abs(values).max(axis=0)
    rounding = 1e-12 * np.abs(values).max(axis=0)
    return values / np.where(scale > rounding, scale, 1.0)  # A neuron that does not vary stays as it is.


def _find_usable(course, states) -> Int[np.ndarray, " usable"]:
    return np.flatnonzero((states >= 0) & np.isfinite(course).all(axis=1))


def _score_votes(
    nearest: Int[np.ndarray, "frame neighbour"],
    voting: Int[np.ndarray, " reference"],
    states: Int[np.ndarray, " frame"],
) -> float:
    """Return the balanced accuracy of votes; a state's are divided by how many frames could have voted for it."""
    names, numbers, counts = np.unique(voting, return_inverse=True, return_counts=True)
    votes = np.stack([(numbers[nearest] == k).sum(axis=1) / count for k, count in enumerate(counts)], axis=1)
    predicted = names[votes.argmax(axis=1)]
    return float(recall_score(states, predicted, labels=np.unique(states), average="macro"))
