"""Baselines of forecasts: fitted on training worms alone, spreads out of sample, no frame of the future known."""

import numpy as np
import pytest
from scipy.optimize import nnls
from small_autoregressions import (
    BASELINES,
    BLOCK,
    CHANNELS,
    EVERY,
    FIRST,
    LENGTHS,
    STEPS,
    TURNS,
    fit_plainly,
    linear_config,
    make_dataset,
    make_worms,
    roll_plainly,
)
from small_experiments import replace_arrays

from wormjax.baselines import vector_autoregression as var
from wormjax.errors import InputError
from wormjax.features.forecast_origins import cut_future, cut_past, list_starts
from wormjax.scoring.forecasts import Spread, score_forecast
from wormjax.tasks.forecast.linear import (
    adapt_around_starts,
    adapt_to_starts,
    fit_linear,
    forecast_linear,
    gather_worms,
    list_known,
    pool_unseen,
    tabulate_operators,
)
from wormjax.tasks.protocols import Split
from wormjax.value_checks import check_names

MEMBERS = ("ar_1", "ar_3", "var_1", "var_3")
SPLITS = [Split((0, 1), (2,)), Split((2,), (0, 1)), Split((0, 2), (1,))]


def measure_plainly(parts, forecast, steps):
    """Mean squared error [step, channel] over the starts of all parts, as far as their stretches reach."""
    errors = [[] for _ in range(steps)]
    for part, stretches in enumerate(parts):
        for values in stretches:
            for start in range(FIRST, len(values), EVERY):
                predicted = forecast(part, values[:start])
                for step in range(min(steps, len(values) - start)):
                    errors[step].append((predicted[step] - values[start + step]) ** 2)
    return np.stack([np.mean(of_step, axis=0) for of_step in errors])


def validate_plainly(parts, order, ridge, steps=STEPS):
    """The error on each part of what the other parts teach."""
    others = [[values for k, s in enumerate(parts) if k != part for values in s] for part in range(len(parts))]
    operators = [fit_plainly(stretches, order, ridge) for stretches in others]
    return measure_plainly(parts, lambda part, past: roll_plainly(operators[part], past, steps), steps)


def choose_plainly(parts, order, ridges):
    still = measure_plainly(parts, lambda _, past: np.repeat(past[-1:], 16, axis=0), 16).mean(axis=1)
    scores = [(validate_plainly(parts, order, ridge, 16).mean(axis=1) / still).mean() for ridge in ridges]
    return ridges[int(np.argmin(scores))]


def own_fit(fit, split):
    return {name: {field: values[split] for field, values in of.items()} for name, of in fit.items()}


def assert_same(one, other):
    for name, fields in one.items():
        for field, values in fields.items():
            np.testing.assert_array_equal(values, other[name][field], err_msg=f"{name}, {field}")


def test_baselines_that_the_config_does_not_fit_are_refused():
    config = linear_config()
    assert set(BASELINES) <= set(list_known(config))
    config.baselines = ("mean", "var_2")
    with pytest.raises(InputError, match=r"^config field 'baselines': found 'var_2', expected some of .*var_1, var_3"):
        check_names("baselines", config.baselines, list_known(config))


def test_worms_are_gathered_without_padding():
    worms = gather_worms(make_dataset())
    assert [[values.shape for values in worm] for worm in worms] == [
        [(frames, CHANNELS) for frames in of] for of in LENGTHS
    ]
    for found, expected in zip(worms, make_worms(), strict=True):
        for values, true in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, true, rtol=1e-5, atol=1e-5)
            assert values.dtype == np.float64


def test_a_fit_does_not_know_the_worms_left_out():
    config, worms = linear_config(weights=(3.0, 30.0)), make_worms()
    before = fit_linear(config, worms, SPLITS)
    assert set(before) == set(BASELINES)
    for worm in range(3):
        changed = [[values * np.nan for values in s] if k == worm else s for k, s in enumerate(worms)]
        without = [split for split in range(3) if worm not in SPLITS[split].train]
        after = fit_linear(config, changed, [SPLITS[split] for split in without])
        for number, split in enumerate(without):
            assert_same(own_fit(after, number), own_fit(before, split))
        other = [[values * 2.0 + 1.0 for values in s] if k == worm else s for k, s in enumerate(worms)]
        within = [split for split in range(3) if worm in SPLITS[split].train]
        moved = fit_linear(config, other, [SPLITS[split] for split in within])
        for name, fields in moved.items():
            for number, split in enumerate(within):
                assert not np.allclose(fields["scale"][number], before[name]["scale"][split], rtol=1e-3)


def test_a_fit_is_that_of_plain_ridge_regressions():
    config, worms = linear_config(ridges=(1e-3, 3e-2)), make_worms()
    fit = fit_linear(config, worms, SPLITS)
    for number, split in enumerate(SPLITS):
        train = [worms[worm] for worm in split.train]
        everything = [values for stretches in train for values in stretches]
        parts = train if len(train) > 1 else var.halve_worm(train[0], BLOCK)
        learnt = [values for stretches in parts for values in stretches]
        np.testing.assert_allclose(fit["mean"]["mean"][number], np.concatenate(everything).mean(axis=0))
        for order in (1, 3):
            own = own_fit(fit, number)[f"var_{order}"]
            ridge = choose_plainly(parts, order, (1e-3, 3e-2))
            assert own["ridge"] == ridge
            rows = [values for values in learnt if len(values) > order]
            np.testing.assert_allclose(own["operators"], fit_plainly(rows, order, ridge), atol=1e-6)
            expected = np.sqrt(validate_plainly([[v for v in s if len(v)] for s in parts], order, ridge))
            np.testing.assert_allclose(own["scale"], expected, rtol=1e-5)
        still = measure_plainly(parts, lambda _, past: np.repeat(past[-1:], STEPS, axis=0), STEPS)
        np.testing.assert_allclose(fit["persistence"]["scale"][number], np.sqrt(still))
        others = [np.concatenate(parts[1 - part]).mean(axis=0) for part in range(2)]
        level = measure_plainly(
            parts, lambda part, _, others=others: np.repeat(others[part][None], STEPS, axis=0), STEPS
        )
        np.testing.assert_allclose(fit["mean"]["scale"][number], np.sqrt(level))


def test_an_autoregression_per_channel_is_its_own_least_squares():
    config, worms = linear_config(ridges=(1e-9,)), make_worms()
    fit = own_fit(fit_linear(config, worms, SPLITS), 2)
    rows = [values for worm in SPLITS[2].train for values in worms[worm]]
    for order in (1, 3):
        operators = fit[f"ar_{order}"]["operators"]
        for channel in range(CHANNELS):
            past = np.concatenate(
                [[np.append(values[k - order : k, channel], 1.0) for k in range(order, len(values))] for values in rows]
            )
            change = np.concatenate([np.diff(values[order - 1 :, channel]) for values in rows])
            expected = np.linalg.lstsq(past, change, rcond=None)[0]
            own = np.arange(order) * CHANNELS + channel
            np.testing.assert_allclose(operators[[*own, -1], channel], expected, atol=1e-6)
            assert not np.delete(operators[:-1, channel], own).any()


@pytest.mark.parametrize("name", ["ar_3", "var_3"])
def test_a_large_penalty_leaves_persistence(name):
    dataset = make_dataset()
    starts = list_starts(dataset, FIRST, EVERY)
    last = cut_past(dataset, starts, 1)
    away = []
    for ridge in (1e-3, 1e9):
        config = linear_config(ridges=(ridge,))
        fit = fit_linear(config, gather_worms(dataset), SPLITS)
        forecast = forecast_linear(name, config, fit, 0, dataset, starts, STEPS).mean
        drift = np.arange(1, STEPS + 1)[:, None] * fit[name]["operators"][0, -1]  # Of the mean change, not penalised.
        away.append(np.abs(forecast - last - drift.reshape(STEPS, 2, 2)).max())
    assert away[0] > 1.0
    assert away[1] < 1e-5


def test_weights_of_the_mixture_are_non_negative_least_squares_on_worms_left_out():
    config, worms, split = linear_config(ridges=(1e-2,)), make_worms(((400,), (400,), (400,))), Split((0, 1), (2,))
    fit = own_fit(fit_linear(config, worms, [split]), 0)
    columns, true = {step: [] for step in (0, 7, 19)}, {step: [] for step in (0, 7, 19)}
    for part in (0, 1):
        other, values = worms[1 - part], worms[part][0]
        learnt = own_fit(fit_linear(config, [other, other], [Split((0, 1), ())]), 0)
        for start in range(FIRST, len(values) - STEPS, EVERY):
            past = values[:start]
            rolled = [roll_plainly(learnt[name]["operators"], past, STEPS) for name in MEMBERS]
            forecasts = np.stack([np.broadcast_to(learnt["mean"]["mean"], (STEPS, CHANNELS)), *rolled]) - past[-1]
            for step, rows in columns.items():
                rows.append(forecasts[:, step].T)
                true[step].append(values[start + step] - past[-1])
    for step, rows in columns.items():
        expected = nnls(np.concatenate(rows), np.concatenate(true[step]))[0]
        found = fit["mixture"]["weights"][step]
        assert (found >= 0).all()
        error, best = (
            np.mean((np.concatenate(rows) @ weights - np.concatenate(true[step])) ** 2) for weights in (found, expected)
        )
        assert error == pytest.approx(best, rel=2e-2)
    singles = [np.square(fit[name]["scale"]).mean() for name in ("mean", *MEMBERS)]
    assert np.square(fit["mixture"]["scale"]).mean() <= 1.001 * min(singles)


def test_what_a_worm_lacks_teaches_and_is_predicted_nothing():
    """The second worm of three lacks the last channel: others' coefficients of it are those without that worm."""
    config, worms, split = linear_config(ridges=(1e-3,)), make_worms(((300,), (300,), (300,))), Split((0, 1, 2), ())
    lacking = [[values.copy() for values in stretches] for stretches in worms]
    lacking[1][0][:, -1] = 0.0
    fit = own_fit(fit_linear(config, lacking, [split]), 0)
    without = own_fit(fit_linear(config, [lacking[0], lacking[2]], [Split((0, 1), ())]), 0)
    for name in ("ar_1", "ar_3", "var_1", "var_3"):
        found, expected = (of[name]["operators"][:, -1] for of in (fit, without))
        np.testing.assert_allclose(found, expected, atol=1e-2 if name.startswith("var") else 1e-12)
        changed = np.abs(fit[name]["operators"] - without[name]["operators"])[:, :-1].max()
        assert changed > 1e-2
    np.testing.assert_allclose(fit["mean"]["mean"][-1], without["mean"]["mean"][-1])
    np.testing.assert_allclose(fit["persistence"]["scale"][:, -1], without["persistence"]["scale"][:, -1])


def test_a_neuron_that_the_test_worm_lacks_is_not_predicted():
    dataset, config = make_dataset(), linear_config()
    features = dataset.arrays.features.copy()
    features[2:, :, 1] = 0.0  # The third worm lacks the second neuron.
    dataset = replace_arrays(dataset, dataset.arrays._replace(features=features))
    fit, starts = fit_linear(config, gather_worms(dataset), SPLITS[:1]), list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm == 2)
    for name in ("ar_3", "var_3", "var_adapted"):
        mean = forecast_linear(name, config, fit, 0, dataset, starts, STEPS).mean
        assert mean[:, :, 0].any()
        assert not mean[:, :, 1].any()


def test_a_neuron_that_no_training_worm_has_takes_the_spread_of_the_others():
    dataset, config = make_dataset(), linear_config()
    features = dataset.arrays.features.copy()
    features[:2, :, 1] = 0.0  # The worms that train lack the second neuron.
    dataset = replace_arrays(dataset, dataset.arrays._replace(features=features))
    fit, starts = fit_linear(config, gather_worms(dataset), SPLITS[:1]), list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm == 2)
    for name in BASELINES:
        scale = forecast_linear(name, config, fit, 0, dataset, starts, STEPS).scale
        np.testing.assert_allclose(scale[:, 1], scale[:, 0])
        assert scale.min() > 0.5
    two, one = np.array([[[0.3], [0.1], [1e-3]], [[0.4], [1e-3], [1e-3]]]), np.full((2, 1, 1), 1e-3)
    np.testing.assert_allclose(pool_unseen(two)[..., 0], [[0.3, 0.1, 0.05**0.5], [0.4, 1e-3, 0.08**0.5]], rtol=1e-4)
    np.testing.assert_array_equal(pool_unseen(one), one)


def test_a_channel_of_short_stretches_keeps_its_last_known_spread():
    config, worms = linear_config(), make_worms(((200,), (24,)))
    worms[0][0][:, -1] = 0.0
    scale = own_fit(fit_linear(config, worms, [Split((0, 1), ())]), 0)["persistence"]["scale"][:, -1]
    assert (scale > 0.5).all()
    np.testing.assert_array_equal(scale[8:], scale[7])  # The second worm has 8 frames after its only start.


def test_the_adapted_fit_is_what_its_operators_do_on_training_worms():
    config, worms = linear_config(), make_worms()
    own = own_fit(fit_linear(config, worms, SPLITS[2:]), 0)["var_adapted"]
    train = [worms[0], worms[2]]
    total = var.sum_products([values for stretches in train for values in stretches], 3)
    np.testing.assert_allclose(own["gram"], total.gram)
    np.testing.assert_allclose(own["cross"], total.cross)
    by_worm = [var.adapt_operators(train[k], var.sum_products(train[1 - k], 3), 3, 3.0, 1e-2, BLOCK) for k in range(2)]
    seen = {len(values): (k, stretch) for k, s in enumerate(train) for stretch, values in enumerate(s)}
    errors = [[] for _ in range(STEPS)]
    for frames, (k, stretch) in seen.items():
        values = train[k][stretch]
        for start in range(FIRST, frames, EVERY):
            rolled = roll_plainly(by_worm[k][stretch][start // BLOCK], values[:start], STEPS)
            for step in range(min(STEPS, frames - start)):
                errors[step].append((rolled[step] - values[start + step]) ** 2)
    expected = np.sqrt([np.mean(of_step, axis=0) for of_step in errors])
    np.testing.assert_allclose(own["scale"], expected, rtol=1e-6)


def test_penalties_are_chosen_on_worms_that_were_not_fitted():
    ridges, train = (1e-3, 3.0), [Split((0, 1), (2,)), Split((0,), (2,))]
    lengths = ((240,), (240,), (240,))
    alike = fit_linear(linear_config(ridges=ridges), make_worms(lengths), train)
    assert alike["var_1"]["ridge"].tolist() == [1e-3, 1e-3]
    # In each worm by itself the smallest penalty is still the best, but what one teaches misleads about the other.
    contrary = fit_linear(linear_config(ridges=ridges), make_worms(lengths, [TURNS, TURNS.T, TURNS]), train)
    assert contrary["var_1"]["ridge"].tolist() == [3.0, 1e-3]


def test_a_worms_own_frames_count_for_more_where_worms_differ():
    lengths, train = ((240,), (240,), (240,)), [Split((0, 1, 2), ())]
    config = linear_config(weights=(0.1, 30.0), adapted_ridges=(1e-3, 3.0))
    alike = fit_linear(config, make_worms(lengths), train)["var_adapted"]
    contrary = fit_linear(config, make_worms(lengths, [TURNS, TURNS.T, -0.5 * np.eye(4)]), train)["var_adapted"]
    assert (alike["weight"][0], contrary["weight"][0]) == (0.1, 30.0)
    assert alike["ridge"][0] == contrary["ridge"][0] == 1e-3


@pytest.mark.parametrize("train", [(0, 1, 2), (0,)])
def test_spreads_cover_worms_made_alike(train):
    lengths = ((3000,),) * 5
    dataset = make_dataset(lengths)
    config = linear_config(ridges=(1e-3,))
    fit = fit_linear(config, gather_worms(dataset), [Split(train, (3, 4))])
    starts = list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm >= 3)
    future, there = cut_future(dataset, starts, STEPS)
    for name in BASELINES:
        forecast = forecast_linear(name, config, fit, 0, dataset, starts, STEPS)
        mean = forecast.mean[:, None]
        spread = Spread(mean, np.broadcast_to(forecast.scale, mean.shape), np.ones((len(mean), 1)))
        scores = score_forecast(spread, cut_past(dataset, starts, 1)[:, 0], future, there, (1, 4, 12, 20))
        covered = [value for metric, value in scores.items() if metric.startswith("coverage90")]
        assert np.mean(covered) == pytest.approx(0.9, abs=0.03), name
        assert min(covered) > 0.86, name


def test_a_fit_that_learns_by_heart_has_the_spread_of_worms_it_has_not_seen():
    lengths = ((64,), (800,))  # 64 frames for 33 coefficients a channel.
    dataset = make_dataset(lengths)
    config = linear_config(ridges=(1e-6,), adapted_ridges=(1e-6,), orders=(8,), order=8)
    worms = gather_worms(dataset)
    scale = fit_linear(config, worms, [Split((0,), (1,))])["var_8"]["scale"][0][0]
    operators = var.solve_products(var.sum_products(worms[0], 8), 1e-6)
    by_heart = worms[0][0][8:] - worms[0][0][7:-1]
    by_heart = by_heart - var.stack_past(worms[0][0], np.arange(8, 64), 8) @ operators
    assert (scale > 1.3 * by_heart.std(axis=0)).all()


def test_forecasts_of_pooled_baselines():
    dataset, config = make_dataset(), linear_config()
    worms = gather_worms(dataset)
    fit, starts = fit_linear(config, worms, SPLITS), list_starts(dataset, FIRST, EVERY)
    for name in BASELINES[:-1]:
        forecast = forecast_linear(name, config, fit, 1, dataset, starts, STEPS)
        assert forecast.mean.shape == (len(starts.frame), STEPS, 2, 2)
        np.testing.assert_array_equal(forecast.scale.reshape(STEPS, CHANNELS), fit[name]["scale"][1])
        for number, (stretch, frame) in enumerate(zip(starts.stretch, starts.frame, strict=True)):
            past = dataset.arrays.features[stretch, :frame].reshape(frame, CHANNELS)
            if name == "persistence":
                expected = np.repeat(past[-1:], STEPS, axis=0)
            elif name == "mixture":
                weights, learnt = fit["mixture"]["weights"][1], [fit["mean"]["mean"][1][None]] * STEPS
                members = [np.concatenate(learnt)]
                for member in ("ar_1", "ar_3", "var_1", "var_3"):
                    members.append(roll_plainly(fit[member]["operators"][1], past, STEPS))
                changes = np.stack(members) - past[-1]
                expected = past[-1] + np.einsum("mtc,tm->tc", changes, weights)
            elif name == "mean":
                expected = np.repeat(fit["mean"]["mean"][1][None], STEPS, axis=0)
            else:
                expected = roll_plainly(fit[name]["operators"][1], past, STEPS)
            found = forecast.mean[number].reshape(STEPS, CHANNELS)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_each_start_has_the_coefficients_of_its_own_past():
    dataset, config = make_dataset(), linear_config()
    worms = gather_worms(dataset)
    fit = own_fit(fit_linear(config, worms, SPLITS), 0)["var_adapted"]
    starts = list_starts(dataset, first=19, every=13)  # Between two estimates.
    operators = adapt_to_starts(config, fit, dataset, starts)
    prior = [values for worm in (0, 1) for values in worms[worm]]
    stretch_numbers = {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (2, 1)}
    for found, stretch, frame in zip(operators, starts.stretch, starts.frame, strict=True):
        worm, number = stretch_numbers[int(stretch)]
        known = [*worms[worm][:number], worms[worm][number][: frame // BLOCK * BLOCK]]
        expected = fit_plainly(prior + 3 * known, 3, 1e-2)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_bound_that_knows_the_worm_leaves_out_the_frames_around_a_forecast():
    dataset, config = make_dataset(), linear_config(weights=(2.0,))
    worms = gather_worms(dataset)
    fit = own_fit(fit_linear(config, worms, SPLITS[:1]), 0)["var_adapted"]
    starts = list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm == 2)
    operators = adapt_around_starts(config, fit, dataset, starts)
    prior = [values for worm in (0, 1) for values in worms[worm]]
    for found, stretch, frame in zip(operators, starts.stretch - 2, starts.frame, strict=True):
        near = range(frame - 3, frame + STEPS + 3)  # Three frames a past.
        without = {(len(prior) + stretch + 2 * twice, row) for twice in range(2) for row in near}
        np.testing.assert_allclose(found, fit_plainly([*prior, *2 * worms[2]], 3, 1e-2, without), atol=1e-5)
    # And so a forecast does not know what it is held against.
    for number in (0, 4, len(starts.frame) - 1):
        features = dataset.arrays.features.copy()
        features[starts.stretch[number], starts.frame[number] : starts.frame[number] + STEPS] = 5.0
        changed = replace_arrays(dataset, dataset.arrays._replace(features=features))
        again = adapt_around_starts(config, fit, changed, starts)
        np.testing.assert_allclose(again[number], operators[number], atol=1e-5)
        assert np.abs(again - operators).max() > 1e-3
    full = fit_linear(config, worms, SPLITS[:1])
    bound = forecast_linear("var_known_worm", config, full, 0, dataset, starts, STEPS)
    expected = var.roll_out(operators, cut_past(dataset, starts, 3).reshape(-1, 3, CHANNELS).astype(np.float64), STEPS)
    np.testing.assert_allclose(bound.mean.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_without_weight_an_adapted_forecast_is_the_pooled_one():
    dataset, config = make_dataset(), linear_config(ridges=(1e-2,))
    fit, starts = fit_linear(config, gather_worms(dataset), SPLITS), list_starts(dataset, FIRST, EVERY)
    fit["var_adapted"]["weight"] = np.zeros(3)
    adapted, pooled = (
        forecast_linear(name, config, fit, 0, dataset, starts, STEPS).mean for name in ("var_adapted", "var_3")
    )
    np.testing.assert_allclose(adapted, pooled, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(("stretch", "frame"), [(2, 16), (2, 80), (3, 16), (3, 64)])
def test_no_forecast_depends_on_a_frame_at_or_after_its_start(name, stretch, frame):
    dataset, config = make_dataset(), linear_config()
    fit = fit_linear(config, gather_worms(dataset), SPLITS[:1])
    starts = list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm == 2)
    features = dataset.arrays.features.copy()
    features[stretch, frame:] = 50.0
    features[stretch + 1 :] = -50.0
    changed = replace_arrays(dataset, dataset.arrays._replace(features=features))
    before, after = (
        forecast_linear(name, config, fit, 0, of, starts, STEPS).mean.reshape(len(starts.frame), -1)
        for of in (dataset, changed)
    )
    known = (starts.stretch < stretch) | ((starts.stretch == stretch) & (starts.frame <= frame))
    np.testing.assert_array_equal(after[known], before[known])
    assert known.any()
    if name != "mean":
        assert (np.abs(after - before)[~known].max(axis=1) > 0.1).all()


@pytest.mark.parametrize("name", BASELINES)
def test_a_forecast_does_not_know_the_other_worms(name):
    dataset, config = make_dataset(), linear_config()
    fit = fit_linear(config, gather_worms(dataset), SPLITS[:1])
    starts = list_starts(dataset, FIRST, EVERY)
    starts = starts.of(starts.worm == 2)
    features = dataset.arrays.features.copy()
    features[:2] = 50.0
    changed = replace_arrays(dataset, dataset.arrays._replace(features=features))
    before, after = (forecast_linear(name, config, fit, 0, of, starts, STEPS).mean for of in (dataset, changed))
    np.testing.assert_array_equal(after, before)


def tabulate(config, dataset, worms=None, drift="adapted", splits=SPLITS):
    fit = fit_linear(config, gather_worms(dataset), splits)
    return tabulate_operators(config, worms or gather_worms(dataset), dataset, splits, fit, drift)


def test_training_worms_are_seen_with_what_the_others_teach():
    config, dataset = linear_config(), make_dataset()
    worms = gather_worms(dataset)
    operators, index = tabulate(config, dataset)
    pooled, pooled_index = tabulate(config, dataset, drift="pooled")
    assert operators.shape[1:] == (-(-207 // BLOCK) + 1, 13, CHANNELS)
    for number, worm, other, stretches in ((0, 0, 1, [0]), (0, 1, 0, [1]), (2, 2, 0, [2, 3]), (2, 0, 2, [0])):
        prior = var.sum_products(worms[other], 3)
        by_stretch = var.adapt_operators(worms[worm], prior, 3, 3.0, 1e-2, BLOCK)
        for stretch, expected in zip(stretches, by_stretch, strict=True):
            found = operators[index[number, stretch]]
            np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-5)
            alone = pooled[pooled_index[number, stretch]]
            np.testing.assert_allclose(alone, np.stack(len(alone) * [var.solve_products(prior, 1e-2)]), atol=1e-5)
    none, _ = tabulate(config, dataset, drift="none")
    assert none.shape == operators.shape
    assert not none.any()


def test_a_lone_training_worms_halves_are_seen_with_each_other():
    config, dataset = linear_config(), make_dataset()
    worm = gather_worms(dataset)[2]  # 90 and 100 frames: halved at frame 88 of the first.
    operators, index = tabulate(config, dataset, splits=SPLITS[1:2])
    assert operators.shape[0] == 2
    first, second = operators[index[0, 2]], operators[index[0, 3]]
    late = [worm[0][88:], worm[1]]
    for block in range(11):
        expected = fit_plainly([*late[1:], *3 * [worm[0][: block * BLOCK]]] if block else late[1:], 3, 1e-2)
        np.testing.assert_allclose(first[block], expected, atol=1e-5)
    for block in range(13):
        known = 3 * [worm[1][: block * BLOCK]] if block else []
        np.testing.assert_allclose(second[block], fit_plainly([worm[0][:88], *known], 3, 1e-2), atol=1e-5)


def test_operators_of_training_do_not_know_the_worms_left_out():
    config, dataset = linear_config(), make_dataset()
    worms = gather_worms(dataset)
    for number, split in enumerate(SPLITS):
        changed = [s if worm in split.train else [v * np.nan for v in s] for worm, s in enumerate(worms)]
        before = tabulate(config, dataset, worms, splits=SPLITS[number : number + 1])
        after = tabulate(config, dataset, changed, splits=SPLITS[number : number + 1])
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_training_stretches_too_short_for_a_start_are_refused():
    with pytest.raises(InputError, match=r"^config field 'forecast\.first': found 16, with training .* of 14 frames"):
        fit_linear(linear_config(), make_worms(((200,), (14, 9))), [Split((0, 1), ())])
    with pytest.raises(InputError, match=r"^config field 'forecast\.first': found 16, with .*halves.* of 8 frames"):
        fit_linear(linear_config(), make_worms(((31,),)), [Split((0,), ())])


def test_a_lone_worm_of_two_stretches_is_fitted():
    worms, splits = make_worms(((60, 160), (160, 63))), [Split((0,), ()), Split((1,), ())]
    fit = fit_linear(linear_config(weights=(3.0, 30.0)), worms, splits)
    for name in BASELINES:
        assert fit[name]["scale"].shape == (2, STEPS, CHANNELS)
        assert ((fit[name]["scale"] > 0.3) & (fit[name]["scale"] < 10.0)).all(), name
    # Halves are for choosing: what a held-out worm is met with is learnt from all frames.
    for number, stretches in enumerate(worms):
        np.testing.assert_allclose(fit["var_adapted"]["gram"][number], var.sum_products(stretches, 3).gram)


def test_few_steps_choose_as_far_as_they_go():
    config, worms = linear_config(steps=5, weights=(3.0, 30.0)), make_worms()
    fit = fit_linear(config, worms, SPLITS)
    assert fit["var_3"]["scale"].shape == (3, 5, CHANNELS)


def test_steps_that_no_training_stretch_reaches_neither_choose_nor_are_certain():
    lengths = ((40,),) * 6  # Starts at 16 and 32: 24 steps, of which the 25th would be nobody's.
    config = linear_config(steps=40, ridges=(3.0, 1e-2), orders=(1,), order=1)
    worms = make_worms(lengths)
    fit = own_fit(fit_linear(config, worms, [Split(tuple(range(6)), ())]), 0)
    np.testing.assert_array_equal(fit["var_1"]["scale"][24:], np.repeat(fit["var_1"]["scale"][23:24], 16, axis=0))
    short = [[values[:24] for values in stretches] for stretches in worms]  # 8 steps: fewer than those that choose.
    fit = own_fit(fit_linear(config, short, [Split(tuple(range(6)), ())]), 0)
    assert fit["var_1"]["ridge"] == 1e-2
