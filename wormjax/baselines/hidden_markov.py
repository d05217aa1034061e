"""Motor states last: a hidden Markov chain over the frames' probabilities.

The chain's transitions are counted in the training worms' scored states. The forward-backward algorithm (Rabiner 1989)
then gives each frame's probability in the light of the whole recording. The classifier's probabilities stand in for the
emission likelihoods; states are not divided by their prior, which would undo the balance that the classifier learned.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.recordings.recording import UNSCORED


def count_transitions(states: Int[np.ndarray, "stretch frame"], count: int) -> Int[np.ndarray, "state state"]:
    """Return counts [from, to] of pairs of neighbouring frames that are both scored."""
    before, after = states[:, :-1].ravel(), states[:, 1:].ravel()
    scored = (before != UNSCORED) & (after != UNSCORED)
    counts = np.zeros((count, count), int)
    np.add.at(counts, (before[scored], after[scored]), 1)
    return counts


def transition_matrix(counts: Int[np.ndarray, "*batch state state"]) -> Float[np.ndarray, "*batch state state"]:
    """Return transition probabilities with half a pseudo-count per pair; every state may be left, however rarely."""
    smoothed = np.asarray(counts) + 0.5
    return smoothed / smoothed.sum(axis=-1, keepdims=True)


def filter_forward(start, likelihood, advance, axes=-1) -> Float[np.ndarray, "frame *batch state"]:
    """Return the probability of each state given the frames so far, normalised (the forward algorithm).

    `start`: of each state before the first frame; `likelihood`: [frame, *batch, state], up to a factor per frame;
    `advance`: states of one frame → those of the next, as the chain predicts them; `axes`: over which they sum to one.
    """
    state, forward = start, []
    for frame, weights in enumerate(likelihood):
        state = (advance(state) if frame else state) * weights
        state /= state.sum(axis=axes, keepdims=True)
        forward.append(state)
    return np.stack(forward)


def smooth_probabilities(
    probabilities: Float[np.ndarray, "*batch frame state"],
    valid: Bool[np.ndarray, "*batch frame"],
    transitions: Float[np.ndarray, "*batch state state"],
) -> Float[np.ndarray, "*batch frame state"]:
    """Return the probability of each state given all frames of a stretch (forward-backward).

    All states are as likely before the first frame. Through a frame that is not valid the chain runs on its transitions
    alone. These are per frame, so the frame rate must be that of the training worms.
    """
    likelihood = np.where(valid[..., None], np.maximum(probabilities, 1e-12), 1.0).astype(np.float64)
    start = np.ones(likelihood.shape[:-2] + likelihood.shape[-1:])
    by_frame = np.moveaxis(likelihood, -2, 0)
    forward = filter_forward(start, by_frame, lambda state: (state[..., None, :] @ transitions)[..., 0, :])
    forward, backward, state = np.moveaxis(forward, 0, -2), np.empty_like(likelihood), start
    for frame in reversed(range(len(by_frame))):
        backward[..., frame, :] = state
        state = (transitions @ (state * likelihood[..., frame, :])[..., None])[..., 0]
        state /= state.sum(axis=-1, keepdims=True)
    posterior = forward * backward
    return (posterior / posterior.sum(axis=-1, keepdims=True)).astype(probabilities.dtype)
