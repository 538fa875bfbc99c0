"Download over a bad network, and hostile archives: every server is on 127.0.0.1 and every archive is made here."

import hashlib
import importlib
import io
import os
import random
import re
import shutil
import socket
import stat
import struct
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avesound.data import ave
from avesound.data.ave import download_ave, find_ave, verify_ave
from avesound.data.download import DownloadError, ZipError, fetch_zip, safe_extract

FAST = dict(backoff_s=0.001, timeout_s=2.0)


def ave_zip(seed=0, n_bytes=400_000):
    "A small AVE dataset as a zip file, in bytes; its length does not depend on the seed."
    rng, buffer = random.Random(seed), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("AVE_Dataset/Annotations.txt"), "Bark&-abc&good&0&10\nCat&def&good&2&4\n")
        archive.writestr(zipfile.ZipInfo("AVE_Dataset/AVE/-abc.mp4"), rng.randbytes(n_bytes))
        archive.writestr(zipfile.ZipInfo("AVE_Dataset/AVE/def.mp4"), rng.randbytes(1000))
    return buffer.getvalue()


@dataclass
class Server:
    "What it answers; change it between requests."

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True
    if_range: bool = True  # obeys If-Range
    cuts: list = field(default_factory=list)  # for each answer, bytes of body after which the line goes dead; then no more
    statuses: list = field(default_factory=list)  # for each answer, the status; then 200
    length: int | None = None  # what Content-Length claims
    with_length: bool = True
    kind: str = "application/zip"
    silent_s: float = 0.0  # silence before the answer
    asked: list = field(default_factory=list)  # (path, Range, If-Range) of each request
    port: int = 0
    route: object = None  # path -> None, or (status, headers, body) instead

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/AVE_Dataset.zip"

    def answer(self, handler):
        asked, if_range = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append((handler.path, asked, if_range))
        time.sleep(self.silent_s)
        special = self.route(handler.path) if self.route else None
        if special:
            status, headers, body = special
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
            return
        status = self.statuses.pop(0) if self.statuses else 200
        body, headers, start = self.content, {}, 0
        if status == 200 and asked and self.ranges and not (self.if_range and if_range and if_range not in (self.etag, self.last_modified)):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(self.content):
                status, body, headers["Content-Range"] = 416, b"", f"bytes */{len(self.content)}"
            else:
                status, body = 206, self.content[start:]
                headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        handler.send_response(status)
        headers |= {"ETag": self.etag, "Last-Modified": self.last_modified, "Content-Type": self.kind}
        if "/drive" in handler.path or "/uc" in handler.path or "/download" in handler.path:
            headers["Content-Disposition"] = 'attachment; filename="AVE_Dataset.zip"'
        if self.with_length:
            headers["Content-Length"] = str(len(body) if self.length is None else self.length - start)
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    state = Server(ave_zip())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                state.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.close_connection = True

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        state.port = http.server_port
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield state
        http.shutdown()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".avesound.lock")


def assert_arrived(result, folder, content):
    assert result.sha256 == hashlib.sha256(content).hexdigest() and result.files.complete
    assert (folder / "AVE_Dataset.zip").read_bytes() == content
    assert names(folder) == ["AVE_Dataset.zip", "ave_annotations.csv", "raw"]


VALIDATORS = [dict(etag='"one"'), dict(etag=None, last_modified="Tue, 01 May 2018 10:00:00 GMT"), dict(etag='W/"weak"'), dict(etag=None)]


@pytest.mark.parametrize("validators", VALIDATORS, ids=["etag", "last-modified", "weak-etag", "none"])
def test_a_download_that_breaks_goes_on(server, tmp_path, validators):
    server.__dict__.update(validators, cuts=[100_000, 100_000, 70_000])
    assert_arrived(
        download_ave(tmp_path, url=server.url, sha256=hashlib.sha256(server.content).hexdigest(), **FAST), tmp_path, server.content
    )
    starts = [int(asked[6:-1]) if asked else 0 for _, asked, _ in server.asked]
    assert len(starts) == 4 and starts[0] == 0 and starts == sorted(starts) and starts[1] > 50_000
    usable = server.etag if server.etag == '"one"' else server.last_modified
    assert {if_range for _, asked, if_range in server.asked if asked} == {usable}


def test_a_killed_download_goes_on_in_the_next_call(server, tmp_path):
    server.cuts = [150_000]
    with pytest.raises(DownloadError, match=r"kB are kept in .*\.part; run again"):
        download_ave(tmp_path, url=server.url, retries=0, **FAST)
    assert names(tmp_path) == ["AVE_Dataset.zip.part", "AVE_Dataset.zip.part.json"]
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, server.content)
    assert server.asked[-1][1] == "bytes=131072-"


def test_failures_are_counted_anew_when_something_arrives(server, tmp_path):
    server.cuts = [70_000] * 5
    assert_arrived(download_ave(tmp_path, url=server.url, retries=1, **FAST), tmp_path, server.content)


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    server.ranges, server.cuts = False, [150_000, 100_000]
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, server.content)
    assert [asked is not None for _, asked, _ in server.asked] == [False, True, True]
    server.cuts = [100_000] * 50
    (tmp_path / "AVE_Dataset.zip").unlink()
    (tmp_path / "raw" / "AVE" / "def.mp4").unlink()
    with pytest.raises(DownloadError):  # and gives up if it never comes further
        download_ave(tmp_path, url=server.url, retries=3, **FAST)
    assert len(server.asked) == 3 + 4


@pytest.mark.parametrize("before", VALIDATORS, ids=["etag", "last-modified", "weak-etag", "none"])
@pytest.mark.parametrize("obeys", [True, False], ids=["if-range", "ignores-if-range"])
@pytest.mark.parametrize("other_length", [True, False])
def test_a_file_that_changed_is_never_joined_to_the_old_half(server, tmp_path, before, obeys, other_length):
    server.__dict__.update(before, cuts=[150_000], if_range=obeys)
    with pytest.raises(DownloadError):
        download_ave(tmp_path, url=server.url, retries=0, **FAST)
    server.content = ave_zip(seed=1, n_bytes=500_000 if other_length else 400_000)
    server.etag, server.last_modified = server.etag and '"two"', server.last_modified and "Wed, 02 May 2018 10:00:00 GMT"
    if not other_length and before == dict(etag=None):
        # Nothing in the answers tells the two files apart. The checksums inside the zip do.
        with pytest.raises(ZipError, match="-abc.mp4' is damaged"):
            download_ave(tmp_path, url=server.url, **FAST)
        assert names(tmp_path) == ["AVE_Dataset.zip", "raw"] and not names(tmp_path / "raw")
        return
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, server.content)


def test_another_address_for_the_same_file_goes_on_by_its_tag(server, tmp_path):
    server.cuts = [150_000]
    with pytest.raises(DownloadError):
        download_ave(tmp_path, url=server.url, retries=0, **FAST)
    assert_arrived(download_ave(tmp_path, url=server.url + "?signature=new", **FAST), tmp_path, server.content)
    assert server.asked[-1][1] is not None


def test_another_address_without_a_tag_starts_anew(server, tmp_path):
    server.cuts, server.etag = [150_000], None
    with pytest.raises(DownloadError):
        download_ave(tmp_path, url=server.url, retries=0, **FAST)
    assert_arrived(download_ave(tmp_path, url=server.url + "?other", **FAST), tmp_path, server.content)
    assert server.asked[-1][1] is None


@pytest.mark.parametrize(
    "note",
    [
        "",
        "[]",
        "{}",
        "not json",
        '{"url": "x", "etag": null, "last_modified": null, "total": "y"}',
        '{"url": "x", "etag": "v", "last_modified": null, "total": 1}',
    ],
)
def test_a_damaged_note_costs_time_but_no_content(server, tmp_path, note):
    (tmp_path / "AVE_Dataset.zip.part").write_bytes(b"PK something else")
    (tmp_path / "AVE_Dataset.zip.part.json").write_text(note)
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, server.content)


def test_a_web_page_instead_of_the_archive_is_reported_and_keeps_what_was_there(server, tmp_path):
    server.cuts = [150_000]
    with pytest.raises(DownloadError):
        download_ave(tmp_path, url=server.url, retries=0, **FAST)
    archive, server.content, server.kind, server.etag = (
        server.content,
        b"<html><title> Quota exceeded </title>" + bytes(500_000),
        "text/html",
        None,
    )
    with pytest.raises(DownloadError, match="no zip file but text/html, titled 'Quota exceeded'.*as .zip_path.") as caught:
        download_ave(tmp_path, url=server.url, **FAST)
    assert server.url in str(caught.value)
    server.content, server.etag = archive, '"one"'
    n = len(server.asked)
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, archive)
    assert server.asked[n][1] is not None  # went on where it was before the web page


def test_a_length_that_promises_too_much(server, tmp_path):
    server.length = len(server.content) + 5000
    with pytest.raises(DownloadError, match="cannot get"):
        download_ave(tmp_path, url=server.url, retries=2, **FAST)
    assert "AVE_Dataset.zip" not in names(tmp_path) and len(server.asked) < 12


@pytest.mark.parametrize("how", ["length too small", "no length", "no length, whole"])
def test_a_body_that_ends_early_without_an_error(server, tmp_path, how):
    whole = server.content
    if how == "length too small":
        server.length = 300_000
    else:
        server.with_length = False
        server.content = whole if how.endswith("whole") else whole[:300_000]
    if how.endswith("whole"):
        assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, whole)
        return
    with pytest.raises(DownloadError, match="not a whole zip file; it was deleted"):
        download_ave(tmp_path, url=server.url, **FAST)
    server.length, server.with_length, server.content = None, True, whole
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, whole)


def test_busy_is_tried_again_and_not_found_is_not(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert_arrived(download_ave(tmp_path / "a", url=server.url, **FAST), tmp_path / "a", server.content)
    server.statuses, server.asked = [404], []
    with pytest.raises(DownloadError, match=f"{server.url}: the server answers 404"):
        download_ave(tmp_path / "b", url=server.url, **FAST)
    assert len(server.asked) == 1


def test_redirects_are_followed(server, tmp_path):
    server.route = lambda path: (302, {"Location": "/elsewhere.zip"}, b"") if path == "/AVE_Dataset.zip" else None
    assert_arrived(download_ave(tmp_path, url=server.url, **FAST), tmp_path, server.content)
    server.route = lambda path: (302, {"Location": "file:///etc/passwd"}, b"")
    with pytest.raises(DownloadError):
        download_ave(tmp_path / "b", url=server.url, **FAST)


def test_silence_ends_in_an_error(server, tmp_path):
    server.silent_s = 1.5
    with pytest.raises(DownloadError, match="timed out"):
        download_ave(tmp_path, url=server.url, retries=0, timeout_s=0.2)


def test_offline_is_one_clear_error(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/AVE.zip"
        with pytest.raises(DownloadError, match=rf"cannot get {re.escape(url)}: .*refused.*`zip_path`"):
            download_ave(tmp_path, url=url, retries=1, **FAST)


def test_a_wrong_checksum_publishes_nothing_and_the_right_one_needs_no_second_download(server, tmp_path):
    with pytest.raises(DownloadError, match="has the SHA-256"):
        download_ave(tmp_path, url=server.url, sha256="0" * 64, **FAST)
    assert names(tmp_path) == ["AVE_Dataset.zip.part", "AVE_Dataset.zip.part.json"]
    assert_arrived(
        download_ave(tmp_path, url=server.url, sha256=hashlib.sha256(server.content).hexdigest().upper(), **FAST), tmp_path, server.content
    )
    assert len(server.asked) == 1


def test_the_disk_is_asked_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="kB are needed"):
        download_ave(tmp_path, url=server.url, **FAST)
    assert names(tmp_path) == []
    (tmp_path / "x.zip").write_bytes(server.content)
    with pytest.raises(OSError, match="kB are needed to unpack"):
        safe_extract(tmp_path / "x.zip", tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_any_zip_is_fetched_beside_what_is_there(server, tmp_path):
    digest = hashlib.sha256(server.content).hexdigest()
    (tmp_path / "a.zip.part").write_text("not ours")
    server.cuts = [150_000]
    with pytest.raises(DownloadError, match=r"\.part; run again to go on$"):
        fetch_zip(server.url, tmp_path / "[a].zip", retries=0, **FAST)
    assert fetch_zip(server.url, tmp_path / "[a].zip", **FAST) == digest
    assert names(tmp_path) == ["[a].zip", "a.zip.part"]
    n = len(server.asked)
    assert fetch_zip(server.url, tmp_path / "[a].zip", sha256=digest) == digest and len(server.asked) == n
    with pytest.raises(DownloadError, match="has the SHA-256"):
        fetch_zip(server.url, tmp_path / "[a].zip", sha256="0" * 64)
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"answers 404 .*\. Ask a friend$"):
        fetch_zip(server.url, tmp_path / "b.zip", advice="Ask a friend", **FAST)


def test_keep_zip_false_and_running_again(server, tmp_path):
    first = download_ave(tmp_path, url=server.url, keep_zip=False, **FAST)
    assert names(tmp_path) == ["ave_annotations.csv", "raw"] and (first.n_written, first.n_kept) == (3, 0)
    assert download_ave(tmp_path, url=server.url, **FAST).sha256 is None and len(server.asked) == 1
    (tmp_path / "raw" / "AVE" / "def.mp4").unlink()
    again = download_ave(tmp_path, url=server.url, keep_zip=False, **FAST)
    assert (again.n_written, again.n_kept) == (1, 2) and again.files.complete and len(server.asked) == 2


# Google Drive, as gdown sees it: the addresses of Google are led to the server here.


def known(look_up):
    "Names of hosts have an address, as they do with a network; addresses keep their own."
    return lambda host, *rest, **how: look_up(host if host.startswith("127.") else "127.0.0.1", *rest, **how)


@pytest.fixture
def drive(server, monkeypatch, tmp_path_factory):
    class ToServer(requests.adapters.HTTPAdapter):
        def send(self, request, **kwargs):
            asked = request.copy()
            asked.url = re.sub(r"^https://[a-z.]+google(usercontent)?\.com", f"http://127.0.0.1:{server.port}", request.url)
            answer = super().send(asked, **kwargs)
            answer.url = request.url
            return answer

    monkeypatch.setattr(requests.Session, "get_adapter", lambda self, url: ToServer())
    monkeypatch.setattr(socket, "getaddrinfo", known(socket.getaddrinfo))
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(importlib.import_module("gdown.download"), "DEFAULT_COOKIES_FILE", str(home / "cookies.txt"))
    page = (
        b'<form id="download-form" action="https://drive.usercontent.google.com/download">'
        b'<input type="hidden" name="id" value="x"><input type="hidden" name="confirm" value="t"></form>'
    )
    server.route = lambda path: (200, {"Content-Type": "text/html"}, page) if path.startswith("/uc") else None
    server.content = ave_zip(n_bytes=2_000_000)  # gdown takes half a megabyte at a time
    yield server
    assert not list(home.iterdir())  # nothing is written to the home folder


def test_drive_is_asked_for_the_official_file_and_goes_on(drive, tmp_path, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)  # gdown's pause
    drive.cuts = [1_200_000, 700_000]
    assert_arrived(download_ave(tmp_path, **FAST), tmp_path, drive.content)
    assert drive.asked[0][0] == f"/uc?id={ave.GDRIVE_ID}" and drive.asked[1][0].startswith("/download?")
    assert drive.asked[-1][1] is not None


def test_drive_goes_on_in_the_next_call(drive, tmp_path):
    drive.cuts = [1_200_000]
    with pytest.raises(DownloadError, match=r"kept in AVE_Dataset\.zip\.gdrive.*\.part: run again"):
        download_ave(tmp_path, retries=0, **FAST)
    assert_arrived(download_ave(tmp_path, **FAST), tmp_path, drive.content)
    assert drive.asked[-1][1] == "bytes=1048576-"


def test_drive_quota_says_what_to_do(drive, tmp_path):
    drive.route = lambda path: (
        200,
        {"Content-Type": "text/html"},
        b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p>',
    )
    with pytest.raises(DownloadError, match=rf"Google Drive does not send .*{ave.GDRIVE_ID}.*Too many users.*browser.*zip_path"):
        download_ave(tmp_path, **FAST)
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [404, 500])
def test_drive_errors_are_download_errors(drive, tmp_path, status):
    drive.route = lambda path: (status, {"Content-Type": "text/html"}, b"<html>no</html>")
    with pytest.raises(DownloadError, match=ave.GDRIVE_ID):
        download_ave(tmp_path, **FAST)


def test_drive_offline(tmp_path, monkeypatch):
    def offline(self, request, **kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", offline)
    monkeypatch.setattr(socket, "getaddrinfo", known(socket.getaddrinfo))
    with pytest.raises(DownloadError, match=rf"{ave.GDRIVE_ID}.*no route to host.*zip_path"):
        download_ave(tmp_path, retries=0, **FAST)


def test_what_another_source_left_is_cleared_after_success(drive, tmp_path):
    drive.cuts = [150_000]
    with pytest.raises(DownloadError):
        download_ave(tmp_path, retries=0, **FAST)
    (tmp_path / "AVE_Dataset.zip.mine").write_text("not ours")
    drive.route = None
    download_ave(tmp_path, url=drive.url, **FAST)
    assert names(tmp_path) == ["AVE_Dataset.zip", "AVE_Dataset.zip.mine", "ave_annotations.csv", "raw"]


# Archives


def make_zip(path, entries, compress=zipfile.ZIP_DEFLATED):
    "entries: (name, content) or (name, content, unix mode); names are written as they are."
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, *mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            info.compress_type = compress
            archive.writestr(info, content)
    return path


def patch_central(path, n, offset, fmt, value):
    "Overwrite a field of the n-th record in the table of contents."
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(n + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    struct.pack_into(fmt, data, at + offset, value)
    path.write_bytes(data)
    return path


def assert_refused(path, tmp_path, words, error=ZipError, **limits):
    def there():
        return sorted(p for p in tmp_path.rglob("*") if p not in (tmp_path / "out", tmp_path / "out" / ".avesound.lock"))

    before = there()
    with pytest.raises(error, match=words):
        safe_extract(path, tmp_path / "out", **limits)
    assert there() == before


BAD_NAMES = [
    "../x",
    "a/../../x",
    "/etc/x",
    "//server/x",
    "C:/x",
    "c:x",
    "a\\..\\x",
    "\\x",
    "a/..",
    "..",
    "a/...",
    "a/.. /x",
    "file.mp4:stream",
    "a\nb",
    "a\x1bb",
    ".",
    "/",
    "./",
    "",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_leave_the_folder(tmp_path, name):
    assert_refused(make_zip(tmp_path / "x.zip", [("fine.txt", b"1"), (name, b"2")]), tmp_path, "would leave the folder|control character")


def test_a_name_cut_short_by_a_zero_byte(tmp_path):
    path = make_zip(tmp_path / "x.zip", [("evilQ.txt", b"1")])
    path.write_bytes(path.read_bytes().replace(b"evilQ.txt", b"evil\0.txt"))
    assert_refused(path, tmp_path, "control character")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_special_files(tmp_path, mode):
    assert_refused(make_zip(tmp_path / "x.zip", [("a", b"/etc", mode), ("a/b", b"1")]), tmp_path, "link or a special file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "entries, words",
    [
        (["a.mp4", "a.mp4"], "two entries are named"),
        (["d/a.mp4", "d/./a.mp4"], "two entries are named"),
        (["a.mp4", "A.mp4"], "ignores case"),
        (["d/a.mp4", "D/b.mp4"], "ignores case"),
        (["caf\u00e9.mp4", "cafe\u0301.mp4"], "ignores case"),
        (["stra\u00dfe", "STRASSE"], "ignores case"),
        (["a", "a/b"], "is a file and"),
        (["a/b", "a"], "is a file and"),
    ],
)
def test_names_that_collide(tmp_path, entries, words):
    assert_refused(make_zip(tmp_path / "x.zip", [(name, b"1") for name in entries]), tmp_path, words)


def test_bombs(tmp_path):
    zeros = make_zip(tmp_path / "zeros.zip", [("a.mp4", bytes(10**6))])
    assert_refused(zeros, tmp_path, "max_ratio=200")
    assert_refused(zeros, tmp_path, "max_bytes", max_bytes=10**6 - 1)
    many = make_zip(tmp_path / "many.zip", [(str(n), b"") for n in range(30)])
    assert_refused(many, tmp_path, "30 entries, more than max_files=29", max_files=29)
    assert len(safe_extract(many, tmp_path / "fine").written) == 30


def test_entries_that_share_their_bytes(tmp_path):
    path = make_zip(tmp_path / "x.zip", [("a", random.Random(0).randbytes(500)), ("b", b"2" * 10), ("c", b"3")])
    offset_of_a = 0
    assert_refused(patch_central(path, 1, 42, "<L", offset_of_a), tmp_path, "overlap")


def test_encrypted_entries_and_unknown_methods(tmp_path):
    assert_refused(patch_central(make_zip(tmp_path / "x.zip", [("a", b"1")]), 0, 8, "<H", 1), tmp_path, "encrypted")
    assert_refused(make_zip(tmp_path / "y.zip", [("a", b"1" * 100)], zipfile.ZIP_BZIP2), tmp_path, "method 12")


@pytest.mark.parametrize("compress", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_is_named_and_leaves_nothing(tmp_path, compress):
    content = random.Random(0).randbytes(50_000)
    path = make_zip(tmp_path / "x.zip", [("good.mp4", b"good"), ("bad.mp4", content)], compress)
    data = bytearray(path.read_bytes())
    data[data.index(content[:20]) + 30_000 if compress == zipfile.ZIP_STORED else len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert_refused(path, tmp_path, "'bad.mp4' is damaged")


@pytest.mark.parametrize("declared", [1_000, 90_000])
@pytest.mark.parametrize("compress", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_declared_size_that_is_not_the_real_one(tmp_path, declared, compress):
    path = make_zip(tmp_path / "x.zip", [("a.mp4", random.Random(0).randbytes(50_000))], compress)
    assert_refused(patch_central(path, 0, 24, "<L", declared), tmp_path, "'a.mp4' (is damaged|declares)")


def test_a_truncated_archive(tmp_path):
    path = make_zip(tmp_path / "x.zip", [("a.mp4", random.Random(0).randbytes(50_000))])
    path.write_bytes(path.read_bytes()[:-30])
    assert_refused(path, tmp_path, "not a whole zip file")
    path.write_bytes(b"")
    assert_refused(path, tmp_path, "not a whole zip file")
    assert_refused(tmp_path / "absent.zip", tmp_path, "absent.zip", error=FileNotFoundError)


def test_what_is_there_is_kept_or_stops_the_run(tmp_path):
    path, out = make_zip(tmp_path / "x.zip", [("d/a", b"one"), ("d/b", b"two"), ("e/c", b"three")]), tmp_path / "out"
    (out / "d").mkdir(parents=True)
    (out / "d" / "a").write_bytes(b"one")
    (out / "d" / "mine").write_bytes(b"mine")
    inode = (out / "d" / "a").stat().st_ino
    done = safe_extract(path, out)
    assert done.kept == ("d/a",) and set(done.written) == {"d/b", "e/c"} and (out / "d" / "a").stat().st_ino == inode
    assert (out / "d" / "mine").read_bytes() == b"mine" and (out / "e" / "c").read_bytes() == b"three"
    for change in (lambda: (out / "d" / "b").write_bytes(b"TWO"), lambda: ((out / "d" / "b").unlink(), (out / "d" / "b").mkdir())):
        change()
        (out / "e" / "c").unlink(missing_ok=True)
        with pytest.raises(ZipError, match="1 files that differ .*: d/b. Move them away"):
            safe_extract(path, out)
        assert not (out / "e" / "c").exists()


def test_a_link_in_the_target_is_not_followed_out(tmp_path):
    path, out, outside = make_zip(tmp_path / "x.zip", [("d/a", b"1")]), tmp_path / "out", tmp_path / "outside"
    out.mkdir(), outside.mkdir()
    (out / "d").symlink_to(outside)
    with pytest.raises(ZipError, match="leads out of"):
        safe_extract(path, out)
    assert not list(outside.iterdir())


def test_a_failure_while_moving_is_undone(tmp_path, monkeypatch):
    path, out = make_zip(tmp_path / "x.zip", [("a", b"1"), ("b/c", b"2"), ("d", b"3")]), tmp_path / "out"
    rename, n = os.rename, iter(range(100))

    def full(source, target):
        if next(n) == 2:
            raise OSError("disk gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="disk gone"):
        safe_extract(path, out)
    assert names(out) == []
    assert len(safe_extract(path, out).written) == 3 and names(out) == ["a", "b", "d"]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / "out" / ".extracting-abc" / "AVE").mkdir(parents=True)
    safe_extract(make_zip(tmp_path / "x.zip", [("a", b"1")]), tmp_path / "out")
    assert names(tmp_path / "out") == ["a"]


def test_two_at_once_do_not_mix(server, tmp_path):
    server.silent_s, errors = 0.5, []

    def second():
        for call in (lambda: download_ave(tmp_path, url=server.url, **FAST), lambda: safe_extract(path, tmp_path)):
            try:
                call()
            except DownloadError as error:
                errors.append(str(error))

    path = make_zip(tmp_path / "x.zip", [("a", b"1")])
    first = threading.Thread(target=lambda: download_ave(tmp_path, url=server.url, **FAST))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    second()
    first.join()
    assert len(errors) == 2 and all("another process" in error for error in errors) and len(server.asked) == 1
    assert names(tmp_path) == ["AVE_Dataset.zip", "ave_annotations.csv", "raw", "x.zip"]


SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
part = st.text(st.sampled_from("aAbé./\\: -\n\x00~"), max_size=6)


@SHARED_FOLDER
@given(st.dictionaries(part, st.binary(max_size=50), min_size=1, max_size=4))
def test_any_archive_is_unpacked_whole_inside_or_refused(tmp_path, entries):
    out = tmp_path / str(time.monotonic_ns()) / "out"
    out.mkdir(parents=True)
    path = make_zip(tmp_path / "x.zip", [(name, b"" if name.endswith("/") else content) for name, content in entries.items()])
    try:
        done = safe_extract(path, out)
    except ZipError:
        assert names(out) == [] and names(out.parent) == ["out"]
        return
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".avesound.lock"}
    wanted = {
        "/".join(x for x in name.split("/") if x not in ("", ".")): content for name, content in entries.items() if not name.endswith("/")
    }
    assert files == wanted and set(done.written) == set(wanted) and names(out.parent) == ["out"]


def test_the_layout_is_found_whatever_its_case_and_junk_beside_it_is_no_clip(tmp_path):
    entries = [
        ("Data/ave_dataset/annotations.TXT", b"Bark&a.b&good&0&1\nBark&-c&good&0&1\n"),
        ("Data/ave_dataset/ave/a.b.MP4", b"1"),
        ("Data/ave_dataset/ave/.DS_Store", b"1"),
        ("Data/ave_dataset/TRAINset.txt", b"Bark&a.b&good&0&1\n"),
        ("__MACOSX/Annotations.txt", b"1"),
        ("__MACOSX/AVE/._a.mp4", b"1"),
    ]
    safe_extract(make_zip(tmp_path / "x.zip", entries), tmp_path)
    layout = find_ave(tmp_path)
    assert layout.train.name == "TRAINset.txt" and layout.val is None
    files = verify_ave(layout)
    assert (files.present, files.missing, files.extra) == (("a.b",), ("-c",), (".DS_Store",))
    os.symlink(tmp_path / "gone", layout.video_dir / "-c.mp4")
    assert verify_ave(layout).missing == ("-c",) and verify_ave(layout).extra == ("-c.mp4", ".DS_Store")


def test_the_real_clips_are_a_layout(tmp_path):
    data = Path(os.environ.get("AVESOUND_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "clips"
    if not data.exists():
        pytest.skip("the real data are not here (AVESOUND_TEST_DATA)")
    layout = find_ave(data)
    files = verify_ave(layout)
    assert layout.video_dir == data and not files.empty and "streamio_broken.mp4" in files.extra
    assert set(files.present) | set(files.missing) == {line.split("&")[1] for line in (data / "Annotations.txt").read_text().splitlines()}
