"""RelationalInference: the graph between the objects of a system, from their trajectories; and systems to try it on."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.utils.validation import check_is_fitted

from wormjax.errors import InputError, note
from wormjax.features.systems import cut_windows, relate_neurons
from wormjax.instrument.estimator import Estimator
from wormjax.instrument.results import list_edges, sum_types
from wormjax.instrument.settings import build_config, take_whole
from wormjax.models.exact_posterior import LARGEST
from wormjax.recordings.recording import Recording
from wormjax.simulation import springs
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.experiment import check_config
from wormjax.tasks.infer.relations import fit_relations, infer_edges
from wormjax.tasks.training import Trained

Systems = Trajectories | Float[np.ndarray, "sample frame object feature"] | Sequence[Recording]
WINDOW = 49  # Frames of a recording that make a system.
PLANAR = ("x", "y", "velocity x", "velocity y")  # The features that an equivariant decoder turns with the system.


@dataclasses.dataclass(repr=False, eq=False)
class RelationalInference(Estimator):
    """Infer the graph of systems by neural relational inference (Kipf, Fetaya et al. 2018); no graph need be known.

    Each direction of a pair is inferred by itself: a graph may be directed (`config="causal_kuramoto:small"` is for
    directed oscillators, as in Löwe et al. 2022).

    Args:
      model: "nri", which never reads a graph to train, or "nri_supervised", which needs those of the training systems.
      edge_types: how many; the first is "no edge". 0 takes as many as the systems have, 2 where no graph is known.
      steps: updates of training; None takes the config's.
      config: a config of `infer`: name, file or ConfigDict.
      settings: further fields of the config, such as {"model.encoder.hidden": 32}.
      progress: whether to show a progress bar.

    Attributes:
      edge_types_: names of the types, the last axis of `edges`.
      config_: all that the model was trained with.

    Examples:
      >>> trajectories = wormjax.simulate_springs(200)
      >>> relations = wormjax.RelationalInference(steps=500).fit(trajectories)
      >>> relations.edges(trajectories).shape  # [sample, sender, receiver, type]
      (200, 5, 5, 2)
    """

    model: str = "nri"
    _: dataclasses.KW_ONLY
    edge_types: int = 0
    steps: int | None = None
    config: str | ml_collections.ConfigDict = "nri_springs:small"
    settings: Mapping[str, Any] | None = None
    progress: bool = True

    def fit(
        self, trajectories: Systems, y: None = None, *, valid: Systems | None = None, seed: int = 0
    ) -> "RelationalInference":
        """Train on systems and return self.

        Args:
          trajectories: Trajectories, an array [sample, frame, object, feature], or recordings of worms, whose named
            neurons are the objects.
          valid: systems that choose the parameters that are kept; None holds out the last tenth.
          seed: of initial parameters and batches; the same seed gives the same model.
        """
        train = to_trajectories(trajectories)
        types = self.edge_types or (2 if train.edges is None else 0)
        fields = {"train.steps": self.steps, "model.edge_types": types}
        fields |= choose_fields(train, build_config(self.config, "infer", {}))
        config = build_config(self.config, "infer", fields, self.settings, seed)
        config.models = (self.model,)
        check_config(config.lock())
        valid = None if valid is None else to_trajectories(valid)
        return self._keep(fit_relations(config, train, valid, config.seed, self.progress, self.model))

    def edges(self, trajectories: Systems) -> Float[np.ndarray, "sample sender receiver type"]:
        """Return the probability of each type of every edge; NaN on the diagonal.

        Args:
          trajectories: Trajectories, or an array [sample, frame, object, feature], with the features of the training.
        """
        check_is_fitted(self)
        return infer_edges(self.trained_, to_trajectories(trajectories))

    def edges_to_pandas(self, trajectories: Systems, names: Sequence[str] = ()) -> pd.DataFrame:
        """Return a row per sample and ordered pair: sample, sender, receiver, probability of an edge of any type."""
        probabilities = sum_types(self.edges(trajectories))
        names = tuple(names) or tuple(str(k + 1) for k in range(probabilities.shape[1]))
        if len(set(names)) != probabilities.shape[1]:
            raise InputError(f"names: found {len(set(names))} names, expected {probabilities.shape[1]}, one per object")
        tables = [list_edges(one, names).assign(sample=sample) for sample, one in enumerate(probabilities)]
        return pd.concat(tables, ignore_index=True)[["sample", "sender", "receiver", "probability"]]

    def score(self, trajectories: Systems, y: None = None) -> float:
        """Return the share of edges whose most probable type is the true one. Types are matched to the true ones.

        Raises:
          InputError: trajectories whose graph is not known.
        """
        trajectories = to_trajectories(trajectories)
        if trajectories.edges is None:
            raise InputError(f"{trajectories.source}: field 'edges': found none, expected the true graph to score")
        inferred, true = self.edges(trajectories), np.asarray(trajectories.edges)
        known = ~np.eye(true.shape[1], dtype=bool) & (true >= 0)
        return float(np.mean(inferred.argmax(axis=-1)[known] == true[known]))

    def _describe(self) -> str:
        description = self.trained_.description
        features = ", ".join(description["features"])
        return f"trained on {description['objects']} objects with the features {features}; types: {self.edge_types_}"

    def _keep(self, trained: Trained) -> Self:
        self.edge_types_ = tuple(trained.description["edge_types"])
        return super()._keep(trained)


def simulate_springs(
    simulations: int = 1000, objects: int = 5, frames: int = 49, seed: int = 0, directed: bool = False
) -> Trajectories:
    """Return particles in a box, half of whose pairs are joined by springs (Kipf, Fetaya et al. 2018).

    Args:
      simulations: how many systems, each with a graph of its own.
      objects: particles per system.
      frames: of each.
      seed: the same seed gives the same systems.
      directed: whether a spring pulls its receiver only; each direction of a pair is then drawn by itself.

    Examples:
      >>> wormjax.simulate_springs(200).features.shape
      (200, 49, 5, 4)
    """
    key = jax.random.key(take_whole("seed", seed))
    return springs.simulate_springs(key, simulations, objects, frames, directed=directed)


def to_trajectories(given) -> Trajectories:
    """Return trajectories as they are, or those of an array [sample, frame, object, feature] of unknown graph.

    Of recordings, an object is a named neuron and a sample a window of WINDOW frames.
    """
    if isinstance(given, Trajectories):
        return given
    if isinstance(given, Recording):
        given = [given]
    if isinstance(given, list | tuple) and given and all(isinstance(one, Recording) for one in given):
        return cut_windows(relate_neurons(given), WINDOW)
    features = np.asarray(given)
    if features.ndim != 4 or features.dtype.kind not in "iuf":
        found = f"found {type(given).__name__} of shape {np.shape(given)}"
        raise InputError(f"trajectories: {found}, expected numbers [sample, frame, object, feature]")
    if np.isinf(features).any():
        features = np.where(np.isinf(features), np.nan, features)
        note("trajectories: infinite samples are taken as missing")
    count = features.shape[3]
    names = PLANAR if count == len(PLANAR) else tuple(f"feature {k + 1}" for k in range(count))
    return Trajectories("mine", features.astype(np.float32), None, names)


def choose_fields(trajectories: Trajectories, config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Return the config fields that follow from the shape of trajectories.

    Only objects that move in a plane have equivariant messages, which add up. An exact posterior of many objects would
    be too large: where messages add up its likeliest graphs are listed, else graphs are sampled.
    """
    _, frames, objects, _ = np.shape(trajectories.features)
    fields: dict[str, Any] = {"data.frames": frames}
    if config.model.decoder.name == "equivariant" and tuple(trajectories.feature_names) != PLANAR:
        fields |= {"model.decoder.name": "mlp", "train.turn_and_mirror": False, "data.scaling": "reference"}
        fields |= {"model.encoder.name": "cnn"} if config.model.encoder.name == "evidence" else {}
    if config.train.posterior == "exact" and 2 ** (objects - 1) > LARGEST:  # With two types of edges.
        adds = fields.get("model.decoder.name", config.model.decoder.name) == "equivariant"
        fields |= {"train.posterior": "listed" if adds else "sampled"}
    return fields
