"""Published numbers on systems with known graphs, to be shown beside ours and never mixed with them.

Source: Kipf, Fetaya, Wang, Welling, Zemel (2018), Neural Relational Inference for Interacting Systems (arXiv
1802.04687): edge accuracy, and the mean squared error of roll-outs in features scaled to [-1, 1]. They hold for its own
settings alone: two types of edge, undirected, no noise, 50,000 training simulations of 49 frames.
"""

from wormjax.scoring.published import PublishedResult

SOURCE = "Kipf, Fetaya et al. 2018"
NRI, SUPERVISED = "NRI", "NRI, supervised"
LSTM_CORRELATION, LSTM, STATIC = "correlation of LSTM states", "LSTM, joint", "static"
STEPS = (1, 10, 20)

EDGE_ACCURACIES: dict[str, dict[str, float]] = {
    "springs5": {NRI: 0.999, SUPERVISED: 0.999, LSTM_CORRELATION: 0.527},
    "charged5": {NRI: 0.821, SUPERVISED: 0.950, LSTM_CORRELATION: 0.542},
    "kuramoto5": {NRI: 0.960, SUPERVISED: 0.997, LSTM_CORRELATION: 0.544},
    "springs10": {NRI: 0.984},
    "charged10": {NRI: 0.708},
    "kuramoto10": {NRI: 0.757},
}

# After 1, 10 and 20 steps.
ERRORS: dict[str, dict[str, tuple[float, float, float]]] = {
    "springs5": {
        NRI: (3.1e-8, 3.3e-6, 2.1e-5),
        LSTM: (4.1e-8, 2.2e-5, 7.0e-4),
        STATIC: (7.9e-5, 7.6e-3, 2.8e-2),
    },
    "charged5": {NRI: (1.1e-3, 3.2e-3, 7.1e-3)},
    "kuramoto5": {NRI: (1.4e-2, 2.0e-2, 3.3e-2), LSTM: (3.4e-4, 1.3e-2, 4.7e-2)},
}


def find_published_systems(study: str, edge_types: int = 2) -> tuple[PublishedResult, ...]:
    """The published results on a system, for instance "springs5"; () if none.

    Metrics are edge_accuracy, mse@1, mse@10 and mse@20; no standard deviation is given here.

    Args:
      study: the system and its number of objects.
      edge_types: how many types of edge ours has; nothing is published for other than two.
    """
    if edge_types != 2:
        return ()
    numbers = [(model, "edge_accuracy", value) for model, value in EDGE_ACCURACIES.get(study, {}).items()]
    for model, errors in ERRORS.get(study, {}).items():
        numbers += [(model, f"mse@{step}", error) for step, error in zip(STEPS, errors, strict=True)]
    return tuple(
        PublishedResult(SOURCE, model, study, study, 1, metric, value, None) for model, metric, value in numbers
    )
