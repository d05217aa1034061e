"""Worms become one padded array: nothing crosses from worm to worm or over a break, and nonsense is refused."""

import dataclasses
import tracemalloc
import warnings
import weakref

import jax
import numpy as np
import pytest

from wormjax.errors import InputError, RecordingWarning
from wormjax.features.dataset import build_dataset
from wormjax.features.derivatives import causal_derivative, smoothed_derivative
from wormjax.features.scaling import SCALINGS, scale_features
from wormjax.recordings.motor_states import FOUR_STATES, STATE_SETS, TWO_STATES
from wormjax.recordings.recording import UNSCORED

NEURONS = ("RID", "AVAL")
COLUMNS = [2, 0]
INPUTS = ("trace", "causal_derivative", "smoothed_derivative")


@pytest.fixture
def broken_worm(make_recording):
    """One worm of 40 frames at 4 Hz with a pause of a minute, and a jump of the traces, after frame 25."""
    whole = make_recording()
    traces, times = whole.traces.copy(), whole.times.copy()
    traces[25:] += 100.0
    times[25:] += 60.0
    return make_recording(traces=traces, times=times, stretches=((0, 25), (25, 40)))


def test_features_stand_in_the_order_of_the_names(make_recording):
    recording = make_recording(derivatives=np.random.default_rng(4).normal(size=(40, 4)))
    inputs = ("source_derivative", *INPUTS)
    dataset = build_dataset([recording], NEURONS, inputs, "none", derivative_seconds=(1.0, 3.0))
    assert dataset.feature_names == (
        "source_derivative",
        "trace",
        "causal_derivative 1 s",
        "causal_derivative 3 s",
        "smoothed_derivative 1 s",
        "smoothed_derivative 3 s",
    )
    assert dataset.neuron_names == NEURONS
    traces = recording.traces[:, COLUMNS]
    expected = [
        recording.derivatives[:, COLUMNS],
        traces,
        causal_derivative(traces, 4.0, 1.0),
        causal_derivative(traces, 4.0, 3.0),
        smoothed_derivative(traces, 4.0, 1.0),
        smoothed_derivative(traces, 4.0, 3.0),
    ]
    np.testing.assert_allclose(dataset.arrays.features[0], np.stack(expected, axis=-1), rtol=1e-5, atol=1e-5)


def test_states_are_mapped_to_the_common_ones(make_recording):
    recording = make_recording()
    for state_set, names in (("four", FOUR_STATES), ("two", TWO_STATES)):
        dataset = build_dataset([recording], NEURONS, state_set=state_set)
        assert dataset.state_names == names
        table = np.array([names.index("forward"), names.index("reverse"), UNSCORED])
        np.testing.assert_array_equal(dataset.arrays.states[0], table[recording.motor_state])
        np.testing.assert_array_equal(dataset.scored_states, dataset.arrays.states)


def test_shorter_stretches_are_padded_with_frames_that_are_not_valid(make_recording):
    dataset = build_dataset([make_recording("w1"), make_recording("w2", frames=30)], NEURONS)
    features, states, valid, _ = dataset.arrays
    assert features.shape == (2, 40, 2, 2)
    assert features.dtype == np.float32
    assert valid.sum(axis=1).tolist() == [40, 30]
    assert valid[1, :30].all()
    assert not features[1, 30:].any()
    assert (states[1, 30:] == UNSCORED).all()
    assert (dataset.scored_states[1, 30:] == UNSCORED).all()
    assert not dataset.times[1, 30:].any()
    assert abs(features[1, :30]).min(axis=(1, 2)).max() > 0


def test_a_break_parts_a_worm_into_stretches_of_its_own(broken_worm, make_recording):
    dataset = build_dataset([make_recording("w0"), broken_worm], NEURONS)
    assert dataset.stretch_worm.tolist() == [0, 1, 1]
    assert [dataset.stretches_of(worm) for worm in (0, 1)] == [[0], [1, 2]]
    assert dataset.worms == ("w0", "w1")
    assert dataset.arrays.valid.sum(axis=1).tolist() == [40, 25, 15]
    np.testing.assert_array_equal(dataset.times[2, :15], broken_worm.times[25:])


@pytest.mark.parametrize("frame_rate", [0.0, 2.0])
def test_stretches_mix_as_little_as_two_recordings_do(broken_worm, make_recording, frame_rate):
    parts = [
        make_recording(
            f"part {k}",
            traces=broken_worm.traces[part],
            times=broken_worm.times[part],
            motor_state=broken_worm.motor_state[part],
        )
        for k, part in enumerate((slice(0, 25), slice(25, 40)))
    ]
    settings = {"inputs": INPUTS, "scaling": "none", "derivative_seconds": (3.0,), "frame_rate": frame_rate}
    one, two = build_dataset([broken_worm], NEURONS, **settings), build_dataset(parts, NEURONS, **settings)
    np.testing.assert_allclose(one.arrays.features, two.arrays.features, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(one.arrays.states, two.arrays.states)
    np.testing.assert_allclose(one.times, two.times)
    # The jump of 100 between the stretches is in no derivative.
    assert abs(one.arrays.features[..., 1:]).max() < 20


def test_stretches_of_one_worm_share_one_scale(broken_worm):
    features, _, valid, _ = build_dataset([broken_worm], NEURONS, ("trace",), "zscore").arrays
    together = np.concatenate([features[0][valid[0]], features[1][valid[1]]])
    np.testing.assert_allclose(together.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(together.std(axis=0), 1.0, rtol=1e-4)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_worm_never_depends_on_another(make_recording, scaling):
    worm, other = make_recording("w1"), make_recording("w2", seed=1, frames=60, rate=3.0)
    changed = make_recording("w2", seed=1, frames=60, rate=3.0, traces=other.traces * 50 - 7)
    settings = {"inputs": INPUTS, "scaling": scaling, "calibration_seconds": 3.0}
    alone = build_dataset([worm], NEURONS, **settings).arrays.features[0]
    for companion in (other, changed):
        beside = build_dataset([worm, companion], NEURONS, **settings).arrays.features[0]
        np.testing.assert_array_equal(beside[:40], alone)


def test_a_worm_scaled_by_itself_does_not_know_its_gain_and_offset(make_recording):
    worm = make_recording()
    brighter = make_recording(traces=worm.traces * 3.0 + 2.0)
    first, second = (build_dataset([w], NEURONS, INPUTS, "zscore").arrays.features for w in (worm, brighter))
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_calibration_frames_are_trained_on_but_not_scored(broken_worm):
    states = np.zeros(40, int)
    worm = type(broken_worm)(**(vars(broken_worm) | {"motor_state": states}))
    dataset = build_dataset([worm], NEURONS, ("trace",), "calibration", calibration_seconds=7.5)
    # 30 frames at 4 Hz: all 25 of the first stretch and 5 of the second.
    assert (dataset.scored_states[0] == UNSCORED).all()
    assert (dataset.scored_states[1, :5] == UNSCORED).all()
    assert (dataset.scored_states[1, 5:15] != UNSCORED).all()
    assert (dataset.arrays.states[dataset.arrays.valid] != UNSCORED).all()
    early = np.concatenate([dataset.arrays.features[0, :25], dataset.arrays.features[1, :5]])
    np.testing.assert_allclose(early.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(early.std(axis=0), 1.0, rtol=1e-4)


def test_a_common_frame_rate_brings_worms_together(make_recording):
    # The same slow course, recorded at two rates.
    def course(times):
        return np.stack([np.sin(times / 5 + k) for k in range(4)], axis=1)

    worms = []
    for name, rate in (("w1", 4.0), ("w2", 2.6)):
        times = np.arange(int(40 * rate)) / rate
        worms.append(make_recording(name, len(times), rate, traces=course(times)))
    dataset = build_dataset(worms, NEURONS, INPUTS, "none", frame_rate=2.0)
    assert dataset.frame_rate == 2.0
    frames = dataset.arrays.valid.all(axis=0)
    assert frames.sum() > 75
    np.testing.assert_allclose(np.diff(dataset.times[:, frames]), 0.5)
    inner = slice(12, 70)
    first, second = dataset.arrays.features[:, inner]
    np.testing.assert_allclose(first, second, atol=0.02)


def test_without_a_common_rate_each_worm_keeps_its_own_frames(make_recording):
    worms = [make_recording("w1", rate=4.0), make_recording("w2", rate=3.0), make_recording("w3", rate=2.5)]
    dataset = build_dataset(worms, NEURONS)
    assert dataset.frame_rate == pytest.approx(3.0)
    for row, worm in zip(dataset.times, worms, strict=True):
        np.testing.assert_array_equal(row, worm.times)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inputs": ("source_derivative",)}, ["w1.mat", "'derivatives'", "found none", "data.inputs"]),
        ({"inputs": ("causal_derivative",), "derivative_seconds": ()}, ["'data.derivative_seconds'", "found none"]),
    ],
)
def test_nonsense_is_refused_in_one_line(make_recording, settings, words):
    with pytest.raises(InputError) as caught:
        build_dataset([make_recording()], **({"neuron_names": NEURONS} | settings))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_worm_without_motor_states_has_no_scored_frame(make_recording):
    dataset = build_dataset([make_recording(motor_state=None)], NEURONS)
    assert (dataset.scored_states == UNSCORED).all()
    assert dataset.scored.any()


def test_a_neuron_that_a_worm_lacks_is_masked_and_changes_no_other(make_recording):
    names = (*NEURONS, "AVAR")
    features = build_dataset([make_recording()], names, INPUTS).arrays.features
    assert (features[..., -1, :] == 0).all()
    np.testing.assert_array_equal(
        features[..., :-1, :], build_dataset([make_recording()], NEURONS, INPUTS).arrays.features
    )


@pytest.mark.parametrize("frame_rate", [0.0, 2.0])
def test_short_gaps_are_interpolated_and_long_ones_masked(make_recording, frame_rate):
    worm = make_recording()
    traces = worm.traces.copy()
    column = worm.identified[NEURONS[0]]
    traces[10:13, column] = np.nan  # 4 Hz: from 9 to 13 is 1 s.
    traces[20:36, column] = np.nan
    broken = make_recording(traces=traces)
    kept, masked = (
        build_dataset([broken], NEURONS, ("trace",), "none", frame_rate=frame_rate, missing=missing).arrays.features
        for missing in ("interpolate", "mask")
    )
    assert np.isfinite(kept).all()
    rate = frame_rate or 4.0
    short, long = int(11 / 4 * rate), int(28 / 4 * rate)
    assert kept[0, short, 0, 0] != 0 == masked[0, short, 0, 0]
    assert kept[0, long, 0, 0] == masked[0, long, 0, 0] == 0
    if not frame_rate:
        np.testing.assert_allclose(
            kept[0, 9:14, 0, 0], np.linspace(traces[9, column], traces[13, column], 5), rtol=1e-5
        )
        np.testing.assert_array_equal(
            kept[0, :10], worm.traces[:10, [worm.identified[n] for n in NEURONS], None].astype("f4")
        )


def test_robust_scaling_is_not_moved_by_outliers(make_recording):
    worm = make_recording()
    traces = worm.traces.copy()
    traces[5, worm.identified[NEURONS[0]]] = 1e9
    plain, wild = (
        build_dataset([one], NEURONS, ("trace",), "robust").arrays.features
        for one in (worm, make_recording(traces=traces))
    )
    assert wild[0, 5, 0, 0] == 10.0
    assert np.abs(np.delete(wild - plain, 5, axis=1)).max() < 0.5


def test_each_worm_may_be_resampled_by_itself(make_recording):
    worms = [make_recording("w1"), make_recording("w2", seed=1)]
    dataset = build_dataset(worms, NEURONS, ("trace",), "none", frame_rate=[0.0, 2.0])
    np.testing.assert_array_equal(dataset.times[0], worms[0].times)
    assert np.diff(dataset.times[1])[0] == pytest.approx(0.5)


def test_other_names_of_states(make_recording):
    names = ("roaming", "dwelling", "omega", "pause")
    worm = make_recording(state_names=names)
    with pytest.warns(RecordingWarning, match="roaming, dwelling, omega, pause, none of which is known"):
        assert build_dataset([worm], NEURONS).state_names == names
    assert build_dataset([worm], NEURONS, state_set="own").state_names == names
    state_map = {"roaming": "forward", "dwelling": "reverse", "omega": "ventral turn", "pause": "nostate"}
    mapped = build_dataset([worm], NEURONS, state_map=state_map)
    assert mapped.state_names == STATE_SETS["four"]
    expected = np.array([1, 0, 3, -1])[worm.motor_state]
    np.testing.assert_array_equal(mapped.arrays.states[0], np.where(worm.motor_state < 0, -1, expected))
    with pytest.raises(InputError, match=r"'state_names': found 'pause', .*data.state_map='pause=forward'"):
        build_dataset([worm], NEURONS, state_map={name: state_map[name] for name in names[:3]})


def test_calibration_that_leaves_nothing_to_score_is_refused(make_recording):
    with pytest.raises(
        InputError, match=r"worm 'w1', field 'times': found 40 frames at 4\.00 Hz, expected more than 60 s"
    ):
        build_dataset([make_recording()], NEURONS, scaling="calibration", calibration_seconds=60.0)


def test_a_worm_does_not_depend_on_when_it_is_put_into_the_array(make_recording):
    worms = [make_recording(f"w{k}", frames=40 - 5 * k, seed=k) for k in range(4)]
    settings = {"inputs": INPUTS, "scaling": "zscore", "trace_weight": 0.3}
    together = build_dataset(worms, NEURONS, **settings)
    listed = list(worms)
    released = build_dataset(listed, NEURONS, **settings, release=True)
    assert listed == [None] * 4
    for one, other in zip(released.arrays, together.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    for row, worm in enumerate(worms):
        alone = build_dataset([worm], NEURONS, **settings)
        frames = len(worm.times)
        np.testing.assert_array_equal(together.arrays.features[row, :frames], alone.arrays.features[0])
        np.testing.assert_array_equal(together.scored_states[row, :frames], alone.scored_states[0])


def test_a_worm_that_is_released_is_gone_before_the_next_one_is_scaled(make_recording, monkeypatch):
    worms = [make_recording(f"w{k}") for k in range(5)]
    there, alive = [weakref.ref(worm) for worm in worms], []

    def scale(features, *settings):
        alive.append(sum(worm() is not None for worm in there))
        return scale_features(features, *settings)

    monkeypatch.setattr("wormjax.features.dataset.scale_features", scale)
    build_dataset(worms, NEURONS, release=True)
    assert alive == [5, 4, 3, 2, 1]


def test_memory_beside_the_array_does_not_grow_with_the_number_of_worms(make_recording):
    def measure_excess(count):
        worms = [make_recording(f"w{k}", frames=4000, seed=k) for k in range(count)]
        tracemalloc.start()
        dataset = build_dataset(worms, NEURONS, INPUTS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        kept = [*dataset.arrays, dataset.scored_states, dataset.scored, dataset.times]
        return peak - sum(array.nbytes for array in kept), dataset.arrays.features[0].nbytes

    few, worm = measure_excess(2)
    many, _ = measure_excess(20)
    assert many < few + 3 * worm  # What is kept in bytes and small integers, of 18 more worms.
    assert few < 12 * worm  # A worm in float64, a few times over.


def test_a_device_takes_the_array_as_it_is(make_recording):
    if jax.default_backend() != "cpu":
        pytest.skip("only a CPU reads the host's memory")
    for frames in range(40, 50):  # Any one array might begin at a fit address by chance.
        features = build_dataset([make_recording(frames=frames)], NEURONS).arrays.features
        placed = jax.device_put(features, jax.local_devices()[0])
        assert placed.unsafe_buffer_pointer() == features.ctypes.data


@pytest.mark.parametrize("frame_rate", [0.0, 1.0, 2.0, 9.0])
def test_a_causal_dataset_depends_on_no_later_frame(make_recording, frame_rate):
    """Whether the rate falls or rises, and where samples are missing."""
    whole = make_recording(frames=120)
    traces = np.array(whole.traces)
    traces[50:53, 0] = np.nan
    changed = traces.copy()
    changed[53:] += 100.0
    features = []
    for values in (traces, changed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            worm = dataclasses.replace(whole, traces=values)
            dataset = build_dataset([worm], NEURONS, ("trace",), "none", frame_rate=frame_rate, causal=True)
        features.append(dataset.arrays.features[0][dataset.times[0] < whole.times[53] - 1e-5])
    np.testing.assert_array_equal(*features)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_missing_samples_are_filled_or_masked(make_recording, scaling):
    whole = make_recording()  # 4 Hz: a gap of 3 s is filled.
    traces = whole.traces.copy()
    traces[10:13, 2] = np.nan
    traces[20:35, 0] = np.nan
    settings = {"inputs": INPUTS, "scaling": scaling, "calibration_seconds": 4.0}
    features = build_dataset([make_recording(traces=traces)], NEURONS, **settings).arrays.features[0]
    assert np.isfinite(features).all()
    assert not features[20:35, 1].any()
    assert features[np.r_[:20, 35:40], 1].any(axis=1).all()
    line = np.diff(features[9:14, 0, 0])
    np.testing.assert_allclose(line, line[0], rtol=1e-3, atol=1e-5)
    masked = build_dataset([make_recording(traces=traces)], NEURONS, **settings, missing="mask").arrays.features[0]
    assert not masked[10:13, 0].any()
    known = np.r_[:20, 35:40]
    if scaling == "zscore":
        np.testing.assert_allclose(features[known, 1, 0].mean(), 0.0, atol=1e-5)
        np.testing.assert_allclose(features[known, 1, 0].std(), 1.0, rtol=1e-4)


def test_causal_features_hold_the_last_sample(make_recording):
    traces = make_recording().traces.copy()
    traces[10:13, 2] = np.nan
    other = traces.copy()
    other[13:] += 5.0
    one, two = (
        build_dataset([make_recording(traces=t)], NEURONS, ("trace", "causal_derivative"), "none", causal=True)
        for t in (traces, other)
    )
    np.testing.assert_array_equal(one.arrays.features[0, :13], two.arrays.features[0, :13])
    np.testing.assert_array_equal(one.arrays.features[0, 10:13, 0, 0], np.float32(traces[9, 2]))


def test_a_gap_in_one_stretch_leaves_the_others_alone(broken_worm, make_recording):
    traces = broken_worm.traces.copy()
    traces[27:29, 0] = np.nan
    broken = make_recording(traces=traces, times=broken_worm.times, stretches=broken_worm.stretches)
    features = build_dataset([broken], NEURONS, ("trace",), "none").arrays.features
    np.testing.assert_array_equal(features[0, :25, 1, 0], np.float32(traces[:25, 0]))
    np.testing.assert_allclose(np.diff(features[1, 1:5, 1, 0], 2), 0.0, atol=1e-4)


def test_targets_are_in_the_dataset_in_their_own_units_and_nan_where_nobody_scored_them(make_recording):
    velocity = np.linspace(-0.1, 0.2, 40)
    velocity[7] = np.nan
    with_it = make_recording("w1", behavior={"velocity": velocity})
    dataset = build_dataset([with_it, make_recording("w2")], ("AVAL",), targets=("velocity",))
    assert dataset.target_names == ("velocity",)
    np.testing.assert_allclose(dataset.measured[0, :40, 0], velocity, rtol=1e-6)
    assert np.isnan(dataset.measured[1]).all()


def test_a_resampled_target_is_nan_near_what_nobody_scored_and_keeps_its_course_elsewhere(make_recording):
    worm = make_recording("w1")
    velocity = np.sin(worm.times / 3)
    velocity[20] = np.nan
    worm = make_recording("w1", behavior={"velocity": velocity})
    dataset = build_dataset([worm], ("AVAL",), targets=("velocity",), frame_rate=worm.frame_rate / 2)
    found, times = dataset.measured[0, :, 0], dataset.times[0]
    assert np.isnan(found).sum() == 1
    scored = np.isfinite(found)
    np.testing.assert_allclose(found[scored], np.sin(times[scored] / 3), atol=0.05)


def test_which_neurons_each_worm_has(make_recording):
    worms = [make_recording("w1"), make_recording("w2", neuron_names=("AVAL", None, "AVBR", None))]
    dataset = build_dataset(worms, ("AVAL", "AVBR", "RID"))
    np.testing.assert_array_equal(dataset.find_present(), [[True, True, True], [True, True, False]])


def test_targets_that_train_are_scaled_by_worm_and_cut_where_they_are_outliers(make_recording):
    velocity = np.random.default_rng(0).normal(size=40) * 0.1 + 0.05
    velocity[3] = 40.0
    dataset = build_dataset([make_recording(behavior={"velocity": velocity})], ("AVAL",), targets=("velocity",))
    scaled = dataset.arrays.behavior[0, :40, 0]
    np.testing.assert_allclose(scaled, np.clip((velocity - velocity.mean()) / velocity.std(), -3, 3), rtol=1e-5)
    assert scaled[3] == 3.0
    assert dataset.measured[0, 3, 0] == 40.0


def test_the_activity_of_all_neurons_is_kept_where_somebody_reads_it(make_recording):
    worm = make_recording(neuron_names=("AVAL", None, None, None))
    plain = build_dataset([worm], ("AVAL",))
    whole = build_dataset([worm], ("AVAL",), everything=True)
    np.testing.assert_array_equal(plain.arrays.features, whole.arrays.features)
    assert plain.activity is None
    assert whole.activity.shape == (1, 40, 4 * 2)
    np.testing.assert_allclose(whole.activity[0, :, :2], plain.arrays.features[0, :, 0], rtol=1e-6)
    several = build_dataset([worm], ("AVAL",), derivative_seconds=(5.0, 9.0), everything=True)
    np.testing.assert_allclose(several.activity, whole.activity, rtol=1e-6)
