"""How fast forecasters train and forecast, on a simulated worm of 18 minutes and 15 neurons.

python -m experiments.benchmark_forecast

All figures come from one process, so that their ratios hold on a noisy machine.
"""

import time

import jax
from absl import flags

from configs import forecast
from experiments.benchmarks.forecast import measure_forecasts, measure_updates, prepare_subject
from wormjax.command_line import run

MODELS = flags.DEFINE_list("models", ["nri_graph", "node_wise", "recurrent"], "Sections of the config's `model`.")
RUNS = flags.DEFINE_integer("runs", 8, "Runs in the ensemble.")
STEPS = flags.DEFINE_integer("steps", 10, "Updates in one timed chunk.")
REPEATS = flags.DEFINE_integer("repeats", 3, "Times that each is measured; the median counts.")


def main(_):
    config = forecast.get_config()
    config.train.steps = 10**6
    config.train.steps_per_chunk = STEPS.value
    subject = prepare_subject(config)
    print(f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), {time.strftime('%Y-%m-%d')}")
    print(f"{'':12s}{'ms an update':>14s}{f'{RUNS.value} runs, each':>16s}{'all starts, s':>16s}", end="")
    print(f"{'one by one':>12s}{'and by step':>13s}")
    for name in MODELS.value:
        alone = measure_updates(name, config, subject, 1, REPEATS.value)
        ensemble = measure_updates(name, config, subject, RUNS.value, REPEATS.value)
        rolled = measure_forecasts(name, config, subject, REPEATS.value)
        print(f"{name:12s}{1e3 * alone:14.1f}{1e3 * ensemble:16.1f}{rolled.together:16.3f}", end="")
        print(f"{rolled.by_start / rolled.together:10.1f} x{rolled.by_step / rolled.together:11.1f} x", flush=True)


if __name__ == "__main__":
    run(main)
