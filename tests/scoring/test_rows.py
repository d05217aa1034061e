"""Result rows come back from CSV exactly, and a bad file is named by line and field."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from wormjax.errors import InputError
from wormjax.scoring.rows import Row, read_rows, write_rows

HEADER = "model,study,train_worms,test_study,test_worm,seed,metric,value"
ROW = Row("MLP", "kato2015", ("w1", "w2"), "kato2015", "w3", 0, "accuracy", 0.9)

names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="+"), min_size=1, max_size=12)
any_rows = st.builds(
    Row,
    names,
    names,
    st.lists(names, max_size=3).map(tuple),
    names,
    names,
    st.integers(0, 2**40),
    names,
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_rows, max_size=6, unique_by=lambda row: row[:-1]))
def test_rows_come_back_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "results.csv"
    write_rows(path, rows)
    assert read_rows(path) == rows


def test_file_layout(tmp_path):
    path = tmp_path / "results.csv"
    write_rows(path, [ROW._replace(value=np.float32(0.1), seed=np.int64(3)), ROW._replace(test_worm="a, b")])
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER
    assert lines[1] == f"MLP,kato2015,w1+w2,kato2015,w3,3,accuracy,{float(np.float32(0.1))!r}"
    assert lines[2] == 'MLP,kato2015,w1+w2,kato2015,"a, b",0,accuracy,0.9'
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW._replace(train_worms="w1"), "field 'train_worms': found the text 'w1'"),
        (ROW._replace(model="two\nlines"), "field 'model'"),
        (ROW._replace(value=float("nan")), "field 'value': found nan, expected a finite number"),
        (ROW._replace(value=0.8, test_worm="first"), "'first' a second time .as in row 1."),
    ],
)
def test_a_bad_row_is_refused_and_the_old_file_stays(tmp_path, row, message):
    path = tmp_path / "results.csv"
    path.write_text("old")
    with pytest.raises(InputError, match=message):
        write_rows(path, [ROW._replace(test_worm="first"), row])
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("names", [("N2+TRP4", "w2"), ("a\\", "b"), ("+", "\\+", "c\\+d")])
def test_any_name_of_a_worm_comes_back(tmp_path, names):
    row = ROW._replace(train_worms=names, test_worm=f"{names[0]} too")
    write_rows(tmp_path / "results.csv", [row])
    assert read_rows(tmp_path / "results.csv") == [row]


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_rows(tmp_path / "results.csv", [ROW])
    assert list(tmp_path.iterdir()) == []


GOOD = "MLP,kato2015,w1+w2,kato2015,w3,0,accuracy,0.9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: found ''"),
        (f"model,value\n{GOOD}\n", "line 1: found 'model,value', expected 'model,study,"),
        (f"{HEADER}\n{GOOD}\nMLP,kato2015,w1\n", "line 3: found 3 fields, expected 8"),
        (f"{HEADER}\n{GOOD.replace('0.9', 'high')}\n", "line 2: field 'value': found 'high', expected a finite number"),
        (f"{HEADER}\n{GOOD.replace('0.9', 'nan')}\n", "line 2: field 'value': found nan"),
        (f"{HEADER}\n{GOOD.replace(',0,', ',zero,')}\n", "line 2: field 'seed': found 'zero', expected a whole number"),
        (f"{HEADER}\n{GOOD.replace('w1+w2', 'w1++w2')}\n", "line 2: field 'train_worms': found ''"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n", "line 3: .* a second time .as in line 2."),
        (f'{HEADER}\n"open,quote\n', "found no CSV"),
    ],
)
def test_a_bad_file_is_named_by_line_and_field(tmp_path, text, message):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: No such file"):
        read_rows(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="found no CSV in UTF-8"):
        read_rows(tmp_path / "binary.csv")
    with pytest.raises(InputError, match="found no folder"):
        write_rows(tmp_path / "missing" / "results.csv", [ROW])


def test_unseen_means_left_out_of_training_in_the_same_study():
    assert ROW.unseen
    assert not ROW._replace(test_worm="w1").unseen
    assert ROW._replace(test_worm="w1", test_study="dag2023").unseen
