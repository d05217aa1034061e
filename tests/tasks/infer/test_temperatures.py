"""A temperature of each system, not observed, is inferred with the graph, and stays with its system in files."""

import numpy as np
import pytest
from small_systems import make_system, small_config

from wormjax.errors import InputError
from wormjax.features.systems import cut_windows, take_simulations
from wormjax.simulation.trajectories import Trajectories
from wormjax.simulation.trajectory_files import read_trajectories, write_trajectories
from wormjax.tasks.infer.experiment import check_config, infer

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = {
    "data__system": "springs",
    "data__simulation__directed": True,
    "data__simulation__temperatures": (0.5, 2.0),
    "data__frames": 24,
    "data__test_frames": 25,
    "data__simulations__train": 256,
    "data__simulations__valid": 32,
    "data__simulations__test": 100,
    "model__encoder__hidden": 16,
    "model__decoder__hidden": 16,
    "model__decoder__name": "equivariant",
    "model__strengths": tuple(np.geomspace(0.25, 4.0, 9).tolist()),
    "train__posterior": "exact",
    "train__batch_simulations": 16,
    "train__segments": 8,
    "train__steps": 200,
    "train__steps_per_chunk": 100,
    "train__learning_rate": 1e-2,
    "evaluate__steps": (1,),
}


@pytest.mark.slow
def test_a_planted_temperature_is_recovered_with_the_graph(tmp_path):
    rows = infer(small_config(**CONFIG, data__cache=str(tmp_path)), tmp_path / "run")
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        values.setdefault((row.model, row.metric), []).append(row.value)
    scores = {key: np.mean(some) for key, some in values.items()}
    assert scores["nri_posterior", "strength_r"] > 0.85
    assert scores["nri_posterior", "edge_auroc"] > 0.97
    assert ("nri", "strength_r") not in scores  # The encoder infers none.


def test_a_temperature_stays_with_its_system(tmp_path):
    plain = make_system(4, 10)
    fields = {"edges": plain.edges, "feature_names": plain.feature_names, "edge_types": plain.edge_types}
    warm = Trajectories("springs", plain.features, **fields, temperatures=np.float32([1, 2, 3, 4]))
    write_trajectories(warm, tmp_path / "warm.h5")
    np.testing.assert_array_equal(read_trajectories(tmp_path / "warm.h5").temperatures, [1, 2, 3, 4])
    np.testing.assert_array_equal(take_simulations(warm, slice(1, 3)).temperatures, [2, 3])
    np.testing.assert_array_equal(cut_windows(warm, 5).temperatures, [1, 1, 2, 2, 3, 3, 4, 4])
    for bad in ([1.0, 2.0], [1.0, 2.0, -1.0, 1.0], [1.0, 2.0, np.nan, 1.0]):
        with pytest.raises(InputError, match="'temperatures': found"):
            Trajectories("springs", plain.features, **fields, temperatures=np.array(bad))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train__posterior": "sampled"}, "'train.posterior': found 'sampled', expected 'exact' with model.strengths"),
        ({"evaluate__adaptation_steps": 5}, "'evaluate.adaptation_steps': found 5, expected 0 with model.strengths"),
        ({"data__hidden": 1}, "'data.hidden': found 1, expected 0 with model.strengths"),
        ({"model__strengths": (1.0, 0.0)}, "'model.strengths': found"),
    ],
)
def test_what_has_no_strengths_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(**CONFIG | fields))
