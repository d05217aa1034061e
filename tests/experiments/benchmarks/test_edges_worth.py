"""What inferred edges are worth: errors on them are the program's own, and shuffled, no window keeps its own edges."""

import numpy as np
import pytest
from small_horizons import horizon_config, make_trials, write_trials
from small_systems import small_config

from experiments.benchmarks.edges_worth import format_table, list_edges, measure
from wormjax.errors import InputError
from wormjax.tasks.infer.experiment import infer

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges_worth")
    write_trials(folder / "trials.npz", make_trials((60, 40, 50, 44)))
    fields = {"train__learning_rate": 0.1, "baselines": (), "evaluate__futures": 0}
    config = horizon_config(data__path=str(folder / "trials.npz"), **fields)
    return config, folder / "run", infer(config, folder / "run")


def test_errors_on_the_edges_as_used_are_those_of_the_program(trained):
    config, workdir, rows = trained
    table = measure(config, workdir, 0)
    assert table.index.tolist() == ["as used", "likeliest", "likeliest of other windows", "all", "none"]
    for metric in table.columns:
        trials = [row.value for row in rows if row.metric == metric]
        assert table.loc["as used", metric] == pytest.approx(np.mean(trials), rel=1e-5)
    assert {"distance", "distance@1", "distance@3", "distance@6"} == set(table.columns)
    assert table["distance"].nunique() >= 4  # Messages count; the likeliest edges may be all or none.
    lines = format_table(table)
    assert lines[0] == "| edges | distance | distance@1 | distance@3 | distance@6 |"
    assert lines[2] == "| as used | " + " | ".join(f"{value:.3g}" for value in table.loc["as used"]) + " |"
    assert all(line.count("%") == 4 for line in lines[3:])


def test_no_window_keeps_its_own_edges_and_absent_objects_have_none():
    kinds = np.eye(5)[None, :, None, :].repeat(6, axis=2)  # Each window has edges of a type of its own.
    pairs = np.ones((5, 6), bool)
    pairs[3, :2] = False
    edges = list_edges(kinds, pairs, seed=0)
    own, other = kinds.argmax(axis=-1), edges["likeliest of other windows"].argmax(axis=-1)
    assert not (own == other)[:, pairs].any()
    assert sorted(other[0, :, -1]) == [0, 1, 2, 3, 4]
    assert not any(one[:, ~pairs].any() for one in edges.values())
    np.testing.assert_array_equal(edges["all"].sum(axis=-1)[0], pairs)
    assert not edges["none"].any()


def test_a_decoder_that_goes_from_frame_to_frame_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"found model.decoder.name 'mlp', expected 'horizon'"):
        measure(small_config(), tmp_path, 0)
