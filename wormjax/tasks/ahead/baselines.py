"""Baselines of the motor state to come: frequencies, persistence, chains of states, regression, diffusion maps.

All see a worm's neurons up to the start and decode its present state from them, but for those whose names end in
`_known_state`, which are given the motor state scored in every frame so far. (Whoever scored it may have seen later
frames.)
What they need to know is learnt from the training worms, what they must choose on each training worm in turn, fitted to
the others; a lone training worm stands in as its two halves.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines import dwell_times, loops
from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood
from wormjax.baselines.linear import LinearClassifier, fit_linear, predict_linear, stack_context
from wormjax.features.dataset import Dataset
from wormjax.features.future_states import Targets, tabulate_targets
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import SMALLEST_PROBABILITY
from wormjax.tasks.ahead.questions import Answers

FREQUENCIES, PERSISTENCE, MARKOV, DWELL = "frequencies", "persistence", "markov_chain", "dwell_chain"
REGRESSION, DIFFUSION = "logistic_regression", "diffusion_map"
KNOWN = "_known_state"  # The end of a baseline's name that is given the motor states so far.
CHAINS = (PERSISTENCE, MARKOV, DWELL)
SIMPLE = (FREQUENCIES, *CHAINS, *(name + KNOWN for name in CHAINS))  # Fitted together, in one folder.
BASELINES = (*SIMPLE, REGRESSION, DIFFUSION)
STAYS = np.linspace(0.0, 0.99, 34)  # Candidates for the probability that persistence persists.


class Stretch(NamedTuple):
    """An uninterrupted stretch of a worm, without padding."""

    features: Float[np.ndarray, "frame neuron feature"]
    states: Int[np.ndarray, " frame"]


class Setting(NamedTuple):
    """What the baselines take from a config and a dataset.

    `offsets` are frames (none of the future) that a regression sees; `inverse_penalty` its penalty's inverse.
    """

    steps: tuple[int, ...]
    states: int
    reverse: int
    offsets: tuple[int, ...]
    inverse_penalty: float
    weights: tuple[float, ...]
    embedding: Embedding
    neighbourhood: Neighbourhood
    partition: loops.Partition
    seed: int

    @property
    def intervals(self) -> int:
        """Number of intervals that the next reversal may begin in."""
        return len(self.steps) + 1


def gather_worms(dataset: Dataset) -> list[list[Stretch]]:
    """Return every worm's stretches."""
    return [[cut_stretch(dataset, k) for k in dataset.stretches_of(worm)] for worm in range(len(dataset.worms))]


def cut_stretch(dataset: Dataset, number: int) -> Stretch:
    """Return a stretch without padding."""
    valid = dataset.arrays.valid[number]
    return Stretch(dataset.arrays.features[number][valid], dataset.arrays.states[number][valid])


def list_parts(train: Sequence[list[Stretch]]) -> list[list[Stretch]]:
    """Return what is fitted to the others in turn: the training worms, or the halves of a lone one."""
    if len(train) > 1:
        return list(train)
    frames = sum(len(stretch.states) for stretch in train[0])
    halves, seen = ([], []), 0
    for stretch in train[0]:
        cut = int(np.clip(frames // 2 - seen, 0, len(stretch.states)))
        for half, part in zip(halves, (slice(0, cut), slice(cut, None)), strict=True):
            if len(stretch.states[part]):
                half.append(Stretch(stretch.features[part], stretch.states[part]))
        seen += len(stretch.states)
    return list(halves)


def fit_simple(setting: Setting, train: Sequence[list[Stretch]]) -> dict[str, dict[str, np.ndarray]]:
    """Fit all of SIMPLE to one set of training worms; return name → arrays to be kept."""
    parts = list_parts(train)
    everything = [stretch for worm in train for stretch in worm]
    targets = [_find_targets(setting, part) for part in parts]
    states = np.concatenate([stretch.states for stretch in everything])
    onset = np.concatenate([one.onset for one in _find_targets(setting, everything)])
    fit: dict = {FREQUENCIES: {}}
    for name, values, count in (("frequency", states, setting.states), ("onset", onset, setting.intervals)):
        counts = np.bincount(values[values != UNSCORED], minlength=count) + 0.5
        fit[FREQUENCIES][name] = counts / counts.sum()
    decoder = fit_decoder(setting, everything)
    others = [[s for k, part in enumerate(parts) if k != own for s in part] for own in range(len(parts))]
    decoded = []
    for part, rest in zip(parts, others, strict=True):
        own = fit_decoder(setting, rest)
        decoded.append([decode(setting, own, stretch) for stretch in part])
    for name, ages in ((MARKOV, (1,)), (DWELL, dwell_times.AGE_BINS)):
        chains = [_fit_chain(setting, rest, ages) for rest in others]
        losses = []
        for weight in setting.weights:
            answers = [
                [answer_by_chain(setting, chain, dwell_times.likelihood_of_decoded(chain, one, weight)) for one in some]
                for chain, some in zip(chains, decoded, strict=True)
            ]
            losses.append(_measure_loss(answers, targets))
        chain = _fit_chain(setting, everything, ages)._asdict()
        weight = np.float64(setting.weights[int(np.argmin(losses))])
        fit |= {name: chain | decoder._asdict() | {"weight": weight}, name + KNOWN: chain}
    frequency = fit[FREQUENCIES]["frequency"]
    known = [[_one_hot_so_far(stretch.states, frequency) for stretch in part] for part in parts]
    stays = [_fit_persistence(beliefs, targets, frequency) for beliefs in (decoded, known)]
    return fit | {PERSISTENCE: {"stay": stays[0]} | decoder._asdict(), PERSISTENCE + KNOWN: {"stay": stays[1]}}


def fit_regression(setting: Setting, train: Sequence[list[Stretch]]) -> dict[str, np.ndarray]:
    """Fit a logistic regression of each answer on the frames so far, one a horizon and one for the reversal."""
    everything = [stretch for worm in train for stretch in worm]
    channels = np.concatenate([_stack(setting, stretch) for stretch in everything])
    targets = _find_targets(setting, everything)
    states = np.concatenate([one.states for one in targets])
    onset = np.concatenate([one.onset for one in targets])
    questions = [(states[:, k], setting.states) for k in range(len(setting.steps))] + [(onset, setting.intervals)]
    fitted = [_fit_logistic(setting, channels, true, count) for true, count in questions]
    weights, bias = (np.stack(parts) for parts in zip(*fitted[:-1], strict=True))
    return {"weights": weights, "bias": bias, "onset_weights": fitted[-1].weights, "onset_bias": fitted[-1].bias}


def fit_diffusion_map(setting: Setting, train: Sequence[list[Stretch]]) -> dict[str, np.ndarray]:
    """Fit the (loop, phase) model of the first feature of each neuron; count the motor states in each of its states."""
    everything = [stretch for worm in train for stretch in worm]
    traces = [stretch.features[..., 0] for stretch in everything]
    model = loops.fit_loops(traces, setting.embedding, setting.neighbourhood, setting.partition, setting.seed)
    shares = loops.share_states(model, np.concatenate([stretch.states for stretch in everything]), setting.states)
    lengths = np.array([len(one) for one in traces])
    kept = {"traces": np.concatenate(traces), "lengths": lengths, "shares": shares}
    return kept | loops.pack_loops(model)


def unpack_diffusion_map(setting: Setting, fit: dict[str, np.ndarray]) -> loops.LoopModel:
    """Return the model that `fit_diffusion_map` kept."""
    traces = np.split(fit["traces"], np.cumsum(fit["lengths"])[:-1])
    return loops.unpack_loops(fit, traces, setting.embedding, setting.neighbourhood)


def answer_baseline(
    name: str, setting: Setting, fit: dict, stretch: Stretch, origins: Int[np.ndarray, " start"], model=None
) -> Answers:
    """Return one baseline's answers at some frames of a stretch, from the frames up to each.

    Args:
      fit: what `fit_simple`, `fit_regression` or `fit_diffusion_map` kept; of `fit_simple` with the part "frequencies".
      stretch: of a worm; its states are read by those alone that are given them.
      origins: the last frames known.
      model: for the diffusion map, as `unpack_diffusion_map` gives it.
    """
    if name == DIFFUSION:
        placed = loops.place_worm(model, stretch.features[..., 0], origins)
        inside = fit["shares"].argmax(axis=1) == setting.reverse
        begun = placed @ loops.predict_onset(model, inside, setting.steps).T
        return Answers(loops.carry_states(model, placed, setting.steps) @ fit["shares"], _intervals(begun))
    if name == REGRESSION:
        channels = _stack(setting, stretch)[origins]
        questions = zip(fit["weights"], fit["bias"], strict=True)
        states = [predict_linear(LinearClassifier(*one), channels) for one in questions]
        onset = predict_linear(LinearClassifier(fit["onset_weights"], fit["onset_bias"]), channels)
        return Answers(np.stack(states, axis=1), onset)
    frequencies = fit[FREQUENCIES]
    if name == FREQUENCIES:
        return _repeat(setting, frequencies, len(origins))
    own, given = fit[name], name.endswith(KNOWN)
    if name.removesuffix(KNOWN) == PERSISTENCE:
        frequency = frequencies["frequency"]
        if given:
            belief = _one_hot_so_far(stretch.states, frequency)
        else:
            belief = decode(setting, LinearClassifier(own["weights"], own["bias"]), stretch)
        stay = own["stay"][:, None]
        states = stay * belief[origins][:, None] + (1 - stay) * frequency
        return _repeat(setting, frequencies, len(origins))._replace(states=states)
    chain = dwell_times.DwellChain(own["leave"], own["follow"], own["frequency"])
    if given:
        likelihood = dwell_times.likelihood_of_scored(stretch.states, setting.states)
    else:
        decoded = decode(setting, LinearClassifier(own["weights"], own["bias"]), stretch)
        likelihood = dwell_times.likelihood_of_decoded(chain, decoded, float(own["weight"]))
    return answer_by_chain(setting, chain, likelihood).of(origins)


def answer_by_chain(
    setting: Setting, chain: dwell_times.DwellChain, likelihood: Float[np.ndarray, "frame state"]
) -> Answers:
    """Return a chain's answers in every frame of a stretch."""
    belief = dwell_times.filter_states(chain, likelihood).reshape(len(likelihood), -1)
    ahead = dwell_times.predict_states(chain, setting.steps).reshape(len(setting.steps), belief.shape[1], -1)
    begun = dwell_times.predict_onset(chain, setting.steps, setting.reverse).reshape(len(setting.steps), -1)
    return Answers(np.stack([belief @ one for one in ahead], axis=1), _intervals(belief @ begun.T))


def fit_decoder(setting: Setting, stretches: Sequence[Stretch]) -> LinearClassifier:
    """Fit a logistic regression of the present state on the frames so far."""
    channels = np.concatenate([_stack(setting, stretch) for stretch in stretches])
    return _fit_logistic(setting, channels, np.concatenate([one.states for one in stretches]), setting.states)


def decode(setting: Setting, decoder: LinearClassifier, stretch: Stretch) -> Float[np.ndarray, "frame state"]:
    """Return the present state's probabilities in every frame."""
    return predict_linear(decoder, _stack(setting, stretch))


def _stack(setting, stretch):
    return stack_context(stretch.features, np.ones(len(stretch.states), bool), setting.offsets)


def _fit_logistic(setting, channels, true, count) -> LinearClassifier:
    known = true != UNSCORED
    if not known.any():  # No stretch is as long as the horizon: all answers are as likely.
        return LinearClassifier(np.zeros((channels.shape[1], count)), np.zeros(count))
    none = np.zeros(known.sum(), bool)
    return fit_linear(channels[known], true[known], none, count, "logistic", setting.inverse_penalty)


def _find_targets(setting, stretches) -> list[Targets]:
    """Return the true answers at every frame of each stretch."""
    parts = [(one.states[None], np.ones((1, len(one.states)), bool)) for one in stretches]
    return [tabulate_targets(*part, setting.steps, setting.reverse).of(0) for part in parts]


def _fit_chain(setting, stretches, ages):
    return dwell_times.fit_dwell_chain([stretch.states for stretch in stretches], setting.states, ages)


def _fit_persistence(beliefs, targets, frequency) -> Float[np.ndarray, " horizon"]:
    """Return at each horizon how likely the state stays what it is, in place of any by its frequency."""
    belief = np.concatenate([one for some in beliefs for one in some])
    states = np.concatenate([one.states for some in targets for one in some])
    stays = []
    for true in states.T:
        known = true != UNSCORED
        given = belief[known, true[known]]
        likelihood = STAYS[:, None] * given + (1 - STAYS[:, None]) * frequency[true[known]]
        stays.append(STAYS[np.log(np.maximum(likelihood, SMALLEST_PROBABILITY)).sum(axis=1).argmax()])
    return np.array(stays)


def _one_hot_so_far(states, frequency):
    """Return certainty of the last state scored; the frequencies before there is one."""
    scored = states != UNSCORED
    last = np.maximum.accumulate(np.where(scored, np.arange(len(states)), -1))
    return np.where((last >= 0)[:, None], np.eye(len(frequency))[states[np.maximum(last, 0)]], frequency)


def _measure_loss(answers, targets) -> float:
    """Return mean negative log-likelihood over horizons, nats."""
    given = np.concatenate([one.states for some in answers for one in some])
    true = np.concatenate([one.states for some in targets for one in some])
    known = true != UNSCORED
    chosen = np.take_along_axis(given, np.maximum(true, 0)[..., None], axis=-1)[..., 0]
    total = np.where(known, -np.log(np.maximum(chosen, SMALLEST_PROBABILITY)), 0.0).sum(axis=0)
    return float((total / np.maximum(known.sum(axis=0), 1)).mean())


def _repeat(setting, frequencies, count) -> Answers:
    states = np.broadcast_to(frequencies["frequency"], (count, len(setting.steps), setting.states))
    return Answers(states, np.broadcast_to(frequencies["onset"], (count, setting.intervals)))


def _intervals(begun: Float[np.ndarray, "start horizon"]) -> Float[np.ndarray, "start interval"]:
    """Return probabilities to begin in each interval, and later, from those to have begun by each horizon."""
    ends = np.concatenate([np.zeros((len(begun), 1)), np.clip(begun, 0.0, 1.0), np.ones((len(begun), 1))], axis=1)
    return np.maximum(np.diff(ends, axis=1), 0.0)
