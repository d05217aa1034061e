"""Train the forecasters of a config and forecast with them: the steps that the experiment is made of."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts, cut_past, list_starts
from wormjax.models.forecast_roll_outs import clamp_lacking, predict
from wormjax.models.forecasters import GRAPHS, GraphForecaster, MlpForecaster, RecurrentForecaster
from wormjax.models.wang2021_forecasters import WangGraphForecaster, WangMlpForecaster
from wormjax.scoring.forecasts import Spread
from wormjax.tasks.config_checks import check_edge_prior
from wormjax.tasks.forecast import linear
from wormjax.tasks.given_graphs import EDGES, check_given, find_given, list_edges
from wormjax.tasks.groups import Group, model_folder
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import Training, prepare_training, tabulate_runs, train_into
from wormjax.training.fitted import fit_once
from wormjax.training.objectives.forecasting import ForecastData, ForecastObjective, Shape
from wormjax.training.runs import Runs
from wormjax.training.stacked_runs import map_chunks
from wormjax.value_checks import check_names, check_value, text

KINDS: dict[str, type[nn.Module]] = {
    "graph": GraphForecaster,
    "recurrent": RecurrentForecaster,
    "mlp": MlpForecaster,
    "wang_graph": WangGraphForecaster,
    "wang_mlp": WangMlpForecaster,
}
DRIFTS = ("adapted", "pooled", "none")
GIVEN = ("parent", "name", "neurons", "features")  # Fields of a module that the data set.
LINEAR = "linear"  # The folder of what all baselines learn.
STARTS_AT_ONCE = 256


def check_models(config):
    """Raise InputError for a model that the config does not describe, or describes with what does not exist."""
    check_names("baselines", config.baselines, linear.list_known(config))
    check_names("models", config.models, config.model)
    for name in config.models:
        sizes = config.model[name]
        for field, choices in (("kind", KINDS), ("drift", DRIFTS), ("graph", GRAPHS)):
            if field in sizes or field != "graph":
                check_value(f"model.{name}.{field}", sizes.get(field), text(choices))
        known = set(KINDS[sizes.kind].__dataclass_fields__) - set(GIVEN) | {"kind", "drift", EDGES}
        check_names(f"model.{name}", sizes, sorted(known))
        types = sizes.get("edge_types", GraphForecaster.edge_types)
        if types < 2:
            raise ConfigError(f"model.{name}.edge_types", f"found {types}, expected 2 or more")
        if sizes.kind == "graph" and sizes.get("graph", GraphForecaster.graph) in ("static", "dynamic"):
            check_edge_prior(config, name, types)
    check_given(config)
    shape, first = build_shape(config), config.forecast.first
    longest = max(shape.past, *config.linear.orders)
    if first < longest:
        raise ConfigError("forecast.first", f"found {first}, expected {longest} or more, the past of a start")


def check_training(config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group]):
    """Raise InputError where the worms are too short for a training window, or for a start in a baseline's fit."""
    if config.models:
        _tabulate_runs(config, dataset, groups)
    worms = linear.gather_worms(dataset)
    for split in splits:
        for part in linear.list_parts(config, [worms[worm] for worm in split.train]):
            linear.list_part_starts(config, part, config.forecast.steps)


def build_shape(config) -> Shape:
    """Return frames and batch of a config's training."""
    adaptation, train = config.linear.adaptation, config.train
    return Shape(adaptation.order, train.burn_in, train.roll_out, adaptation.block, train.batch_windows)


def build_module(name: str, config, dataset: Dataset) -> nn.Module:
    """Return the network of one model."""
    sizes = {field: value for field, value in config.model[name].items() if field not in ("kind", "drift", EDGES)}
    neurons, features = dataset.arrays.features.shape[2:]
    return KINDS[config.model[name].kind](neurons=neurons, features=features, **sizes)


def fit_baselines(config, dataset: Dataset, splits: Sequence[Split], workdir) -> dict:
    """Return what the baselines learn of every split's training worms: fitted once, then restored."""
    fit = functools.partial(linear.fit_linear, config, linear.gather_worms(dataset), splits)
    return fit_once(model_folder(workdir, LINEAR), fit)


def train_model(name: str, config, dataset: Dataset, splits, groups: Sequence[Group], fit, workdir):
    """Train one network for every group, all runs in one compiled program."""
    train_into(workdir, name, config.train, build_training(name, config, dataset, splits, groups, fit))


def build_training(name: str, config, dataset: Dataset, splits, groups: Sequence[Group], fit) -> Training:
    """Return how one network's runs are trained, and by which compiled program."""
    runs, data = build_forecast_runs(name, config, dataset, splits, groups, fit)
    train, module = config.train, build_module(name, config, dataset)
    # A graph in each frame has a prior of its own.
    prior = tuple(train.edge_prior) if getattr(module, "graph", "none") == "static" else ()
    scheduled = max(train.given, train.given_end) > 0
    sizes = dataset.arrays.features.shape[2:]
    masked = not dataset.find_present().all()
    objective = ForecastObjective(module, build_shape(config), sizes, prior or None, scheduled, masked)
    return prepare_training(objective, train, runs, data)


def build_forecast_runs(
    name: str, config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fit: dict
) -> tuple[Runs, ForecastData]:
    """Return one run a group, and what all of them read."""
    shape, runs = build_shape(config), _tabulate_runs(config, dataset, groups)
    drift = config.model[name].drift
    worms = linear.gather_worms(dataset)
    with threadpool_limits(1):
        operators, index = linear.tabulate_operators(config, worms, dataset, splits, fit, drift)
    of_group = np.array([splits.index(group.split) for group in groups])
    scale = np.stack([base_scale(config, name, fit, split, dataset) for split in range(len(splits))])
    step_scale = np.stack([_persistence_error(worms, split, shape.roll_out) for split in splits])
    own = {"operators": index[of_group], "base_scale": scale[of_group], "step_scale": step_scale[of_group]}
    if (edges := find_given(name, config, dataset, runs, shape.frames)) is not None:
        own["given"] = list_edges(edges)
    return runs._replace(own=own), ForecastData(dataset.arrays, operators)


def base_scale(config, name: str, fit: dict, split: int, dataset: Dataset) -> Float[np.ndarray, "step neuron feature"]:
    """Return the spread that a network's drift alone has on worms that it was not learnt from."""
    pooled = f"var_{config.linear.adaptation.order}"
    drifts = {"adapted": linear.ADAPTED, "pooled": pooled, "none": linear.PERSISTENCE}
    source = drifts[config.model[name].drift]
    scale = fit[source]["scale"] if source in fit else fit[linear.ADAPTED]["scale"]
    return linear.pool_unseen(scale[split].reshape(-1, *dataset.arrays.features.shape[2:])).astype(np.float32)


def find_operators(config, name: str, fit: dict, split: int, dataset: Dataset, starts: Starts):
    """Return the drift of each start [start, past, channel], of worms that the split does not train on."""
    own = {field: values[split] for field, values in fit[linear.ADAPTED].items()}
    drift = config.model[name].drift
    if drift == "pooled":
        own["weight"] = np.float64(0.0)
    with threadpool_limits(1):
        operators = linear.adapt_to_starts(config, own, dataset, starts)
    return np.zeros_like(operators) if drift == "none" else operators


def build_forecaster(name: str, config, dataset: Dataset, origins_at_once: int = 0):
    """Return a function (variables, past, operators) → forecasts of any number of origins.

    It forecasts `config.forecast.steps` frames, and returns host arrays: mean, logarithm of the scale, weights of the
    modes, and edge probabilities (None for a network without a graph), each with a leading origin axis. All functions
    of one network and one number of steps share one compiled program.

    Args:
      name, config: the network.
      dataset: the worms; sets the numbers of neurons and features.
      origins_at_once: origins per call of the program; 0 takes all that the dataset has, at most `STARTS_AT_ONCE`.
    """
    module, steps = build_module(name, config, dataset), config.forecast.steps
    size, masked = origins_at_once, not dataset.find_present().all()
    if not size:
        origins = len(list_starts(dataset, config.forecast.first, config.forecast.every).frame)
        size = max(1, min(STARTS_AT_ONCE, origins))

    def forecast(variables, past: Array, operators: Array):
        own = functools.partial(_forecast_chunk, module, steps, masked, variables)
        return map_chunks(lambda chunk: own(*chunk), (past, operators), size)

    return forecast


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forecast_chunk(module: nn.Module, steps: int, masked: bool, variables, past: Array, operators: Array):
    result = predict(module, variables, past, operators, steps, clamp=clamp_lacking(past) if masked else None)
    edges = None if result.edge_logits is None else jax.nn.softmax(result.edge_logits)
    return result.mean, result.log_scale, jax.nn.softmax(result.mode_logits), edges


def forecast_starts(
    forecast, name: str, config, fit: dict, split: int, variables, dataset: Dataset, starts: Starts, operators=None
) -> tuple[Spread, Float[np.ndarray, "start edge type"] | None]:
    """Return one run's forecasts (`build_forecaster`) of `starts`, and the graph of each."""
    past = cut_past(dataset, starts, build_shape(config).past)
    if operators is None:
        operators = find_operators(config, name, fit, split, dataset, starts)
    mean, log_scale, weights, edges = forecast(variables, past, operators)
    scale = base_scale(config, name, fit, split, dataset)[: config.forecast.steps] * np.exp(log_scale)
    return Spread(mean, scale, weights), edges


def forecast_baseline(name: str, config, fit: dict, split: int, dataset: Dataset, starts: Starts) -> Spread:
    """Return a baseline's forecasts of `starts`."""
    with threadpool_limits(1):
        forecast = linear.forecast_linear(name, config, fit, split, dataset, starts, config.forecast.steps)
    mean = forecast.mean[:, None]
    return Spread(mean, np.broadcast_to(forecast.scale, mean.shape), np.ones((len(mean), 1)))


def _tabulate_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """Return each group's windows, which are as long as a forecast's past and the roll-out together."""
    field = "linear.adaptation.order + train.burn_in + train.roll_out"
    return tabulate_runs(config, dataset, groups, 1, build_shape(config).frames, field)


def _persistence_error(worms: linear.Worms, split: Split, steps: int) -> Float[np.ndarray, " step"]:
    """Return mean squared change over 1, 2, ... frames of the training worms."""
    stretches = [values for worm in split.train for values in worms[worm]]
    errors = []
    for step in range(1, steps + 1):
        changes = [(values[step:] - values[:-step]) ** 2 for values in stretches if len(values) > step]
        errors.append(np.concatenate(changes).mean() if changes else 1.0)
    return np.maximum(np.array(errors, np.float32), 1e-6)
