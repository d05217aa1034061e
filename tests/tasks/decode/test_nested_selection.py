"""Settings are chosen for each held-out worm by the other worms' rows alone, and its own rows come out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wormjax.errors import InputError
from wormjax.scoring.rows import Row
from wormjax.tasks.decode.nested_selection import (
    CRITERION,
    check_criterion,
    format_choices,
    nest_rows,
    score_candidates,
)

WORMS = ("a", "b", "c", "d")
SETTINGS = ("dropout=0.1", "dropout=0.2", "dropout=0.3")
METRICS = ("accuracy", "balanced_accuracy", "nll")


def make_rows(value, worms=WORMS, models=("graph",), settings=SETTINGS, seeds=(0, 1), metrics=METRICS, sizes=None):
    """Rows of every subset, worm left out and seed; `value(settings, train_worms, test_worm, seed, metric)`."""
    return [
        Row(f"{model} [{setting}]", "s", train, "s", test, seed, metric, value(setting, train, test, seed, metric))
        for model in models
        for setting in settings
        for size in sizes or range(1, len(worms))
        for train in combinations(worms, size)
        for test in worms
        if test not in train
        for seed in seeds
        for metric in metrics
    ]


def make_random_rows(seed, **named):
    random = np.random.default_rng(seed)
    return make_rows(lambda *_: random.random(), **named)


def choose_settings(rows, criterion=CRITERION):
    """Model → {held-out worm: the candidate chosen for it}."""
    scores, choices = score_candidates(rows, criterion), {}
    for line in scores[scores.chosen & (scores.held_out != "")].itertuples():
        choices.setdefault(line.model, {})[line.held_out] = line.candidate
    return choices


def touches(row, worm):
    return worm == row.test_worm or worm in row.train_worms


def test_what_is_best_on_the_held_out_worm_alone_is_not_chosen_for_it():
    def value(setting, train, test, *_):
        if setting == "dropout=0.1":
            return 1.0 if test == "d" or "d" in train else 0.0  # Shines wherever worm d has a say.
        return 0.6 if setting == "dropout=0.3" else 0.5

    rows = make_rows(value)
    choices = choose_settings(rows, ("accuracy",))["graph"]
    assert choices["d"] == "graph [dropout=0.3]"
    assert set(choices) == set(WORMS)
    own = [row for row in nest_rows(rows, score_candidates(rows, ("accuracy",))) if row.test_worm == "d"]
    assert len(own) == 7 * 2 * len(METRICS)
    assert {row.value for row in own} == {0.6}  # And not the 1.0 that its own scores would have chosen.


def test_a_behavior_may_choose():
    rows = make_rows(lambda setting, *_: float(setting == "dropout=0.2"), metrics=("auroc", "velocity_r"))
    assert set(choose_settings(rows, ("auroc", "velocity_r"))["graph"].values()) == {"graph [dropout=0.2]"}


def test_all_worms_choose_what_is_shipped():
    def value(setting, train, test, *_):
        # Worst without worm d, by little; best with it, by much.
        if setting == "dropout=0.1":
            return 1.0 if test == "d" or "d" in train else 0.4
        return 0.5

    scores = score_candidates(make_rows(value))
    assert [*scores[scores.chosen & (scores.held_out == "")].candidate] == ["graph [dropout=0.1]"]
    assert choose_settings(make_rows(value))["graph"]["d"] == "graph [dropout=0.2]"


@given(st.integers(0, 2**32 - 1), st.sampled_from(WORMS), st.integers(0, 2**32 - 1))
def test_a_choice_depends_on_no_row_with_its_worm(seed, worm, other_seed):
    rows = make_random_rows(seed, seeds=(0,), metrics=("accuracy", "balanced_accuracy"))
    random = np.random.default_rng(other_seed)
    changed = [row._replace(value=10 * random.normal()) if touches(row, worm) else row for row in rows]
    assert choose_settings(changed)["graph"][worm] == choose_settings(rows)["graph"][worm]

    def score(rows, held_out=worm):
        scores = score_candidates(rows)
        return [*scores[scores.held_out == held_out].value]

    assert score(changed) == score(rows)
    # The same folds: all of them.
    np.testing.assert_allclose(score([row for row in rows if not touches(row, worm)], ""), score(rows))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(3, 5),
    st.sampled_from([("accuracy",), ("nll",), ("accuracy", "balanced_accuracy"), ("accuracy", "nll")]),
)
def test_choices_and_rows_equal_brute_force(seed, count, criterion):
    worms = WORMS[:count] if count < 5 else (*WORMS, "e")
    rows = make_random_rows(seed, worms=worms, models=("graph", "mlp"), settings=SETTINGS[:2])
    table = {(row.model, row.train_worms, row.test_worm, row.seed, row.metric): row.value for row in rows}
    expected_rows = []
    choices = choose_settings(rows, criterion)
    for model in ("graph", "mlp"):
        for worm in worms:
            rest = [name for name in worms if name != worm]
            totals = {}
            for setting in SETTINGS[:2]:
                by_metric = []
                for metric in criterion:
                    by_size = [
                        np.mean(
                            [
                                table[f"{model} [{setting}]", train, test, s, metric]
                                for train in combinations(rest, size)
                                for test in rest
                                if test not in train
                                for s in (0, 1)
                            ]
                        )
                        for size in range(1, len(rest))
                    ]
                    by_metric.append(np.mean(by_size) * (-1 if metric == "nll" else 1))
                totals[f"{model} [{setting}]"] = np.mean(by_metric)
            best = max(totals, key=totals.get)
            assert choices[model][worm] == best
            expected_rows += [
                row._replace(model=f"{model} (nested choice)")
                for row in rows
                if row.model == best and row.test_worm == worm
            ]
    assert sorted(nest_rows(rows, score_candidates(rows, criterion))) == sorted(expected_rows)


def test_each_number_of_training_worms_counts_alike():
    # Inner folds of a worm among four: six pairs by one training worm, three by two.
    def value(setting, train, *_):
        return {1: {"dropout=0.1": 0.5, "dropout=0.2": 0.6}, 2: {"dropout=0.1": 0.65, "dropout=0.2": 0.5}}.get(
            len(train), {"dropout=0.1": 0.0, "dropout=0.2": 0.0}
        )[setting]

    rows = make_rows(value, settings=SETTINGS[:2])
    assert set(choose_settings(rows)["graph"].values()) == {"graph [dropout=0.1]"}  # By pairs .567 would win over .55.
    scores = score_candidates(rows)
    np.testing.assert_allclose(scores[scores.held_out == "a"].value, [0.575, 0.55])


def test_the_first_of_equals_is_chosen_and_the_order_of_rows_within_does_not_matter():
    rows = make_rows(lambda *_: 0.5)
    assert set(choose_settings(rows)["graph"].values()) == {"graph [dropout=0.1]"}
    rows = make_random_rows(5)
    assert choose_settings(rows[::-1]) == choose_settings(rows)


def test_choices_are_printed():
    printed = format_choices(score_candidates(make_rows(lambda setting, *_: (SETTINGS.index(setting) + 1) / 4)))
    assert printed[1] == "  for a: graph [dropout=0.3] (0.7500)"
    assert printed[-1] == "  by all worms, for new recordings: graph [dropout=0.3] (0.7500)"
    assert len(printed) == 6


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ((), "criterion: found none, expected one or more of accuracy"),
        (("acuracy",), "criterion: found 'acuracy'"),
        (("nll", "nll"), "criterion: found 'nll,nll', expected each metric once"),
    ],
)
def test_a_criterion_that_cannot_decide_is_an_error(criterion, message):
    with pytest.raises(InputError, match=message):
        check_criterion(criterion)


def test_two_worms_or_no_inner_folds_are_an_error():
    with pytest.raises(InputError, match=r"found 2 held-out worms \(a, b\), expected 3 or more"):
        choose_settings(make_random_rows(0, worms=WORMS[:2]))
    with pytest.raises(InputError, match="found no accuracy without worm 'a', expected subsets of the other worms"):
        choose_settings(make_random_rows(0, sizes=(3,)))
    assert set(choose_settings(make_random_rows(0, worms=WORMS[:3]))["graph"]) == set("abc")
