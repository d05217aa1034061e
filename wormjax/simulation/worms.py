"""Simulated worms: whole-brain recordings with known wiring, for the default run and for tests.

Modelled on Kato et al. (2015): a cyclic motor command (forward, reverse, dorsal or ventral turn, forward) drives some
neurons, a wiring that all worms share carries it to the others, and worms differ in almost everything else.
Rates follow the leaky network x' = (-x + tanh(x W + command + distractor)) / tau, calcium is a low-pass of them, and
the trace is a saturating function of calcium with its own gain, offset, drift and noise in each worm. No value is
fitted to a recording, but decoding is about as difficult as in real worms: see the tests.
"""

import dataclasses
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.signal import lfilter, savgol_filter

from wormjax.errors import InputError
from wormjax.recordings.names import NEURONS
from wormjax.recordings.recording import UNSCORED, Recording

STATE_NAMES = ("forward", "reverse", "dorsal turn", "ventral turn")
FORWARD, REVERSE, DORSAL, VENTRAL = range(4)

# Coupling of a neuron to the command, one number per state. Other neurons receive the command through the wiring alone.
COMMAND_COUPLING = {
    "AVAL": (-0.7, 1.2, -0.3, -0.3),
    "AVAR": (-0.7, 1.2, -0.3, -0.3),
    "AVER": (-0.5, 1.1, -0.2, -0.2),
    "AIBL": (-0.3, 0.7, 0.2, 0.1),
    "RIML": (-0.3, 0.9, -0.1, 0.2),
    "AVBL": (0.6, -0.6, 0.5, 0.5),
    "RID": (0.7, -0.7, 0.2, 0.2),
    "RMEL": (0.7, -0.5, 0.1, 0.0),
    "RMED": (0.2, -0.4, 0.2, 0.8),
    "VB02": (0.2, -0.5, 1.0, 0.1),
}
KATO_NEURONS = tuple("AIBL AIBR ALA AVAL AVAR AVBL AVER RID RIML RIMR RMED RMEL RMER VB01 VB02".split())
AMBIGUOUS_NAMES = (("RIVL", "RIVR"), ("SMDVL", "SMDVR"), ("VA01", "DA01"), ("SABVL", "SABVR"), ("RIS", "RIBL"))

TIME_STEP = 0.05  # Seconds; the integration step that all worms share.
FRAME_RATES = (2.6, 3.3)  # Hz; each worm draws its own from this range.
UNIDENTIFIED = 5  # Neurons per worm without a name.
VELOCITIES = (0.12, -0.16, 0.03, 0.03)  # mm/s, by motor state.
# Variability between worms and noise: standard deviations, of logarithms where marked.
SPREAD = {
    "weights (log)": 0.1,
    "coupling (log)": 0.3,
    "coupling": 0.1,
    "loading": 0.15,  # On the slow distractor.
    "bias": 0.1,
    "gain (log)": 0.4,
    "drift": 0.08,  # dF/F.
    "noise": 0.25,  # dF/F, of a frame.
    "process": 0.25,  # Of a rate, per square root of a second.
}
WEAKLY_DRIVEN = 0.05  # Fraction of a worm's neurons that receive almost no input.
HALF_SATURATION = 1.5  # Calcium, in units of a rate of one.
NOT_SEEN = ("",)  # Instead of candidate names, where a worm's neuron was not found.


class SimulatedStudy(NamedTuple):
    """Recordings and the wiring that produced them."""

    recordings: tuple[Recording, ...]  # One per worm.
    wiring: Float[np.ndarray, "sender receiver"]  # Signed weight of each edge, 0 where there is none.
    neuron_names: tuple[str, ...]  # The neurons of the wiring's two axes.


class Worm(NamedTuple):
    """One worm's parameters; the neurons are the named ones, then the unidentified ones."""

    weights: Float[np.ndarray, "neuron neuron"]  # [sender, receiver].
    coupling: Float[np.ndarray, "state neuron"]
    loading: Float[np.ndarray, " neuron"]  # On the distractor.
    bias: Float[np.ndarray, " neuron"]
    rate_time: Float[np.ndarray, " neuron"]  # Seconds.
    calcium_time: Float[np.ndarray, " neuron"]  # Seconds.
    gain: Float[np.ndarray, " neuron"]
    offset: Float[np.ndarray, " neuron"]
    noise: Float[np.ndarray, " neuron"]  # dF/F.
    drift: Float[np.ndarray, "two neuron"]  # Decaying, waving.


def simulate_worms(
    seed: int,
    worms: int,
    minutes: float = 18.0,
    neurons: Sequence[str] = KATO_NEURONS,
    wiring: Float[np.ndarray, "sender receiver"] | None = None,
    noise: float = 1.0,
) -> SimulatedStudy:
    """Simulate a study of several worms that share a wiring; the same arguments give the same worms.

    Recordings are in dF/F, at 2.6 to 3.3 Hz, one rate per worm. Every second worm lacks one neuron (not seen, or with
    an ambiguous name); at most a third of the neurons are ever lacking.

    Args:
      seed: of all random numbers, a whole number from 0.
      worms: how many.
      minutes: length of each recording.
      neurons: names of the neurons in the wiring.
      wiring: the weights [sender, receiver] to use; None draws them (each neuron receives from 22 % of the others).
      noise: multiplies the observation noise of every trace.

    InputError for a number out of range, a name twice, or a wiring of another shape.
    """
    names, weights, coupling, steps = _prepare(seed, worms, minutes, neurons, wiring)
    randoms = [np.random.default_rng([seed, number]) for number in range(worms)]
    drawn = [draw_worm(random, weights, coupling) for random in randoms]
    drawn = [worm._replace(noise=worm.noise * noise) for worm in drawn]
    commands = [draw_command(random, steps) for random in randoms]
    fluorescence = _simulate_batch(drawn, commands, randoms)
    recordings = tuple(
        _record_worm(seed, number, names, drawn[number], commands[number][0], fluorescence[number], randoms[number])
        for number in range(worms)
    )
    return SimulatedStudy(recordings, weights, names)


def find_wiring(seed: int, neurons: int) -> Float[np.ndarray, "sender receiver"]:
    """Return the weights that `simulate_worms` draws for this many neurons, without simulating any worm."""
    # Worm k has `default_rng([seed, k])`, and [seed] would be those of worm 0.
    return draw_wiring(np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0]), neurons)


def choose_names(neurons: int) -> tuple[str, ...]:
    """Return the names of that many neurons: those of Kato et al. (2015) first, then others in alphabetical order."""
    return (*KATO_NEURONS, *sorted(NEURONS.difference(KATO_NEURONS)))[:neurons]


def hide_names(worm: Recording, share: float, seed: int) -> Recording:
    """Return a worm with names hidden at random: each named neuron keeps its name with a probability of `share`."""
    if share == 1.0:
        return worm
    random = np.random.default_rng([seed, zlib.crc32(worm.worm.encode())])
    kept = random.random(len(worm.neuron_names)) < share
    names = tuple(name if keep else None for name, keep in zip(worm.neuron_names, kept, strict=True))
    return dataclasses.replace(worm, neuron_names=names)


def iterate_worms(
    seed: int,
    worms: int,
    minutes: float = 18.0,
    neurons: Sequence[str] = KATO_NEURONS,
    frame_rates: tuple[float, float] = FRAME_RATES,
    all_found: bool = False,
) -> Iterator[Recording]:
    """Simulate worms one after another, in the memory of one, to write long and wide studies to files.

    They are those of `simulate_worms` up to rounding, whose arguments and errors these are; but each worm draws its own
    from a range of `frame_rates` (hertz), at most one over `TIME_STEP`, and all its neurons are seen and named if
    `all_found`.
    """
    names, weights, coupling, steps = _prepare(seed, worms, minutes, neurons)
    if not 0 < frame_rates[0] <= frame_rates[1] <= 1 / TIME_STEP:
        found = f"found {frame_rates!r}"
        raise InputError(f"simulated worms, field 'frame_rates': {found}, expected a range up to {1 / TIME_STEP:g} Hz")
    for number in range(worms):
        random = np.random.default_rng([seed, number])
        worm, command = draw_worm(random, weights, coupling), draw_command(random, steps)
        fluorescence = _simulate_batch([worm], [command], [random])[0]
        yield _record_worm(seed, number, names, worm, command[0], fluorescence, random, frame_rates, all_found)


def draw_wiring(random: np.random.Generator, neurons: int) -> Float[np.ndarray, "sender receiver"]:
    """Draw a signed wiring without self edges: about 22 % of ordered pairs are edges, and 7 in 10 of these excite."""
    others = neurons - 1
    middle = max(1, round(0.22 * others))
    weights = np.zeros((neurons, neurons))
    for receiver in range(neurons if others else 0):
        degree = min(others, int(random.integers(max(1, middle - 1), middle + 2)))
        senders = random.choice(np.delete(np.arange(neurons), receiver), degree, replace=False)
        sign = np.where(random.random(degree) < 0.7, 1.0, -1.0)
        weights[senders, receiver] = 1.2 / math.sqrt(middle) * sign * np.exp(0.3 * random.standard_normal(degree))
    return weights


def draw_command(
    random: np.random.Generator, steps: int
) -> tuple[Int[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Draw a cyclic motor command: the state of each integration step, and the seconds since it began.

    Forward, reverse, dorsal or ventral turn, repeatedly, each for a random time.
    """
    shortest, mean = np.array([6.0, 4.0, 2.5]), np.array([20.0, 11.0, 4.0])  # Seconds: forward, reverse, turn.
    cycles = math.ceil((steps * TIME_STEP + 20.0) / shortest.sum()) + 1  # Enough if every bout is the shortest.
    dwell = shortest + (mean - shortest) * random.standard_exponential((cycles, 3))
    turns = np.where(random.random(cycles) < 0.55, VENTRAL, DORSAL)
    sequence = np.stack([np.full(cycles, FORWARD), np.full(cycles, REVERSE), turns], axis=1).ravel()
    ends = np.cumsum(dwell.ravel())
    times = np.arange(steps) * TIME_STEP + random.uniform(0.0, 20.0)
    bout = np.searchsorted(ends, times, side="right")
    return sequence[bout], times - np.concatenate([[0.0], ends])[bout]


def draw_worm(
    random: np.random.Generator,
    wiring: Float[np.ndarray, "sender receiver"],
    coupling: Float[np.ndarray, "state neuron"],
) -> Worm:
    """Draw one worm around the shared wiring and coupling; unidentified neurons receive input but send none."""
    named = wiring.shape[0]
    neurons = named + UNIDENTIFIED
    normal = random.standard_normal
    weights = np.zeros((neurons, neurons))
    weights[:named, :named] = wiring * np.exp(SPREAD["weights (log)"] * normal((named, named)))
    receives = random.random((named, UNIDENTIFIED)) < min(1.0, 3 / named)
    weights[:named, named:] = 0.8 * receives * normal((named, UNIDENTIFIED))
    own = coupling * np.exp(SPREAD["coupling (log)"] * normal(named)) + SPREAD["coupling"] * normal((4, named)) * (
        coupling != 0
    )
    coupled = np.concatenate([own, 0.3 * normal((4, UNIDENTIFIED))], axis=1)
    input_scale = np.where(random.random(neurons) < WEAKLY_DRIVEN, 0.15, 1.0)
    return Worm(
        weights=weights * input_scale,
        coupling=coupled * input_scale,
        loading=SPREAD["loading"] * normal(neurons),
        bias=SPREAD["bias"] * normal(neurons),
        rate_time=0.5 * np.exp(0.3 * normal(neurons)),
        calcium_time=1.5 * np.exp(0.25 * normal(neurons)),
        gain=np.exp(SPREAD["gain (log)"] * normal(neurons)),
        offset=0.1 * normal(neurons),
        noise=SPREAD["noise"] * np.exp(0.4 * normal(neurons)),
        drift=SPREAD["drift"] * normal((2, neurons)),
    )


def _prepare(seed, worms, minutes, neurons, wiring=None):
    """Return the neurons' names, their wiring, their coupling [state, neuron], and the steps of each worm."""
    names = tuple(neurons)
    _check_arguments(seed, worms, minutes, names)
    weights = find_wiring(seed, len(names)) if wiring is None else _check_wiring(wiring, len(names))
    coupling = np.array([COMMAND_COUPLING.get(name, (0.0,) * 4) for name in names]).T
    return names, weights, coupling, math.ceil(minutes * 60 / TIME_STEP) + 1


def _simulate_batch(drawn, commands, randoms) -> Float[np.ndarray, "worm step neuron"]:
    """Return the fluorescence of all worms, before observation noise, at every integration step."""
    drives = np.stack([_drive_neurons(worm, *command) for worm, command in zip(drawn, commands, strict=True)])
    _, steps, neurons = drives.shape
    shocks = np.stack([random.standard_normal((steps, neurons + 1), np.float32) for random in randoms])
    batch = Worm(*(jnp.asarray(np.stack(values), jnp.float32) for values in zip(*drawn, strict=True)))
    return np.asarray(_fluoresce(batch, jnp.asarray(drives, jnp.float32), jnp.asarray(shocks)), np.float64)


def _drive_neurons(worm, states, since):
    """Return each neuron's input [step, neuron]: the command overshoots in reversals, ramps up in forward runs."""
    strength = np.where(states == REVERSE, 0.8 + 0.6 * np.exp(-since / 4.0), 1.0)
    strength = np.where(states == FORWARD, 1.0 - 0.7 * np.exp(-since / 6.0), strength)
    return worm.coupling[states] * strength[:, None] + worm.bias


@jax.jit
@jax.vmap
def _fluoresce(worm, drive, shocks):
    """Return dF/F before noise [step, neuron]: saturated calcium with gains, offsets and residual bleaching."""
    calcium = _integrate(worm, drive, shocks[:, :-1], shocks[:, -1])
    saturated = calcium * (1.0 + HALF_SATURATION) / (calcium + HALF_SATURATION)
    time = jnp.linspace(0.0, 1.0, calcium.shape[0])[:, None]
    drift = worm.drift[0] * jnp.exp(-4.0 * time) + worm.drift[1] * jnp.sin(2.0 * jnp.pi * time)
    return worm.gain * saturated + worm.offset + drift


def _integrate(worm, drive, shocks, slow_shocks):
    """Return calcium [step, neuron] by Euler-Maruyama steps of rates, calcium and the shared distractor."""
    slow_time = 15.0  # Seconds.
    rate_noise = SPREAD["process"] * math.sqrt(TIME_STEP)
    slow_noise = math.sqrt(2.0 * TIME_STEP / slow_time)  # A standard deviation of one at rest.

    def step(carry, inputs):
        rate, calcium, slow = carry
        push, shock, slow_shock = inputs
        target = jnp.tanh(rate @ worm.weights + push + worm.loading * slow)
        new_rate = rate + TIME_STEP * (target - rate) / worm.rate_time + rate_noise * shock
        new_calcium = calcium + TIME_STEP * (jax.nn.softplus(3.0 * rate) / 3.0 - calcium) / worm.calcium_time
        new_slow = slow * (1.0 - TIME_STEP / slow_time) + slow_noise * slow_shock
        return (new_rate, new_calcium, new_slow), new_calcium

    rest = jnp.zeros_like(worm.bias)
    _, calcium = jax.lax.scan(step, (rest, rest, jnp.zeros(())), (drive, shocks, slow_shocks))
    return calcium


def _record_worm(
    seed, number, names, worm, states, fluorescence, random, frame_rates=FRAME_RATES, all_found=False
) -> Recording:
    """Record a simulated worm at its own frame rate, with observation noise, its own order of neurons and names."""
    frame_rate = random.uniform(*frame_rates)
    steps = len(states)
    times = np.arange(math.floor((steps - 1) * TIME_STEP * frame_rate)) / frame_rate
    before = (times / TIME_STEP).astype(int)
    share = (times / TIME_STEP - before)[:, None]
    traces = (1.0 - share) * fluorescence[before] + share * fluorescence[before + 1]
    traces = traces + worm.noise * random.standard_normal(traces.shape)
    found, candidates = _name_neurons(seed, number, names, random, all_found)
    order = random.permutation([k for k in range(traces.shape[1]) if candidates[k] != NOT_SEEN])
    traces = traces[:, order]
    motor_state = _score_states(states[before], frame_rate, random)
    velocity = _smooth(np.array(VELOCITIES)[states], 0.7)[before] + 0.01 * random.standard_normal(len(before))
    return Recording(
        study="simulated",
        worm=f"simulated-{seed}-{number + 1:02d}",
        traces=traces,
        times=times,
        neuron_names=tuple(found[k] for k in order),
        ambiguous_names=tuple(candidates[k] for k in order),
        motor_state=motor_state,
        state_names=STATE_NAMES,
        derivatives=savgol_filter(traces, 15, 2, deriv=1, delta=1.0 / frame_rate, axis=0),
        behavior={"velocity": velocity},
        source="simulation",
    )


def _smooth(values, seconds):
    """Return a causal first-order low-pass at the integration step, at rest at the first value."""
    keep = math.exp(-TIME_STEP / seconds)
    return lfilter([1.0 - keep], [1.0, -keep], values, zi=[keep * values[0]])[0]


def _name_neurons(seed, number, names, random, all_found):
    """Return the name of each neuron or None, and its candidate names, NOT_SEEN for a neuron that was not found."""
    found: list[str | None] = [*names, *(None,) * UNIDENTIFIED]
    candidates: list[tuple[str, ...]] = [()] * len(found)
    own_stream = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])  # The first is the wiring's.
    elusive = own_stream.permutation(len(names))[: len(names) // 3]
    if number % 2 and len(elusive) and not all_found:
        missed = int(elusive[number // 2 % len(elusive)])
        ambiguous = number // 2 % 2 == 1
        candidates[missed] = (names[missed], random.choice(AMBIGUOUS_NAMES)[0]) if ambiguous else NOT_SEEN
        found[missed] = None
    doubtful = len(names) + random.integers(UNIDENTIFIED)
    candidates[doubtful] = AMBIGUOUS_NAMES[random.integers(len(AMBIGUOUS_NAMES))]
    return found, candidates


def _score_states(states, frame_rate, random):
    """Return the states without those of the first second and of three seconds somewhere, which are not scored."""
    scored = states.astype(np.int32)
    scored[: math.ceil(frame_rate)] = UNSCORED
    start = random.integers(len(scored))
    scored[start : start + math.ceil(3 * frame_rate)] = UNSCORED
    return scored


def _check_arguments(seed, worms, minutes, names):
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    checks = (
        ("seed", seed, isinstance(seed, int | np.integer) and seed >= 0, "a whole number from 0"),
        ("worms", worms, isinstance(worms, int | np.integer) and worms >= 1, "a whole number from 1"),
        ("minutes", minutes, isinstance(minutes, int | float | np.number) and 0.25 <= minutes <= 600, "0.25 to 600"),
        ("neurons", names, names and all(isinstance(name, str) and name for name in names), "one name or more"),
        ("neurons", f"{', '.join(twice)} twice", not twice, "each name once"),
    )
    for field, value, holds, expected in checks:
        if not holds:
            raise InputError(f"simulated worms, field {field!r}: found {value}, expected {expected}")


def _check_wiring(wiring, neurons):
    weights = np.asarray(wiring, np.float64)
    if weights.shape != (neurons, neurons) or not np.isfinite(weights).all() or np.diag(weights).any():
        expected = f"expected finite weights [sender, receiver] of shape {(neurons, neurons)}"
        expected += " without an edge from a neuron to itself"
        raise InputError(f"simulated worms, field 'wiring': found {weights.dtype} of shape {weights.shape}, {expected}")
    return weights
