"""wormjax: models of C. elegans whole-brain activity that hold for worms never seen."""

import pathlib

__version__ = "0.1.0"

# A wheel holds configs/ and third_party/ inside wormjax; in a checkout they stand beside it.
if not pathlib.Path(__path__[0], "configs").is_dir():
    __path__.append(str(pathlib.Path(__path__[0]).parent))
