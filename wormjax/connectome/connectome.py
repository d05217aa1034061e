"""A reference graph between named neurons: one or more matrices [sender, receiver], as matrix, table or jraph graph."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float
from jraph import GraphsTuple

from wormjax.connectome.neuron_types import describe_neurons
from wormjax.errors import InputError
from wormjax.recordings.names import normalise_neuron_name


@dataclasses.dataclass(frozen=True, eq=False)
class Connectome:
    """Weights between named neurons.

    Attributes:
      source: "cook2019" or "randi2023".
      citation: of the source.
      neuron_names: of both axes, as recordings write them.
      weights: kind → matrix [sender, receiver]; NaN where a pair was not observed.
    """

    source: str
    citation: str
    neuron_names: tuple[str, ...] = dataclasses.field(repr=False)
    weights: Mapping[str, Float[np.ndarray, "sender receiver"]] = dataclasses.field(repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the matrices."""
        return tuple(self.weights)

    def matrix(self, kind: str, names: Sequence[str] | None = None) -> Float[np.ndarray, "sender receiver"]:
        """Return the weights of one kind.

        Args:
          kind: one of `kinds`.
          names: neurons of both axes in any spelling, in this order; None takes all. A neuron that the source lacks
            has NaN.

        Raises:
          InputError: there is no such kind.

        Examples:
          >>> load("cook2019").matrix("chemical", ["AVAL", "DA1"])
        """
        if kind not in self.weights:
            raise InputError(f"connectome {self.source}: found kind {kind!r}, expected one of: {', '.join(self.kinds)}")
        if names is None:
            return self.weights[kind].copy()
        names = names.split(",") if isinstance(names, str) else names
        places = {name: place for place, name in enumerate(self.neuron_names)}
        own = np.array([places.get(normalise_neuron_name(name), -1) for name in names], int)
        chosen = self.weights[kind][np.ix_(own, own)].astype(float)
        chosen[own < 0], chosen[:, own < 0] = np.nan, np.nan
        return chosen

    def dataframe(self, kind: str) -> pd.DataFrame:
        """Return the edges of one kind as a table of sender, receiver and weight: those that are neither 0 nor NaN."""
        matrix = np.nan_to_num(self.matrix(kind))
        senders, receivers = np.nonzero(matrix)
        names = np.array(self.neuron_names)
        return pd.DataFrame(
            {"sender": names[senders], "receiver": names[receivers], "weight": matrix[senders, receivers]}
        )

    def graph(self, kind: str) -> GraphsTuple:
        """Return the edges of one kind as a jraph.GraphsTuple.

        Nodes are one-hot [neuron, 3] for sensory, inter- and motor neurons (0 for those of no one type), in the order
        of `neuron_names`; edges are the weights [edge, 1].
        """
        matrix = np.nan_to_num(self.matrix(kind))
        senders, receivers = np.nonzero(matrix)
        types = self.neurons()["type"].to_numpy()
        return GraphsTuple(
            nodes=jnp.asarray(np.stack([types == one for one in ("sensory", "inter", "motor")], axis=1), jnp.float32),
            edges=jnp.asarray(matrix[senders, receivers, None], jnp.float32),
            senders=jnp.asarray(senders, jnp.int32),
            receivers=jnp.asarray(receivers, jnp.int32),
            globals=None,
            n_node=jnp.array([len(types)]),
            n_edge=jnp.array([len(senders)]),
        )

    def neurons(self) -> pd.DataFrame:
        """Return neuron, class, side, type and transmitters of each neuron (`describe_neurons`)."""
        return describe_neurons(self.neuron_names)
