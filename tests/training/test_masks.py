"""What was not observed has no part in a loss, whatever stands there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_systems import make_system, small_config

from wormjax.features.system_scaling import scale_systems
from wormjax.tasks.infer.materials import Materials, stack_system
from wormjax.tasks.infer.networks import build_training, vary_config
from wormjax.training import masks
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.system_batches import SystemArrays, SystemData

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES = 12


def test_means_are_of_what_counts():
    values = jnp.arange(12.0).reshape(2, 3, 2)
    weights = jnp.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert masks.average(values, None, (1, 2)).tolist() == values.mean(axis=(1, 2)).tolist()
    np.testing.assert_allclose(masks.average(values, weights, (1, 2)), [np.mean([0, 1, 4, 5]), 0.0])


def test_a_frame_counts_while_all_before_it_were_observed():
    observed = np.array([[1, 1, 0, 1], [1, 1, 1, 1]]).T[None]  # [piece, frame, object]
    weights = masks.weigh_following(masks.as_feature(jnp.array(observed, bool)))
    assert weights[0].T.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_pairs_are_of_objects_that_are_there():
    observed = np.ones((1, 5, 3), bool)
    observed[0, :, 2] = False
    observed[0, :3, 0] = False
    assert masks.find_pairs(jnp.array(observed))[0].tolist() == [1, 0, 1, 0, 0, 0]  # 1 to 0 and 0 to 1.


@pytest.mark.parametrize("posterior", ["sampled", "exact"])
def test_samples_that_are_not_observed_do_not_count_in_loss_and_validation(posterior):
    """Where all are observed, the mask changes nothing; where some are not, their errors are left out."""
    splits = {name: make_system(8, 20, seed=k) for k, name in enumerate(("train", "valid", "test"))}
    systems = scale_systems(splits, FRAMES)
    config = vary_config("nri", small_config(train__posterior=posterior))
    plain = SystemData(stack_system(systems.train), stack_system(systems.valid))
    observed = np.ones(plain.training.features.shape[:3], bool)
    materials = Materials(systems, plain, 2)
    training = build_training(config, materials)
    run, objective = jax.tree.map(lambda leaf: leaf[0], training.runs), training.objective
    variables = jax.jit(objective.initialise)(run)

    @jax.jit
    def measure(data):
        loss = objective.loss(variables, data, run, 0.5, jax.random.key(0), Shard())[0]
        return loss, objective.validate(variables, data, run)[0]

    hidden = observed.copy()
    hidden[:, 4, 1] = False
    whole, masked, fewer = (
        np.array(measure(SystemData(*(SystemArrays(one.features, one.edges, mask) for one in plain))))
        for mask in (None, observed, hidden)
    )
    np.testing.assert_allclose(masked, whole, rtol=1e-5)
    assert (abs(fewer - whole) > 1e-6).all()
