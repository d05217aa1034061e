"""Tables of the state ahead: the best simple baseline, differences paired by worm, reach, and what is written."""

import pytest

from wormjax.scoring.intervals import Interval
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import WORMS as OVER_WORMS
from wormjax.scoring.tables import Form, collect_tables, format_console, format_sections
from wormjax.tasks.ahead import tables

SECONDS = (1.0, 2.0, 5.0)
SIMPLE = ("frequencies", "persistence", "persistence_known_state")
BASELINES = (*SIMPLE, "diffusion_map")
WORMS = ("w1", "w2", "w3")
FORM = Form(BASELINES, spread=OVER_WORMS)


def make_rows(model, metric, by_worm, train=("a", "b"), seed=0):
    return [Row(model, "s", train, "s", worm, seed, metric, value) for worm, value in zip(WORMS, by_worm, strict=False)]


@pytest.fixture(scope="module")
def rows():
    """Three worms' nll: persistence is the best simple baseline at first, frequencies later; the network beats both."""
    return [
        *make_rows("frequencies", "nll@1s", (1.0, 1.1, 1.2)),
        *make_rows("frequencies", "nll@2s", (1.0, 1.1, 1.2)),
        *make_rows("frequencies", "nll@5s", (1.0, 1.1, 1.2)),
        *make_rows("persistence", "nll@1s", (0.5, 0.6, 0.7)),
        *make_rows("persistence", "nll@2s", (0.9, 1.0, 1.7)),
        *make_rows("persistence", "nll@5s", (1.4, 1.5, 1.6)),
        *make_rows("network", "nll@1s", (0.3, 0.41, 0.49)),
        *make_rows("network", "nll@2s", (0.8, 1.2, 1.0)),
        *make_rows("network", "nll@5s", (1.1, 1.2, 1.3)),
        *make_rows("diffusion_map", "nll@1s", (0.6, 0.6, 0.6)),
        *make_rows("network", "reversal_error", (4.0, 5.0, 6.0)),
        *make_rows("frequencies", "reversal_error", (3.0, 3.0, 3.0)),
        *make_rows("persistence_known_state", "nll@1s", (0.1, 0.1, 0.1)),
        *make_rows("network_known_state", "nll@1s", (0.05, 0.04, 0.03)),
        *make_rows("network", "nll@1s", (9.0, 9.0, 9.0), train=("a",)),
    ]


def collect(rows):
    return collect_tables(rows, part=lambda row: tables.GIVEN if row.model.endswith("_known_state") else tables.ALONE)


@pytest.fixture(scope="module")
def collected(rows):
    return collect(rows)


@pytest.fixture(scope="module")
def table(collected):
    return next(one for one in collected if one.train_count == 2 and one.part == tables.ALONE)


def test_a_table_holds_one_number_of_training_worms_and_one_state_of_knowledge(collected, table):
    assert [(one.train_count, one.part == tables.GIVEN) for one in collected] == [(1, False), (2, False), (2, True)]
    assert table.list_models() == ["frequencies", "persistence", "network", "diffusion_map"]
    assert collected[2].list_models() == ["persistence_known_state", "network_known_state"]
    assert len(table.find("nll@1s", "network")) == 3
    assert len({one.describe() for one in collected}) == 3
    assert "given the motor state" in collected[2].describe()
    assert "1 worm," in collected[0].describe()


def test_the_best_simple_baseline_is_chosen_at_each_horizon(table):
    chosen = [table.find_best(f"nll@{one:g}s", SIMPLE, OVER_WORMS) for one in SECONDS]
    assert chosen == ["persistence", "frequencies", "frequencies"]
    higher = table._replace(rows={"accuracy@1s": table.rows["nll@1s"]})
    assert higher.find_best("accuracy@1s", SIMPLE, OVER_WORMS) == "frequencies"
    assert table.find_best("nll@30s", SIMPLE, OVER_WORMS) is None
    assert table.find_best("nll@1s", ("diffusion_map",), OVER_WORMS) == "diffusion_map"


def test_the_best_is_the_best_in_the_mean_over_worms():
    often = [row._replace(seed=seed) for seed in (0, 1, 2) for row in make_rows("persistence", "nll@1s", (0.1,))]
    rare = make_rows("persistence", "nll@1s", (0.1, 1.0))[1:]  # 0.33 in the mean over rows, 0.55 over worms.
    rows = [*often, *rare, *make_rows("frequencies", "nll@1s", (0.4, 0.4))]
    (table,) = collect(rows)
    assert table.find_best("nll@1s", SIMPLE, OVER_WORMS) == "frequencies"
    assert table.find_best("nll@1s", SIMPLE) == "persistence"  # In the mean over rows.


def test_differences_are_paired_by_worm(table):
    one = table.compare("nll@1s", "network", "persistence")
    assert one.mean == pytest.approx(-0.2)
    assert one.worms == 3
    # The differences -0.2, -0.19 and -0.21 are all but equal, though the worms are not: the interval is theirs.
    assert one.high - one.low == pytest.approx(2 * 4.302653 * 0.01 / 3**0.5, rel=1e-4)
    assert table.compare("nll@1s", "network", None) is None
    assert table.compare("nll@2s", "diffusion_map", "frequencies") is None


def test_the_reach_ends_at_the_first_horizon_that_is_not_better():
    sure, likely, worse = Interval(-0.2, -0.3, -0.1, 3), Interval(-0.2, -0.5, 0.1, 3), Interval(0.1, -0.1, 0.3, 3)
    alone = Interval(-0.2, None, None, 1)
    for differences, reach in (
        ((sure, likely, sure), (5.0, 1.0)),
        ((sure, sure, worse), (2.0, 2.0)),
        ((worse, sure, sure), (0.0, 0.0)),
        ((likely, worse, sure), (1.0, 0.0)),
        ((alone, alone, None), (2.0, 0.0)),
        ((sure, sure, sure), (5.0, 5.0)),
    ):
        assert tables.find_reach(differences, SECONDS, lower=True) == reach
    assert tables.find_reach((worse, sure, sure), SECONDS, lower=False) == (1.0, 0.0)
    assert tables.find_reach((Interval(0.2, 0.1, 0.3, 3), sure, sure), SECONDS, lower=False) == (1.0, 1.0)


def test_values_by_worm_stay_with_their_worm_and_horizon(table):
    values = tables.collect_by_worm(table, "nll", SECONDS)
    assert values["network"].tolist() == [[0.3, 0.8, 1.1], [0.41, 1.2, 1.2], [0.49, 1.0, 1.3]]
    assert values["diffusion_map"][:, 0].tolist() == [0.6] * 3
    assert values["diffusion_map"][:, 1:].shape == (3, 2)
    assert (values["diffusion_map"][:, 1:] != values["diffusion_map"][:, 1:]).all()  # NaN.
    assert tables.collect_by_worm(table, "accuracy", SECONDS) == {}


def test_the_summary_holds_scores_differences_and_reach(collected):
    sections = tables.list_sections(collected, SECONDS, SIMPLE, ("diffusion_map",))
    lines = format_sections(sections, FORM)
    heads = [line for line in lines if line.startswith("## ")]
    assert len(heads) == 3
    part = lines[lines.index(heads[1]) : lines.index(heads[2])]
    spread = "[0.852, 1.348]"
    assert "| network | 3 / 3 | **0.400** [0.163, 0.637] | **1.000** [0.503, 1.497] | 1.200 [0.952, 1.448] |" in part
    assert f"| *frequencies* | 3 / 3 | 1.100 {spread} | 1.100 {spread} | **1.100** {spread} |" in part
    assert r"| *diffusion\_map* | 3 / 3 | 0.600 [0.600, 0.600] |  |  |" in part
    simple = lines[lines.index("#### Against the best simple baseline") :]
    assert "| model | 1 s | 2 s | 5 s | better up to |" in simple
    assert "| *best simple baseline* | *persistence* | *frequencies* | *frequencies* |  |" in simple
    (against,) = [line for line in part if line.startswith("| network | -0.200 [-0.225, -0.175] (3 worms) | -0.100 [")]
    assert against.endswith("| 2 s (1 s) |")
    assert r"#### Against *diffusion\_map*" in part
    assert "| network | -0.200 [-0.437, +0.037] (3 worms) |  |  |" in part  # One horizon was scored.
    reversal = part[part.index("### The next reversal") :]
    assert any(line.startswith("| network | 3 / 3 |") and "5.000 [2.516, 7.484]" in line for line in reversal)
    known = lines[lines.index(heads[2]) :]
    assert r"| network\_known\_state | 3 / 3 | **0.040** [0.015, 0.065] |  |  |" in known
    assert not [line for line in known if "diffusion" in line]


def test_without_a_simple_baseline_nothing_is_compared_to_it():
    rows = [row for one in SECONDS for row in make_rows("network", f"nll@{one:g}s", (1.0, 1.1, 1.2))]
    collected = collect(rows)
    text = "\n".join(format_sections(tables.list_sections(collected, SECONDS, SIMPLE, ()), FORM))
    assert "| network | 3 / 3 | 1.100 [0.852, 1.348] | 1.100 [" in text
    assert "Against" not in text


def test_the_terminal_shows_the_largest_number_of_training_worms(collected):
    text = "\n".join(format_console(tables.list_sections(collected, SECONDS, SIMPLE, ())[1:], FORM))
    assert "0.400  1.000  1.200" in text
    assert "9.000" not in text
    assert "* persistence_known_state" in text
    assert "0.100" in text
