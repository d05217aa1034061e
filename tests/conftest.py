"""What all tests share: the builders of tests/data are importable."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "data"))
