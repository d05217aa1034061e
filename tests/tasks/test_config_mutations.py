"""Damaged configs, work directories and results: each is good, or one line that names file and field."""

import contextlib
import copy
import importlib
import itertools
import json
import os
import random
import time

import pytest
import small_ahead
import small_experiments
import small_forecasts
import small_systems
from mutated_values import ODD_VALUES, damage_bytes, damage_json

from configs import ahead, forecast, generalize, manifold, neuron_graphs, nri_springs, of_workdir, reconstruct
from wormjax.command_line import parse
from wormjax.config_files import list_fields
from wormjax.errors import InputError, TrainingError
from wormjax.scoring.rows import Row, read_rows, write_rows
from wormjax.tasks.dispatch import find_experiment, run_experiment
from wormjax.training.workdir import read_description, write_description

CONFIGS = {
    "generalize": generalize,
    "forecast": forecast,
    "ahead": ahead,
    "manifold": manifold,
    "infer": nri_springs,
    "reconstruct": reconstruct,
    "relate": neuron_graphs,
}
SECONDS = 5.0
DATASET = {
    "study": "mine",
    "worms": ["a", "b"],
    "neurons": ["AVAL", "RIML"],
    "features": ["trace"],
    "states": ["reverse", "forward"],
    "frame_rate": 3.0,
    "transition_counts": [[[3, 1], [1, 3]], [[2, 2], [0, 1]]],
    "fingerprint": "0a" * 32,
    "targets": [],
    "worm_studies": ["mine", "mine"],
}
SYSTEMS = {
    "system": "springs",
    "objects": 3,
    "features": ["x", "y"],
    "edge_types": ["none", "spring"],
    "edge_type_count": 2,
    "low": [-1.0, -1.0],
    "high": [1.0, 2.5],
    "change_scale": [0.1, 0.2],
    "fingerprint": "0a" * 32,
}


def check_experiment(config):
    """Check what an experiment checks of its config before it opens anything."""
    name = find_experiment(config)
    module = importlib.import_module(f"wormjax.tasks.{'decode' if name == 'generalize' else name}.experiment")
    (module.prepare_tasks if hasattr(module, "prepare_tasks") else module.check_config)(config)


def expect_one_line(call, begins: str, *arguments) -> bool:
    """Whether a call succeeds; if it does not, it must be with one short printable line, and soon."""
    began = time.monotonic()
    try:
        call(*arguments)
        message = None
    except InputError as error:
        message = str(error)
    assert time.monotonic() - began < SECONDS
    if message is None:
        return True
    assert message.startswith(begins)
    assert message.isprintable()
    assert len(message) < 1_000
    return False


def mutate_config(config, field: str, value) -> tuple:
    """Sets a field whatever its type, or deletes it (`mutate_config` itself as the value); what sets it back."""
    *path, last = field.split(".")
    section = config
    for name in path:
        section = section[name]
    fields = object.__getattribute__(section, "_fields")
    whole = dict(fields)
    if value is mutate_config:
        del fields[last]
    else:
        fields[last] = value
    return fields, whole


def check_mutations(module, pairs) -> tuple[int, int]:
    """How many configs were tried, and how many passed the checks."""
    config = module.get_config()
    tried = passed = 0
    for field, value in pairs(list_fields(config)):
        fields, whole = mutate_config(config, field, value)
        try:
            passed += expect_one_line(check_experiment, "config field '", config)
            tried += 1
        finally:
            fields.clear()
            fields.update(whole)
    check_experiment(config)
    return tried, passed


@pytest.mark.parametrize("name", CONFIGS)
def test_any_value_in_any_field(name):
    def draw(fields):
        chance = random.Random(name)
        return [(chance.choice(fields), chance.choice((*ODD_VALUES, mutate_config))) for _ in range(60)]

    tried, passed = check_mutations(CONFIGS[name], draw)
    assert tried == 60
    assert 0 < passed < 30


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_value_in_every_field(name):
    tried, passed = check_mutations(
        CONFIGS[name], lambda fields: itertools.product(fields, (*ODD_VALUES, mutate_config))
    )
    assert 0 < passed < tried / 3


@pytest.mark.parametrize(
    ("field", "value", "found", "expected"),
    [
        ("train.steps", "many", "'many'", "a whole number, 0 or more and at most 1,000,000,000"),
        ("seeds", True, "True", "a whole number, 1 or more and at most 1,000"),
        ("train.batch_windows", 10**9, "1000000000", "a whole number, 1 or more and at most 65,536"),
        ("train.dropout", float("nan"), "nan", "a number, 0 or more and less than 1"),
        ("train.noise", float("inf"), "inf", "a number, 0 or more and at most 1e+09"),
        ("models", "mlp", "'mlp'", "a list of 0 to 1,000, each a string"),
        ("models", ("mlp", 3), "3 at place 2", "a string of at most 4,096 printable characters on one line"),
        ("models", tuple(map(str, range(10**6))), "1,000,000 values, the first '0'", "a list of 0 to 1,000"),
        ("data.path", "a\0b", r"'a\x00b'", "a string of at most 4,096 printable characters on one line"),
        ("model.mlp.hidden", 10**9, "1000000000", "a whole number, 1 or more and at most 16,384"),
        ("train", 5, "5", "a section of fields"),
    ],
)
def test_what_is_found_and_expected_is_said(field, value, found, expected):
    config = generalize.get_config()
    mutate_config(config, field, value)
    with pytest.raises(InputError) as error:
        check_experiment(config)
    assert f": found {found}, expected {expected}" in str(error.value)


@pytest.mark.parametrize(
    ("module", "fields", "found"),
    [
        (generalize, {"data.simulation.worms": 10_000, "data.simulation.minutes": 60.0}, "10,000 with data.simulation"),
        (
            generalize,
            {"train.batch_windows": 64, "train.window_frames": 10**6},
            "64 with train.window_frames 1,000,000",
        ),
        (nri_springs, {"data.objects": 1_000}, "50,000 with data.objects 1,000"),
    ],
)
def test_sizes_that_fill_a_memory_together(module, fields, found):
    config = module.get_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(InputError) as error:
        check_experiment(config)
    assert found in str(error.value)
    assert "expected a product of at most" in str(error.value)


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_any_override_on_the_command_line(count):
    chance, fields = random.Random(0), list_fields(generalize.get_config())
    texts = [str(value) for value in ODD_VALUES if not (isinstance(value, int) and value.bit_length() > 300)]
    texts += [
        "(" * 300,
        "-" * 3000 + "1",
        "[" * 99 + "]" * 99,
        "{1: 2}",
        "'",
        "1e999",
        "nan",
        "0x10",
        "()",
        "(1,",
        "f()",
    ]
    texts = [text.replace("\0", "\x01").encode(errors="replace").decode() for text in texts]
    overrides = [[f"--config.{chance.choice(fields)}={chance.choice(texts)}"] for _ in range(count)]
    overrides += [[f"--config.{field}"] for field in ("models[0]=mlp", "models[99]=mlp", "models[x]=1", "", "=", ".=1")]
    overrides += [[f"--{'z' * 5000}"], [f"--config.{'z' * 5000}=1"], ["--config=\n"], [f"--config={'x' * 5000}"]]
    refused = []
    for (override,) in overrides:
        try:
            parse(["program", override], [], "configs/generalize.py")
        except InputError as error:
            said = str(error)
            assert said.isprintable(), (override[:100], said[:1000])
            assert len(said) < 4_000
            refused.append(said)
    assert count / 3 < len(refused) < len(overrides)
    assert all("--" in said for said in refused)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = generalize.get_config()
    (folder / "config.json").write_text(config.to_json_best_effort())
    write_description(folder / "data.json", DATASET)
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_file_of_any_fields(workdir, name):
    content = json.loads(CONFIGS[name].get_config().to_json_best_effort())
    path = workdir / "config.json"
    passed = 0
    for number in range(40):
        path.write_text(damage_json(copy.deepcopy(content), number), encoding="utf-8")
        passed += expect_one_line(of_workdir.get_config, str(path), workdir)
    assert 0 < passed < 20


def test_a_config_file_of_any_bytes(workdir):
    path = workdir / "config.json"
    whole = generalize.get_config().to_json_best_effort().encode()
    for number in range(150):
        path.write_bytes(damage_bytes(whole, number))
        expect_one_line(of_workdir.get_config, str(path), workdir)
    path.write_bytes(whole)
    assert expect_one_line(of_workdir.get_config, str(path), workdir)


@pytest.mark.parametrize("content", [DATASET, DATASET | {"test": DATASET}, SYSTEMS])
def test_a_description_of_any_fields_or_bytes(workdir, content):
    path, passed = workdir / "data.json", 0
    write_description(path, content)
    assert read_description(workdir) == content
    whole = path.read_bytes()
    content = json.loads(whole)
    for number in range(150):
        if number % 2:
            path.write_bytes(damage_bytes(whole, number))
        else:
            path.write_text(damage_json(copy.deepcopy(content), number), encoding="utf-8")
        passed += expect_one_line(read_description, str(path), workdir)
    assert passed < 15  # Where the value is another and the meaning the same.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.steps": "many"}, "config field 'train.steps': found 'many', expected a whole number"),
        ({"train.window_frames": None}, "config field 'train.window_frames': found None, expected a whole number"),
        ({"models": "mlp"}, "config field 'models': found 'mlp', expected a list"),
        ({"data": 3}, "config field 'data': found 3, expected a section of fields"),
    ],
)
def test_a_field_of_a_config_file_is_named(workdir, changes, message):
    config = generalize.get_config()
    for field, value in changes.items():
        mutate_config(config, field, value)
    (workdir / "config.json").write_text(config.to_json_best_effort())
    with pytest.raises(InputError) as error:
        of_workdir.get_config(str(workdir))
    assert str(error.value).startswith(f"{workdir / 'config.json'}: {message}")


def test_a_place_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(InputError, match=r"config\.json: found no regular file"):
        of_workdir.get_config(str(tmp_path))
    with pytest.raises(InputError, match="found no regular file"):
        read_rows(tmp_path)


def test_results_of_any_bytes(tmp_path):
    path = tmp_path / "results.csv"
    rows = [Row("mlp", "mine", ("a", "b"), "mine", "c", seed, "accuracy", 0.5 + seed / 100) for seed in range(5)]
    write_rows(path, rows)
    whole, read = path.read_bytes(), 0
    for number in range(150):
        path.write_bytes(damage_bytes(whole, number, ahead=len(Row._fields) * 12))
        read += expect_one_line(read_rows, str(path), path)
    assert 0 < read < 75
    for text in ("x" * 200_000, '"' * 1001, "mlp,mine,a,mine,c,1e5,accuracy,0.5", "\ufeff", "\x85" * 9):
        path.write_text(whole.decode() + text, encoding="utf-8")
        assert not expect_one_line(read_rows, str(path), path)


# Values within the ranges of most fields that are out of the ordinary.
ORDINARY = (0, 1, 2, 3, 7, 0.0, 0.1, 0.5, 0.99, 1.0, 2.5, 30.0, (), (1,), (2, 3), (0.5,), (0.3, 0.7), True, False, "")
LITTLE = {"data.simulation.worms": 2, "data.simulation.minutes": 2.0, "data.neurons": "AVAL,AVBL,RIML,VB01"}


def draw_config(small, changes: dict, chance: random.Random):
    """A small config with two fields changed, that passes the checks; and the changes."""
    while True:
        config = small()
        config.update_from_flattened_dict(changes)
        fields = [field for field in list_fields(config) if not field.startswith(("distributed", "data.cache"))]
        leaves = [field for field in fields if not any(other.startswith(f"{field}.") for other in fields)]
        drawn = [(field, chance.choice(ORDINARY)) for field in chance.sample(leaves, 2)]
        for field, value in drawn:
            mutate_config(config, field, value)
        with contextlib.suppress(InputError):
            check_experiment(config)
            return config, drawn


@pytest.mark.slow
@pytest.mark.parametrize(
    ("small", "changes"),
    [
        (small_experiments.small_config, LITTLE),
        (small_forecasts.small_config, {}),
        (small_ahead.small_config, {}),
        (small_systems.small_config, {"train.steps": 2, "train.baseline_steps": 2}),
    ],
    ids=["generalize", "forecast", "ahead", "infer"],
)
def test_what_passes_the_checks_runs(tmp_path, small, changes):
    """A config that passes the checks trains and is scored, or ends in one line: too little data, or of training."""
    chance, ran, messages = random.Random(0), 0, []
    for number in range(12):
        config, drawn = draw_config(small, changes, chance)
        print(drawn)  # Of a failure, pytest shows the last.
        if "cache" in config.data:
            config.data.cache = str(tmp_path / "cache")
        try:
            run_experiment(config, tmp_path / str(number))
            ran += 1
        except (InputError, TrainingError) as error:
            messages.append(str(error))
    assert all(message.isprintable() for message in messages)
    assert ran >= 4
