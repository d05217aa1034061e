"""A pure chunk of updates for a single run; ensembles and devices compose from outside."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from wormjax.training.objectives.classification import Objective, Shard, run_key

SCHEDULES = ("constant", "cosine", "plateau")
SOUND = -1  # The `failed_step` of a run all of whose numbers are finite.
FAILED_STEP = "failed_step"  # What the metrics of a chunk call it.


class TrainState(NamedTuple):
    """All that a run carries from step to step; no key, since each step's key is made from the run and the step."""

    step: Int[Array, ""]
    variables: Any
    average: Any  # Moving average of the parameters, which is validated and kept; with a decay of 0 they themselves.
    optimizer_state: Any
    best: Any
    best_score: Float[Array, ""]
    best_step: Int[Array, ""]
    stale: Int[Array, ""]
    learning_rate_scale: Float[Array, ""]
    # The first step whose loss is not finite, or by which parameters were not, else SOUND; such a run stands still from
    # before that chunk.
    failed_step: Int[Array, ""]


class Recipe(NamedTuple):
    """How to train: what shapes the program and is common to all runs."""

    steps_per_chunk: int  # Updates between two validations; Python is touched once a chunk.
    # Of the learning rate: "constant", "cosine" (to zero) or "plateau" (a factor 0.5 after `patience` validations
    # without a better one).
    schedule: str = "constant"
    patience: int = 10
    average_decay: float = 0.0  # Of the parameters' moving average.
    keep_best: bool = True  # Keep the parameters of the best validation; otherwise the last.
    clip_norm: float = 0.0  # Largest norm of the gradient; 0 leaves it.
    # Whether the norm is that of each part of the parameters (encoder, decoder) by itself, and not of all.
    clip_parts: bool = False


def build_recipe(train) -> Recipe:
    """Return the recipe of a config's `train` section."""
    return Recipe(**{field: train[field] for field in Recipe._fields if field in train})


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Adam's direction; learning rate and weight decay differ by run and are applied in `_train_step`."""
    if not recipe.clip_norm:
        return optax.chain(optax.scale_by_adam())
    clip = whole = optax.clip_by_global_norm(recipe.clip_norm)
    if recipe.clip_parts:
        clip = optax.stateless(lambda updates, _: {name: whole.update(part, None)[0] for name, part in updates.items()})
    return optax.chain(clip, optax.scale_by_adam())


def initialise_state(objective: Objective, recipe: Recipe, run) -> TrainState:
    """Return the state of one run before its first step."""
    variables = objective.initialise(run)
    return TrainState(
        step=jnp.int32(0),
        variables=variables,
        average=variables["params"],
        optimizer_state=make_optimizer(recipe).init(variables["params"]),
        best=variables,
        best_score=jnp.float32(jnp.inf),
        best_step=jnp.int32(0),
        stale=jnp.int32(0),
        learning_rate_scale=jnp.float32(1.0),
        failed_step=jnp.int32(SOUND),
    )


def train_chunk(
    objective: Objective,
    recipe: Recipe,
    state: TrainState,
    data,
    run,
    shard: Shard = Shard(),  # noqa: B008
    over_runs: Callable[..., Any] | None = None,
):
    """Return the state after `steps_per_chunk` updates under one scan and a validation, and the metrics of both.

    A run that has done its steps stands still. Without validation windows there is no validation: the score of the
    parameters is 0. Where `state` and `run` are stacks of runs, `over_runs` makes of a chunk of one run that of all.
    """
    like = state.variables["params"]
    if over_runs is not None:
        like = jax.tree.map(lambda stack: stack[0], like)

    def chunk(state, data, run):
        return _train_joined(objective, recipe, like, state, data, run, shard)

    def join(state):
        return _map_params(lambda params: _join(recipe, params), state)

    def split(state):
        return _map_params(lambda joined: _split(recipe, like, joined), state)

    if over_runs is not None:
        chunk, join, split = over_runs(chunk), jax.vmap(join), jax.vmap(split)
    state, metrics = chunk(join(state), data, run)
    return split(state), metrics


def _train_joined(objective, recipe, like, state: TrainState, data, run, shard) -> tuple[TrainState, dict]:
    """Return what `train_chunk` does of one run, whose parameters are joined and have the form of `like`."""

    def body(state, _):
        return _train_step(objective, recipe, like, state, data, run, shard)

    active = (state.step < run.steps) & is_sound(state.failed_step)
    trained, metrics = jax.lax.scan(body, state, length=recipe.steps_per_chunk)
    candidate = {**trained.variables, "params": trained.average}
    windows = getattr(run, "validation_windows", None)
    score, validation = jnp.float32(0.0), {}
    if windows is None or windows.size > 0:
        own = {**candidate, "params": _split(recipe, like, trained.average)}
        score, validation = objective.validate(own, data, run)
    failed_step = _find_failure(state, trained, metrics["loss"], run)
    metrics = {f"train/{name}": values.mean() for name, values in metrics.items()}
    metrics |= {f"validation/{name}": value for name, value in validation.items()}
    kept = _keep_best(recipe, trained, candidate, score)
    go_on = active & is_sound(failed_step)
    state = jax.tree.map(lambda new, old: jnp.where(go_on, new, old), kept, state)
    state = state._replace(failed_step=jnp.where(active, failed_step, state.failed_step))
    return state, metrics | {FAILED_STEP: state.failed_step}


def _train_step(objective, recipe, like, state: TrainState, data, run, shard) -> tuple[TrainState, dict]:
    """Take one update of one run whose parameters are joined."""
    key = jax.random.fold_in(run_key(run), state.step)
    progress = state.step / jnp.maximum(run.steps, 1)
    params = state.variables["params"]

    def loss(params):
        return objective.loss({**state.variables, "params": params}, data, run, progress, key, shard)

    gradients, (batch_stats, metrics) = jax.grad(loss, has_aux=True)(_split(recipe, like, params))
    gradients, metrics = shard.total(_join(recipe, gradients)), shard.total(metrics)
    direction, optimizer_state = make_optimizer(recipe).update(gradients, state.optimizer_state, params)
    rate = run.hyper["learning_rate"] * state.learning_rate_scale
    if recipe.schedule == "cosine":
        rate *= 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(state.step / jnp.maximum(run.steps, 1), 1.0)))
    # Matrices decay; biases and scales do not.
    decays = _join(recipe, jax.tree.map(lambda leaf: jnp.full(leaf.shape, leaf.ndim > 1, leaf.dtype), like))
    decays = jax.tree.map(lambda matrix: run.hyper["weight_decay"] * matrix, decays)
    params = jax.tree.map(lambda p, d, w: p - rate * (d + w * p), params, direction, decays)
    # Early on the average follows the parameters closely, so that it forgets where they began.
    decay = jnp.minimum(recipe.average_decay, (1.0 + state.step) / (10.0 + state.step))
    average = jax.tree.map(lambda a, p: decay * a + (1.0 - decay) * p, state.average, params)
    stepped = state._replace(
        step=state.step + 1,
        variables={**state.variables, "params": params} | ({"batch_stats": batch_stats} if batch_stats else {}),
        average=average,
        optimizer_state=optimizer_state,
    )
    active = state.step < run.steps
    return jax.tree.map(lambda new, old: jnp.where(active, new, old), stepped, state), metrics


def _join(recipe, params) -> dict[str, Float[Array, " number"]]:
    """Return parameters as one vector, or as one of each part that is clipped by itself.

    An optimizer of vectors is one operation where that of a tree is one for each leaf, to compile and to run.
    """
    parts = params if recipe.clip_parts else {"all": params}
    return {name: ravel_pytree(part)[0] for name, part in parts.items()}


def _split(recipe, like, joined):
    """Return the parameters that `_join` has joined, in the form of `like`."""
    parts = like if recipe.clip_parts else {"all": like}
    split = {name: ravel_pytree(part)[1](joined[name]) for name, part in parts.items()}
    return split if recipe.clip_parts else split["all"]


def _map_params(function, state: TrainState) -> TrainState:
    """Return a state with a function of all that has the form of the parameters."""
    *others, adam = state.optimizer_state
    return state._replace(
        variables={**state.variables, "params": function(state.variables["params"])},
        average=function(state.average),
        optimizer_state=(*others, adam._replace(mu=function(adam.mu), nu=function(adam.nu))),
        best={**state.best, "params": function(state.best["params"])},
    )


def is_sound(failed_step: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Return whether a run has met finite numbers only, by its state's `failed_step`."""
    return failed_step == SOUND


def _find_failure(state, trained, losses, run):
    """Return the first step of a chunk whose loss is not finite; its end, where only parameters are not; else SOUND."""
    taken = state.step + jnp.arange(len(losses)) < run.steps
    bad = ~jnp.isfinite(losses) & taken
    leaves = [values for values in jax.tree.leaves((trained.variables, trained.optimizer_state)) if values.size]
    numbers = [values for values in leaves if jnp.issubdtype(values.dtype, jnp.inexact)]
    sound = jnp.stack([jnp.isfinite(values).all() for values in numbers])
    # By a loop: XLA would repeat one long conjunction wherever a leaf is kept or not, and compile half as fast.
    finite = jax.lax.fori_loop(0, len(numbers), lambda number, finite: finite & sound[number], True)
    return jnp.where(bad.any(), state.step + jnp.argmax(bad), jnp.where(finite, SOUND, trained.step)).astype(jnp.int32)


def _keep_best(recipe, state, candidate, score):
    better = score < state.best_score
    keep = better if recipe.keep_best else jnp.bool_(True)
    stale = jnp.where(better, 0, state.stale + 1)
    halve = (stale >= recipe.patience) if recipe.schedule == "plateau" else jnp.bool_(False)
    return state._replace(
        best=jax.tree.map(lambda new, old: jnp.where(keep, new, old), candidate, state.best),
        best_score=jnp.where(better, score, state.best_score),
        best_step=jnp.where(keep, state.step, state.best_step),
        stale=jnp.where(halve, 0, stale),
        learning_rate_scale=jnp.where(halve, 0.5, 1.0) * state.learning_rate_scale,
    )
