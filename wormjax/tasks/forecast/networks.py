"""Trains the forecasters of a config and forecasts with them: the steps that the experiment is made of.

Every model is trained into `workdir/models/NAME` and always run from there, so that a table made right
after training and one made from a restored checkpoint are one and the same.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
from wormjax.tasks.chunks import map_chunks
from wormjax.tasks.forecast import linear
from wormjax.tasks.given_graphs import EDGES, check_given, find_given
from wormjax.tasks.groups import Group, model_folder, number_run, split_by_seed
from wormjax.tasks.protocols import Split
from wormjax.training.fitted import restore_fitted, save_fitted
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.forecasting import (
    ForecastData,
    Shape,
    forecasting,
)
from wormjax.training.parallel import Engine, build_engine
from wormjax.training.runs import Runs, build_runs
from wormjax.training.step import Recipe, build_recipe

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


class Training(NamedTuple):
    """All that `train_ensemble` needs."""

    recipe: Recipe
    engine: Engine
    runs: Runs
    data: ForecastData


def check_models(config):
    """Raises InputError for a model that the config does not describe, or describes with what does not exist."""
    linear.list_baselines(config)
    for name in config.models:
        if name not in config.model:
            known = ", ".join(config.model)
            raise ConfigError("models", f"found {name!r}, expected some of {known} (sections of 'model')")
        _check_sizes(name, config.model[name], tuple(config.train.edge_prior))
    check_given(config)
    shape, first = build_shape(config), config.forecast.first
    longest = max(shape.past, *config.linear.orders)
    if first < longest:
        raise ConfigError("forecast.first", f"found {first}, expected {longest} or more, the past of a start")


def check_training(config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group]):
    """Raises InputError where the worms are too short for a training window, or for a start in a baseline's fit."""
    if config.models:
        _tabulate_runs(config, dataset, groups)
    linear.check_starts(config, linear.gather_worms(dataset), splits)


def build_shape(config) -> Shape:
    """Frames and batch of a config's training."""
    adaptation, train = config.linear.adaptation, config.train
    return Shape(adaptation.order, train.burn_in, train.roll_out, adaptation.block, train.batch_windows)


def build_module(name: str, config, dataset: Dataset) -> nn.Module:
    """The network of one model."""
    sizes = {field: value for field, value in config.model[name].items() if field not in ("kind", "drift", EDGES)}
    neurons, features = dataset.arrays.features.shape[2:]
    return KINDS[config.model[name].kind](neurons=neurons, features=features, **sizes)


def fit_baselines(config, dataset: Dataset, splits: Sequence[Split], workdir) -> dict:
    """Return what the baselines learn of every split's training worms: fitted once, then restored."""
    folder = model_folder(workdir, LINEAR)
    fit = restore_fitted(folder)
    if fit is None:
        fit = fit_linear(config, dataset, splits)
        save_fitted(folder, fit)
    return fit


def fit_linear(config, dataset: Dataset, splits: Sequence[Split]) -> dict:
    """Return what the baselines learn of every split's training worms (`linear.fit_linear`)."""
    with threadpool_limits(1):  # Small systems of equations: more threads wait for each other.
        return linear.fit_linear(config, linear.gather_worms(dataset), splits)


def train_model(
    name: str, config, dataset: Dataset, splits, groups: Sequence[Group], fit, workdir, stop_after_chunks=None
):
    """Trains one network for every group, all runs in one compiled program."""
    training = build_training(name, config, dataset, splits, groups, fit)
    folder, seconds = model_folder(workdir, name), config.train.checkpoint_seconds
    return train_ensemble(
        training.engine, training.recipe, training.data, training.runs, folder, name, seconds, stop_after_chunks
    )


def build_training(name: str, config, dataset: Dataset, splits, groups: Sequence[Group], fit) -> Training:
    """What one network's runs are, how they are trained, and by which compiled program."""
    runs, data = build_forecast_runs(name, config, dataset, splits, groups, fit)
    train, recipe = config.train, build_recipe(config.train)
    module = build_module(name, config, dataset)
    inferred = getattr(module, "graph", "none") in ("static", "dynamic")
    prior = tuple(train.edge_prior) or None
    scheduled = max(train.given, train.given_end) > 0
    sizes = dataset.arrays.features.shape[2:]
    masked = not dataset.find_present().all()
    objective = forecasting(module, build_shape(config), sizes, prior if inferred else None, scheduled, masked)
    engine = build_engine(
        objective, recipe, len(runs.seed), train.placement, train.devices, train.batch_windows, train.runs_at_once
    )
    return Training(recipe, engine, runs, data)


def build_forecast_runs(
    name: str, config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fit: dict
) -> tuple[Runs, ForecastData]:
    """One run a group, and what all of them read."""
    shape, runs = build_shape(config), _tabulate_runs(config, dataset, groups)
    drift = config.model[name].drift
    worms = linear.gather_worms(dataset)
    with threadpool_limits(1):
        operators, index = linear.tabulate_operators(config, worms, dataset, splits, fit, drift)
    of_group = np.array([splits.index(group.split) for group in groups])
    scale = np.stack([base_scale(config, name, fit, split, dataset) for split in range(len(splits))])
    step_scale = np.stack([_persistence_error(worms, split, shape.roll_out) for split in splits])
    own = {"operators": index[of_group], "base_scale": scale[of_group], "step_scale": step_scale[of_group]}
    if (edges := find_given(name, config, dataset.neuron_names)) is not None:
        # The first edge leads nowhere: no checkpoint holds the empty arrays of a graph without edges.
        senders, receivers = np.concatenate([[[0], [len(edges)]], np.nonzero(edges)], axis=1)
        shape = len(groups), len(senders)
        own["given"] = {"senders": np.broadcast_to(senders, shape), "receivers": np.broadcast_to(receivers, shape)}
    return runs._replace(own=own), ForecastData(dataset.arrays, operators)


def base_scale(config, name: str, fit: dict, split: int, dataset: Dataset) -> Float[np.ndarray, "step neuron feature"]:
    """The spread that a network's drift alone has on worms that it was not learnt from."""
    source = {
        "adapted": linear.ADAPTED,
        "pooled": f"var_{config.linear.adaptation.order}",
        "none": linear.PERSISTENCE,
    }[config.model[name].drift]
    scale = fit[source]["scale"] if source in fit else fit[linear.ADAPTED]["scale"]
    return scale[split].reshape(-1, *dataset.arrays.features.shape[2:]).astype(np.float32)


def find_operators(config, name: str, fit: dict, split: int, dataset: Dataset, starts: Starts):
    """The drift of each start [start, past, channel], of worms that the split does not train on."""
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
        return map_chunks(
            lambda chunk: _forecast_chunk(module, steps, masked, variables, *chunk), (past, operators), size
        )

    return forecast


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forecast_chunk(module: nn.Module, steps: int, masked: bool, variables, past: Array, operators: Array):
    result = predict(module, variables, past, operators, steps, clamp=clamp_lacking(past) if masked else None)
    edges = None if result.edge_logits is None else jax.nn.softmax(result.edge_logits)
    return result.mean, result.log_scale, jax.nn.softmax(result.mode_logits), edges


def forecast_starts(
    forecast,
    name: str,
    config,
    fit: dict,
    split: int,
    variables: Mapping,
    dataset: Dataset,
    starts: Starts,
    operators: Float[np.ndarray, "start past channel"] | None = None,
) -> tuple[Spread, Float[np.ndarray, "start edge type"] | None]:
    """One run's forecasts (`build_forecaster`) of `starts`, and the graph of each; `operators` if they are known."""
    past = cut_past(dataset, starts, build_shape(config).past)
    if operators is None:
        operators = find_operators(config, name, fit, split, dataset, starts)
    mean, log_scale, weights, edges = forecast(variables, past, operators)
    scale = base_scale(config, name, fit, split, dataset)[: config.forecast.steps] * np.exp(log_scale)
    return Spread(mean, scale, weights), edges


def forecast_baseline(name: str, config, fit: dict, split: int, dataset: Dataset, starts: Starts) -> Spread:
    """A baseline's forecasts of `starts`."""
    with threadpool_limits(1):
        forecast = linear.forecast_linear(name, config, fit, split, dataset, starts, config.forecast.steps)
    mean = forecast.mean[:, None]
    return Spread(mean, np.broadcast_to(forecast.scale, mean.shape), np.ones((len(mean), 1)))


def _check_sizes(name: str, sizes, edge_prior: tuple[float, ...]):
    """Raises InputError for a section of `model` that is not a network's."""
    for field, choices in (("kind", tuple(KINDS)), ("drift", DRIFTS), ("graph", GRAPHS)):
        value = sizes.get(field, choices[0] if field == "graph" else None)
        if value not in choices:
            found = f"found {value!r}" if field in sizes else "found none"
            raise ConfigError(f"model.{name}.{field}", f"{found}, expected one of {', '.join(choices)}")
    known = set(KINDS[sizes.kind].__dataclass_fields__) - set(GIVEN) | {"kind", "drift", EDGES}
    unknown = sorted(set(sizes) - known)
    if unknown:
        found = f"found {', '.join(unknown)}"
        raise ConfigError(f"model.{name}", f"{found}, expected some of {', '.join(sorted(known))}")
    for field, value in sizes.items():
        least = 2 if field == "edge_types" else 1
        if type(value) is int and value < least:
            raise ConfigError(f"model.{name}.{field}", f"found {value}, expected {least} or more")
    types = sizes.get("edge_types", GraphForecaster.edge_types)
    inferred = sizes.kind == "graph" and sizes.get("graph", GraphForecaster.graph) in ("static", "dynamic")
    if inferred and edge_prior and (len(edge_prior) != types or min(edge_prior) <= 0):
        expected = f"expected a probability above 0 of each of the {types} edge types of {name}"
        raise ConfigError("train.edge_prior", f"found {edge_prior}, {expected}")


def _tabulate_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """Each group's windows, which are as long as a forecast's past and the roll-out together."""
    train = config.train.copy_and_resolve_references().unlock()
    train.window_frames = build_shape(config).frames
    return build_runs(
        dataset,
        train_worms=[group.split.train for group in groups],
        seeds=[group.seed for group in groups],
        members=[number_run(dataset, group.split, 0) for group in groups],
        labels=split_by_seed(config, dataset),
        train=train,
        length_field="linear.adaptation.order + train.burn_in + train.roll_out",
    )


def _persistence_error(worms: linear.Worms, split: Split, steps: int) -> Float[np.ndarray, " step"]:
    """Mean squared change over 1, 2, ... frames of the training worms."""
    stretches = [values for worm in split.train for values in worms[worm]]
    errors = []
    for step in range(1, steps + 1):
        changes = [(values[step:] - values[:-step]) ** 2 for values in stretches if len(values) > step]
        errors.append(np.concatenate(changes).mean() if changes else 1.0)
    return np.maximum(np.array(errors, np.float32), 1e-6)
