"""The table of given graphs: differences are paired over worms, and rewirings are averaged."""

from experiments.benchmarks.given_graphs import gather_scores, tabulate
from wormjax.scoring.rows import Row

SCORES = {
    "none": (0.2, 0.4),
    "electrical": (0.5, 0.9),
    "electrical_rewired_0": (0.2, 0.5),
    "electrical_rewired_1": (0.4, 0.5),
    "none without own activity": (0.1, 0.1),
}


def list_rows():
    return [
        Row(model, "study", (), "study", f"worm {worm}", 0, "r2", value)
        for model, values in SCORES.items()
        for worm, value in enumerate(values)
    ]


def test_a_graph_is_compared_with_none_and_with_its_rewirings():
    lines = tabulate(gather_scores(list_rows(), "r2", "", plain=False))
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [
        "none",
        "electrical",
        "electrical, rewired",
    ]
    assert "| 0.700 | +0.400 [-0.871, +1.671] | +0.300 [-0.971, +1.571] |" in lines[3]
    assert "| 0.400 (2: 0.350 to 0.450) | +0.100 [+0.100, +0.100] |" in lines[4]


def test_errors_are_divided_by_those_of_a_unit_in_each_worm():
    graphs = gather_scores(list_rows(), "r2", "none", plain=False)
    assert graphs["electrical"]["electrical"] == {"worm 0": 2.5, "worm 1": 2.25}
    assert list(gather_scores(list_rows(), "r2", "", plain=True)) == ["none"]
