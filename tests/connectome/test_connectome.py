"""Reference graphs: known facts of the wiring, and the atlas's file in both its forms."""

import os
import pathlib

import h5py
import numpy as np
import pandas as pd
import pytest

import wormjax
from wormjax.connectome import TYPES
from wormjax.errors import InputError
from wormjax.recordings.names import NEURONS, split_neuron_name

DATA = os.environ.get("WORMJAX_DATA_DIR", "")


@pytest.fixture(scope="module")
def wiring():
    return wormjax.connectome.load("cook2019")


def test_the_wiring_has_all_neurons_and_its_known_facts(wiring):
    assert set(wiring.neuron_names) == NEURONS
    chemical, electrical = wiring.matrix("chemical"), wiring.matrix("electrical")
    assert (int((chemical > 0).sum()), int((electrical > 0).sum())) == (3709, 2196)
    np.testing.assert_array_equal(electrical, electrical.T)
    assert (chemical != chemical.T).any()
    np.testing.assert_array_equal(wiring.matrix("both"), chemical + electrical)
    # AVA drives the motor neurons of backward movement, not the other way round; AVB is coupled to those of forward.
    senders = ["AVAL", "AVAR"]
    for receivers in (["VA8", "VA09"], ["DA2", "DA03"]):
        block = wiring.matrix("chemical", [*senders, *receivers])
        assert (block[:2, 2:] > 0).all()
        assert block[2:, :2].sum() < block[:2, 2:].sum() / 5
    assert (wiring.matrix("electrical", ["AVBL", "AVBR", "DB2", "VB04"])[:2, 2:].sum(axis=0) > 0).all()


def test_names_may_be_spelt_as_in_any_source_and_strangers_are_unknown(wiring):
    np.testing.assert_array_equal(
        wiring.matrix("chemical", ["aval", "DB1", "VA2"]), wiring.matrix("chemical", ["AVAL", "DB01", "VA02"])
    )
    unknown = wiring.matrix("chemical", ["AVAL", "AWCON", "cell 7"])
    assert np.isnan(unknown[1:]).all()
    assert np.isnan(unknown[:, 1:]).all()
    assert unknown[0, 0] == wiring.matrix("chemical", ["AVAL"])[0, 0]


def test_table_and_graph_are_the_matrix(wiring):
    matrix, table, graph = wiring.matrix("chemical"), wiring.dataframe("chemical"), wiring.graph("chemical")
    places = {name: place for place, name in enumerate(wiring.neuron_names)}
    for senders, receivers, weights in (
        (table["sender"].map(places), table["receiver"].map(places), table["weight"]),
        (graph.senders, graph.receivers, graph.edges[:, 0]),
    ):
        rebuilt = np.zeros_like(matrix)
        rebuilt[np.asarray(senders), np.asarray(receivers)] = weights
        np.testing.assert_array_equal(rebuilt, matrix)
    neurons = wiring.neurons().set_index("neuron")
    assert neurons.loc["VB02"].tolist() == ["VB", "", "motor", "acetylcholine; betaine (uptake, dim)"]
    assert neurons.loc["IL1DL"].tolist() == ["IL1", "DL", "sensory", "glutamate"]
    np.testing.assert_array_equal(np.asarray(graph.nodes)[places["AVAL"]], [0, 1, 0])


def test_every_type_is_of_a_class_that_exists():
    assert set(TYPES) <= {split_neuron_name(name)[0] for name in NEURONS} | {"AWC"}


def test_neurotransmitters_are_known_facts_of_all_neurons():
    neurons = wormjax.connectome.describe_neurons().set_index("neuron")["transmitters"]
    assert set(neurons.index) == NEURONS
    for name, known in (("DD01", "GABA"), ("RIS", "GABA"), ("CEPDL", "dopamine"), ("AVM", "glutamate"), ("PVM", "")):
        assert neurons[name].split("; ")[0] == known
    assert "serotonin" in neurons["NSML"].split("; ")
    assert "tyramine" in neurons["RIMR"].split("; ")
    assert neurons["RICL"].split("; ")[0] == "octopamine"
    own = wormjax.connectome.describe_neurons(("vb2", "cell 7"))
    assert own["transmitters"].tolist() == ["acetylcholine; betaine (uptake, dim)", ""]


@pytest.fixture
def atlas_files(tmp_path):
    """A small atlas as HDF5 and as npz, and its arrays [responding, driven]."""
    random, ids = np.random.default_rng(0), ["AVAL", "AWCOF", "VB2"]
    arrays = {f"{strain}_{name}": random.random((3, 3)) for strain in ("wt", "unc31") for name in ("dFF", "q", "q_eq")}
    arrays |= {f"{strain}_occ1": np.array([[1, 0, 2], [3, 1, 1], [0, 2, 0]]) for strain in ("wt", "unc31")}
    arrays["wt_q"][0, 2], arrays["wt_q"][1, 0] = 0.01, 0.2
    np.savez(tmp_path / "atlas.npz", neuron_ids=np.array(ids), **arrays)
    with h5py.File(tmp_path / "funatlas.h5", "w") as file:
        file["neuron_ids"] = np.array(ids, "S5")
        for name, values in arrays.items():
            file[name.replace("_", "/", 1)] = values
    return tmp_path, arrays


@pytest.mark.parametrize("name", ["atlas.npz", "funatlas.h5", ""])
def test_the_atlas_is_turned_to_sender_and_receiver(atlas_files, name):
    folder, arrays = atlas_files
    atlas = wormjax.connectome.load("randi2023", folder / name)
    assert atlas.neuron_names == ("AVAL", "AWCOFF", "VB02")
    np.testing.assert_array_equal(atlas.matrix("response"), arrays["wt_dFF"].T)
    significant = atlas.matrix("significant", ["VB2", "AVAL"])
    assert significant[0, 1] == 1.0  # VB2 was driven, AVAL responded.
    assert np.isnan(significant[1, 0])  # Never observed.
    assert atlas.matrix("significant")[0, 1] == 0.0
    other = wormjax.connectome.load("randi2023", folder / name, strain="unc31")
    np.testing.assert_array_equal(other.matrix("q"), arrays["unc31_q"].T)


@pytest.mark.skipif(not DATA, reason="WORMJAX_DATA_DIR is not set")
def test_the_public_atlas_has_its_published_counts():
    atlas = wormjax.connectome.load("randi2023", pathlib.Path(DATA, "connectome"))
    significant = atlas.matrix("significant")
    assert (len(atlas.neuron_names), int(np.isfinite(significant).sum())) == (300, 25345)
    assert int(np.nansum(significant)) == 1310
    assert len(set(atlas.neuron_names) & NEURONS) == 298


def test_what_cannot_be_loaded_is_one_line(wiring, tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    for arguments, message in (
        (("white1986",), "found 'white1986', expected one of: cook2019, randi2023"),
        (("randi2023",), "found no path, expected funatlas.h5"),
        (("randi2023", tmp_path), "found no funatlas.h5"),
        (("randi2023", tmp_path / "broken.npz"), "broken.npz: found no whole atlas"),
        (("randi2023", tmp_path / "none.h5"), "none.h5: found no such file"),
        (("randi2023", tmp_path, "egl3"), "found strain 'egl3', expected one of: wt, unc31"),
    ):
        with pytest.raises(InputError, match=message):
            wormjax.connectome.load(*arguments)
    with pytest.raises(InputError, match="found kind 'gap', expected one of: chemical, electrical, both"):
        wiring.matrix("gap")


def test_the_shipped_table_has_each_pair_once():
    table = pd.read_csv(pathlib.Path(__file__).parents[2] / "third_party" / "cook2019" / "synapses.csv")
    assert not table.duplicated(["sender", "receiver"]).any()
    assert (table[["chemical", "electrical"]].sum(axis=1) > 0).all()
