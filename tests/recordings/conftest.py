"""What the tests of the readers share: the builders of tests/data, and the real recordings where there are any."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "data"))


@pytest.fixture
def real_data() -> pathlib.Path:
    """The folder of real recordings, from WORMJAX_DATA_DIR."""
    folder = os.environ.get("WORMJAX_DATA_DIR")
    if not folder:
        pytest.skip("WORMJAX_DATA_DIR is unset: no real recordings")
    return pathlib.Path(folder)
