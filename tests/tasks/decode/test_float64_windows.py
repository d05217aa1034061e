"""Whole recordings decoded in windows at float32: the weighted mean over windows that plain numpy takes at float64."""

import flax.linen as nn
import numpy as np
import pytest
from numerical_kernels import KERNELS
from scipy.special import softmax

from wormjax.features.dataset import WormArrays
from wormjax.models.classifiers import Decoding
from wormjax.tasks.decode.windows import place_windows, predict_stretches

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Sure(nn.Module):
    """Logits of up to about 80 from a frame and its place in the window, so that windows differ; a graph a window."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        logits = nn.Dense(3)(features.reshape(*features.shape[:2], -1)) * 20.0
        return Decoding(logits - logits[:, :1], nn.Dense(6)(features.mean(axis=(1, 2))).reshape(-1, 3, 2))


def say_plainly(params, features):
    logits = (features.reshape(len(features), -1) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]) * 20.0
    graph = features.mean(axis=(0, 1)) @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    return softmax(logits - logits[:1], axis=-1), softmax(graph.reshape(3, 2), axis=-1)


def test_probabilities_and_graphs_are_the_weighted_means_over_windows():
    random, length, frames = np.random.default_rng(0), 8, 30
    valid = np.arange(frames) < np.array([[30], [19], [0]])  # The last stretch has no frame at all.
    features = (random.normal(size=(3, frames, 2, 2)) * valid[..., None, None]).astype(np.float32)
    sizes = {"Dense_0": ((4, 3), 3), "Dense_1": ((2, 6), 6)}
    params = {
        name: {"kernel": random.normal(size=(2, *k)), "bias": random.normal(size=(2, b))}
        for name, (k, b) in sizes.items()
    }
    single = {name: {field: np.float32(values) for field, values in both.items()} for name, both in params.items()}
    states = np.zeros((3, frames), np.int32)
    found = predict_stretches(Sure(), {"params": single}, WormArrays(features, states, valid), length)
    starts, used = place_windows(valid, length)
    for run in range(2):
        own = {name: {f: np.float64(single[name][f][run]) for f in both} for name, both in single.items()}
        for stretch in range(3):
            total, covered, graph, share = np.zeros((frames, 3)), np.zeros(frames), np.zeros((3, 2)), 0
            for start in starts[stretch][used[stretch]]:
                seen = slice(start, start + length)
                said, edges = say_plainly(own, features[stretch, seen].astype(np.float64))
                weights = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
                total[seen] += said * weights[:, None]
                covered[seen] += weights
                graph += edges * valid[stretch, seen].sum()
                share += valid[stretch, seen].sum()
            expected = total / np.maximum(covered, 1.0)[:, None]
            tolerance = KERNELS["tasks.decode.windows.predict_stretches"].value
            np.testing.assert_allclose(found.probabilities[run, stretch], expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(found.edges[run, stretch], graph / max(share, 1), rtol=0, atol=tolerance)
