"""Which packages the wheel holds: wormjax alone, with configs/ and third_party/ of the checkout inside it."""

from setuptools import find_packages, setup

INSIDE = {"wormjax.configs": "configs", "wormjax.third_party": "third_party"}

setup(packages=[*find_packages(include=["wormjax*"]), *INSIDE], package_dir=INSIDE)
