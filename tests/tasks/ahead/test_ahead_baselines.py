"""Baselines of the state ahead: what they know, whom they learn from, and that they say what they should."""

import jax
import numpy as np
import pytest
from small_ahead import GRAPH, MLP, small_config, small_dataset
from small_experiments import replace_arrays

from wormjax.baselines import dwell_times
from wormjax.baselines.linear import LinearClassifier
from wormjax.features.forecast_origins import list_starts
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead import experiment
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead.questions import ask, score_answers
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split

pytestmark = pytest.mark.usefixtures("quick_compilation")

SPLITS = [Split((0, 1), (2,))]
NETWORKS = {
    "mlp": MLP,
    "mlp_dwell": MLP | {"base": "dwell_chain"},
    "graph_known_state": GRAPH | {"base": "dwell_chain_known_state"},
}
CONFIG = small_config(
    models=tuple(NETWORKS),
    baselines=simple.BASELINES,
    ahead__first=10,
    ahead__every=7,
    train__members=2,
    **{f"model__{name}": sizes for name, sizes in NETWORKS.items()},
)
FIT = {
    experiment.SIMPLE: simple.fit_simple,
    simple.REGRESSION: simple.fit_regression,
    simple.DIFFUSION: simple.fit_diffusion_map,
}


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


@pytest.fixture(scope="module")
def setting(dataset):
    return experiment.read_setting(CONFIG, dataset)


@pytest.fixture(scope="module")
def fits(dataset, setting):
    """What the first two worms teach: folder → "split_0" → arrays."""
    worms = simple.gather_worms(dataset)[:2]
    return {name: {"split_0": fit(setting, worms)} for name, fit in FIT.items()}


def changed(dataset, first, last, features=True, states=True):
    """The dataset with other values in frames of the third worm's first stretch, or of all frames of its second."""
    arrays, random = jax.tree.map(np.copy, dataset.arrays), np.random.default_rng(first)
    if features:
        arrays.features[2, first:last] += 3.0 * random.normal(size=arrays.features[2, first:last].shape)
    if states:
        arrays.states[2, first:last] = (dataset.arrays.states[2, first:last].clip(0) + 2) % 4
    return replace_arrays(dataset, arrays)


@pytest.fixture(scope="module")
def networks(dataset, setting, quick_compilation):
    """Name → (its compiled answers, the parameters of two members): random, so that each says something of its own."""
    compiled, random = {}, np.random.default_rng(0)
    for name in NETWORKS:
        training = ahead_models.build_training(name, CONFIG, setting, dataset, SPLITS, [Group(0, SPLITS[0])])
        shapes = jax.eval_shape(training.engine.initialise, training.runs).variables
        variables = jax.tree.map(lambda x: 0.4 * random.normal(size=x.shape).astype(np.float32), shapes)
        compiled[name] = ahead_models.build_answering(name, CONFIG, dataset), variables
    return compiled


@pytest.fixture(scope="module")
def foretell(setting, fits, networks):
    """A function: dataset → {model or baseline: its answers on the third worm}, and their starts."""

    def tell(changed):
        starts = list_starts(changed, 10, 7)
        starts = starts.of(starts.worm == 2)
        answers = {
            name: experiment.answer_baseline(name, setting, fits, "split_0", changed, starts)
            for name in simple.BASELINES
        }
        for name, (answer, variables) in networks.items():
            base = NETWORKS[name]["base"]
            expected = ahead_models.expect_starts(
                CONFIG, setting, fits[experiment.SIMPLE]["split_0"], changed, starts, base
            )
            answers[name], edges = ahead_models.answer_starts(answer, CONFIG, changed, starts, variables, expected)
            assert (edges is None) == (name != "graph_known_state")
        return answers, starts

    return tell


@pytest.fixture(scope="module")
def answered(foretell, dataset):
    return foretell(dataset)


def differs(one, other):
    """Whether an answer at a start differs [start]."""
    return (one.states != other.states).any(axis=(1, 2)) | (one.onset != other.onset).any(axis=1)


@pytest.mark.parametrize("frame", [45, 52])  # A start, and the next one.
def test_no_answer_depends_on_a_frame_at_or_after_its_start(foretell, answered, dataset, frame):
    before, starts = answered
    after, _ = foretell(changed(dataset, frame, 90))
    blind = (starts.stretch == 3) | (starts.frame <= frame)
    own = starts.frame[starts.stretch == 2]
    assert frame in own
    assert own.max() > frame
    for name, answers in before.items():
        assert not differs(answers, after[name])[blind].any(), name
        if name != "frequencies":
            assert differs(answers, after[name])[~blind].any(), name


def test_every_answer_but_the_frequencies_knows_the_last_frame(foretell, answered, dataset):
    before, starts = answered
    after, _ = foretell(changed(dataset, 51, 52))
    last = (starts.stretch == 2) & (starts.frame == 52)
    assert last.sum() == 1
    assert {name for name in before if differs(before[name], after[name])[last]} == before.keys() - {"frequencies"}


def test_the_motor_state_is_given_to_those_alone_that_say_so(foretell, answered, dataset):
    before, starts = answered
    after, _ = foretell(changed(dataset, 30, 52, features=False))
    moved = {name for name in before if differs(before[name], after[name]).any()}
    assert moved == {name for name in before if name.endswith("_known_state")}
    after, _ = foretell(changed(dataset, 30, 52, states=False))
    seeing = {name for name in before if differs(before[name], after[name])[starts.stretch == 2].any()}
    assert seeing == before.keys() - {"frequencies", *(name + "_known_state" for name in simple.CHAINS)}


def test_all_answers_are_distributions(answered):
    answers, starts = answered
    for name, one in answers.items():
        assert one.states.shape == (len(starts.frame), 2, 4), name
        assert one.onset.shape == (len(starts.frame), 3), name
        for values in one:
            assert values.min() >= 0
            np.testing.assert_allclose(values.sum(axis=-1), 1.0, atol=1e-5)


def test_members_are_averaged_and_so_are_their_graphs(networks, answered, dataset):
    answer, both = networks["graph_known_state"]
    starts = answered[1]
    expected = np.zeros((len(starts.frame), 11), np.float32)
    joined, edges = ahead_models.answer_starts(answer, CONFIG, dataset, starts, both, expected)
    alone = []
    for member in (0, 1):
        twice = jax.tree.map(lambda x, k=member: np.stack([x[k]] * 2), both)
        alone.append(ahead_models.answer_starts(answer, CONFIG, dataset, starts, twice, expected))
    for one, *parts in zip(joined, *(answers for answers, _ in alone), strict=True):
        assert abs(parts[0] - parts[1]).max() > 0.05
        np.testing.assert_allclose(one, np.mean(parts, axis=0), rtol=1e-4)
    assert edges.shape == (len(starts.frame), 6, 2)
    np.testing.assert_allclose(edges, (alone[0][1] + alone[1][1]) / 2, rtol=1e-4)
    np.testing.assert_allclose(edges.sum(axis=-1), 1.0, rtol=1e-5)


def test_of_a_worm_left_out_nothing_enters_a_fit_or_a_base(dataset, setting, fits, tmp_path):
    config = small_config(baselines=simple.BASELINES)
    other = changed(dataset, 0, 90)
    other.arrays.features[3], other.arrays.states[3] = 2.0, np.where(other.arrays.valid[3], 1, UNSCORED)
    splits = [*SPLITS, Split((0, 2), (1,))]
    found = experiment.fit_baselines(config, other, splits, tmp_path)
    assert found.keys() == fits.keys()
    same = jax.tree.map(np.array_equal, {name: {"split_0": found[name]["split_0"]} for name in found}, fits)
    assert all(jax.tree.leaves(same)), same
    for name in found:
        pair = found[name]["split_1"], fits[name]["split_0"]
        assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, *pair)))
    bases = [ahead_models.tabulate_bases(config, setting, one, splits, "dwell_chain") for one in (dataset, other)]
    (one, index), (two, other_index) = bases
    np.testing.assert_array_equal(index, other_index)
    np.testing.assert_array_equal(one[index[0, :2]], two[index[0, :2]])
    assert (one[index[1, [0, 2, 3]]] != two[index[1, [0, 2, 3]]]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("base", ["dwell_chain", "dwell_chain_known_state"])
def test_a_training_worm_is_seen_with_the_chain_of_the_others(dataset, setting, base):
    splits = [Split((0, 1, 2), ()), Split((0, 2), (1,))]
    entries, index = ahead_models.tabulate_bases(CONFIG, setting, dataset, splits, base)
    assert entries.shape[1:] == (dataset.arrays.valid.shape[1], 2 * 4 + 3)
    worms = simple.gather_worms(dataset)
    for number, worm, others in ((0, 2, (0, 1)), (1, 2, (0,)), (1, 0, (2,))):
        fit = simple.fit_simple(setting, [worms[other] for other in others])
        for stretch, own in zip(dataset.stretches_of(worm), worms[worm], strict=True):
            frames = len(own.states)
            answers = simple.answer_baseline(base, setting, fit, own, np.arange(frames))
            expected = np.concatenate([answers.states.reshape(frames, -1), answers.onset], axis=1)
            found = entries[index[number, stretch]]
            np.testing.assert_allclose(found[:frames], np.log(np.maximum(expected, 1e-4)), rtol=1e-5)
            assert (found[frames:] == 0).all()


@pytest.mark.parametrize("worm", [0, 2])  # Of one stretch, and of two, of which the cut falls into the first.
def test_a_lone_worms_halves_are_seen_with_each_others_chain(dataset, setting, worm):
    entries, index = ahead_models.tabulate_bases(CONFIG, setting, dataset, [Split((worm,), (1,))], "dwell_chain")
    stretches = simple.gather_worms(dataset)[worm]
    cut, first = 75, stretches[0]
    halves = [[simple.Stretch(first.features[:cut], first.states[:cut])]]
    halves.append([simple.Stretch(first.features[cut:], first.states[cut:]), *stretches[1:]])
    expected = []
    for own, other in (halves, halves[::-1]):
        fit = simple.fit_simple(setting, [other])
        expected += [ahead_models.expect(setting, fit, stretch, "dwell_chain") for stretch in own]
    found = [entries[index[0, k]][dataset.arrays.valid[k]] for k in dataset.stretches_of(worm)]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
    own = simple.fit_simple(setting, [halves[1]])  # A chain that had seen its half would expect something else.
    assert (ahead_models.expect(setting, own, halves[1][-1], "dwell_chain") != expected[-1]).any(axis=1).all()


def test_a_test_worm_is_seen_with_the_chain_of_all_training_worms(dataset, setting, fits):
    starts = list_starts(dataset, 10, 7)
    starts = starts.of(starts.worm == 2)
    fit = fits[experiment.SIMPLE]["split_0"]
    answers = experiment.answer_baseline("dwell_chain", setting, fits, "split_0", dataset, starts)
    found = ahead_models.expect_starts(CONFIG, setting, fit, dataset, starts, "dwell_chain")
    np.testing.assert_allclose(np.exp(found[:, 8:]), np.maximum(answers.onset, 1e-4), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[:, :8]).reshape(-1, 2, 4), np.maximum(answers.states, 1e-4), rtol=1e-5)
    assert (ahead_models.expect_starts(CONFIG, setting, fit, dataset, starts, "none") == 0).all()


def test_a_lone_worm_falls_into_halves_of_its_frames():
    def make(*counts):
        return [simple.Stretch(np.zeros((count, 1, 1)), np.full(count, number)) for number, count in enumerate(counts)]

    def sizes(parts):
        return [[(int(one.states[0]), len(one.states)) for one in part] for part in parts]

    assert sizes(simple.list_parts([make(9)])) == [[(0, 4)], [(0, 5)]]
    assert sizes(simple.list_parts([make(2, 10)])) == [[(0, 2), (1, 4)], [(1, 6)]]
    assert sizes(simple.list_parts([make(3, 3)])) == [[(0, 3)], [(1, 3)]]
    assert sizes(simple.list_parts([make(4), make(2)])) == [[(0, 4)], [(0, 2)]]


def test_frequencies_are_those_of_the_training_worms(dataset, setting, fits):
    states = np.concatenate([stretch.states for worm in simple.gather_worms(dataset)[:2] for stretch in worm])
    counts = np.bincount(states[states != UNSCORED], minlength=4) + 0.5
    fit = fits[experiment.SIMPLE]["split_0"]
    np.testing.assert_allclose(fit["frequencies"]["frequency"], counts / counts.sum())
    starts = list_starts(dataset, 10, 7)
    answers = experiment.answer_baseline("frequencies", setting, fits, "split_0", dataset, starts)
    np.testing.assert_allclose(answers.states, np.broadcast_to(counts / counts.sum(), answers.states.shape))


def test_chains_given_the_state_answer_as_the_chain_of_dwell_times(dataset, setting, fits):
    states = [stretch.states for worm in simple.gather_worms(dataset)[:2] for stretch in worm]
    stretch, origins = simple.gather_worms(dataset)[2][0], np.array([5, 40, 88])
    for name, ages in (("markov_chain", (1,)), ("dwell_chain", dwell_times.AGE_BINS)):
        chain = dwell_times.fit_dwell_chain(states, 4, ages)
        belief = dwell_times.filter_states(chain, dwell_times.likelihood_of_scored(stretch.states, 4))[origins]
        ahead = dwell_times.predict_states(chain, setting.steps)
        onset = np.einsum("osa,hsa->oh", belief, dwell_times.predict_onset(chain, setting.steps, 0))
        fit = fits[experiment.SIMPLE]["split_0"]
        answers = simple.answer_baseline(f"{name}_known_state", setting, fit, stretch, origins)
        np.testing.assert_allclose(answers.states, np.einsum("osa,hsab->ohb", belief, ahead), atol=1e-9)
        np.testing.assert_allclose(np.cumsum(answers.onset, axis=1)[:, :2], onset, atol=1e-9)


def test_chains_not_given_the_state_weigh_what_the_decoder_says(dataset, setting, fits):
    fit = fits[experiment.SIMPLE]["split_0"]["dwell_chain"]
    stretch, origins = simple.gather_worms(dataset)[2][0], np.array([5, 40, 88])
    chain = dwell_times.DwellChain(fit["leave"], fit["follow"], fit["frequency"])
    decoded = simple.decode(setting, LinearClassifier(fit["weights"], fit["bias"]), stretch)
    scored = stretch.states != UNSCORED
    assert (decoded.argmax(axis=1) == stretch.states)[scored].mean() > 0.7
    assert fit["weight"] in setting.weights
    likelihood = dwell_times.likelihood_of_decoded(chain, decoded, float(fit["weight"]))
    belief = dwell_times.filter_states(chain, likelihood)[origins]
    answers = simple.answer_baseline("dwell_chain", setting, fits[experiment.SIMPLE]["split_0"], stretch, origins)
    expected = np.einsum("osa,hsab->ohb", belief, dwell_times.predict_states(chain, setting.steps))
    np.testing.assert_allclose(answers.states, expected, atol=1e-9)


def score(name, config, dataset):
    """One baseline's scores on the third worm, fitted to the first two."""
    setting, worms = experiment.read_setting(config, dataset), simple.gather_worms(dataset)[:2]
    folder = name if name in FIT else experiment.SIMPLE
    fits = {folder: {"split_0": FIT[folder](setting, worms)}}
    starts, truth = ask(config, dataset)
    own = starts.worm == 2
    answers = experiment.answer_baseline(name, setting, fits, "split_0", dataset, starts.of(own))
    return score_answers(answers, truth.of(own), config.ahead.seconds, dataset.frame_rate, np.full(4, 0.25))


def test_states_that_last_persist_and_what_never_changes_always_does(dataset):
    config, slow = small_config(), small_dataset(bouts=(35, 40))
    known, blind = (score(name, config, slow) for name in ("persistence_known_state", "frequencies"))
    assert known["nll@1s"] < 0.6 * blind["nll@1s"]
    assert known["nll@1s"] < known["nll@3s"]
    assert known["balanced_accuracy@1s"] > 0.8
    worms = [simple.Stretch(np.zeros((120, 3, 2)), np.full(120, state)) for state in (0, 1)]
    setting, random = experiment.read_setting(config, dataset), np.random.default_rng(0)
    stay = simple.fit_simple(setting, [[worm] for worm in worms])["persistence_known_state"]["stay"]
    np.testing.assert_array_equal(stay, simple.STAYS.max())
    drawn = [[worm._replace(states=random.integers(0, 4, 120))] for worm in worms]  # Each frame by itself.
    assert simple.fit_simple(setting, drawn)["persistence_known_state"]["stay"].max() < 0.2


def test_the_state_given_last_holds_where_none_is_scored(setting):
    states = np.array([UNSCORED, UNSCORED, 2, UNSCORED, 1, UNSCORED])
    frequency = np.array([0.1, 0.2, 0.3, 0.4])
    fit = {"frequencies": {"frequency": frequency, "onset": np.full(3, 1 / 3)}}
    fit["persistence_known_state"] = {"stay": np.array([1.0, 0.5]), "weights": np.zeros((1, 4)), "bias": np.zeros(4)}
    stretch = simple.Stretch(np.zeros((6, 3, 2)), states)
    found = simple.answer_baseline("persistence_known_state", setting, fit, stretch, np.arange(6)).states
    np.testing.assert_allclose(found[:2, 0], np.tile(frequency, (2, 1)))
    assert found[2:, 0].argmax(axis=1).tolist() == [2, 2, 1, 1]
    np.testing.assert_allclose(found[5, 1], [0.05, 0.6, 0.15, 0.2])


def test_regression_finds_what_goes_before(dataset):
    arrays = jax.tree.map(np.copy, dataset.arrays)
    for stretch, states in enumerate(arrays.states):  # The neurons tell the state 3 s (9 frames) on, and no other.
        later = np.append(states[9:], np.full(9, UNSCORED))
        arrays.features[stretch, ..., 0] = 2.0 * np.eye(4)[later][:, 1:] * (later != UNSCORED)[:, None]
        arrays.features[stretch, ..., 1] = 0.0
    planted, config = replace_arrays(dataset, arrays), small_config(linear__offsets=(0,), linear__inverse_penalty=10.0)
    found, blind = (score(name, config, planted) for name in ("logistic_regression", "persistence"))
    assert found["nll@3s"] < 0.25
    assert found["accuracy@3s"] > 0.95
    assert blind["nll@3s"] > 1.0
    assert found["nll@1s"] > 1.0  # What comes sooner was not planted.


def test_a_kept_diffusion_map_answers_as_the_one_fitted(dataset, setting, fits):
    fit = fits[simple.DIFFUSION]["split_0"]
    kept = simple.unpack_diffusion_map(setting, fit)
    traces = [stretch.features[..., 0] for worm in simple.gather_worms(dataset)[:2] for stretch in worm]
    made = simple.loops.fit_loops(traces, setting.embedding, setting.neighbourhood, setting.partition, setting.seed)
    stretch, origins = simple.gather_worms(dataset)[2][0], np.arange(9, 90, 8)
    one, other = (
        simple.answer_baseline(simple.DIFFUSION, setting, fit, stretch, origins, model) for model in (kept, made)
    )
    np.testing.assert_array_equal(one.states, other.states)
    np.testing.assert_array_equal(one.onset, other.onset)
    assert len(np.unique(one.states[:, 0, 0])) > 3
