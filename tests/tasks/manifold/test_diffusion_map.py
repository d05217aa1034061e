"""The diffusion map as decoder and forecaster: blind to the future and to other test worms, its departures learnt."""

import jax
import numpy as np
import pytest
from small_experiments import replace_arrays

from wormjax.baselines import loops
from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood
from wormjax.baselines.loops import Partition, fit_loops, share_states
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.features.forecast_origins import cut_future, cut_past, list_starts
from wormjax.recordings.motor_states import STATE_SETS
from wormjax.tasks.ahead.baselines import gather_worms
from wormjax.tasks.manifold import diffusion_map as loop_tasks
from wormjax.tasks.manifold.diffusion_map import SMALLEST_SCALE, _fit_departure, decode_dataset, forecast_starts

EMBEDDING = Embedding(delays=3, delay_frames=3)
NEIGHBOURHOOD = Neighbourhood(neighbours=5, apart_frames=5, density_frames=8.0)
PARTITION = Partition(phase_bins=24, attempts=2, cells=24)
STEPS, PERIOD, NEURONS = 16, 24.0, 3
TRAIN = (0, 1)


def make_dataset(frames=((300,), (260, 60), (240,), (200,)), noise=0.1, offset=0.0, seed=0):
    """Worms that go round a circle of about PERIOD frames, its quarters their motor states, each about a level."""
    lengths = [(worm, count) for worm, counts in enumerate(frames) for count in counts]
    longest = max(count for _, count in lengths)
    features = np.zeros((len(lengths), longest, NEURONS, 1), np.float32)
    states = np.full((len(lengths), longest), -1, np.int32)
    for stretch, (worm, count) in enumerate(lengths):
        random = np.random.default_rng([seed, stretch])
        phase = random.uniform(0, 2 * np.pi) + 2 * np.pi / PERIOD * np.cumsum(1 + 0.05 * random.normal(size=count))
        circle = np.stack([np.cos(phase), np.sin(phase), np.cos(phase + 1.0)], axis=1)
        level = offset * np.random.default_rng([seed, 99, worm]).normal(size=NEURONS)
        features[stretch, :count, :, 0] = circle + level + noise * random.normal(size=(count, NEURONS))
        states[stretch, :count] = (phase // (np.pi / 2)).astype(int) % 4
    valid = np.arange(longest) < np.array([count for _, count in lengths])[:, None]
    return Dataset(
        arrays=WormArrays(features, states, valid),
        scored_states=states.copy(),
        scored=valid.copy(),
        times=np.where(valid, np.arange(longest) / 3.0, 0.0),
        stretch_worm=np.array([worm for worm, _ in lengths], np.int32),
        worms=tuple(f"worm {worm}" for worm in range(len(frames))),
        neuron_names=tuple(f"N{neuron}" for neuron in range(NEURONS)),
        feature_names=("trace",),
        state_names=STATE_SETS["four"],
        study="made up",
        frame_rate=3.0,
    )


def fit(dataset, train=TRAIN):
    worms = gather_worms(dataset)
    stretches = [stretch for worm in train for stretch in worms[worm]]
    model = fit_loops([one.features[..., 0] for one in stretches], EMBEDDING, NEIGHBOURHOOD, PARTITION)
    return model, share_states(model, np.concatenate([one.states for one in stretches]), 4)


def change(dataset, stretch, start):
    """The dataset with other activity from frame `start` of a stretch on."""
    arrays = jax.tree.map(np.copy, dataset.arrays)
    part = arrays.features[stretch, start:]
    part[dataset.arrays.valid[stretch, start:]] = np.random.default_rng(5).normal(size=part.shape)[
        dataset.arrays.valid[stretch, start:]
    ]
    return replace_arrays(dataset, arrays)


def starts_of(dataset, *worms, first=16, every=8):
    starts = list_starts(dataset, first, every)
    return starts.of(np.isin(starts.worm, worms))


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def fitted(dataset):
    return fit(dataset)


def test_decoding_is_right_on_a_circle_and_nowhere_but_in_the_worms_asked_about(dataset, fitted):
    probabilities = decode_dataset(*fitted, dataset, (1, 3))
    asked = np.isin(dataset.stretch_worm, (1, 3))[:, None] & dataset.arrays.valid
    np.testing.assert_allclose(probabilities[asked].sum(axis=1), 1.0, rtol=1e-5)
    assert not probabilities[~asked].any()
    test = dataset.stretches_of(3)[0]
    true, given = dataset.arrays.states[test, 16:200], probabilities[test, 16:200]
    assert np.mean(given.argmax(axis=1) == true) > 0.8


def test_decoding_and_forecasts_know_nothing_of_later_frames(dataset, fitted):
    stretch, cut = dataset.stretches_of(2)[0], 104
    other = change(dataset, stretch, cut)
    before, after = (decode_dataset(*fitted, one, (2,))[stretch] for one in (dataset, other))
    np.testing.assert_array_equal(before[:cut], after[:cut])
    assert np.abs(before[cut] - after[cut]).max() > 1e-3
    starts = starts_of(dataset, 2)
    before, after = (forecast_starts(fitted[0], one, starts, STEPS, TRAIN) for one in (dataset, other))
    blind = starts.frame <= cut
    assert blind.any()
    assert (starts.frame == cut).any()
    np.testing.assert_array_equal(before.mean[blind], after.mean[blind])
    assert np.abs(before.mean[~blind] - after.mean[~blind]).max() > 0.1


def test_what_is_learnt_for_a_split_depends_on_its_training_worms_alone(dataset, fitted):
    other = change(dataset, dataset.stretches_of(2)[0], 0)
    starts = starts_of(dataset, 3)
    before, after = (forecast_starts(fitted[0], one, starts, STEPS, TRAIN) for one in (dataset, other))
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.scale, after.scale)
    trained = change(dataset, dataset.stretches_of(1)[1], 30)
    changed = forecast_starts(fitted[0], trained, starts, STEPS, TRAIN)
    assert np.abs(changed.scale - before.scale).max() > 1e-3


@pytest.mark.parametrize("train", [(0, 1), (1, 0), (1,)])
def test_what_goes_round_is_forecast_with_its_error(dataset, train):
    model, _ = fit(dataset, train)
    starts = starts_of(dataset, 2, 3, every=3)
    spread = forecast_starts(model, dataset, starts, STEPS, train)
    future, there = cut_future(dataset, starts, STEPS)
    error = (future - spread.center)[there]
    last = cut_past(dataset, starts, 1)
    static = (future - last)[there]
    assert np.mean(error**2) < 0.15 * np.mean(static**2)
    assert np.std(error / spread.scale[:, 0][there]) == pytest.approx(1.0, abs=0.3)
    assert spread.mean.shape == spread.scale.shape == (len(starts.frame), 1, STEPS, NEURONS, 1)
    np.testing.assert_array_equal(spread.weights, 1.0)


@pytest.mark.parametrize("train", [(0, 1), (1,)])
def test_training_worms_are_placed_by_frames_of_others(dataset, train, monkeypatch):
    """Each frame of them once by the others, of a lone worm by those of its other half."""
    model, _ = fit(dataset, train)
    asked, place = [], loops.place_worm

    def note(by, traces, frames):
        asked.append((by, traces))
        return place(by, traces, frames)

    monkeypatch.setattr(loops, "place_worm", note)
    starts = starts_of(dataset, 3)
    forecast_starts(model, dataset, starts, STEPS, train)
    *training, (last, _) = asked
    assert last is model
    stretches = [stretch for worm in train for stretch in dataset.stretches_of(worm)]
    traces = [dataset.arrays.features[stretch][dataset.arrays.valid[stretch]][..., 0] for stretch in stretches]
    assert sum(len(one) for _, one in training) == sum(map(len, traces))
    places = {tuple(place): frame for frame, place in enumerate(model.places.places)}
    for by, part in training:
        used = np.array([places[tuple(place)] for place in by.places.places])
        own = np.flatnonzero((np.concatenate(traces)[:, None] == part).all(axis=-1).any(axis=1))
        assert len(own) == len(part)
        assert len(used)
        assert not set(own) & set(used)


def test_a_worm_s_own_level_stays_in_its_forecasts(monkeypatch):
    dataset = make_dataset(frames=((300,),) * 5, offset=0.15, noise=0.03)
    train = (0, 1, 2, 3)
    model, _ = fit(dataset, train)
    starts = starts_of(dataset, 4)
    future, there = cut_future(dataset, starts, STEPS)

    def measure_error():
        center = forecast_starts(model, dataset, starts, STEPS, train).center
        return np.mean((future - center)[there] ** 2)

    own = measure_error()
    monkeypatch.setattr(loop_tasks, "_fit_departure", lambda *parts: (np.zeros(STEPS), _fit_departure(*parts)[1]))
    assert own < 0.7 * measure_error()


def test_the_departure_s_share_and_the_scale_of_what_is_missed():
    random = np.random.default_rng(0)
    carried = random.normal(size=(400, 3, 2))
    departure = random.normal(size=(400, 2))
    error = np.array([0.5, 0.2]) * random.normal(size=(400, 2))
    future = np.stack([carried[:, 1] + departure, carried[:, 2] + error], axis=1)
    keep, scale = _fit_departure(carried[:, 0] + departure, future, carried)
    assert keep[0] == pytest.approx(1.0)
    assert keep[1] == pytest.approx(0.0, abs=0.05)
    np.testing.assert_array_equal(scale[0], SMALLEST_SCALE)  # Nothing is missed, and yet not certain.
    missed = future[:, 1] - carried[:, 2] - keep[1] * departure
    np.testing.assert_allclose(scale[1], np.sqrt((missed**2).mean(axis=0)))
    keep, _ = _fit_departure(carried[:, 0] + departure, np.stack([carried[:, 1] - departure] * 2, axis=1), carried)
    assert keep[0] == 0.0  # A departure that turns round is none that is left.


def test_steps_that_few_or_no_training_starts_reach():
    random = np.random.default_rng(0)
    carried, past = random.normal(size=(50, 4, 2)), random.normal(size=(50, 2))
    future = carried[:, 1:] + random.normal(size=(50, 3, 2))
    whole = _fit_departure(past[:20], future[:20], carried[:20])
    future[20:, 1], future[:, 2] = np.nan, np.nan
    keep, scale = _fit_departure(past, future, carried)
    assert keep[1] == whole[0][1]
    np.testing.assert_array_equal(scale[1], whole[1][1])
    assert keep[2] == 0.0
    np.testing.assert_array_equal(scale[2], scale[:2].max())


@pytest.mark.parametrize(
    ("frames", "train"),
    [
        (((62,), (200,)), (0,)),  # Each half holds fewer neighbours, that far apart, than the model asks for.
        (((300,), (30,), (200,)), (0, 1)),  # Likewise what is left for the long worm.
        (((150, 1, 150), (200,)), (0,)),  # The second half begins with a lone frame.
        (((301, 2, 1), (1, 150), (200,)), (0, 1)),
    ],
)
def test_short_worms_and_stretches_leave_no_gap_and_no_false_certainty(frames, train):
    dataset = make_dataset(frames)
    model, _ = fit(dataset, train)
    starts = starts_of(dataset, len(frames) - 1)
    spread = forecast_starts(model, dataset, starts, STEPS, train)
    assert np.isfinite(spread.mean).all()
    future, there = cut_future(dataset, starts, STEPS)
    error = (future - spread.center)[there]
    assert np.abs(error).mean() < 1.0
    assert 0.4 < np.std(error / spread.scale[:, 0][there]) < 2.0
