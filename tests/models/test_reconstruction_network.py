"""The reconstruction network: what is hidden is not read, and neither order, absence nor padding matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64_reference import check_kernel

from wormjax.models.any_neurons import build_vocabulary, index_identities
from wormjax.models.reconstruction import ReconstructionNetwork

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ("AVAL", "AVAR", "AVBL", "RID", "RIML")
WINDOWS, FRAMES = 2, 12


@pytest.fixture(scope="module")
def network():
    """A function of (features, valid, hidden, names), with parameters of which none is zero."""
    module = ReconstructionNetwork(NAMES, embedding=4, node_hidden=3, channels=5)
    features, valid, hidden = make_inputs()
    variables = jax.jit(module.init)(jax.random.key(0), features, valid, hidden)
    draw = np.random.default_rng(3)
    params = jax.tree.map(lambda x: x + 0.3 * draw.normal(size=x.shape).astype(np.float32), variables["params"])

    def apply(features, valid, hidden, names=NAMES):
        ids = index_identities(names, build_vocabulary(NAMES))
        return np.asarray(
            module.apply({"params": params, "identity": {"ids": jnp.asarray(ids)}}, features, valid, hidden)
        )

    return apply


def make_inputs():
    features = np.random.default_rng(0).normal(size=(WINDOWS, FRAMES, len(NAMES), 1)).astype(np.float32)
    hidden = np.zeros((WINDOWS, len(NAMES)), bool)
    hidden[:, 0] = hidden[1, 3] = True
    return features, np.ones((WINDOWS, FRAMES), bool), hidden


def test_a_hidden_neuron_is_not_read_and_a_visible_one_is(network):
    features, valid, hidden = make_inputs()
    before = network(features, valid, hidden)
    changed = features + 3.0 * hidden[:, None, :, None]
    np.testing.assert_array_equal(network(changed, valid, hidden), before)
    for neuron in (1, 2, 4):
        changed = features.copy()
        changed[:, 5, neuron] += 3.0
        assert abs(network(changed, valid, hidden) - before)[..., 0].max() > 1e-3


def test_each_frame_is_read_by_itself(network):
    features, valid, hidden = make_inputs()
    changed = features.copy()
    changed[:, 5, 2] += 3.0
    moved = abs(network(changed, valid, hidden) - network(features, valid, hidden)).max(axis=(0, 2))
    assert np.flatnonzero(moved > 1e-4).tolist() == [5]


def test_an_absent_neuron_is_as_a_hidden_one(network):
    features, valid, hidden = make_inputs()
    absent = np.where(hidden[:, None, :, None], 0.0, features)
    before = network(features, valid, hidden)
    np.testing.assert_array_equal(network(absent, valid, np.zeros_like(hidden)), before)


def test_the_order_of_neurons_does_not_matter(network):
    features, valid, hidden = make_inputs()
    order = [3, 0, 4, 2, 1]
    permuted = network(features[:, :, order], valid, hidden[:, order], [NAMES[k] for k in order])
    np.testing.assert_allclose(permuted, network(features, valid, hidden)[..., order], atol=1e-5)


def test_padding_has_no_influence(network):
    features, valid, hidden = make_inputs()
    padded = np.concatenate([features, np.full_like(features[:, :4], 7.0)], axis=1)
    longer = np.concatenate([valid, np.zeros((WINDOWS, 4), bool)], axis=1)
    found = network(padded, longer, hidden)[:, :FRAMES]
    np.testing.assert_allclose(found, network(features, valid, hidden), atol=1e-5)


def test_a_neuron_of_unknown_identity_is_not_read(network):
    features, valid, hidden = make_inputs()
    names = ("AVAL", "AVAR", "AVBL", "RID", "")
    changed = features.copy()
    changed[:, :, 4] += 1.0
    np.testing.assert_array_equal(network(changed, valid, hidden, names), network(features, valid, hidden, names))


def test_the_network_and_its_gradient_are_those_at_float64():
    module = ReconstructionNetwork(NAMES, embedding=4, node_hidden=3, channels=5)
    features, valid, hidden = make_inputs()
    variables = jax.jit(module.init)(jax.random.key(0), features, valid, hidden)
    identity = {"identity": {"ids": index_identities(NAMES, build_vocabulary(NAMES))}}

    def apply(params, features):
        return module.apply({"params": params, **identity}, features, valid, hidden)

    check_kernel("models.reconstruction.ReconstructionNetwork", apply, jax.device_get(variables["params"]), features)
