"""Questions about the motor state to come, answers to them in probabilities, and their scores.

A question is asked at a start (wormjax.features.starts): all frames before it are known. Its answers are a distribution
over motor states at each horizon, and over the intervals in which the next reversal may begin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import recall_score, roc_auc_score

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts, list_starts
from wormjax.features.future_states import Targets, count_steps, tabulate_targets
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import measure_nll

REVERSE = "reverse"


class Answers(NamedTuple):
    """Probabilities at each start."""

    states: Float[np.ndarray, "start horizon state"]
    onset: Float[np.ndarray, "start interval"]

    def of(self, chosen) -> "Answers":
        """Return the answers of a mask or of indices."""
        return Answers(*(values[chosen] for values in self))


def find_steps(config, dataset: Dataset) -> tuple[int, ...]:
    """Return the config's horizons in frames of a dataset."""
    steps = count_steps(config.ahead.seconds, dataset.frame_rate)
    if len(set(steps)) < len(steps):
        found = f"found {tuple(config.ahead.seconds)}, of which some are the same frame at {dataset.frame_rate:.2f} Hz"
        raise ConfigError("ahead.seconds", f"{found}, expected a different frame for each")
    return steps


def tabulate(config, dataset: Dataset, states: Int[np.ndarray, "stretch frame"]) -> Targets:
    """Return the true answers at every frame of a dataset, from its states to train on or those to be scored on."""
    reverse = dataset.state_names.index(REVERSE)
    return tabulate_targets(states, dataset.arrays.valid, find_steps(config, dataset), reverse)


def ask(config, dataset: Dataset) -> tuple[Starts, Targets]:
    """Return all questions that a config asks of a dataset, and what came to pass."""
    starts = list_starts(dataset, config.ahead.first, config.ahead.every, "ahead.first")
    truth = tabulate(config, dataset, dataset.scored_states).of((starts.stretch, starts.frame - 1))
    if not (truth.states[:, -1] != UNSCORED).any():
        longest = dataset.arrays.valid.sum(axis=1).max() / dataset.frame_rate
        found = f"found {config.ahead.seconds[-1]:g} s, with stretches of {longest:.0f} s at most"
        raise ConfigError("ahead.seconds", f"{found}, expected less")
    return starts, truth


def score_answers(
    answers: Answers,
    truth: Targets,
    seconds: Sequence[float],
    frame_rate: float,
    frequency: Float[np.ndarray, " state"],
) -> dict[str, float]:
    """Score one worm's answers; `seconds` are the horizons, `frequency` that of each state among the training worms.

    Returns:
      Metric → value; what is undefined is left out. By horizon, as in "nll@5s":
      nll: negative log-likelihood of the motor state, nats; probabilities clipped at 1e-7.
      accuracy: share of starts whose most probable state is the true one.
      balanced_accuracy: recall by state, averaged over those that occur; the decision is the state whose probability is
        highest in units of its frequency among the training worms, which is the best decision for this metric.
      reversal_auroc: area under the ROC curve of the probability that the next reversal has begun by then.
      Of the time to the next reversal: reversal_nll, of its interval, in nats; reversal_error, mean absolute error in
      seconds of the median, both it and the truth cut at the last horizon.
    """
    scores = {}
    for number, one in enumerate(seconds):
        true = truth.states[:, number]
        known = true != UNSCORED
        if not known.any():
            continue
        given, true = answers.states[known, number], true[known]
        decided = (given / frequency).argmax(axis=1)
        scores |= {
            f"nll@{one:g}s": measure_nll(given, true),
            f"accuracy@{one:g}s": np.mean(given.argmax(axis=1) == true),
            f"balanced_accuracy@{one:g}s": recall_score(true, decided, labels=np.unique(true), average="macro"),
        }
    known = truth.onset != UNSCORED
    if known.any():
        onset, given = truth.onset[known], answers.onset[known]
        scores["reversal_nll"] = measure_nll(given, onset)
        waited = np.minimum(truth.waiting[known] / frame_rate, seconds[-1])
        scores["reversal_error"] = np.abs(find_median(given, seconds) - waited).mean()
        for number, one in enumerate(seconds):
            begun = onset <= number
            if 0 < begun.sum() < len(begun):
                scores[f"reversal_auroc@{one:g}s"] = roc_auc_score(begun, given[:, : number + 1].sum(axis=1))
    return {name: float(value) for name, value in scores.items()}


def find_median(onset: Float[np.ndarray, "start interval"], seconds: Sequence[float]) -> Float[np.ndarray, " start"]:
    """Return the time by which a reversal has begun with probability one half, at most the last horizon."""
    reached = np.concatenate([np.zeros((len(onset), 1)), np.cumsum(onset[:, :-1], axis=1)], axis=1)
    edges = np.array([0.0, *seconds])
    upper = (reached[:, 1:] < 0.5).sum(axis=1) + 1
    inside = np.minimum(upper, len(seconds))
    rows = np.arange(len(onset))
    low, high = reached[rows, inside - 1], reached[rows, inside]
    share = (0.5 - low) / np.maximum(high - low, 1e-12)
    median = edges[inside - 1] + np.clip(share, 0.0, 1.0) * (edges[inside] - edges[inside - 1])
    return np.where(upper > len(seconds), edges[-1], median)
