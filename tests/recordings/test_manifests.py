"""The manifests of third_party: complete, and one that was changed fetches nothing outside its folder."""

import json
import os
import pathlib

import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.recordings import download


def test_the_manifests_are_complete():
    for study in download.STUDIES:
        manifest = download.load_manifest(study)
        assert manifest["study"] == study
        assert all(manifest[field] for field in ("title", "home", "licence", "citation"))
        for entry in manifest["files"]:
            download.check_address(entry["address"])
            assert {"file", "address", "size", "sha256"} <= set(entry)
            assert ".." not in entry["file"]
    with pytest.raises(InputError, match="expected one of: kato2015, nichols2017, dag2023"):
        download.load_manifest("container")


def test_a_damaged_manifest_is_named(tmp_path, monkeypatch):
    (tmp_path / "kato2015").mkdir()
    (tmp_path / "kato2015" / "manifest.json").write_text(json.dumps({})[:1])
    monkeypatch.setattr(download, "MANIFESTS", str(tmp_path))
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read"):
        download.load_manifest("kato2015")


WRONG = (
    *(None, True, -1, 0, 1.5, float("inf"), 10**30, "", " ", "a\nb", "\x1b[2J", "\0", "é" * 5000, [], {}, [[]], ["a"]),
    *("../x", "a/../../x", "/etc/x", "a//x", "C:/x", "C:\\x", "..\\x", "~/x", "http://example.org/x", "file:///etc/x"),
    *("https://", "https://[", "0" * 64, "g" * 64, ["../x"], ["a/b"], [None], {"file": "../x"}),
)


def change_manifest(manifest, rng):
    """Takes a field away, or puts something wrong in its place, somewhere in a manifest."""
    places, stack = [], [manifest]
    while stack:
        node = stack.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    node, key = places[rng.integers(len(places))]
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = WRONG[rng.integers(len(WRONG))]


def test_a_manifest_changed_in_any_way_fetches_nothing_outside_the_folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    folder, targets, refused = str(tmp_path / "to"), [], 0

    def fetch(address, target, size=None, sha256=None):
        download.check_address(address)
        targets.append(os.path.abspath(target))
        raise InputError(f"{address}: not fetched")

    monkeypatch.setattr(download, "fetch_file", fetch)
    contents = {
        study: pathlib.Path(download.MANIFESTS, study, "manifest.json").read_text() for study in download.STUDIES
    }
    monkeypatch.setattr(download, "MANIFESTS", str(tmp_path))
    for number in range(300):
        study = download.STUDIES[number % 3]
        place = tmp_path / study / "manifest.json"
        place.parent.mkdir(exist_ok=True)
        if number < 240:
            manifest = json.loads(contents[study])
            change_manifest(manifest, rng)
            place.write_text(json.dumps(manifest))
        else:
            content = bytearray(contents[study].encode())
            content[rng.integers(len(content))] = rng.integers(256)
            place.write_bytes(content[: rng.integers(len(content))] if number % 2 else content)
        fetched = len(targets)
        with pytest.raises(InputError) as caught:
            download.download_study(study, folder)
        assert str(caught.value).isprintable()
        refused += len(targets) == fetched
        if len(targets) == fetched and "expected https" not in str(caught.value):
            assert str(caught.value).startswith(str(place))
    assert refused > 150
    assert targets
    assert all(target.startswith(folder + os.sep) for target in targets)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(download.STUDIES)
