"""Find a planted wiring in simulated worms: AUROC by density, observation noise, length and number of recordings.

    python -m experiments.benchmarks.planted_graph

The wiring is between neurons that the motor command does not drive. "sparse": each neuron receives from one other, with
a weight of 1.2, of every third sender a negative one. "drawn": as simulated worms have it, each receives from about
three. Scores are means over worms, by their size, since a third of the edges inhibits.
"""

import itertools
import time

import numpy as np

from wormjax.baselines.neuron_scores import choose_method
from wormjax.baselines.sparse_autoregression import infer_edges
from wormjax.command_line import run
from wormjax.recordings.names import NEURONS
from wormjax.scoring.classification import rank_auroc
from wormjax.scoring.reference_graphs import find_pairs
from wormjax.simulation.worms import COMMAND_COUPLING, draw_wiring, simulate_worms

NEURON_COUNT = 15
METHODS = ("correlation", "partial_correlation", "granger", "var", "sparse_var")
SETTINGS = {"order": 8, "ridge": 1e-2, "granger_ridge": 1e-2, "shrinkage": 0.1}
SHARES = (0.25, 0.5, 1.0)  # Of each recording.
FLAGS = [
    ("integer", "worms", 5, "Worms."),
    ("float", "minutes", 18.0, "Of each."),
    ("integer", "seed", 0, "Of wiring and worms."),
    ("list", "noise", ["1", "0.2", "0"], "Factors of the observation noise."),
    ("bool", "amounts", True, "Whether to score fewer worms and shorter recordings, too."),
]


def plant_sparse() -> np.ndarray:
    """Return a wiring in which each neuron receives from one other."""
    wiring = np.zeros((NEURON_COUNT, NEURON_COUNT))
    for sender in range(NEURON_COUNT):
        wiring[sender, (sender + 4) % NEURON_COUNT] = -1.2 if sender % 3 == 0 else 1.2
    return wiring


def simulate(wiring, worms: int, minutes: float, seed: int, noise: float):
    """Return the traces of each worm, and the places of its named neurons."""
    names = tuple(sorted(NEURONS - set(COMMAND_COUPLING)))[:NEURON_COUNT]
    recordings = simulate_worms(seed, worms, minutes, names, wiring, noise).recordings
    columns = [np.array([names.index(name) for name in worm.identified]) for worm in recordings]
    return [worm.traces[:, list(worm.identified.values())] for worm in recordings], columns


def score(name: str, traces, columns, wiring) -> float:
    """Return the AUROC of one method's mean scores."""
    found = infer_edges(traces, columns, NEURON_COUNT) if name == "sparse_var" else None
    total, count = np.zeros((2, *wiring.shape))
    for worm, (own, places) in enumerate(zip(traces, columns, strict=True)):
        matrix = choose_method(name, SETTINGS)(own) if found is None else found[worm]
        total[np.ix_(places, places)] += matrix
        count[np.ix_(places, places)] += 1
    scores = np.where(count > 0, np.abs(total) / np.maximum(count, 1), np.nan)
    pairs = find_pairs(scores, wiring)
    return float(rank_auroc(scores[pairs], wiring[pairs] != 0))


def main(values) -> None:
    """Print a line per wiring, noise, number of worms and length."""
    wirings = {"sparse": plant_sparse(), "drawn": draw_wiring(np.random.default_rng(values.seed), NEURON_COUNT)}
    print("wiring  noise worms minutes  " + "  ".join(METHODS))
    for (label, wiring), noise in itertools.product(wirings.items(), map(float, values.noise)):
        start = time.perf_counter()
        traces, columns = simulate(wiring, values.worms, values.minutes, values.seed, noise)
        amounts = (
            itertools.product(sorted({1, 3, values.worms}), (0.25, 0.5, 1.0))
            if values.amounts
            else [(values.worms, 1.0)]
        )
        for worms, share in amounts:
            cut = [own[: round(share * len(own))] for own in traces[:worms]]
            areas = [score(name, cut, columns[:worms], wiring) for name in METHODS]
            text = "  ".join(f"{area:.3f}".rjust(len(name)) for name, area in zip(METHODS, areas, strict=True))
            print(f"{label:7} {noise:5.2f} {worms:5d} {share * values.minutes:7.1f}  {text}", flush=True)
        print(f"  {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
