"""Name → model. The dictionary that a config's `models` chooses from."""

from collections.abc import Callable, Sequence

import flax.linen as nn

from wormjax.errors import ConfigError
from wormjax.models.any_neurons import AnyNeuronDecoder
from wormjax.models.classifiers import MlpClassifier, RecurrentClassifier, TemporalConvolutionClassifier
from wormjax.models.graph_classifier import GraphClassifier
from wormjax.models.wang2021 import WangGraph, WangMlp
from wormjax.value_checks import check_names, check_value, text

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
    """Return the classifier `name` with the config's `sizes`; `targets` is the number of continuous behaviours.

    The name is one of CLASSIFIERS, or of a section of `model` that has such a name for its `kind`. InputError for
    another, for a size that it does not have, and for behaviours that it does not decode.
    """
    sizes = dict(sizes)
    chosen = sizes.pop("kind", name)
    check_value("models" if chosen == name else f"model.{name}.kind", chosen, text(CLASSIFIERS))
    kind = CLASSIFIERS[chosen]
    if targets and "targets" not in kind.__dataclass_fields__:
        raise ConfigError("models", f"found {name!r}, which decodes no behaviour (data.targets), expected any_neurons")
    given = {"axis_name": axis_name, "neurons": tuple(neurons), "targets": targets, "unnamed": unnamed}
    fields = set(kind.__dataclass_fields__) - {"parent", "name", "states", *given}
    check_names(f"model.{name}", sizes, sorted(fields))
    for key, value in sizes.items():
        counted = isinstance(value, int) and kind.__dataclass_fields__[key].type not in (bool, float)
        if (counted and value < 1) or value in ((), []):
            raise ConfigError(f"model.{name}.{key}", f"found {value!r}, expected at least one")
    joined = {field: value for field, value in given.items() if field in kind.__dataclass_fields__}
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
    return kind(states=states, **sizes, **joined)
