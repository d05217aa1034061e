"""RelationalInference infers graphs in memory, from trajectories and from plain arrays."""

import dataclasses

import numpy as np
import pytest

import wormjax
from wormjax.instrument.relational_inference import choose_fields
from wormjax.instrument.settings import build_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

SPRINGS = wormjax.simulate_springs(40, objects=3, frames=20)
SMALL = {
    "train.steps_per_chunk": 10,
    "train.batch_simulations": 8,
    "train.segments": 4,
    "model.encoder.hidden": 8,
    "model.decoder.hidden": 8,
}


@pytest.fixture(scope="module")
def fitted():
    return wormjax.RelationalInference(steps=20, settings=SMALL, progress=False).fit(SPRINGS, seed=1)


def test_edges_are_probabilities_by_type(fitted):
    edges = fitted.edges(SPRINGS)
    assert edges.shape == (40, 3, 3, 2)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(edges[:, off].sum(axis=-1), 1.0, atol=1e-5)
    assert np.isnan(edges[:, ~off]).all()
    assert 0 <= fitted.score(SPRINGS) <= 1
    assert "trained on 3 objects" in repr(fitted)


def test_a_table_has_a_row_per_pair(fitted):
    table = fitted.edges_to_pandas(SPRINGS, names=("a", "b", "c"))
    assert list(table) == ["sample", "sender", "receiver", "probability"]
    assert len(table) == 40 * 6
    one = table[(table["sample"] == 7) & (table.sender == "a") & (table.receiver == "c")].probability.item()
    assert one == pytest.approx(1 - fitted.edges(SPRINGS)[7, 0, 2, 0], abs=1e-5)


def test_a_saved_model_infers_as_before(tmp_path, fitted):
    fitted.save(tmp_path / "model")
    loaded = wormjax.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.edges(SPRINGS), fitted.edges(SPRINGS))
    assert loaded.edge_types_ == fitted.edge_types_


def test_plain_arrays_of_one_feature_are_systems(fitted):
    signals = np.random.default_rng(0).normal(size=(20, 16, 4, 1)).cumsum(axis=1)
    relations = wormjax.RelationalInference(steps=10, settings=SMALL, progress=False).fit(signals)
    assert relations.edges(signals).shape == (20, 4, 4, 2)
    with pytest.raises(wormjax.InputError, match="found feature 1, expected those of the training"):
        fitted.edges(signals)
    with pytest.raises(wormjax.InputError, match="field 'edges': found none"):
        relations.score(signals)


def test_what_is_no_trajectory_is_named():
    with pytest.raises(wormjax.InputError, match=r"trajectories: found ndarray of shape \(3, 4\)"):
        wormjax.RelationalInference().fit(np.zeros((3, 4)))


@pytest.mark.slow
def test_the_neurons_of_worms_are_objects():
    names = ["AVAL", "AVAR", "RID", *(None,) * 17]
    worms = [
        wormjax.Recording(traces=worm.traces, times=worm.times, neuron_names=names[: worm.traces.shape[1]])
        for worm in wormjax.simulate_worms(2, minutes=2.0)
    ]
    relations = wormjax.RelationalInference(steps=10, settings=SMALL, progress=False).fit(worms)
    assert relations.edges(worms[0]).shape[1:] == (3, 3, 2)
    assert relations.edges_to_pandas(worms[0], names=names[:3]).sender.isin(names[:3]).all()


def test_a_directed_system_has_directed_edges():
    springs = wormjax.simulate_springs(12, objects=3, frames=20, directed=True)
    assert (springs.edges != np.swapaxes(springs.edges, 1, 2)).any()
    relations = wormjax.RelationalInference(steps=10, settings=SMALL, progress=False).fit(springs)
    edges = np.nan_to_num(relations.edges(springs))
    assert (edges != edges.swapaxes(1, 2)).any()


def test_the_decoder_of_a_config_for_other_features_is_kept():
    named = [f"feature {k + 1}" for k in range(4)]
    waves = dataclasses.replace(SPRINGS, feature_names=tuple(named))
    springs, kuramoto, netsim = (build_config(name, "infer", {}) for name in ("nri_springs", "nri_kuramoto", "netsim"))
    chosen = choose_fields(waves, springs)
    assert (chosen["model.decoder.name"], chosen["model.encoder.name"]) == ("mlp", "cnn")
    assert "model.decoder.name" not in choose_fields(waves, kuramoto)
    many = wormjax.Trajectories("mine", np.zeros((2, 9, 15, 1), np.float32), None, ("BOLD",))
    assert choose_fields(many, springs)["train.posterior"] == "sampled"
    particles = dataclasses.replace(SPRINGS, features=np.zeros((2, 9, 15, 4), np.float32), edges=None, edge_types=())
    assert choose_fields(particles, springs) == {"data.frames": 9, "train.posterior": "listed"}
    assert choose_fields(many, netsim) == {"data.frames": 9}
