"""Principal components of worms: the variance they carry, and how well the motor state can be read from them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax import figures
from wormjax.baselines import principal_components as pca
from wormjax.features.derivatives import smoothed_derivative
from wormjax.features.missing import fill_missing
from wormjax.features.neurons import align_neurons
from wormjax.figures.style import NamedFigures
from wormjax.recordings.motor_states import STATE_SETS, choose_state_names, map_motor_states, read_state_map
from wormjax.recordings.recording import UNSCORED, Recording
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.markdown import format_mean, join_cells, start_table

COMPONENTS = 3
ALL, SHARED, POOLED = "all recorded neurons", "shared neurons", "shared neurons, pooled worms"
OTHERS = "shared neurons, read from the other worms"
DRAWN_WORMS = 4


class Worm(NamedTuple):
    """One worm's derivatives, and what goes with its frames."""

    name: str
    everything: Float[np.ndarray, "frame neuron"]
    shared: Float[np.ndarray, "frame neuron"]
    times: Float[np.ndarray, " frame"]
    stretches: tuple[tuple[int, int], ...]
    states: Int[np.ndarray, " frame"]
    gap: int


class Components(NamedTuple):
    """Findings, by what the components were fitted to and by worm."""

    shares: dict[str, list[Float[np.ndarray, " component"]]]  # Of variance.
    # How well the motor state can be read from the place in three components (balanced accuracy of the vote of its
    # neighbours, chance being one over the number of states), and from the derivatives along them.
    places: dict[str, list[float]]
    slopes: dict[str, list[float]]


def read_worms(config, recordings: Sequence[Recording], neurons: Sequence[str]) -> list[Worm]:
    """Return each worm's smoothed derivatives, of all its neurons and of the shared ones."""
    state_map = read_state_map(config.data.state_map)
    names, worms = choose_state_names(recordings, config.data.states, state_map), []
    for recording in recordings:
        rate, seconds = recording.frame_rate, config.components.derivative_seconds
        traces, shared = recording.traces, align_neurons(recording, neurons)
        everything, few = np.zeros(traces.shape), np.zeros(shared.shape)
        for start, stop in recording.stretches:
            for slopes, values in ((everything, traces), (few, shared)):
                filled, _ = fill_missing(values[start:stop], recording.times[start:stop])
                slopes[start:stop] = smoothed_derivative(filled, rate, seconds)
        states = map_motor_states(recording, names, state_map)
        gap = round(config.components.gap_seconds * rate)
        worms.append(Worm(recording.worm, everything, few, recording.times, recording.stretches, states, gap))
    return worms


def describe_components(config, worms: Sequence[Worm]) -> tuple[Components, dict[str, list[pca.Trajectory]]]:
    """Fit components to each worm, all its neurons or the shared ones, and to all worms pooled; score them."""
    scaling = config.components.scaling
    pooled = pca.fit_principal_components([worm.shared for worm in worms], None, scaling)
    fits = {
        ALL: [pca.fit_principal_components([worm.everything], COMPONENTS, scaling) for worm in worms],
        SHARED: [pca.fit_principal_components([worm.shared], COMPONENTS, scaling) for worm in worms],
        POOLED: [pooled._replace(weights=pooled.weights[:COMPONENTS])] * len(worms),
    }
    shares = {name: [fit.variance_share for fit in some] for name, some in fits.items()}
    shares[POOLED] = [pca.measure_variance(pooled, worm.shared) for worm in worms]
    trajectories = {
        name: [
            pca.project(fit, worm.everything if name == ALL else worm.shared, worm.times, worm.stretches)
            for fit, worm in zip(some, worms, strict=True)
        ]
        for name, some in fits.items()
    }
    places, slopes = (_measure(trajectories, worms, field) for field in ("course", "slopes"))
    return Components(shares, places, slopes), trajectories


def plot_components(
    config, worms: Sequence[Worm], found: Components, trajectories, names: Sequence[str] = STATE_SETS["four"]
) -> NamedFigures:
    """Yield variance by number of components; trajectories and phase plots of each worm, and of all pooled."""
    shares = {name: found.shares[name] for name in (ALL, SHARED, POOLED)}
    yield "components_variance", figures.plot_variance(shares)
    drawn = range(min(DRAWN_WORMS, len(worms)))
    courses = {worms[k].name: trajectories[ALL][k].course for k in drawn}
    states = {worms[k].name: worms[k].states for k in drawn}
    carried = [found.shares[ALL][k][:COMPONENTS].sum() for k in drawn]
    captions = {worms[k].name: f"{carried[k]:.0%} of variance; state read at {found.places[ALL][k]:.2f}" for k in drawn}
    if len(worms) > 1:
        every, gap = f"{len(worms)} worms, pooled components", np.full((1, COMPONENTS), np.nan)
        courses[every] = np.concatenate([part for one in trajectories[POOLED] for part in (one.course, gap)])
        states[every] = np.concatenate([part for worm in worms for part in (worm.states, [UNSCORED])])
        captions[every] = f"state read from other worms at {np.mean(found.places[OTHERS]):.2f}"
    title = f"{config.data.study}: trajectories along the principal components of the derivatives"
    yield "manifolds", figures.plot_manifolds(courses, states, names, captions, title)
    yield "phase_plots", figures.plot_phase_plots(courses, states, names)


def tabulate_components(found: Components) -> list[str]:
    """Return a table: variance in three components, and how well the state is read from place and slopes."""
    lines = start_table(("components of the derivatives, of", "variance in three", "state by place", "state by slopes"))
    for name in found.places:
        share = [one[:COMPONENTS].sum() for one in found.shares.get(name, [])]
        values = share, found.places[name], found.slopes[name]
        lines.append(join_cells([name, *(format_mean(interval_over_worms(one)) if one else "" for one in values)]))
    return lines


def _measure(trajectories, worms, field) -> dict[str, list[float]]:
    scores = {
        name: [
            pca.measure_separation(getattr(one, field), worm.states, worm.gap)
            for one, worm in zip(some, worms, strict=True)
        ]
        for name, some in trajectories.items()
    }
    if len(worms) > 1:
        pooled = [getattr(one, field) for one in trajectories[POOLED]]
        scores[OTHERS] = []
        for own, worm in enumerate(worms):
            others = [k for k in range(len(worms)) if k != own]
            reference = [pooled[k] for k in others], [worms[k].states for k in others]
            scores[OTHERS].append(pca.measure_transfer(*reference, pooled[own], worm.states))
    return scores
