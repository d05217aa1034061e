"""Curves: rows as they were written, and none twice after a resume."""

import pandas as pd

from wormjax.training.curves import append_curves, cut_curves


def test_rows_come_back(tmp_path):
    path = tmp_path / "curves.csv"
    for step in (10, 20):
        append_curves(path, step, {"loss": 1.0 / step, "validation, loss": float("nan")})
    table = pd.read_csv(path)
    assert table.columns.tolist() == ["step", "loss", "validation, loss"]
    assert table["step"].tolist() == [10, 20]
    assert table["loss"].tolist() == [0.1, 0.05]
    assert table["validation, loss"].isna().all()


def test_a_resumed_training_repeats_no_row(tmp_path):
    path = tmp_path / "curves.csv"
    cut_curves(path, 0)
    assert not path.exists()
    for step in (10, 20, 30):
        append_curves(path, step, {"loss": step})
    with path.open("a") as file:
        file.write("40,")  # As the end of a process in the middle of a row leaves it.
    cut_curves(path, 20)
    append_curves(path, 30, {"loss": 5.0})
    assert pd.read_csv(path).to_numpy().tolist() == [[10, 10], [20, 20], [30, 5]]


def test_a_file_that_is_still_empty_stays_empty(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("")
    cut_curves(path, 10)
    assert path.read_text() == ""
