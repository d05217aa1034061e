"""Shipped files are found inside the package first, then beside it."""

import pytest

from wormjax import shipped
from wormjax.errors import InputError


def test_the_package_goes_before_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "wormjax")
    beside, inside = tmp_path / "third_party" / "a.json", tmp_path / "wormjax" / "third_party" / "a.json"
    for path in (beside, inside):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        assert shipped.find_shipped("third_party/a.json") == path
    with pytest.raises(InputError, match=r"b\.json: found no such file"):
        shipped.find_shipped("third_party/b.json")


def test_the_checkout_has_its_manifests():
    assert shipped.find_shipped("third_party/kato2015/manifest.json").is_file()
