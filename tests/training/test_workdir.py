"""A work directory is one config's and one data set's; another's is refused with nothing changed in it."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from small_experiments import replace_worm, small_config, small_dataset

from wormjax.errors import InputError
from wormjax.training.workdir import (
    claim_workdir,
    describe_dataset,
    find_differences,
    read_config,
    read_description,
)

ROOT = pathlib.Path(__file__).parents[2]
DATASET = small_dataset(frames=((60,), (50,)))
DESCRIPTION = describe_dataset(DATASET)


def claim(*arguments):
    with claim_workdir(*arguments):
        pass


def contents(folder):
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def claimed(tmp_path):
    claim(tmp_path / "run", small_config(), DESCRIPTION)
    return tmp_path / "run"


def test_what_is_claimed_reads_back(claimed):
    assert find_differences(read_config(claimed), small_config()) == []
    assert read_description(claimed) == DESCRIPTION
    assert sorted(path.name for path in claimed.iterdir()) == [".lock", "config.json", "data.json"]


def test_the_same_experiment_may_go_on_with_other_devices_and_from_another_path(claimed):
    config = small_config(train__placement="batch", train__devices=4, train__runs_at_once=2, data__path="elsewhere")
    claim(claimed, config, DESCRIPTION)
    assert read_config(claimed).train.placement == "batch"


@pytest.mark.parametrize(
    ("fields", "name", "found"),
    [
        ({"train__dropout": 0.77}, "train.dropout", "expected 0.77"),
        ({"seeds": 9}, "seeds", "found 1, expected 9"),
        ({"model__mlp": {"hidden": 4, "offsets": (0,)}}, "model.mlp.offsets", "found null, expected [0]"),
        ({"models": ("recurrent",)}, "models", 'found ["mlp"], expected ["recurrent"]'),
    ],
)
def test_another_config_is_refused_and_names_the_field(claimed, fields, name, found):
    before = contents(claimed)
    with pytest.raises(InputError) as error:
        claim(claimed, small_config(**fields), DESCRIPTION)
    assert f"config.json: field {name!r}: " in str(error.value)
    assert found in str(error.value)
    assert contents(claimed) == before


def test_other_worms_are_refused_though_they_have_the_same_names(claimed):
    before = contents(claimed)
    other = describe_dataset(replace_worm(DATASET, 1, 0.5, 1))
    assert other["worms"] == DESCRIPTION["worms"]
    with pytest.raises(InputError, match=r"data\.json: field '(fingerprint|transition_counts)'"):
        claim(claimed, small_config(), other)
    assert contents(claimed) == before


def test_one_value_makes_another_fingerprint():
    arrays = DATASET.arrays
    features = arrays.features.copy()
    features[1, 3, 0, 0] = np.nextafter(features[1, 3, 0, 0], np.float32(9))
    changed = DATASET.__class__(**DATASET.__dict__ | {"arrays": arrays._replace(features=features)})
    assert describe_dataset(changed)["fingerprint"] != DESCRIPTION["fingerprint"]
    assert describe_dataset(DATASET)["fingerprint"] == DESCRIPTION["fingerprint"]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00\x01"])
def test_a_damaged_config_is_an_error_that_names_the_file(claimed, text):
    (claimed / "config.json").write_text(text)
    for function in (read_config, lambda folder: claim(folder, small_config(), DESCRIPTION)):
        with pytest.raises(InputError, match=r"config\.json: found"):
            function(claimed)


def test_a_folder_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="expected a folder to write results into"):
            claim(place, small_config(), DESCRIPTION)
    with pytest.raises(InputError, match="expected a work directory of a training run"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["run [1]", "run*", "run?"])
def test_a_path_that_orbax_takes_for_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"--workdir: found .*run.*, expected a path without any of"):
        claim(tmp_path / name, small_config(), DESCRIPTION)
    assert not list(tmp_path.iterdir())


def test_the_description_is_plain_json():
    assert json.loads(json.dumps(DESCRIPTION)) == DESCRIPTION


HOLD = """
import sys, time
from wormjax.training.workdir import _lock
import pathlib
with _lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_by_name_and_let_in_when_the_first_was_killed(claimed):
    command = [sys.executable, "-c", HOLD, str(claimed)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        before = contents(claimed)
        with pytest.raises(
            InputError, match=rf"run: found process {holder.pid} on .* at work in it, expected a folder"
        ):
            claim(claimed, small_config(), DESCRIPTION)
        assert contents(claimed) == before
    finally:
        holder.kill()
        holder.wait()
    assert (claimed / ".holder").exists()  # Left there, and in nobody's way.
    claim(claimed, small_config(), DESCRIPTION)
    assert not (claimed / ".holder").exists()


def test_a_workdir_is_held_while_it_is_worked_in_and_let_go_of_on_an_error(claimed):
    def work_and_fail():
        with claim_workdir(claimed, small_config(), DESCRIPTION):
            with pytest.raises(InputError, match=rf"found process {os.getpid()} on .* at work in it"):
                claim(claimed, small_config(), DESCRIPTION)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work_and_fail()
    claim(claimed, small_config(), DESCRIPTION)
