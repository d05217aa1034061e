"""Recovers the graphs of systems from their trajectories: neural relational inference, its bounds and its baselines.

python -m experiments.infer --config=configs/nri_springs.py:small --workdir=runs/springs
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("infer")
