"""What an installation puts into site-packages is one package, and it runs from there."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
USE_IT = """
import wormjax.configs.nri_springs, wormjax.recordings.download as download
print(wormjax.configs.nri_springs.__file__, download.load_manifest("kato2015")["study"])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what a wheel holds."""
    pytest.importorskip("setuptools", "65")
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "setup.py", "-q", "egg_info", f"--egg-base={folder}", "build"]
    command += [f"--build-base={folder / 'build'}", f"--build-lib={folder / 'installed'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "installed"


def test_one_package_is_installed(installed):
    assert [path.name for path in installed.iterdir()] == ["wormjax"]
    package = ROOT / "wormjax"
    names = {str(path.relative_to(package)) for path in (*package.rglob("*.py"), *package.rglob("*.html"))} | {
        "py.typed"
    }
    names |= {str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*.py")}
    names |= {str(path.relative_to(ROOT)) for path in (ROOT / "third_party").rglob("*.*")}
    assert {str(path.relative_to(installed / "wormjax")) for path in installed.rglob("*.*")} == names


def test_the_installed_package_has_its_configs_and_manifests(installed, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", USE_IT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == [str(installed / "wormjax" / "configs" / "nri_springs.py"), "kato2015"], done.stderr


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path):
    """A clone is a folder named wormjax: Python started beside it imports the package all the same."""
    (tmp_path / "wormjax").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import wormjax; print(wormjax.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert pathlib.Path(done.stdout.strip()) == ROOT / "wormjax" / "__init__.py", done.stderr
