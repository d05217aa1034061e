"""Files that wormjax ships beside its code: `configs` and the manifests of `third_party`.

They lie inside the package where a wheel is installed, and beside the package in a checkout of the repository.
"""

from pathlib import Path

from wormjax.errors import InputError

PACKAGE = Path(__file__).resolve().parent


def find_shipped(name: str) -> Path:
    """Return the path of a shipped file or folder.

    The name is its path below the folder that ships it, with slashes: "third_party/kato2015/manifest.json".

    Raises:
      InputError: neither the package nor the folder above it has it.
    """
    for folder in (PACKAGE, PACKAGE.parent):
        path = folder.joinpath(*name.split("/"))
        if path.exists():
            return path
    raise InputError(f"{PACKAGE / name}: found no such file, expected it in the installation: install wormjax again")
