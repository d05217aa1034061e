"""Worms with planted leaks, the splits of each protocol beside the same with the leak opened, and what chance is."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest

from wormjax.features.dataset import Dataset, build_dataset
from wormjax.recordings.recording import Recording
from wormjax.tasks.protocols import Split, list_splits

WORMS, FRAMES, MANY, RATE = 4, 280, 1500, 3.0
CODES = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])  # Of four states, by two neurons.
STATE_NAMES = ("reverse", "forward", "dorsal turn", "ventral turn")
UNSEEN = ("subsets", "leave_one_worm_out", "cross_study")
SILENT = 12  # Neurons that tell nothing, so that a decoder that knows nothing guesses anew in each frame.


def cases(network, quickly):
    """Protocols, networks and frames: a network with one protocol, or none; all of them where there is time."""
    networks = {"leave_one_worm_out": (network,) * quickly}
    quick = [(protocol, networks.get(protocol, ()), FRAMES) for protocol in UNSEEN]
    slow = [pytest.param(protocol, (network,), MANY, marks=pytest.mark.slow) for protocol in UNSEEN]
    return [*quick, *slow]


class Arranged(NamedTuple):
    """Worms to train and to test on, the protocol's splits, and after them the splits with the leak opened."""

    dataset: Dataset
    tested: Dataset
    splits: list[Split]

    def is_open(self, train_worms, test_worm):
        return test_worm.startswith("open") or len(train_worms) == len(self.dataset.worms)


def make_recording(name, traces, states, names, rate=RATE):
    times = np.arange(len(traces)) / rate
    return Recording("made up", name, traces, times, names, motor_state=states, state_names=STATE_NAMES)


def plant_states(lead, own=True, frames=FRAMES, rate=RATE, name="worm"):
    """Worms whose states are drawn anew in each frame; two neurons tell that of `lead` frames later.

    With `own` they are others in each worm, and noise in all other worms. `SILENT` neurons tell nothing.
    """
    recordings, count = [], (2 * WORMS if own else 2) + SILENT
    names = tuple(f"N{neuron}" for neuron in range(count))
    for worm in range(WORMS):
        random = np.random.default_rng([3, worm])
        states = random.integers(0, 4, frames)
        traces = random.normal(size=(frames, count))
        coded = slice(2 * worm * own, 2 * worm * own + 2)
        traces[:, coded] = CODES[np.roll(states, -lead)] + 0.2 * traces[:, coded]
        recordings.append(make_recording(f"{name} {worm}", traces, states, names, rate))
    return recordings


def build(recordings, inputs=("trace",), scaling="zscore", **fields):
    return build_dataset(recordings, recordings[0].neuron_names, inputs, scaling, **fields)


def hold_out(protocol, recordings, **fields):
    """A protocol's splits of worms 0 to 2, or of 0 and 1 for 2 and 3; the leak: the tested worms train, too."""
    if protocol == "cross_study":
        dataset, tested = build(recordings, **fields), build(recordings[2:], **fields)
        splits, opened = list_splits(protocol, 2, 2), Split((0, 1, 2, 3), (0, 1))
        return Arranged(dataset, tested, [*splits, opened])
    dataset, splits = build(recordings[:3], **fields), list_splits(protocol, 3)
    return Arranged(dataset, dataset, [*splits, Split((0, 1, 2), (0, 1, 2))])


def stand_beside(protocol, recordings, opened, **fields):
    """A protocol's splits of some worms; the leak: the same splits of `opened` worms, which tell the future."""
    if protocol == "cross_study":
        dataset, tested = (build([*recordings[k], *opened[k]], **fields) for k in (slice(2), slice(2, 4)))
        splits, shift = list_splits(protocol, 2, 2), 2
    else:
        dataset = tested = build(recordings[:3] + opened[:3], **fields)
        splits, shift = list_splits(protocol, 3), 3
    shifted = [Split(*(tuple(worm + shift for worm in part) for part in split)) for split in splits]
    return Arranged(dataset, tested, splits + shifted)


class Judged(NamedTuple):
    """Balanced accuracy over worms; `sure` is how many standard deviations it lies above that of permuted states."""

    score: float
    sure: float


def tabulate_recall(predicted, true):
    """Share of each true state's frames by predicted state [true, predicted]."""
    return np.stack([np.bincount(predicted[true == state], minlength=4) / (true == state).sum() for state in range(4)])


def judge(by_worm):
    """Judges worm → its tables of recall. Whoever does not know which state is which gets any permutation as soon."""
    tables = [np.mean(tables, axis=0) for tables in by_worm.values()]
    permuted = [[table[range(4), order].mean() for order in itertools.permutations(range(4))] for table in tables]
    scores = np.array([table.trace() / 4 for table in tables])
    spread = math.sqrt(np.var(permuted, axis=1).sum())
    return Judged(scores.mean(), (scores - np.mean(permuted, axis=1)).sum() / max(spread, 1e-9))


def assert_chance(judged):
    assert abs(judged.sure) < 4, judged
    assert abs(judged.score - 0.25) < 0.1, judged  # A score that is high all over spreads when it is permuted, too.


def assert_found(judged):
    assert judged.sure > 3, judged  # Of two worms that are decoded without a mistake: 4.2.
    assert judged.score > 0.38, judged
