"""Decoder(neurons="any"): worms that share few neurons, neurons by their class, calibration, other labs' tables."""

import dataclasses
import os
import pathlib

import numpy as np
import pandas as pd
import pytest

import wormjax
from wormjax.errors import InputError, RecordingWarning
from wormjax.instrument.predicting import predict
from wormjax.simulation.worms import hide_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

WORMS = [hide_names(worm, 0.6, 1) for worm in wormjax.simulate_worms(4, minutes=3.0)]
SMALL = {"train.steps_per_chunk": 30, "train.batch_windows": 8, "train.members": 1, "calibration.steps": 10}
DATA = pathlib.Path(os.environ.get("WORMJAX_DATA_DIR", ""))


@pytest.fixture(scope="module")
def decoder(quick_compilation):
    return wormjax.Decoder(neurons="any", steps=60, settings=SMALL, progress=False).fit(WORMS[:3], seed=0)


def keep(worm, *names):
    """Return a worm in which only these neurons have names."""
    own = tuple(name if name in names else None for name in worm.neuron_names)
    return dataclasses.replace(worm, neuron_names=own)


def test_worms_of_different_neurons_are_decoded_into_states_and_velocity(decoder):
    assert decoder.behavior_names_ == ("velocity",)
    assert "decodes reverse, forward, velocity" in repr(decoder)
    decoding = decoder.decode(WORMS[3])
    assert np.isfinite(decoding.behavior["velocity"]).all()
    assert list(decoding.to_pandas())[-2:] == ["state", "velocity"]
    scores = decoder.evaluate(WORMS[3]).set_index("metric").value
    assert scores["auroc"] > 0.8
    assert scores["velocity_r"] > 0.3


def test_the_order_of_neurons_does_not_matter(decoder):
    worm, order = WORMS[3], np.random.default_rng(0).permutation(WORMS[3].traces.shape[1])
    shuffled = dataclasses.replace(
        worm,
        traces=worm.traces[:, order],
        derivatives=worm.derivatives[:, order],
        neuron_names=tuple(worm.neuron_names[k] for k in order),
        ambiguous_names=(),
    )
    np.testing.assert_allclose(decoder.predict_proba(shuffled), decoder.predict_proba(worm), atol=1e-5)


def test_a_neuron_that_no_training_worm_had_is_read_by_its_class(quick_compilation):
    train = [keep(worm, *(set(worm.identified) - {"AVAR"})) for worm in WORMS[:3]]
    decoder = wormjax.Decoder(neurons="any", steps=60, settings=SMALL, progress=False).fit(train, seed=0)
    assert "AVAR" not in decoder.neuron_names_
    assert "AVAL" in decoder.neuron_names_
    worm = next(worm for worm in WORMS if "AVAR" in worm.identified and len(worm.identified) > 3)
    with_it, without = worm, keep(worm, *(set(worm.identified) - {"AVAR"}))
    assert np.abs(decoder.predict_proba(with_it) - decoder.predict_proba(without)).max() > 1e-4
    assert "AVAR" in decoder.decode(with_it).neuron_names


def test_a_saved_decoder_decodes_as_before(tmp_path, decoder):
    decoder.save(tmp_path / "model")
    loaded = wormjax.load_model(tmp_path / "model")
    assert repr(loaded) == repr(decoder)
    one, other = decoder.decode(WORMS[3]), loaded.decode(WORMS[3])
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.behavior["velocity"], other.behavior["velocity"])


def test_calibration_makes_another_decoder_and_leaves_this_one(decoder):
    before = decoder.predict_proba(WORMS[3])
    own = decoder.calibrate(WORMS[3], seconds=60)
    assert np.abs(own.predict_proba(WORMS[3]) - before).max() > 1e-3
    np.testing.assert_array_equal(decoder.predict_proba(WORMS[3]), before)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), "a minute"])
def test_seconds_that_cannot_be_are_refused(decoder, seconds):
    with pytest.raises(InputError, match=r"^seconds: found"):
        decoder.calibrate(WORMS[3], seconds=seconds)


def test_a_recording_without_labels_calibrates_nothing(decoder):
    bare = dataclasses.replace(WORMS[3], motor_state=None, state_names=(), behavior={})
    with pytest.raises(InputError, match=r"found no scored frame in the first 60 s"):
        decoder.calibrate(bare)


def test_a_baseline_is_not_calibrated():
    decoder = wormjax.Decoder("linear_union", neurons="any", progress=False).fit(WORMS[:3])
    assert decoder.score(WORMS[3]) > 0.5
    with pytest.raises(InputError, match=r"found the baseline 'linear_union', expected a network"):
        decoder.calibrate(WORMS[3])


def test_predictions_have_behaviours_in_their_table(tmp_path, decoder):
    predict([decoder], [WORMS[3]], tmp_path / "out")
    assert "velocity" in pd.read_csv(tmp_path / "out" / WORMS[3].worm / "states.csv")


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "dag2023").is_dir(), reason="WORMJAX_DATA_DIR has no dag2023")
def test_other_labs_tables_are_decoded_by_whichever_neurons_they_have(quick_compilation):
    worms = wormjax.load("dag2023", DATA / "dag2023")
    decoder = wormjax.Decoder(neurons="any", steps=10, settings=SMALL, progress=False).fit(worms[:2])
    for table in wormjax.load("csv", DATA / "csv", frame_rate=1.0):
        assert len(set(table.identified) & set(decoder.neuron_names_)) >= 10
        with pytest.warns(RecordingWarning, match=r"neurons \(.* more\); these are masked"):
            decoding = decoder.decode(table)
        assert np.isfinite(decoding.probabilities).all()
