"""A config's worms, ready to train and test on: recordings → datasets → splits."""

import dataclasses
import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wormjax.errors import ConfigError, InputError, note
from wormjax.features.dataset import Dataset, build_dataset
from wormjax.features.neurons import ANY, SHARED, UNNAMED, choose_neurons, find_poor_worms, parse_neurons
from wormjax.features.studies import SIMULATED, open_recordings
from wormjax.recordings.motor_states import choose_state_names, map_motor_states, read_state_map
from wormjax.recordings.recording import SIMILAR_RATES, UNSCORED, Recording
from wormjax.tasks.protocols import Split, list_config_splits
from wormjax.training.workdir import describe_dataset

# Beginnings of the fields of a config that name recordings.
RECORDINGS = ("data.path", "data.study", "data.studies", "data.test_path", "data.test_study", "data.simulation")
MOTOR_STATE = "motor_state"  # Of `data.targets`; all others are behaviours.
STATELESS_EXPERIMENTS = ("forecast", "reconstruct", "relate")  # No motor state is needed.
CAUSAL_EXPERIMENTS = ("forecast", "ahead")  # A resampled frame must not depend on a later one.
DOUBTFUL_SHARE = 1 / 3
FEWEST_SCORED = 20  # Frames; a worm with fewer scored ones neither trains nor is tested.

_log = logging.getLogger(__name__)


class Materials(NamedTuple):
    """Datasets to train and to test on (the same one unless across studies), and the splits of the protocol."""

    dataset: Dataset
    test_dataset: Dataset
    splits: tuple[Split, ...]


def prepare_materials(config) -> Materials:
    """Open and align all worms that a config names, before anything is computed or written.

    Worms that cannot be used are left out, and a warning names each with the reason (`choose_worms`).
    """
    recordings = choose_worms(config, open_config_recordings(config))
    if config.protocol.name == "cross_study":
        materials = _prepare_two_studies(config, recordings, choose_worms(config, open_test_recordings(config)))
    else:
        dataset = build(config, recordings, choose_config_neurons(config, recordings))
        materials = Materials(dataset, dataset, tuple(list_config_splits(config, dataset.worm_studies, 0)))
    _log.info("%s", "\n".join(format_materials(materials)))
    return materials


def _prepare_two_studies(config, recordings: list[Recording], test_recordings: list[Recording]) -> Materials:
    known = {recording.fingerprint for recording in recordings}
    for recording in test_recordings:  # A study is not its own other study.
        if recording.fingerprint in known:
            found = f"found the worm {recording.worm!r} of {recording.study!r}, which also trains"
            raise ConfigError("data.test_path", f"{found}, expected worms of another study")
    neurons = choose_config_neurons(config, (*recordings, *test_recordings))
    rates = [recording.frame_rate for recording in (*recordings, *test_recordings)]
    if not config.data.frame_rate and max(rates) > SIMILAR_RATES * min(rates):
        found = f"found 0 (none) with worms recorded at {min(rates):.2f} to {max(rates):.2f} Hz"
        raise ConfigError("data.frame_rate", f"{found}, expected a common rate, such as {min(rates):.2f}")
    names = _share_states(config, recordings)
    dataset, test_dataset = (build(config, worms, neurons, names) for worms in (recordings, test_recordings))
    splits = list_config_splits(config, dataset.worm_studies, len(test_dataset.worms))
    return Materials(dataset, test_dataset, tuple(splits))


def choose_config_neurons(config, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the neurons in play by a config's `data` section."""
    data = config.data
    return choose_neurons(recordings, data.neurons, data.get("least_worms", 1), data.get("unnamed", False))


def _share_states(config, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the states to decode: of several studies those that every one of them has."""
    state_map = read_state_map(config.data.state_map)
    names, there = choose_state_names(recordings, config.data.states, state_map), defaultdict(set)
    for worm in recordings:
        if worm.scored:
            there[worm.study] |= set(map_motor_states(worm, names, state_map).tolist())
    if len(there) < 2:
        return names
    shared = tuple(name for number, name in enumerate(names) if all(number in found for found in there.values()))
    if len(shared) < 2:
        found = f"found {' and '.join(there)}, which share the states {', '.join(shared) or 'none'}"
        raise ConfigError("data.studies", f"{found}, expected at least two (data.states, data.state_map)")
    return shared


def choose_worms(config, recordings: Sequence[Recording], scored: bool | None = None) -> list[Recording]:
    """Return the worms that an experiment can use; a warning names each that is left out, and why.

    Left out are: the same traces under a second name; a worm too short for a window or a forecast; where states are
    or behaviours are decoded, a worm with fewer than FEWEST_SCORED scored frames of all of them; a worm that lacks a
    neuron of a given list; of any neurons, a worm without a named one; and of shared neurons, a worm that more than
    halves the number of those that all others share.

    `scored` says whether states are needed; None: where the experiment decodes or predicts them.

    Raises:
      InputError: no worm is left.
    """
    if scored is None:
        scored = config.get("experiment", "generalize") not in STATELESS_EXPERIMENTS
    neurons = config.data.neurons
    wanted = () if neurons in (SHARED, ANY) else parse_neurons(neurons)
    targets = config.data.get("targets", (MOTOR_STATE,))
    short = _find_short(config, recordings)
    kept, left_out, first = [], {}, {}
    for worm in recordings:
        frames = max(_count_scored(worm, target) for target in targets)
        missing = [name for name in wanted if name not in worm.identified]
        known = worm.fingerprint in first
        if known:
            left_out[dataclasses.replace(worm)] = f"it has the traces of {first[worm.fingerprint].worm!r}"
        elif scored and not frames:
            left_out[worm] = f"no {' or '.join(targets).replace('_', ' ')} is scored"
        elif worm in short:
            left_out[worm] = short[worm]
        elif scored and frames < FEWEST_SCORED:
            what = "motor state" if MOTOR_STATE in targets else targets[0]
            left_out[worm] = f"only {frames} frames have a scored {what}, of {FEWEST_SCORED} that are needed"
        elif neurons == ANY and not (worm.identified or config.data.get("unnamed", False)):
            left_out[worm] = "it has no named neuron"
        elif missing:
            left_out[worm] = f"it lacks {', '.join(missing)} (data.neurons: 'shared', 'any' or names)"
        else:
            kept.append(worm)
        first.setdefault(worm.fingerprint, worm)
    if neurons == SHARED:
        for worm in find_poor_worms(kept):
            kept.remove(worm)
            left_out[worm] = f"it has {len(worm.identified)} named neurons, few of those that the others share"
    if not kept:
        worm, reason = next(iter(left_out.items()))
        raise InputError(f"{worm.source}: found no worm that can be used; worm {worm.worm!r}: {reason}")
    for worm, names in (_find_doubtful(kept) if neurons == SHARED else {}).items():
        unused = "are doubtful: these neurons, which all others share, are not used"
        warn_of(worm, f": its names {list_names(names)} {unused}")
    for worm, reason in left_out.items():
        warn_of(worm, f" is left out: {reason}")
    return name_apart(kept)


def _find_doubtful(worms: Sequence[Recording]) -> dict[Recording, list[str]]:
    """Return the worms whose doubtful names cost DOUBTFUL_SHARE or more of the neurons that all others share."""
    found = {}
    for worm in worms if len(worms) > 1 else ():
        shared = set.intersection(*(set(other.identified) for other in worms if other is not worm))
        lost = shared.intersection(*[itertools.chain(*worm.ambiguous_names)]).difference(worm.identified)
        if lost and len(lost) >= DOUBTFUL_SHARE * len(shared):
            found[worm] = sorted(lost)
    return found


def warn_of(worm: Recording, text: str) -> None:
    """Warn of a worm; the text follows its name."""
    note(f"{worm.source}: worm {worm.worm!r}{text}")


def list_names(names: Sequence[str], most: int = 12) -> str:
    """Return names in words, those beyond `most` by their number."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _count_scored(worm: Recording, target: str) -> int:
    """Return in how many frames a target, the motor state or a behaviour, is scored."""
    if target == MOTOR_STATE:
        return 0 if worm.motor_state is None else int((worm.motor_state != UNSCORED).sum())
    return int(np.isfinite(worm.behavior.get(target, np.nan)).sum())


def _find_short(config, recordings: Sequence[Recording]) -> dict[Recording, str]:
    """Return the worms too short for a window or a forecast, and why; none where all are (a field asks too much)."""
    field, short = "forecast.first" if config.get("experiment") == "forecast" else "train.window_frames", {}
    for worm in recordings:
        rate = config.data.frame_rate or worm.frame_rate
        longest, needed = count_longest(worm, rate), count_needed(config, rate)
        if longest < needed:
            short[worm] = f"its longest stretch has {longest} frames, a window {needed} (config field {field!r})"
    return short if len(short) < len(recordings) else {}


def count_longest(worm: Recording, rate: float) -> int:
    """Return the frames of a worm's longest stretch at a rate in hertz."""
    return int(max(worm.times[stop - 1] - worm.times[start] for start, stop in worm.stretches) * rate + 1.5)


def count_needed(config, rate: float) -> int:
    """Return the frames without which a worm makes no window and no start of a forecast at a rate in hertz."""
    experiment, train = config.get("experiment", "generalize"), config.train
    calibration = 0
    if config.data.scaling == "calibration":
        calibration = 1 + max(2, round(config.data.calibration_seconds * rate))
    if experiment == "forecast":
        window = config.linear.adaptation.order + train.burn_in + train.roll_out
        return max(calibration, window, config.forecast.first + 1)
    return max(calibration, train.window_frames, config.ahead.first + 1 if experiment == "ahead" else 0)


def format_materials(materials: Materials) -> list[str]:
    """Return the worms, neurons and states in play, one line each."""
    lines, named = [], tuple(name for name in materials.dataset.neuron_names if name != UNNAMED)
    for dataset in dict.fromkeys((materials.dataset, materials.test_dataset)):
        lines.append(f"{len(dataset.worms)} worm{'s' * (len(dataset.worms) > 1)} of {dataset.study}:")
        present = dataset.find_present()
        for worm, name in enumerate(dataset.worms):
            own = dataset.stretches_of(worm)
            steps = np.concatenate([np.diff(dataset.times[k][dataset.arrays.valid[k]]) for k in own])
            rate = 1 / np.median(steps) if len(steps) else dataset.frame_rate
            frames, scored = int(dataset.arrays.valid[own].sum()), int((dataset.scored_states[own] != UNSCORED).sum())
            parts = f"{frames} frames, {steps.sum() / 60:.1f} min at {rate:.2f} Hz"
            lines.append(f"  {name}: {parts}, {scored / max(frames, 1):.0%} with a scored state")
            if dataset.neuron_names != named or not present.all():
                lines[-1] += f", {present[worm].sum()} of the neurons"
    states = materials.dataset.state_names
    return [*lines, f"{len(named)} neurons: {', '.join(named)}", f"{len(states)} states: {', '.join(states)}"]


def name_apart(recordings: Sequence[Recording], known: Mapping[str, str] | None = None) -> list[Recording]:
    """Return the worms with names that occur once: worms of one name become STUDY/NAME, or NAME (2), NAME (3), ...

    `known` are the fingerprints of training worms by name: another animal of such a name becomes NAME (FILE), so that
    no table takes it for the training worm.
    """
    counts, studies = Counter(worm.worm for worm in recordings), {worm.study for worm in recordings}
    named, seen = [], Counter()
    for worm in recordings:
        if counts[worm.worm] > 1:
            name = f"{worm.study}/{worm.worm}" if len(studies) > 1 else worm.worm
            seen[name] += 1
            worm = dataclasses.replace(worm, worm=name if seen[name] == 1 else f"{name} ({seen[name]})")
        if (known or {}).get(worm.worm, worm.fingerprint) != worm.fingerprint:
            place = Path(worm.source).stem if worm.source != "memory" else worm.fingerprint[:8]
            renamed = dataclasses.replace(worm, worm=f"{worm.worm} ({place})")
            warn_of(worm, f" is another animal than the training worm of its name; it is called {renamed.worm!r}")
            worm = renamed
        named.append(worm)
    return named


def build_training_dataset(config, recordings: Sequence[Recording], scored: bool = True) -> Dataset:
    """Return the worms that train, in memory, as a dataset of their neurons in play.

    With `scored`, a worm without a scored motor state is left out, with a warning.
    """
    worms = choose_worms(config, recordings, scored)
    return build(config, worms, choose_config_neurons(config, worms))


def open_config_recordings(config) -> tuple[Recording, ...]:
    """Return the worms of a config's `data.study`, or of its `data.studies`."""
    data, studies = config.data, config.data.get("studies", ())
    paths = data.paths or ("",) * len(studies) if studies else (data.path,)
    named = zip(studies or (data.study,), paths, strict=True)
    return tuple(itertools.chain(*(open_recordings(*one, data.simulation, data.frame_rate) for one in named)))


def open_test_recordings(config) -> tuple[Recording, ...]:
    """Return the other study's worms; a simulated one has a seed of its own, so that its worms are others."""
    simulation = config.data.simulation
    if not config.data.test_study:
        raise ConfigError("data.test_study", "found none, expected a study for protocol 'cross_study'")
    if config.data.test_study == SIMULATED:
        simulation = simulation.copy_and_resolve_references()
        simulation.seed += 1
    return open_recordings(config.data.test_study, config.data.test_path, simulation, config.data.frame_rate)


def build(
    config, recordings: list[Recording], neurons: Sequence[str], state_names=(), frame_rates=None, targets=None
) -> Dataset:
    """Return the dataset of a config's `data` section. The list is emptied: each worm goes once it is in the dataset.

    `state_names`, `targets` and `frame_rates`, one per worm, take the place of the config's. Without any rate, a worm
    whose own is unlike the usual one, the median of the slowest study, is resampled to that.
    """
    data = config.data
    studies = {worm.study for worm in recordings}
    if not state_names and len(studies) > 1:
        state_names = _share_states(config, recordings)
    if frame_rates is None and not data.frame_rate:  # That of the slowest study.
        usual = min(np.median([worm.frame_rate for worm in recordings if worm.study == study]) for study in studies)
        frame_rates = [choose_rate(worm, usual, "the usual rate") for worm in recordings]
    same = "inputs", "scaling", "calibration_seconds", "derivative_seconds", "trace_weight", "missing"
    return build_dataset(
        recordings,
        neurons,
        **{field: data[field] for field in same},
        frame_rate=data.frame_rate if frame_rates is None else frame_rates,
        state_set=data.states,
        release=True,
        state_map=read_state_map(data.state_map),
        state_names=state_names,
        causal=config.get("experiment", "") in CAUSAL_EXPERIMENTS,
        targets=_find_behaviors(config, recordings) if targets is None else targets,
        everything="decode" in config and config.decode.get("own_activity", False),
    )


def _find_behaviors(config, recordings: Sequence[Recording]) -> list[str]:
    """Return the behaviours among a config's targets that any recording has; a warning names the others.

    Raises:
      ConfigError: the recordings have none of all targets.
    """
    wanted = [target for target in config.data.get("targets", ()) if target != MOTOR_STATE]
    found = [name for name in wanted if any(_count_scored(worm, name) for worm in recordings)]
    lacking = ", ".join(name for name in wanted if name not in found)
    if lacking:
        scored = {name for worm in recordings for name in worm.behavior if _count_scored(worm, name)}
        there = ", ".join(sorted(scored)) or "none"
        if not found and MOTOR_STATE not in config.data.targets:
            raise ConfigError("data.targets", f"found {lacking}, expected some of the recordings' behaviours: {there}")
        note(f"no recording has {lacking}, which is not decoded (data.targets); their behaviours are: {there}")
    return found


def choose_rate(worm: Recording, rate: float, of: str) -> float:
    """Return the rate to resample a worm to; 0 where its frames come at a similar one."""
    ratio = worm.frame_rate / rate
    if max(ratio, 1 / ratio) <= SIMILAR_RATES:
        return rate if worm.uneven else 0.0
    warn_of(worm, f": resampled from {worm.frame_rate:.2f} to {rate:.2f} Hz, {of}")
    return rate


def describe_materials(materials: Materials) -> dict:
    """Return what a workdir remembers of its data: the training dataset, and the other study's where there is one."""
    dataset, tested = materials.dataset, materials.test_dataset
    return describe_dataset(dataset) | ({"test": describe_dataset(tested)} if tested is not dataset else {})
