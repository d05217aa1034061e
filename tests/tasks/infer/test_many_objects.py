"""More objects than an exact posterior has combinations for: listed ones, through the whole program."""

import numpy as np
import pytest
from small_systems import make_splits, small_config, write_archives

from configs import nri_springs10
from wormjax.errors import InputError
from wormjax.tasks.infer.experiment import check_config, infer

pytestmark = pytest.mark.usefixtures("quick_compilation")

LISTED = {"train__posterior": "listed", "model__decoder__name": "equivariant"}


@pytest.mark.slow
def test_twelve_objects_have_a_posterior(tmp_path):
    write_archives(tmp_path, make_splits(objects=12))
    with pytest.raises(InputError, match="'exact' with 12 objects and 2 edge types"):
        infer(small_config(data__path=str(tmp_path), **LISTED | {"train__posterior": "exact"}), tmp_path / "run")
    rows = infer(small_config(data__path=str(tmp_path), train__combinations=8, **LISTED), tmp_path / "run")
    assert {row.model for row in rows} == {"nri", "nri_posterior"}
    assert np.isfinite([row.value for row in rows]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model__decoder__name": "mlp"}, r"'model\.decoder\.name': found 'mlp'.*expected 'equivariant'"),
        ({"models": ("dnri",)}, r"'models': found 'dnri' with a train\.posterior of 'listed'"),
        (
            {"model__decoder__name": "context"},
            r"found 'context'.*expected.* or 'context' with model\.decoder\.additive",
        ),
        ({"model__decoder__additive": True}, r"'model\.decoder\.additive': found True, which has no effect"),
        ({"train__temperature": 0.9}, r"'train\.temperature': found 0\.9, which has no effect"),
        (
            {"train__posterior": "exact", "train__combinations": 9},
            r"'train\.combinations': found 9, which has no effect",
        ),
        ({"train__combinations": 0}, r"'train\.combinations': found 0"),
        ({"train__cross_fitted": True}, r"'train\.cross_fitted': found True, which has no effect"),
        ({"model__encoder__triangles": 1}, r"'model\.encoder\.triangles': found 1, which has no effect"),
        ({"model__encoder__beliefs": 1}, r"'model\.encoder\.beliefs': found 1, which has no effect"),
        (
            {"model__encoder__name": "evidence", "train__cross_fitted": True, "train__segments": 99},
            r"'train\.segments': found 99, expected fewer than",
        ),
    ],
)
def test_what_a_listed_posterior_has_not_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(**LISTED | fields))


def test_an_encoder_of_evidence_needs_messages_that_add_up():
    fields = {"model__encoder__name": "evidence", "model__decoder__name": "mlp"}
    with pytest.raises(
        InputError, match=r"'model\.encoder\.name': found 'evidence' with a model\.decoder\.name of 'mlp'"
    ):
        check_config(small_config(**fields))


@pytest.mark.slow
def test_the_encoder_of_evidence_finds_the_edges_of_springs_with_the_posterior(tmp_path):
    """Also under mutual edges, and by the supervised bound, which has no decoder to read."""
    config = nri_springs10.get_config("small")
    config.data.simulations = {"train": 300, "valid": 16, "test": 20}
    config.data.objects, config.data.test_frames, config.evaluate.steps = 6, 50, (1,)
    config.models, config.baselines, config.model.mutual = ("nri", "nri_supervised"), (), True
    config.train.steps = config.train.steps_per_chunk = 150
    config.train.baseline_steps = 2
    config.data.cache = str(tmp_path)
    rows = infer(config, tmp_path / "run")
    right = {
        name: np.mean([row.value for row in rows if (row.model, row.metric) == (name, "edge_accuracy")])
        for name in ("nri", "nri_posterior", "nri_supervised")
    }
    assert right["nri_posterior"] > 0.95
    assert right["nri"] > 0.9
    assert 0.4 < right["nri_supervised"] < 0.7
