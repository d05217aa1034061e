"""Compare ways to infer the edges that arrive at one object where the force of each sender is known.

    python -m experiments.benchmarks.edge_search

Springs are simulated. How an object's velocity changes from frame to frame is the sum of its senders' forces, each
times its edge z of 0 or 1, and noise: a regression whose coefficients are to be found. Each way is given the variance
of the noise, and what it finds is the share of the edges that is right. A line is a number of objects; where the share
depends on the noise, it has the least and the largest.
"""

import jax
import jax.numpy as jnp
import numpy as np

from wormjax.command_line import run
from wormjax.models.edge_evidence import PRECISION, propagate_beliefs
from wormjax.models.listed_posterior import find_combinations
from wormjax.scoring.markdown import join_cells, start_table
from wormjax.simulation.springs import Springs, simulate_springs
from wormjax.training.progress import follow

SETTLED = 20  # Sweeps after the annealing, over which beliefs are averaged.
FLAGS = [
    ("list", "objects", ["5", "10", "20"], "Numbers of objects."),
    ("list", "noise", ["1e-3", "1e-4", "1e-5"], "Standard deviations of the noise, in those of the velocities."),
    ("integer", "systems", 60, "Systems of each number of objects."),
    ("integer", "frames", 49, "Of each system."),
    ("integer", "sweeps", 200, "Over all edges, by mean field and by Gibbs sampling."),
    ("integer", "most", 64, "Combinations that the search keeps."),
    ("integer", "seed", 0, "Of systems, noise and samples."),
]


def simulate(objects: int, systems: int, frames: int, seed: int):
    """Return what each sender would do to the first object [system, sender, equation], its edges, and its velocities.

    An equation is a coordinate of the change of velocity from one frame to the next.
    """
    springs = simulate_springs(jax.random.key(seed), systems, objects, frames)
    place, velocity = np.split(np.asarray(springs.features, float), 2, axis=-1)
    force = Springs().stiffness * (place[:, :-1, 1:] - place[:, :-1, :1])
    effects = springs.frame_interval * np.moveaxis(force, 2, 1)
    return effects.reshape(systems, objects - 1, -1), np.asarray(springs.edges)[:, 1:, 0], velocity


def regress(effects, edges, deviation: float, random):
    """Return the quadratic form ½ zᵀ gram z - linear · z of half the squared errors over the variance."""
    equations = np.einsum("ka,kae->ke", edges, effects)
    equations = equations + deviation * random.normal(size=equations.shape)
    gram = np.einsum("kae,kbe->kab", effects, effects) / deviation**2
    return gram, np.einsum("kae,ke->ka", effects, equations) / deviation**2


def sweep(gram, linear, first, heats, random=None):
    """Return beliefs [system, sender], each in turn set to its probability given the others: mean field.

    With `random` each is drawn with that probability: Gibbs sampling. `heats` divide the quadratic form, sweep by sweep
    [sweep, system]; SETTLED sweeps at a heat of 1 follow.
    """
    beliefs, total = first.copy(), np.zeros_like(first)
    diagonal = np.diagonal(gram, axis1=1, axis2=2)
    for number, heat in enumerate([*heats, *np.ones((SETTLED, len(gram)))]):
        for sender in range(gram.shape[1]):
            others = np.einsum("kb,kb->k", gram[:, sender], beliefs) - diagonal[:, sender] * beliefs[:, sender]
            odds = (linear[:, sender] - others - diagonal[:, sender] / 2) / heat
            chance = 0.5 * (1.0 + np.tanh(odds / 2))
            beliefs[:, sender] = chance if random is None else random.random(len(gram)) < chance
        total += beliefs if number >= len(heats) else 0.0
    return total / SETTLED


def infer(gram, linear, sweeps: int, most: int, random) -> dict[str, np.ndarray]:
    """Return the probability of each edge [system, sender] by each way to infer it."""
    half, ones = np.full(linear.shape, 0.5), np.ones((sweeps, len(gram)))
    scale = np.diagonal(gram, axis1=1, axis2=2).mean(axis=1)
    annealed = scale ** np.linspace(1.0, 0.0, sweeps)[:, None]
    expected = gram + PRECISION * np.eye(gram.shape[1]), linear + PRECISION / 2
    solved = np.clip(np.linalg.solve(*expected[:1], expected[1][..., None])[..., 0], 0.0, 1.0)
    prior = jnp.log(jnp.array([0.5, 0.5]))
    search = jax.jit(jax.vmap(lambda gram, linear: find_combinations(gram, linear, prior, most)))
    found = search(jnp.asarray(gram, jnp.float32), jnp.asarray(linear, jnp.float32))
    z = np.asarray(found.combinations)[..., 1]
    cost = 0.5 * np.einsum("kma,kab,kmb->km", z, gram, z) - np.einsum("kma,ka->km", z, linear)
    cost = np.where(found.valid, cost, np.inf)
    weight = np.exp(cost.min(axis=1, keepdims=True) - cost)
    propagate = jax.jit(jax.vmap(lambda gram, linear: propagate_beliefs(gram[None], linear[None])[-1, 0]))
    odds = propagate(jnp.asarray(gram, jnp.float32), jnp.asarray(linear, jnp.float32))
    return {
        "least squares": solved,
        "mean field": sweep(gram, linear, half, ones),
        "mean field, annealed": sweep(gram, linear, half, annealed),
        "mean field from least squares": sweep(gram, linear, solved, ones),
        "Gibbs, annealed": sweep(gram, linear, half, annealed, random),
        "expectation propagation": np.asarray(jax.nn.sigmoid(odds)),
        f"search, {most}": np.einsum("km,kma->ka", weight, z) / weight.sum(axis=1, keepdims=True),
    }


def main(values) -> None:
    """Print the share of the edges that is right, a line per number of objects."""
    random, lines = np.random.default_rng(values.seed), []
    for objects in follow([int(objects) for objects in values.objects], "number of objects"):
        effects, edges, velocity = simulate(objects, values.systems, values.frames, values.seed)
        shares = {}
        for noise in map(float, values.noise):
            form = regress(effects, edges, noise * velocity.std(), random)
            for name, chance in infer(*form, values.sweeps, values.most, random).items():
                shares.setdefault(name, []).append(((chance > 0.5) == edges).mean())
        cells = (" to ".join(sorted({f"{min(own):.2f}", f"{max(own):.2f}"})) for own in shares.values())
        lines = [*(lines or start_table(("objects", *shares))), join_cells((str(objects), *cells))]
    print("\n".join(lines))


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
