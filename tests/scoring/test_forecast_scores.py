"""Scores of forecasts against the textbook's definitions: scipy's densities, integrals, exact quantiles."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from wormjax.scoring.forecasts import (
    PART_STEPS,
    Spread,
    measure_crps,
    measure_mode_share,
    measure_nll,
    measure_score,
    score_forecast,
    score_parts,
)

RANDOM = np.random.default_rng(0)
NAMES = {"neurons": ("AVAL", "AVAR", "RID"), "states": ("reverse", "forward", "dorsal turn", "ventral turn")}
STARTS, MODES, STEPS, NEURONS, FEATURES = 12, 3, 5, 3, 2


def make_forecast(modes=MODES, starts=STARTS, steps=STEPS):
    """A spread, the last frames known, and a future that lies beside it."""
    shape = (starts, modes, steps, NEURONS, FEATURES)
    weights = RANDOM.dirichlet(np.ones(modes), starts)
    spread = Spread(RANDOM.normal(size=shape), RANDOM.uniform(0.3, 2.0, shape), weights)
    last = RANDOM.normal(size=(starts, NEURONS, FEATURES))
    return spread, last, RANDOM.normal(size=(starts, steps, NEURONS, FEATURES))


def make_mixture(modes):
    """One value a row under a mixture each: mean, scale, weights [value, mode], true [value]."""
    return (
        RANDOM.normal(size=(8, modes), scale=2.0),
        RANDOM.uniform(0.2, 2.0, (8, modes)),
        RANDOM.dirichlet(np.ones(modes), 8),
        RANDOM.normal(size=8, scale=2.0),
    )


def crps_of_gaussian(true, mean, scale):
    """Gneiting & Raftery (2007), equation 21."""
    z = (true - mean) / scale
    return scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def integrate_crps(true, mean, scale, weights):
    """The integral of (F(x) - 1[x >= true])²."""

    def square(x, step):
        return ((weights * stats.norm.cdf(x, mean, scale)).sum() - step) ** 2

    low, high = min(true, (mean - 12 * scale).min()), max(true, (mean + 12 * scale).max())
    points = [point for point in mean if low < point < high]
    below = integrate.quad(square, low, true, (0.0,), points=points, limit=200)[0]
    return below + integrate.quad(square, true, high, (1.0,), points=points, limit=200)[0]


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_the_crps_is_its_integral(modes):
    mean, scale, weights, true = make_mixture(modes)
    expected = [integrate_crps(*row) for row in zip(true, mean, scale, weights, strict=True)]
    found = [measure_crps(*(part[k : k + 1] for part in (mean, scale, weights, true))) for k in range(8)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert measure_crps(mean, scale, weights, true) == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_crps_of_a_gaussian_is_the_textbooks():
    mean, scale, _, true = make_mixture(1)
    expected = crps_of_gaussian(true, mean[:, 0], scale[:, 0]).mean()
    assert measure_crps(mean, scale, np.ones((8, 1)), true) == pytest.approx(expected, rel=1e-9)
    # A mode twice is a mode; one of no weight is none.
    twice = [np.repeat(part, 2, axis=1) for part in (mean, scale)]
    assert measure_crps(*twice, np.full((8, 2), 0.5), true) == pytest.approx(expected, rel=1e-9)
    other = [np.concatenate([part, part + 5.0], axis=1) for part in (mean, scale)]
    assert measure_crps(*other, np.repeat([[1.0, 0.0]], 8, axis=0), true) == pytest.approx(expected, rel=1e-9)


def test_a_certain_forecasts_crps_is_its_absolute_error():
    mean, _, _, true = make_mixture(1)
    found = measure_crps(mean, np.full((8, 1), 1e-9), np.ones((8, 1)), true)
    assert found == pytest.approx(np.abs(true - mean[:, 0]).mean(), rel=1e-6)


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_the_likelihood_is_scipys(modes):
    mean, scale, weights, true = make_mixture(modes)
    log_density = logsumexp(stats.norm.logpdf(true[:, None], mean, scale), axis=1, b=weights)
    assert measure_nll(mean, scale, weights, true) == pytest.approx(-log_density.mean(), rel=1e-9)


def test_the_likelihood_of_what_is_far_off_and_of_a_mode_without_weight_is_finite():
    mean, scale, weights = np.array([[0.0, 3.0]]), np.array([[0.01, 0.01]]), np.array([[1.0, 0.0]])
    found = measure_nll(mean, scale, weights, np.array([50.0]))
    assert found == pytest.approx(-stats.norm.logpdf(50.0, 0.0, 0.01), rel=1e-9)


@pytest.mark.parametrize("modes", [1, 3])
def test_scores_of_a_step_are_those_of_its_values(modes):
    spread, last, future = make_forecast(modes)
    there = np.ones((STARTS, STEPS), bool)
    scores = score_forecast(spread, last, future, there, (1, 4))
    kinds = ("mse", "mae", "nll", "crps", "coverage90", "r2") + ("mode_share",) * (modes > 1)
    assert set(scores) == {f"{kind}@{step}" for kind in kinds for step in (1, 4)}
    for step in (1, 4):
        true = future[:, step - 1].reshape(-1)
        mean, scale = (
            np.moveaxis(part[:, :, step - 1], 1, -1).reshape(-1, modes) for part in (spread.mean, spread.scale)
        )
        weights = np.repeat(spread.weights, NEURONS * FEATURES, axis=0)
        error = true - (weights * mean).sum(axis=1)
        static = np.mean((true - last.reshape(-1)) ** 2)
        assert scores[f"mse@{step}"] == pytest.approx(np.mean(error**2))
        assert scores[f"mae@{step}"] == pytest.approx(np.mean(np.abs(error)))
        assert scores[f"r2@{step}"] == pytest.approx(1 - np.mean(error**2) / static)
        density = (weights * stats.norm.pdf(true[:, None], mean, scale)).sum(axis=1)
        assert scores[f"nll@{step}"] == pytest.approx(-np.log(density).mean())
        assert scores[f"crps@{step}"] == pytest.approx(measure_crps(mean, scale, weights, true))
        below = (weights * stats.norm.cdf(true[:, None], mean, scale)).sum(axis=1)
        assert scores[f"coverage90@{step}"] == pytest.approx(np.mean((below > 0.05) & (below < 0.95)))


def test_coverage_counts_exact_quantiles():
    levels = (np.arange(100) + 0.5) / 100
    shape = (100, 1, 1, NEURONS, 1)
    spread = Spread(np.full(shape, 2.0), np.full(shape, 3.0), np.ones((100, 1)))
    future = np.broadcast_to(stats.norm.ppf(levels, 2.0, 3.0)[:, None, None, None], (100, 1, NEURONS, 1))
    there, last = np.ones((100, 1), bool), np.zeros((100, NEURONS, 1))
    assert score_forecast(spread, last, future, there, (1,))["coverage90@1"] == pytest.approx(0.90)
    narrow = spread._replace(scale=spread.scale / 3)  # Within 1.645 of 3: z from -0.548 to 0.548.
    expected = np.mean(np.abs(stats.norm.ppf(levels)) < stats.norm.ppf(0.95) / 3)
    assert expected < 0.5
    assert score_forecast(narrow, last, future, there, (1,))["coverage90@1"] == pytest.approx(expected)


def test_r2_is_1_for_the_truth_and_0_for_persistence():
    spread, last, future = make_forecast(1)
    there = np.ones((STARTS, STEPS), bool)
    perfect = score_forecast(spread._replace(mean=future[:, None]), last, future, there, (2,))
    assert perfect["r2@2"] == pytest.approx(1.0)
    assert perfect["mse@2"] == pytest.approx(0.0)
    still = np.broadcast_to(last[:, None, None], spread.mean.shape)
    assert score_forecast(spread._replace(mean=still), last, future, there, (2,))["r2@2"] == pytest.approx(0.0)
    # Nothing to explain where nothing moves.
    unmoved = score_forecast(spread, last, np.broadcast_to(last[:, None], future.shape), there, (2,))
    assert "r2@2" not in unmoved
    assert unmoved["mse@2"] > 0


def test_frames_that_are_not_there_do_not_count():
    spread, last, future = make_forecast()
    there = np.ones((STARTS, STEPS), bool)
    there[4:, 1], there[:, 2] = False, False
    blank = np.where(there[..., None, None], future, 1e6)
    scores = score_forecast(spread, last, blank, there, (1, 2, 3, 5, 6))
    assert {name.partition("@")[2] for name in scores} == {"1", "2", "5"}  # None at 3; 6 is after the forecast.
    first = Spread(*(part[:4] for part in spread))
    expected = score_forecast(first, last[:4], future[:4], np.ones((4, STEPS), bool), (2,))
    assert {name: scores[name] for name in expected} == pytest.approx(expected)


def test_single_precision_does_not_hurt_the_scores():
    spread, last, future = make_forecast()
    there = np.ones((STARTS, STEPS), bool)
    full = score_forecast(spread, last, future, there, (1, 5))
    single = Spread(*(part.astype(np.float32) for part in spread))
    found = score_forecast(single, last.astype(np.float32), future.astype(np.float32), there, (1, 5))
    assert found == pytest.approx(full, rel=1e-4)


def test_errors_by_neuron_and_by_state():
    spread, _, future = make_forecast(steps=8)
    states = np.array([0, 1, 3] * 3 + [-1] * 3)
    there = np.ones((STARTS, 8), bool)
    there[:, 7] = np.isin(np.arange(STARTS), (1, 5, 8))
    scores = score_parts(spread.center, future, there, states, NAMES)
    squares = (spread.center - future) ** 2
    for neuron, name in enumerate(NAMES["neurons"]):
        assert scores[f"mse@4:{name}"] == pytest.approx(squares[:, 3, neuron].mean())
        assert scores[f"mse@8:{name}"] == pytest.approx(squares[[1, 5, 8], 7, neuron].mean())
    for state, name in ((0, "reverse"), (1, "forward"), (3, "ventral turn")):
        assert scores[f"mse@1:{name}"] == pytest.approx(squares[states == state, 0].mean())
    assert scores["mse@8:forward"] == pytest.approx(squares[1, 7].mean())
    assert scores["mse@8:ventral turn"] == pytest.approx(squares[[5, 8], 7].mean())
    parts = {*NAMES["neurons"], "reverse", "forward", "ventral turn"}  # None starts in a dorsal turn.
    expected = {f"mse@{step}:{part}" for step in PART_STEPS[:3] for part in parts}
    assert set(scores) == expected - {"mse@8:reverse"}


def test_parts_make_up_the_whole():
    spread, last, future = make_forecast()
    there, states = np.ones((STARTS, STEPS), bool), np.array([0] * 4 + [2] * 8)
    whole = score_forecast(spread, last, future, there, (4,))["mse@4"]
    parts = score_parts(spread.center, future, there, states, NAMES)
    assert np.mean([parts[f"mse@4:{name}"] for name in NAMES["neurons"]]) == pytest.approx(whole)
    assert (4 * parts["mse@4:reverse"] + 8 * parts["mse@4:dorsal turn"]) / 12 == pytest.approx(whole)


def test_the_share_between_modes_tells_a_fork_from_spreads_around_one_mean():
    weights = np.full((5, 2, 1, 1), 0.5)
    scale = np.stack([np.full((5, 3, 1), 1.0), np.full((5, 3, 1), 2.0)], axis=1)
    one_mean = np.zeros((5, 2, 3, 1))
    assert measure_mode_share(one_mean, scale, weights) == 0.0
    fork = one_mean + np.array([-3.0, 3.0])[None, :, None, None]
    assert measure_mode_share(fork, scale, weights) == pytest.approx(9.0 / (9.0 + 2.5))


def test_score_is_the_share_of_persistences_error_over_all_steps_together():
    spread, last, future = make_forecast(modes=1)
    there = np.arange(STEPS) < np.r_[np.full(STARTS - 1, STEPS), 2][:, None]  # The last start reaches two steps.
    wrong, still = 0.0, 0.0
    for start in range(STARTS):
        for step in range(STEPS if start < STARTS - 1 else 2):
            wrong += ((future[start, step] - spread.mean[start, 0, step]) ** 2).sum()
            still += ((future[start, step] - last[start]) ** 2).sum()
    expected = pytest.approx(1.0 - wrong / still)
    assert measure_score(spread.center, last, future, there) == {"score": expected}
    persistence = np.repeat(last[:, None], STEPS, axis=1)
    assert measure_score(persistence, last, future, there)["score"] == 0.0
    assert measure_score(future, last, future, there)["score"] == 1.0
    first = 1.0 - ((future - spread.center)[:, :1] ** 2).sum() / ((future[:, :1] - last[:, None]) ** 2).sum()
    assert measure_score(spread.center[:, :1], last, future, there)["score"] == pytest.approx(first)
    assert measure_score(spread.center, last, persistence, there) == {}
