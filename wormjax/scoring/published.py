"""Published numbers, to be shown beside ours and never mixed with them.

Source: Wang, Sapra, George, Silva (2021), Generalizable Machine Learning in Neuroscience Using Graph Neural Networks,
Frontiers in AI 4:618372 (arXiv 2010.08569): accuracy on unseen worms over four motor states, by the number of training
worms. Kato: five worms, 15 neurons; Nichols: trained on Kato, tested on N2 and npr-1 prelethargus, three neurons.
The second source is the authors' public code run again for this project on the same five Kato worms.
"""

from typing import NamedTuple

PAPER = "Wang et al. 2021"
RERUN = "authors' code, run again"


class PublishedResult(NamedTuple):
    """A number that others report, or that their code gives.

    Attributes:
      source: where the number is from.
      model: the model, in the paper's words.
      study, test_study: the studies trained and tested on.
      train_count: the number of training worms.
      metric: the metric's name, as in our rows.
      mean: the mean over training subsets and unseen worms.
      sd: the standard deviation over them, or None where none is reported.
    """

    source: str
    model: str
    study: str
    test_study: str
    train_count: int
    metric: str
    mean: float
    sd: float | None


def _list_accuracies(source, model, test_study, entries) -> tuple[PublishedResult, ...]:
    return tuple(
        PublishedResult(source, model, "kato2015", test_study, count, "accuracy", mean, sd)
        for count, mean, sd in entries
    )


FOUR_STATE_RESULTS: tuple[PublishedResult, ...] = (
    *_list_accuracies(
        PAPER, "GNN", "kato2015", [(1, 0.833, 0.113), (2, 0.838, 0.104), (3, 0.868, 0.085), (4, 0.874, 0.074)]
    ),
    *_list_accuracies(
        PAPER, "MLP", "kato2015", [(1, 0.765, 0.137), (2, 0.785, 0.140), (3, 0.802, 0.125), (4, 0.802, 0.165)]
    ),
    *_list_accuracies(
        PAPER,
        "GNN",
        "nichols2017",
        [(1, 0.705, None), (2, 0.694, None), (3, 0.726, None), (4, 0.715, None), (5, 0.718, None)],
    ),
    *_list_accuracies(
        PAPER,
        "MLP",
        "nichols2017",
        [(1, 0.717, None), (2, 0.705, None), (3, 0.728, None), (4, 0.692, None), (5, 0.691, None)],
    ),
    # 200 epochs in place of 800, h = 16.
    *_list_accuracies(RERUN, "GNN", "kato2015", [(1, 0.891, 0.032), (4, 0.926, 0.022)]),
    *_list_accuracies(
        RERUN, "MLP", "kato2015", [(1, 0.735, None), (2, 0.844, None), (3, 0.844, None), (4, 0.805, None)]
    ),
)


def find_published(study: str, test_study: str, state_set: str = "four") -> tuple[PublishedResult, ...]:
    """The published results for models trained on `study`, tested on unseen worms of `test_study`; () if none."""
    if state_set != "four":
        return ()
    return tuple(entry for entry in FOUR_STATE_RESULTS if (entry.study, entry.test_study) == (study, test_study))
