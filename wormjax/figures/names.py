"""Names of models, baselines and reference graphs, as figures write them."""

NAMES = {
    "ar": "Autoregression",
    "atlas": "Signal propagation atlas",
    "both": "Both kinds of wiring",
    "chemical": "Chemical synapses",
    "combined": "Combined relations",
    "complete": "Complete graph",
    "direct": "Direct regression",
    "dnri": "Dynamic NRI",
    "dwell_chain": "Dwell-time chain",
    "electrical": "Gap junctions",
    "forecaster": "Forecaster's responses",
    "frequencies": "State frequencies",
    "gaussian": "Gaussian of all neurons",
    "granger": "Granger causality",
    "hidden_neuron": "Hidden-neuron network",
    "kernel": "Kernel regression",
    "lda": "Linear discriminant",
    "linear_pairs": "Linear, pairs of worms",
    "linear_shared": "Linear, shared neurons",
    "linear_union": "Linear, union of neurons",
    "logistic_regression": "Logistic regression",
    "lstm": "LSTM",
    "markov_chain": "Markov chain",
    "mixture": "Mixture of baselines",
    "mlp": "Multilayer perceptron",
    "node_wise": "Network without messages",
    "none": "No graph",
    "nri": "NRI",
    "nri_graph": "Graph network (NRI)",
    "partner": "Left-right partner",
    "persistence": "Persistence",
    "recurrent": "Recurrent network",
    "ridge": "Ridge regression",
    "sparse_var": "Sparse vector autoregression",
    "temporal_convolution": "Temporal convolution",
    "var": "Vector autoregression",
    "wang_graph": "GNN (Wang et al.)",
    "wang_mlp": "MLP (Wang et al.)",
}


def spell_name(name: str) -> str:
    """Return a name as figures write it, in plain words.

    What follows a known name is set off by a comma, a number of lags in parentheses; of an unknown name, underscores
    become spaces and the first letter a capital.

    >>> [spell_name(name) for name in ("var_8", "lda_context", "no_identity")]
    ['Vector autoregression (8 lags)', 'Linear discriminant, context', 'No identity']
    """
    first, space, rest = name.partition(" ")
    parts = first.split("_")
    for length in range(len(parts), 0, -1):
        if known := NAMES.get("_".join(parts[:length])):
            break
    else:
        return f"{name[:1].upper()}{name[1:]}".replace("_", " ")
    if ending := " ".join(parts[length:]):
        lags = f" ({ending} lag{'s' * (ending != '1')})"
        known += lags if ending.isdigit() and parts[0] in ("ar", "var") else f", {ending}"
    return known + space + rest.replace("_", " ")
