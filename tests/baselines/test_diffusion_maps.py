"""Asymmetric diffusion maps against plain loops of what was published, and the phase of signals that go round."""

import numpy as np
import pytest
from scipy import sparse
from scipy.ndimage import gaussian_filter1d

from wormjax.baselines.diffusion_maps import (
    Embedding,
    Neighbourhood,
    build_places,
    build_transitions,
    embed_delays,
    find_neighbours,
    find_phase,
    measure_noise,
    weigh_distances,
)
from wormjax.errors import InputError

EMBEDDING = Embedding(delays=3, delay_frames=2)
NEIGHBOURHOOD = Neighbourhood(neighbours=4, apart_frames=5, noise_frames=3, density_frames=4.0)


def go_round(frames, period, seed=0, neurons=3, noise=0.05):
    """Neurons that follow one noisy circle, each at its own lag."""
    random = np.random.default_rng(seed)
    angle = 2 * np.pi * (np.arange(frames)[:, None] / period + np.arange(neurons) / neurons / 1.7)
    return np.sin(angle) + noise * random.standard_normal((frames, neurons))


@pytest.fixture(scope="module")
def stretches():
    return [go_round(130, 31.0, seed=1), go_round(120, 26.0, seed=2)]


@pytest.fixture(scope="module")
def places(stretches):
    return build_places(stretches, EMBEDDING, NEIGHBOURHOOD)


def find_plainly(query, query_noise, places, options, taken=None):
    """The nearest frames of one query, one after another, each apart from those before."""
    away = [(((query - place) / (query_noise * noise)) ** 2).sum() for place, noise in zip(*places[::2], strict=True)]
    chosen = [] if taken is None else [taken]
    found = []
    for frame in np.argsort(away):
        if all(abs(frame - other) >= options.apart_frames for other in chosen):
            chosen.append(frame)
            found.append(frame)
        if len(found) == options.neighbours:
            return found, [away[frame] for frame in found]
    raise AssertionError("too few frames")


def test_embedding_holds_activity_and_differences_at_each_delay():
    traces = np.random.default_rng(0).standard_normal((20, 2))
    embedded = embed_delays(traces, Embedding(delays=2, delay_frames=3, smoothing_frames=0.0))
    assert embedded.shape == (20, 3 * 4)
    for frame in range(20):
        for delay in range(3):
            then = max(frame - 3 * delay, 0)
            before = traces[then - 1] if then else traces[0]
            expected = np.concatenate([traces[then], traces[then] - before])
            np.testing.assert_allclose(embedded[frame, 4 * delay : 4 * delay + 4], expected)


def test_smoothing_is_half_a_gaussian_that_looks_back():
    impulse = np.zeros((12, 1))
    impulse[5] = 1.0
    smooth = embed_delays(impulse, Embedding(0, 1, smoothing_frames=1.0))[:, 0]
    weights = np.exp(-0.5 * np.arange(4) ** 2)
    np.testing.assert_allclose(smooth[5:9], weights / weights.sum())
    np.testing.assert_allclose(smooth[:5], 0.0)
    np.testing.assert_allclose(embed_delays(np.full((9, 1), 3.0), Embedding())[:, 0], 3.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 3.0])
def test_no_value_of_the_embedding_depends_on_a_later_frame(smoothing):
    options = Embedding(3, 2, smoothing)
    traces = go_round(60, 20.0)
    changed = traces.copy()
    changed[40] += 5.0
    before, after = embed_delays(traces, options), embed_delays(changed, options)
    np.testing.assert_array_equal(before[:40], after[:40])
    assert (before[40] != after[40]).any()


@pytest.mark.parametrize("ahead", [True, False])
def test_noise_is_the_standard_deviation_of_velocity_near_a_frame(ahead):
    walk = np.random.default_rng(0).standard_normal((30, 2)).cumsum(axis=0)
    velocity = np.diff(walk, axis=0)
    noise = measure_noise(walk, 4, ahead)
    for frame in range(1, 30):
        near = velocity[max(frame - 4, 0) : frame + 5] if ahead else velocity[max(frame - 8, 0) : frame]
        np.testing.assert_allclose(noise[frame], np.std(near, axis=0), atol=1e-7)


def test_noise_that_looks_back_knows_nothing_of_later_frames():
    walk = np.random.default_rng(0).standard_normal((30, 2)).cumsum(axis=0)
    changed = walk.copy()
    changed[20] += 3.0
    np.testing.assert_array_equal(measure_noise(walk, 4, False)[:20], measure_noise(changed, 4, False)[:20])
    assert (measure_noise(walk, 4)[19] != measure_noise(changed, 4)[19]).any()


def test_places_are_scaled_and_noise_does_not_cross_stretches(stretches, places):
    np.testing.assert_allclose(places.places.std(axis=0), 1.0)
    assert places.stretch.tolist() == [0] * 130 + [1] * 120
    alone = embed_delays(stretches[1], EMBEDDING) / places.scale
    np.testing.assert_allclose(places.places[130:], alone)
    floor = 0.05 * np.median(np.concatenate([measure_noise(places.places[:130], 3), measure_noise(alone, 3)]), axis=0)
    np.testing.assert_allclose(places.noise[130:], np.maximum(measure_noise(alone, 3), floor), atol=1e-9)


def test_a_neuron_that_never_changes_does_no_harm():
    traces = [np.concatenate([go_round(200, 31.0), np.full((200, 1), 0.7)], axis=1)]
    places = build_places(traces, EMBEDDING, NEIGHBOURHOOD)
    assert np.abs(places.places).max() < 10.0
    assert places.noise.min() > 1e-3
    assert find_phase(build_transitions(places, NEIGHBOURHOOD))[1] == pytest.approx(31.0, rel=0.05)


@pytest.mark.parametrize("keep_apart", [True, False])
def test_neighbours_equal_a_plain_loop_of_the_published_distance(places, keep_apart):
    query, noise = places.places[::7] + 0.1, places.noise[::7] * 1.2
    taken = np.arange(len(places.places))[::7] if keep_apart else None
    found, distances = find_neighbours(query, noise, places, NEIGHBOURHOOD, taken)
    for row in range(len(query)):
        nearest, away = find_plainly(query[row], noise[row], places, NEIGHBOURHOOD, taken[row] if keep_apart else None)
        assert found[row].tolist() == nearest
        np.testing.assert_allclose(distances[row], away, rtol=1e-6)


def test_blocks_of_frames_do_not_change_the_neighbours(places, monkeypatch):
    whole = find_neighbours(places.places, places.noise, places, NEIGHBOURHOOD)
    monkeypatch.setattr("wormjax.baselines.diffusion_maps.BLOCK", 37)
    parts = find_neighbours(places.places, places.noise, places, NEIGHBOURHOOD)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_allclose(whole[1], parts[1], atol=1e-6)


def test_weights_are_a_gaussian_of_each_rows_own_width():
    distances = np.array([[1.0, 3.0], [100.0, 300.0]])
    np.testing.assert_allclose(weigh_distances(distances), np.exp([[-0.25, -0.75]] * 2))
    assert (weigh_distances(np.zeros((1, 2))) == 1.0).all()


def test_transitions_equal_a_plain_dense_construction(places):
    total = len(places.places)
    weights = np.zeros((total, total))
    for frame in range(total):
        following = frame if frame in (129, 249) else frame + 1  # A stretch's last frame has no next one.
        near, away = find_plainly(
            places.places[following], places.noise[following], places, NEIGHBOURHOOD, taken=following
        )
        weights[frame, near] = np.exp(-np.array(away) / (2 * np.mean(away)))
        weights[frame, following] = 1.0
    density = weights.sum(axis=0)
    for part in (slice(0, 130), slice(130, 250)):
        density[part] = gaussian_filter1d(density[part], 4.0, mode="nearest")
    expected = weights / np.sqrt(density[:, None] * density[None])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(build_transitions(places, NEIGHBOURHOOD).toarray(), expected, atol=1e-7)


def test_transitions_are_sparse_and_rows_sum_to_one(places):
    flow = build_transitions(places, NEIGHBOURHOOD)
    assert flow.nnz <= (NEIGHBOURHOOD.neighbours + 1) * flow.shape[0]
    np.testing.assert_allclose(flow.sum(axis=1), 1.0)
    assert flow.min() >= 0.0
    assert abs(flow - flow.T).max() > 0.1


def test_the_last_frame_of_a_stretch_does_not_lead_to_the_next_stretch():
    # Two signals that lie far from each other: all flow stays with its own.
    far = [go_round(130, 31.0), 20.0 + go_round(120, 26.0)]
    flow = build_transitions(build_places(far, EMBEDDING, NEIGHBOURHOOD), NEIGHBOURHOOD)
    assert flow[:130, 130:].sum() < 1e-12
    assert flow[130:, :130].sum() < 1e-12


def test_too_few_frames_are_an_error_that_says_how_many_it_takes():
    few = build_places([go_round(49, 20.0)], EMBEDDING, NEIGHBOURHOOD)
    with pytest.raises(InputError, match=r"neighbours.*49.*50"):
        build_transitions(few, NEIGHBOURHOOD)


@pytest.mark.parametrize("period", [17.0, 40.0])
def test_phase_of_a_noisy_circle_turns_once_a_period(period):
    options = Neighbourhood(neighbours=5)
    flow = build_transitions(build_places([go_round(600, period)], Embedding(), options), options)
    phase, found = find_phase(flow)
    assert found == pytest.approx(period, rel=0.04)
    turned = np.unwrap(phase)[50:-50]
    slope = np.polyfit(np.arange(len(turned)), turned, 1)[0]
    assert slope == pytest.approx(2 * np.pi / period, rel=0.01)
    line = np.polyval(np.polyfit(np.arange(len(turned)), turned, 1), np.arange(len(turned)))
    assert np.abs(turned - line).max() < 0.6


def test_time_that_runs_backward_turns_the_other_way_round_the_circle():
    options = Neighbourhood(neighbours=5)
    angle = 2 * np.pi * np.arange(600) / 40.0
    for direction in (1, -1):
        circle = np.stack([np.cos(angle), direction * np.sin(angle)], axis=1)
        circle += 0.02 * np.random.default_rng(0).standard_normal(circle.shape)
        phase, period = find_phase(build_transitions(build_places([circle], Embedding(), options), options))
        assert period > 0  # Phase grows with time, whichever way the signal goes round.
        step = np.angle(np.exp(1j * np.diff(phase[50:-50])))
        assert np.mean(step) == pytest.approx(2 * np.pi / 40.0, rel=0.05)


def test_phase_does_not_depend_on_the_order_of_neurons():
    traces, order = go_round(300, 31.0, neurons=4), [2, 0, 3, 1]
    phases = []
    for columns in (slice(None), order):
        places = build_places([traces[:, columns]], EMBEDDING, NEIGHBOURHOOD)
        phases.append(find_phase(build_transitions(places, NEIGHBOURHOOD))[0])
    turned = np.exp(1j * (phases[0] - phases[1]))
    np.testing.assert_allclose(turned, turned[0], atol=1e-3)


def test_a_symmetric_flow_has_no_phase():
    ring = np.roll(np.eye(60), 1, axis=1)
    with pytest.raises(InputError, match="complex"):
        find_phase(sparse.csr_array(0.5 * np.eye(60) + 0.25 * (ring + ring.T)))
