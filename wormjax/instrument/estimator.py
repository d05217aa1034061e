"""What the estimators share: a repr that says what they were trained on, saving, and scikit-learn's conventions."""

import os
from typing import Self

import ml_collections
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from wormjax.instrument.saved_model import save_model
from wormjax.tasks.training import Trained

SHOWN_NEURONS = 20


class Estimator(BaseEstimator):
    """An estimator that holds what was trained as `trained_`, and its config as `config_`."""

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to a folder that `wormjax.load_model` and `wormjax predict --model` read.

        Raises:
          InputError: the folder holds something else, or cannot be written.
        """
        check_is_fitted(self)
        save_model(path, type(self).__name__, self.trained_)

    def _keep(self, trained: Trained) -> Self:
        """Make this estimator a fitted one."""
        self.trained_, self.config_, description = trained, trained.config, trained.description
        if trained.groups:  # It was trained on worms.
            self.neuron_names_ = tuple(description["neurons"])
            used = {worm for group in trained.groups for worm in group.split.train}
            self.worms_ = tuple(name for worm, name in enumerate(description["worms"]) if worm in used)
            self.frame_rate_ = float(description["frame_rate"])
        return self

    def _describe(self) -> str:
        """Return in words which worms and neurons, at which rate, it was trained on, in how many runs (groups)."""
        description, groups = self.trained_.description, self.trained_.groups
        count, neurons = len(description["worms"]), description["neurons"]
        used = len(groups[0].split.train) if groups else count
        worms = f"{used} of {count} worms" if used < count else f"{count} worm{'s' * (count != 1)}"
        runs = f", mean of {len(groups)} runs," if len(groups) > 1 else ""
        shown = ", ".join(neurons[:SHOWN_NEURONS]) + ", ..." * (len(neurons) > SHOWN_NEURONS)
        rate = f"{description['frame_rate']:.2f} Hz"
        return f"trained on {worms} of {description['study']}{runs} at {rate}; {len(neurons)} neurons: {shown}"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trained_")

    def __repr__(self) -> str:
        if hasattr(self, "trained_"):
            return f"{type(self).__name__}(model={self.trained_.name!r}): {self._describe()}"
        defaults, parameters = type(self)().get_params(), self.get_params()
        shown = [
            f"{name}={value!r}"
            for name, value in parameters.items()
            if (name == "model" and value is not None)
            or (repr(value) != repr(defaults[name]) and not isinstance(value, ml_collections.ConfigDict))
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
