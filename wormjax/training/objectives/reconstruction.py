"""What a reconstruction network minimises: the squared error of random neurons that are hidden from it."""

from collections.abc import Collection, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from wormjax.training.objectives.classification import (
    AUGMENTATIONS,
    Objective,
    cut_windows,
    disturb_windows,
    draw_share,
    initial_key,
)

HIDING_SALT, MIRROR_SALT = 2, 3  # `disturb_windows` folds 0 and 1 into a window's key.
PARTS = 4  # Of the neurons, each hidden once in validation.


def reconstruction(
    module: nn.Module,
    sizes: tuple[int, int],
    window_frames: int,
    batch_windows: int,
    hidden_shares: tuple[float, float],
    mirrors: Sequence[int],
    mirrored: float,
    augmentations: Collection[str] = AUGMENTATIONS,
) -> Objective:
    """Return the objective of a `ReconstructionNetwork`.

    Each window hides every neuron with a probability of its own, drawn evenly from between the two `hidden_shares`.
    Left and right are exchanged in a share `mirrored` of the windows, by `mirrors` (`find_mirrors`): what is known of
    AVAL holds for AVAR, too. What is visible is disturbed (`augment_features`), what is hidden is to be predicted as it
    is. What `runs.own` holds takes the place of the module's collections of the same names ("identity").

    Validation hides each quarter of the neurons in turn.
    """

    def initialise(run):
        window = jnp.zeros((1, window_frames, *sizes)), jnp.ones((1, window_frames), bool)
        variables = module.init(initial_key(run), *window, jnp.zeros((1, sizes[0]), bool))
        return variables | {name: own for name, own in (run.own or {}).items() if name in variables}

    def hide(key):
        share_key, neuron_key = jax.random.split(jax.random.fold_in(key, HIDING_SALT))
        share = jax.random.uniform(share_key, minval=hidden_shares[0], maxval=hidden_shares[1])
        return jax.random.bernoulli(neuron_key, share, sizes[:1])

    def mirror(batch, keys):
        places = jnp.asarray(mirrors)
        exchanged = batch.features[:, :, places] * (places >= 0)[:, None]
        chosen = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, MIRROR_SALT), mirrored))(keys)
        return batch._replace(features=jnp.where(chosen[:, None, None, None], exchanged, batch.features))

    def measure(batch, predicted, hidden):
        """The sum of squared errors of hidden samples, and their number."""
        true = batch.features[..., 0]
        scored = hidden[:, None] & (true != 0) & batch.valid[..., None]
        return (scored * (predicted - true) ** 2).sum(), scored.sum()

    def loss(variables, data, run, progress, key, shard):
        windows, keys = draw_share(run, key, batch_windows, shard)
        batch = mirror(cut_windows(data, windows, window_frames), keys)
        hidden = jax.vmap(hide)(keys)
        features, training_rngs = disturb_windows(batch.features, keys, run.hyper, augmentations)
        error, count = measure(batch, module.apply(variables, features, batch.valid, hidden, training_rngs), hidden)
        value = error / jnp.maximum(shard.total(count), 1)
        return value, ({}, {"loss": value})

    def validate(variables, data, run):
        batch = cut_windows(data, run.validation_windows, window_frames)
        used = jnp.arange(len(run.validation_windows)) < run.validation_count
        batch = batch._replace(valid=batch.valid & used[:, None])

        def measure_part(part):
            hidden = jnp.broadcast_to(jnp.arange(sizes[0]) % PARTS == part, (len(used), sizes[0]))
            return measure(batch, module.apply(variables, batch.features, batch.valid, hidden), hidden)

        error, count = jax.lax.map(measure_part, jnp.arange(PARTS))
        score = error.sum() / jnp.maximum(count.sum(), 1)
        return score, {"mse": score}

    return Objective(initialise, loss, validate)
