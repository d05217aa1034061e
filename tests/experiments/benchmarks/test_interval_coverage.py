"""Reported 95 % intervals hold the truth about as often as they say, on simulated worms that share training worms."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from experiments.benchmarks import interval_coverage as coverage
from experiments.benchmarks.interval_coverage import JACKKNIFE, STUDENT, Design, measure_design, measure_systems
from wormjax.baselines import vector_autoregression
from wormjax.scoring.intervals import (
    Scores,
    difference_over_worms,
    interval_over_rows,
    interval_over_splits,
    interval_over_worms,
)
from wormjax.scoring.rows import Row

WORMS = "abcde"


def make_rows(values, count, study="s", test_study="s", model="m", test_worms=WORMS, seed=0):
    """A row for every subset of `count` worms and every test worm; `values` is a function of both."""
    return [
        Row(model, study, train, test_study, worm, seed, "score", values(train, worm))
        for train in itertools.combinations(WORMS, count)
        for worm in test_worms
        if study != test_study or worm not in train
    ]


def draw_values(seed=0, trains=1.0, tests=1.0):
    """Scores that are a training worms' part and a test worm's part."""
    random = np.random.default_rng(seed)
    as_trainer, as_test = trains * random.normal(size=5), tests * random.normal(size=5)
    return lambda train, worm: as_test[WORMS.index(worm)] + np.mean([as_trainer[WORMS.index(one)] for one in train])


def jackknife_plainly(rows):
    """By the definition: the mean over worms again without every row of each worm."""

    def mean(rows):
        by_worm = {worm: [row.value for row in rows if row.test_worm == worm] for worm in WORMS}
        return np.mean([np.mean(values) for values in by_worm.values() if values])

    left_out = [mean([row for row in rows if worm not in (*row.train_worms, row.test_worm)]) for worm in WORMS]
    half = stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * ((left_out - np.mean(left_out)) ** 2).sum())
    return mean(rows) - half, mean(rows) + half


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_jackknife_is_by_its_definition(count):
    rows = make_rows(draw_values(), count)
    interval = interval_over_rows(rows)
    assert interval[1:3] == pytest.approx(jackknife_plainly(rows))
    assert interval.worms == 5


def test_where_training_worms_make_no_difference_it_is_students_t_of_the_test_worms():
    rows = make_rows(draw_values(trains=0.0), 2)
    averages = [row.value for row in rows if row.train_worms == ("a", "b")] + [
        row.value for row in rows if row.train_worms == ("c", "d") and row.test_worm in "ab"
    ]
    assert interval_over_rows(rows) == pytest.approx(interval_over_worms(np.array(averages)))


def test_where_test_worms_make_no_difference_students_t_is_too_narrow():
    rows = make_rows(draw_values(tests=0.0), 1)
    by_worm = [np.mean([row.value for row in rows if row.test_worm == worm]) for worm in WORMS]
    interval, plain = interval_over_rows(rows), interval_over_worms(np.array(by_worm))
    assert interval.high - interval.low > 2 * (plain.high - plain.low)


def test_leave_one_worm_out_needs_the_subsets_of_one_worm_fewer():
    rows, smaller = make_rows(draw_values(), 4), make_rows(draw_values(), 3)
    by_worm = np.array([row.value for row in sorted(rows, key=lambda row: row.test_worm)])
    assert interval_over_rows(rows) == pytest.approx(interval_over_worms(by_worm))
    low, high = jackknife_plainly(smaller)
    interval = interval_over_rows(rows, smaller)
    assert interval.mean == pytest.approx(by_worm.mean())
    assert interval.high - interval.low == pytest.approx(high - low)
    incomplete = [row for row in smaller if row.train_worms != ("a", "b", "c")]
    assert interval_over_rows(rows, incomplete) == pytest.approx(interval_over_worms(by_worm))


def test_it_is_never_narrower_than_students_t():
    for seed in range(50):
        rows = make_rows(draw_values(seed), 2)
        by_worm = [np.mean([row.value for row in rows if row.test_worm == worm]) for worm in WORMS]
        plain, interval = interval_over_worms(np.array(by_worm)), interval_over_rows(rows)
        assert interval.high - interval.low >= plain.high - plain.low - 1e-12


def test_across_studies_the_training_worms_add_their_variance():
    random = np.random.default_rng(0)
    trained, tested = 3 * random.normal(size=5), random.normal(size=4)
    value = lambda train, worm: tested["wxyz".index(worm)] + np.mean([trained[WORMS.index(t)] for t in train])  # noqa: E731
    interval = interval_over_rows(make_rows(value, 2, test_study="t", test_worms="wxyz"))
    parts = trained.var(ddof=1) / 5, tested.var(ddof=1) / 4  # An additive score: the jackknife is exact.
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 3)
    assert interval.high - interval.mean == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts)))


def test_a_single_training_set_leaves_students_t():
    rows = make_rows(draw_values(), 5, test_study="t")
    assert interval_over_rows(rows) == pytest.approx(interval_over_worms(np.array([row.value for row in rows])))


def test_a_difference_knows_of_shared_training_worms_too():
    ours, theirs = make_rows(draw_values(0), 2), make_rows(lambda *_: 0.5, 2, model="n")
    found = difference_over_worms(ours, theirs)
    assert found.high - found.low == pytest.approx(interval_over_rows(ours).high - interval_over_rows(ours).low)
    ours, theirs, fewer = (
        make_rows(draw_values(0), 4),
        make_rows(lambda *_: 0.5, 4, model="n"),
        make_rows(draw_values(0), 3),
    )
    found = difference_over_worms(ours, theirs, smaller=(fewer, make_rows(lambda *_: 0.5, 3, model="n")))
    expected = interval_over_rows(ours, fewer)
    assert found[1:3] == pytest.approx((expected.low - 0.5, expected.high - 0.5))


def test_rows_and_arrays_give_the_same():
    rows, names = make_rows(draw_values(3), 2), list(WORMS)
    splits = sorted({row.train_worms for row in rows})
    values, trained = np.full((10, 5), np.nan), np.zeros((10, 5), bool)
    for row in rows:
        values[splits.index(row.train_worms), names.index(row.test_worm)] = row.value
    for number, split in enumerate(splits):
        trained[number, [names.index(worm) for worm in split]] = True
    assert interval_over_splits(Scores(values, trained)) == pytest.approx(interval_over_rows(rows))


def test_decoders_of_all_studies_at_once_are_those_of_scikit_learn():
    plan = coverage.plan_splits(Design("subsets", 3, 2))
    scores = coverage.score_decoders(plan, 2, np.random.default_rng(4))["balanced accuracy"]
    features, states = coverage.simulate_decodable(2, 3, np.random.default_rng(4))
    for study, split in itertools.product(range(2), range(len(plan.trained))):
        train, (test,) = np.flatnonzero(plan.trained[split]), np.flatnonzero(plan.tested[split])
        model = LinearDiscriminantAnalysis(solver="lsqr")
        model.fit(features[study, train].reshape(-1, coverage.CHANNELS), states[study, train].ravel())
        logits = model.decision_function(features[study, test]) - np.log(model.priors_)
        hit = logits.argmax(axis=1) == states[study, test]
        recall = [hit[states[study, test] == state].mean() for state in np.unique(states[study, test])]
        assert scores[study, split, test] == pytest.approx(np.mean(recall), abs=0.02)  # It has no ridge.


def test_forecasts_of_all_studies_at_once_are_those_of_the_baseline():
    plan = coverage.plan_splits(Design("leave_one_worm_out", 3, 2))
    found = coverage.score_forecasts(plan, 2, np.random.default_rng(5))
    worms = coverage.simulate_autoregressive(2, 3, np.random.default_rng(5))
    for study, split in itertools.product(range(2), np.flatnonzero(~plan.smaller)):
        train, (test,) = np.flatnonzero(plan.trained[split]), np.flatnonzero(plan.tested[split])
        operators = vector_autoregression.solve_products(
            vector_autoregression.sum_products([worms[study, worm] for worm in train], 1), 1e-9
        )
        values = worms[study, test]
        past = values[: -coverage.AHEAD, None]
        predicted = vector_autoregression.roll_out(operators[None], past, coverage.AHEAD)[:, -1]
        error = ((predicted - values[coverage.AHEAD :]) ** 2).mean()
        assert found["forecast MSE"][study, split, test] == pytest.approx(error, rel=2e-3)
        static = ((values[coverage.AHEAD :] - values[: -coverage.AHEAD]) ** 2).mean()
        assert found["forecast skill"][study, split, test] == pytest.approx(1 - error / static, abs=2e-3)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    known, found = random.random(40) < 0.4, random.integers(0, 9, 40)  # With ties.
    assert coverage.measure_auroc(known, found) == pytest.approx(roc_auc_score(known, found))


# The limits lie four standard deviations of a share of STUDIES below the coverage that 1000 studies gave.
STUDIES = 200
MEASURED = {
    Design("leave_one_worm_out", 5, 4): {"balanced accuracy": 0.979, "forecast MSE, paired difference": 0.971},
    Design("subsets", 5, 1): {"balanced accuracy": 0.972, "forecast skill": 0.934},
    Design("cross_study", 5, 2): {"balanced accuracy, paired difference": 0.980, "forecast skill": 0.922},
}


def assert_covers(row, expected):
    assert row.covered > expected - 4 * np.sqrt(expected * (1 - expected) / row.studies), row


@pytest.mark.parametrize("design", MEASURED)
def test_intervals_over_worms_hold_the_truth(design):
    rows = {(row.metric, row.kind): row for row in measure_design(design, STUDIES, seed=1)}
    for metric, expected in MEASURED[design].items():
        assert_covers(rows[metric, JACKKNIFE], expected)
        assert rows[metric, JACKKNIFE].covered >= rows[metric, STUDENT].covered
    if design.protocol == "subsets":  # The control: t alone, which does not see that training worms are shared.
        assert rows["balanced accuracy", STUDENT].high < 0.92
    assert all(row.studies == STUDIES and row.low <= row.covered <= row.high for row in rows.values())


def test_intervals_over_groups_of_systems_hold_the_truth():
    for row in measure_systems([30], STUDIES, seed=1):
        assert_covers(row, 0.95)
        assert 0.6 < row.truth < 0.85


def test_an_interval_that_is_half_as_wide_does_not_hold_it():
    plan = coverage.plan_splits(Design("subsets", 5, 1))
    values = coverage.average_worms(coverage.score_forecasts(plan, STUDIES, np.random.default_rng(0))["forecast skill"])
    intervals = [interval_over_worms(one) for one in values]
    halved = [one._replace(low=(one.mean + one.low) / 2, high=(one.mean + one.high) / 2) for one in intervals]
    row = coverage.measure_coverage("", "", "", halved, float(values.mean()))
    assert row.high < 0.9


@pytest.mark.slow
def test_all_intervals_hold_the_truth_in_nine_of_ten_studies():
    for design in coverage.list_designs([4, 5, 10]):
        for row in measure_design(design, 600, seed=2):
            assert row.kind != JACKKNIFE or row.high > 0.9, row


def test_the_table_marks_what_lies_below_the_level():
    low = coverage.measure_coverage("few worms", "score", STUDENT, [interval_over_worms(np.arange(3.0))] * 30, 9.0)
    good = coverage.measure_coverage("few worms", "score", JACKKNIFE, [interval_over_worms(np.arange(3.0))] * 30, 1.0)
    line = coverage.format_table([low, good])[-1]
    assert line.startswith("| few worms | score | 9.000 | **0.000** [0.000, 0.116] | 4.968 | 1.000 [0.884, 1.000] |")
