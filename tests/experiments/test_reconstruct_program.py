"""experiments.reconstruct from end to end, and the estimator that gives its numbers."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
from small_reconstructions import small_config

import wormjax
from wormjax.errors import InputError
from wormjax.recordings.names import find_mirrors
from wormjax.scoring.rows import read_rows
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.groups import list_groups, restore_best
from wormjax.tasks.reconstruct import networks
from wormjax.tasks.reconstruct.experiment import check_config, reconstruct, reconstruct_worm
from wormjax.tasks.worms import open_config_recordings, prepare_materials
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

MODELS = {
    "network",
    "mixture",
    "partner",
    "ridge_union",
    "ridge_pairs",
    "ridge_mirrored",
    "gaussian",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick_compilation):
    """A workdir of the experiment, and the rows that it returned."""
    workdir = tmp_path_factory.mktemp("programs") / "run"
    return workdir, reconstruct(small_config(seeds=2), workdir)


def test_it_writes_rows_of_worms_and_of_neurons(trained):
    workdir, rows = trained
    assert read_rows(workdir / "results.csv") == rows
    places = [(row.model, row.test_worm, row.seed, row.metric) for row in rows]
    assert {row.metric for row in rows} == {"r2", "r2_with_partner", "r2_without_partner"}
    worms = {row.test_worm for row in rows}
    seeds = {name: 2 if name in ("network", "mixture") else 1 for name in MODELS}
    assert len(places) == len(set(places))
    assert len(worms) == 3
    assert len([row for row in rows if row.metric == "r2"]) == sum(3 * count for count in seeds.values())
    neurons = pd.read_csv(workdir / "neurons.csv")
    means = neurons.groupby(["model", "test_worm", "seed"])["r2"].mean()
    for row in rows:
        if row.metric == "r2":
            assert means[row.model, row.test_worm, row.seed] == pytest.approx(row.value)
    paired = neurons[neurons["r2_without_partner"].notna()]
    means = paired.groupby(["model", "test_worm", "seed"])[["r2", "r2_without_partner"]].mean()
    for row in rows:
        if row.metric != "r2":
            column = "r2" if row.metric == "r2_with_partner" else row.metric
            assert means.loc[(row.model, row.test_worm, row.seed), column] == pytest.approx(row.value)
    assert (workdir / "figures" / "r2_by_neuron.png").stat().st_size > 5000
    summary = (workdir / "summary.md").read_text()
    assert all(name.replace("_", "\\_") in summary for name in MODELS)


def test_only_neurons_of_enough_training_worms_are_scored(trained):
    workdir, _ = trained
    neurons, dataset = pd.read_csv(workdir / "neurons.csv"), prepare_materials(small_config()).dataset
    present = dict(zip(dataset.worms, dataset.find_present(), strict=True))
    for worm, own in neurons[neurons["model"] == "network"].groupby("test_worm"):
        others = sum(present[other].astype(int) for other in dataset.worms if other != worm)
        expected = present[worm] & (others >= 2)
        assert set(own["neuron"]) == {name for name, one in zip(dataset.neuron_names, expected, strict=True) if one}


def test_evaluation_gives_the_rows_of_training(trained):
    workdir, rows = trained
    again = evaluate(read_config(workdir), workdir)
    assert [row[:-1] for row in again] == [row[:-1] for row in rows]
    np.testing.assert_allclose([row.value for row in again], [row.value for row in rows], atol=1e-5)


def test_training_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    config = small_config(seeds=2)  # As `trained`, whose compiled program it finds in the cache.
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    built = networks.build_training("network", config, materials.dataset, groups)
    monkeypatch.setattr(networks, "build_training", lambda *_: built)  # Compiled once.
    whole = networks.train_model("network", config, materials.dataset, groups, tmp_path / "whole")
    networks.train_model("network", config, materials.dataset, groups, tmp_path / "parts", stop_after_chunks=1)
    resumed = networks.train_model("network", config, materials.dataset, groups, tmp_path / "parts")
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_a_hidden_neuron_never_reads_itself(trained):
    workdir, _ = trained
    model, worm = wormjax.load_model(workdir), open_config_recordings(small_config())[0]
    before = model.reconstruct(worm)
    place = next(k for k, r2 in enumerate(before.r2) if np.isfinite(r2))
    traces = worm.traces.copy()
    traces[:, worm.identified[before.neuron_names[place]]] = np.cos(np.arange(len(traces)))
    changed = wormjax.Recording(traces=traces, times=worm.times, neuron_names=worm.neuron_names, worm="changed")
    after = model.reconstruct(changed)
    np.testing.assert_allclose(after.reconstructed[:, place], before.reconstructed[:, place], atol=1e-5)
    assert abs(after.reconstructed - before.reconstructed).max() > 0.01
    assert after.r2[place] != before.r2[place]


def test_a_partner_that_is_withheld_is_not_read(trained):
    workdir, _ = trained
    config, dataset = small_config(), prepare_materials(small_config()).dataset
    mirrors = np.array(find_mirrors(dataset.neuron_names))
    there = dataset.find_present()[0]
    (hidden, *_) = np.flatnonzero(there & (mirrors >= 0) & (mirrors != np.arange(len(mirrors))) & there[mirrors])
    variables = jax.tree.map(lambda x: x[:2], restore_best(workdir / "models" / "network"))

    def run(features, without_partner):
        changed = dataclasses.replace(dataset, arrays=dataset.arrays._replace(features=features))
        arguments = config, {}, 0, (), variables, changed, 0, np.array([hidden]), without_partner
        return reconstruct_worm("network", *arguments)[..., hidden]

    other = dataset.arrays.features.copy()
    other[0, :, mirrors[hidden]] += 1.0
    np.testing.assert_array_equal(run(other, True), run(dataset.arrays.features, True))
    assert abs(run(other, False) - run(dataset.arrays.features, False)).max() > 1e-3


def test_the_estimator_is_saved_and_reconstructs_what_a_worm_lacks(tmp_path):
    worms = open_config_recordings(small_config())
    fitted = wormjax.Reconstructor(config=small_config(), progress=False).fit(worms[:2])
    result = fitted.reconstruct(worms[2])
    assert result.reconstructed.shape == (len(result.times), len(result.neuron_names))
    assert np.isfinite(result.reconstructed).all()
    recorded = np.array([name in worms[2].identified for name in result.neuron_names])
    assert recorded.any()
    assert not recorded.all()
    np.testing.assert_array_equal(np.isfinite(result.r2), recorded)
    np.testing.assert_array_equal(np.isfinite(result.measured).all(axis=0), recorded)
    assert list(result.to_pandas().columns) == ["time", *result.neuron_names]
    assert result.r2_to_pandas()["r2"].iloc[0] == np.nanmax(result.r2)
    fitted.save(tmp_path / "model")
    again = wormjax.load_model(tmp_path / "model").reconstruct(worms[2])
    np.testing.assert_array_equal(again.reconstructed, result.reconstructed)


def test_a_worm_is_reconstructed_in_one_call():
    worms, given = open_config_recordings(small_config()), {"config": small_config(), "progress": False}
    expected = wormjax.Reconstructor("ridge_pairs", **given).fit(worms[:2]).reconstruct(worms[2])
    found = wormjax.reconstruct(worms[2], worms[:2], "ridge_pairs", **given)
    np.testing.assert_array_equal(found.reconstructed, expected.reconstructed)


def test_the_estimator_gives_the_programs_rows(trained):
    workdir, rows = trained
    model = wormjax.load_model(workdir, "ridge_pairs")
    worm = next(worm for worm in open_config_recordings(small_config()) if worm.worm not in model.worms_)
    (row,) = [row for row in rows if row[:6:4] == ("ridge_pairs", worm.worm) and row.metric == "r2"]
    assert np.nanmean(model.reconstruct(worm).r2) == pytest.approx(row.value, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": ("mlp",)}, "'models': found 'mlp', expected some of network"),
        ({"baselines": ("var_1",)}, "'baselines': found 'var_1', expected some of partner"),
        ({"mixture": ("mlp",)}, "'mixture': found 'mlp', expected some of network, partner"),
        ({"data__inputs": ("causal_derivative",)}, "'data.inputs': found .* expected trace as the first"),
        ({"data__unnamed": True}, "'data.unnamed': found True, expected False"),
        ({"model__network": {"hidden": 4}}, "'model.network': found 'hidden', expected some of channels"),
        ({"train__hidden_shares": (0.1, 1.5)}, "'train.hidden_shares': found 1.5"),
        ({"protocol__name": "same_worm"}, "'protocol.name': found 'same_worm'"),
    ],
)
def test_configs_that_cannot_be_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(**fields))
