"""Measure neural relational inference: seconds per update, arithmetic against the machine's own rate, peak memory.

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
from wormjax.features.systems import scale_systems, take_simulations
from wormjax.models.layers import PRECISIONS, dense_precision
from wormjax.simulation.springs import simulate_springs
from wormjax.tasks.infer.networks import Materials, build_runs, build_training, stack_system
from wormjax.training.objectives.nri_sampled import SystemData
from wormjax.training.step import initialise_state, train_step

# Seconds an update of the reference's PyTorch code on two cores, another process at work on one of them.
REFERENCE_SECONDS = {"MLP encoder, MLP decoder": 3.75, "CNN encoder, recurrent decoder": 13.8}
EDGES_AT_ONCE = 128 * 5 * 4  # Of the reference's batch; systems of more objects are measured in smaller batches.
PRODUCT_SIZE = 2048
POSTERIOR_OBJECTS = (3, 5, 8, 11)


class Measured(NamedTuple):
    """Of one update of one run, unless said otherwise.

    Attributes:
      seconds: the least over repeats.
      compile_seconds: of the whole program, once.
      products: floating-point operations of its matrix products (`count_products`).
      xla: XLA's own count of all floating-point operations, on all devices; it goes over the body of a loop once: the
        same and a little more where a roll-out is compiled without a loop, far less where not.
      rate: operations a second of a large float32 matrix product, the best of those timed between the repeats.
      memory: bytes at the peak of the program: arguments, outputs and temporaries, on all devices.
    """

    seconds: float
    compile_seconds: float
    products: float
    xla: float
    rate: float
    memory: float

    @property
    def share(self) -> float:
        """Of the rate of matrix products: what the update's own products reach, all else that it does included."""
        return self.products / self.seconds / self.rate


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
    """Label → config: the reference's two models at its full size, without `skip_first`, and this project's springs."""
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
    """A copy of a config with other fields, "." written "__"."""
    config = _unlock(config.copy_and_resolve_references())
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def fit_batch(objects: int, batch: int = 128, edges_at_once: int = EDGES_AT_ONCE) -> int:
    """The batch that keeps an update of so many objects in memory: about as many edges as five objects have."""
    return max(1, min(batch, edges_at_once // (objects * (objects - 1))))


def prepare_springs(config, simulations: int = 0, seed: int = 0) -> Materials:
    """Springs to train on, `simulations` or two batches, and one to validate on."""
    count = simulations or 2 * config.train.batch_simulations
    whole = simulate_springs(jax.random.key(seed), count + 1, config.data.objects, config.data.frames)
    first, rest = take_simulations(whole, slice(0, 1)), take_simulations(whole, slice(1, None))
    systems = scale_systems({"train": rest, "valid": first, "test": first}, config.data.frames)
    return Materials(systems, SystemData(stack_system(systems.train), stack_system(systems.valid)), 2)


def measure_updates(config, materials: Materials, plan: Plan) -> Measured:
    """Times chunks of updates of every run of a config, compiled before.

    Products are timed between the chunks: where the machine is shared, both meet the same neighbours.
    """
    config = change_config(config, train__steps=10**6, train__steps_per_chunk=plan.steps)
    runs = build_runs(config)
    objective, recipe, engine = build_training(config, materials, runs)
    products = count_products(objective, recipe, runs, materials.data)
    placed, data = engine.place_runs(runs), engine.place_data(materials.data)
    state = engine.place_runs(jax.device_get(engine.initialise(runs)))
    start = time.perf_counter()
    chunk = engine.chunk.lower(state, data, placed).compile()
    compile_seconds = time.perf_counter() - start
    multiply = prepare_product()
    seconds, product_seconds = [], [time_call(multiply)]
    for _ in range(plan.repeats + 1):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(chunk(state, data, placed))
        seconds.append(time.perf_counter() - start)
        product_seconds += [time_call(multiply) for _ in range(3)]
    assert np.isfinite(engine.collect(metrics)["train/loss"]).all()
    devices = len(jax.tree.leaves(placed)[0].sharding.device_set)
    return Measured(
        seconds=min(seconds[1:]) / plan.steps / len(runs.seed),
        compile_seconds=compile_seconds,
        products=products,
        xla=devices * float((chunk.cost_analysis() or {}).get("flops", np.nan)),
        rate=2 * PRODUCT_SIZE**3 / min(product_seconds),
        memory=devices * measure_memory(chunk),
    )


def prepare_product(precision: str = "", size: int = PRODUCT_SIZE) -> Callable[[], jax.Array]:
    """A square product of float32 matrices, as a model of that precision multiplies them, compiled, to be called again
    and again."""
    values = jax.random.normal(jax.random.key(0), (size, size))
    layer = nn.Dense(size, use_bias=False)
    with dense_precision(precision):
        multiply = jax.jit(lambda left, right: layer.apply({"params": {"kernel": right}}, left))
        multiply = multiply.lower(values, values).compile()
    jax.block_until_ready(multiply(values, values))
    return lambda: multiply(values, values)


def time_call(function: Callable[[], Any]) -> float:
    """Seconds of one call, until its result is there."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def measure_rounding(precision: str) -> float:
    """Relative error (root mean square) of a model's products at a precision, against float32.

    bfloat16 keeps 8 bits: about 2e-3.
    """
    exact, rounded = (np.asarray(prepare_product(kind, 256)(), float) for kind in ("float32", precision))
    return float(np.sqrt(np.mean((rounded - exact) ** 2) / np.mean(exact**2)))


def measure_memory(compiled) -> float:
    """Bytes that a compiled program holds on one device: arguments, outputs and temporaries; nan where it is not known.

    Donated arguments are outputs, too, and count once.
    """
    given = compiled.memory_analysis()
    if given is None:
        return float("nan")
    return float(
        given.argument_size_in_bytes + given.output_size_in_bytes - given.alias_size_in_bytes + given.temp_size_in_bytes
    )


def count_products(objective, recipe, runs, data) -> float:
    """Floating-point operations of the matrix products of one update of one run, its gradient included.

    Counted in the traced update, and not by XLA, which counts the body of a loop once however often it runs.
    """
    run = jax.tree.map(lambda x: x[0], runs)
    state = jax.eval_shape(lambda run: initialise_state(objective, recipe, run), run)
    traced = jax.make_jaxpr(lambda state, data, run: train_step(objective, recipe, state, data, run))(state, data, run)
    return count_traced(traced)


def count_traced(traced) -> float:
    """Floating-point operations of the matrix products of a traced function (jax.make_jaxpr), of those that its outputs
    need: a gradient of our own also multiplies for what no one asked for, which XLA leaves out.

    Raises:
      NotImplementedError: products in a loop of unknown length, or convolutions.
    """
    jaxpr = traced.jaxpr
    return float(_count_needed(jaxpr, [True] * len(jaxpr.outvars))[0])


def _count_needed(jaxpr, needed: Sequence[bool]) -> tuple[int, list[bool]]:
    """Return the operations that the needed outputs of a program take, and which of its inputs they read."""
    total, live = 0, {id(var) for var, need in zip(jaxpr.outvars, needed, strict=True) if need}
    for equation in reversed(jaxpr.eqns):
        outputs = [id(var) in live for var in equation.outvars]
        if any(outputs):
            count, inputs = _count_equation(equation, outputs)
            total += count
            live |= {id(var) for var, need in zip(equation.invars, inputs, strict=True) if need}
    return total, [id(var) in live for var in jaxpr.invars]


def _count_equation(equation, needed: list[bool]) -> tuple[int, list[bool]]:
    """Return the operations of one equation for its needed outputs, and which of its inputs they read."""
    name, parameters, everything = equation.primitive.name, equation.params, [True] * len(equation.invars)
    if name == "dot_general":
        return _count_product(equation), everything
    parts = _list_jaxprs(parameters)
    if name == "scan":
        # Constants, then what is carried, then what is gone through, which has one axis more outside than inside.
        pairs = zip(equation.outvars, parts[0].outvars, strict=True)
        carried = sum(outside.aval.shape == inside.aval.shape for outside, inside in pairs)
        pairs = zip(equation.invars, parts[0].invars, strict=True)
        first = sum(outside.aval.shape == inside.aval.shape for outside, inside in pairs) - carried
        while True:  # What a round reads of the state, the round before has to make.
            count, inputs = _count_needed(parts[0], needed)
            wider = [n or (k < carried and inputs[first + k]) for k, n in enumerate(needed)]
            if wider == needed:
                return parameters["length"] * count, inputs
            needed = wider
    if len(parts) == 1 and len(parts[0].invars) == len(everything) and name not in ("while", "cond"):
        return _count_needed(parts[0], needed)
    inner = sum(_count_needed(part, [True] * len(part.outvars))[0] for part in parts)
    if (inner and name in ("while", "cond")) or name.startswith("conv_general"):
        raise NotImplementedError(f"the operations of {name!r} cannot be counted")
    return inner, everything


def _count_product(equation) -> int:
    """2 · (entries of the output) · (length of the sums)."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * int(np.prod(equation.outvars[0].aval.shape)) * int(np.prod([left[axis] for axis in contracted]))


def _list_jaxprs(parameters) -> list:
    """The programs within an equation: bodies of loops and of functions."""
    found = []
    for value in parameters.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            part = getattr(part, "jaxpr", part)  # A closed one holds the program itself.
            if hasattr(part, "eqns"):
                found.append(part)
    return found


def measure_sizes(plan: Plan) -> Iterator[Sequence[Any]]:
    """Rows of a table: the reference's models and this project's, each placed on the devices in each way."""
    names = ("model", "placement", "s an update", "reference, s", "times faster", "GFLOP of products", "XLA's count")
    names += ("GFLOP/s", "products alone, GFLOP/s", "share, %", "peak, MB", "compiled in, s")
    yield from format_header(names)
    for label, config in choose_configs(plan).items():
        materials = prepare_springs(config)
        for placement in plan.placements:
            found = measure_updates(change_config(config, train__placement=placement), materials, plan)
            reference = REFERENCE_SECONDS.get(label)
            compared = [reference, reference / found.seconds] if reference else ["", ""]
            row = [label, placement, found.seconds, *compared, found.products / 1e9, found.xla / 1e9]
            row += [found.products / found.seconds / 1e9, found.rate / 1e9, 100 * found.share]
            yield [*row, found.memory / 1e6, found.compile_seconds]


def measure_objects(plan: Plan, objects: Sequence[int]) -> Iterator[Sequence[Any]]:
    """Rows of a table: the reference's MLP model on so many objects, in batches of about as many edges."""
    yield from format_header(
        ("objects", "edges", "batch", "s an update", "µs an update and edge", "share, %", "peak, MB")
    )
    reference = next(iter(choose_configs(plan).values()))
    for count in objects:
        batch, edges = fit_batch(count, reference.train.batch_simulations), count * (count - 1)
        config = change_config(
            reference, data__objects=count, train__batch_simulations=batch, train__placement="single"
        )
        found = measure_updates(config, prepare_springs(config, max(8, 2 * batch)), plan)
        per_edge = 1e6 * found.seconds / (batch * edges)
        yield [str(count), edges, batch, found.seconds, per_edge, 100 * found.share, found.memory / 1e6]


def measure_ensembles(plan: Plan, seeds: int) -> Iterator[Sequence[Any]]:
    """Rows of a table: what a laptop trains, once and for so many seeds, in turn, vmapped or shared out by device."""
    yield from format_header(
        ("nri_springs:small", "s an update and run", "of one run alone", "peak, MB", "compiled in, s")
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
    """Rows of a table: the equivariant decoder, with edges sampled from the encoder and with the exact posterior."""
    yield from format_header(("objects", "combinations", "sampled, s an update", "exact, s", "ratio", "peak, MB"))
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
    """The two rows that a Markdown table begins with: names, and all columns but the first to the right."""
    return [names, ["---"] + ["---:"] * (len(names) - 1)]


def format_row(cells: Sequence[Any]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell if isinstance(cell, str) else format_number(cell) for cell in cells) + " |"


def format_number(value: float) -> str:
    """Three digits, no exponent for what a table of seconds and megabytes holds; whole numbers as they are."""
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
