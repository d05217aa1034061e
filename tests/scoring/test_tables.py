"""The summary's numbers are those computed by hand, and its text says whose they are."""

import numpy as np
import pytest

from wormjax.scoring import tables
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.published import find_published
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import (
    SEEDS,
    Against,
    Column,
    Form,
    collect_tables,
    compare,
    format_summary,
    is_lower_better,
    print_means,
    summarise,
    tabulate,
    write_summary,
)

WORMS = ("a", "b", "c")


def make_rows(model, values, train_worms=None, metric="accuracy", study="kato2015"):
    """One row a test worm and seed; values[worm, seed]; trained on the worm before."""
    return [
        Row(model, study, train_worms or (WORMS[k - 1],), study, WORMS[k], seed, metric, float(value))
        for k, seeds in enumerate(values)
        for seed, value in enumerate(seeds)
    ]


OURS = [[0.90, 0.92], [0.80, 0.86], [0.95, 0.97]]
BASE = [[0.88], [0.84], [0.90]]
WEAK = [[0.50], [0.60], [0.70]]
ROWS = make_rows("weak", WEAK) + make_rows("GNN", OURS) + make_rows("LDA", BASE)
BASELINES = ("weak", "LDA")


def test_entries_by_hand():
    entries = {entry.model: entry for entry in summarise(ROWS, BASELINES).itertuples()}
    ours = entries["GNN"]
    assert ours.mean == pytest.approx(0.9)
    assert ours.sd == pytest.approx(np.std(OURS, ddof=1))
    assert (ours.n, ours.train_count, ours.worms) == (6, 1, 3)
    plain = interval_over_worms(np.array([0.91, 0.83, 0.96]))
    assert (ours.low, ours.high) == pytest.approx((plain.low, 1.0))  # No accuracy is above 1.
    (found,) = collect_tables(ROWS)
    assert found.find_best("accuracy", BASELINES) == "LDA"
    assert found.compare("accuracy", "GNN", "LDA") == pytest.approx(interval_over_worms(np.array([0.03, -0.01, 0.06])))
    assert found.compare("accuracy", "GNN", None) is None
    assert entries["LDA"].baseline
    assert list(entries) == ["GNN", "weak", "LDA"]  # Baselines last, otherwise as they come.


def test_the_best_baseline_of_a_loss_is_the_lowest():
    rows = [row._replace(metric="nll") for row in ROWS]
    (found,) = collect_tables(rows)
    assert found.find_best("nll", BASELINES) == "weak"
    assert found.find_best("nll", ()) is None


def test_a_single_number_has_no_spread():
    (entry,) = summarise(ROWS[:1]).itertuples()
    assert np.isnan([entry.sd, entry.low, entry.high]).all()


def test_entries_over_seeds_and_over_worms():
    (found,) = collect_tables(
        [*make_rows("GNN", OURS), Row("GNN", "kato2015", ("c",), "kato2015", "a", 2, "accuracy", 0.6)]
    )
    values = found.measure("accuracy", "GNN")
    assert (values.mean, values.n) == (pytest.approx(6.0 / 7), 7)  # Of all numbers.
    seeds = found.measure("accuracy", "GNN", SEEDS)
    by_seed = [np.mean([0.90, 0.80, 0.95]), np.mean([0.92, 0.86, 0.97]), 0.6]
    assert (seeds.sd, seeds.n) == (pytest.approx(np.std(by_seed, ddof=1)), 3)
    worms = found.measure("accuracy", "GNN", tables.WORMS)
    assert worms.mean == seeds.mean == pytest.approx(np.mean([2.42 / 3, 0.83, 0.96]))
    assert np.isnan(worms.sd)


def test_the_best_of_a_column_is_in_bold_and_no_bound_is():
    rows = [row._replace(model="given", value=1.0) for row in ROWS[:3]] + ROWS
    (found,) = collect_tables(rows)
    column = Column("accuracy", found, "accuracy")
    frame = tabulate([column], Form(BASELINES, bounds=("given",)))
    assert frame["accuracy"].str.startswith("**").to_dict() == {
        "given ‡": False,
        "GNN": True,
        "*weak*": False,
        "*LDA*": False,
    }
    assert "**" not in tabulate([column], Form(BASELINES, console=True)).to_string()
    assert "**" not in tabulate([column], Form(), models=["GNN"]).to_string()  # There is no other.


@pytest.mark.parametrize("metric", ["nll@1s", "mse@8:AVAL", "mse_best20@5", "distance@3", "reversal_error"])
def test_of_errors_the_lower_is_the_better(metric):
    assert is_lower_better(metric)
    assert not is_lower_better("accuracy@5s")


def test_coverage_has_no_best():
    (found,) = collect_tables([row._replace(metric="coverage90@8") for row in ROWS])
    assert "**" not in tabulate([Column("step 8", found, "coverage90@8")], Form()).to_string()


def test_differences_to_one_model_have_its_name_and_no_line_for_it():
    (found,) = collect_tables(ROWS)
    title, frame = compare([Column("1", found, "accuracy")], Form(BASELINES), Against(("weak",)))
    assert title == "*weak*"
    assert [*frame.index] == ["GNN"]
    low, high = interval_over_worms(np.array([0.41, 0.23, 0.26]))[1:3]
    assert frame.loc["GNN", "1"] == f"+0.300 [{low:+.3f}, {high:+.3f}] (3 worms)"
    _, frame = compare([Column("1", found, "accuracy")], Form(BASELINES), Against(("weak",), models=("LDA",)))
    assert [*frame.index] == ["*LDA*"]
    assert compare([Column("1", found, "accuracy")], Form(BASELINES), Against((), "baseline"))[1].empty


def test_seen_worms_are_kept_apart():
    seen = make_rows("GNN", [[1.0], [1.0], [1.0]], train_worms=WORMS)
    entries = list(summarise(ROWS + seen, BASELINES).itertuples())
    assert [entry.mean for entry in entries if entry.model == "GNN" and entry.setting.unseen] == [pytest.approx(0.9)]
    assert [entry.mean for entry in entries if not entry.setting.unseen] == [1.0]


def table(text, title):
    """The cells of the first table after a title, by row name."""
    lines = text[text.index(title) :].splitlines()
    lines = [line for line in lines if line.startswith("|")]
    rows = {}
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows.setdefault(name, cells)
    return rows


def test_markdown(tmp_path):
    path = tmp_path / "summary.md"
    write_summary(path, ROWS, BASELINES, "seed = 3", find_published("kato2015", "kato2015"))
    text = path.read_text()
    rows = table(text, "### Accuracy")
    counts = ["1 training worm", "2 training worms", "3 training worms", "4 training worms"]
    assert rows["model"] == ["numbers / worms", *counts]
    low = interval_over_worms(np.array([0.91, 0.83, 0.96])).low
    assert rows["GNN"][:2] == ["6 / 3", f"**0.900** ± {np.std(OURS, ddof=1):.3f} [{low:.3f}, 1.000]"]
    assert rows["GNN"][2:] == ["", "", ""]
    assert rows["*LDA*"][0] == "3 / 3"
    assert rows["*LDA*"][1].startswith("0.873 ± 0.031 [")
    assert rows["GNN † (Wang et al. 2021)"] == [
        "",
        "0.833 ± 0.113 †",
        "0.838 ± 0.104 †",
        "0.868 ± 0.085 †",
        "0.874 ± 0.074 †",
    ]
    differences = table(text, "Against the best baseline")
    assert differences["*best baseline*"] == ["*LDA*"]
    assert differences["GNN"][0].startswith("+0.027 [")
    assert differences["GNN"][0].endswith("] (3 worms)")
    assert text.rstrip().endswith("```\nseed = 3\n```")
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.md"]


def test_published_numbers_stay_with_their_study_and_metric(tmp_path):
    other = [row._replace(metric="nll") for row in ROWS] + make_rows("GNN", OURS, study="simulated")
    write_summary(tmp_path / "summary.md", other, BASELINES, published=find_published("kato2015", "kato2015"))
    assert "Wang et al. 2021" not in (tmp_path / "summary.md").read_text()


def test_console_table_fits_100_columns(capsys):
    rows = [
        Row(
            "a model with a very long name indeed",
            "nichols2017",
            tuple(f"w{k}" for k in range(count)),
            "dag2023",
            worm,
            s,
            m,
            0.9,
        )
        for count in range(1, 11)
        for worm in ("u", "v")
        for s in range(2)
        for m in ("accuracy", "auroc", "nll")
    ]
    print("\n".join(format_summary(rows, ["a model with a very long name indeed"])))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.count("0.900 ± 0.000") for line in lines) == 20  # Two metrics by ten numbers of worms.


def test_console_table_by_hand():
    lines = format_summary(ROWS, BASELINES)
    assert lines[:5] == [
        "Entries: mean ± s.d. over training subsets, worms and seeds; * baseline",
        "",
        "kato2015, worms never seen",
        "",
        "Accuracy",
    ]
    assert [line.split() for line in lines[5:]] == [
        ["1", "training", "worm"],
        ["GNN", "0.900", "±", f"{np.std(OURS, ddof=1):.3f}"],
        ["*", "weak", "0.600", "±", "0.100"],
        ["*", "LDA", "0.873", "±", "0.031"],
        [],
        ["Accuracy,", "against", "the", "best", "baseline"],
        ["1", "training", "worm"],
        ["best", "baseline", "*", "LDA"],
        ["GNN", "+0.027"],
    ]


def test_no_rows_give_no_table(tmp_path):
    write_summary(tmp_path / "summary.md", [], BASELINES)
    assert "|" not in (tmp_path / "summary.md").read_text()
    assert len(format_summary([], BASELINES)) == 1


def test_means_keep_their_digits_however_small(capsys):
    print_means([Row("nri", "walks", (), "walks", "a", 0, "mse@1", value) for value in (1.1e-6, 1.3e-6)])
    assert "1.2e-06" in capsys.readouterr().out
