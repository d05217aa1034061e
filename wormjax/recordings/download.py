"""Fetches the public recordings that third_party/ lists, and leaves nothing behind when it fails.

A manifest, third_party/<study>/manifest.json, has `study`, `title`, `home`, `licence`, `citation` and `files`. A file
has `file` (its path in the folder), `address`, `size` in bytes and `sha256`, both null where nobody has checked them.
An archive (zip) has besides `unpack` and `unpack_optional`, the names to take out of it, and `unpack_limit` in bytes.
"""

import contextlib
import functools
import importlib
import json
import os
import re
import shutil
import stat
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pooch
import requests
import tqdm

from wormjax.errors import InputError
from wormjax.recordings import hdf5

MANIFESTS = str(next(iter(importlib.import_module("wormjax.third_party").__path__)))
STUDIES = ("kato2015", "nichols2017", "dag2023")
LARGEST_DOWNLOAD = 4 << 30  # Bytes.
CHUNK = 1 << 18
TIMEOUT = 60  # Seconds without an answer.
HDF5_SUFFIXES = (".mat", ".h5", ".jld2")
TEXTS = ("study", "title", "home", "licence", "citation")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def load_manifest(study: str) -> dict[str, Any]:
    """A study's manifest: where its files lie, licence, citation."""
    if study not in STUDIES:
        raise InputError(f"--study: found {study!r}, expected one of: {', '.join(STUDIES)}")
    path = os.path.normpath(os.path.join(MANIFESTS, study, "manifest.json"))
    try:
        with open(path, encoding="utf-8") as stream:
            manifest = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected a checkout of the repository") from None
    check_manifest(manifest, study, path)
    return manifest


def check_manifest(manifest: Any, study: str, path: str) -> None:
    """What a manifest says is used only where each of its fields is as it should be, and its files stay in the folder.

    Raises:
      InputError: a field is missing or wrong.
    """

    def expect(holds: bool, field: str, value: Any, expected: str) -> None:
        if not holds:
            raise InputError(f"{path}: field {field!r}: found {str(value)[:80]!r}, expected {expected}")

    expect(isinstance(manifest, dict), "/", manifest, "an object")
    for field in TEXTS:
        value = manifest.get(field)
        expect(isinstance(value, str) and bool(value.strip()), field, value, "a text")
    expect(manifest["study"] == study, "study", manifest["study"], study)
    entries = manifest.get("files")
    expect(isinstance(entries, list) and bool(entries), "files", entries, "a list of files")
    for number, entry in enumerate(entries):
        expect(isinstance(entry, dict), f"files/{number}", entry, "an object")
        for field, (is_right, expected) in _ENTRY.items():
            required = field in ("file", "address", "size", "sha256") or (field == "unpack_limit" and "unpack" in entry)
            if field in entry or required:
                found = entry.get(field, "nothing")
                expect(field in entry and is_right(found), f"files/{number}/{field}", found, expected)


def _is_safe_path(value: Any) -> bool:
    """Whether a name leads to a place within the folder, on every system."""
    if not isinstance(value, str) or not value.isprintable() or set(value) & set('\\:*?"<>|'):
        return False
    return all(part not in ("", ".", "..") for part in value.split("/"))


def _is_name_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_safe_path(name) and "/" not in name for name in value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= LARGEST_DOWNLOAD


def _is_checksum(value: Any) -> bool:
    return value is None or (isinstance(value, str) and re.fullmatch("[0-9a-fA-F]{64}", value) is not None)


# Field of a file's entry → the check of it, and what is expected.
_ENTRY: dict[str, tuple[Callable[[Any], bool], str]] = {
    "file": (_is_safe_path, "a path within the folder"),
    "address": (lambda value: isinstance(value, str), "an address"),
    "size": (lambda value: value is None or _is_count(value), "bytes, or null"),
    "sha256": (_is_checksum, "64 hexadecimal digits, or null"),
    "unpack": (_is_name_list, "a list of names without folders"),
    "unpack_optional": (_is_name_list, "a list of names without folders"),
    "unpack_limit": (_is_count, "bytes"),
}


def download_study(study: str, folder: str | os.PathLike, base_url: str | None = None) -> tuple[str, ...]:
    """Fetches a study's files into a folder; those that lie there whole are kept.

    Args:
      study: one of `STUDIES`.
      folder: where the files go, in the layout that the study's reader expects.
      base_url: a mirror that holds the manifest's files under their names, instead of the manifest's addresses.
    Returns:
      the paths of the files.
    Raises:
      InputError: a file could not be fetched, or is not what the manifest says. Whole files stay, others do not.
    """
    folder = os.fspath(folder)
    paths: list[str] = []
    with created_folder(folder):
        for entry in load_manifest(study)["files"]:
            address = entry["address"]
            if base_url is not None:
                address = f"{base_url.rstrip('/')}/{urllib.parse.quote(entry['file'])}"
            if "unpack" in entry:
                paths += fetch_archive(address, folder, entry)
            else:
                target = os.path.join(folder, *entry["file"].split("/"))
                paths.append(fetch_file(address, target, entry["size"], entry["sha256"]))
    return tuple(paths)


def fetch_file(address: str, target: str, size: int | None = None, sha256: str | None = None) -> str:
    """Fetches one file, checks it, and only then puts it at `target`. A whole file that is there is kept.

    Raises:
      InputError: the address cannot be had, or what came is not the file.
    """
    if os.path.isdir(target):
        raise InputError(f"{target}: found a folder, expected a file or nothing")
    if os.path.exists(target) and describe_damage(target, size, sha256) is None:
        return target
    check_address(address)
    folder, name = os.path.split(os.path.abspath(target))
    with created_folder(folder), _temporary_folder(folder) as temporary:
        stream = functools.partial(stream_to_file, name=name)
        try:
            pooch.get_logger().setLevel("WARNING")
            fetched = pooch.retrieve(address, known_hash=None, fname=name, path=temporary, downloader=stream)
            damage = describe_damage(fetched, size, sha256)
            if damage:
                raise InputError(f"{address}: {damage}; nothing was kept")
            os.replace(fetched, target)
        except (requests.RequestException, OSError) as error:
            raise InputError(f"{address}: the download of {name} failed ({error}); run it again") from None
    return target


def describe_damage(path: str, size: int | None = None, sha256: str | None = None) -> str | None:
    """What is wrong with a downloaded file, in half a sentence, or None: size, checksum, opens as HDF5 or zip."""
    try:
        found = os.path.getsize(path)
        open(path, "rb").close()
    except OSError as error:
        return f"found a file that cannot be read ({error.strerror})"
    if size is not None and found != size:
        return f"found {found:,} bytes, expected {size:,}"
    if sha256 is not None and pooch.file_hash(path, alg="sha256") != sha256.lower():
        return f"found the SHA-256 {pooch.file_hash(path, alg='sha256')}, expected {sha256}"
    if path.endswith(HDF5_SUFFIXES):
        try:
            with hdf5.open_hdf5(path):
                return None
        except InputError as error:
            return str(error).partition(": ")[2]
    if path.endswith(".zip") and not zipfile.is_zipfile(path):
        return "found a file that is no zip archive, expected one"
    return None


def check_address(address: str) -> None:
    """Only https is fetched; http only from this machine."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise InputError(f"{address}: found no address ({error}), expected https") from None
    local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise InputError(f"{address}: found an address of type {parts.scheme!r}, expected https")


def stream_to_file(address: str, output: str | os.PathLike, _pooch: Any = None, *, name: str = "file") -> None:
    """Streams an address to a file, with a progress bar; pooch's downloader.

    Raises:
      InputError: another status than 200, a redirection away from https, or fewer bytes than announced.
    """
    with requests.Session() as session:
        if urllib.parse.urlsplit(address).scheme == "https":
            del session.adapters["http://"]  # A redirection to http fails.
        else:
            session.trust_env = False  # No proxy on the way to this machine.
        headers = {"Accept-Encoding": "identity"}
        hooks = {"response": _check_redirection}
        with session.get(address, stream=True, timeout=TIMEOUT, headers=headers, hooks=hooks) as response:
            check_address(response.url)
            if response.status_code != 200:
                status = f"{response.status_code} ({response.reason})"
                raise InputError(f"{address}: found HTTP status {status}, expected 200 and the file {name}")
            length = response.headers.get("Content-Length", "")
            announced = int(length) if length.isdecimal() else -1
            written = _write_body(response, output, announced, name)
    if announced >= 0 and written != announced:
        raise InputError(f"{address}: found {written:,} bytes of {name}, expected {announced:,}; run it again")


def _check_redirection(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuses a redirection to another address than `check_address` allows, before it is followed."""
    if response.is_redirect:
        check_address(urllib.parse.urljoin(response.url, response.headers["location"]))


def _write_body(response: requests.Response, output: str | os.PathLike, announced: int, name: str) -> int:
    total = announced if announced >= 0 else None
    written = 0
    with (
        open(output, "wb") as stream,
        tqdm.tqdm(total=total, desc=name, unit="B", unit_scale=True, leave=False, disable=None) as bar,
    ):
        for block in response.iter_content(CHUNK):
            written += stream.write(block)
            bar.update(len(block))
            if written > LARGEST_DOWNLOAD:
                raise InputError(f"{response.url}: found more than {LARGEST_DOWNLOAD:,} bytes of {name}")
    return written


def fetch_archive(address: str, folder: str, entry: Mapping[str, Any]) -> list[str]:
    """Fetches a zip archive, takes the manifest's files out of it, and puts them into the folder.

    Raises:
      InputError: the archive cannot be had, lacks a file, or is not safe to unpack.
    """
    wanted = [os.path.join(folder, name) for name in entry["unpack"]]
    if all(os.path.exists(path) and describe_damage(path) is None for path in wanted):
        optional = [os.path.join(folder, name) for name in entry.get("unpack_optional", ())]
        return wanted + [path for path in optional if os.path.exists(path)]
    with created_folder(folder), _temporary_folder(folder) as temporary:
        archive = os.path.join(temporary, entry["file"])
        fetch_file(address, archive, entry["size"], entry["sha256"])
        unpacked = unpack_archive(
            archive, temporary, entry["unpack"], entry.get("unpack_optional", ()), entry["unpack_limit"]
        )
        for path in unpacked:
            damage = describe_damage(path)
            if damage:
                raise InputError(f"{address}: {os.path.basename(path)}: {damage}; nothing was kept")
        return [shutil.move(path, os.path.join(folder, os.path.basename(path))) for path in unpacked]


def unpack_archive(
    archive: str, folder: str, wanted: Sequence[str], optional: Sequence[str] = (), limit: int = LARGEST_DOWNLOAD
) -> list[str]:
    """Takes files out of a zip archive by their base names, at most `limit` bytes together.

    Raises:
      InputError: no whole zip archive, a member that would leave the folder, too many bytes, or a file is not there.
    """
    name = os.path.basename(archive)
    try:
        with zipfile.ZipFile(archive) as source:
            members = source.infolist()
            for member in members:
                _check_member(member, name)
            by_name = {os.path.basename(member.filename): member for member in members if not member.is_dir()}
            missing = [file for file in wanted if file not in by_name]
            if missing:
                found = ", ".join(sorted(by_name)[:12]) or "nothing"
                raise InputError(f"{name}: found only {found}, expected {missing[0]} in the archive")
            chosen = [file for file in (*wanted, *optional) if file in by_name]
            left, paths = limit, []
            for file in chosen:
                paths.append(os.path.join(folder, file))
                left -= _unpack_member(source, by_name[file], paths[-1], left, name)
            return paths
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InputError(f"{name}: found a damaged zip archive ({error}), expected a whole one") from None


def _check_member(member: zipfile.ZipInfo, archive: str) -> None:
    parts = member.filename.replace("\\", "/").split("/")
    leaves = member.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]
    if leaves or stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{archive}: found the member {member.filename!r}, expected files within the folder only")


def _unpack_member(source: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, limit: int, name: str) -> int:
    """Writes one member; the bytes are counted as they come, since an archive may declare fewer."""
    written = 0
    with source.open(member) as packed, open(path, "wb") as stream:
        while block := packed.read(CHUNK):
            written += len(block)
            if written > limit:
                raise InputError(f"{name}: found more to unpack than the limit allows, expected a smaller archive")
            stream.write(block)
    return written


@contextlib.contextmanager
def created_folder(folder: str) -> Iterator[None]:
    """Makes a folder; on an error the folders that were made for it and are empty go again."""
    made = []
    path = os.path.abspath(folder)
    while not os.path.exists(path):
        made.append(path)
        path = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"--folder: cannot make {folder} ({error.strerror}), expected a folder") from None
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


@contextlib.contextmanager
def _temporary_folder(folder: str) -> Iterator[str]:
    """A folder in `folder`, on the same disk, that is removed whatever happens."""
    try:
        path = tempfile.mkdtemp(prefix=".download-", dir=folder)
    except OSError as error:
        raise InputError(f"--folder: cannot write to {folder} ({error.strerror})") from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
