"""Studies are opened by name."""

import numpy as np
import pytest
import recording_files

from wormjax.errors import InputError
from wormjax.recordings import container
from wormjax.recordings.catalog import READERS, open_study
from wormjax.recordings.recording import Recording


def test_each_study_opens_by_its_name(tmp_path):
    recording_files.write_kato(tmp_path / "WT_NoStim.mat")
    recording_files.write_nichols(tmp_path / "n2_let.mat", "n2_let")
    recording_files.write_dag(tmp_path / "dag")
    mine = Recording("mine", "w", np.random.default_rng(0).normal(size=(9, 2)), np.arange(9.0), ("AVAL", "RID"))
    container.write(tmp_path / "own" / "mine.h5", [mine])
    paths = {"kato2015": ".", "nichols2017": ".", "dag2023": "dag", "container": "own/mine.h5"}
    studies = {study: open_study(study, tmp_path / path)[0].study for study, path in paths.items()}
    assert studies == {"kato2015": "kato2015", "nichols2017": "nichols2017", "dag2023": "dag2023", "container": "mine"}
    assert set(paths) < set(READERS)  # The others: test_readers.


@pytest.mark.parametrize(
    ("study", "path", "words"),
    [
        ("kato2016", ".", "data.study: found no study 'kato2016', did you mean 'kato2015'?"),
        ("zebrafish", ".", "expected one of: kato2015, nichols2017, dag2023, wormwideweb"),
        ("kato2015", "absent", "found no file or folder 'absent', expected the recordings of kato2015"),
        ("kato2015", "absent", "wormjax download --study=kato2015"),
        ("dag2023", "", "found no path, expected the recordings of dag2023"),
        ("container", None, "found no path, expected"),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_line(study, path, words):
    with pytest.raises(InputError) as caught:
        open_study(study, path)
    assert words in str(caught.value)
