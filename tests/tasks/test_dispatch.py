"""A trained workdir gives its own rows again, and rows of other recordings, and refuses what does not fit."""

import pathlib

import pytest
from small_experiments import make_worms, small_config

from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings import container
from wormjax.scoring.rows import Row
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.worms import describe_materials, prepare_materials
from wormjax.training.workdir import claim_workdir, read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")


def train(config, workdir) -> list[Row]:
    """What experiments.generalize does, without the report: the rows that it would write."""
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    description = describe_materials(materials)
    with claim_workdir(workdir, config, description):
        pass
    rows = []
    for name in (*config.models, *config.baselines):
        fit = decoding.train_model if name in config.models else baselines.train_baseline
        fit(name, config, materials.dataset, groups, workdir)
        best = restore_best(model_folder(workdir, name))
        decoded = decoding.decode_model(name, config, description, materials.test_dataset, groups, best)
        rows += decoding.score_model(name, config, description, materials.test_dataset, groups, decoded)
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick_compilation):
    """Folder of recordings, workdir, and the rows of the training."""
    folder = tmp_path_factory.mktemp("recordings")
    container.write(folder / "train.h5", make_worms(2))
    container.write(folder / "more.h5", make_worms(2, first=1))
    container.write(folder / "lacking.h5", make_worms(1, first=5, neurons=("AVAL", "AVAR")))
    container.write(folder / "known.h5", make_worms(1))
    config = small_config(data__study="container", data__path=str(folder / "train.h5"), train__members=2)
    workdir = folder / "run"
    return folder, workdir, train(config, workdir)


def change(workdir, **fields):
    config = read_config(workdir)
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def test_a_workdir_gives_the_rows_of_its_training(trained):
    _, workdir, rows = trained
    assert evaluate(read_config(workdir), workdir) == rows
    assert {row.model for row in rows} == {"mlp", "lda"}


def test_other_recordings_give_rows_of_worms_that_a_run_was_not_trained_on(trained):
    folder, workdir, rows = trained
    other = evaluate(change(workdir, data__path=str(folder / "more.h5")), workdir)
    tested = {(row.train_worms, row.test_worm) for row in other}
    assert tested == {(("worm 0",), "worm 1"), (("worm 0",), "worm 2"), (("worm 1",), "worm 2")}
    assert [row for row in other if row.test_worm == "worm 1"] == [row for row in rows if row.test_worm == "worm 1"]


def test_how_probabilities_are_read_may_be_another(trained):
    _, workdir, rows = trained
    smoothed = not read_config(workdir).decode.state_durations
    assert evaluate(change(workdir, decode__state_durations=smoothed), workdir) != rows


@pytest.mark.parametrize("field", ["train.dropout", "data.scaling", "model.mlp.hidden", "seeds"])
def test_what_training_fixed_may_not(trained, field):
    _, workdir, _ = trained
    config = read_config(workdir)
    value = {"train.dropout": 0.9, "data.scaling": "minmax", "model.mlp.hidden": 5, "seeds": 3}[field]
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=f"config field '{field}': found another value than in .*run"):
        evaluate(config, workdir)


def test_recordings_that_lack_neurons_are_scored_with_these_masked(trained):
    folder, workdir, _ = trained
    with pytest.warns(RecordingWarning, match=r"lacking\.h5.*\(AVBL, RIML\); these are masked"):
        rows = evaluate(change(workdir, data__path=str(folder / "lacking.h5")), workdir)
    assert rows
    folder, workdir, _ = trained
    known = evaluate(change(workdir, data__path=str(folder / "known.h5")), workdir)
    assert {(row.train_worms, row.test_worm) for row in known} == {(("worm 1",), "worm 0")}


def test_a_folder_without_a_trained_model_is_refused(trained, tmp_path):
    _, workdir, _ = trained
    with pytest.raises(InputError, match="expected a work directory of a training run"):
        evaluate(read_config(workdir), tmp_path)
    for name in ("config.json", "data.json"):
        (tmp_path / name).write_bytes((workdir / name).read_bytes())
    with pytest.raises(InputError, match=r"models/mlp/checkpoints: found no such folder"):
        evaluate(read_config(tmp_path), tmp_path)


def test_evaluating_writes_nothing(trained):
    _, workdir, _ = trained
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path(workdir).rglob("*") if path.is_file()}
    evaluate(read_config(workdir), workdir)
    assert {path: path.stat().st_mtime_ns for path in pathlib.Path(workdir).rglob("*") if path.is_file()} == before


def test_a_same_worm_experiment_is_evaluated_on_its_own_recordings_alone(trained, tmp_path):
    folder, _, _ = trained
    fields = {"protocol__name": "same_worm", "split__block": 24, "models": ()}
    config = small_config(data__study="container", data__path=str(folder / "train.h5"), **fields)
    rows = train(config, tmp_path / "run")
    assert evaluate(read_config(tmp_path / "run"), tmp_path / "run") == rows
    with pytest.raises(InputError, match="same_worm experiment, expected its own recordings"):
        evaluate(change(tmp_path / "run", data__path=str(folder / "more.h5")), tmp_path / "run")


def test_across_studies_the_other_study_is_decoded(trained, tmp_path):
    folder, _, _ = trained
    container.write(tmp_path / "other.h5", make_worms(1, first=8, study="other"))
    fields = {"data__test_study": "container", "data__test_path": str(tmp_path / "other.h5"), "models": ()}
    config = small_config(
        protocol__name="cross_study", data__study="container", data__path=str(folder / "train.h5"), **fields
    )
    rows = train(config, tmp_path / "run")
    assert {(row.study, row.test_study, row.test_worm) for row in rows} == {("mine", "other", "worm 8")}
    assert evaluate(read_config(tmp_path / "run"), tmp_path / "run") == rows
