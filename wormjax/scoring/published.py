"""Published numbers, to be shown beside ours and never mixed with them.

Wang, Sapra, George, Silva (2021), Generalizable Machine Learning in Neuroscience Using Graph Neural Networks, Frontiers
in AI 4:618372 (arXiv 2010.08569): accuracy on unseen worms over four motor states, by the number of training worms, and
errors of 16-step roll-outs on the Kato worm left out. Kato: five worms, 15 neurons; Nichols: trained on Kato, tested on
N2 and npr-1 prelethargus, three neurons. Their public code was run again for this project on the same five Kato worms.

Kipf, Fetaya, Wang, Welling, Zemel (2018), Neural Relational Inference for Interacting Systems (arXiv 1802.04687): edge
accuracy, and the mean squared error of roll-outs in features scaled to [-1, 1]. They hold for its own settings alone:
two types of edge, undirected, no noise, 50,000 training simulations of 49 frames.

Löwe, Madras, Zemel, Welling (2022), Amortized Causal Discovery (arXiv 2006.10833): AUROC over ordered pairs of five
directed Kuramoto oscillators by the number of training systems, read off the authors' figure; and over those of 15
regions of Netsim's third simulation, of the 50 subjects that it was trained on. A correlation has 0.92 there.
"""

from typing import NamedTuple

PAPER = "Wang et al. 2021"
RERUN = "authors' code, run again"


class PublishedResult(NamedTuple):
    """A number that others report, or that their code gives.

    `model` is in the paper's words, `metric` as in our rows; mean and s.d. are over training subsets and unseen worms,
    the s.d. None where none is reported.
    """

    source: str
    model: str
    study: str
    test_study: str
    train_count: int
    metric: str
    mean: float
    sd: float | None


# (source, model, test study) → number of training worms → accuracy on unseen worms, and its s.d. where one is reported.
ACCURACIES: dict[tuple[str, str, str], dict[int, tuple[float, ...]]] = {
    (PAPER, "GNN", "kato2015"): {1: (0.833, 0.113), 2: (0.838, 0.104), 3: (0.868, 0.085), 4: (0.874, 0.074)},
    (PAPER, "MLP", "kato2015"): {1: (0.765, 0.137), 2: (0.785, 0.140), 3: (0.802, 0.125), 4: (0.802, 0.165)},
    (PAPER, "GNN", "nichols2017"): {1: (0.705,), 2: (0.694,), 3: (0.726,), 4: (0.715,), 5: (0.718,)},
    (PAPER, "MLP", "nichols2017"): {1: (0.717,), 2: (0.705,), 3: (0.728,), 4: (0.692,), 5: (0.691,)},
    # 200 epochs in place of 800, h = 16.
    (RERUN, "GNN", "kato2015"): {1: (0.891, 0.032), 4: (0.926, 0.022)},
    (RERUN, "MLP", "kato2015"): {1: (0.735,), 2: (0.844,), 3: (0.844,), 4: (0.805,)},
}


def find_published(study: str, test_study: str, state_set: str = "four") -> tuple[PublishedResult, ...]:
    """Return published results of models trained on `study` and tested on worms of `test_study`; () if none."""
    if (study, state_set) != ("kato2015", "four"):
        return ()
    return tuple(
        PublishedResult(source, model, study, tested, count, "accuracy", *(*numbers, None)[:2])
        for (source, model, tested), by_count in ACCURACIES.items()
        for count, numbers in by_count.items()
        if tested == test_study
    )


MEASURED = "measured for this project on that paper's features"
FORECAST_STEPS = (1, 4, 8, 16)

FORECAST_NOTE = (
    "† Mean absolute error over the features of Wang et al. (2021), each scaled to [-1, 1] by its own minimum and "
    "maximum; one of the two, the source's derivative, sees the future. Five Kato worms, each left out in turn."
)

# (source, model, number of training worms) → mean absolute error after 1, 4, 8 and 16 steps.
FORECAST_ERRORS: dict[tuple[str, str, int], tuple[float, float, float, float]] = {
    (PAPER, "GNN", 4): (0.030, 0.079, 0.137, 0.270),
    (PAPER, "MLP", 4): (0.034, 0.096, 0.192, 0.446),
    (MEASURED, "persistence", 0): (0.038, 0.083, 0.135, 0.208),
}


def find_published_forecasts(study: str, test_study: str, scaling: str) -> tuple[PublishedResult, ...]:
    """Return the published mae@1, mae@4, mae@8 and mae@16 within Kato 2015; () of other studies and other scalings."""
    if (study, test_study, scaling) != ("kato2015", "kato2015", "minmax"):
        return ()
    return tuple(
        PublishedResult(source, model, study, test_study, count, f"mae@{step}", error, None)
        for (source, model, count), errors in FORECAST_ERRORS.items()
        for step, error in zip(FORECAST_STEPS, errors, strict=True)
    )


SYSTEMS_SOURCE = "Kipf, Fetaya et al. 2018"
NRI, SUPERVISED = "NRI", "NRI, supervised"
LSTM_CORRELATION, LSTM, STATIC = "correlation of LSTM states", "LSTM, joint", "static"
SYSTEMS_STEPS = (1, 10, 20)

EDGE_ACCURACIES: dict[str, dict[str, float]] = {
    "springs5": {NRI: 0.999, SUPERVISED: 0.999, LSTM_CORRELATION: 0.527},
    "charged5": {NRI: 0.821, SUPERVISED: 0.950, LSTM_CORRELATION: 0.542},
    "kuramoto5": {NRI: 0.960, SUPERVISED: 0.997, LSTM_CORRELATION: 0.544},
    "springs10": {NRI: 0.984},
    "charged10": {NRI: 0.708},
    "kuramoto10": {NRI: 0.757},
}

# After 1, 10 and 20 steps.
SYSTEMS_ERRORS: dict[str, dict[str, tuple[float, float, float]]] = {
    "springs5": {NRI: (3.1e-8, 3.3e-6, 2.1e-5), LSTM: (4.1e-8, 2.2e-5, 7.0e-4), STATIC: (7.9e-5, 7.6e-3, 2.8e-2)},
    "charged5": {NRI: (1.1e-3, 3.2e-3, 7.1e-3)},
    "kuramoto5": {NRI: (1.4e-2, 2.0e-2, 3.3e-2), LSTM: (3.4e-4, 1.3e-2, 4.7e-2)},
}

DIRECTED_SOURCE, DIRECTED_STUDY = "Löwe et al. 2022", "kuramoto5"
NETSIM_STUDY, NETSIM_SUBJECTS, NETSIM_AUROC, NETSIM_SD = "sim3-15", 50, 0.688, 0.051
DIRECTED_AUROC = {10: 0.55, 100: 0.61, 1_000: 0.71, 5_000: 0.85, 10_000: 0.91, 50_000: 0.950}


def find_published_directions(study: str) -> tuple[PublishedResult, ...]:
    """Return the published edge_auroc of directed systems, one per number of training systems; () if none."""
    if study == NETSIM_STUDY:
        found = [(f"ACD, {NETSIM_SUBJECTS} subjects", NETSIM_SUBJECTS, NETSIM_AUROC, NETSIM_SD)]
    else:
        by_count = DIRECTED_AUROC if study == DIRECTED_STUDY else {}
        found = [(f"ACD, {count:,} systems", count, value, None) for count, value in by_count.items()]
    return tuple(
        PublishedResult(DIRECTED_SOURCE, model, study, study, count, "edge_auroc", *numbers)
        for model, count, *numbers in found
    )


def find_published_systems(study: str, edge_types: int = 2) -> tuple[PublishedResult, ...]:
    """Return the published edge_accuracy, mse@1, mse@10 and mse@20 of a system such as "springs5"; () if none.

    Nothing is published for another number of edge types than two.
    """
    if edge_types != 2:
        return ()
    numbers = [(model, "edge_accuracy", value) for model, value in EDGE_ACCURACIES.get(study, {}).items()]
    for model, errors in SYSTEMS_ERRORS.get(study, {}).items():
        numbers += [(model, f"mse@{step}", error) for step, error in zip(SYSTEMS_STEPS, errors, strict=True)]
    return tuple(
        PublishedResult(SYSTEMS_SOURCE, model, study, study, 1, metric, value, None) for model, metric, value in numbers
    )
