"""bfloat16 products: every product of a model and of its gradient is one, and nothing else is."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_systems import small_config

from wormjax.models import nri as model
from wormjax.models.layers import dense_precision, multiply_rounded

pytestmark = pytest.mark.usefixtures("quick_compilation")

SAMPLES, FRAMES, NODES, FEATURES, TYPES = 3, 8, 4, 4, 2
EDGES = NODES * (NODES - 1)
MODELS = {
    "cnn, mlp": {"model__encoder__rounds": 2},
    "mlp, recurrent": {"model__encoder__name": "mlp", "model__decoder__name": "recurrent"},
    "pairs as they are": {"model__encoder__relative": False, "model__decoder__relative": False},
    "lstm": {"model__encoder__name": "none", "model__decoder__name": "lstm"},
}
SLOW = ("cnn, mlp", "pairs as they are", "lstm")
ROUNDING = 2.0**-8  # Of one operand, at most.


def build(precision, **fields):
    fields |= {"model__precision": precision, "model__encoder__kernels": (2, 2)}
    return model.build_nri(small_config(**fields).model, TYPES, np.full(FEATURES, 0.5))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_params(nri):
    shapes = jax.eval_shape(lambda key: model.initialise(nri, key, FRAMES, NODES), jax.random.key(0))
    leaves, form = jax.tree.flatten(shapes)
    drawn = [draw(*leaf.shape, seed=k) / np.sqrt(leaf.shape[0]) for k, leaf in enumerate(leaves)]
    return jax.tree.unflatten(form, drawn)


def predict(nri, params, frames):
    """Through the whole model: the graph, and frames predicted on it, mostly from predicted ones."""
    edges = jnp.full((SAMPLES, EDGES, TYPES), 0.5)
    if nri.encoder is not None:
        edges = jax.nn.softmax(model.encode(nri, params, frames))
    given = jnp.broadcast_to(jnp.arange(FRAMES) % 4 == 0, (SAMPLES, FRAMES))
    return edges, model.decode(nri, params, frames, edges, given)


def loss(nri, params, frames):
    edges, predicted = predict(nri, params, frames)
    return jnp.mean((predicted[:, :-1] - frames[:, 1:]) ** 2) + jnp.mean(edges**2)


def list_equations(jaxpr):
    """All equations, those of loops and of inner functions too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                part = getattr(part, "jaxpr", part)
                if hasattr(part, "eqns"):
                    yield from list_equations(part)


def trace_gradient(nri):
    params, frames = draw_params(nri), draw(SAMPLES, FRAMES, NODES, FEATURES)
    traced = jax.make_jaxpr(jax.grad(functools.partial(loss, nri)))(params, frames)
    assert {aval.dtype for aval in traced.out_avals} == {jnp.dtype("float32")}
    return list(list_equations(traced.jaxpr))


def list_products(equations):
    """(type of the operands, type of the sums) of every product."""
    products = [equation for equation in equations if equation.primitive.name == "dot_general"]
    return [tuple(str(v.aval.dtype) for v in (*product.invars, *product.outvars)) for product in products]


@pytest.mark.parametrize("name", MODELS)
def test_all_products_of_a_gradient_are_of_bfloat16_and_sum_in_float32(name):
    equations = trace_gradient(build("bfloat16", **MODELS[name]))
    products = list_products(equations)
    plain = list_products(trace_gradient(build("", **MODELS[name])))
    assert set(plain) == {("float32",) * 3}
    assert set(products) == {("bfloat16", "bfloat16", "float32")}
    assert len(products) >= len(plain) > 10


def test_nothing_but_products_is_computed_in_bfloat16():
    equations = trace_gradient(build("bfloat16"))
    rounded = {
        equation.primitive.name
        for equation in equations
        if any(getattr(v.aval, "dtype", None) == jnp.bfloat16 for v in (*equation.invars, *equation.outvars))
    }
    assert "dot_general" in rounded
    assert not rounded & {"add", "mul", "sub", "div", "exp", "reduce_sum", "add_any", "logistic", "tanh"}


def test_the_gradient_of_a_kernel_is_one_product_over_all_samples():
    """Not one a sample and a sum over samples, as the vmap of a custom gradient would be."""
    equations = trace_gradient(build("bfloat16"))
    products = [equation for equation in equations if equation.primitive.name == "dot_general"]
    assert all(product.params["dimension_numbers"][1] == ((), ()) for product in products)


def round_values(values):
    return np.asarray(jnp.asarray(values).astype(jnp.bfloat16).astype(jnp.float32), float)


def test_a_product_is_that_of_rounded_operands_and_so_is_its_gradient():
    values, kernel, weights = draw(5, 6, 40), draw(40, 7, seed=1), draw(5, 6, 7, seed=2)
    output, pull = jax.vjp(jax.jit(multiply_rounded), values, kernel)
    of_values, of_kernel = pull(jnp.asarray(weights))
    exact = round_values(values) @ round_values(kernel)
    np.testing.assert_allclose(output, exact, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_values, round_values(weights) @ round_values(kernel).T, rtol=1e-5, atol=1e-5)
    rows, row_weights = round_values(values).reshape(30, 40), round_values(weights).reshape(30, 7)
    np.testing.assert_allclose(of_kernel, rows.T @ row_weights, rtol=1e-5, atol=1e-5)
    assert abs(output - values @ kernel).max() > 1e-3  # The operands do not happen to be round.


def measure_error(found, exact):
    """Root mean square of the difference, relative."""
    difference = sum(float(jnp.sum((a - b) ** 2)) for a, b in zip(found, exact, strict=True))
    return np.sqrt(difference / sum(float(jnp.sum(b**2)) for b in exact))


# The trace of products above sees every model; errors are measured on one, and on all where there is time.
@pytest.mark.parametrize("name", ["mlp, recurrent", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_outputs_and_gradients_are_off_by_the_rounding_of_bfloat16(name):
    exact, coarse = build("float32", **MODELS[name]), build("bfloat16", **MODELS[name])
    params, frames = draw_params(exact), draw(SAMPLES, FRAMES, NODES, FEATURES)
    pairs = []
    for nri in (coarse, exact):
        run = jax.jit(lambda params, nri=nri: (predict(nri, params, frames), jax.grad(loss, 1)(nri, params, frames)))
        pairs.append([jax.tree.leaves(part) for part in run(params)])
    for found, expected in zip(*pairs, strict=True):
        assert ROUNDING / 100 < measure_error(found, expected) < 5 * ROUNDING


def test_the_devices_own_precision_is_that_of_the_layers_bit_for_bit():
    nri, highest = build("", **MODELS["mlp, recurrent"]), build("float32", **MODELS["mlp, recurrent"])
    params, frames = draw_params(nri), draw(SAMPLES, FRAMES, NODES, FEATURES)
    plain = jax.vmap(lambda sample: nri.encoder.apply({"params": params["encoder"]}, model._observe(nri, sample)))
    logits = jax.jit(functools.partial(model.encode, nri))(params, frames)
    np.testing.assert_array_equal(logits, jax.jit(plain)(frames))
    lowered = [
        jax.jit(functools.partial(model.encode, kind)).lower(params, frames).as_text() for kind in (nri, highest)
    ]
    assert "HIGHEST" not in lowered[0]
    assert lowered[0].count("dot_general") == lowered[1].count("HIGHEST") // 2  # Of both operands.
    assert "bf16" not in "".join(lowered)


@pytest.mark.slow
def test_runs_of_one_program_have_the_gradients_that_each_has_alone():
    nri = build("bfloat16")
    params, frames = draw_params(nri), draw(SAMPLES, FRAMES, NODES, FEATURES)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, -0.5 * leaf]), params)
    gradient = jax.jit(jax.grad(functools.partial(loss, nri)))
    together = jax.jit(jax.vmap(gradient, (0, None)))(stacked, frames)
    for run in range(2):
        alone = gradient(jax.tree.map(lambda leaf, run=run: leaf[run], stacked), frames)
        found = [leaf[run] for leaf in jax.tree.leaves(together)]
        # Sums in another order may round to another bfloat16 further on.
        assert measure_error(found, jax.tree.leaves(alone)) < ROUNDING / 4


def test_kernels_of_their_own_under_a_vmap_of_samples():
    layer, values, kernels = nn.Dense(3, use_bias=False), draw(4, 5, 4), draw(4, 4, 3, seed=1)
    with dense_precision("bfloat16", vmapped=True):
        found = jax.vmap(lambda rows, kernel: layer.apply({"params": {"kernel": kernel}}, rows))(values, kernels)
    np.testing.assert_allclose(found, round_values(values) @ round_values(kernels), rtol=1e-5, atol=1e-5)


def test_both_cells_of_an_lstm_begin_with_the_same_parameters():
    """And so does every checkpoint fit at every precision."""
    joined, dense = (
        jax.jit(functools.partial(model.initialise, build(kind, **MODELS["lstm"]), frames=FRAMES, nodes=NODES))
        for kind in ("", "bfloat16")
    )
    jax.tree.map(np.testing.assert_array_equal, dense(jax.random.key(0)), joined(jax.random.key(0)))


def test_a_precision_ends_with_its_context():
    layer, values = nn.Dense(3), draw(2, 4)
    params = layer.init(jax.random.key(0), values)
    before = layer.apply(params, values)
    with dense_precision("bfloat16"):
        assert abs(layer.apply(params, values) - before).max() > 1e-5
    np.testing.assert_array_equal(layer.apply(params, values), before)
