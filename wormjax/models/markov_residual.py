"""A classifier asked of the time after its window, and what a chain of states expects of it, joined.

The chain's log-probabilities, weighed question by question, are added to the classifier's own outputs: what the network
learns is what the chain does not know. How much the chain counts at each horizon is learnt along with it.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax.models.classifiers import Decoding
from wormjax.models.layers import TrainingRngs


class Correction(nn.Module):
    """A classifier of wormjax.models with `horizons * states + horizons + 1` outputs, at the last frame of a window."""

    classifier: nn.Module
    states: int
    horizons: int

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "window frame neuron feature"],
        valid: Bool[Array, "window frame"],
        base: Float[Array, "window answer"],
        training_rngs: TrainingRngs | None = None,
    ) -> Decoding:
        """Logits [window, answer] of all answers beside each other; the graph of each window where one is inferred."""
        decoding = self.classifier(features, valid, training_rngs)
        weights = self.param("base_weight", nn.initializers.ones, (self.horizons + 1,))
        sizes = jnp.array([self.states] * self.horizons + [self.horizons + 1])
        spread = jnp.repeat(weights, sizes, total_repeat_length=base.shape[-1])
        return Decoding(decoding.logits[:, -1] + spread * base, decoding.edge_logits)
