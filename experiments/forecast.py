"""Trains forecasters of neural activity and forecasts worms they have not seen: table, figures, checkpoints.

python -m experiments.forecast --config=configs/forecast.py --workdir=runs/forecast
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("forecast")
