"""Which packages the wheel holds: wormjax alone, with configs/ and third_party/ of the checkout inside it.

An editable installation adds the checkout itself to Python's path, where both lie beside the package. Python then finds
wormjax from every folder, also from the one that contains a clone named wormjax.
"""

import sys

from setuptools import find_packages, setup

INSIDE = {} if "editable_wheel" in sys.argv else {"wormjax.configs": "configs", "wormjax.third_party": "third_party"}

setup(packages=[*find_packages(include=["wormjax*"]), *INSIDE], package_dir={"": ".", **INSIDE})
