"""Every combination of config values is trained and scored, in one program or several, as if it were alone."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from small_experiments import make_worms, small_config

from wormjax.errors import InputError
from wormjax.recordings import container
from wormjax.scoring.rows import read_rows
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode import sweep as module
from wormjax.tasks.decode.nested_selection import nest_rows, score_candidates
from wormjax.tasks.decode.sweep import ablate, parse_sweep
from wormjax.tasks.groups import list_groups, restore_best
from wormjax.tasks.protocols import list_splits
from wormjax.tasks.worms import prepare_materials

pytestmark = pytest.mark.usefixtures("quick_compilation")

SWEEP = {"train.dropout": (0.0, 0.6), "model.mlp.hidden": (3, 4)}


@pytest.fixture(scope="module")
def worms(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "worms.h5"
    container.write(path, make_worms(2))
    return str(path)


def configure(worms, **fields):
    return small_config(data__study="container", data__path=worms, train__steps=4, **fields)


def test_a_sweep_is_parsed_by_the_type_of_its_field():
    sweep = parse_sweep(
        ["train.dropout=0,0.3", "seeds=2", "train.keep_best=true,False", "data.study=a,b"], small_config()
    )
    assert sweep == {
        "train.dropout": (0.0, 0.3),
        "seeds": (2,),
        "train.keep_best": (True, False),
        "data.study": ("a", "b"),
    }
    assert [type(value) for values in sweep.values() for value in values] == [float, float, int, bool, bool, str, str]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ([], "--sweep: found none"),
        (["train.dropout"], "--sweep: found 'train.dropout', expected FIELD=VALUE"),
        (["train.droput=1"], "no such config field 'train.droput'"),
        (["train=1"], "no such config field 'train'"),
        (["seeds=1.5"], "field 'seeds': found '1.5', expected a whole number"),
        (["train.dropout=much"], "field 'train.dropout': found 'much', expected a number"),
        (["train.keep_best=2"], "field 'train.keep_best': found '2', expected true or false"),
        (["models=mlp,recurrent"], "field 'models': found tuple, expected a number, text or bool"),
    ],
)
def test_a_sweep_that_cannot_be_is_an_error_of_its_field(sweep, message):
    with pytest.raises(InputError, match=message):
        parse_sweep(sweep, small_config())


@pytest.mark.slow
def test_every_combination_has_the_rows_that_it_would_have_alone(worms, tmp_path, monkeypatch):
    ensembles = []
    train_into = module.train_into

    def watch(*arguments):
        ensembles.append(len(arguments[3].runs.seed))
        return train_into(*arguments)

    monkeypatch.setattr(module, "train_into", watch)
    rows = ablate(configure(worms), SWEEP, tmp_path / "all")
    assert read_rows(tmp_path / "all" / "results.csv") == rows
    assert (tmp_path / "all" / "summary.md").exists()
    assert ensembles == [4, 4]  # One program a size; both rates of dropout by two splits in each.
    names = {f"mlp [hidden={hidden}, dropout={rate}]" for hidden in (3, 4) for rate in (0.0, 0.6)}
    assert {row.model for row in rows} == names

    config = configure(worms, train__dropout=0.6, model__mlp__hidden=3)
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    decoding.train_model("mlp", config, materials.dataset, groups, tmp_path / "alone")
    alone = restore_best(tmp_path / "alone" / "models" / "mlp")
    among = restore_best(tmp_path / "all" / "models" / "mlp hidden=3")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[2:], b, rtol=1e-3, atol=1e-5), among, alone)
    description = module.describe_materials(materials)
    decoded = decoding.decode_model("mlp", config, description, materials.dataset, groups, alone)
    expected = decoding.score_model("mlp", config, description, materials.dataset, groups, decoded)
    found = [row for row in rows if row.model == "mlp [hidden=3, dropout=0.6]"]
    assert [row[1:-1] for row in found] == [row[1:-1] for row in expected]
    np.testing.assert_allclose([row.value for row in found], [row.value for row in expected], atol=2e-2)
    other = [row.value for row in rows if row.model == "mlp [hidden=3, dropout=0.0]"]
    assert np.abs(np.array(other) - [row.value for row in found]).max() > 1e-3
    assert not (tmp_path / "all" / "chosen.csv").exists()  # Two worms leave none to choose on.


def test_with_three_worms_each_is_scored_by_what_the_others_choose(tmp_path, capsys):
    path = tmp_path / "worms.h5"
    container.write(path, make_worms(3))
    rows = ablate(configure(str(path)), {"train.learning_rate": (1e-6, 1e-2)}, tmp_path / "run", ("nll",))
    assert read_rows(tmp_path / "run" / "results.csv") == rows
    nested = [row for row in rows if row.model == "mlp (nested choice)"]
    swept = [row for row in rows if row.model != "mlp (nested choice)"]
    scores = score_candidates(swept, ("nll",))
    assert nested == nest_rows(swept, scores)
    assert {(row.train_worms, row.test_worm) for row in nested} == {(r.train_worms, r.test_worm) for r in swept}
    # What has not learnt is not chosen.
    assert set(scores[scores.chosen]["candidate"]) == {"mlp [learning_rate=0.01]"}
    assert "nested choice" in (tmp_path / "run" / "summary.md").read_text()
    assert "by all worms, for new recordings: mlp [learning_rate=0.01]" in capsys.readouterr().out
    lines = (tmp_path / "run" / "chosen.csv").read_text().splitlines()
    assert len(lines) == 1 + 4 * 2


def test_an_unknown_metric_to_choose_by_is_an_error_before_any_is_trained(worms, tmp_path):
    with pytest.raises(InputError, match="criterion: found 'loss', expected one or more of accuracy, balanced_acc"):
        ablate(configure(worms), {"train.dropout": (0.0, 0.1)}, tmp_path / "run", ("loss",))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("protocol", "worms", "counts", "chosen"),
    [
        ("subsets", 3, (), True),
        ("subsets", 2, (), False),
        ("subsets", 3, (2,), False),
        ("subsets", 4, (2, 3), True),
        ("leave_one_worm_out", 4, (), False),
        ("same_worm", 4, (), False),
        ("cross_study", 4, (), False),
    ],
)
def test_a_choice_needs_a_worm_to_test_beside_the_one_held_out(protocol, worms, counts, chosen):
    materials = SimpleNamespace(
        dataset=SimpleNamespace(worms=("worm",) * worms), splits=list_splits(protocol, worms, 2, counts)
    )
    assert module._has_inner_folds(small_config(protocol__name=protocol), materials) is chosen


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"data.scaling": ("zscore", "none")}, "'data.scaling', expected fields of 'train', 'model' or 'split'"),
        ({"train.steps_per_chunk": (2, 0)}, "'train.steps_per_chunk': found 0, expected a whole number, 1 or more"),
        ({"train.window_frames": (16, 200)}, "'train.window_frames': found 200, which leaves no"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_before_any_is_trained(worms, tmp_path, sweep, message):
    with pytest.raises(InputError, match=message):
        ablate(configure(worms), sweep, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_sweep_in_the_same_workdir_is_refused(worms, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_into", stop)
    with pytest.raises(KeyboardInterrupt):
        ablate(configure(worms), {"train.dropout": (0.0, 0.1)}, tmp_path)
    with pytest.raises(InputError, match=r"config.json: field 'sweep': found .*dropout=0.0,0.1.*expected .*0.0,0.2"):
        ablate(configure(worms), {"train.dropout": (0.0, 0.2)}, tmp_path)
