"""Small classifiers with random variables, compiled once a file, for the tests of the models."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.models.catalog import build_classifier
from wormjax.models.layers import TrainingRngs

STATES, NEURONS, FEATURES = 3, 4, 2
SMALL = {
    "mlp": {"hidden": 8, "offsets": (-3, 0, 2)},
    "recurrent": {"hidden": 6},
    "temporal_convolution": {"channels": 8, "kernel": 3, "dilations": (1, 2)},
    "nri_graph": {"node_hidden": 4, "edge_hidden": 6, "channels": 8, "kernel": 3, "dilations": (1, 2)},
    "wang_mlp": {"hidden": 6},
    "wang_graph": {"hidden": 6},
}


# Tests run a program once or twice: compiling it well takes longer than running it.
compile_quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})


@dataclasses.dataclass(frozen=True)
class Small:
    """A small classifier: variables drawn at random (biases and batch statistics too), and its compiled calls."""

    module: nn.Module
    variables: dict
    evaluate: Callable  # variables, features, valid → Decoding
    train: Callable  # variables, features, valid, noise → (Decoding, new batch statistics)


def draw_at_random(module, *inputs, seed=7):
    """Random variables of the module's shapes, no bias at zero and no batch statistic at its start."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.integer):  # Numbers of neurons, each another one.
            return jnp.broadcast_to(jnp.arange(1, leaf.shape[0] + 1)[:, None], leaf.shape)
        values = rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0] if len(leaf.shape) > 1 else 4.0)
        positive = path[-1].key in ("var", "scale")
        return jnp.asarray(0.5 + abs(values) if positive else values, leaf.dtype)

    # The shapes alone: nothing is compiled to initialise.
    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(module.init, jax.random.key(0), *inputs))


def make_small(name: str, axis_name: str | None = None, **sizes) -> Small:
    names = tuple(f"N{neuron}" for neuron in range(NEURONS))
    given = name, STATES, SMALL.get(name, {}) | sizes
    module, alone = (build_classifier(*given, axis, names) for axis in (axis_name, None))
    variables = draw_at_random(alone, jnp.zeros((1, 4, NEURONS, FEATURES)), jnp.ones((1, 4), bool))
    evaluate = compile_quickly(lambda variables, features, valid: module.apply(variables, features, valid, None))
    train = compile_quickly(lambda variables, *inputs: module.apply(variables, *inputs, mutable=["batch_stats"]))
    return Small(module, variables, evaluate, train)


@pytest.fixture(scope="session", name="small")
def small_builder():
    """A function: name of a classifier, and sizes other than the small ones → Small, made once."""
    return functools.cache(make_small)


@pytest.fixture(scope="session", name="compile_quickly")
def quick_compiler():
    """jax.jit that spends little on optimising; not for a function that another compiled one calls."""
    return compile_quickly


@pytest.fixture(scope="session", name="draw_variables")
def variables_of():
    """A function: module, its inputs → random variables of the shapes that the inputs ask for."""
    return draw_at_random


@pytest.fixture(name="windows")
def random_windows():
    """A function: (windows, frames, seed) → random features [window, frame, neuron, feature]."""

    def make(windows=3, frames=12, seed=0, neurons=NEURONS):
        return np.random.default_rng(seed).normal(size=(windows, frames, neurons, FEATURES)).astype(np.float32)

    return make


@pytest.fixture(name="noise")
def noise_of():
    """A function: (seed, windows, dropout, temperature) → TrainingRngs with a key a window."""

    def make(seed=0, windows=3, dropout=0.4, temperature=0.7):
        keys = jax.random.split(jax.random.key(seed), windows)
        return TrainingRngs(keys, jnp.float32(dropout), jnp.float32(temperature))

    return make
