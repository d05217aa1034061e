"""Download the public data that third_party/ lists.

A manifest, third_party/<study>/manifest.json, has `study`, `title`, `home`, `licence`, `citation` and `files`. An entry
of `files` has `file` (its path in the folder), `address`, and `sha256`, which is null where nobody has checked it. An
archive (zip) also has `unpack` and `unpack_optional`, the names to take out of it, and `unpack_limit` in bytes.
"""

import contextlib
import json
import os
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pooch
import requests

from wormjax.errors import InputError
from wormjax.recordings import hdf5
from wormjax.shipped import find_shipped

STUDIES = ("kato2015", "nichols2017", "dag2023", "randi2023")
CHUNK = 1 << 18  # Bytes.
TIMEOUT = 60  # Seconds without an answer.
HDF5_SUFFIXES = (".mat", ".h5", ".jld2")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def load_manifest(study: str) -> dict[str, Any]:
    """Return a study's manifest: the addresses of its files, licence, citation."""
    if study not in STUDIES:
        raise InputError(f"--study: found {study!r}, expected one of: {', '.join(STUDIES)}")
    return json.loads(find_shipped(f"third_party/{study}/manifest.json").read_text(encoding="utf-8"))


def download_study(study: str, folder: str | os.PathLike, base_url: str | None = None) -> tuple[str, ...]:
    """Download a study's files into a folder, keep those that are there and whole, and return their paths.

    `base_url` is a mirror that holds the manifest's files under their names, instead of the manifest's addresses.
    InputError for a file that could not be downloaded, or is not what the manifest says. Whole files stay, others do
    not.
    """
    paths: list[Path] = []
    for entry in load_manifest(study)["files"]:
        address = entry["address"]
        if base_url is not None:
            address = f"{base_url.rstrip('/')}/{urllib.parse.quote(entry['file'])}"
        if "unpack" in entry:
            paths += _fetch_archive(address, Path(folder), entry)
        else:
            paths.append(fetch_file(address, Path(folder, entry["file"]), entry["sha256"], Path(folder)))
    return tuple(map(str, paths))


def fetch_file(address: str, target: Path, sha256: str | None = None, folder: Path | None = None) -> Path:
    """Download one file, unless it is there and whole, and return its path.

    Addresses are https, or http from this machine; `sha256` is None where nobody has checked it. The file must not
    leave `folder`, that of `target` by default. InputError for an address that cannot be read, or a file that is not
    the expected one; then it is removed.
    """
    folder = (folder or target.parent).resolve()
    if not target.resolve().is_relative_to(folder) or target.is_dir():
        raise InputError(f"{target}: found a folder, or a file outside {folder}, expected a file in it")
    if target.exists() and _describe_damage(target) is not None:
        target.unlink()
    check_address(address)
    source = pooch.create(path=target.parent, base_url="", registry={target.name: sha256}, urls={target.name: address})
    pooch.get_logger().setLevel("WARNING")
    try:
        options = {"timeout": TIMEOUT, "hooks": {"response": _check_redirection}, "chunk_size": CHUNK}
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), **options)
        source.fetch(target.name, downloader=downloader)
    except InputError:
        raise
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: another checksum.
        raise InputError(f"{address}: the download of {target.name} failed ({error}); run it again") from None
    damage = _describe_damage(target)
    if damage is not None:
        target.unlink()
        raise InputError(f"{address}: {damage}; nothing was kept")
    return target


def _describe_damage(path: Path) -> str | None:
    """Return what is wrong with a file that should be HDF5 or zip, or None."""
    if path.suffix == ".zip" and not zipfile.is_zipfile(path):
        return "found a file that is no zip archive, expected one"
    if path.suffix in HDF5_SUFFIXES:
        try:
            with hdf5.open_hdf5(path):
                return None
        except InputError as error:
            return str(error).removeprefix(f"{path}: ")
    return None


def check_address(address: str) -> None:
    """Raise InputError for an address other than https, or http from this machine."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise InputError(f"{address}: found no address ({error}), expected https") from None
    local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise InputError(f"{address}: found an address of type {parts.scheme!r}, expected https")


def _check_redirection(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuse a redirection from https to anything else, before it is followed."""
    if response.is_redirect:
        target = urllib.parse.urljoin(response.url, response.headers["location"])
        check_address(target)
        if response.url.startswith("https:") and not target.startswith("https:"):
            raise InputError(f"{response.url}: found a redirection to {target}, expected https")


def _fetch_archive(address: str, folder: Path, entry: Mapping[str, Any]) -> list[Path]:
    """Download a zip archive, unless the files in it are there and whole, and unpack those that the manifest names."""
    wanted = [folder / name for name in entry["unpack"]]
    if not all(path.exists() and _describe_damage(path) is None for path in wanted):
        archive = fetch_file(address, folder / entry["file"], entry["sha256"])
        try:
            unpack_archive(archive, entry["unpack"], entry.get("unpack_optional", ()), entry["unpack_limit"])
            for path in wanted:
                if (damage := _describe_damage(path)) is not None:
                    path.unlink()
                    raise InputError(f"{address}: {path.name}: {damage}; nothing was kept")
        finally:
            archive.unlink()
    return wanted + [path for name in entry.get("unpack_optional", ()) if (path := folder / name).exists()]


def unpack_archive(archive: Path, wanted: list[str], optional: list[str] = (), limit: int = 2 << 30) -> None:
    """Unpack files of a zip archive, found by their names without folders, beside it.

    The archive must hold `wanted` and may hold `optional`; `limit` is the most bytes to unpack. InputError for an
    archive that is damaged, lacks a file, or would unpack to more.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = {os.path.basename(member.filename): member for member in source.infolist()}
            missing = [name for name in wanted if name not in members]
            if missing:
                found = ", ".join(sorted(members)[:12]) or "nothing"
                raise InputError(f"{archive.name}: found only {found}, expected {missing[0]} in the archive")
            chosen = [name for name in (*wanted, *optional) if name in members]
            if sum(members[name].file_size for name in chosen) > limit:
                raise InputError(f"{archive.name}: found more to unpack than the limit of {limit:,} bytes")
            for name in chosen:
                members[name].filename = name  # Without folders, so that nothing leaves the folder.
                source.extract(members[name], archive.parent)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        for name in (*wanted, *optional):
            with contextlib.suppress(OSError):
                (archive.parent / name).unlink()
        raise InputError(f"{archive.name}: found a damaged zip archive ({error}), expected a whole one") from None
