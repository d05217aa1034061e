"""Measure neural relational inference: seconds per update, peak memory, seconds of compiling.

    python -m experiments.benchmarks.nri

All figures come from one process, so that their ratios hold on a noisy machine. `--quick` goes through all of it with
models so small that the figures mean nothing.

What is timed is the program that training runs (`parallel.Engine.chunk`): several whole updates under one scan, and one
validation, here of a single simulation, which weighs nothing. The sizes are those of the reference (Kipf, Fetaya et al.
2018), the trajectories simulated springs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from configs import nri_springs
from experiments.benchmarks.memory import measure_peak
from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.features.system_scaling import scale_systems
from wormjax.features.systems import take_simulations
from wormjax.models.layers import PRECISIONS, dense_precision
from wormjax.simulation.springs import simulate_springs
from wormjax.tasks.infer.materials import Materials, stack_system
from wormjax.tasks.infer.networks import build_training
from wormjax.training.objectives.system_batches import SystemData

# Seconds per update of the reference's PyTorch code on two cores, another process at work on one of them.
REFERENCE_SECONDS = {"MLP encoder, MLP decoder": 3.75, "CNN encoder, recurrent decoder": 13.8}
EDGES_AT_ONCE = 128 * 5 * 4  # Of the reference's batch; systems of more objects are measured in smaller batches.
POSTERIOR_OBJECTS = (3, 5, 8, 11)


class Measured(NamedTuple):
    """Of one update of one run, unless said otherwise.

    Attributes:
      seconds: the least over repeats.
      compile_seconds: of the whole program, once.
      xla: XLA's own count of floating-point operations, on all devices; it goes over the body of a loop once.
      memory: bytes at the peak of the program: arguments, outputs and temporaries, on all devices.
    """

    seconds: float
    compile_seconds: float
    xla: float
    memory: float


class Plan(NamedTuple):
    """How the tables are measured.

    Attributes:
      get_config: of configs/nri_springs.py.
      steps: updates in one timed chunk.
      repeats: chunks timed; the fastest counts.
      placements: of each batch on the devices (`parallel.PLACEMENTS`).
      precision: of the models' matrix products (`layers.PRECISIONS`); "" for the device's own.
      hidden, batch: of all models, to try the tables out; 0 for each config's own.
    """

    get_config: Callable[[str], Any]
    steps: int = 3
    repeats: int = 3
    placements: tuple[str, ...] = ("single", "batch")
    precision: str = ""
    hidden: int = 0
    batch: int = 0


def choose_configs(plan: Plan) -> dict[str, Any]:
    """Return label → config: the reference's two models at full size, without `skip_first`, and our springs."""
    mlp = _unlock(plan.get_config("full"))
    mlp.model.skip_first = False
    mlp.model.encoder.update(name="mlp", hidden=256, differences=False, relative=False, rounds=1)
    mlp.model.decoder.update(name="mlp", hidden=256, differences=False, relative=False)
    mlp.train.posterior = "sampled"
    # From every tenth frame ten frames on its own predictions.
    mlp.train.update(batch_simulations=128, segments=5, burn_in=1, roll_out=10, given=0.0, given_end=0.0)
    mlp.train.update(variance=5e-5, clip_norm=0.0)
    recurrent = mlp.copy_and_resolve_references()
    recurrent.model.encoder.update(name="cnn", kernels=(5, 5), pooling=2, stride=1)
    recurrent.model.decoder.name = "recurrent"
    # The whole trajectory in one go: which of its frames are true ones makes no difference to the time.
    recurrent.train.update(segments=1, burn_in=1, roll_out=48, given=1.0, given_end=1.0)
    springs = {f"nri_springs:{variant}": plan.get_config(variant) for variant in ("full", "small")}
    configs = dict(zip(REFERENCE_SECONDS, (mlp, recurrent), strict=True)) | springs
    return {label: _apply_plan(config, plan) for label, config in configs.items()}


def _apply_plan(config, plan):
    config = change_config(config, model__precision=plan.precision)
    config.model.encoder.hidden = plan.hidden or config.model.encoder.hidden
    config.model.decoder.hidden = plan.hidden or config.model.decoder.hidden
    config.train.batch_simulations = plan.batch or config.train.batch_simulations
    return config


def change_config(config, **fields):
    """Return a copy of a config with other fields, "." written "__"."""
    config = _unlock(config.copy_and_resolve_references())
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def fit_batch(objects: int, batch: int = 128) -> int:
    """Return the batch that keeps an update of many objects in memory: about as many edges as five objects have."""
    return max(1, min(batch, EDGES_AT_ONCE // (objects * (objects - 1))))


def prepare_springs(config, simulations: int = 0) -> Materials:
    """Return springs to train on, `simulations` or two batches, and one to validate on."""
    count = simulations or 2 * config.train.batch_simulations
    whole = simulate_springs(jax.random.key(0), count + 1, config.data.objects, config.data.frames)
    first, rest = take_simulations(whole, slice(0, 1)), take_simulations(whole, slice(1, None))
    systems = scale_systems({"train": rest, "valid": first, "test": first}, config.data.frames)
    return Materials(systems, SystemData(stack_system(systems.train), stack_system(systems.valid)), 2)


def measure_updates(config, materials: Materials, plan: Plan) -> Measured:
    """Time chunks of updates of every run of a config, compiled before."""
    config = change_config(config, train__steps=10**6, train__steps_per_chunk=plan.steps)
    engine, _, _, runs, _ = build_training(config, materials)
    placed, data = engine.place_runs(runs), engine.place_data(materials.data)
    state = engine.place_runs(jax.device_get(engine.initialise(runs)))
    start = time.perf_counter()
    chunk = engine.chunk.lower(state, data, placed).compile()
    compile_seconds = time.perf_counter() - start
    seconds = []
    for _ in range(plan.repeats + 1):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(chunk(state, data, placed))
        seconds.append(time.perf_counter() - start)
    assert np.isfinite(engine.collect(metrics)["train/loss"]).all()
    devices = len(jax.tree.leaves(placed)[0].sharding.device_set)
    return Measured(
        seconds=min(seconds[1:]) / plan.steps / len(runs.seed),
        compile_seconds=compile_seconds,
        xla=devices * float((chunk.cost_analysis() or {}).get("flops", np.nan)),
        memory=devices * measure_memory(chunk),
    )


def measure_rounding(precision: str) -> float:
    """Return the relative error (root mean square) of a model's products at a precision, against float32.

    bfloat16 keeps 8 bits: about 2e-3.
    """
    values, layer = jax.random.normal(jax.random.key(0), (256, 256)), nn.Dense(256, use_bias=False)

    def multiply(precision):
        with dense_precision(precision):
            return np.asarray(layer.apply({"params": {"kernel": values}}, values), float)

    exact = multiply("float32")
    return float(np.sqrt(np.mean((multiply(precision) - exact) ** 2) / np.mean(exact**2)))


def measure_memory(compiled) -> float:
    """Return the bytes that a compiled program holds on one device: arguments, outputs and temporaries; nan if unknown.

    Donated arguments are outputs, too, and count once.
    """
    given = compiled.memory_analysis()
    if given is None:
        return float("nan")
    return float(
        given.argument_size_in_bytes + given.output_size_in_bytes - given.alias_size_in_bytes + given.temp_size_in_bytes
    )


def measure_sizes(plan: Plan) -> Iterator[Sequence[Any]]:
    """Yield rows of a table: the reference's models and this project's, each placed on the devices in each way."""
    names = ("model", "placement", "s per update", "reference, s", "times faster", "GFLOP (XLA's count)")
    names += ("peak, MB", "compiled in, s")
    yield from format_header(names)
    for label, config in choose_configs(plan).items():
        materials = prepare_springs(config)
        for placement in plan.placements:
            found = measure_updates(change_config(config, train__placement=placement), materials, plan)
            reference = REFERENCE_SECONDS.get(label)
            compared = [reference, reference / found.seconds] if reference else ["", ""]
            row = [label, placement, found.seconds, *compared, found.xla / 1e9]
            yield [*row, found.memory / 1e6, found.compile_seconds]


def measure_objects(plan: Plan, objects: Sequence[int]) -> Iterator[Sequence[Any]]:
    """Yield rows of a table: the reference's MLP model by the number of objects, in batches of about as many edges."""
    yield from format_header(("objects", "edges", "batch", "s per update", "µs per update and edge", "peak, MB"))
    reference = next(iter(choose_configs(plan).values()))
    for count in objects:
        batch, edges = fit_batch(count, reference.train.batch_simulations), count * (count - 1)
        config = change_config(
            reference, data__objects=count, train__batch_simulations=batch, train__placement="single"
        )
        found = measure_updates(config, prepare_springs(config, max(8, 2 * batch)), plan)
        per_edge = 1e6 * found.seconds / (batch * edges)
        yield [str(count), edges, batch, found.seconds, per_edge, found.memory / 1e6]


def measure_ensembles(plan: Plan, seeds: int) -> Iterator[Sequence[Any]]:
    """Yield rows of a table: what a laptop trains, for one seed and for several, in turn, vmapped or by device."""
    yield from format_header(
        ("nri_springs:small", "s per update and run", "of one run alone", "peak, MB", "compiled in, s")
    )
    config = choose_configs(plan)["nri_springs:small"]
    materials = prepare_springs(config)
    ways = {"one run": (1, "single", 1), f"{seeds} runs in turn": (seeds, "single", 1)}
    ways |= {f"{seeds} runs vmapped": (seeds, "single", seeds)}
    if jax.local_device_count() > 1:
        ways |= {f"{seeds} runs shared out, each device one at a time": (seeds, "runs", 1)}
    alone = None
    for label, (count, placement, at_once) in ways.items():
        way = change_config(config, seeds=count, train__placement=placement, train__runs_at_once=at_once)
        found = measure_updates(way, materials, plan)
        alone = alone or found.seconds
        yield [label, found.seconds, found.seconds / alone, found.memory / 1e6, found.compile_seconds]


def measure_posteriors(plan: Plan, objects: Sequence[int] = POSTERIOR_OBJECTS) -> Iterator[Sequence[Any]]:
    """Yield rows of a table: the equivariant decoder, with sampled edges and with the exact posterior."""
    yield from format_header(("objects", "combinations", "sampled, s per update", "exact, s", "ratio", "peak, MB"))
    config = choose_configs(plan)["nri_springs:small"]
    for count in objects:
        fields = {"data__objects": count, "train__batch_simulations": fit_batch(count, config.train.batch_simulations)}
        changed = change_config(config, train__placement="single", **fields)
        materials = prepare_springs(changed)
        sampled, exact = (
            measure_updates(change_config(changed, train__posterior=posterior), materials, plan)
            for posterior in ("sampled", "exact")
        )
        ratio = exact.seconds / sampled.seconds
        yield [str(count), 2 ** (count - 1), sampled.seconds, exact.seconds, ratio, exact.memory / 1e6]


def format_header(names: Sequence[str]) -> list[Sequence[str]]:
    """Return the two rows that a Markdown table begins with: names, and all columns but the first to the right."""
    return [names, ["---"] + ["---:"] * (len(names) - 1)]


def format_row(cells: Sequence[Any]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cell if isinstance(cell, str) else format_number(cell) for cell in cells) + " |"


def format_number(value: float) -> str:
    """Return three digits, no exponent for what a table of seconds and megabytes holds; whole numbers as they are."""
    if value == int(value) if np.isfinite(value) else False:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _unlock(config):
    return config.unlock() or config


TABLES = ("sizes", "objects", "ensembles", "posteriors")
FLAGS = [
    ("integer", "steps", 3, "Updates in one timed chunk."),
    ("integer", "repeats", 3, "Chunks timed; the fastest counts."),
    ("list", "table", list(TABLES), "What is measured."),
    ("list", "objects", ["5", "10", "20", "50", "100"], "Objects of the second table."),
    ("integer", "seeds", 8, "Runs of the ensemble."),
    ("string", "precision", "", "Of the models' products; empty: the device's own."),
    ("bool", "quick", False, "Models of 8 channels, batches of 4, one update, up to 10 objects, 2 seeds."),
]


def main(values):
    plan, objects, seeds = read_flags(values)
    devices = jax.local_devices()
    print(f"{devices[0].device_kind}, {len(devices)} device(s), JAX {jax.__version__}, {time.strftime('%Y-%m-%d')}\n")
    if plan.precision:
        rounding = measure_rounding(plan.precision)
        print(f"Products at {plan.precision}: relative error {rounding:.1e} against float32\n")
    tables = {
        "sizes": measure_sizes(plan),
        "objects": measure_objects(plan, objects),
        "ensembles": measure_ensembles(plan, seeds),
        "posteriors": measure_posteriors(plan),
    }
    for name in dict.fromkeys(values.table):
        for row in tables[name]:
            print(format_row(row), flush=True)
        print()
    print(f"The whole process held at most {measure_peak() / 1e6:,.0f} MB.")


def read_flags(values):
    """Return the plan, the numbers of objects and the number of seeds."""
    if values.precision and values.precision not in PRECISIONS:
        raise InputError(f"--precision: found {values.precision!r}, expected one of: {', '.join(PRECISIONS)}")
    if set(values.table) - set(TABLES):
        raise InputError(f"--table: found {','.join(values.table)!r}, expected some of: {', '.join(TABLES)}")
    try:
        objects = [int(value) for value in values.objects]
    except ValueError:
        objects = []
    if not objects or min(objects) < 2:
        raise InputError(f"--objects: found {','.join(values.objects)!r}, expected numbers from 2, such as 5,10,20")
    placements = ("single", "batch") if jax.local_device_count() > 1 else ("single",)
    plan = Plan(nri_springs.get_config, values.steps, values.repeats, placements, values.precision)
    if not values.quick:
        return plan, objects, values.seeds
    return plan._replace(steps=1, repeats=1, hidden=8, batch=4), [count for count in objects if count <= 10], 2


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
