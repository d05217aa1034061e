import numpy as np

from experiments.benchmarks.reconstruction_ceiling import PENALTIES, predict_parts


def test_a_neuron_is_predicted_from_the_others_alone():
    random = np.random.default_rng(0)
    traces = random.normal(size=(400, 4))
    traces[:, 3] = (traces[:, 0] + traces[:, 1]) / np.sqrt(2)
    predicted = predict_parts(traces, 4, PENALTIES)
    explained = 1 - ((predicted - traces) ** 2).mean(axis=0) / traces.var(axis=0)
    assert explained[3] > 0.99
    assert explained[2] < 0.05
    moved = traces.copy()
    moved[:100, 2] = 9.0  # What is predicted of this neuron in this part reads none of it.
    one, other = (predict_parts(values, 4, PENALTIES[:1])[:100, 2] for values in (traces, moved))
    np.testing.assert_allclose(one, other)
