"""The curve over training systems is made of the rows of each work directory, beside the published one."""

from types import SimpleNamespace

import pytest

from experiments.benchmarks.causal_discovery import main, tabulate
from wormjax.scoring.rows import Row, write_rows


def make_rows(value):
    groups = [("nri", "test-0", value - 0.1), ("nri", "test-1", value + 0.1), ("correlation", "test-0", 0.6)]
    rows = [
        Row(name, "kuramoto5", ("train",), "kuramoto5", group, 0, "edge_auroc", auroc) for name, group, auroc in groups
    ]
    return [*rows, rows[0]._replace(metric="edge_accuracy")]


def test_the_table_is_the_mean_over_groups_beside_the_published():
    table = tabulate({10: make_rows(0.7), 5_000: make_rows(0.9)})
    assert table.loc["nri"].tolist() == pytest.approx([0.7, 0.9])
    assert table.iloc[-1].tolist() == [0.55, 0.85]
    assert table.index[-1].startswith("ACD")


def test_what_is_trained_is_not_trained_again(tmp_path, capsys):
    for amount, value in ((10, 0.7), (100, 0.8)):
        (tmp_path / str(amount)).mkdir()
        write_rows(tmp_path / str(amount) / "results.csv", make_rows(value))
    main(SimpleNamespace(folder=tmp_path, amounts=["10", "100"]))
    assert "0.61" in capsys.readouterr().out
    assert (tmp_path / "edge_auroc.png").stat().st_size > 10_000
