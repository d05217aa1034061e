"""What every classifier of the catalog promises: shapes, silent padding, randomness by key, windows by themselves."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.models.catalog import CLASSIFIERS

DRAWS_NOISE = [name for name in CLASSIFIERS if not name.startswith("wang")]
WINDOWS_ALONE = [name for name in CLASSIFIERS if name != "wang_graph"]  # Its graph is the mean over the batch.
INFERS_GRAPH = ("nri_graph", "wang_graph")
VALID = np.ones((3, 12), bool)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_finite_and_one_per_window_frame_and_state(small, windows, name):
    model = small(name)
    decoding = model.evaluate(model.variables, windows(), VALID)
    assert decoding.logits.shape == (3, 12, 3)
    assert np.isfinite(decoding.logits).all()
    assert (np.ptp(decoding.logits, axis=(0, 1)) > 0).all()
    if name in INFERS_GRAPH:
        assert decoding.edge_logits.shape == (3, 12, 2)
    else:
        assert decoding.edge_logits is None


@pytest.mark.parametrize("before", [0, 4])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_padding_is_silent(small, windows, name, before):
    model, features = small(name), windows()
    after = 6 - before
    padded = np.pad(features, ((0, 0), (before, after), (0, 0), (0, 0)))
    valid = np.pad(VALID, ((0, 0), (before, after)))
    whole, within = model.evaluate(model.variables, features, VALID), model.evaluate(model.variables, padded, valid)
    np.testing.assert_allclose(within.logits[:, before : before + 12], whole.logits, rtol=1e-4, atol=1e-5)
    if name in INFERS_GRAPH:
        np.testing.assert_allclose(within.edge_logits, whole.edge_logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WINDOWS_ALONE)
def test_a_window_does_not_depend_on_the_others(small, windows, name):
    model, features = small(name), windows()
    others = features.copy()
    others[1:] = windows(seed=1)[1:] * 3
    first, second = (model.evaluate(model.variables, f, VALID).logits for f in (features, others))
    np.testing.assert_allclose(first[0], second[0], rtol=1e-5, atol=1e-6)
    assert abs(first[1:] - second[1:]).max() > 0.01


@pytest.mark.parametrize("name", DRAWS_NOISE)
def test_randomness_is_that_of_each_windows_own_key(small, windows, noise, name):
    model = small(name)
    features = np.repeat(windows(1), 3, axis=0)
    drawn = noise()
    first = model.train(model.variables, features, VALID, drawn)[0].logits
    again = model.train(model.variables, features, VALID, drawn)[0].logits
    np.testing.assert_array_equal(first, again)
    assert abs(first[0] - first[1]).max() > 0.01  # Equal windows, other keys.
    other = model.train(model.variables, features, VALID, noise(seed=1))[0].logits
    assert abs(first - other).max(axis=(1, 2)).min() > 0.01
    # A window in another place of the batch draws the same, by its key.
    turned = drawn._replace(keys=drawn.keys[::-1])
    backwards = model.train(model.variables, features, VALID, turned)[0].logits
    np.testing.assert_allclose(backwards[::-1], first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_parameter_has_a_say(small, windows, compile_quickly, name):
    model, features = small(name), windows()
    weights = windows(seed=3)[..., :3, 0]

    def score(params):
        decoding = model.module.apply(model.variables | {"params": params}, features, VALID)
        return (decoding.logits * weights).sum()

    gradient = compile_quickly(jax.grad(score))(model.variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert abs(leaf).max() > 1e-7, path


@pytest.mark.parametrize("name", ["recurrent", "temporal_convolution", "mlp"])
def test_context_reaches_to_both_sides(small, windows, name):
    model, features = small(name), windows(1)
    changed = features.copy()
    changed[0, 6] += 1.0
    difference = abs(
        model.evaluate(model.variables, changed, VALID[:1]).logits
        - model.evaluate(model.variables, features, VALID[:1]).logits
    ).max(axis=(0, 2))
    assert difference[:6].max() > 1e-3
    assert difference[7:].max() > 1e-3
    if name == "mlp":  # Offsets -3, 0 and 2.
        assert np.flatnonzero(difference > 1e-6).tolist() == [4, 6, 9]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_network_forgets_at_a_break(small, windows, cell):
    model, features = small("recurrent", cell=cell), windows(1)
    valid = VALID[:1].copy()
    valid[0, 5] = False
    changed = features.copy()
    changed[0, 6:] += 1.0
    first, second = (model.evaluate(model.variables, f, valid).logits[0] for f in (features, changed))
    np.testing.assert_allclose(first[:5], second[:5], rtol=1e-5, atol=1e-6)
    assert abs(first[6:] - second[6:]).max() > 0.01


def test_gradients_are_those_of_finite_differences(small, windows, noise, compile_quickly):
    model = small("nri_graph")
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), model.variables["params"])
        features, weights = jnp.asarray(windows(), jnp.float64), windows(seed=3)[..., :3, 0].astype(np.float64)
        flat, unravel = jax.flatten_util.ravel_pytree(params)
        drawn = noise()._replace(dropout=jnp.float64(0.4), temperature=jnp.float64(0.7))

        @compile_quickly
        @jax.value_and_grad
        def score(flat):
            decoding = model.module.apply({"params": unravel(flat)}, features, VALID, drawn)
            return (decoding.logits * weights).sum()

        gradient = score(flat)[1]
        rng = np.random.default_rng(0)
        for _ in range(4):
            direction = rng.normal(size=flat.shape)
            slope = (score(flat + 1e-6 * direction)[0] - score(flat - 1e-6 * direction)[0]) / 2e-6
            assert float(slope) == pytest.approx(float(gradient @ direction), rel=1e-5)
