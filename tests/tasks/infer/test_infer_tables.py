"""The summary's numbers are those computed by hand, in the order and with the marks that its text tells."""

import numpy as np
import pytest

from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.published import find_published_directions, find_published_systems
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import SEEDS, summarise
from wormjax.tasks.infer.tables import format_systems_summary, write_systems_summary


def make_rows(model, values, metric="edge_accuracy", study="springs5"):
    """One row a seed and group of test systems; values[seed, group]."""
    return [
        Row(model, study, ("train",), study, f"test-{group}", seed, metric, float(value))
        for seed, groups in enumerate(values)
        for group, value in enumerate(groups)
    ]


OURS = [[0.99, 0.97, 0.98], [0.95, 0.93, 0.97]]
ERRORS = [[3.0e-8, 3.4e-8, 3.2e-8], [2.0e-8, 2.4e-8, 2.2e-8]]
ROWS = [
    *make_rows("granger", [[0.6, 0.7, 0.8]]),
    *make_rows("static", [[7e-5, 8e-5, 9e-5]], "mse@1"),
    *make_rows("nri_true_graph", [[1e-8, 2e-8, 3e-8]], "mse@1"),
    *make_rows("lstm", [[0.02, 0.02, 0.02]], "mse@20"),
    *make_rows("nri_cnn", [[0.5, 0.5, 0.5]]),
    *make_rows("nri", ERRORS, "mse@1"),
    *make_rows("nri", [[3e-6] * 3], "mse@10"),
    *make_rows("nri", OURS),
    *make_rows("nri_supervised", [[1.0, 0.99, 1.0]]),
]


def read_table(text, title):
    """The cells of the table after a title, by row name, in its order."""
    lines = [line for line in text[text.index(title) :].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(row) for row in cells}) == 1
    return {row[0]: row[1:] for row in cells}


def test_entries_by_hand():
    entries = {(entry.model, entry.metric): entry for entry in summarise(ROWS, spread=SEEDS).itertuples()}
    ours = entries["nri", "edge_accuracy"]
    assert (ours.mean, ours.low, ours.high) == pytest.approx(interval_over_worms(np.array([0.97, 0.95, 0.975]))[:3])
    assert ours.sd == pytest.approx(np.std([0.98, 0.95], ddof=1))  # Of the seeds' means, not of all six numbers.
    assert (ours.n, ours.worms) == (2, 3)  # Seeds and groups.
    assert np.isnan(entries["granger", "edge_accuracy"].sd)


def test_markdown(tmp_path):
    path = tmp_path / "summary.md"
    write_systems_summary(path, ROWS, find_published_systems("springs5"))
    text = path.read_text()
    table = read_table(text, "## springs5")
    assert table["model"] == ["seeds / groups of test systems", "Edge accuracy", "MSE @ 1", "MSE @ 10", "MSE @ 20"]
    names = ["nri\\_cnn", "nri", "nri\\_supervised ‡", "nri\\_true\\_graph ‡", "*granger*", "*static*", "*lstm*"]
    published = ["NRI †", "NRI, supervised †", "correlation of LSTM states †", "LSTM, joint †", "static †"]
    assert [*table][2:] == names + [f"{name} (Kipf, Fetaya et al. 2018)" for name in published]
    low, high = interval_over_worms(np.array([0.97, 0.95, 0.975]))[1:3]
    assert table["nri"][:2] == ["2, 2, 1 / 3", f"**0.965** ± 0.021 [{low:.3f}, {high:.3f}]"]
    # Groups .2e-8 either side of 2.7e-8; Student's t of two degrees of freedom is 4.303.
    half = 4.303 * 0.2e-8 / np.sqrt(3)
    low, high = (f"{bound:.1e}".replace("e-0", "e-") for bound in (2.7e-8 - half, 2.7e-8 + half))
    assert table["nri"][2] == f"**2.7e-8** ± 7.1e-9 [{low}, {high}]"
    assert table["*static*"][:2] == ["1 / 3", ""]
    assert table["NRI † (Kipf, Fetaya et al. 2018)"] == ["", "0.999 †", "3.1e-8 †", "3.3e-6 †", "2.1e-5 †"]
    assert table["static † (Kipf, Fetaya et al. 2018)"] == ["", "", "7.9e-5 †", "7.6e-3 †", "2.8e-2 †"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.md"]


def test_one_seed_and_one_group_have_neither_spread_nor_interval(tmp_path):
    write_systems_summary(tmp_path / "summary.md", make_rows("nri", [[0.75]]))
    text = (tmp_path / "summary.md").read_text()
    assert read_table(text, "## springs5")["nri"] == ["1 / 1", "0.750"]
    assert "## Config" not in text


def test_published_numbers_stay_with_their_system_and_metric(tmp_path):
    rows = make_rows("nri", OURS, study="charged5") + make_rows("nri", OURS, "auroc")
    write_systems_summary(tmp_path / "summary.md", rows, published=find_published_systems("springs5"))
    assert "Kipf" not in (tmp_path / "summary.md").read_text()


def test_systems_are_tables_apart(tmp_path):
    rows = make_rows("nri", OURS) + make_rows("nri", [[0.5, 0.5]], study="kuramoto10")
    write_systems_summary(tmp_path / "summary.md", rows)
    text = (tmp_path / "summary.md").read_text()
    assert read_table(text, "## kuramoto10")["nri"] == ["1 / 2", "0.500 [0.500, 0.500]"]


def test_published_systems():
    charged = {(r.model, r.metric): r.mean for r in find_published_systems("charged5")}
    assert charged["NRI", "edge_accuracy"] == 0.821
    assert charged["NRI", "mse@20"] == 7.1e-3
    assert len(find_published_systems("kuramoto10")) == 1
    assert find_published_systems("worms") == ()
    assert find_published_systems("springs5", edge_types=3) == ()
    assert [(r.metric, r.train_count, r.mean) for r in find_published_directions("kuramoto5")][-1] == (
        "edge_auroc",
        50_000,
        0.95,
    )
    assert [r.mean for r in find_published_directions("sim3-15")] == [0.688]
    assert find_published_directions("springs5") == ()


def test_console_table_fits_100_columns(capsys):
    names = ("nri", "nri_supervised", "partial_correlation", "a model with a very long name that goes on", "lstm")
    metrics = ("edge_accuracy", "edge_auroc", "direction_auroc", "calibration_error", "nll", "mse@1", "mse@10")
    rows = [
        row
        for name in names
        for metric in (*metrics, "mse@20", "mse@40", "mse@50")
        for row in make_rows(name, [[2.5e-8, 2.5e-8], [1.5e-8, 1.5e-8]], metric, "a system of a long name " * 5)
    ]
    print("\n".join(format_systems_summary(rows)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.count("2.0e-8 ± 7.1e-9") for line in lines) == len(names) * 5
    assert [line.split()[0] for line in lines[4:9]] == ["nri", "a", "‡", "*", "*"]


def test_console_table_by_hand():
    lines = format_systems_summary(ROWS)
    assert lines[2] == "springs5"
    assert lines[3].split() == "Edge accuracy MSE @ 1 MSE @ 10 MSE @ 20".split()
    assert lines[5].split() == ["nri", "0.965", "±", "0.021", "2.7e-8", "±", "7.1e-9", "3.0e-6"]
    assert lines[7].split() == ["‡", "nri_true_graph", "2.0e-8"]


def test_no_rows_give_no_table(tmp_path):
    write_systems_summary(tmp_path / "summary.md", [])
    assert "|" not in (tmp_path / "summary.md").read_text()
    assert "Nothing is scored" in (tmp_path / "summary.md").read_text()
    assert len(format_systems_summary([])) == 1
