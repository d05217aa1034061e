"""The estimators follow scikit-learn, keep their word on the disk, and give the benchmark's numbers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import wormjax
from wormjax.config_files import load_config
from wormjax.scoring.rows import read_rows
from wormjax.tasks.decode.experiment import generalize

pytestmark = pytest.mark.usefixtures("quick_compilation")

STUDY = wormjax.simulate_worms(4, minutes=3.0)
WORMS = [STUDY[0], STUDY[1], STUDY[3], STUDY[2]]  # The last has every neuron that the others share.
QUICK = {"progress": False, "steps": 40, "settings": {"train.steps_per_chunk": 20, "train.batch_windows": 8}}
SHALLOW = QUICK | {"settings": QUICK["settings"] | {"model.nri_graph.dilations": (1,)}}


@pytest.fixture(scope="module")
def decoder(quick_compilation):
    return wormjax.Decoder("mlp", **QUICK).fit(WORMS[:3], seed=0)


@pytest.fixture(scope="module")
def graph_decoder(quick_compilation):
    return wormjax.Decoder("nri_graph", **SHALLOW).fit(WORMS[:3], seed=0)


@pytest.fixture(scope="module")
def forecaster(quick_compilation):
    unvalidated = QUICK["settings"] | {"split.validation_fraction": 0.0, "train.keep_best": False}
    return wormjax.Forecaster("nri_graph", **QUICK | {"settings": unvalidated}).fit(WORMS[:3], seed=0)


def without_states(worm):
    return wormjax.Recording(
        traces=worm.traces, times=worm.times, neuron_names=worm.neuron_names, study="other", worm="new"
    )


def test_public_names_are_listed_and_documented():
    for module in (wormjax, wormjax.plot, wormjax.connectome):
        assert set(dir(module)) - {"__version__"} == set(module.__all__)  # What the tab key offers.
    for name in wormjax.__all__:
        assert getattr(wormjax, name).__doc__
    assert len(repr(wormjax.simulate_springs(8))) < 200
    with pytest.raises(AttributeError, match="no attribute 'Encoder'"):
        _ = wormjax.Encoder


@pytest.mark.parametrize("kind", [wormjax.Decoder, wormjax.Forecaster])
def test_parameters_follow_scikit_learn(kind):
    estimator = kind("mlp", steps=7)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(steps=8).steps == 8
    assert repr(estimator) == f"{kind.__name__}(model='mlp', steps=8)"


def test_a_model_that_is_not_fitted_says_so():
    with pytest.raises(NotFittedError):
        wormjax.Decoder().predict(WORMS[3])
    with pytest.raises(NotFittedError):
        wormjax.Forecaster().forecast(WORMS[3])


def test_probabilities_cover_every_frame_of_a_worm_without_states(decoder):
    probabilities = decoder.predict_proba(without_states(WORMS[3]))
    np.testing.assert_array_equal(probabilities, decoder.predict_proba(WORMS[3]))
    assert probabilities.shape == (len(WORMS[3].times), 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert set(decoder.predict(WORMS[3])) <= set(decoder.state_names_)
    assert "3 worms of simulated" in repr(decoder)


def test_a_recording_shorter_than_a_window_is_noted(decoder):
    short = {"traces": WORMS[3].traces[:10], "times": WORMS[3].times[:10], "neuron_names": WORMS[3].neuron_names}
    with pytest.warns(wormjax.RecordingWarning, match=r"its longest stretch lasts .* s: results are uncertain"):
        decoder.predict(wormjax.Recording(**short))


def test_a_worm_without_any_of_the_neurons_is_an_error_that_names_it(decoder):
    stranger = wormjax.Recording(traces=WORMS[3].traces, times=WORMS[3].times, worm="stranger")
    with pytest.raises(wormjax.InputError, match="worm 'stranger': found the named neurons none, expected some of"):
        decoder.predict([WORMS[3], stranger])


def test_a_decoder_gives_the_programs_rows(tmp_path, decoder, monkeypatch):
    monkeypatch.setattr("wormjax.tasks.decode.report.save_figures", lambda *_: None)  # They take time.
    config = load_config("generalize")
    config.data.simulation.update({"worms": 4, "minutes": 3.0})
    config.data.neurons = ",".join(decoder.neuron_names_)
    config.protocol.train_counts = (3,)
    config.models, config.baselines, config.seeds = ("mlp",), (), 1
    config.train.steps, config.train.steps_per_chunk, config.train.batch_windows = 40, 20, 8
    config.data.neurons = ",".join(set.intersection(*(set(worm.identified) for worm in STUDY)))
    generalize(config.lock(), tmp_path)
    rows = {row.metric: row.value for row in read_rows(tmp_path / "results.csv") if row.test_worm == WORMS[3].worm}
    again = wormjax.Decoder("mlp", **QUICK).set_params(neurons=config.data.neurons.split(","))
    table = again.fit([STUDY[0], STUDY[1], STUDY[3]]).evaluate(STUDY[2]).set_index("metric")["value"]
    assert rows["accuracy"] == pytest.approx(table["accuracy"], abs=1e-6)
    assert rows["nll"] == pytest.approx(table["nll"], abs=1e-5)
    from_workdir = wormjax.load_model(tmp_path)
    assert "trained on 3 of 4 worms of simulated, mean of 4 runs" in repr(from_workdir)
    assert from_workdir.score(STUDY[2]) == pytest.approx(rows["accuracy"], abs=1e-6)  # Only runs that have not seen it.


def test_the_seed_decides_the_model(decoder):
    same, other = (wormjax.Decoder("mlp", **QUICK).fit(WORMS[:3], seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(same.predict_proba(WORMS[3]), decoder.predict_proba(WORMS[3]))
    assert np.abs(other.predict_proba(WORMS[3]) - decoder.predict_proba(WORMS[3])).max() > 1e-4


@pytest.mark.parametrize("model", ["lda", "mlp", "nri_graph"])
def test_a_saved_decoder_decodes_as_before(tmp_path, model, decoder, graph_decoder):
    lda = wormjax.Decoder("lda", **QUICK).fit(WORMS[:3])
    fitted = {"lda": lda, "mlp": decoder, "nri_graph": graph_decoder}[model]
    fitted.save(tmp_path / "model")
    loaded = wormjax.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(WORMS[3]), fitted.predict_proba(WORMS[3]))
    assert loaded.state_names_ == fitted.state_names_
    assert loaded.model == model


def test_edges_are_probabilities_between_named_neurons(graph_decoder):
    fitted = graph_decoder
    decoding = fitted.decode(WORMS[3])
    edges = decoding.edge_probabilities
    assert edges.shape == (len(fitted.neuron_names_),) * 2
    assert (np.diag(edges) == 0).all()
    assert ((edges >= 0) & (edges <= 1)).all()
    listed = decoding.edges_to_pandas()
    assert len(listed) == edges.size - len(edges)
    first = listed.iloc[0]
    row, column = (fitted.neuron_names_.index(name) for name in (first.sender, first.receiver))
    assert edges[row, column] == first.probability == edges.max()
    with pytest.raises(wormjax.InputError, match="infers no graph"):
        wormjax.Decoder("lda", progress=False).fit(WORMS[:3]).edges(WORMS[3])


def test_a_table_has_a_row_per_frame(decoder):
    table = decoder.decode(WORMS[3]).to_pandas()
    assert list(table) == ["time", *decoder.state_names_, "state"]
    assert len(table) == len(WORMS[3].times)


def test_a_forecast_depends_on_no_frame_at_or_after_its_origin(forecaster):
    worm, origin = without_states(WORMS[3]), 120.0
    after = worm.times >= origin
    changed = worm.traces.copy()
    changed[after] = np.random.default_rng(0).normal(size=changed[after].shape) * 50
    other = wormjax.Recording(traces=changed, times=worm.times, neuron_names=worm.neuron_names)
    forecast, again = (forecaster.forecast(one, origin=origin, steps=8) for one in (worm, other))
    np.testing.assert_array_equal(forecast.mean, again.mean)
    np.testing.assert_array_equal(forecast.sd, again.sd)
    assert forecast.times[0] >= origin
    assert forecast.mean.shape == (8, len(forecaster.neuron_names_))


@pytest.mark.parametrize("model", ["nri_graph", pytest.param("nri_mixture", marks=pytest.mark.slow), "persistence"])
def test_intervals_hold_their_share_of_the_forecast(model, forecaster):
    fitted = forecaster if model == "nri_graph" else wormjax.Forecaster(model, **QUICK).fit(WORMS[:3])
    forecast = fitted.forecast(WORMS[3], origin=100.0, steps=4)
    random = np.random.default_rng(0)
    modes = random.choice(len(forecast.weights), 20_000, p=forecast.weights / forecast.weights.sum())
    noise = random.normal(size=(20_000, *forecast.mean.shape))
    samples = forecast.mode_means[modes] + forecast.mode_scales[modes] * noise
    low, high = forecast.interval(0.9)
    assert np.mean((samples >= low) & (samples <= high)) == pytest.approx(0.9, abs=0.005)
    np.testing.assert_allclose(forecast.sd, samples.std(axis=0), rtol=0.05)


def test_a_forecast_after_the_end_and_one_too_early(forecaster):
    worm = WORMS[3]
    assert forecaster.forecast(worm).times[0] == pytest.approx(worm.times[-1] + 1 / worm.frame_rate, abs=1e-6)
    with pytest.raises(wormjax.InputError, match=r"origin: found 2 s, which has \d frames"):
        forecaster.forecast(worm, origin=2.0)


def test_a_forecast_is_in_the_units_of_the_traces():
    worm = WORMS[3]
    forecast = wormjax.Forecaster("persistence", progress=False).fit(WORMS[:3]).forecast(worm, origin=100.0, steps=2)
    last = worm.traces[worm.times < 100.0][-1]
    expected = [last[worm.identified[name]] for name in forecast.neuron_names]
    np.testing.assert_allclose(forecast.mean[0], expected, rtol=1e-4, atol=1e-5)


def test_a_neuron_that_the_worm_lacks_is_not_forecast(forecaster):
    names = [None if name == "AVAL" else name for name in WORMS[3].neuron_names]
    worm = wormjax.Recording(traces=WORMS[3].traces, times=WORMS[3].times, neuron_names=names)
    with pytest.warns(wormjax.RecordingWarning, match="trained on simulated worms, and 'mine' is none"):
        forecast = forecaster.forecast(worm, origin=100.0, steps=2)
    lacking = np.array(forecast.neuron_names) == "AVAL"
    assert np.isnan(forecast.mean[:, lacking]).all()
    assert "12 of 13 neurons" in repr(forecast)
    assert set(forecast.to_pandas().neuron) == {*forecast.neuron_names} - {"AVAL"}
    assert np.isfinite(forecast.interval(0.9)[0][:, ~lacking]).all()


@pytest.mark.parametrize("scaling", ["zscore", "minmax", "robust"])
def test_a_forecast_is_in_the_units_of_traces_with_long_gaps_and_outliers(scaling):
    worm = WORMS[3]
    traces = worm.traces + 20.0  # Far from 0, which masked samples become.
    traces[50:120] = np.nan
    traces[200] = 1e6
    odd = wormjax.Recording(traces=traces, times=worm.times, neuron_names=worm.neuron_names)
    settings = {"data.scaling": scaling}
    fitted = wormjax.Forecaster("persistence", progress=False, settings=settings).fit(WORMS[:3])
    forecast = fitted.forecast(odd, origin=100.0, steps=2)
    last = traces[worm.times < 100.0][-1]
    expected = [last[worm.identified[name]] for name in forecast.neuron_names]
    # Against an outlier of 1e6, single precision keeps 0.1.
    np.testing.assert_allclose(forecast.mean[0], expected, atol=1e-3 if scaling == "robust" else 0.2)


def test_a_saved_forecaster_forecasts_as_before(tmp_path, forecaster):
    forecaster.save(tmp_path / "model")
    loaded = wormjax.load_model(tmp_path / "model")
    first, again = (one.forecast(WORMS[3], origin=100.0) for one in (forecaster, loaded))
    pd.testing.assert_frame_equal(first.to_pandas(), again.to_pandas())
    assert "3 worms" in repr(loaded)


def test_no_step_comes_before_the_origin_of_a_slower_recording(forecaster):
    slow = wormjax.Recording(
        traces=WORMS[3].traces[::3], times=WORMS[3].times[::3], neuron_names=WORMS[3].neuron_names, worm="slow"
    )
    with pytest.warns(wormjax.RecordingWarning, match="resampled from"):
        forecast = forecaster.forecast(slow, origin=120.4, steps=3)
    assert forecast.times[0] >= 120.4
    assert forecast.mean.shape[0] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"origin": 1e6}, "origin: found 1e.06 s, expected one within the recording"),
        ({"origin": float("nan")}, "origin: found nan s"),
        ({"origin": "late"}, "origin: found 'late', expected seconds"),
        ({"steps": 0}, "steps: found 0, expected 1 or more"),
        ({"steps": 1.5}, "steps: found 1.5, expected a whole number"),
        ({"steps": 5000}, "steps: found 5000, .* expected 64 at most"),
    ],
)
def test_what_cannot_be_forecast_is_named(forecaster, arguments, message):
    with pytest.raises(wormjax.InputError, match=message):
        forecaster.forecast(WORMS[3], **({"origin": 120.0} | arguments))
    assert forecaster.forecast(WORMS[3], origin=120.0, steps=np.int64(2)).mean.shape[0] == 2


def test_edges_of_a_neuron_that_the_worm_lacks_are_left_out(graph_decoder):
    names = [None if name == "AVAL" else name for name in WORMS[3].neuron_names]
    worm = wormjax.Recording(traces=WORMS[3].traces, times=WORMS[3].times, neuron_names=names)
    table = graph_decoder.decode(worm).edges_to_pandas()
    count = len(graph_decoder.neuron_names_)
    assert "AVAL" in graph_decoder.neuron_names_
    assert "AVAL" not in {*table.sender, *table.receiver}
    assert len(table) == (count - 1) * (count - 2)


def test_training_worms_are_named_when_they_are_scored(decoder):
    with pytest.warns(wormjax.RecordingWarning, match=f"worm {WORMS[0].worm!r} trained the model"):
        decoder.score(WORMS[0])
    with pytest.warns(wormjax.RecordingWarning, match=f"worm {WORMS[0].worm!r} trained the model"):
        wormjax.Forecaster("var_adapted", progress=False).fit(WORMS[:2]).evaluate(WORMS[0])
    with pytest.warns(wormjax.RecordingWarning, match=f"worm {WORMS[0].worm!r} trained the model"):
        wormjax.reconstruct(WORMS[0], WORMS[:3], "ridge_pairs", progress=False)
    with pytest.warns(wormjax.RecordingWarning, match="left out: it has the traces of"):
        twice = wormjax.Decoder("lda", progress=False).fit([WORMS[0], WORMS[0], WORMS[1]])
    assert len(twice.worms_) == 2


def test_parameters_may_be_arrays_and_numpy_numbers():
    neurons = np.array(["AVAL", "avar"])
    fitted = wormjax.Decoder("lda", neurons=neurons, progress=False, steps=np.int64(3)).fit(WORMS[:3], seed=np.int64(1))
    assert fitted.neuron_names_ == ("AVAL", "AVAR")
    assert "AVAL" in repr(fitted)
    for neurons, words in (([], "found \\[\\]"), ([1], "found \\[1\\]"), (None, "found None")):
        with pytest.raises(wormjax.InputError, match=f"neurons: {words}, expected 'shared' or names"):
            wormjax.Decoder("lda", neurons=neurons).fit(WORMS[:3])


def test_a_folder_of_other_files_is_not_written_to(tmp_path, decoder):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(wormjax.InputError, match="found a folder with other files"):
        decoder.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("file", ["model.json", "parameters.npz"])
def test_a_damaged_model_is_one_clear_error(tmp_path, decoder, file):
    decoder.save(tmp_path / "model")
    path = tmp_path / "model" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(wormjax.InputError, match=file):
        wormjax.load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "transformer"}, "found 'transformer', expected one of"),
        ({"settings": {"train.step": 5}}, "found no config field 'train.step', did you mean 'train.steps'"),
        ({"settings": {"train.steps": "many"}}, r"settings\['train.steps'\]: found 'many', expected int"),
        ({"settings": ["train.steps"]}, "settings: found list, expected fields by name"),
        ({"model": "nri_grap"}, "model: found 'nri_grap', expected one of: mlp, .*, lda_context"),
        ({"neurons": "all"}, "it lacks all .data.neurons: 'shared', 'any' or names."),
        ({"config": {"train.steps": 5}}, "config: found dict, expected a name, a file or a ConfigDict"),
        ({"config": "forecast"}, "found a config of 'forecast', expected one of 'generalize'"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(parameters, message):
    with pytest.raises(wormjax.InputError, match=message):
        wormjax.Decoder(**parameters).fit(WORMS[:3])


def test_models_of_other_estimators_are_named():
    for kind, last in ((wormjax.Forecaster, "var_known_worm"), (wormjax.Reconstructor, "gaussian")):
        with pytest.raises(wormjax.InputError, match=f"model: found 'lstmm', expected one of: .*, {last}"):
            kind("lstmm").fit(WORMS[:3])


def test_one_worm_is_too_few_to_reconstruct_others():
    with pytest.raises(wormjax.InputError, match=r"^worms: found 1, expected 2 or more"):
        wormjax.Reconstructor("ridge_pairs").fit(WORMS[:1])


def test_something_else_than_recordings_is_named():
    with pytest.raises(wormjax.InputError, match="worms: found ndarray, expected recordings"):
        wormjax.Decoder().fit([WORMS[0].traces])
