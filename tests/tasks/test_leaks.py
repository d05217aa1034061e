"""Planted leaks: a signal that is there in the future or in held-out worms alone must lift no score above chance.

Every case has its control: with the leak opened on purpose (that worm trains, the future frame is shown), the same
score goes up. Chance is a statement: a score near 1/4, within four standard deviations of what it would be with the
states' names permuted, each worm's by itself. Forecasts are in test_forecast_leaks.py.
"""

from collections import defaultdict

import numpy as np
import pytest
import small_ahead
import small_experiments
from planted_leaks import (
    CODES,
    FRAMES,
    SILENT,
    Arranged,
    assert_chance,
    assert_found,
    build,
    cases,
    hold_out,
    judge,
    make_recording,
    plant_states,
    stand_beside,
    tabulate_recall,
)

from wormjax.features.splits import TEST
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.groups import list_groups, model_folder, restore_best, split_by_seed
from wormjax.tasks.protocols import list_splits
from wormjax.training.workdir import describe_dataset

pytestmark = pytest.mark.usefixtures("quick_compilation")

BASELINES = ("persistence", "dwell_chain", "logistic_regression", "persistence_known_state", "dwell_chain_known_state")


def decode(config, arranged, workdir):
    """Model → how the protocol's splits are judged, and those with the leak opened."""
    dataset, tested = arranged.dataset, arranged.tested
    groups, judged, description = list_groups(config, arranged.splits), {}, describe_dataset(dataset)
    for name in (*config.baselines, *config.models):
        train = baselines.train_baseline if name in config.baselines else decoding.train_model
        train(name, config, dataset, groups, workdir)
        best = restore_best(model_folder(workdir, name))
        decoded = decoding.decode_model(name, config, description, tested, groups, best)
        rows = decoding.score_model(name, config, description, tested, groups, decoded)
        judged[name] = judge_decoded(arranged, groups, decoded, rows, tested.scored_states)
    return judged


def judge_decoded(arranged, groups, decoded, rows, states):
    """The protocol and the open leak, from what was decoded; `rows` are the scores as they are reported."""
    tables = defaultdict(list), defaultdict(list)
    reported = {(row.train_worms, row.test_worm): row.value for row in rows if row.metric == "balanced_accuracy"}
    for index, group in enumerate(groups):
        trained = tuple(arranged.dataset.worms[worm] for worm in group.split.train)
        for worm in group.split.test:
            name = arranged.tested.worms[worm]
            opened = arranged.is_open(trained, name)
            (stretch,) = arranged.tested.stretches_of(worm)
            scored = states[stretch] != UNSCORED
            table = tabulate_recall(decoded.probabilities[index, stretch][scored].argmax(-1), states[stretch][scored])
            assert table.trace() / 4 == pytest.approx(reported[trained, name])
            assert opened or name not in trained or len(group.split.train) == 1
            tables[opened][name].append(table)
    return tuple(judge(part) if part else None for part in tables)


def decoding_config(protocol, models=(), **fields):
    baselines = ("lda_context",) if protocol in ("subsets", "cross_study") else ("lda_context", "logistic_regression")
    changes = {"protocol__name": protocol, "baselines": baselines, "models": models}
    changes |= {"train__steps": 60, "train__learning_rate": 2e-2, "train__noise": 0.0, "model__mlp": {"hidden": 8}}
    changes |= {"train__steps_per_chunk": 30, "decode__state_durations": protocol == "subsets"}
    return small_experiments.small_config(**changes | fields)


@pytest.mark.parametrize(("protocol", "models", "frames"), cases("mlp", True))
def test_what_held_out_worms_alone_tell_does_not_help_to_decode_them(protocol, models, frames, tmp_path):
    config, arranged = decoding_config(protocol, models), hold_out(protocol, plant_states(0, frames=frames))
    judged = decode(config, arranged, tmp_path)
    assert judged.keys() == {*config.baselines, *models}
    for closed, opened in judged.values():
        assert_chance(closed)
        assert_found(opened)


def plant_in_frames(recordings, choose):
    """Recordings whose first two neurons are `choose(states, worm)` in a little noise; the others are noise."""
    planted = []
    for worm, one in enumerate(recordings):
        traces = 0.3 * np.random.default_rng([4, worm]).normal(size=(FRAMES, 2 + SILENT))
        traces[:, :2] += choose(one.motor_state, worm)
        names = tuple(f"N{neuron}" for neuron in range(traces.shape[1]))
        planted.append(make_recording(one.worm, traces, one.motor_state, names))
    return planted


def same_worm(choose, **fields):
    """A config, and worms whose first two neurons are `choose(states, TEST frames)`."""
    config, recordings = decoding_config("same_worm", split__test_fraction=0.3, split__gap=0, **fields), plant_states(0)
    recordings, splits = recordings[:3], list_splits("same_worm", 3)
    labels = split_by_seed(config, build(recordings))[config.seed] == TEST
    dataset = build(plant_in_frames(recordings, lambda states, worm: choose(states, labels[worm])), scaling="none")
    return config, Arranged(dataset, dataset, splits)


def judge_same_worm(name, config, arranged, workdir, view="same_worm"):
    """How a model is judged in test frames, decoded with `view`'s frames to be seen."""
    dataset, groups = arranged.dataset, list_groups(config, arranged.splits)
    description, best = describe_dataset(dataset), restore_best(model_folder(workdir, name))
    config = config.copy_and_resolve_references()
    config.protocol.name = view
    decoded = decoding.decode_model(name, config, description, dataset, groups, best)
    config.protocol.name = "same_worm"
    rows = decoding.score_model(name, config, description, dataset, groups, decoded)
    labels = decoding.test_labels(config, dataset, groups)[config.seed]
    return judge_decoded(arranged, groups, decoded, rows, np.where(labels, dataset.scored_states, UNSCORED))[0]


def test_in_the_same_worm_what_test_frames_alone_tell_does_not_help_to_decode_them(tmp_path):
    config, arranged = same_worm(lambda states, test: CODES[states] * test[:, None], split__block=20)
    groups = list_groups(config, arranged.splits)
    for name in config.baselines:
        baselines.train_baseline(name, config, arranged.dataset, groups, tmp_path / "closed")
        assert_chance(judge_same_worm(name, config, arranged, tmp_path / "closed"))
        everything = config.copy_and_resolve_references()
        everything.protocol.name = "leave_one_worm_out"  # All frames of the worm train.
        baselines.train_baseline(name, everything, arranged.dataset, groups, tmp_path / "open")
        assert_found(judge_same_worm(name, config, arranged, tmp_path / "open"))


def test_in_the_same_worm_the_frames_after_a_test_block_do_not_help_to_decode_it(tmp_path):
    def tell_later(states, test):
        earlier = np.arange(FRAMES) - 4
        return np.where((test & test[earlier])[:, None], 0, CODES[states[earlier]])

    config, arranged = same_worm(tell_later, split__block=8)
    name = "lda_context"  # It sees the frame 4 frames ahead, and learns what that one tells.
    baselines.train_baseline(name, config, arranged.dataset, list_groups(config, arranged.splits), tmp_path)
    assert_chance(judge_same_worm(name, config, arranged, tmp_path))
    assert_found(judge_same_worm(name, config, arranged, tmp_path, view="leave_one_worm_out"))


def answer(config, arranged, workdir):
    """Model → at each horizon, how the protocol's splits are judged, and those with the leak opened."""
    dataset, tested, splits = arranged
    groups, names = list_groups(config, splits), (dataset.study, dataset.worms)
    setting = ahead.read_setting(config, dataset)
    fits = ahead.fit_baselines(config, dataset, splits, workdir)
    for name in config.models:
        ahead_models.train_model(name, config, setting, dataset, splits, groups, workdir)
    tables = defaultdict(lambda: [(defaultdict(list), defaultdict(list)) for _ in config.ahead.seconds])
    for output in ahead.run_models(config, tested, splits, groups, fits, workdir):
        rows = ahead.score_output(config, names, tested, splits, groups, fits, output)
        fit = fits[ahead.SIMPLE][f"split_{output.group % len(splits)}"]["frequencies"]["frequency"]
        trained = tuple(dataset.worms[worm] for worm in groups[output.group].split.train)
        for worm in groups[output.group].split.test:
            name, own = tested.worms[worm], output.starts.worm == worm
            for number, one in enumerate(config.ahead.seconds):
                true = output.truth.states[own, number]
                decided = (output.answers.states[own, number] / fit).argmax(axis=-1)[true != UNSCORED]
                table = tabulate_recall(decided, true[true != UNSCORED])
                metric = f"balanced_accuracy@{one:g}s"
                (reported,) = [row.value for row in rows if (row.test_worm, row.metric) == (name, metric)]
                assert table.trace() / 4 == pytest.approx(reported)
                tables[output.model][number][arranged.is_open(trained, name)][name].append(table)
    return {
        model: [tuple(judge(part) if part else None for part in parts) for parts in by_horizon]
        for model, by_horizon in tables.items()
    }


def ahead_config(protocol, models, baselines, **fields):
    changes = {"protocol__name": protocol, "baselines": baselines, "models": models, "ahead__every": 1}
    changes |= {"train__steps": 600, "train__learning_rate": 2e-2, "linear__offsets": (-1, 0)}
    changes |= {f"train__{name}": 0.0 for name in ("dropout", "gain", "offset", "noise", "neuron_dropout")}
    changes |= {"model__mlp": small_ahead.MLP | {"hidden": 16}}
    changes |= {"linear__inverse_penalty": 1.0, "train__steps_per_chunk": 100, "train__batch_windows": 16}
    return small_ahead.small_config(**changes | fields)


@pytest.mark.parametrize(("protocol", "models", "frames"), cases("mlp", False))
def test_states_that_show_when_they_come_are_not_known_ahead(protocol, models, frames, tmp_path):
    chosen = BASELINES[1:3] if protocol == "subsets" else BASELINES
    config = ahead_config(protocol, models, chosen)
    worms, opened = (plant_states(lead, False, frames, name=name) for lead, name in ((0, "worm"), (3, "open")))
    judged = answer(config, stand_beside(protocol, worms, opened), tmp_path)
    assert judged.keys() == {*chosen, *models}
    for name, by_horizon in judged.items():
        for closed, _ in by_horizon:
            assert_chance(closed)
        if name in ("logistic_regression", "mlp"):
            assert_found(by_horizon[0][1])
            assert_chance(by_horizon[1][1])  # What comes later does not show yet.


@pytest.mark.parametrize(("protocol", "models", "frames"), cases("mlp", False))
def test_what_held_out_worms_alone_tell_of_states_ahead_does_not_help(protocol, models, frames, tmp_path):
    config = ahead_config(protocol, models, ("logistic_regression",))
    judged = answer(config, hold_out(protocol, plant_states(3, frames=frames)), tmp_path)
    assert judged.keys() == {"logistic_regression", *models}
    for (closed, opened), _ in judged.values():
        assert_chance(closed)
        assert_found(opened)


@pytest.mark.parametrize("rate", [2.0, 9.0])
def test_resampling_tells_nothing_of_states_to_come(rate, tmp_path):
    # States are drawn anew in each recorded frame, and traces tell them when they come. Where the rate rises, the next
    # new frame may repeat the last one recorded; where it falls, frames are pooled.
    config = ahead_config("leave_one_worm_out", (), ("logistic_regression",), ahead__seconds=(1 / 3, 2 / 3))
    dataset = build(plant_states(0, own=False, rate=rate)[:3], frame_rate=3.0, causal=True)
    arranged = Arranged(dataset, dataset, list_splits("leave_one_worm_out", 3))
    (one, _), (two, _) = answer(config, arranged, tmp_path)["logistic_regression"]
    assert_chance(two)
    if rate > 3.0:
        assert_chance(one)
