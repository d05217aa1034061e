"""Count how often the two limit cycles of Brennan & Proekt's toy are found from one of its two neurons.

    python -m experiments.benchmarks.toy_loops

The toy is simulated anew for every seed (`wormjax.simulation.two_cycles`); the delays and neighbours are those of the
figure `toy_loops.png` of `wormjax manifold`. Agreement is the share of frames whose loop is that of the true cycle.
"""

import jax
import numpy as np

from configs import manifold
from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood
from wormjax.baselines.loops import Partition, fit_loops
from wormjax.command_line import run
from wormjax.figures.phase_portrait import share_agreement
from wormjax.scoring.markdown import join_cells, start_table
from wormjax.simulation.two_cycles import label_cycles, simulate_two_cycles
from wormjax.training.progress import track

FLAGS = [
    ("list", "frames", ["6000", "3000"], "Numbers of frames."),
    ("integer", "seeds", 10, "Simulations of each number of frames."),
]


def find_cycles(frames: int, seed: int) -> tuple[int, float]:
    """Return the number of loops that are found, and their agreement with the true cycles."""
    toy = manifold.get_config().toy
    activity = np.asarray(simulate_two_cycles(jax.random.key(seed), frames=frames))
    embedding = Embedding(delays=toy.delays, delay_frames=toy.delay_frames)
    model = fit_loops([activity[:, :1]], embedding, Neighbourhood(neighbours=toy.neighbours), Partition(), seed)
    return len(np.unique(model.loop[model.loop >= 0])), share_agreement(model.loop, label_cycles(activity))


def main(values) -> None:
    """Print how many simulations have two loops, and the mean agreement of those."""
    print("\n".join(start_table(["frames", "two loops", "agreement"])))
    for frames in map(int, values.frames):
        found = [find_cycles(frames, seed) for seed in track(range(values.seeds), "seeds", "seed")]
        right = [agreement for loops, agreement in found if loops == 2]
        mean = f"{np.mean(right):.3f}" if right else ""
        print(join_cells([f"{frames:,}", f"{len(right)} of {len(found)}", mean]), flush=True)


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
