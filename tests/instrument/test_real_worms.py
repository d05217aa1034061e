"""On the worms of Kato et al. 2015 the instrument gives the programs' numbers, and decodes other labs' tables."""

import os
import pathlib

import pandas as pd
import pytest

import wormjax
from wormjax.config_files import load_config
from wormjax.instrument.predicting import predict
from wormjax.scoring.rows import read_rows
from wormjax.tasks.decode.experiment import generalize

DATA = pathlib.Path(os.environ.get("WORMJAX_DATA_DIR", ""))
KATO, TABLES = DATA / "kato2015" / "WT_NoStim.mat", DATA / "csv"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not KATO.is_file(), reason="WORMJAX_DATA_DIR has no kato2015/WT_NoStim.mat"),
]


def test_a_decoder_has_the_accuracy_of_the_programs_row(tmp_path):
    config = load_config("generalize")
    config.data.study, config.data.path = "kato2015", str(KATO)
    config.models, config.baselines, config.seeds = ("nri_graph",), (), 1
    config.protocol.train_counts = (3,)
    generalize(config.lock(), tmp_path)
    worms = wormjax.load("kato2015", KATO)
    rows = [row for row in read_rows(tmp_path / "results.csv") if row.test_worm == worms[3].worm]
    decoder = wormjax.Decoder("nri_graph", progress=False).fit(worms[:3], seed=0)
    (expected,) = (row.value for row in rows if row.metric == "accuracy")
    assert decoder.score(worms[3]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(not TABLES.is_dir(), reason="WORMJAX_DATA_DIR has no csv folder")
def test_tables_without_states_are_decoded_by_a_model_of_another_study(tmp_path):
    worms, tables = wormjax.load("kato2015", KATO), wormjax.load("csv", TABLES, frame_rate=1.0)
    shared = set.intersection(*(set(worm.identified) for worm in worms)) & set(tables[0].identified)
    decoder = wormjax.Decoder("mlp", neurons=sorted(shared), steps=100, progress=False).fit(worms)
    predict([decoder], tables, tmp_path / "out")
    for table in tables:
        states = pd.read_csv(tmp_path / "out" / table.worm / "states.csv")
        assert len(states) == len(table.times)
        assert set(states.state) <= set(decoder.state_names_)
