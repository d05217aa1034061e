"""A planted wiring is found in five simulated worms of 18 minutes."""

from experiments.benchmarks.planted_graph import plant_sparse, score, simulate


def test_a_sparse_wiring_is_found_and_by_var_better_than_by_correlation():
    wiring = plant_sparse()
    traces, columns = simulate(wiring, 5, 18.0, 0, 1.0)
    found = {name: score(name, traces, columns, wiring) for name in ("var", "correlation")}
    assert found["var"] > 0.9
    assert found["correlation"] < found["var"] - 0.05
