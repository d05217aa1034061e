from experiments.benchmarks.toy_loops import find_cycles


def test_both_limit_cycles_are_found_from_one_neuron():
    loops, agreement = find_cycles(6000, seed=0)
    assert loops == 2
    assert agreement > 0.9
