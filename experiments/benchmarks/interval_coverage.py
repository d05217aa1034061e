"""Measure how often reported 95 % intervals hold the truth, on simulated worms and systems, as a table.

    python -m experiments.benchmarks.interval_coverage

Each study draws its worms from one population, trains fast linear models on every training set of the protocol and
scores the worms left out, so that test worms share training worms, and a worm that is tested trains others. The truth
is the score expected over worms *and* over training sets of that size; it is the mean over as many studies again.

Products of frames add up over worms, so that a model of any training set is one small solve, all studies at once.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.scoring.intervals import Interval, Scores, interval_over_splits, interval_over_worms
from wormjax.tasks.protocols import list_splits

STATES, CHANNELS = 4, 6  # Of a simulated worm's motor states and neurons.
FRAMES, BOUT = 120, 6  # Of a worm, and of a bout of one state.
PAST, AHEAD = 4, 8  # Channels of an autoregressive worm, and the step whose error is scored.
RIDGE = 1e-3
OBJECTS, GROUPS, SHORT = 5, 10, 25  # Of a system; groups of test systems; frames that an edge is inferred from.
AT_ONCE = 5000  # Tests of a worm in memory.
STUDENT = "Student's t"
JACKKNIFE = "jackknife over worms"


class Design(NamedTuple):
    """A protocol of wormjax.tasks.protocols on so many worms (of each study), of which `train_count` train."""

    protocol: str
    worms: int
    train_count: int


class Plan(NamedTuple):
    """The splits of a design; where it needs them, those of one training worm fewer after them (`smaller`)."""

    trained: Bool[np.ndarray, "split worm"]
    tested: Bool[np.ndarray, "split worm"]
    smaller: Bool[np.ndarray, " split"]


class Coverage(NamedTuple):
    """How often intervals held the truth.

    Attributes:
      design: "leave_one_worm_out, 4 of 5 worms train", or what else was simulated.
      metric: what was scored.
      kind: by which interval.
      truth: the expected score.
      covered: share of studies whose interval holds it, `low` and `high` its own 95 % interval (Clopper-Pearson).
      width: mean width of an interval.
      studies: how many.
    """

    design: str
    metric: str
    kind: str
    truth: float
    covered: float
    low: float
    high: float
    width: float
    studies: int


def list_designs(worms: Sequence[int]) -> list[Design]:
    """Leave-one-worm-out; subsets of 1 and 2 of up to 10 worms; 2 worms of one study for as many of another."""
    designs = [Design("leave_one_worm_out", count, count - 1) for count in worms]
    few = [count for count in worms if count <= 10]
    designs += [Design("subsets", count, train) for count in few for train in (1, 2) if train <= count - 2]
    return designs + [Design("cross_study", count, 2) for count in few if count > 2]


def measure_coverage(name: str, metric: str, kind: str, intervals: Sequence[Interval], truth: float) -> Coverage:
    """Counts the studies whose interval holds the truth; the first three are what the result is called."""
    held = sum(interval.low <= truth <= interval.high for interval in intervals)
    low, high = stats.binomtest(held, len(intervals)).proportion_ci(method="exact")
    width = float(np.mean([interval.high - interval.low for interval in intervals]))
    return Coverage(name, metric, kind, truth, held / len(intervals), float(low), float(high), width, len(intervals))


def measure_design(design: Design, studies: int, seed: int = 0) -> list[Coverage]:
    """Coverage of all scores of worms by one design, `studies` for the intervals and as many for the truth.

    The jackknife of leave-one-worm-out reads the subsets of one worm fewer, too; without them it is Student's t.
    """
    name = f"{design.protocol}, {design.train_count} of {design.worms} worms train"
    plan, found = plan_splits(design), []
    own, fewer = ~plan.smaller, plan.smaller
    for score in (score_decoders, score_forecasts):
        once, again = (_gather(score, plan, studies, [seed, part, *design[1:]]) for part in (0, 1))
        for metric, values in again.items():
            truth = float(np.nanmean(average_worms(once[metric][:, own])))
            averages = average_worms(values[:, own])
            tested = np.isfinite(averages[0])
            by_kind = {STUDENT: [interval_over_worms(one[tested]) for one in averages]}
            pairs = [[Scores(one[part], plan.trained[part]) for part in (own, fewer) if part.any()] for one in values]
            by_kind[JACKKNIFE] = [interval_over_splits(*pair) for pair in pairs]
            found += [measure_coverage(name, metric, kind, some, truth) for kind, some in by_kind.items()]
    return found


def measure_systems(counts: Sequence[int], studies: int, seed: int = 0) -> list[Coverage]:
    """Coverage of edge scores over groups of test systems, as experiments.infer reports them, by number of systems.

    The model is one, trained once: the truth is its expected score over systems.
    """
    threshold = _learn_threshold(np.random.default_rng([seed, 0]))
    found = []
    for count in counts:
        once, again = (
            score_systems(np.random.default_rng([seed, 1 + part, count]), studies, count, threshold) for part in (0, 1)
        )
        for metric, values in again.items():
            intervals = [interval_over_worms(one) for one in values]
            name = f"{count} test systems in {GROUPS} groups"
            found.append(measure_coverage(name, metric, STUDENT, intervals, float(once[metric].mean())))
    return found


def plan_splits(design: Design) -> Plan:
    """Which worms train and which are tested in every split of a design; across studies the tested ones stand last."""
    cross, counts = design.protocol == "cross_study", [design.train_count]
    if design.protocol == "leave_one_worm_out" and design.worms > 2:
        counts.append(design.train_count - 1)
    trained, tested, smaller = [], [], []
    for number, count in enumerate(counts):
        protocol = "subsets" if number else design.protocol
        for split in list_splits(protocol, design.worms, design.worms * cross, (count,)):
            rows = np.zeros((2, design.worms * (1 + cross)), bool)
            rows[0, list(split.train)] = rows[1, np.array(split.test) + design.worms * cross] = True
            trained.append(rows[0])
            tested.append(rows[1])
            smaller.append(number > 0)
    return Plan(np.array(trained), np.array(tested), np.array(smaller))


def average_worms(values: Float[np.ndarray, "study split worm"]) -> Float[np.ndarray, "study worm"]:
    """Each worm's mean over training sets; NaN where it is not tested."""
    tested = np.isfinite(values)
    counts = tested.sum(axis=1)
    return np.where(counts > 0, np.where(tested, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def score_decoders(plan: Plan, studies: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Balanced accuracy [study, split, worm] by linear discriminants with the channels' covariance, and less without.

    A worm's neurons tell its motor states by means that are the population's and its own, and bouts differ in number.
    """
    features, states = simulate_decodable(studies, plan.tested.shape[1], random)
    one_hot = np.eye(STATES, dtype=np.float32)[states]
    counts = one_hot.sum(axis=2)
    sums = one_hot.swapaxes(2, 3) @ features
    products = features.swapaxes(2, 3) @ features
    pooled = [np.einsum("rw,sw...->sr...", plan.trained.astype(np.float32), part) for part in (counts, sums, products)]
    share = (one_hot / np.maximum(counts, 1)[:, :, None]).sum(axis=-1) / (counts > 0).sum(axis=2)[..., None]
    by_kind = []
    for diagonal in (False, True):
        weights, bias = solve_discriminants(*pooled, diagonal)
        scores = np.full((studies, *plan.tested.shape), np.nan)
        for worm in range(plan.tested.shape[1]):
            runs = np.flatnonzero(plan.tested[:, worm])
            logits = _multiply(features[:, worm], weights[:, runs]) + bias[:, None, runs]
            hit = logits.argmax(axis=-1) == states[:, worm, :, None]
            scores[:, runs, worm] = (hit * share[:, worm, :, None]).sum(axis=1)
        by_kind.append(scores)
    return {"balanced accuracy": by_kind[0], "balanced accuracy, paired difference": by_kind[0] - by_kind[1]}


def simulate_decodable(studies: int, worms: int, random: np.random.Generator):
    """Features [study, worm, frame, channel] and motor states [study, worm, frame]."""
    population = np.random.default_rng(20).normal(size=(STATES, CHANNELS))
    mixing = 0.6 * np.random.default_rng(21).normal(size=(CHANNELS, CHANNELS)) + np.eye(CHANNELS)
    means = population + 0.7 * random.normal(size=(studies, worms, STATES, CHANNELS))
    shares = random.dirichlet(np.full(STATES, 4.0), (studies, worms))
    chances = random.random((studies, worms, FRAMES // BOUT, 1))
    bouts = np.minimum((chances > shares.cumsum(axis=-1)[:, :, None]).sum(axis=-1), STATES - 1)
    states = np.repeat(bouts, BOUT, axis=2)
    noise = random.normal(size=(studies, worms, FRAMES, CHANNELS)) @ mixing
    features = np.take_along_axis(means, states[..., None], axis=2) + noise
    features = (features - features.mean(axis=2, keepdims=True)) / features.std(axis=2, keepdims=True)
    return features.astype(np.float32), states


def solve_discriminants(counts, sums, products, diagonal: bool):
    """Weights [..., channel, state] and bias [..., state] of linear discriminants, all states alike beforehand."""
    means = sums / np.maximum(counts, 1)[..., None]
    within = products - sums.swapaxes(-1, -2) @ means
    within = within / counts.sum(axis=-1)[..., None, None] + RIDGE * np.eye(CHANNELS)
    if diagonal:
        within = within * np.eye(CHANNELS)
    weights = np.linalg.solve(within, means.swapaxes(-1, -2))
    bias = -0.5 * (means.swapaxes(-1, -2) * weights).sum(axis=-2)
    return weights.astype(np.float32), np.where(counts > 0, bias, -1e9).astype(np.float32)


def score_forecasts(plan: Plan, studies: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Mean squared error [study, split, worm] `AHEAD` frames ahead by a ridge VAR, less persistence's, and skill."""
    values = simulate_autoregressive(studies, plan.tested.shape[1], random)
    past = np.concatenate([values, np.ones_like(values[..., :1])], axis=-1)
    steps = solve_rules(past, plan.trained)
    future = values[:, :, AHEAD:]
    persistence = ((future - values[:, :, :-AHEAD]) ** 2).mean(axis=(2, 3))[:, None]
    errors = np.full((studies, *plan.tested.shape), np.nan)
    for worm in range(plan.tested.shape[1]):
        runs = np.flatnonzero(plan.tested[:, worm])
        predicted = _multiply(past[:, worm, :-AHEAD], steps[:, runs])
        errors[:, runs, worm] = ((predicted - future[:, worm, :, None]) ** 2).mean(axis=(1, 3))
    return {
        "forecast MSE": errors,
        "forecast MSE, paired difference": errors - persistence,
        "forecast skill": 1.0 - errors / persistence,
    }


def solve_rules(
    past: Float[np.ndarray, "study worm frame past"], trained: Bool[np.ndarray, "split worm"]
) -> Float[np.ndarray, "study split past channel"]:
    """Each split's ridge VAR of order 1, to the power of `AHEAD`; the last column of the past is a 1."""
    gram = past[:, :, :-1].swapaxes(2, 3) @ past[:, :, :-1]
    cross = past[:, :, :-1].swapaxes(2, 3) @ past[:, :, 1:]
    gram, cross = (np.einsum("rw,sw...->sr...", trained.astype(float), part) for part in (gram, cross))
    penalty = RIDGE * gram * np.eye(PAST + 1)
    penalty[..., -1, -1] = 0.0
    return np.linalg.matrix_power(np.linalg.solve(gram + penalty, cross), AHEAD)[..., :-1]


def simulate_autoregressive(studies: int, worms: int, random: np.random.Generator):
    """Activity [study, worm, frame, channel], z-scored by worm; each worm by rules and with noise of its own."""
    turns = 0.9 * np.kron(np.eye(PAST // 2), [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    rules = turns + 0.06 * random.normal(size=(studies, worms, PAST, PAST))
    radius = np.abs(np.linalg.eigvals(rules)).max(axis=-1)[..., None, None]
    rules = rules * np.minimum(1.0, 0.97 / radius)
    values = np.zeros((FRAMES + 30, studies, worms, 1, PAST))
    noise = random.normal(size=values.shape)
    for frame in range(1, len(values)):
        values[frame] = values[frame - 1] @ rules + noise[frame]
    seen = np.moveaxis(values[30:, ..., 0, :], 0, 2)
    level = np.exp(0.7 * random.normal(size=(studies, worms, 1, 1)))  # Of what a camera adds.
    seen = seen + level * random.normal(size=seen.shape)
    return (seen - seen.mean(axis=2, keepdims=True)) / seen.std(axis=2, keepdims=True)


def score_systems(
    random: np.random.Generator, studies: int, systems: int, threshold: float
) -> dict[str, Float[np.ndarray, "study group"]]:
    """Edge accuracy and AUROC of each group of test systems, pooled over the group's edges."""
    scores = {"edge accuracy": np.zeros((studies, GROUPS)), "edge AUROC": np.zeros((studies, GROUPS))}
    for study in range(studies):
        strengths, edges = simulate_systems(systems, random)
        scores["edge accuracy"][study] = [
            part.mean() for part in np.array_split((strengths > threshold) == edges, GROUPS)
        ]
        groups = zip(np.array_split(edges, GROUPS), np.array_split(strengths, GROUPS), strict=True)
        scores["edge AUROC"][study] = [measure_auroc(known.ravel(), found.ravel()) for known, found in groups]
    return scores


def measure_auroc(known: Bool[np.ndarray, " edge"], found: Float[np.ndarray, " edge"]) -> float:
    """Area under the ROC curve by ranks (Mann & Whitney), many times faster than a curve."""
    ranks, edges = stats.rankdata(found), known.sum()
    return float((ranks[known].sum() - edges * (edges + 1) / 2) / (edges * (len(known) - edges)))


def simulate_systems(systems: int, random: np.random.Generator):
    """Strengths of lagged correlation [system, edge] of short trajectories, and the true edges."""
    apart = ~np.eye(OBJECTS, dtype=bool)
    edges = (random.random((systems, OBJECTS, OBJECTS)) < 0.5) & apart
    values = np.zeros((SHORT, systems, OBJECTS))
    noise = random.normal(size=values.shape)
    for frame in range(1, SHORT):
        driven = (edges @ np.tanh(values[frame - 1])[..., None])[..., 0]
        values[frame] = 0.4 * values[frame - 1] + 0.4 * driven + noise[frame]
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    lagged = np.einsum("tsr,tsq->srq", values[1:], values[:-1]) / (SHORT - 1)
    return lagged[:, apart], edges[:, apart]


def format_table(rows: Sequence[Coverage]) -> list[str]:
    """The lines of a Markdown table, both intervals beside each other; coverage surely below 95 % is in bold."""
    kinds = (STUDENT, JACKKNIFE)
    titles = "studies", "score", "truth", *(part for kind in kinds for part in (f"{kind}: coverage", "mean width"))
    lines = ["| " + " | ".join(titles) + " |", "| --- " * len(titles) + "|"]
    found = {(row.design, row.metric, row.kind): row for row in rows}
    for design, metric in dict.fromkeys((row.design, row.metric) for row in rows):
        by_kind = [found.get((design, metric, kind)) for kind in kinds]
        cells = [design, metric, f"{by_kind[0].truth:.3f}", *(cell for row in by_kind for cell in _format(row))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _format(row: Coverage | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    share = f"**{row.covered:.3f}**" if row.high < 0.95 else f"{row.covered:.3f}"
    return f"{share} [{row.low:.3f}, {row.high:.3f}]", f"{row.width:.3f}"


def _multiply(frames, matrices):
    """[study, frame, k] times [study, run, k, m] → [study, frame, run, m], a product a study."""
    studies, runs, inner, outer = matrices.shape
    beside = matrices.swapaxes(1, 2).reshape(studies, inner, runs * outer)
    return (frames @ beside).reshape(studies, frames.shape[1], runs, outer)


def _gather(score, plan: Plan, studies: int, seed) -> dict[str, np.ndarray]:
    """The scores of all studies, some at a time."""
    random, at_once = np.random.default_rng(seed), max(1, AT_ONCE // int(plan.tested.sum()))
    parts = [score(plan, min(at_once, studies - start), random) for start in range(0, studies, at_once)]
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def _learn_threshold(random) -> float:
    """The strength above which an edge is called one, by training systems."""
    strengths, edges = simulate_systems(1000, random)
    candidates = np.linspace(strengths.min(), strengths.max(), 200)
    return float(candidates[np.argmax([((strengths > one) == edges).mean() for one in candidates])])


FLAGS = [
    ("list", "worms", ["4", "5", "10", "20"], "Worms of a study, from 3."),
    ("list", "systems", ["50", "500"], "Test systems of a study, from 20."),
    ("integer", "studies", 1000, "Studies of each kind, and as many for the truth."),
    ("integer", "seed", 0, "Of the simulation."),
]


def main(values):
    worms, systems = _read_counts("worms", values.worms, 3), _read_counts("systems", values.systems, 20)
    start, rows = time.monotonic(), []
    for design in list_designs(worms):
        rows += measure_design(design, values.studies, values.seed)
    rows += measure_systems(systems, values.studies, values.seed)
    print("\n".join(format_table(rows)))
    print("\nBold: surely below 95 %. Of leave_one_worm_out the jackknife reads the subsets of one worm fewer, too.")
    print(f"{values.studies} studies of each kind in {time.monotonic() - start:.0f} s.")


def _read_counts(name: str, values: Sequence[str], least: int) -> list[int]:
    if any(not value.isdigit() or int(value) < least for value in values):
        raise InputError(f"--{name}: found {','.join(values)!r}, expected whole numbers from {least}")
    return [int(value) for value in values]


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
