"""Name → model. The dictionary that a config's `models` chooses from."""

from collections.abc import Callable, Sequence

import flax.linen as nn

from wormjax.errors import ConfigError
from wormjax.models.any_neurons import AnyNeuronDecoder
from wormjax.models.classifiers import MlpClassifier, RecurrentClassifier, TemporalConvolutionClassifier
from wormjax.models.graph_classifier import GraphClassifier
from wormjax.models.wang2021 import WangGraph, WangMlp

CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MlpClassifier,
    "recurrent": RecurrentClassifier,
    "temporal_convolution": TemporalConvolutionClassifier,
    "nri_graph": GraphClassifier,
    "any_neurons": AnyNeuronDecoder,
    "wang_mlp": WangMlp,
    "wang_graph": WangGraph,
}


def build_classifier(
    name: str,
    states: int,
    sizes: dict,
    axis_name: str | None = None,
    neurons: Sequence[str] = (),
    targets: int = 0,
    unnamed: bool = False,
) -> nn.Module:
    """Return the classifier `name` with the config's `sizes`.

    Args:
      name: of one of CLASSIFIERS, or of a section of `model` that has such a name for its `kind`.
      states: number of motor states.
      sizes: the config's section of it.
      axis_name: of devices that share a batch.
      neurons: names on the axis of neurons.
      targets: number of continuous behaviours.
      unnamed: whether neurons without a name are read, too.

    Raises:
      InputError: no such model, a size that it does not have, or behaviours that it does not decode.
    """
    sizes = dict(sizes)
    chosen = sizes.pop("kind", name)
    if chosen not in CLASSIFIERS:
        field = "models" if chosen == name else f"model.{name}.kind"
        raise ConfigError(field, f"found {chosen!r}, expected one of {', '.join(CLASSIFIERS)}")
    kind = CLASSIFIERS[chosen]
    if targets and "targets" not in kind.__dataclass_fields__:
        raise ConfigError("models", f"found {name!r}, which decodes no behaviour (data.targets), expected any_neurons")
    given = {"axis_name": axis_name, "neurons": tuple(neurons), "targets": targets, "unnamed": unnamed}
    fields = set(kind.__dataclass_fields__) - {"parent", "name", "states", *given}
    unknown = sorted(set(sizes) - fields)
    if unknown:
        expected = f"expected some of {', '.join(sorted(fields))}"
        raise ConfigError(f"model.{name}", f"found {', '.join(unknown)}, {expected}")
    for key, value in sizes.items():
        if (isinstance(value, int) and not isinstance(value, bool) and value < 1) or value in ((), []):
            raise ConfigError(f"model.{name}.{key}", f"found {value!r}, expected at least one")
    joined = {field: value for field, value in given.items() if field in kind.__dataclass_fields__}
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
    return kind(states=states, **sizes, **joined)
