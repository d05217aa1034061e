"""The numbers of the forecast tables are those computed by hand; comparisons are paired and name their reference."""

import re

import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.published import find_published_forecasts
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import collect_tables
from wormjax.tasks.forecast.tables import (
    RIDGE_VAR,
    format_forecast_summary,
    relative_difference,
    write_forecast_summary,
)

WORMS = ("a", "b", "c")
BASELINES = ("persistence", "mean", "var_1", "var_8", "var_adapted")
TWINS = {"nri_graph": ("recurrent",)}


def make_rows(model, values, metric="mse@8", count=2):
    """One row a test worm and seed; values[worm, seed]; trained on `count` other worms."""
    rows = []
    for worm, seeds in zip(WORMS, values, strict=False):
        others = tuple(other for other in WORMS if other != worm)[:count]
        rows += [Row(model, "s", others, "s", worm, seed, metric, float(value)) for seed, value in enumerate(seeds)]
    return rows


GRAPH = [[0.10, 0.12], [0.20, 0.22], [0.30, 0.38]]  # Worms: 0.11, 0.21, 0.34.
TWIN = [[0.12], [0.22], [0.35]]
FIRST = [[0.20], [0.30], [0.40]]  # Mean 0.3.
EIGHTH = [[0.15], [0.25], [0.35]]  # Mean 0.25: the best at step 8.
DIFFERENCES = np.array([-0.04, -0.04, -0.01])  # Graph - var_8 by worm.
ROWS = [
    *make_rows("persistence", [[0.4], [0.5], [0.6]]),
    *make_rows("var_adapted", [[0.1], [0.2], [0.3]]),
    *make_rows("var_1", FIRST),
    *make_rows("var_8", EIGHTH),
    *make_rows("nri_graph", GRAPH),
    *make_rows("recurrent", TWIN),
    *make_rows("var_1", [[0.01], [0.02], [0.03]], "mse@1"),
    *make_rows("var_8", [[0.02], [0.03], [0.04]], "mse@1"),
    *make_rows("nri_graph", [[0.01], [0.02], [0.06]], "mse@1"),
]


def write(tmp_path, rows=ROWS, **options):
    write_forecast_summary(tmp_path / "summary.md", rows, BASELINES, **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.md"]
    return (tmp_path / "summary.md").read_text()


def read_table(text, title):
    """The cells of the first table after a title, by row name, in its order."""
    lines = iter(text[text.index(title) :].splitlines())
    table = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            break
    assert len({len(row) for row in table}) == 1
    return {row[0]: row[1:] for row in table}


def percents(differences, reference):
    """The text of a relative difference over worms."""
    mean, low, high = (100 * value / reference for value in interval_over_worms(differences)[:3])
    return f"{mean:+.1f} % [{low:+.1f} %, {high:+.1f} %] ({len(differences)} worms)"


def find_best_var(rows, metric="mse@8"):
    (table,) = collect_tables(rows)
    return table.find_best(metric, [*filter(RIDGE_VAR.fullmatch, table.list_models())])


def test_table_of_errors(tmp_path):
    text = write(tmp_path)
    assert "## s, worms never seen, trained on 2 worms" in text
    table = read_table(text, "### Mean squared error")
    assert table["model"] == ["numbers / worms", "step 1", "step 8"]
    # Models first, then baselines; within each as they come, step 1 first.
    names = ["nri\\_graph", "recurrent", "*var\\_1*", "*var\\_8*", "*persistence*", "*var\\_adapted*"]
    assert [*table][2:] == names
    high = interval_over_worms(np.array([0.11, 0.21, 0.34])).high
    expected = f"0.220 ± {np.std(GRAPH, ddof=1):.3f} [0.000, {high:.3f}]"  # Mean of six: 1.32 / 6. No error is below 0.
    assert table["nri\\_graph"][0] == "3, 6 / 3"  # At step 1 and at step 8.
    assert table["nri\\_graph"][2] == expected
    assert table["*var\\_1*"][1].startswith("**0.0200** ± 0.0100 [")  # Three digits of an error.
    assert table["recurrent"][:2] == ["3 / 3", ""]
    assert table["*persistence*"][2].startswith("0.500 ± 0.100")


def test_the_score_has_its_interval(tmp_path):
    scores = np.array([0.1, 0.3, 0.5])
    text = write(tmp_path, ROWS + make_rows("nri_graph", scores[:, None], "score"))
    table = read_table(text, "### Score")
    assert table["model"][-1] == "score"
    low, high = interval_over_worms(scores)[1:3]
    assert table["nri\\_graph"][-1] == f"0.300 ± 0.200 [{low:.3f}, {high:.3f}]"
    assert "recurrent" not in table
    assert "score" not in read_table(text, "### Mean squared error")["model"]


def test_best_var_is_chosen_at_each_step(tmp_path):
    table = read_table(write(tmp_path), "### Against the best ridge VAR")
    assert table["*best ridge VAR*"] == ["*var\\_1*", "*var\\_8*"]
    assert table["nri\\_graph"] == [percents(np.array([0, 0, 0.03]), 0.02), percents(DIFFERENCES, 0.25)]
    assert table["nri\\_graph"][1].startswith("-12.0 % [")  # -0.03 over 0.25.
    assert table["recurrent"][0] == ""
    assert [*table] == ["model", "---", "*best ridge VAR*", "nri\\_graph", "recurrent"]


def test_adapted_var_and_twins(tmp_path):
    text = write(tmp_path, twins=TWINS | {"nri_mixture": ("recurrent",)})
    adapted = read_table(text, "#### Against *var\\_adapted*")
    assert adapted["nri\\_graph"] == ["", percents(np.array([0.01, 0.01, 0.04]), 0.2)]
    twins = read_table(text, "#### Against recurrent")
    assert [*twins] == ["model", "---", "nri\\_graph"]
    assert twins["nri\\_graph"] == ["", percents(np.array([-0.01, -0.01, -0.01]), 0.69 / 3)]
    assert "Against recurrent" not in write(tmp_path)


def test_adapted_var_is_never_the_best_ridge_var():
    adapted = make_rows("var_adapted", [[0.1]])
    assert find_best_var(adapted + make_rows("var_4", [[0.2]])) == "var_4"
    assert find_best_var(adapted) is None


def test_a_var_scored_on_fewer_worms_is_no_reference():
    rows = make_rows("var_1", FIRST) + make_rows("var_2", FIRST[:2])
    assert find_best_var(rows) == "var_1"  # Though the mean of var_2 is lower.


def test_relative_difference_is_paired():
    ours, theirs = make_rows("nri_graph", GRAPH[:2]), make_rows("var_8", EIGHTH)
    found = relative_difference(ours, theirs)  # Worm c is left out of the reference too.
    assert found.mean == pytest.approx(100 * -0.04 / 0.2)
    assert found.worms == 2
    # Other training worms are no pair, though the test worms are the same.
    assert relative_difference(make_rows("nri_graph", GRAPH, count=1), theirs) is None
    assert relative_difference(ours, make_rows("var_8", [[0.0]] * 3)) is None


def test_one_worm_has_no_interval(tmp_path):
    rows = [row for row in ROWS if row.test_worm == "a"]
    text = write(tmp_path, rows)
    assert read_table(text, "### Mean squared error")["*var\\_8*"] == ["1 / 1", "0.0200", "0.150"]
    assert read_table(text, "### Against the best ridge VAR")["nri\\_graph"] == ["+0.0 % (1 worm)", "-26.7 % (1 worm)"]


def test_no_var_no_comparison(tmp_path):
    text = write(tmp_path, make_rows("mlp", TWIN))
    assert "Against" not in text
    assert read_table(text, "### Mean squared error")["mlp"][1].startswith("0.230 ± ")


def test_baselines_alone_and_steps_between_have_no_empty_tables(tmp_path):
    assert "Against" not in write(tmp_path, ROWS[:12])
    assert "###" not in write(tmp_path, make_rows("mlp", TWIN, "mse@7"))


def test_other_metrics_have_tables_of_their_own(tmp_path):
    rows = ROWS + make_rows("nri_graph", [[0.90], [0.92], [0.94]], "coverage90@16")
    rows += make_rows("nri_graph", [[-0.5], [0.5], [1.5]], "nll@8")
    rows += make_rows("var_8", [[0.31], [0.2], [0.3]], "crps@8")
    text = write(tmp_path, rows)
    assert read_table(text, "### Coverage")["nri\\_graph"] == ["3 / 3", "0.920 ± 0.020 [0.870, 0.970]"]
    assert read_table(text, "### Coverage")["model"] == ["numbers / worms", "step 16"]
    assert read_table(text, "### Negative log-likelihood")["nri\\_graph"][1].startswith("0.500 ± 1.000 [")
    assert read_table(text, "### Continuous")["*var\\_8*"][1].startswith("0.270 ± 0.061 [")
    assert "### Mean absolute error" not in text


def test_tables_by_number_of_training_worms(tmp_path):
    fewer = make_rows("nri_graph", [[0.5], [0.6], [0.7]], count=1) + make_rows("var_8", EIGHTH, count=1)
    parts = make_rows("nri_graph", GRAPH, "mse@8:AVAL") + make_rows("nri_graph", GRAPH, "mse@8:AVAL", count=1)
    text = write(tmp_path, ROWS + fewer + parts, data_text="3 worms\n")
    assert text.index("trained on 1 worm\n") < text.index("trained on 2 worms\n")
    ones = read_table(text, "## s, worms never seen, trained on 1 worm")
    assert ones["nri\\_graph"][1].startswith("0.600 ± 0.100")
    assert read_table(text, "### Against the best")["nri\\_graph"] == [percents(np.array([0.35] * 3), 0.25)]
    assert text.count("### Where") == 1
    assert text.index("### Where") > text.index("trained on 2 worms\n")
    assert text.endswith("```\n3 worms\n```\n")


def test_where(tmp_path):
    rows = list(ROWS)
    for model, scale in (("nri_graph", 1.0), ("recurrent", 2.0), ("var_8", 3.0), ("var_1", 0.5), ("mlp", 0.1)):
        for part in ("AVAL", "dorsal turn", "REV1"):
            rows += make_rows(model, np.array(TWIN) * scale, f"mse@8:{part}")
    rows += make_rows("recurrent", TWIN[:1], "mse@16:AVAL") + make_rows("nri_graph", TWIN, "mse@4:AVAL")
    text = write(tmp_path, rows, twins=TWINS)
    neurons = read_table(text, "### Where: mean squared error by neuron")
    # The best VAR is that of step 8 over everything, var_8, though var_1 is lower at AVAL.
    heads = ["nri\\_graph, step 8", "recurrent, step 8", "*var\\_8*, step 8", "recurrent, step 16"]
    assert neurons["neuron"] == ["worms", *heads]
    assert neurons["AVAL"] == ["3", "**0.230**", "0.460", "0.690", "0.120"]
    states = read_table(text, "### Where: mean squared error by motor state")
    assert states["motor state at the start"] == ["worms", *heads[:3]]  # None has a state 16 steps after.
    assert states["dorsal turn"] == ["3", "**0.230**", "0.460", "0.690"]
    assert [*states][2:] == ["dorsal turn", "REV1"]
    assert [*neurons][2:] == ["AVAL"]


def test_published_errors():
    found = {(p.model, p.train_count, p.metric): p.mean for p in find_published_forecasts(*["kato2015"] * 2, "minmax")}
    assert len(found) == 12
    assert found["GNN", 4, "mae@16"] == 0.270
    assert found["MLP", 4, "mae@8"] == 0.192
    assert found["persistence", 0, "mae@1"] == 0.038
    assert find_published_forecasts("kato2015", "kato2015", "zscore") == ()
    assert find_published_forecasts("kato2015", "nichols2017", "minmax") == ()


def test_published_errors_in_the_table(tmp_path):
    rows = [
        row._replace(study="kato2015", test_study="kato2015", metric=metric)
        for row in make_rows("mlp", TWIN) + make_rows("mlp", TWIN, count=1)
        for metric in ("mae@8", "mse@8")
    ]
    published = find_published_forecasts("kato2015", "kato2015", "minmax")
    text = write(tmp_path, rows, published=published)
    one, two = text.split(", trained on 2 worms\n")
    table = read_table(two, "### Mean absolute error")  # No table has four training worms: they join the largest.
    assert table["model"] == ["numbers / worms", "step 1", "step 4", "step 8", "step 16"]
    assert table["GNN † (Wang et al. 2021, trained on 4)"] == ["", "0.0300 †", "0.0790 †", "0.137 †", "0.270 †"]
    assert table["mlp"][:3] == ["3 / 3", "", ""]
    assert table["mlp"][3].startswith("0.230 ± ")
    assert "GNN †" not in one
    assert "persistence †" in one
    assert "†" not in two[two.index("### Mean squared") : two.index("### Mean absolute")]
    assert "sees the future" in two
    assert "†" not in write(tmp_path, ROWS, published=published).split("## s")[1]


def test_worms_of_training_are_kept_apart(tmp_path):
    seen = [row._replace(train_worms=WORMS[:2]) for row in make_rows("nri_graph", [[9.0]])]
    text = write(tmp_path, ROWS + seen)
    assert read_table(text, "## s, other frames")["nri\\_graph"] == ["1 / 1", "9.00"]
    assert read_table(text, "## s, worms never seen")["nri\\_graph"][2].startswith("0.220")


def test_nothing_is_written_where_a_summary_fails(tmp_path):
    (tmp_path / "summary.md").write_text("old")
    with pytest.raises(AttributeError):
        write_forecast_summary(tmp_path / "summary.md", ROWS, BASELINES, published=[None])
    assert (tmp_path / "summary.md").read_text() == "old"
    with pytest.raises(InputError, match="no folder"):
        write_forecast_summary(tmp_path / "none" / "summary.md", ROWS, BASELINES)


def read_block(text):
    """The title of a table of the console, and its cells by row name; empty ones are left out."""
    title, *lines = text.split("\n")
    cells = [re.split(r"\s{2,}", line) for line in lines]
    return title, {name: texts for name, *texts in cells}


def test_console_by_hand():
    rows = ROWS + make_rows("nri_graph", [[0.90], [0.92], [0.94]], "coverage90@8")
    rows += make_rows("nri_graph", [[0.3], [0.35], [0.4]], "score")
    lines = format_forecast_summary(rows, BASELINES)
    assert lines[2:5] == ["s, worms never seen, trained on 2 worms", "", "Mean squared error"]
    tables = dict(map(read_block, "\n".join(lines[3:]).strip().split("\n\n")))
    sds = [np.std(values, ddof=1) for values in ([0.01, 0.02, 0.06], GRAPH)]
    errors = tables["Mean squared error"]
    assert errors["nri_graph"] == [f"0.0300 ± {sds[0]:.4f}", f"0.220 ± {sds[1]:.3f}"]
    assert errors["* persistence"] == ["0.500 ± 0.100"]
    assert [*errors][1:3] == ["nri_graph", "recurrent"]
    against = tables["Mean squared error, against the best ridge VAR"]
    assert against["best ridge VAR"] == ["* var_1", "* var_8"]
    assert against["nri_graph"] == ["+50.0 %", "-12.0 %"]
    assert tables["Coverage of the 90 % band (share of true values within)"]["nri_graph"] == ["0.920 ± 0.020"]
    assert tables["Score"]["nri_graph"] == ["0.350 ± 0.050"]


def test_console_shows_most_and_fewest_worms():
    rows = [row._replace(train_worms=tuple(f"w{k}" for k in range(n))) for n in (1, 2, 3) for row in ROWS[6:]]
    lines = format_forecast_summary(rows, BASELINES)
    titles = [line for line in lines if line.startswith("s, ")]
    assert titles == ["s, worms never seen, trained on 3 worms", "s, worms never seen, trained on 1 worm"]


def test_console_fits_100_columns():
    long = "a model with a very long name that goes on and on and on and on and on"
    values = np.array([[1.5e-7], [2.5e103], [1.0]])
    rows = [
        row._replace(study="a study of a very long name " * 3, test_study="another " * 6)
        for model, scale in ((long, 1e3), ("var_8", 1), ("persistence", 1))
        for metric in ("mse@1", "mse@4", "mse@8", "mse@16", "coverage90@8")
        for row in make_rows(model, values * scale, metric)
    ]
    lines = format_forecast_summary(rows, BASELINES)
    assert max(map(len, lines)) <= 100
    found = [line.split("…")[1].split() for line in lines if line.startswith("a model")]
    cells = [cell for line in found for cell in line]
    assert cells.count("8.3e+105") == 5
    assert cells.count("+99900.0") == 4
