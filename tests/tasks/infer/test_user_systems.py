"""Systems as people have them, through the whole program: unknown graphs, missing samples, edges of training alone."""

import dataclasses

import h5py
import numpy as np
import pandas as pd
import pytest
from small_systems import make_splits, make_system, small_config

from wormjax.errors import InputError, RecordingWarning
from wormjax.simulation.trajectory_files import write_trajectories
from wormjax.tasks.infer.experiment import infer

pytestmark = pytest.mark.usefixtures("quick_compilation")


def read_graphs(workdir):
    with h5py.File(workdir / "edges.h5") as file:
        return pd.read_csv(workdir / "edges.csv"), file["probabilities"][:], file.attrs["edge_types"].astype(str)


def forget_edges(part):
    return dataclasses.replace(part, edges=None, edge_types=())


def check_graphs(workdir, expected_types):
    """Raise AssertionError where the files of graphs do not say the same, of 20 systems of three named objects."""
    table, probabilities, types = read_graphs(workdir)
    assert probabilities.shape == (20, 3, 3, 2)
    assert list(types) == expected_types
    columns = ["sample", "sender", "receiver", "sender_name", "receiver_name", "edge_type", "probability"]
    assert list(table.columns) == columns
    assert len(table) == 20 * 6
    for row in table.sample(10, random_state=0).itertuples():
        own = probabilities[row.sample, row.sender, row.receiver]
        assert (row.sender_name, row.receiver_name) == tuple(
            ("AVAL", "AVAR", "RID")[k] for k in (row.sender, row.receiver)
        )
        assert row.edge_type == types[own.argmax()]
        assert row.probability == pytest.approx(own.max(), abs=1e-6)
    assert np.isnan(probabilities[:, np.eye(3, dtype=bool)]).all()
    assert (workdir / "figures" / "graphs.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_the_graphs_of_all_test_systems_are_written(tmp_path, known):
    for split, part in make_splits().items():
        named = dataclasses.replace(part if known else forget_edges(part), object_names=("AVAL", "AVAR", "RID"))
        write_trajectories(named, tmp_path / f"{split}.h5")
    rows = infer(small_config(data__path=str(tmp_path), seeds=2), tmp_path / "run")
    assert any(row.metric == "edge_accuracy" for row in rows) == known
    check_graphs(tmp_path / "run", ["type 0", "type 1"] if known else ["no edge", "type 1"])


@pytest.mark.parametrize("posterior", ["exact", pytest.param("sampled", marks=pytest.mark.slow)])
def test_missing_samples_count_in_no_metric_and_absent_objects_have_no_edges(tmp_path, posterior, monkeypatch):
    monkeypatch.setattr("wormjax.tasks.infer.report.save_figures", lambda *_: None)  # They take time.
    splits = make_splits()
    for split, part in splits.items():
        features = np.array(part.features)
        features[:, 3:5, 0] = np.nan
        features[1, :, 2] = np.nan
        splits[split] = dataclasses.replace(part, features=features)
        write_trajectories(splits[split], tmp_path / f"{split}.h5")
    config = small_config(
        data__path=str(tmp_path), train__posterior=posterior, baselines=("static", "var", "correlation")
    )
    with pytest.warns(RecordingWarning, match="masked"):
        rows = infer(config, tmp_path / "run")
    assert np.isfinite([row.value for row in rows]).all()
    table, probabilities, _ = read_graphs(tmp_path / "run")
    assert len(table) == 20 * 6 - 4  # The four edges of the object that sample 1 lacks.
    assert np.isnan(probabilities[1, 2]).all()
    assert np.isnan(probabilities[1, :, 2]).all()


def test_edges_of_training_alone_are_enough_but_for_what_is_given_the_graph(tmp_path):
    for split, part in make_splits().items():
        named = dataclasses.replace(part, object_names=("AVAL", "AVAR", "RID"))
        write_trajectories(named if split == "train" else forget_edges(named), tmp_path / f"{split}.h5")
    for name in ("nri_supervised", "nri_true_graph"):
        config = small_config(data__path=str(tmp_path), models=(name,))
        with pytest.raises(
            InputError, match=rf"found '{name}', which is given the graph, and .*valid\.h5 without 'edges'"
        ):
            infer(config, tmp_path / "run")
    config = small_config(
        data__path=str(tmp_path),
        baselines=("static", "correlation"),
        models=("nri", "nri_supervised", "nri_true_graph"),
        seeds=2,
    )
    with pytest.warns(RecordingWarning, match="left out nri_supervised, nri_true_graph, which are given the graph"):
        rows = infer(config, tmp_path / "run")
    assert {row.model for row in rows} == {"nri", "static"}
    assert {row.metric for row in rows} == {"mse@1", "mse@4", "mse@8"}
    check_graphs(tmp_path / "run", ["no edge", "type 1"])


@pytest.mark.slow
def test_a_recording_of_one_long_simulation_is_enough(tmp_path):
    np.savez(tmp_path / "long.npz", features=make_system(1, 250).features)
    with pytest.warns(RecordingWarning, match="cut into 12 windows"):
        infer(small_config(data__path=str(tmp_path / "long.npz"), evaluate__steps=(1, 4)), tmp_path / "run")
    assert len(read_graphs(tmp_path / "run")[0]) == 2 * 6
