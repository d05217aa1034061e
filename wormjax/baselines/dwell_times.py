"""Motor states by themselves: how long each lasts and what follows it, as a chain that predicts the states to come.

A semi-Markov chain (Rabiner 1989, "explicit duration"): a state is left with a probability that depends on how long it
has lasted, and is followed by another by fixed probabilities. With one probability of leaving for all ages it is the
ordinary Markov chain. In frames it is a Markov chain over (state, age): the forward algorithm, which weighs a
decoder's probabilities of each frame, and the distribution of states any number of frames ahead are exact.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines.hidden_markov import filter_forward
from wormjax.recordings.recording import UNSCORED

AGE_BINS = (1, 2, 4, 7, 11, 16, 23, 32, 45, 64, 90, 128, 181)  # Frames; the chance of leaving is constant within.
PRIOR_EXITS = 2.0  # Leavings that each bin of ages borrows from the state's own mean.
PRIOR_COUNT = 0.5  # Of each pair of states, beside those counted.

ByState = Float[np.ndarray, "frame state"]
States = Int[np.ndarray, " frame"]


class DwellChain(NamedTuple):
    """A chain of states."""

    # The probability that a state of this age (0: its first frame) is another in the next frame.
    leave: Float[np.ndarray, "state age"]
    follow: Float[np.ndarray, "state state"]  # Which state comes next when one is left; no state follows itself.
    frequency: Float[np.ndarray, " state"]  # Share of scored frames.


def list_bouts(states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the state, the frames and the following state of each bout of one stretch; unscored frames are in none.

    The following state is UNSCORED where a bout ends in unscored frames or with the stretch.
    """
    edges = np.flatnonzero(np.diff(states)) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(states)]])
    following = np.append(states[starts[1:]], UNSCORED)
    scored = states[starts] != UNSCORED
    return states[starts][scored], (stops - starts)[scored], following[scored]


def fit_dwell_chain(stretches: Sequence[States], count: int, ages: Sequence[int] = AGE_BINS) -> DwellChain:
    """Return the chain that bouts, and what follows them, make; UNSCORED breaks it.

    `ages`: where bins of ages begin, in frames, from 1; (1,) gives the ordinary Markov chain.
    """
    bouts = [list_bouts(states) for states in stretches]
    state, frames, following = (np.concatenate(parts) for parts in zip(*bouts, strict=True))
    ended = following != UNSCORED
    edges = np.asarray([*ages, np.iinfo(np.int64).max])
    leave = np.empty((count, len(ages)))
    for one in range(count):
        left = frames[(state == one) & ended]
        own = (frames - ~ended)[state == one]  # The last frame of a bout that is cut off does not show if it is left.
        exits = np.histogram(left, edges)[0].astype(float)
        # Frames spent at each age: a bout of n frames was at ages 1 to n.
        at_risk = np.array([np.clip(own - low + 1, 0, high - low).sum() for low, high in zip(edges, edges[1:])], float)  # noqa: B905, RUF007
        mean = (exits.sum() + PRIOR_COUNT) / (at_risk.sum() + 2 * PRIOR_COUNT)
        leave[one] = (exits + PRIOR_EXITS * mean) / (at_risk + PRIOR_EXITS)
    follow = np.full((count, count), PRIOR_COUNT)
    np.add.at(follow, (state[ended], following[ended]), 1.0)
    np.fill_diagonal(follow, 0.0)
    scored = np.bincount(state, weights=frames, minlength=count) + PRIOR_COUNT
    by_age = np.searchsorted(ages, np.arange(1, max(ages) + 1), side="right") - 1
    return DwellChain(leave[:, by_age], follow / follow.sum(axis=1, keepdims=True), scored / scored.sum())


def predict_states(chain: DwellChain, steps: Sequence[int]) -> Float[np.ndarray, "step state age ahead"]:
    """Return the distribution of the state `steps` frames ahead, from each state and age."""
    count, ages = chain.leave.shape
    now = np.broadcast_to(np.eye(count)[:, None], (count, ages, count))
    return np.stack(take_steps(now, lambda ahead: _step_back(chain, ahead, chain.follow @ ahead[:, 0]), steps))


def predict_onset(chain: DwellChain, steps: Sequence[int], target: int) -> Float[np.ndarray, "step state age"]:
    """Return the probability that a bout of `target` begins within `steps` frames, from each state and age.

    A bout of `target` that is under way does not count: it is the next one that is waited for.
    """
    enters = chain.follow[:, target, None]
    elsewhere = np.where(np.arange(len(chain.follow)) == target, 0.0, chain.follow)
    none = np.zeros((*chain.leave.shape, 1))
    begun = take_steps(none, lambda begun: _step_back(chain, begun, enters + elsewhere @ begun[:, 0]), steps)
    return np.stack(begun)[..., 0]


def take_steps(now: np.ndarray, advance: Callable[[np.ndarray], np.ndarray], steps: Sequence[int]) -> list[np.ndarray]:
    """Return what is there after some numbers of steps, each of which `advance` makes."""
    kept = [now]
    for _ in range(max(steps)):
        kept.append(advance(kept[-1]))
    return [kept[step] for step in steps]


def _step_back(chain, values, on_leaving):
    """Return what is expected a step earlier: of `values` where the state stays, of `on_leaving` where it is left."""
    older = np.concatenate([values[:, 1:], values[:, -1:]], axis=1)
    return (1.0 - chain.leave)[..., None] * older + chain.leave[..., None] * on_leaving[:, None]


def filter_states(chain: DwellChain, likelihood: ByState) -> Float[np.ndarray, "frame state age"]:
    """Return the probability of each state and age given the frames so far (the forward algorithm), normalised.

    `likelihood` is of each frame's observation under each state, up to a factor per frame.
    """
    start = np.repeat(chain.frequency[:, None] / chain.leave.shape[1], chain.leave.shape[1], axis=1)  # Any age.

    def advance(now):
        left = now * chain.leave
        stays = now - left
        older = np.concatenate([left.sum(axis=1, keepdims=True).T @ chain.follow, stays.T[:-1]]).T
        older[:, -1] += stays[:, -1]
        return older

    return filter_forward(start, likelihood[..., None], advance, axes=(-2, -1))


def likelihood_of_decoded(chain: DwellChain, probabilities: ByState, weight: float) -> ByState:
    """Return the likelihood of each frame by a decoder's probabilities, relative to the states' frequencies.

    `weight`: how much one frame counts; below 1, since neighbouring frames are alike.
    """
    ratio = np.log(np.maximum(probabilities, 1e-7)) - np.log(chain.frequency)
    return np.exp(weight * (ratio - ratio.max(axis=1, keepdims=True)))


def likelihood_of_scored(states: States, count: int) -> ByState:
    """Return certainty where a frame is scored, nothing where it is not."""
    return np.where((states == UNSCORED)[:, None], 1.0, np.maximum(np.eye(count)[states], 1e-12))
