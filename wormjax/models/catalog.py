"""Name → model. The dictionary that a config's `models` chooses from."""

from collections.abc import Callable

import flax.linen as nn

from wormjax.errors import ConfigError
from wormjax.models.classifiers import MlpClassifier, RecurrentClassifier, TemporalConvolutionClassifier
from wormjax.models.graph_classifier import GraphClassifier
from wormjax.models.wang2021 import WangGraph, WangMlp

CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MlpClassifier,
    "recurrent": RecurrentClassifier,
    "temporal_convolution": TemporalConvolutionClassifier,
    "nri_graph": GraphClassifier,
    "wang_mlp": WangMlp,
    "wang_graph": WangGraph,
}


def build_classifier(name: str, states: int, sizes: dict, axis_name: str | None = None) -> nn.Module:
    """The classifier `name` with the config's `sizes`.

    Raises:
      InputError: no such model, or a size that the model does not have.
    """
    if name not in CLASSIFIERS:
        raise ConfigError("models", f"found {name!r}, expected one of {', '.join(CLASSIFIERS)}")
    kind = CLASSIFIERS[name]
    fields = set(kind.__dataclass_fields__) - {"parent", "name", "states", "axis_name"}
    unknown = sorted(set(sizes) - fields)
    if unknown:
        expected = f"expected some of {', '.join(sorted(fields))}"
        raise ConfigError(f"model.{name}", f"found {', '.join(unknown)}, {expected}")
    for key, value in sizes.items():
        if (isinstance(value, int) and not isinstance(value, bool) and value < 1) or value in ((), []):
            raise ConfigError(f"model.{name}.{key}", f"found {value!r}, expected at least one")
    joined = {"axis_name": axis_name} if "axis_name" in kind.__dataclass_fields__ else {}
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
    return kind(states=states, **sizes, **joined)
