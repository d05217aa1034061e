"""Edges that change from frame to frame, through the whole program: rows per frame, files, missing objects."""

import dataclasses

import h5py
import numpy as np
import pytest
from small_systems import SMALL, make_splits, small_config

from wormjax.errors import InputError, RecordingWarning
from wormjax.simulation.trajectories import Trajectories
from wormjax.simulation.trajectory_files import read_trajectories, write_trajectories
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.infer.experiment import infer
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES = SMALL["data.frames"]


def change_edges(trajectories: Trajectories) -> Trajectories:
    """The trajectories with edges that change half-way through the history."""
    edges = np.repeat(np.asarray(trajectories.edges)[:, None], trajectories.features.shape[1], axis=1)
    edges[:, FRAMES // 2 :] = 1 - edges[:, FRAMES // 2 :]
    edges[..., np.eye(3, dtype=bool)] = 0
    return dataclasses.replace(trajectories, edges=edges)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Systems of which one lacks an object, and of which another misses it for some frames."""
    folder = tmp_path_factory.mktemp("changing")
    for split, part in make_splits().items():
        features = np.array(part.features)
        features[1, :, 2] = np.nan
        features[3, 4:7, 0] = np.nan
        write_trajectories(change_edges(dataclasses.replace(part, features=features)), folder / f"{split}.h5")
    return folder


def run(folder, workdir, **fields):
    config = small_config(data__path=str(folder), **fields)
    with pytest.warns(RecordingWarning, match="masked"):
        return infer(config, workdir)


@pytest.mark.parametrize(
    ("posterior", "models"),
    [
        ("sampled", ("dnri",)),
        pytest.param("sampled", ("dnri", "nri", "dnri_supervised", "nri_true_graph", "lstm"), marks=pytest.mark.slow),
        pytest.param("exact", ("dnri", "nri"), marks=pytest.mark.slow),
    ],
)
def test_static_and_dynamic_models_stand_in_one_table_per_frame(folder, tmp_path, posterior, models):
    rows = run(folder, tmp_path / "run", models=models, train__posterior=posterior, baselines=("static", "correlation"))
    assert np.isfinite([row.value for row in rows]).all()
    found = {row.model for row in rows if row.metric == "edge_accuracy"}
    expected = {name for name in (*models, "correlation") if name not in ("nri_true_graph", "lstm")}
    expected |= {f"{name}_prior" for name in models if name.startswith("dnri")}
    own = {f"{name}_posterior" for name in models} | {"dnri_filter"}
    assert found == expected | (own if posterior == "exact" else set())
    assert {row.metric for row in rows if row.model == "dnri"} > {"mse@1", "mse@4", "mse@8"}
    with h5py.File(tmp_path / "run" / "edges.h5") as file:
        probabilities = file["dnri/probabilities"][:]
    assert probabilities.shape == (20, FRAMES - 1, 3, 3, 2)
    assert np.isnan(probabilities[1, :, 2]).all()
    assert np.isfinite(probabilities[0][:, ~np.eye(3, dtype=bool)]).all()
    with pytest.warns(RecordingWarning, match="masked"):
        assert evaluate(read_config(tmp_path / "run"), tmp_path / "run") == rows


def test_edges_that_change_are_written_and_read(folder):
    with pytest.warns(RecordingWarning, match="masked"):
        test = read_trajectories(folder / "test.h5")
    np.testing.assert_array_equal(test.edges[:, 0, 0, 1], 1 - test.edges[:, -1, 0, 1])
    assert test.edges.shape == (20, 20, 3, 3)
    with pytest.raises(InputError, match=r"'edges': found shape \(20, 19, 3, 3\), expected \(20, 3, 3\)"):
        dataclasses.replace(test, edges=test.edges[:, 1:])


def test_what_a_graph_in_each_frame_has_not_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"'models': found 'nri_supervised' with edges that change"):
        run(folder, tmp_path / "run", models=("nri_supervised",))
    fields = {"train__roll_out_weight": 1.0, "model__decoder__name": "mlp", "train__posterior": "exact"}
    config = small_config(data__path=str(folder), models=("dnri",), **fields)
    with pytest.raises(InputError, match=r"'train\.roll_out_weight': found 1\.0 with a graph in each frame"):
        infer(config, tmp_path / "run")
