"""What the estimators share: a repr that says what they were trained on, saving, and scikit-learn's conventions."""

import os
from collections.abc import Mapping
from typing import Any

import ml_collections
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from wormjax.instrument.saved_model import save_model

SHOWN_NEURONS = 20


class Estimator(BaseEstimator):
    """An estimator with a `trained_` result of training: a NamedTuple with its config and a description of the data."""

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to a folder that `wormjax.load_model` and `wormjax predict --model` read.

        Raises:
          InputError: the folder holds something else, or cannot be written.
        """
        check_is_fitted(self)
        save_model(path, type(self).__name__, self.trained_)

    def _keep(self, trained: Any) -> "Estimator":
        """Make this estimator a fitted one."""
        self.trained_, self.config_, description = trained, trained.config, trained.description
        if "worms" in description:
            names, group = description["worms"], getattr(trained, "group", None)
            self.worms_ = tuple(names if group is None else (names[worm] for worm in group.split.train))
            self.neuron_names_ = tuple(description["neurons"])
            self.frame_rate_ = float(description["frame_rate"])
        return self

    def _describe(self) -> str:
        """Return what a fitted estimator was trained on, in words."""
        return describe_training(self.trained_.description)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trained_")

    def __repr__(self) -> str:
        defaults, parameters = type(self)().get_params(), self.get_params()
        shown = [
            f"{name}={value!r}"
            for name, value in parameters.items()
            if (name == "model" and value is not None)
            or (repr(value) != repr(defaults[name]) and not isinstance(value, ml_collections.ConfigDict))
        ]
        head = f"{type(self).__name__}({', '.join(shown)})"
        return f"{head}: {self._describe()}" if hasattr(self, "trained_") else head


def describe_training(description: Mapping[str, Any]) -> str:
    """Return in words which worms, neurons and states, at which rate, a model was trained on."""
    worms, neurons = description["worms"], description["neurons"]
    shown = ", ".join(neurons[:SHOWN_NEURONS]) + ", ..." * (len(neurons) > SHOWN_NEURONS)
    return (
        f"trained on {len(worms)} worm{'s' * (len(worms) != 1)} of {description['study']} at "
        f"{description['frame_rate']:.2f} Hz; {len(neurons)} neurons: {shown}"
    )
