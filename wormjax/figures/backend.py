"""Let matplotlib be imported where MPLBACKEND names a backend that is not installed.

A notebook hands `MPLBACKEND=module://matplotlib_inline.backend_inline` down to the programs that it starts, and without
that module `import matplotlib` fails. wormjax draws into files and needs no backend.
"""

import importlib.util
import os

_module = os.environ.get("MPLBACKEND", "").partition("module://")[2]
if _module and importlib.util.find_spec(_module.partition(".")[0]) is None:
    os.environ["MPLBACKEND"] = "agg"
