"""Netsim's subjects through the whole program: rows by subject, other subjects, and what has no say in the result."""

import os
import shutil

import ml_collections
import numpy as np
import pytest
from small_systems import write_subjects
from wormjax.configs import netsim

from wormjax.errors import ConfigError
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.infer.experiment import check_config, infer
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

SIZES = {"train": 5, "valid": 2, "test": 3}


def small_netsim(folder, **fields) -> ml_collections.ConfigDict:
    config = netsim.get_config("small")
    changes = {"data.frames": 60, "data.test_frames": 60, "data.objects": 5, "model.encoder.hidden": 8}
    changes |= {"train.steps": 4, "train.steps_per_chunk": 2, "train.batch_simulations": 4, "data.path": str(folder)}
    changes |= {name.replace("__", "."): value for name, value in fields.items()}
    config.update_from_flattened_dict(changes)
    config.data.simulations = SIZES
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subjects")
    write_subjects(folder, 10)
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory, quick_compilation):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    return workdir, infer(small_netsim(folder), workdir)


def change_path(workdir, path):
    config = read_config(workdir)
    config.data.path = str(path)
    return config


def test_every_subject_has_rows_of_every_model_and_baseline(trained):
    workdir, rows = trained
    config = read_config(workdir)
    assert {row.model for row in rows} == {"nri", "nri_posterior", *config.baselines}
    found = {(row.model, row.test_worm) for row in rows if row.metric == "edge_auroc"}
    assert found == {(row.model, f"sim3_subject_{k}") for row in rows for k in (7, 8, 9)}
    direction = {row.model: row.value for row in rows if row.metric == "direction_auroc"}
    assert direction["correlation"] == pytest.approx(0.5, abs=0.1)
    posterior = [row.value for row in rows if (row.model, row.metric) == ("nri_posterior", "edge_auroc")]
    assert np.mean(posterior) > 0.7
    assert (workdir / "figures" / "matrices.png").stat().st_size > 10_000


def test_other_subjects_are_scored_however_many(trained, folder, tmp_path):
    workdir, rows = trained
    shutil.copy(folder / "sim3_subject_8.npz", tmp_path)
    one = evaluate(change_path(workdir, tmp_path), workdir)
    same = [row for row in rows if row.test_worm == "sim3_subject_8"]
    assert [row[:-1] for row in one] == [row[:-1] for row in same]
    np.testing.assert_allclose([row.value for row in one], [row.value for row in same], rtol=1e-4)
    write_subjects(tmp_path, 12, regions=6, seed=1)
    rows = evaluate(change_path(workdir, tmp_path), workdir)
    assert {row.test_worm for row in rows} == {f"sim3_subject_{k}" for k in range(12)}


@pytest.mark.slow
def test_the_graphs_of_the_subjects_have_no_say_in_the_model(trained, folder, tmp_path):
    """With other graphs in the files of training and validation, the model gives the same probabilities."""
    _, rows = trained
    for number in range(10):
        name = f"sim3_subject_{number}.npz"
        with np.load(folder / name) as archive:
            causes = archive["Gref"] if number >= 7 else archive["Gref"].T
            np.savez(tmp_path / name, X_np=archive["X_np"], Gref=causes)
    again = infer(small_netsim(tmp_path, baselines=()), tmp_path / "run")
    for model in ("nri", "nri_posterior"):
        values = [[row.value for row in one if row.model == model] for one in (rows, again)]
        assert values[0] == values[1]


def test_fields_that_a_pairwise_posterior_does_not_read_are_refused(folder):
    idle = {"train__segments": 4, "train__roll_out": 2, "train__hard": True, "train__kl_weight": 2.0}
    for name, value in idle.items():
        with pytest.raises(ConfigError, match=rf"{name.replace('__', '.')}.*has no effect.*pairwise"):
            check_settings(small_netsim(folder, **{name: value}))
    with pytest.raises(ConfigError, match=r"model\.decoder\.name.*found 'mlp' with a train\.posterior of 'pairwise'"):
        check_config(small_netsim(folder, model__decoder__name="mlp"))


@pytest.mark.slow
def test_netsim_is_above_a_correlation_on_subjects_not_trained_on(tmp_path):
    path = os.path.join(os.environ.get("WORMJAX_DATA_DIR", ""), "netsim_sim3")
    if not os.path.isdir(path):
        pytest.skip("WORMJAX_DATA_DIR with netsim_sim3 is not set")
    config = netsim.get_config("small")
    config.data.path = path
    config.baselines = ("correlation",)
    rows = infer(config, tmp_path / "run")
    mean = {
        model: np.mean([row.value for row in rows if (row.model, row.metric) == (model, "edge_auroc")])
        for model in ("nri_posterior", "nri", "correlation")
    }
    assert mean["nri_posterior"] > 0.95
    assert mean["nri"] > mean["correlation"]
