"""Infers graphs between named neurons and scores them against references, worms, seeds and nulls.

python -m experiments.relate --config=configs/neuron_graphs.py --workdir=runs/relate
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("relate")
