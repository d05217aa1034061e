"""The linear reconstructions are the regressions that they claim to be, and no neuron is read for itself."""

import numpy as np
import pytest
from small_experiments import small_dataset
from small_reconstructions import small_config

from wormjax.recordings.names import find_mirrors
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct import baselines
from wormjax.tasks.reconstruct.experiment import reconstruct_worm, score_neurons

NAMES = ("AVAL", "AVAR", "AVBL", "RIML", "RIMR", "RID")
TRAIN, TEST, PENALTY = (0, 1, 2), 3, 0.3
LACKING = ((0, 2), (1, 4), (2, 1), (3, 5), (3, 0))  # (worm, neuron)
PARTNERS = np.array([-1, -1, -1, 4, 3, -1])  # AVAL is lacking in the test worm.


@pytest.fixture(scope="module")
def dataset():
    made = small_dataset(((260,), (220,), (140, 110), (200,)), len(NAMES))
    object.__setattr__(made, "neuron_names", NAMES)
    for worm, neuron in LACKING:
        made.arrays.features[made.stretches_of(worm), :, neuron] = 0.0
    return made


@pytest.fixture(scope="module")
def fit(dataset):
    return baselines.fit_baselines(small_config(), dataset, [Split(TRAIN, (TEST,))])


def take_traces(dataset, worm):
    """Every neuron's z-score over a worm's frames, 0 where there is none."""
    own = dataset.stretches_of(worm)
    traces = dataset.arrays.features[own, ..., 0][dataset.arrays.valid[own]].astype(np.float64)
    sd = traces.std(axis=0)
    return (traces - traces.mean(axis=0)) / np.where(sd > 0, sd, 1.0)


def regress(dataset, worms, read, hidden):
    """Ridge regression of a neuron on others, each worm of equal weight, by augmented least squares."""
    traces = [
        take_traces(dataset, worm) / np.sqrt(dataset.arrays.valid[dataset.stretches_of(worm)].sum()) for worm in worms
    ]
    inputs = np.concatenate([own[:, read] for own in traces] + [np.sqrt(PENALTY * len(worms)) * np.eye(len(read))])
    target = np.concatenate([own[:, hidden] for own in traces] + [np.zeros(len(read))])
    return np.linalg.lstsq(inputs, target, rcond=None)[0]


def list_read(there, hidden, partners):
    return [k for k in np.flatnonzero(there) if k != hidden and (partners is None or k != partners[hidden])]


@pytest.mark.parametrize("partners", [None, PARTNERS])
def test_ridge_on_the_union_sets_what_is_missing_to_zero(dataset, fit, partners):
    present = dataset.find_present()
    weights = baselines.find_weights("ridge_union", fit, TRAIN, present[TEST], PENALTY, partners)
    for hidden in range(len(NAMES)) if partners is None else np.flatnonzero(present[TEST]):
        rows = [worm for worm in TRAIN if present[worm, hidden]]
        read = list_read(present[rows].any(axis=0), hidden, partners)
        expected = np.zeros(len(NAMES))
        expected[read] = regress(dataset, rows, read, hidden)
        np.testing.assert_allclose(weights[:, hidden], expected * present[TEST], atol=1e-9)


def test_ridge_by_pairs_is_the_mean_of_regressions_on_common_neurons(dataset, fit):
    present = dataset.find_present()
    weights = baselines.find_weights("ridge_pairs", fit, TRAIN, present[TEST], PENALTY)
    for hidden in range(len(NAMES)):  # Those that the test worm lacks, too.
        rows, total = [worm for worm in TRAIN if present[worm, hidden]], np.zeros(len(NAMES))
        for worm in rows:
            read = list_read(present[TEST] & present[worm], hidden, None)
            total[read] += regress(dataset, [worm], read, hidden) / len(rows)
        np.testing.assert_allclose(weights[:, hidden], total, atol=1e-9)


@pytest.mark.parametrize("partners", [None, PARTNERS])
def test_the_gaussian_conditional_is_that_of_the_shrunk_covariance(dataset, fit, partners):
    present, traces = dataset.find_present(), [take_traces(dataset, worm) for worm in TRAIN]
    covariance = np.eye(len(NAMES))
    for i, j in np.argwhere(~np.eye(len(NAMES), dtype=bool)):
        both = [k for k, worm in enumerate(TRAIN) if present[worm, i] and present[worm, j]]
        frames = sum(len(traces[k]) for k in both)
        frames += np.mean([len(own) for own in traces])  # One more worm without a correlation.
        covariance[i, j] = sum(traces[k][:, i] @ traces[k][:, j] for k in both) / frames * 0.5
    weights = baselines.find_weights("gaussian", fit, TRAIN, present[TEST], 0.5, partners)
    for hidden in np.flatnonzero(present[TEST]):
        read = list_read(present[TEST], hidden, partners)
        expected = np.zeros(len(NAMES))
        expected[read] = np.linalg.solve(covariance[np.ix_(read, read)], covariance[read, hidden])
        np.testing.assert_allclose(weights[:, hidden], expected, atol=1e-9)


def test_the_partner_alone_is_weighed_by_its_correlation(dataset, fit):
    weights = baselines.weigh_partner(fit, TRAIN, dataset.find_present()[TEST], PARTNERS)
    traces = [take_traces(dataset, worm) for worm in (0, 2)]  # Worm 1 lacks RIMR.
    expected = sum(own[:, 3] @ own[:, 4] for own in traces) / sum(map(len, traces))
    assert weights[4, 3] == pytest.approx(expected)
    assert (weights != 0).sum() == 2


def test_the_penalty_is_the_best_on_training_worms_left_out(dataset, fit):
    config, present, scores = small_config(), dataset.find_present(), {}
    for penalty in config.linear.penalties:
        each = []
        for worm in TRAIN:
            others = [k for k in TRAIN if k != worm]
            weights = baselines.find_weights("ridge_pairs", fit, others, present[worm], penalty)
            traces, scored = take_traces(dataset, worm), present[worm] & present[others].all(axis=0)
            each.append(score_neurons((traces @ weights)[None], traces[None])[scored].mean())
        scores[penalty] = np.mean(each)
    assert fit["penalty"]["ridge_pairs"][0] == max(scores, key=scores.get)
    assert baselines.choose_penalty("ridge_pairs", config, fit, (0,)) == 1.0  # The middle one.


def test_a_neuron_is_known_where_enough_training_worms_have_it(fit):
    assert baselines.find_known(fit, TRAIN, 3).tolist() == [True, False, False, True, False, True]
    assert baselines.find_known(fit, TRAIN, 2).all()
    assert baselines.find_known(fit, (0,), 2).tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("name", baselines.BASELINES)
@pytest.mark.parametrize("without_partner", [False, True])
def test_what_is_hidden_is_not_read(dataset, fit, name, without_partner):
    config, hidden = small_config(), 3

    def reconstruct(changed):
        neurons = np.flatnonzero(dataset.find_present()[TEST])
        return reconstruct_worm(name, config, fit, 0, TRAIN, None, changed, TEST, neurons, without_partner)

    before = reconstruct(dataset)
    assert np.isfinite(before[..., 4]).all()
    assert np.isfinite(before[..., 1]).any() != without_partner  # AVAR's partner is not there.
    for other in (hidden, PARTNERS[hidden]) if without_partner else (hidden,):
        features = dataset.arrays.features.copy()
        own = dataset.stretches_of(TEST)[0]
        features[own, :, other] = np.where(
            features[own, :, other] == 0, 0, np.cos(np.arange(features.shape[1]))[:, None]
        )
        object.__setattr__(changed := small_dataset(), "arrays", dataset.arrays._replace(features=features))
        for field in ("stretch_worm", "worms", "neuron_names"):
            object.__setattr__(changed, field, getattr(dataset, field))
        np.testing.assert_allclose(reconstruct(changed)[..., hidden], before[..., hidden], atol=1e-6)


def test_r2_is_over_measured_frames():
    measured = np.array([[[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 0.0]]])
    values = np.array([[[1.0, 5.0], [2.0, 5.0], [2.0, 5.0], [9.0, 5.0]]])
    r2 = score_neurons(values, measured)
    assert r2[0] == pytest.approx(0.5)
    assert np.isnan(r2[1])


def test_mirrored_ridge_adds_each_worm_with_left_and_right_exchanged(dataset, fit):
    present, mirrors = dataset.find_present(), np.array([1, 0, -1, 4, 3, 5])
    weights = baselines.find_weights("ridge_mirrored", fit, TRAIN, present[TEST], PENALTY)
    for hidden in range(len(NAMES)):
        total, shares = np.zeros(len(NAMES)), 0.0
        for worm in TRAIN:
            traces = take_traces(dataset, worm)
            mirrored = np.where(mirrors >= 0, traces[:, mirrors], 0.0)
            for share, own in ((1.0, traces), (0.5, mirrored)):
                if (own[:, hidden] == 0).all():
                    continue
                read = list_read(present[TEST] & (own != 0).any(axis=0), hidden, None)
                gram = own[:, read].T @ own[:, read] / len(own) + PENALTY * np.eye(len(read))
                total[read] += share * np.linalg.solve(gram, own[:, read].T @ own[:, hidden] / len(own))
                shares += share
        np.testing.assert_allclose(weights[:, hidden], total / max(shares, 1e-9), atol=1e-9)


def test_partners_are_left_and_right():
    names = ("AVAL", "SMDDR", "RID", "AVAR", "SMDDL", "SMDVL", "RMED", "VB01", "cell 7")
    assert find_mirrors(names) == [3, 4, 2, 0, 1, -1, 6, 7, 8]
