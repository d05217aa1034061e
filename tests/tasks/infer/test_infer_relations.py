"""Graphs inferred in memory are those of the program."""

import dataclasses

import numpy as np
import pytest
from small_systems import make_splits, make_system, small_config, write_archives

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.tasks.groups import model_folder, restore_best
from wormjax.tasks.infer.experiment import infer
from wormjax.tasks.infer.materials import prepare_materials
from wormjax.tasks.infer.outputs import run_model
from wormjax.tasks.infer.relations import fit_relations, infer_edges

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def splits():
    return make_splits()


@pytest.fixture(scope="module")
def trained(splits, quick_compilation):
    return fit_relations(small_config(), splits["train"], splits["valid"], seed=0, progress=False)


@pytest.mark.slow
def test_edges_are_those_of_the_program(splits, trained, tmp_path):
    write_archives(tmp_path, splits)
    config = small_config(data__path=str(tmp_path))
    infer(config, tmp_path / "run")
    materials = prepare_materials(config, tmp_path)
    best, systems = restore_best(model_folder(tmp_path / "run", "nri")), materials.systems
    output = run_model("nri", config, 2, systems.scaling, best, systems.valid, systems.test)["nri"]
    found = graphs.matrix_to_edges(np.moveaxis(infer_edges(trained, splits["test"]), 3, 1))
    expected = np.moveaxis(output.test_edges[0], 2, 1)[:, trained.description["matching"]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_probabilities_sum_to_one_off_the_diagonal(splits, trained):
    probabilities = infer_edges(trained, splits["test"])
    assert probabilities.shape == (20, 3, 3, 2)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(probabilities[:, off].sum(axis=-1), 1.0, atol=1e-5)
    assert np.isnan(probabilities[:, ~off]).all()


@pytest.mark.slow
def test_no_graph_is_needed_and_a_tenth_is_held_out(splits):
    bare = dataclasses.replace(splits["train"], edges=None, edge_types=())
    trained = fit_relations(small_config(), bare, progress=False)
    assert trained.description["edge_types"] == ["no edge", "type 1"]
    assert trained.description["matching"] is None
    assert infer_edges(trained, make_system(2, 12, objects=4)).shape == (2, 4, 4, 2)


def test_other_features_and_a_short_recording_are_refused(splits, trained):
    with pytest.raises(InputError, match="found 11 frames, expected 12 or more"):
        infer_edges(trained, make_system(2, 11))
    with pytest.raises(InputError, match="'feature_names': found a, b, c, d"):
        infer_edges(trained, dataclasses.replace(splits["test"], feature_names=tuple("abcd")))
    with pytest.raises(InputError, match="found 1 simulation, expected two or more"):
        fit_relations(small_config(), make_system(1, 12))
