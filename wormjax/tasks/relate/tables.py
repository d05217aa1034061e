"""Every number of a `relate` experiment: graphs against references and their nulls, agreement, curves, responses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from wormjax.baselines import consensus
from wormjax.baselines.consensus import Matrix, Stack
from wormjax.baselines.worm_relations import Worms, relate
from wormjax.scoring import reference_graphs as scoring
from wormjax.scoring.classification import rank_auroc
from wormjax.scoring.markdown import make_section, mark_model, write_frame
from wormjax.scoring.rows import Row
from wormjax.tasks.references import CHEMICAL, WIRING
from wormjax.training.progress import track

BASELINE = "correlation"
WORMS, CLASSES = "worms", "classes"  # How worms are pooled.
POOLED = "{} + classes"
# Column → metric of results.csv.
SCORE_METRICS = {name: f"{name}:{{reference}}" for name in ("auroc", "average_precision")}
SCORE_METRICS["direction"] = "direction_auroc:{reference}"
AGREEMENT_METRICS = {name: f"{name}_r" for name in ("halves", "seeds", "studies")}


class Inferred(NamedTuple):
    """One method's graphs."""

    name: str
    stack: Stack  # Scores of each worm; of a network, the mean over seeds.
    class_worms: float  # Chosen by `consensus.choose_class_worms`.
    by_seed: Sequence[Stack] = ()  # Of a network.
    halves: tuple[Stack, Stack] | None = None  # Of a network, those of training on either half of the worms.


class Study(NamedTuple):
    """What all tables read: the neurons' names and classes, the references, and how many worms a pair needs.

    Of simulated worms, whose wiring inhibits as it excites, scores count by their size; of real ones the larger is the
    likelier edge.
    """

    names: tuple[str, ...]
    classes: np.ndarray
    references: Mapping[str, Matrix]
    least_worms: int

    def pool(self, stack: Stack, class_worms: float) -> Matrix:
        """Return the consensus, NaN for pairs of too few worms."""
        pooled = consensus.pool_worms(stack, self.classes, class_worms)
        pooled = np.where(consensus.count_worms(stack) >= self.least_worms, pooled, np.nan)
        return np.abs(pooled) if WIRING in self.references else pooled


def list_graphs(study: Study, inferred: Sequence[Inferred]) -> Iterator[tuple[Inferred, str, Matrix]]:
    """Yield each method, how it is pooled, and its consensus."""
    for one in inferred:
        yield one, WORMS, study.pool(one.stack, 0.0)
        yield one, CLASSES, study.pool(one.stack, one.class_worms)


def score_references(
    config, study: Study, inferred: Sequence[Inferred], shifted: Mapping[str, Sequence[Stack]]
) -> pd.DataFrame:
    """Return a line per method, pooling and reference; see `TABLE_TEXT`.

    Args:
      config: of the experiment.
      study: the neurons and references.
      inferred: the methods; `BASELINE` must be among them.
      shifted: method → the scores of circularly shifted traces, for those methods that have them.
    """
    random, nulls, lines = np.random.default_rng(config.seed), config.nulls, []
    draws, homologues = scoring.draw_classes(study.names, nulls.draws), scoring.find_homologues(study.names)
    graphs = list(list_graphs(study, inferred))
    orders = np.array([random.permutation(len(study.names)) for _ in range(nulls.permutations)], int)
    for reference, known in track(study.references.items(), "scores against references", "reference"):
        pairs = scoring.find_pairs(graphs[0][2], known)
        edges = known[pairs] > 0
        rewired = np.array([scoring.rewire(known, pairs, random)[pairs] > 0 for _ in range(nulls.rewirings)])
        areas = {
            (one.name, pooling): scoring.bootstrap_auroc(graph, known, pairs, draws) for one, pooling, graph in graphs
        }
        plain = rank_auroc(next(graph for one, _, graph in graphs if one.name == BASELINE)[pairs], edges)
        for one, pooling, graph in graphs if edges.any() else ():
            score, own = scoring.score_graph(graph, known), areas[one.name, pooling]
            line = {"method": one.name, "pooling": pooling, "reference": reference, **score._asdict()}
            line |= zip_bounds("", scoring.find_bounds(own))
            line["class_worms"] = one.class_worms if pooling == CLASSES else 0.0
            line["without_homologues"] = scoring.score_graph(graph, known, homologues).auroc
            line["difference"] = score.auroc - plain
            line |= zip_bounds("difference_", scoring.find_bounds(own - areas[BASELINE, WORMS]))
            line["p_rewired"] = scoring.find_p_value(score.auroc, rank_auroc(graph[pairs], rewired))
            line["p_permuted"] = scoring.find_p_value(score.auroc, scoring.permute_names(graph, known, orders))
            null = [study.pool(stack, line["class_worms"])[pairs] for stack in shifted.get(one.name, ())]
            line["p_shifted"] = scoring.find_p_value(
                score.auroc, np.array([rank_auroc(values, edges) for values in null])
            )
            if reference in (CHEMICAL, WIRING):
                line |= scoring.score_direction(graph, known, draws)
            lines.append(line)
    return pd.DataFrame(lines)


def zip_bounds(name: str, bounds: tuple[float, float]) -> dict[str, float]:
    """Return the ends of an interval as columns."""
    return {f"{name}low": bounds[0], f"{name}high": bounds[1]}


def measure_agreement(config, study: Study, inferred: Sequence[Inferred], studies: Sequence[str]) -> pd.DataFrame:
    """Return a line per method and pooling: correlation of scores between halves of the worms, seeds and studies."""
    lines, names = [], list(dict.fromkeys(studies))
    for one in inferred:
        for pooling, class_worms in ((WORMS, 0.0), (CLASSES, one.class_worms)):
            line = {"method": one.name, "pooling": pooling}
            halves, draws = [one.halves] if one.halves else [], config.nulls.permutations
            if not one.by_seed:  # Worms that one network has read are no two halves.
                halves = [[one.stack[half] for half in pair] for pair in consensus.list_halvings(len(one.stack))]
                draws = max(1, draws // 10)
            pooled = [[consensus.pool_worms(half, study.classes, class_worms) for half in pair] for pair in halves]
            if halves or not one.by_seed:
                line["halves"], line["halves_null"] = consensus.compare_halves(pooled, draws, config.seed)
            if len(one.by_seed) > 1:
                line["seeds"] = consensus.correlate(*(study.pool(stack, class_worms) for stack in one.by_seed[:2]))
            if len(names) == 2:
                parts = [one.stack[[k for k, own in enumerate(studies) if own == name]] for name in names]
                pooled = [consensus.pool_worms(part, study.classes, class_worms) for part in parts]
                line["studies"] = consensus.correlate(*pooled)
            lines.append(line)
    return pd.DataFrame(lines)


def score_amounts(config, study: Study, worms: Worms, settings, methods: Sequence[str]) -> pd.DataFrame:
    """Return the AUROC of graphs from fewer worms, and from the first share of each recording.

    Columns: method, reference, worms, share, auroc. At most ten sets of worms per number of worms.
    """
    lines, neurons = [], len(study.names)
    for share in config.curves.shares:
        cut = worms.cut(share)
        for name, stack in relate(methods, cut, neurons, settings).items():
            for count in range(1, len(stack) + 1):
                for chosen in consensus.list_subsets(len(stack), count):
                    graph = consensus.pool_worms(stack[chosen], study.classes)
                    graph = np.abs(graph) if WIRING in study.references else graph
                    for reference, known in study.references.items():
                        pairs = scoring.find_pairs(graph, known)
                        area = rank_auroc(graph[pairs], known[pairs] > 0)
                        lines.append((name, reference, count, share, float(area)))
    return pd.DataFrame(lines, columns=["method", "reference", "worms", "share", "auroc"])


def score_responses(
    study: Study, inferred: Sequence[Inferred], measured: Matrix, known: Matrix, draws: int
) -> pd.DataFrame:
    """Return how well responses are predicted: AUROC of significant ones, and rank correlation with the mean dF/F.

    Args:
      study: the neurons.
      inferred: methods, those that answer to a drive and others beside them.
      measured: the atlas's mean response; NaN where a pair was not observed.
      known: 1 for a significant response, 0 for none.
      draws: of the bootstrap.
    """
    drawn, lines = scoring.draw_classes(study.names, draws), []
    for one, pooling, graph in list_graphs(study, inferred):
        bounds = scoring.find_bounds(scoring.bootstrap_auroc(graph, known, scoring.find_pairs(graph, known), drawn))
        both = scoring.find_pairs(graph, measured)
        rank = spearmanr(graph[both], measured[both]).statistic
        line = {"method": one.name, "pooling": pooling, "pairs": int(both.sum()), "rank_correlation": float(rank)}
        lines.append(line | {"auroc": scoring.score_graph(graph, known).auroc, **zip_bounds("", bounds)})
    return pd.DataFrame(lines)


def list_rows(study_name: str, seed: int, scores: pd.DataFrame, agreement: pd.DataFrame) -> list[Row]:
    """Return the numbers as rows of results.csv; the worm is "consensus"."""
    rows = []
    for frame, metrics in ((scores, SCORE_METRICS), (agreement, AGREEMENT_METRICS)):
        for line in frame.to_dict("records"):
            model = name_method(line["method"], line["pooling"])
            place = model, study_name, (), study_name, "consensus", seed
            values = {metric.format(**line): line.get(column, np.nan) for column, metric in metrics.items()}
            rows += [Row(*place, metric, float(value)) for metric, value in values.items() if np.isfinite(value)]
    return rows


TABLE_TEXT = (
    "AUROC over ordered pairs of neurons that enough worms have [95 % interval, a bootstrap over neuron classes, left "
    "and right drawn together]; average precision beside the share of pairs that are edges; AUROC without left-right "
    "pairs; difference to correlation pooled over worms alone [interval, same draws]. p: one-sided, against the "
    "reference rewired with its degrees kept, permuted names of neurons, and circular shifts of the traces (– where "
    "the method was not run on shifts). *+ classes*: scores are shrunk to those of the two classes, by a weight that "
    "worms left out chose."
)
AGREEMENT_TEXT = (
    "Correlation of edge scores. *Halves*: between two halves of the worms, the mean over all ways to divide them "
    "(a network is trained on both halves of one division). *Halves, null*: the 95th percentile of it with the "
    "neurons of one half permuted. *Seeds*: between networks of different seeds; other methods use none."
)
DIRECTION_TEXT = "How often the score of a one-way chemical edge exceeds that of its reverse; 0.5 by chance."
RESPONSE_TEXT = (
    "Responses of the atlas, of the pairs that were observed: AUROC of q < 0.05, rank correlation with mean dF/F."
)
# Title → format, column, columns of the ends of its interval.
SCORE_COLUMNS = {
    "AUROC": ("{:.3f}", "auroc", "low", "high"),
    "average precision": ("{:.3f}", "average_precision"),
    "without left-right pairs": ("{:.3f}", "without_homologues"),
    "difference to correlation": ("{:+.3f}", "difference", "difference_low", "difference_high"),
    **{f"p {null}": ("{:.3f}", f"p_{null}") for null in ("rewired", "permuted", "shifted")},
}
DIRECTION_COLUMNS = {
    "direction": ("{:.3f}", "direction", "direction_low", "direction_high"),
    "pairs": ("{:,.0f}", "one_way_pairs"),
}
AGREEMENT_COLUMNS = {
    name.replace("_", ", "): ("{:.2f}", name) for name in ("halves", "halves_null", "seeds", "studies")
}
RESPONSE_COLUMNS = {
    "AUROC": ("{:.3f}", "auroc", "low", "high"),
    "rank correlation": ("{:+.3f}", "rank_correlation"),
    "pairs": ("{:,}", "pairs"),
}


def format_scores(scores: pd.DataFrame) -> list[str]:
    """Return a Markdown table per reference, and one of directions."""
    lines = ["", "## Against reference graphs", "", TABLE_TEXT]
    plain = scores["method"].eq(BASELINE) & scores["pooling"].eq(WORMS)
    scores = scores.assign(difference=scores["difference"].mask(plain))
    for reference, own in scores.groupby("reference", sort=False):
        first = own.iloc[0]
        share = f"{first.edges:,} of {first.pairs:,} pairs, {first.edges / first.pairs:.3f}"
        lines += make_section(f"{reference} ({share})", write_methods(own, SCORE_COLUMNS), corner="method")
    if "direction" in scores:
        frame = write_methods(scores[scores["direction"].notna()], DIRECTION_COLUMNS)
        lines += make_section("Direction", frame, 3, DIRECTION_TEXT, "method")
    return lines


def format_agreement(agreement: pd.DataFrame) -> list[str]:
    """Return a Markdown table of agreement."""
    return make_section("Agreement", write_methods(agreement, AGREEMENT_COLUMNS), 2, AGREEMENT_TEXT, "method")


def format_responses(responses: pd.DataFrame) -> list[str]:
    """Return a Markdown table of predicted responses."""
    return make_section("Perturbation", write_methods(responses, RESPONSE_COLUMNS), 2, RESPONSE_TEXT, "method")


def write_methods(frame: pd.DataFrame, columns: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return the texts of numbers by method: in italics where it is pooled over worms alone, as baselines are."""
    pairs = zip(frame["method"], frame["pooling"], strict=True)
    return write_frame(frame, columns, [mark_model(name_method(*pair), pair[1] == WORMS) for pair in pairs])


def name_method(method: str, pooling: str) -> str:
    """Return a method's name with how worms are pooled."""
    return method if pooling == WORMS else POOLED.format(method)
