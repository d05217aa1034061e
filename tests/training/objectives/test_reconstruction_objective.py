"""What a reconstruction network minimises: the error of what is hidden alone; sides may be exchanged."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import small_dataset
from small_reconstructions import small_config

from wormjax.recordings.names import find_mirrors
from wormjax.tasks.groups import list_groups
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct import networks
from wormjax.training.objectives.classification import Shard, draw_share
from wormjax.training.objectives.reconstruction import reconstruction

NAMES = ("AVAL", "AVAR", "AVBL", "RID")
FRAMES, BATCH = 16, 512
SIZES = (len(NAMES), 2)


class Guess(nn.Module):
    """Says 0 of what is hidden, and of what is visible what no loss may count."""

    @nn.compact
    def __call__(self, features, valid, hidden, training_rngs=None):
        del features, valid, training_rngs
        return jnp.where(hidden[:, None], self.param("level", nn.initializers.zeros, ()), 1e3) * jnp.ones(
            (1, FRAMES, 1)
        )


@pytest.fixture(scope="module")
def dataset():
    made = small_dataset(((200,), (180,)))
    object.__setattr__(made, "neuron_names", NAMES)
    made.arrays.features[1, :, 3] = 0.0
    return made


def measure_loss(dataset, hidden_shares, mirrored):
    config = small_config(train__noise=0.0, train__gain=0.0, train__offset=0.0)
    runs = networks.build_group_runs(config, dataset, list_groups(config, [Split((0, 1), ())]))
    run, key = jax.tree.map(lambda x: x[0], runs), jax.random.key(1)
    objective = reconstruction(Guess(), SIZES, FRAMES, BATCH, hidden_shares, find_mirrors(NAMES), mirrored, ())
    variables = {"params": {"level": jnp.zeros(())}}
    value, _ = jax.jit(lambda run: objective.loss(variables, dataset.arrays, run, 0.0, key, Shard()))(run)
    windows, _ = draw_share(run, key, BATCH, Shard())
    traces = np.stack([dataset.arrays.features[k, start : start + FRAMES, :, 0] for k, start in np.asarray(windows)])
    return float(value), traces


def test_the_loss_is_the_mean_square_of_the_hidden_samples_that_are_there(dataset):
    value, traces = measure_loss(dataset, (1.0, 1.0), 0.0)
    assert value == pytest.approx((traces[traces != 0] ** 2).mean(), rel=1e-5)
    value, _ = measure_loss(dataset, (0.2, 0.6), 0.0)
    assert value == pytest.approx((traces[traces != 0] ** 2).mean(), rel=0.1)  # A visible one would count 1e6.


def test_exchanged_windows_lack_what_has_no_partner(dataset):
    value, traces = measure_loss(dataset, (1.0, 1.0), 1.0)
    kept = traces[..., [0, 1, 3]]  # AVBR is not there.
    assert value == pytest.approx((kept[kept != 0] ** 2).mean(), rel=1e-4)
