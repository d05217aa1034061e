"""A given graph is read by names, in the project's [sender, receiver] order; what cannot be read is named."""

import numpy as np
import pytest

from wormjax.errors import ConfigError
from wormjax.features.edge_list import read_edges

NAMES = ("AVAL", "VB02", "RID", "")


def write(tmp_path, text):
    (tmp_path / "edges.csv").write_text(text)
    return str(tmp_path / "edges.csv")


def test_edges_are_placed_by_names_in_any_spelling_and_scaled(tmp_path):
    path = write(tmp_path, "sender,receiver,weight\navaL,VB2,4\nVB02,RID,-1\nRID,ASEL,7\nRID,RID,9\n")
    expected = np.zeros((4, 4))
    expected[0, 1], expected[1, 2] = 1.0, -0.25
    np.testing.assert_allclose(read_edges(path, NAMES), expected)


def test_the_table_that_a_model_writes_is_one_that_it_reads(tmp_path):
    path = write(tmp_path, "sender,receiver,probability\nAVAL,RID,0.5\nRID,AVAL,0.25\n")
    matrix = read_edges(path, NAMES)
    assert (matrix[0, 2], matrix[2, 0]) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sender,weight\nAVAL,1\n", "expected receiver too"),
        ("sender,receiver,weight\nAVAL,RID,strong\n", "row 2 has no finite weight"),
        ("sender,receiver\nASEL,ASER\n", "without an edge between the neurons in play"),
        ("", "expected a CSV table of edges"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=rf"data\.edges.*edges\.csv.*{problem}"):
        read_edges(write(tmp_path, text), NAMES)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.csv.*No such file"):
        read_edges(str(tmp_path / "nothing.csv"), NAMES)


def test_the_wiring_needs_no_file():
    edges = read_edges("cook2019:chemical", ("AVAL", "DA2", "cell 7"))
    assert edges[0, 1] == 1.0
    assert not edges[2].any()
    with pytest.raises(ConfigError, match=r"found 'cook2019:gap', expected cook2019: with chemical, electrical, both"):
        read_edges("cook2019:gap", ("AVAL", "DA2"))
