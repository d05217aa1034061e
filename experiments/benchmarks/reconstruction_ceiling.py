"""Measure what reconstructions of hidden neurons could reach: ridge regression within the tested worm itself.

    python -m experiments.benchmarks.reconstruction_ceiling --path=FOLDER

The recording is cut into a few parts of one length. In each part every neuron is regressed on the worm's other named
neurons of the same frame, by weights fitted to the other parts. R² is over the whole recording and the mean of the
neurons that at least two other worms have, as in `experiments.reconstruct`, whose best regression on the other worms
(`ridge_mirrored`) stands beside. Penalties are chosen without the part that is tested.
"""

import numpy as np

from configs import reconstruct
from wormjax.command_line import run
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.markdown import format_mean, join_cells, start_table
from wormjax.tasks.reconstruct import baselines
from wormjax.tasks.reconstruct.experiment import score_neurons
from wormjax.tasks.worms import prepare_materials

FLAGS = [
    ("string", "study", "dag2023", "Whose recordings."),
    ("string", "path", "", "The folder or file of the recordings."),
    ("list", "parts", ["2", "4", "8"], "Into how many parts a recording is cut."),
]
PENALTIES = tuple(10.0 ** np.arange(-2.5, 1.0, 0.5))  # Per frame.


def predict_parts(traces: np.ndarray, parts: int, penalties: tuple[float, ...]) -> np.ndarray:
    """Return standardised traces [frame, neuron], each regressed on all others, by weights of the other parts.

    Of several penalties the best one on the other parts is taken.
    """
    predicted = np.zeros_like(traces)
    for own in np.array_split(np.arange(len(traces)), parts):
        seen = np.delete(traces, own, axis=0)
        penalty, *others = penalties
        if others:
            losses = [((predict_parts(seen, 4, (one,)) - seen) ** 2).mean() for one in penalties]
            penalty = penalties[int(np.argmin(losses))]
        precision = np.linalg.inv(seen.T @ seen / len(seen) + penalty * np.eye(seen.shape[1]))
        weights = -precision / np.diagonal(precision)
        np.fill_diagonal(weights, 0.0)
        predicted[own] = traces[own] @ weights
    return predicted


def main(values) -> None:
    """Print the mean R² over neurons, by worm and over worms with its interval."""
    config = reconstruct.get_config()
    config.data.study, config.data.path = values.study, values.path
    materials = prepare_materials(config)
    dataset, splits = materials.dataset, list(materials.splits)
    fit, scores = baselines.fit_baselines(config, dataset, splits), {}
    for number, split in enumerate(splits):
        (worm,) = split.test
        measured = dataset.arrays.features[dataset.stretches_of(worm), ..., 0]
        traces, mean, sd = baselines.standardise(measured)
        present = dataset.find_present()[worm]
        chosen = present & baselines.find_known(fit, split.train, config.data.least_worms)
        others = number, split.train, dataset, worm, np.full(len(present), -1), False
        found = {"the other worms": baselines.reconstruct(baselines.MIRRORED, fit, *others)}
        frames = (traces != 0).any(axis=-1)
        for parts in map(int, values.parts):
            predicted = np.zeros_like(traces)
            within = predict_parts(traces[frames][:, present], parts, PENALTIES)
            predicted[np.ix_(*map(np.flatnonzero, (frames.any(axis=1), frames.any(axis=0), present)))] = within
            found[f"the worm itself, {parts - 1} of {parts} parts"] = predicted * sd + mean
        for label, one in found.items():
            scores.setdefault(label, []).append(score_neurons(one, measured)[chosen].mean())
    print("\n".join(start_table(("fitted to", "R²", *dataset.worms))))
    for label, own in scores.items():
        print(join_cells((label, format_mean(interval_over_worms(own)), *(f"{score:.3f}" for score in own))))


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
