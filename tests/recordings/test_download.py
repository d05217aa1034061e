"""Downloads, from a server on this machine: whole files arrive, and a failure leaves nothing behind."""

import hashlib
import http.server
import io
import os
import pathlib
import subprocess
import sys
import threading
import zipfile

import pytest
import recording_files
import requests

from wormjax.errors import InputError
from wormjax.recordings import dag2023, download, kato2015, nichols2017

ROOT = pathlib.Path(__file__).parents[2]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; a name in `server.short` announces more than it sends, in `server.moved` redirects."""

    def do_GET(self):
        name = self.path.lstrip("/").partition("?")[0]
        self.server.asked.append(name)
        if name in self.server.moved:
            self.send_response(302)
            self.send_header("Location", self.server.moved[name])
            self.end_headers()
        elif name not in self.server.files:
            self.send_error(404)
        else:
            body = self.server.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 1000 * (name in self.server.short)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.short, server.moved, server.asked = {}, set(), {}, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def nichols(server, tmp_path):
    """The server holds the four files of Nichols et al."""
    for condition in nichols2017.CONDITIONS:
        recording_files.write_nichols(tmp_path / "made.mat", condition)
        server.files[f"{condition}.mat"] = (tmp_path / "made.mat").read_bytes()
    (tmp_path / "made.mat").unlink()
    return server


def list_files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def zip_bytes(members, compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_fetches_a_study_once(nichols, tmp_path):
    folder = tmp_path / "deep" / "nichols"
    paths = download.download_study("nichols2017", folder, nichols.url)
    assert [os.path.basename(path) for path in paths] == [f"{name}.mat" for name in nichols2017.CONDITIONS]
    assert list_files(folder) == sorted(f"{name}.mat" for name in nichols2017.CONDITIONS)
    assert len(nichols2017.read(folder)) == 8
    assert len(nichols.asked) == 4
    download.download_study("nichols2017", folder, nichols.url)
    assert len(nichols.asked) == 4


def test_fetches_what_is_damaged_again(nichols, tmp_path):
    download.download_study("nichols2017", tmp_path, nichols.url)
    (tmp_path / "n2_let.mat").write_bytes(nichols.files["n2_let.mat"][:3000])
    download.download_study("nichols2017", tmp_path, nichols.url)
    assert nichols.asked[4:] == ["n2_let.mat"]
    assert (tmp_path / "n2_let.mat").read_bytes() == nichols.files["n2_let.mat"]


def test_fetches_dag_into_its_own_layout(server, tmp_path):
    uids = [name[:13] for name in (f"2022-0{k}-01-01" for k in range(1, 9))]
    recording_files.write_dag(tmp_path / "made", uids=uids)
    listed = [entry["file"] for entry in download.load_manifest("dag2023")["files"]]
    assert listed[0] == "data/receptor_expression/NeuroPAL_labels_dict.jld2"
    made = sorted(path for path in (tmp_path / "made").rglob("*") if path.is_file())
    server.files = {name: path.read_bytes() for name, path in zip(listed, made, strict=True)}
    download.download_study("dag2023", tmp_path / "dag", server.url)
    assert {path.name for path in (tmp_path / "dag").iterdir()} == {"data"}
    with pytest.raises(InputError, match="found no key '2022-07-26-31'"):  # Found the labels; they are of other uids.
        dag2023.read(tmp_path / "dag")


def test_unpacks_kato(server, tmp_path):
    recording_files.write_kato(tmp_path / "made.mat")
    content = (tmp_path / "made.mat").read_bytes()
    server.files["2395t.zip"] = zip_bytes({"in/WT_NoStim.mat": content, "readme_Kato2015.txt": b"x", "other.mat": b"y"})
    for _ in range(2):
        paths = download.download_study("kato2015", tmp_path / "kato", server.url)
        assert sorted(map(os.path.basename, paths)) == ["WT_NoStim.mat", "readme_Kato2015.txt"]
    assert server.asked == ["2395t.zip"]
    assert list_files(tmp_path / "kato") == ["WT_NoStim.mat", "readme_Kato2015.txt"]
    assert len(kato2015.read(tmp_path / "kato")) == 2


def fail_to_download(study, folder, url) -> str:
    with pytest.raises(InputError) as caught:
        download.download_study(study, folder, url)
    assert "\n" not in str(caught.value)
    assert not any(path.is_file() for path in folder.rglob("*"))
    return str(caught.value)


def test_an_interrupted_download_leaves_nothing(nichols, tmp_path):
    nichols.short.add("n2_prelet.mat")
    message = fail_to_download("nichols2017", tmp_path / "a" / "b", nichols.url)
    assert "n2_prelet.mat" in message
    assert nichols.url in message


def test_a_later_failure_keeps_the_whole_files(nichols, tmp_path):
    nichols.short.add("npr1_prelet.mat")
    with pytest.raises(InputError):
        download.download_study("nichols2017", tmp_path / "a", nichols.url)
    assert list_files(tmp_path / "a") == ["n2_let.mat", "n2_prelet.mat"]


def test_a_file_that_is_not_there(server, tmp_path):
    assert "404" in fail_to_download("nichols2017", tmp_path / "a", server.url)


def test_a_page_instead_of_the_file(nichols, tmp_path):
    nichols.files["n2_prelet.mat"] = b"<html>Please log in</html>"
    assert "not HDF5" in fail_to_download("nichols2017", tmp_path / "a", nichols.url)


def test_a_file_cut_short_at_the_source(nichols, tmp_path):
    nichols.files["n2_prelet.mat"] = nichols.files["n2_prelet.mat"][:-2000]
    assert "truncated" in fail_to_download("nichols2017", tmp_path / "a", nichols.url)


def test_nobody_answers(server, tmp_path):
    server.shutdown()
    server.server_close()
    assert "failed" in fail_to_download("nichols2017", tmp_path / "a", server.url)


def test_checksum(server, tmp_path):
    server.files["a.bin"] = b"content"
    address, target = f"{server.url}/a.bin", tmp_path / "a.bin"
    right = hashlib.sha256(b"content").hexdigest()
    with pytest.raises(InputError, match="hash"):
        download.fetch_file(address, target, "0" * 64)
    assert list_files(tmp_path) == []
    assert download.fetch_file(address, target, right) == target
    download.fetch_file(address, target, right)
    assert server.asked == ["a.bin"] * 2


def test_a_failed_update_keeps_the_old_file(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    server.files["a.bin"] = b"wrong"
    with pytest.raises(InputError):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", "0" * 64)
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert list_files(tmp_path) == ["a.bin"]


def test_a_file_outside_the_folder_is_refused(server, tmp_path):
    with pytest.raises(InputError, match="a file outside"):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "in" / ".." / "a.bin", folder=tmp_path / "in")
    assert server.asked == []


def test_an_interrupt_by_the_user_leaves_nothing(server, tmp_path, monkeypatch):
    server.files["a.bin"] = b"content"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(download.pooch.core.shutil, "move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "new" / "a.bin")
    assert list_files(tmp_path) == ["new"]


@pytest.mark.parametrize(
    "address", ["http://example.org/a", "ftp://127.0.0.1/a", "file:///etc/hosts", "a.mat", "https://"]
)
def test_only_https_is_fetched(address, tmp_path):
    with pytest.raises(InputError, match="expected https"):
        download.fetch_file(address, tmp_path / "a")


def test_a_folder_in_the_files_place(server, tmp_path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(InputError, match="found a folder"):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin")
    (tmp_path / "b").write_text("")
    with pytest.raises(InputError, match="failed"):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "b" / "a.bin")


def test_a_redirection_is_followed_here_and_nowhere_insecure(server, tmp_path):
    server.files["b.bin"] = b"content"
    server.moved = {"a.bin": "/b.bin", "bad.bin": "ftp://127.0.0.1/x"}
    download.fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"content"
    with pytest.raises(InputError):
        download.fetch_file(f"{server.url}/bad.bin", tmp_path / "bad.bin")


def test_no_redirection_leaves_https(server, tmp_path, monkeypatch):
    """Neither to a foreign host nor to this one: the request is never made."""
    server.files["b.bin"] = b"content"
    plain = requests.adapters.HTTPAdapter.send
    sent = []

    def send(adapter, request, **keywords):
        sent.append(request.url)
        if not request.url.startswith("https://"):
            return plain(adapter, request, **keywords)
        response = requests.Response()
        response.status_code, response.request, response.url = 302, request, request.url
        response.headers["location"] = targets[0]
        response.raw = io.BytesIO()
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    targets = [f"{server.url}/b.bin", "http://example.org/b.bin", "//", "file:///etc/hosts", "ftp://example.org/b"]
    while targets:
        with pytest.raises(InputError) as caught:
            download.fetch_file("https://example.org/a.bin", tmp_path / "a.bin")
        assert len(str(caught.value).splitlines()) == 1
        assert set(sent) == {"https://example.org/a.bin"}
        assert server.asked == []
        assert list_files(tmp_path) == []
        targets.pop(0)


def test_no_redirection_leaves_this_host_by_http(server, tmp_path, monkeypatch):
    server.moved["a.bin"] = "http://example.org/b.bin"
    plain = requests.adapters.HTTPAdapter.send

    def send(adapter, request, **keywords):
        assert request.url.startswith(server.url), "a request left this machine"
        return plain(adapter, request, **keywords)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(InputError, match="expected https"):
        download.fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"other.mat": b""}, "found only other.mat, expected WT_NoStim.mat"),
        ({"WT_NoStim.mat": b"not HDF5 at all"}, "not HDF5"),
    ],
)
def test_wrong_archives_leave_nothing(server, tmp_path, members, words):
    server.files["2395t.zip"] = zip_bytes(members)
    assert words in fail_to_download("kato2015", tmp_path / "a", server.url)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "C:/evil", "in/evil"])
def test_nothing_in_an_archive_leaves_the_folder(name, tmp_path):
    (tmp_path / "in").mkdir()
    link = zipfile.ZipInfo("../link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        archive.writestr(name, b"content")
        archive.writestr(link, "/etc/hosts")
        archive.writestr("../unwanted", b"")
    download.unpack_archive(tmp_path / "in" / "a.zip", ["evil"], ["link"])
    assert list_files(tmp_path) == ["in", "in/a.zip", "in/evil", "in/link"]
    assert not (tmp_path / "in" / "link").is_symlink()


def test_a_zip_bomb_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_bytes({"a": bytes(5_000_000), "b": b""}, zipfile.ZIP_DEFLATED))
    with pytest.raises(InputError, match="more to unpack than the limit"):
        download.unpack_archive(tmp_path / "a.zip", ["a", "b"], limit=1_000_000)
    assert list_files(tmp_path) == ["a.zip"]


def test_a_damaged_archive(server, tmp_path):
    content = bytearray(zip_bytes({"WT_NoStim.mat": os.urandom(5000)}))
    content[2000] ^= 255
    server.files["2395t.zip"] = bytes(content)
    assert "damaged zip archive" in fail_to_download("kato2015", tmp_path / "a", server.url)
    server.files["2395t.zip"] = bytes(content[:3000])
    assert "no zip archive" in fail_to_download("kato2015", tmp_path / "a", server.url)


def run_program(*arguments):
    command = [sys.executable, "-m", "experiments.download", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_program(nichols, tmp_path):
    arguments = ["--study=nichols2017", f"--folder={tmp_path / 'n'}", f"--base_url={nichols.url}"]
    done = run_program(*arguments)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "n" / "n2_let.mat") in done.stdout
    assert f"--config.data.path={tmp_path / 'n'}" in done.stdout
    assert "cite:    Nichols ALA" in done.stdout
    assert "licence: " in done.stdout
    nichols.short.add("n2_prelet.mat")
    failed = run_program("--study=nichols2017", f"--folder={tmp_path / 'm'}", f"--base_url={nichols.url}")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1, failed.stderr
    assert not any(path.is_file() for path in (tmp_path / "m").rglob("*"))


def test_the_manifests_are_complete():
    for study in download.STUDIES:
        manifest = download.load_manifest(study)
        assert manifest["study"] == study
        assert all(manifest[field] for field in ("title", "home", "licence", "citation"))
        for entry in manifest["files"]:
            download.check_address(entry["address"])
            assert {"file", "address", "sha256"} <= set(entry)
    with pytest.raises(InputError, match="expected one of: kato2015, nichols2017, dag2023"):
        download.load_manifest("container")
