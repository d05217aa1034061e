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
DERIVATIVE_SECONDS = 5.0  # Smoothing with which three components carry the published share.
NEIGHBOURS = 20

Derivatives = Float[np.ndarray, "frame neuron"]


class PrincipalComponents(NamedTuple):
    """Components of the derivatives of one worm, or of several pooled.

    Attributes:
      weights: unit vectors over neurons, the largest weight of each positive.
      variance_share: the share of the variance of the derivatives fitted that each component carries, of all
        components and not only of those kept; sums to 1.
      scaling: how each worm's derivatives are scaled, by its own statistics, before they are weighed.
    """

    weights: Float[np.ndarray, "component neuron"]
    variance_share: Float[np.ndarray, " any_component"]
    scaling: str


class Trajectory(NamedTuple):
    """One worm along the components.

    Attributes:
      slopes: derivatives along the components, per second.
      course: their integral over time within each stretch, in the traces' units; mean 0 over each stretch, as a
        derivative does not say where a stretch begins. It is the (scaled) activity seen along the components.
    """

    slopes: Float[np.ndarray, "frame component"]
    course: Float[np.ndarray, "frame component"]


def fit_principal_components(
    derivatives: Derivatives, components: int | None = 3, scaling: str = "none"
) -> PrincipalComponents:
    """Principal components of one worm's derivatives.

    Args:
      derivatives: trace units per second.
      components: how many are kept; None: all.
      scaling: "none" (Kato et al. 2015 as reproduced here), "zscore" (each neuron's derivative by its standard
        deviation) or "peak" (by its largest absolute value).

    Raises:
      InputError: derivatives that are no finite [frame, neuron] or do not vary, too many components, or no such
        scaling.
    """
    return fit_pooled_components([derivatives], components, scaling)


def fit_pooled_components(
    derivatives: Sequence[Derivatives], components: int | None = 3, scaling: str = "none"
) -> PrincipalComponents:
    """Principal components of several worms' derivatives, one worm's frames after the other's.

    Each worm is scaled and centred by itself; the neurons must be the same, in the same order.

    Args: as `fit_principal_components`, one array a worm.
    Raises: as `fit_principal_components`; InputError where worms differ in their number of neurons.
    """
    scaled = [_scale(one, scaling) for one in derivatives]
    if len({one.shape[1] for one in scaled}) != 1:
        counts = ", ".join(str(one.shape[1]) for one in scaled) or "no worm"
        raise InputError(f"principal components, field 'derivatives': found {counts} neurons, expected as many in each")
    stacked = np.concatenate([one - one.mean(axis=0) for one in scaled])
    if not stacked.any():
        raise InputError("principal components, field 'derivatives': found constants, expected derivatives that vary")
    most = min(stacked.shape)
    kept = most if components is None else components
    if not 1 <= kept <= most:
        raise InputError(f"principal components, field 'components': found {kept}, expected 1 to {most}")
    fitted = PCA(svd_solver="full").fit(stacked)
    return PrincipalComponents(_orient(fitted.components_[:kept]), fitted.explained_variance_ratio_, scaling)


def project(
    components: PrincipalComponents,
    derivatives: Derivatives,
    times: Float[np.ndarray, " frame"],
    stretches: Sequence[tuple[int, int]] = (),
) -> Trajectory:
    """A worm's trajectory along components, its own or others'; the neurons are those of the fit, in its order.

    Args:
      components: from a fit.
      derivatives: trace units per second.
      times: seconds, increasing.
      stretches: uninterrupted stretches [start, stop) of frames; () for one of all frames. The course is NaN outside.

    Raises:
      InputError: neurons or times that do not fit.
    """
    scaled = _scale_as_fitted(components, derivatives)
    times = np.asarray(times, np.float64)
    if times.shape != scaled.shape[:1] or not (np.diff(times) > 0).all():
        found = f"found shape {times.shape}, expected {len(scaled)} seconds that increase"
        raise InputError(f"principal components, field 'times': {found}")
    # Not centred: a worm's mean derivative is its net change, which belongs to the course.
    slopes = scaled @ components.weights.T
    return Trajectory(slopes, _integrate(slopes, times, stretches or ((0, len(times)),)))


def measure_variance(components: PrincipalComponents, derivatives: Derivatives) -> Float[np.ndarray, " component"]:
    """The share of one worm's variance that each component carries, for components fitted on other worms too.

    Raises:
      InputError: derivatives that cannot be used, or another number of neurons than in the fit.
    """
    scaled = _scale_as_fitted(components, derivatives)
    return np.var(scaled @ components.weights.T, axis=0) / np.var(scaled, axis=0).sum()


def measure_separation(
    course: Float[np.ndarray, "frame component"],
    states: Int[np.ndarray, " frame"],
    gap: int,
    neighbours: int = NEIGHBOURS,
) -> float:
    """Return how well the motor state can be read from a place within one worm, by a vote among nearest neighbours.

    It is the vote's balanced accuracy. Neighbours are at least `gap` frames away in time: places met again, not the
    same bout. States vote with equal weight however frequent they are, so that chance is one over the number of states.

    Args:
      course: places; rows that are not finite are left out.
      states: the scored state of each frame, or -1, which neither votes nor counts.
      gap: frames.
      neighbours: how many vote.

    Returns:
      The recall of each state, averaged over states: 0 to 1.

    Raises:
      InputError: fewer frames than the vote needs.
    """
    frames = _find_usable(course, states)
    needed = neighbours + max(0, 2 * gap - 1)  # However the frames near in time lie, enough others are left.
    if gap < 0 or neighbours < 1 or len(frames) < needed:
        found = f"found {len(frames)} scored frames, gap {gap}, {neighbours} neighbours"
        raise InputError(f"separation of states: {found}, expected at least {max(needed, 1)} frames")
    places, scored = np.asarray(course)[frames], np.asarray(states)[frames]
    nearest = NearestNeighbors(n_neighbors=needed).fit(places).kneighbors(places, return_distance=False)
    near_in_time = np.abs(frames[nearest] - frames[:, None]) < gap
    order = np.argsort(near_in_time, axis=1, kind="stable")[:, :neighbours]  # Others first, in order of distance.
    return _score_votes(np.take_along_axis(nearest, order, axis=1), scored, scored)


def measure_transfer(
    reference: Sequence[Float[np.ndarray, "frame component"]],
    reference_states: Sequence[Int[np.ndarray, " frame"]],
    course: Float[np.ndarray, "frame component"],
    states: Int[np.ndarray, " frame"],
    neighbours: int = NEIGHBOURS,
) -> float:
    """As `measure_separation`, but the neighbours are places of other worms in the same components.

    Args:
      reference: the other worms' places.
      reference_states: and their states.
      course: one worm's places.
      states: its states, -1 where not scored.
      neighbours: how many vote.

    Raises:
      InputError: fewer scored frames than neighbours.
    """
    kept = [_find_usable(one, scored) for one, scored in zip(reference, reference_states, strict=True)]
    places = np.concatenate([np.asarray(one)[frames] for one, frames in zip(reference, kept, strict=True)])
    voting = np.concatenate([np.asarray(one)[frames] for one, frames in zip(reference_states, kept, strict=True)])
    frames = _find_usable(course, states)
    if not len(frames) or not 1 <= neighbours <= len(places):
        found = f"found {len(frames)} scored frames, {len(places)} of other worms"
        raise InputError(f"separation of states: {found}, expected at least 1 and {max(neighbours, 1)}")
    search = NearestNeighbors(n_neighbors=neighbours).fit(places)
    nearest = search.kneighbors(np.asarray(course)[frames], return_distance=False)
    return _score_votes(nearest, voting, np.asarray(states)[frames])


def _scale(derivatives: Derivatives, scaling: str) -> Derivatives:
    values = np.asarray(derivatives)
    if values.ndim != 2 or values.dtype.kind != "f" or len(values) < 2:
        found = f"found {values.dtype} of shape {values.shape}, expected floating point [frame, neuron], two frames up"
        raise InputError(f"principal components, field 'derivatives': {found}")
    if not np.isfinite(values).all():
        found = f"found {values[~np.isfinite(values)][0]}, expected finite values"
        raise InputError(f"principal components, field 'derivatives': {found}")
    if scaling not in DERIVATIVE_SCALINGS:
        expected = f"expected one of: {', '.join(DERIVATIVE_SCALINGS)}"
        raise InputError(f"principal components, field 'scaling': found {scaling!r}, {expected}")
    values = values.astype(np.float64)
    if scaling == "none":
        return values
    scale = values.std(axis=0) if scaling == "zscore" else np.abs(values).max(axis=0)
    rounding = 1e-12 * np.abs(values).max(axis=0)
    return values / np.where(scale > rounding, scale, 1.0)  # A neuron that does not vary stays as it is.


def _scale_as_fitted(components: PrincipalComponents, derivatives: Derivatives) -> Derivatives:
    scaled = _scale(derivatives, components.scaling)
    if scaled.shape[1] != components.weights.shape[1]:
        found = f"found {scaled.shape[1]} neurons, expected {components.weights.shape[1]}"
        raise InputError(f"principal components, field 'derivatives': {found} as in the fit")
    return scaled


def _orient(weights: Float[np.ndarray, "component neuron"]) -> Float[np.ndarray, "component neuron"]:
    """A component's sign is free, and libraries choose differently: here its largest weight is positive."""
    largest = np.take_along_axis(weights, np.abs(weights).argmax(axis=1)[:, None], axis=1)
    return weights * np.sign(largest)


def _integrate(
    slopes: Float[np.ndarray, "frame component"], times: np.ndarray, stretches: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "frame component"]:
    course = np.full(slopes.shape, np.nan)
    for start, stop in stretches:
        within = cumulative_trapezoid(slopes[start:stop], times[start:stop], axis=0, initial=0)
        course[start:stop] = within - within.mean(axis=0)
    return course


def _find_usable(course: np.ndarray, states: np.ndarray) -> Int[np.ndarray, " usable"]:
    if np.ndim(course) != 2 or np.shape(states) != np.shape(course)[:1]:
        found = f"found places {np.shape(course)} and states {np.shape(states)}"
        raise InputError(f"separation of states: {found}, expected [frame, component] and [frame]")
    return np.flatnonzero((np.asarray(states) >= 0) & np.isfinite(course).all(axis=1))


def _score_votes(
    nearest: Int[np.ndarray, "frame neighbour"],
    voting: Int[np.ndarray, " reference"],
    states: Int[np.ndarray, " frame"],
) -> float:
    """Balanced accuracy of votes; each state's votes are divided by how many frames could have voted for it."""
    names, numbers, counts = np.unique(voting, return_inverse=True, return_counts=True)
    votes = np.stack([(numbers[nearest] == k).sum(axis=1) / count for k, count in enumerate(counts)], axis=1)
    predicted = names[votes.argmax(axis=1)]
    return float(recall_score(states, predicted, labels=np.unique(states), average="macro"))
