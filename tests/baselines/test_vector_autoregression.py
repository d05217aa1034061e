"""Autoregression: a known system is recovered, nothing reaches across a break, and no estimate knows the future."""

import numpy as np
import pytest

from wormjax.baselines import vector_autoregression as var

ORDER, CHANNELS, BLOCK = 2, 2, 16
RIDGE, WEIGHT = 0.05, 7.0
# x(t + 1) = x(t) + [x(t - 1), x(t), 1] @ KNOWN: two channels that turn about each other, and drift.
KNOWN = np.array([[0.10, -0.05], [0.05, 0.10], [-0.25, -0.20], [0.20, -0.25], [0.05, -0.10]])


def simulate(frames, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(frames, CHANNELS))
    for frame in range(ORDER, frames):
        past = np.concatenate([values[frame - 2], values[frame - 1], [1.0]])
        values[frame] = values[frame - 1] + past @ KNOWN + noise * random.normal(size=CHANNELS)
    return values


def list_rows(values, end=None, order=ORDER):
    """The regression's rows, one frame at a time: its past with a 1, and its change."""
    rows = [
        (np.append(values[frame - order : frame].ravel(), 1.0), values[frame] - values[frame - 1])
        for frame in range(order, len(values) if end is None else end)
    ]
    return rows or [(np.zeros(order * CHANNELS + 1), np.zeros(CHANNELS))]


def refit(rows, ridge):
    """Penalised least squares as ordinary least squares: a row more for each coefficient but the last."""
    past, change = (np.stack(part) for part in zip(*rows, strict=True))
    penalty = np.diag(np.sqrt(ridge) * np.linalg.norm(past, axis=0))[:-1]
    past, change = np.concatenate([past, penalty]), np.concatenate([change, np.zeros((len(penalty), CHANNELS))])
    return np.linalg.lstsq(past, change, rcond=None)[0]


def test_a_known_system_is_recovered():
    stretches = [simulate(6000, seed) for seed in range(2)]
    found = var.solve_products(var.sum_products(stretches, ORDER), 0.0)
    np.testing.assert_allclose(found, KNOWN, atol=0.03)
    # Without noise, a few frames tell all.
    quiet = [simulate(12, seed, noise=0.0) for seed in range(2)]
    np.testing.assert_allclose(var.solve_products(var.sum_products(quiet, ORDER), 0.0), KNOWN, atol=1e-4)


@pytest.mark.parametrize("ridge", [1e-3, 0.3])
def test_the_penalty_spares_the_constant_alone(ridge):
    values = simulate(200) * [1.0, 30.0] + [0.0, 500.0]  # In units that differ: the penalty has none.
    found = var.solve_products(var.sum_products([values], ORDER), ridge)
    np.testing.assert_allclose(found, refit(list_rows(values), ridge), rtol=1e-5, atol=1e-6)


def test_products_are_those_of_each_stretchs_rows():
    stretches = [simulate(frames, frames) for frames in (40, 3, 2, 1, 25)]  # Some too short for a row.
    past, change = (
        np.stack(part)
        for part in zip(*(row for s in stretches[:2] + stretches[4:] for row in list_rows(s)), strict=True)
    )
    products = var.sum_products(stretches, ORDER)
    np.testing.assert_allclose(products.gram, past.T @ past)
    np.testing.assert_allclose(products.cross, past.T @ change)
    assert products.gram[-1, -1] == 38 + 1 + 23
    across = var.sum_products([np.concatenate(stretches)], ORDER)
    assert across.gram[-1, -1] == 71 - ORDER


def test_adapted_coefficients_are_those_of_a_plain_refit():
    prior_worm, stretches = simulate(90, 1), [simulate(50, 2), simulate(1, 3), simulate(37, 4), simulate(16, 5)]
    prior = var.sum_products([prior_worm], ORDER)
    by_stretch = var.adapt_operators(stretches, prior, ORDER, 3, RIDGE, BLOCK)
    assert [len(operators) for operators in by_stretch] == [4, 1, 3, 1]
    earlier = []
    for values, operators in zip(stretches, by_stretch, strict=True):
        for block, found in enumerate(operators):
            own = earlier + list_rows(values, end=block * BLOCK)
            np.testing.assert_allclose(found, refit(list_rows(prior_worm) + 3 * own, RIDGE), atol=1e-6)
        earlier += list_rows(values)


def test_a_worm_that_differs_moves_the_coefficients():
    prior = var.sum_products([simulate(400, 1)], ORDER)
    mirrored = -simulate(400, 2)[:, ::-1]  # Turns the other way round.
    operators = var.adapt_operators([mirrored], prior, ORDER, WEIGHT, 1e-3, BLOCK)[0]
    own = var.solve_products(var.sum_products([mirrored], ORDER), 1e-3)
    distances = np.abs(operators - own).max(axis=(1, 2))
    assert distances[-1] < 0.3 * distances[0]


def test_weight_0_gives_the_pooled_coefficients():
    prior = var.sum_products([simulate(90, 1)], ORDER)
    by_stretch = var.adapt_operators([simulate(40, 2), simulate(20, 3)], prior, ORDER, 0.0, RIDGE, BLOCK)
    pooled = var.solve_products(prior, RIDGE)
    for operators in by_stretch:
        np.testing.assert_array_equal(operators, np.broadcast_to(pooled, operators.shape))


@pytest.mark.parametrize("start", [16, 31, 32, 47])
def test_no_coefficient_depends_on_a_frame_at_or_after_its_start(start):
    stretches = [simulate(40, 1), simulate(64, 2), simulate(40, 3)]
    prior = var.sum_products([simulate(90, 4)], ORDER)
    before = var.adapt_operators(stretches, prior, ORDER, WEIGHT, RIDGE, BLOCK)
    changed = [values.copy() for values in stretches]
    changed[1][start:] = 1e3
    changed[2][:] = np.nan
    after = var.adapt_operators(changed, prior, ORDER, WEIGHT, RIDGE, BLOCK)
    known = start // BLOCK + 1
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1][:known], before[1][:known])
    assert (np.abs(after[1][known:] - before[1][known:]).max(axis=(1, 2)) > 1e-3).all()
    past = stretches[1][None, start - ORDER : start]
    rolled = [var.roll_out(by_stretch[1][start // BLOCK][None], past, 20) for by_stretch in (before, after)]
    np.testing.assert_array_equal(*rolled)


def test_frames_before_a_start_and_earlier_stretches_count():
    stretches, prior = [simulate(40, 1), simulate(64, 2)], var.sum_products([simulate(90, 4)], ORDER)
    before = var.adapt_operators(stretches, prior, ORDER, WEIGHT, RIDGE, BLOCK)
    for stretch, frame, first in ((1, 31, 2), (0, 39, 0), (0, 33, 0)):  # The last frame of all, and of a rest.
        changed = [values.copy() for values in stretches]
        changed[stretch][frame] += 5.0
        after = var.adapt_operators(changed, prior, ORDER, WEIGHT, RIDGE, BLOCK)
        moved = np.abs(after[1] - before[1]).max(axis=(1, 2))
        assert (moved[first:] > 1e-3).all()
        assert not moved[:first].any()


def test_a_stretch_without_frames_has_no_coefficients():
    prior = var.sum_products([simulate(90, 1)], ORDER)
    empty, whole = var.adapt_operators([np.zeros((0, CHANNELS)), simulate(40, 2)], prior, ORDER, WEIGHT, RIDGE, BLOCK)
    assert empty.shape == (0, 5, CHANNELS)
    np.testing.assert_array_equal(whole, var.adapt_operators([simulate(40, 2)], prior, ORDER, WEIGHT, RIDGE, BLOCK)[0])


def test_a_roll_out_follows_the_system():
    values = simulate(60, noise=0.0)
    past = np.stack([values[10:12], values[30:32]])
    np.testing.assert_allclose(var.roll_out(KNOWN[None], past, 5), np.stack([values[12:17], values[32:37]]), atol=1e-9)


def test_shared_coefficients_are_repeated_ones():
    past = np.random.default_rng(0).normal(size=(7, ORDER, CHANNELS))
    shared = var.roll_out(KNOWN[None], past, 9)
    assert shared.shape == (7, 9, CHANNELS)
    np.testing.assert_allclose(shared, var.roll_out(np.repeat(KNOWN[None], 7, axis=0), past, 9), atol=1e-12)
    # Each start goes by its own.
    operators = np.stack([KNOWN * (1 + 0.1 * k) for k in range(7)])
    own = np.concatenate([var.roll_out(operators[k][None], past[k][None], 9) for k in range(7)])
    np.testing.assert_allclose(var.roll_out(operators, past, 9), own, atol=1e-12)


def test_a_forecast_that_runs_away_stays_finite():
    explosive = np.concatenate([np.zeros((2, CHANNELS)), 50.0 * np.eye(CHANNELS), np.zeros((1, CHANNELS))])
    rolled = var.roll_out(explosive[None], np.ones((1, ORDER, CHANNELS)), 400)
    assert np.isfinite(np.float32(rolled) ** 2).all()


@pytest.mark.parametrize("lengths", [(200,), (140, 110), (100, 200), (20, 300), (16, 16, 16), (7, 90, 3), (5,)])
def test_halves_lose_nothing_and_are_cut_at_a_multiple(lengths):
    stretches = [np.random.default_rng(frames).normal(size=(frames, 1)) for frames in lengths]
    first, second = var.halve_worm(stretches, BLOCK)
    assert len(first) == len(second) == len(lengths)
    for a, b, values in zip(first, second, stretches, strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), values)
        assert len(a) % BLOCK == 0 or not len(b)
    # A half is a half to within a block, and its frames come in order of time.
    early, late = (np.array([len(values) for values in half]) for half in (first, second))
    assert 0 <= sum(lengths) // 2 - early.sum() < BLOCK
    begun = np.flatnonzero(late)
    assert not early[begun[0] + 1 :].any()
