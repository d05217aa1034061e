"""Ways to infer arriving edges: exact where these do not depend on each other, and tabulated with what they find."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.benchmarks.edge_search import infer, main, regress, simulate, sweep

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_edges_that_do_not_depend_on_each_other_have_their_exact_probabilities():
    random = np.random.default_rng(0)
    diagonal, linear = random.uniform(1.0, 3.0, (2, 400, 3))
    gram, half = diagonal[..., None] * np.eye(3), np.full(linear.shape, 0.5)
    exact = 1.0 / (1.0 + np.exp(diagonal / 2 - linear))
    heats = np.geomspace(10.0, 1.0, 5)[:, None] * np.ones(400)
    np.testing.assert_allclose(sweep(gram, linear, half, heats), exact, atol=1e-12)
    drawn = sweep(gram, linear, half, heats, random)
    assert np.abs(drawn - exact).mean() < 0.1  # Of 20 draws each.
    assert drawn.mean() == pytest.approx(exact.mean(), abs=0.01)


def test_the_true_edges_solve_the_regression_and_the_search_finds_them():
    effects, edges, velocity = simulate(4, 6, 20, seed=1)
    assert effects.shape == (6, 3, 2 * 19)
    gram, linear = regress(effects, edges, 1e-5 * velocity.std(), np.random.default_rng(0))
    slope = np.einsum("kab,kb->ka", gram, edges) - linear
    assert np.abs(slope).max() < 1e-3 * np.abs(linear).max()
    found = infer(gram, linear, 10, 8, np.random.default_rng(0))
    assert all(chance.shape == edges.shape for chance in found.values())
    np.testing.assert_allclose(found["search, 8"], edges, atol=1e-6)


def test_the_table_has_a_line_per_number_of_objects(capsys):
    sizes = {"systems": 3, "frames": 10, "sweeps": 3, "most": 4, "seed": 0}
    main(SimpleNamespace(objects=["3", "4"], noise=["1e-2", "1e-3"], **sizes))
    title, _, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("| objects | least squares | mean field |")
    assert [line.split(" | ")[0] for line in lines] == ["| 3", "| 4"]
    shares = [float(share) for line in lines for cell in line[6:-2].split(" | ") for share in cell.split(" to ")]
    assert len(shares) >= 14
    assert 0.0 <= min(shares) <= max(shares) <= 1.0
