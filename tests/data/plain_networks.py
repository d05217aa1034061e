"""The layers and networks of neural relational inference in plain numpy: loops over nodes and edges, nothing fused.

One graph at a time; parameters by flax's names. Written from the papers and flax's documentation, to be read beside
wormjax.models.
"""

import itertools

import numpy as np
from scipy.special import expit, softmax


def dense(params, values):
    return values @ params["kernel"] + params.get("bias", 0.0)


def elu(values):
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def list_edges(count):
    """(sender, receiver) of every edge, by receiver and then by sender."""
    return [(sender, receiver) for receiver in range(count) for sender in range(count) if sender != receiver]


def sum_messages(edges, count):
    heard = np.zeros((count, edges.shape[-1]))
    for number, (_, receiver) in enumerate(list_edges(count)):
        heard[receiver] += edges[number]
    return heard


def mlp(params, values):
    return elu(dense(params["Dense_1"], elu(dense(params["Dense_0"], values))))


def pair_dense(params, nodes):
    kernel = np.concatenate([params["sender"]["kernel"], params["receiver"]["kernel"]])
    joined = [np.concatenate([nodes[sender], nodes[receiver]]) for sender, receiver in list_edges(len(nodes))]
    return np.stack(joined) @ kernel + params["sender"]["bias"]


def relative_dense(params, nodes, scale):
    apart = np.stack([nodes[sender] - nodes[receiver] for sender, receiver in list_edges(len(nodes))])
    return dense(params["Dense_0"], np.concatenate([apart, np.arcsinh(apart / np.array(scale))], axis=-1))


def mlp_encoder(params, nodes):
    count = len(nodes)
    nodes = mlp(params["Mlp_0"], nodes)
    edges = elu(dense(params["Dense_0"], elu(pair_dense(params["PairDense_0"], nodes))))
    nodes = mlp(params["Mlp_1"], sum_messages(edges, count) / (count - 1))
    edges = pair_dense(params["PairDense_1"], nodes) + dense(params["Dense_1"], edges)
    return dense(params["Dense_3"], elu(dense(params["Dense_2"], elu(edges))))


def cnn_encoder(params, nodes, scale, kernels):
    """Of one round, without pooling; nodes are [node, frame, feature]."""
    count, frames = nodes.shape[:2]
    pairs = []
    for frame in range(frames - kernels[0] + 1):
        seen = nodes[:, frame : frame + kernels[0]].reshape(count, -1)
        both = pair_dense(params["PairDense_0"], seen)
        pairs.append(elu(both + relative_dense(params["RelativeDense_0"], seen, scale * kernels[0])))
    courses = []
    for frame in range(len(pairs) - kernels[1] + 1):
        courses.append(elu(dense(params["Dense_0"], np.concatenate(pairs[frame : frame + kernels[1]], axis=-1))))
    courses = np.stack(courses)
    edges = (softmax(dense(params["Dense_1"], courses), axis=0) * courses).sum(axis=0)
    nodes = mlp(params["Mlp_0"], sum_messages(edges, count) / (count - 1))
    edges = pair_dense(params["PairDense_1"], nodes) + dense(params["Dense_2"], edges)
    return dense(params["Dense_4"], elu(dense(params["Dense_3"], elu(edges))))


def typed_messages(params, nodes, edges, hidden, relative=None):
    """Without messages of the first type."""
    pairs = relative_dense(params["RelativeDense_0"], nodes, relative) if relative else None
    pairs = elu(pair_dense(params["PairDense_0"], nodes) if pairs is None else pairs)
    total = np.zeros((len(pairs), hidden))
    for kind in range(1, edges.shape[-1]):
        own = pairs[:, (kind - 1) * hidden : kind * hidden]
        total += edges[:, kind : kind + 1] * elu(dense(params[f"type_{kind}"], own))
    return sum_messages(total, len(nodes))


def summed_messages(params, nodes, edges, hidden):
    """As wormjax.models.forecasters.SummedMessages, edge by edge."""
    count, total = len(nodes), 0.0
    for kind in range(1, edges.shape[-1]):
        own = slice((kind - 1) * hidden, kind * hidden)
        sent = dense(params["sender"], nodes)[:, own]
        received = dense(params["receiver"], nodes)[:, own]
        pairs = [np.maximum(sent[sender] + received[receiver], 0) for sender, receiver in list_edges(count)]
        weighed = edges[:, kind : kind + 1] * np.stack(pairs) / (count - 1)
        total = total + dense(params[f"type_{kind}"], sum_messages(weighed, count))
    return elu(total)


def read_out(params, values):
    hidden = elu(dense(params["Dense_0"], elu(dense(params["Dense_1"], values))))
    return dense(params["read_out"], np.concatenate([values, hidden], axis=-1))


def mlp_decoder(params, carry, nodes, edges, hidden, scale, relative):
    """With differences."""
    seen = np.concatenate([nodes, np.arcsinh((nodes - carry) / np.array(scale))], axis=-1)
    heard = typed_messages(params["TypedMessages_0"], seen, edges, hidden, (*relative, *(1.0,) * nodes.shape[-1]))
    return nodes, read_out(params, np.concatenate([seen, heard], axis=-1))


def equivariant_decoder(params, nodes, edges, scale):
    """Without what the first type does; sender by sender, each vector a row of its own."""
    units = np.array(scale).reshape(2, -1).mean(axis=1)
    change = dense(
        params["read_out"],
        np.concatenate([nodes, elu(dense(params["Dense_2"], elu(dense(params["Dense_3"], nodes))))], axis=-1),
    )
    for number, (sender, receiver) in enumerate(list_edges(len(nodes))):
        apart, moving = np.split(nodes[sender] - nodes[receiver], 2)
        far, fast = (np.sqrt(vector @ vector + 1e-12) for vector in (apart, moving))
        line, way = apart / far, moving / fast
        seen = np.array([*(np.log(np.array([far, fast]) / units + 0.01)), far, fast, line @ way])
        hidden = elu(dense(params["Dense_0"], elu(dense(params["Dense_1"], seen))))
        amounts = dense(params["amounts"], np.concatenate([seen, hidden])).reshape(-1, 4)
        for kind, (near, aside, pull, drag) in enumerate(amounts, start=1):
            acting = np.concatenate([units[0] * (near * line + aside * way), units[1] * (pull * line + drag * way)])
            change[receiver] += edges[number, kind] * acting / np.array(scale)
    return change


def history_code(params, frames, scale):
    """Of frames [frame, node, feature]."""
    seen = [
        np.concatenate([before, np.arcsinh((after - before) / np.array(scale))], axis=-1)
        for before, after in itertools.pairwise(frames)
    ]
    return dense(params["Dense_0"], sum(mlp(params["Mlp_0"], frame) for frame in seen) / len(seen))


def context_decoder(params, carry, nodes, edges, hidden, scale, unseen):
    """Without messages of the first type."""
    (previous, code), types = carry, edges.shape[-1] - 1
    shown = [nodes.copy(), np.arcsinh((nodes - previous) / np.array(scale))]
    for values in shown:
        values[:, list(unseen)] = 0.0
    seen = np.concatenate([*shown, code], axis=-1)
    seen = np.concatenate([seen, mlp(params["Mlp_0"], seen)], axis=-1)
    pairs, heard = elu(pair_dense(params["PairDense_0"], seen)), 0.0
    for kind in range(types):
        own = elu(dense(params[f"Dense_{2 * kind}"], pairs[:, kind * hidden : (kind + 1) * hidden]))
        heard = heard + dense(params[f"Dense_{2 * kind + 1}"], own) * edges[:, kind + 1 : kind + 2]
    first, second, own, last = (params[f"Dense_{2 * types + number}"] for number in range(4))
    state = elu(dense(first, seen) + sum_messages(heard, len(nodes)))
    state = np.concatenate([state, elu(dense(second, state))], axis=-1)
    change = dense(own, seen) + dense(last, state)
    for feature in unseen:  # Predicted as it is, not by its change.
        change[:, feature] = (change[:, feature] - nodes[:, feature]) / scale[feature]
    return (nodes, code), change


def additive_decoder(params, carry, nodes, edges, scale, unseen):
    """A context decoder whose messages add up, without messages of the first type."""
    previous, code = carry
    change = np.arcsinh((nodes - previous) / np.array(scale))
    shown = [nodes.copy(), change / np.hypot(change, 0.1)]
    for values in shown:
        values[:, list(unseen)] = 0.0
    seen = np.concatenate([*shown, code], axis=-1)
    for number in range(2):
        seen = np.concatenate([seen, mlp(params[f"Mlp_{number}"], seen)], axis=-1)
    types = edges.shape[-1] - 1
    change, sent = dense(params[f"Dense_{types + 1}"], seen), np.tanh(dense(params["Dense_0"], seen))
    for kind in range(types):
        received = dense(params[f"Dense_{kind + 1}"], seen).reshape(len(nodes), sent.shape[1], -1)
        for number, (sender, receiver) in enumerate(list_edges(len(nodes))):
            change[receiver] += edges[number, kind + 1] * sent[sender] @ received[receiver]
    for feature in unseen:  # Predicted as it is, not by its change.
        change[:, feature] = (change[:, feature] - nodes[:, feature]) / scale[feature]
    return (nodes, code), change


def recurrent_decoder(params, carry, nodes, edges, hidden):
    heard = typed_messages(params["TypedMessages_0"], np.concatenate([nodes, carry], axis=-1), edges, hidden)
    own, other = dense(params["from_nodes"], nodes), dense(params["from_heard"], heard)
    reset, keep = (
        expit(own[:, k * hidden : (k + 1) * hidden] + other[:, k * hidden : (k + 1) * hidden]) for k in (0, 1)
    )
    new = np.tanh(own[:, 2 * hidden :] + reset * other[:, 2 * hidden :])
    carry = (1.0 - keep) * new + keep * carry
    return carry, read_out(params, np.concatenate([nodes, heard, carry], axis=-1))


def lstm_cell(params, cell, hidden, values):
    def gate(name):
        return dense(params[f"i{name}"], values) + dense(params[f"h{name}"], hidden)

    cell = expit(gate("f")) * cell + expit(gate("i")) * np.tanh(gate("g"))
    return cell, expit(gate("o")) * np.tanh(cell)


def joint_lstm(params, carry, nodes):
    joined = nodes.reshape(-1)
    embedded = elu(dense(params["Dense_0"], joined))
    cell, hidden = lstm_cell(params["OptimizedLSTMCell_0"], *carry, embedded)
    values = np.concatenate([joined, elu(dense(params["Dense_1"], hidden))])
    return (cell, hidden), dense(params["read_out"], values).reshape(nodes.shape)


def gru_cell(params, hidden, values):
    """Cho et al. 2014, with the bias of the hidden state's part within the reset gate's product, as in flax."""
    reset = expit(dense(params["ir"], values) + dense(params["hr"], hidden))
    keep = expit(dense(params["iz"], values) + dense(params["hz"], hidden))
    new = np.tanh(dense(params["in"], values) + reset * dense(params["hn"], hidden))
    return (1.0 - keep) * new + keep * hidden


def roll_out(step, carry, frames, given):
    """Frame by frame: from the true one where it is given (the first always), else from the one predicted before."""
    predicted = []
    for number, true in enumerate(frames):
        nodes = true if given[number] or number == 0 else predicted[-1]
        carry, change = step(carry, nodes)
        predicted.append(nodes + change)
    return np.stack(predicted)
