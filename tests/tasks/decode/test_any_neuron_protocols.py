"""Any neurons, behaviours, few neurons, calibration: what each protocol shows of a worm, and no more."""

import dataclasses

import jax
import numpy as np
import pytest
from small_experiments import small_config

from wormjax.baselines.linear import LINEAR_BASELINES
from wormjax.errors import ConfigError, InputError, RecordingWarning
from wormjax.features.dataset import build_dataset
from wormjax.models.any_neurons import build_vocabulary, index_identities, keep_known, move_identities
from wormjax.recordings.recording import UNSCORED, Recording
from wormjax.simulation.worms import hide_names, simulate_worms
from wormjax.tasks.decode import baselines, calibration, few_neurons, sweep
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.experiment import generalize
from wormjax.tasks.given_graphs import load_given
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.protocols import list_splits
from wormjax.tasks.training import train_best
from wormjax.tasks.worms import Materials, build_training_dataset
from wormjax.training.workdir import describe_dataset

NETWORK = {"kind": "any_neurons", "node_hidden": 4, "embedding": 4, "channels": 8, "dilations": (1,), "refitted": 8.0}


def any_config(**fields):
    changes = {
        "data__neurons": "any",
        "data__states": "two",
        "data__targets": ("motor_state", "velocity"),
        "split__validation_fraction": 0.0,
        "train__keep_best": False,
        "models": ("any_neurons",),
        "baselines": ("linear_union",),
        "protocol__name": "leave_one_worm_out",
        "model__any_neurons": {**NETWORK, "graph": "none"},
        "linear__inverse_penalty": 0.01,
        "few_neurons__counts": (2, 1000),
        "few_neurons__orders": 2,
        "calibration__durations": (30.0, 60.0),
        "calibration__steps": 8,
    }
    return small_config(**changes | fields)


WORMS = [hide_names(worm, 0.7, 3) for worm in simulate_worms(5, 3, 2.5).recordings]
CONFIG = any_config()
DATASET = build_training_dataset(CONFIG, list(WORMS))
MATERIALS = Materials(DATASET, DATASET, tuple(list_splits("leave_one_worm_out", 3)))
GROUPS = list_groups(CONFIG, MATERIALS.splits)
DESCRIPTION = describe_dataset(DATASET)


def train(config=CONFIG, dataset=DATASET, groups=GROUPS):
    runs = decoding.build_group_runs(config, dataset, groups)
    return train_best(decoding.build_training("any_neurons", config, dataset, runs), "any_neurons", progress=False)


@pytest.fixture(scope="module")
def variables():
    return train()


def decode(variables, dataset=DATASET, name="any_neurons", config=CONFIG):
    return decoding.decode_model(name, config, DESCRIPTION, dataset, GROUPS, variables)


def test_states_and_behaviours_are_decoded_and_scored(variables):
    rows = decoding.score_model("any_neurons", CONFIG, DESCRIPTION, DATASET, GROUPS, decode(variables))
    assert {row.metric for row in rows} >= {"auroc", "velocity_r", "velocity_r2"}
    assert len({row.test_worm for row in rows}) == 3


def test_without_motor_state_among_the_targets_only_behaviours_are_scored(variables):
    config = any_config(data__targets=("velocity",))
    rows = decoding.score_model("any_neurons", config, DESCRIPTION, DATASET, GROUPS, decode(variables))
    assert {row.metric for row in rows} == {"velocity_r", "velocity_r2"}


def test_a_neuron_that_no_training_worm_has_is_not_read_unless_its_class_is_known(variables):
    present = DATASET.find_present()
    for number, group in enumerate(GROUPS):
        ids = variables["identity"]["ids"][number]
        unknown = (ids == 0).all(axis=-1)
        trained = present[list(group.split.train)].any(axis=0)
        assert not (unknown & trained).any()
        changed = DATASET.arrays.features.copy()
        changed[:, :, unknown] = 7.0 * (changed[:, :, unknown] != 0)
        other = dataclasses.replace(DATASET, arrays=DATASET.arrays._replace(features=changed))
        before, after = decode(variables), decode(variables, other)
        np.testing.assert_allclose(before.probabilities[number], after.probabilities[number], atol=1e-6)


def test_a_held_out_worm_leaves_no_trace_in_what_its_runs_learn(variables):
    features, held_out = DATASET.arrays.features.copy(), GROUPS[0].split.test[0]
    own = DATASET.stretch_worm == held_out
    features[own] *= -3.0
    behavior, measured = (np.where(own[:, None, None], 5.0, v) for v in (DATASET.arrays.behavior, DATASET.measured))
    arrays = DATASET.arrays._replace(features=features, behavior=behavior)
    other = dataclasses.replace(DATASET, arrays=arrays, measured=measured)
    before, after = (decoding.select_runs(learnt, np.array([0])) for learnt in (variables, train(dataset=other)))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_worms_that_end_within_the_calibration_have_none_and_it_is_said(variables):
    config = any_config(calibration__durations=(30.0, 1000.0))
    with pytest.warns(RecordingWarning, match="no tested worm has a scored frame after 1000 s"):
        rows = calibration.score_calibration(config, DESCRIPTION, DATASET, GROUPS, "any_neurons", variables)
    assert rows == []


def test_how_rare_a_neuron_may_be_is_counted_in_training_worms():
    names = ("AVAL", "AVAR", "RID", "VB02", "")
    ids = index_identities(names, build_vocabulary(names))
    present = np.array([[1, 0, 1, 1, 1], [0, 1, 1, 0, 1]], bool)
    known = keep_known(ids, present, least_worms=2)
    assert (known[:, 0] > 0).tolist() == [False, False, True, False, False]
    assert (known[:, 1] > 0).tolist() == [True, True, True, False, False]  # Both worms have one of AVA.
    assert (known[[3, 4]] == 0).all()
    np.testing.assert_array_equal(keep_known(ids, present[:1], least_worms=2)[[0, 2, 3]], ids[[0, 2, 3]])


def test_identities_move_to_other_neurons_by_name_and_by_class():
    vocabulary = ("AVAL", "RIMR", "VB02", "")
    ids = index_identities(vocabulary, build_vocabulary(vocabulary))
    ids = np.stack([ids, ids * (np.arange(4) != 1)[:, None]])  # The second run does not know RIM.
    moved = move_identities(ids, vocabulary, ("VB02", "AVAR", "RIML", "ASEL", "", "AVAL"))
    np.testing.assert_array_equal(moved[:, [0, 5]], ids[:, [2, 0]])
    assert moved[:, 1, 0].tolist() == [0, 0]
    np.testing.assert_array_equal(moved[:, 1, 1], ids[:, 0, 1])
    assert (moved[:, [3, 4]] == 0).all()
    assert moved[0, 2, 1] == ids[0, 1, 1]
    assert (moved[1, 2] == 0).all()


def test_shared_neurons_alone_are_read_where_a_baseline_says_so():
    fitted = baselines.fit_baseline("linear_shared", CONFIG, DATASET, GROUPS)
    shared = DATASET.find_present().all(axis=0)
    weights = fitted["weights"].reshape(len(GROUPS), 3, len(shared), -1)
    assert shared.any()
    assert not shared.all()
    assert np.abs(weights[:, :, ~shared]).max() < 1e-9
    assert np.abs(weights[:, :, shared]).max() > 1e-3


def test_pairs_are_the_mean_of_decoders_fitted_to_each_training_worm_on_common_neurons():
    fitted, present = baselines.fit_baseline("linear_pairs", CONFIG, DATASET, GROUPS), DATASET.find_present()
    labels = decoding.split_by_seed(CONFIG, DATASET)[0]
    group, tested = GROUPS[0], GROUPS[0].split.test[0]
    parts = []
    for worm in group.split.train:
        common = present[worm] & present[tested]
        one = baselines.fit_neurons("linear_pairs", CONFIG, DATASET, (worm,), common, labels)
        assert LINEAR_BASELINES["linear_union"].offsets == LINEAR_BASELINES["linear_pairs"].offsets
        alone = {name: np.stack([values] * 3) for name, values in one.items()}
        parts.append(decode(alone, name="linear_union"))
    pairs = decode(fitted, name="linear_pairs")
    own = DATASET.stretches_of(tested)
    for field in ("probabilities", "behavior"):
        expected = np.mean([getattr(part, field)[0, own] for part in parts], axis=0)
        np.testing.assert_allclose(getattr(pairs, field)[0, own], expected, atol=1e-6)
    with pytest.raises(ConfigError, match=r"linear_pairs"):
        decode(fitted, dataclasses.replace(DATASET, fingerprints=("a", "b", "c")), name="linear_pairs")


def test_pairs_within_a_worm_are_its_own_decoder_by_seed():
    config = any_config(protocol__name="same_worm", split__test_fraction=0.3, seeds=2)
    groups = list_groups(config, list_splits("same_worm", 3))
    fitted = [baselines.fit_baseline(name, config, DATASET, groups) for name in ("linear_pairs", "linear_union")]
    pairs, union = (
        decoding.decode_model(name, config, DESCRIPTION, DATASET, groups, own)
        for name, own in zip(("linear_pairs", "linear_union"), fitted, strict=True)
    )
    assert np.abs(union.probabilities[0] - union.probabilities[3]).max() > 1e-3  # Each seed tests other frames.
    np.testing.assert_allclose(pairs.probabilities, union.probabilities, atol=1e-6)


def keep_few(dataset, count):
    """Return a dataset whose worms have their first neurons alone."""
    kept = dataset.find_present()
    kept &= kept.cumsum(axis=1) <= count
    features = dataset.arrays.features * kept[dataset.stretch_worm][:, None, :, None]
    return dataclasses.replace(dataset, arrays=dataset.arrays._replace(features=features))


def test_with_few_neurons_a_refitted_linear_decoder_counts_more(variables):
    alone = any_config(model__any_neurons={**NETWORK, "graph": "none", "refitted": 0.0})
    linear = any_config(model__any_neurons={**NETWORK, "graph": "none", "refitted": 1e6})
    network = {name: values for name, values in variables.items() if name != "moments"}
    shares = []
    for count in (1, 8, 1000):
        few = keep_few(DATASET, count)
        both, first, last = (
            decode(variables, few),
            decode(network, few, config=alone),
            decode(variables, few, config=linear),
        )
        span = last.behavior - first.behavior
        shares.append(np.vdot(span, both.behavior - first.behavior) / np.vdot(span, span))
    assert shares[0] > 0.9 > shares[1] > shares[2]


def test_refitted_decoders_read_neurons_by_their_names(variables):
    order = np.random.default_rng(0).permutation(len(DATASET.neuron_names))
    arrays = DATASET.arrays._replace(features=DATASET.arrays.features[:, :, order])
    names = tuple(DATASET.neuron_names[place] for place in order)
    moved = decode(variables, dataclasses.replace(DATASET, arrays=arrays, neuron_names=names))
    for found, expected in zip((moved.probabilities, moved.behavior), decode(variables)[::2], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_few_neurons_are_nested_and_those_of_the_worm():
    present = DATASET.find_present()
    fewer, more = (few_neurons.choose_subsets(DATASET, count, 0) for count in (2, 4))
    assert (fewer.sum(axis=1) == 2).all()
    assert (more.sum(axis=1) == 4).all()
    assert not (fewer & ~more).any()
    assert not (more & ~present).any()
    assert (few_neurons.choose_subsets(DATASET, 2, 1) != fewer).any()


def test_with_all_neurons_the_scores_are_those_of_the_table(variables):
    learnt = {"any_neurons": variables, "linear_union": baselines.fit_baseline("linear_union", CONFIG, DATASET, GROUPS)}
    trained = learnt | {"messages": variables}  # Not the first model, so not scored.
    rows = few_neurons.score_few_neurons(CONFIG, DESCRIPTION, MATERIALS, GROUPS, trained)
    table = {
        (name, row.test_worm, row.metric): row.value
        for name, own in learnt.items()
        for row in decoding.score_model(name, CONFIG, DESCRIPTION, DATASET, GROUPS, decode(own, name=name))
    }
    whole = {
        (row.model, row.test_worm, row.metric.removesuffix("@all")): row.value for row in rows if "@all" in row.metric
    }
    for key, value in table.items():
        assert whole[key] == pytest.approx(value, abs=1e-6)
    assert {row.model for row in rows} == {"any_neurons", "linear_union", "linear_refitted"}
    assert {row.metric.split("@")[1] for row in rows} == {"2", "all"}


def test_calibration_sees_no_label_after_its_seconds_and_starts_from_what_was_learnt(variables):
    worms = [group.split.test[0] for group in GROUPS]
    changed = DATASET.measured.copy()
    late = DATASET.times > 30.0 + DATASET.times[:, :1]
    changed[late] = 9.0
    states = np.where(late & (DATASET.arrays.states != UNSCORED), 1 - DATASET.arrays.states, DATASET.arrays.states)
    arrays = DATASET.arrays._replace(behavior=-DATASET.arrays.behavior, states=states)
    other = dataclasses.replace(DATASET, arrays=arrays, measured=changed)
    one, two = (calibration.calibrate("any_neurons", CONFIG, data, worms, 30.0, variables) for data in (DATASET, other))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one["params"], variables["params"])
    assert max(jax.tree.leaves(moved)) > 0
    config = any_config(calibration__learning_rate=1e-9)
    same = calibration.calibrate("any_neurons", config, DATASET, worms, 30.0, variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), same["params"], variables["params"])


def test_calibration_is_scored_on_what_follows_the_longest(variables):
    rows = calibration.score_calibration(CONFIG, DESCRIPTION, DATASET, GROUPS, "any_neurons", variables)
    assert {row.metric.split("@")[1] for row in rows} == {"0", "30", "60"}
    assert {row.model for row in rows} == {
        "any_neurons",
        "any_neurons (these seconds alone)",
        "linear_union (these seconds alone)",
    }
    late = DATASET.scored & (DATASET.times >= 60.0 + DATASET.times[:, :1])
    states = np.where(late, DATASET.scored_states, UNSCORED)
    rest = dataclasses.replace(DATASET, scored=late, scored_states=states)
    expected = decoding.score_model("any_neurons", CONFIG, DESCRIPTION, rest, GROUPS, decode(variables))
    found = {(row.test_worm, row.metric): row.value for row in rows if row.model == "any_neurons"}
    for row in expected:
        assert found[row.test_worm, f"{row.metric}@0"] == pytest.approx(row.value)


def test_calibration_without_a_scored_frame_is_refused(variables):
    arrays = DATASET.arrays
    states, behavior = np.full_like(arrays.states, UNSCORED), np.full_like(arrays.behavior, np.nan)
    blank = dataclasses.replace(DATASET, arrays=arrays._replace(states=states), measured=behavior)
    with pytest.raises(InputError, match=r"seconds: found no scored frame in the first 30 s of worm"):
        calibration.calibrate("any_neurons", CONFIG, blank, [0, 1, 2], 30.0, variables)


def test_models_that_decode_no_behaviour_are_refused_by_name():
    config = any_config(models=("mlp",))
    with pytest.raises(ConfigError, match=r"models.*'mlp', which decodes no behaviour"):
        decoding.check_models(config)


def test_a_behaviour_that_is_never_a_number_is_none():
    worms = [dataclasses.replace(worm, behavior={"velocity": np.full(len(worm.times), np.nan)}) for worm in WORMS]
    with pytest.warns(Warning, match=r"no recording has velocity, .* their behaviours are: none$"):
        assert build_training_dataset(CONFIG, worms).target_names == ()


def test_a_behaviour_that_no_recording_has_is_named():
    worms = [dataclasses.replace(worm, behavior={}) for worm in WORMS]
    with pytest.warns(Warning, match=r"no recording has velocity, which is not decoded"):
        assert build_training_dataset(CONFIG, worms).target_names == ()
    with pytest.raises(InputError, match=r"no velocity is scored"):
        build_training_dataset(any_config(data__targets=("velocity",)), worms)


def test_worms_of_other_units_share_a_dataset_without_motor_states():
    worms = [Recording(**{**_fields(worm), "motor_state": None, "state_names": ()}) for worm in WORMS]
    config = any_config(data__targets=("velocity",))
    dataset = build_training_dataset(config, worms)
    assert len(dataset.worms) == 3
    assert (dataset.arrays.states == UNSCORED).all()
    assert np.isfinite(dataset.arrays.behavior[dataset.arrays.valid]).all()
    assert build_dataset(worms, ("AVAL",)).target_names == ()


def _fields(worm):
    return {field.name: getattr(worm, field.name) for field in dataclasses.fields(worm) if field.name != "frame_rate"}


def test_messages_pass_on_the_graph_that_is_given(tmp_path):
    names = [name for name in DATASET.neuron_names if DATASET.find_present()[:, DATASET.neuron_names.index(name)].all()]
    (tmp_path / "edges.csv").write_text(f"sender,receiver\n{names[0]},{names[1]}\n")
    config = any_config(model__any_neurons={**NETWORK, "graph": "given"}, data__edges=str(tmp_path / "edges.csv"))
    learnt = train(config)
    assert learnt["given"]["edges"].sum() == len(GROUPS)
    before = decode(learnt, config=config)
    without = {**learnt, "given": {"edges": np.zeros_like(learnt["given"]["edges"])}}
    assert np.abs(decode(without, config=config).probabilities - before.probabilities).max() > 1e-5
    config.model.any_neurons.edges = "none"
    assert not load_given("any_neurons", config, DATASET.neuron_names).any()
    config.data.edges = config.model.any_neurons.edges = ""
    with pytest.raises(ConfigError, match=r"model\.any_neurons\.edges.*or a table of edges in data\.edges"):
        decoding.check_models(config)


def test_without_a_neuron_that_the_training_worms_have_a_baseline_knows_how_often_states_occur():
    labels, none = decoding.split_by_seed(CONFIG, DATASET)[0], np.zeros(len(DATASET.neuron_names), bool)
    fitted = baselines.fit_neurons("linear_union", CONFIG, DATASET, (0, 1), none, labels)
    assert not fitted["weights"].any()
    states = DATASET.arrays.states[np.isin(DATASET.stretch_worm, (0, 1))]
    share = (states == 0).sum() / (states != UNSCORED).sum()
    odds = np.exp(fitted["bias"][0] - fitted["bias"][1])
    assert odds / (1 + odds) == pytest.approx(share, abs=0.02)


def test_refined_decodings_have_the_models_names_and_plain_ones_names_of_their_own(variables):
    config = any_config(decode__own_activity=True)
    dataset = build_training_dataset(config, list(WORMS))
    plain = decode(variables)
    activity = decoding.factor_worms(config, dataset)
    both = decoding.refine_all({"any_neurons": plain}, dataset, GROUPS, activity)
    assert list(both) == ["any_neurons", "any_neurons without own activity"]
    assert both["any_neurons without own activity"] is plain
    refined, valid = both["any_neurons"], dataset.arrays.valid
    for number, group in enumerate(GROUPS):
        (worm,) = group.split.test
        own = [k for k in dataset.stretches_of(worm) if valid[k].any()]
        frames = refined.probabilities[number, own][valid[own]]
        np.testing.assert_allclose(frames.sum(axis=-1), 1.0, rtol=1e-5)
        assert np.abs(frames - plain.probabilities[number, own][valid[own]]).max() > 1e-3
    assert decoding.refine_all({"any_neurons": plain}, DATASET, GROUPS, None) == {"any_neurons": plain}
    # Labels have no part in it.
    blind = dataclasses.replace(dataset, scored_states=np.full_like(dataset.scored_states, UNSCORED), measured=None)
    again = decoding.refine_all({"any_neurons": plain}, blind, GROUPS, decoding.factor_worms(config, blind))
    np.testing.assert_array_equal(again["any_neurons"].probabilities, refined.probabilities)


@pytest.mark.slow
def test_an_ablation_scores_what_own_activity_refines(tmp_path, monkeypatch):
    config = any_config(decode__own_activity=True, baselines=())
    dataset = build_training_dataset(config, list(WORMS))
    materials = MATERIALS._replace(dataset=dataset, test_dataset=dataset)
    monkeypatch.setattr(sweep, "prepare_materials", lambda _: materials)
    rows = sweep.ablate(config, {"train.neuron_dropout_most": (0.0, 0.9)}, tmp_path)
    best = decoding.select_runs(restore_best(model_folder(tmp_path, "any_neurons")), np.arange(3))
    plain = decode(best, dataset, config=config)
    refined = decoding.refine_decoded(plain, dataset, GROUPS, decoding.factor_worms(config, dataset))
    expected = decoding.score_model("any_neurons", config, DESCRIPTION, dataset, GROUPS, refined)
    assert [row.value for row in rows if row.model == "any_neurons [neuron_dropout_most=0.0]"] == pytest.approx(
        [row.value for row in expected], abs=1e-5
    )


def test_calibration_without_a_network_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"calibration\.durations.*found \(30\.0, 60\.0\), which has no effect"):
        generalize(any_config(models=(), baselines=("linear_union",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
