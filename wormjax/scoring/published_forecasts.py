"""Published errors of forecasts, to be shown beside ours and never mixed with them.

Source: Wang, Sapra, George, Silva (2021), Generalizable Machine Learning in Neuroscience Using Graph Neural Networks,
Frontiers in AI 4:618372 (arXiv 2010.08569): the error of 16-step roll-outs on the Kato worm left out, trained on the
other four. Persistence was measured for this project on the same features and with the same error.
"""

from wormjax.scoring.published import PAPER, PublishedResult

MEASURED = "measured for this project on that paper's features"
STEPS = (1, 4, 8, 16)
STUDY = "kato2015"

NOTE = (
    "† Mean absolute error over the features of Wang et al. (2021), each scaled to [-1, 1] by its own minimum and "
    "maximum; one of the two, the source's derivative, sees the future. Five Kato worms, each left out in turn."
)

# (source, model, number of training worms) → mean absolute error after 1, 4, 8 and 16 steps.
ERRORS: dict[tuple[str, str, int], tuple[float, float, float, float]] = {
    (PAPER, "GNN", 4): (0.030, 0.079, 0.137, 0.270),
    (PAPER, "MLP", 4): (0.034, 0.096, 0.192, 0.446),
    (MEASURED, "persistence", 0): (0.038, 0.083, 0.135, 0.208),
}


def find_published_forecasts(study: str, test_study: str, scaling: str) -> tuple[PublishedResult, ...]:
    """The published errors for models trained on `study`, tested on unseen worms of `test_study`; () if none.

    Metrics are mae@1, mae@4, mae@8 and mae@16; no standard deviation is reported. Persistence has no training worm.

    Args:
      study, test_study: the studies trained and tested on; only Kato 2015 within itself is published.
      scaling: how ours are scaled; errors of other scalings than "minmax" cannot stand beside these.
    """
    if (study, test_study, scaling) != (STUDY, STUDY, "minmax"):
        return ()
    return tuple(
        PublishedResult(source, model, study, test_study, count, f"mae@{step}", error, None)
        for (source, model, count), errors in ERRORS.items()
        for step, error in zip(STEPS, errors, strict=True)
    )
