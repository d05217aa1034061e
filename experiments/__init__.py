"""The programs of wormjax; run one with python -m experiments.NAME."""

import sys

from wormjax.startup import use_large_pages

if sys.argv[0] == "-m":  # Python is still looking for the program's module: nothing has been imported yet.
    use_large_pages()
