"""Results of the estimators: a decoded recording, a forecast, a reconstruction. Each has a `to_pandas`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from wormjax.errors import InputError

BISECTIONS = 60  # Enough for the last digit of a float64.
NO_STATE = ""  # The name of the state in a frame that was not decoded.


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
    """One decoded recording.

    Attributes:
      worm: its name.
      times: seconds [frame].
      probabilities: of each state in each frame; NaN in frames outside the recording's stretches.
      state_names: the columns of `probabilities`.
      edges: probability of an edge of each type, the first being "no edge"; None where the model infers no graph.
      neuron_names: the senders and receivers of `edges`.
      behavior: continuous behaviours by name [frame], such as velocity, in the units of the training worms.
    """

    worm: str
    times: Float[np.ndarray, " frame"]
    probabilities: Float[np.ndarray, "frame state"]
    state_names: tuple[str, ...]
    edges: Float[np.ndarray, "sender receiver type"] | None
    neuron_names: tuple[str, ...]
    behavior: Mapping[str, Float[np.ndarray, " frame"]] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        linked = 0 if self.edges is None else len(find_linked(self.edge_probabilities))
        graph = f"a graph of {linked} neurons" if linked else "no graph"
        names = ", ".join((*self.state_names, *self.behavior))
        return f"Decoding(worm {self.worm!r}: {len(self.times)} frames; {names}; {graph})"

    @property
    def states(self) -> np.ndarray:
        """The name of the most probable state per frame."""
        return name_states(self.probabilities, self.state_names)

    @property
    def edge_probabilities(self) -> Float[np.ndarray, "sender receiver"]:
        """The probability of an edge of any type but the first; 0 on the diagonal."""
        if self.edges is None:
            raise InputError("edges: found a model that infers no graph, expected one that does, such as nri_graph")
        return sum_types(self.edges)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per frame: time, the probability of each state, the decoded state, and behaviours."""
        chances = dict(zip(self.state_names, self.probabilities.T, strict=True))
        return pd.DataFrame({"time": self.times, **chances, "state": self.states, **self.behavior})

    def edges_to_pandas(self) -> pd.DataFrame:
        """Return a row per ordered pair of neurons: sender, receiver, probability of an edge, in falling order."""
        return list_edges(self.edge_probabilities, self.neuron_names)


@dataclasses.dataclass(frozen=True, eq=False)
class Forecast:
    """A forecast of one recording, in the units of its traces: a mixture of Gaussians per step and neuron.

    Attributes:
      worm: the recording's name.
      origin: seconds; frames at or after it were not seen.
      times: seconds [step].
      neuron_names: the columns of `mean`, `sd` and `interval`; those of neurons that the recording lacks are NaN.
      mode_means, mode_scales, weights: the mixture; most models have one mode.
      edges: probability of an edge of each type before the origin; None where the model infers no graph.
      units: of the traces.
    """

    worm: str
    origin: float
    times: Float[np.ndarray, " step"]
    neuron_names: tuple[str, ...]
    mode_means: Float[np.ndarray, "mode step neuron"]
    mode_scales: Float[np.ndarray, "mode step neuron"]
    weights: Float[np.ndarray, " mode"]
    edges: Float[np.ndarray, "sender receiver type"] | None
    units: str

    def __repr__(self) -> str:
        span = f"{len(self.times)} steps from {self.times[0]:.2f} to {self.times[-1]:.2f} s"
        there, known = int(np.isfinite(self.mean).all(axis=0).sum()), len(self.neuron_names)
        neurons = f"{there} neurons" if there == known else f"{there} of {known} neurons"
        return f"Forecast(worm {self.worm!r}: {span}; {neurons}, {self.units})"

    @property
    def mean(self) -> Float[np.ndarray, "step neuron"]:
        """The mean of the forecast."""
        return np.tensordot(self.weights, self.mode_means, 1)

    @property
    def sd(self) -> Float[np.ndarray, "step neuron"]:
        """The standard deviation of the forecast."""
        second = np.tensordot(self.weights, self.mode_scales**2 + self.mode_means**2, 1)
        return np.sqrt(np.maximum(second - self.mean**2, 0.0))

    def interval(self, level: float = 0.9) -> tuple[Float[np.ndarray, "step neuron"], Float[np.ndarray, "step neuron"]]:
        """Return the low and the high end of the central interval that holds a share `level` of the forecast."""
        if not (isinstance(level, int | float | np.number) and 0 < level < 1):
            raise InputError(f"level: found {level!r}, expected a share between 0 and 1")
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def quantile(self, probability: float) -> Float[np.ndarray, "step neuron"]:
        """Return the value below which a share `probability` of the forecast lies."""
        if not (isinstance(probability, int | float | np.number) and 0 < probability < 1):
            raise InputError(f"probability: found {probability!r}, expected a share between 0 and 1")
        ends = self.mode_means + self.mode_scales * ndtri(probability)
        if len(ends) == 1:
            return ends[0]
        low, high = ends.min(axis=0), ends.max(axis=0)  # The quantile of a mixture lies between those of its modes.
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = np.tensordot(self.weights, ndtr((middle - self.mode_means) / self.mode_scales), 1) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def to_pandas(self, level: float = 0.9) -> pd.DataFrame:
        """Return a row per step and neuron: step, time, neuron, mean, s.d., and the ends of an interval.

        Neurons that the recording lacks have no rows.
        """
        low, high = self.interval(level)
        steps, neurons = self.mean.shape
        columns = {
            "origin": self.origin,
            "step": np.repeat(np.arange(1, steps + 1), neurons),
            "time": np.repeat(self.times, neurons),
            "neuron": np.tile(np.array(self.neuron_names), steps),
        }
        values = {"mean": self.mean, "sd": self.sd, "low": low, "high": high}
        frame = pd.DataFrame(columns | {name: value.ravel() for name, value in values.items()})
        return frame.dropna(subset="mean", ignore_index=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """The neurons of one recording, each reconstructed from all its others.

    Attributes:
      worm: the recording's name.
      times: seconds [frame].
      reconstructed: scaled traces (z-scores, unless the config scales otherwise). A neuron that the recording lacks is
        reconstructed from all that it has.
      measured: the scaled traces; NaN where a neuron was not recorded.
      r2: of each neuron over all frames; NaN for a neuron that the recording lacks.
      neuron_names: the columns.
    """

    worm: str
    times: Float[np.ndarray, " frame"]
    reconstructed: Float[np.ndarray, "frame neuron"]
    measured: Float[np.ndarray, "frame neuron"]
    r2: Float[np.ndarray, " neuron"]
    neuron_names: tuple[str, ...]

    def __repr__(self) -> str:
        known = int(np.isfinite(self.r2).sum())
        score = f", mean R² {np.nanmean(self.r2):.2f} of {known} that were recorded" if known else ""
        return f"Reconstruction(worm {self.worm!r}: {len(self.times)} frames; {len(self.r2)} neurons{score})"

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per frame: time, and the reconstructed trace of each neuron."""
        return pd.DataFrame({"time": self.times, **dict(zip(self.neuron_names, self.reconstructed.T, strict=True))})

    def r2_to_pandas(self) -> pd.DataFrame:
        """Return a row per neuron: its name and R², in falling order; NaN for those that were not recorded."""
        frame = pd.DataFrame({"neuron": self.neuron_names, "r2": self.r2})
        return frame.sort_values("r2", ascending=False, ignore_index=True)


def name_states(probabilities: Float[np.ndarray, "frame state"], state_names: tuple[str, ...]) -> np.ndarray:
    """Return the name of the most probable state per frame; NO_STATE where the probabilities are NaN."""
    known = np.isfinite(probabilities).all(axis=1)
    best = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), len(state_names))
    return np.array([*state_names, NO_STATE])[best]


def sum_types(edges: Float[np.ndarray, "*sample sender receiver type"]) -> Float[np.ndarray, "*sample sender receiver"]:
    """Return the probability of an edge of any type but the first, which is "no edge"; 0 on the diagonal."""
    return edges[..., 1:].sum(axis=-1)


def find_linked(probabilities: Float[np.ndarray, "sender receiver"]) -> Int[np.ndarray, " neuron"]:
    """Return the numbers of the neurons that have edges with others; those that the worm lacks have NaN."""
    apart = ~np.eye(len(probabilities), dtype=bool)
    return np.flatnonzero((np.isfinite(probabilities) & apart).any(axis=1))


def list_edges(probabilities: Float[np.ndarray, "sender receiver"], names: tuple[str, ...]) -> pd.DataFrame:
    """Return the edges off the diagonal that are not NaN, the most probable first."""
    senders, receivers = np.nonzero(~np.eye(len(names), dtype=bool) & ~np.isnan(probabilities))
    columns = {"sender": np.array(names)[senders], "receiver": np.array(names)[receivers]}
    listed = pd.DataFrame(columns | {"probability": probabilities[senders, receivers]})
    return listed.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
