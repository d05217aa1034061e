"""From a config's recordings to datasets and splits; other recordings for models that are trained."""

import dataclasses
import weakref

import numpy as np
import pytest
from small_experiments import NEURONS, make_worms, small_config
from small_forecasts import small_config as small_forecast
from wormjax.configs import generalize

from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings import container
from wormjax.simulation.worms import simulate_worms
from wormjax.tasks.new_worms import build_new_dataset, prepare_new_worms
from wormjax.tasks.protocols import Split, list_config_splits, list_splits
from wormjax.tasks.worms import build_training_dataset, prepare_materials
from wormjax.training.workdir import describe_dataset


@pytest.fixture
def files(tmp_path):
    """Two studies: three worms, and two others in which one neuron is missing and the order is another."""
    container.write(tmp_path / "train.h5", make_worms(3))
    other = make_worms(2, first=3, neurons=("AVBL", "AVAR", "AVAL", "RID"), study="other")
    container.write(tmp_path / "test.h5", other)
    container.write(tmp_path / "fast.h5", make_worms(2, first=7, study="fast", rate=6.0))
    container.write(tmp_path / "more.h5", make_worms(4, first=1))
    return tmp_path


def config_of(files, train="train.h5", test="", **fields):
    names = {"data__study": "container", "data__path": str(files / train)}
    if test:
        names |= {"data__test_study": "container", "data__test_path": str(files / test)}
        names["protocol__name"] = "cross_study"
    return small_config(**names | fields)


def test_one_study_is_trained_and_tested_on_the_same_dataset(files):
    materials = prepare_materials(config_of(files))
    assert materials.dataset is materials.test_dataset
    assert materials.dataset.neuron_names == tuple(sorted(NEURONS))
    assert list(materials.splits) == list_splits("subsets", 3)


def test_across_studies_both_datasets_have_the_neurons_that_all_worms_share(files):
    materials = prepare_materials(config_of(files, test="test.h5"))
    assert materials.dataset.neuron_names == materials.test_dataset.neuron_names == ("AVAL", "AVAR", "AVBL")
    assert materials.test_dataset.worms == ("worm 3", "worm 4")
    assert list(materials.splits) == list_splits("cross_study", 3, 2)
    aligned = materials.test_dataset.arrays.features[0, :, 0, 0]
    trace = make_worms(1, first=3, neurons=("AVBL", "AVAR", "AVAL", "RID"))[0].traces[:, 2]
    np.testing.assert_allclose(aligned, (trace - trace.mean()) / trace.std(), atol=1e-4)


def test_studies_of_different_frame_rates_need_a_common_one(files):
    with pytest.raises(InputError, match=r"'data.frame_rate': found 0 .* 3.00 to 6.00 Hz, expected a common rate"):
        prepare_materials(config_of(files, test="fast.h5"))
    materials = prepare_materials(config_of(files, test="fast.h5", data__frame_rate=3.0))
    assert materials.test_dataset.frame_rate == 3.0


def test_across_studies_no_worm_trains_and_is_tested(files):
    """The same study again, or another file with one of its worms; in an evaluation such worms are left out."""
    for test in ("train.h5", "more.h5"):
        with pytest.raises(
            InputError, match=r"'data.test_path': found the worm 'worm \d' of 'mine', which also trains"
        ):
            prepare_materials(config_of(files, test=test))
    trained = prepare_materials(config_of(files, test="test.h5", data__neurons="AVAL,AVBL"))
    config = config_of(files, test="more.h5", data__neurons="AVAL,AVBL")
    dataset, splits = prepare_new_worms(config, describe_dataset(trained.dataset), trained.splits)
    assert dataset.worms == ("worm 1", "worm 2", "worm 3", "worm 4")
    for split in splits:
        assert {dataset.worms[worm] for worm in split.test} == {*dataset.worms} - {
            f"worm {worm}" for worm in split.train
        }


def test_the_other_study_must_be_named(files):
    with pytest.raises(InputError, match=r"'data.test_study': found none"):
        prepare_materials(config_of(files, protocol__name="cross_study"))


def test_new_worms_are_those_that_no_training_worm_is_named_like(files):
    trained = prepare_materials(config_of(files))
    description = describe_dataset(trained.dataset)
    dataset, splits = prepare_new_worms(config_of(files, "more.h5"), description, trained.splits)
    assert dataset.worms == ("worm 1", "worm 2", "worm 3", "worm 4")
    for split, was in zip(splits, trained.splits, strict=True):
        assert split.train == was.train
        tested = {dataset.worms[worm] for worm in split.test}
        assert tested == set(dataset.worms) - {f"worm {worm}" for worm in was.train}


def test_a_neuron_that_new_worms_lack_is_masked_and_named(files):
    trained = prepare_materials(config_of(files))
    with pytest.warns(RecordingWarning, match=r"worm 'worm 3': it lacks 1 of 4 neurons \(RIML\); these are masked"):
        dataset, _ = prepare_new_worms(config_of(files, "test.h5"), describe_dataset(trained.dataset), trained.splits)
    assert (dataset.arrays.features[:, :, dataset.neuron_names.index("RIML")] == 0).all()


def test_neurons_that_a_model_reads_by_their_class_are_not_counted_as_its_own(files):
    description = describe_dataset(prepare_materials(config_of(files)).dataset)
    worm = make_worms(1, first=5, neurons=("AVAL", "RIMR"))[0]
    with pytest.warns(RecordingWarning, match=r"it lacks 3 of 4 neurons \(AVAR, AVBL, RIML\)"):
        build_new_dataset(config_of(files), description, [worm], neurons=[*NEURONS, "RIMR"])


def test_new_worms_at_another_rate_are_resampled_to_that_of_the_training(files):
    trained = prepare_materials(config_of(files))
    with pytest.warns(RecordingWarning, match=r"resampled from 6.00 to 3.00 Hz, the rate of the training"):
        dataset, _ = prepare_new_worms(config_of(files, "fast.h5"), describe_dataset(trained.dataset), trained.splits)
    assert dataset.frame_rate == pytest.approx(3.0)


def test_a_worm_is_known_by_its_traces_whatever_it_is_called(files):
    trained = prepare_materials(config_of(files))
    old, new = make_worms(1)[0], make_worms(1, first=9)[0]
    renamed = [dataclasses.replace(old, worm="another"), dataclasses.replace(new, worm=old.worm)]
    container.write(files / "renamed.h5", renamed)
    dataset, splits = prepare_new_worms(
        config_of(files, "renamed.h5"), describe_dataset(trained.dataset), trained.splits
    )
    for split in splits:
        tested = {dataset.worms[worm] for worm in split.test}
        assert tested == ({"worm 0 (renamed)"} if 0 in split.train else {"worm 0 (renamed)", "another"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"motor_state": None, "state_names": ()}, "no motor state is scored"),
        ({"neuron_names": ("AVAL", None, None, None)}, "it has 1 named neurons, few of those that the others share"),
        (None, "it has the traces of 'worm 0'"),
        ("short", "its longest stretch has 10 frames, a window 16"),
    ],
)
def test_a_worm_that_cannot_be_used_is_left_out_by_name(files, change, reason):
    worms = list(make_worms(4))
    if change is None:
        worms[3] = dataclasses.replace(worms[0], worm=worms[3].worm)
    elif change == "short":
        worms[3] = make_worms(1, first=3, frames=10)[0]
    else:
        worms[3] = dataclasses.replace(worms[3], **change)
    container.write(files / "odd.h5", worms)
    with pytest.warns(RecordingWarning, match=rf"worm 'worm 3' is left out: {reason}"):
        materials = prepare_materials(config_of(files, "odd.h5"))
    assert materials.dataset.worms == ("worm 0", "worm 1", "worm 2")
    assert materials.dataset.neuron_names == tuple(sorted(NEURONS))


def test_doubtful_names_that_cost_many_shared_neurons_are_named(files):
    *worms, last = make_worms(3)
    doubtful = dataclasses.replace(
        last, neuron_names=[*last.neuron_names[:2], *(f"{n}?" for n in last.neuron_names[2:])]
    )
    container.write(files / "doubtful.h5", [*worms, doubtful])
    with pytest.warns(RecordingWarning, match=r"worm 'worm 2': its names \w+, \w+ are doubtful: these neurons"):
        assert len(prepare_materials(config_of(files, "doubtful.h5")).dataset.neuron_names) == 2


def test_no_worm_that_can_be_used_is_an_error_with_the_reason(files):
    container.write(
        files / "bare.h5", [dataclasses.replace(w, motor_state=None, state_names=()) for w in make_worms(2)]
    )
    with pytest.raises(InputError, match=r"bare.h5: found no worm .* 'worm 0': no motor state is scored"):
        prepare_materials(config_of(files, "bare.h5"))


def test_two_worms_of_one_name_are_told_apart(files):
    worms = make_worms(2)
    container.write(files / "labs.h5", [worms[0], dataclasses.replace(worms[1], worm=worms[0].worm, study="other lab")])
    materials = prepare_materials(config_of(files, "labs.h5"))
    assert materials.dataset.worms == ("mine/worm 0", "other lab/worm 0")


def test_simulated_worms_of_the_other_study_are_others():
    config = small_config(protocol__name="cross_study", data__test_study="simulated", data__simulation__worms=1)
    config.data.simulation.minutes = 1.0
    materials = prepare_materials(config)
    one, other = (dataset.arrays.features[0, :100, 0] for dataset in materials[:2])
    assert np.abs(one - other).max() > 0.5


def test_no_recording_outlives_the_dataset_that_is_made_of_it(monkeypatch):
    there = []

    def open_worms(study, path, simulation, frame_rate):
        worms = tuple(make_worms(2, first=2 * len(there)))
        there.extend(weakref.ref(worm) for worm in worms)
        return worms

    monkeypatch.setattr("wormjax.tasks.worms.open_recordings", open_worms)
    prepare_materials(small_config(protocol__name="cross_study", data__test_study="container"))
    assert len(there) == 4
    assert not any(worm() for worm in there)


def test_a_worm_with_few_scored_frames_does_not_train(files):
    worms = make_worms(3)
    few = np.where(np.arange(240) < 19, worms[0].motor_state, -1)
    container.write(files / "few.h5", [dataclasses.replace(worms[0], motor_state=few), *worms[1:]])
    with pytest.warns(RecordingWarning, match="worm 'worm 0' is left out: only 19 frames have a scored motor state"):
        materials = prepare_materials(config_of(files, "few.h5", protocol__train_counts=(1,)))
    assert [split.train for split in materials.splits] == [(0,), (1,)]
    forecast = small_forecast(data__study="container", data__path=str(files / "few.h5"), data__neurons="shared")
    assert prepare_materials(forecast).dataset.worms == ("worm 0", "worm 1", "worm 2")


def test_a_worm_too_short_to_forecast_is_left_out(files):
    container.write(files / "short.h5", [*make_worms(2), *make_worms(1, first=2, frames=10)])
    forecast = small_forecast(data__study="container", data__path=str(files / "short.h5"), data__neurons="shared")
    with pytest.warns(RecordingWarning, match="worm 'worm 2' is left out: its longest stretch has 10 frames, a window"):
        assert prepare_materials(forecast).dataset.worms == ("worm 0", "worm 1")


def test_a_new_worm_without_any_neuron_is_left_out(files):
    trained = prepare_materials(config_of(files))
    strange = make_worms(1, first=8, neurons=("I1L", "I2L", "I3", "I4"))
    container.write(files / "strange.h5", [*make_worms(1, first=7), *strange])
    with pytest.warns(RecordingWarning, match="worm 'worm 8' is left out: it has none of the model's neurons"):
        dataset, _ = prepare_new_worms(config_of(files, "strange.h5"), describe_dataset(trained.dataset), ())
    assert dataset.worms == ("worm 7",)
    container.write(files / "strange.h5", strange)
    with pytest.raises(InputError, match="found the named neurons I1L, I2L, I3, I4, expected some of AVAL"):
        prepare_new_worms(config_of(files, "strange.h5"), describe_dataset(trained.dataset), ())


def test_a_worm_that_trains_at_another_rate_is_resampled_to_that_of_the_others(files):
    container.write(files / "mixed.h5", [*make_worms(2), *make_worms(1, first=4, rate=9.0)])
    with pytest.warns(RecordingWarning, match=r"worm 'worm 4': resampled from 9.00 to 3.00 Hz"):
        dataset = prepare_materials(config_of(files, "mixed.h5")).dataset
    assert dataset.arrays.valid.sum(axis=1).tolist() == [240, 240, 80]


@pytest.mark.filterwarnings("ignore::wormjax.errors.RecordingWarning")
def test_frames_at_two_rates_are_placed_by_their_times(files):
    (worm,) = make_worms(1)
    times = np.cumsum(np.r_[np.full(140, 1 / 3), np.ones(100)])
    dataset = build_training_dataset(config_of(files), [dataclasses.replace(worm, times=times)])
    np.testing.assert_allclose(np.diff(dataset.times), 1 / 3)
    assert dataset.arrays.valid.sum() == 440


def test_worms_neurons_and_states_are_listed(files, caplog):
    caplog.set_level("INFO")
    prepare_materials(config_of(files))
    assert "3 worms of mine:" in caplog.text
    assert "worm 1: 240 frames, 1.3 min at 3.00 Hz, 100% with a scored state" in caplog.text
    assert "4 neurons: AVAL, AVAR, AVBL, RIML" in caplog.text


def test_a_pause_parts_a_worm(files):
    worms = make_worms(2)
    times = worms[0].times + 60.0 * (np.arange(240) >= 100)
    container.write(files / "pause.h5", [dataclasses.replace(worms[0], times=times), worms[1]])
    dataset = prepare_materials(config_of(files, "pause.h5")).dataset
    assert dataset.stretch_worm.tolist() == [0, 0, 1]
    assert dataset.arrays.valid.sum(axis=1).tolist() == [100, 140, 240]


def test_new_worms_without_a_state_of_the_model_are_said_to_get_no_score(files):
    trained = prepare_materials(config_of(files))
    bare = [dataclasses.replace(worm, motor_state=None) for worm in make_worms(1, first=7)]
    container.write(files / "bare.h5", bare)
    with pytest.warns(RecordingWarning, match="worm 'worm 7' has no scored motor state among .*: it gets no score"):
        prepare_new_worms(config_of(files, "bare.h5"), describe_dataset(trained.dataset), trained.splits)


def any_config(**fields):
    config = generalize.get_config()
    config.data.neurons = "any"
    config.data.update(fields)
    return config


def test_any_neurons_keep_worms_that_share_few_and_mask_what_each_lacks():
    config = any_config()
    config.data.simulation.update({"neurons": 30, "named": 0.6})
    dataset = prepare_materials(config).dataset
    assert len(dataset.neuron_names) > 25
    present = dataset.find_present()
    assert (present.sum(axis=1) < 25).all()
    assert present.any(axis=0).all()


def test_of_several_studies_those_not_tested_always_train_at_the_slower_rate_with_the_states_they_share():
    worms = simulate_worms(3, 2, 2.0).recordings
    others = [
        dataclasses.replace(
            worm,
            study="mine",
            worm=f"mine {number}",
            traces=worm.traces[::2],
            derivatives=None,
            times=worm.times[::2],
            motor_state=np.minimum(worm.motor_state[::2], 1),
            behavior={},
            stretches=(),
        )
        for number, worm in enumerate(simulate_worms(4, 2, 2.0).recordings)
    ]
    config = any_config(studies=("simulated", "mine"), test_study="mine")
    config.protocol.name = "leave_one_worm_out"
    dataset = build_training_dataset(config, [*worms, *others])
    assert dataset.state_names == ("reverse", "forward")
    assert dataset.worm_studies == ("simulated", "simulated", "mine", "mine")
    steps = [np.median(np.diff(dataset.times[k][dataset.arrays.valid[k]])) for k in range(4)]
    np.testing.assert_allclose(steps, 1 / dataset.frame_rate, rtol=0.15)
    assert list_config_splits(config, dataset.worm_studies, 0) == [Split((0, 1, 2), (3,)), Split((0, 1, 3), (2,))]
    config.data.test_study = "other"
    with pytest.raises(InputError, match=r"data\.test_study.*found 'other', expected one of simulated, mine"):
        list_config_splits(config, dataset.worm_studies, 0)
