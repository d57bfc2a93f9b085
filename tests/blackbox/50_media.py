"""The content repository: uploads, downloads and their headers, ranges, addresses made before their file, limits, the freeze."""
import hashlib
import os
import pathlib
import re
import socket
import threading
import time

import pytest
import requests

from client import Client, MatrixError, q, register
from server import Server

UPLOAD, CREATE = "/_matrix/media/v3/upload", "/_matrix/media/v1/create"
AUTHED = "/_matrix/client/v1/media/download/"
LEGACY = "/_matrix/media/v3/download/"
CSP = ("sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';")
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489".replace(" ", ""))


def upload(user, data=b"hello", type="text/plain", name=None, **kw):
    """The part of the mxc:// URI after the scheme: "server/id"."""
    answer = user.raw("POST", UPLOAD, data=data, headers={"Content-Type": type} if type else {},
                      params={"filename": name} if name is not None else {}, **kw)
    if answer.status_code != 200:
        raise MatrixError(answer)
    uri = answer.json()["content_uri"]
    assert re.fullmatch(r"mxc://hearth\.test/[A-Za-z0-9_-]{16,}", uri)
    return uri.removeprefix("mxc://")


def download(user, item, base=AUTHED, **headers):
    return user.raw("GET", base + item, headers=headers)


def create(user):
    got = user.post(CREATE)
    return got["content_uri"].removeprefix("mxc://"), got["unused_expires_at"]


def put(user, item, data=b"hello", type="text/plain"):
    return user.raw("PUT", f"{UPLOAD}/{item}", data=data, headers={"Content-Type": type})


def test_what_is_uploaded_is_downloaded(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    item = upload(alice, PNG, "image/png", "dot.png")
    answer = download(bob, item)
    assert answer.status_code == 200 and answer.content == PNG
    h = answer.headers
    assert h["Content-Type"] == "image/png"
    assert h["Content-Length"] == str(len(PNG))
    assert h["Content-Disposition"] == "inline; filename=dot.png"
    assert h["Content-Security-Policy"] == CSP
    assert h["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert h["X-Content-Type-Options"] == "nosniff"
    assert h["Referrer-Policy"] == "no-referrer"
    assert h["X-Robots-Tag"] == "noindex, nofollow, noarchive, noimageindex"
    assert h["Cache-Control"] == "public, max-age=86400, s-maxage=0, proxy-revalidate, immutable"
    assert h["ETag"] == '"' + hashlib.sha256(PNG).hexdigest() + '"'
    assert h["Accept-Ranges"] == "bytes"
    assert h["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" not in h and "Content-Encoding" not in h


def test_a_head_has_the_same_headers(alice):
    item = upload(alice, b"x" * 5000, "image/png", "a.png")
    whole, head = download(alice, item), alice.raw("HEAD", AUTHED + item)
    assert head.status_code == 200 and head.content == b""
    drop = {"Date"}
    assert {k: v for k, v in head.headers.items() if k not in drop} == {k: v for k, v in whole.headers.items() if k not in drop}
    assert alice.raw("HEAD", AUTHED + item, headers={"Range": "bytes=0-1"}).status_code == 200


def test_text_is_utf8_and_never_compressed(alice):
    text = ("hühner " * 2000).encode()
    answer = download(alice, upload(alice, text, "text/plain"), **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Content-Encoding" not in answer.headers and answer.content == text


def test_without_a_type_it_is_bytes(alice):
    for given in (None, "nonsense"):
        answer = download(alice, upload(alice, b"abc", given))
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3 * 1024 * 1024 + 7])
def test_every_size(alice, size):
    data = os.urandom(size)
    answer = download(alice, upload(alice, data, "application/pdf"))
    assert answer.status_code == 200 and answer.content == data
    assert answer.headers["Content-Length"] == str(size)


INLINE = ["text/css", "text/plain", "text/csv", "application/json", "application/ld+json", "image/jpeg", "image/gif", "image/png", "image/apng",
          "image/webp", "image/avif", "video/mp4", "video/webm", "video/ogg", "video/quicktime", "audio/mp4", "audio/webm", "audio/aac", "audio/mpeg",
          "audio/ogg", "audio/wave", "audio/wav", "audio/x-wav", "audio/x-pn-wav", "audio/flac", "audio/x-flac",
          "Image/PNG", "video/mp4; codecs=avc1", "image/png ;a=b"]
ATTACHED = ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/javascript", "text/javascript", "application/pdf",
            "multipart/x-mixed-replace", "image/png+xml", "image/pngx", "ximage/png", "text/plainhtml", "application/octet-stream",
            "image/png;,text/html", "image/png; a=b, text/html", "video/webm;codecs=vp8,opus"]


def test_types_shown_in_place_are_those_that_run_nothing(alice):
    for type, how in [(t, "inline") for t in INLINE] + [(t, "attachment") for t in ATTACHED]:
        answer = download(alice, upload(alice, b"{}", type, "a"))
        assert answer.headers["Content-Disposition"] == f"{how}; filename=a", type
        assert answer.headers["Content-Type"] in (type, type + "; charset=utf-8")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(INLINE) == 26 + 3


NAMES = [
    ("a.txt", "filename=a.txt"),
    ("War and Peace.pdf", "filename*=utf-8''War%20and%20Peace.pdf"),
    ("äöü€.txt", "filename*=utf-8''%C3%A4%C3%B6%C3%BC%E2%82%AC.txt"),
    ("курица.txt", "filename*=utf-8''%D0%BA%D1%83%D1%80%D0%B8%D1%86%D0%B0.txt"),
    ("鶏.txt", "filename*=utf-8''%E9%B6%8F.txt"),
    ("دجاجة", "filename*=utf-8''%D8%AF%D8%AC%D8%A7%D8%AC%D8%A9"),
    ("🐔.txt", "filename*=utf-8''%F0%9F%90%94.txt"),
    ('quo"te;x=y', "filename*=utf-8''quo%22te%3Bx%3Dy"),
    ("a\r\nX-Evil: yes", "filename*=utf-8''a__X-Evil%3A%20yes"),
    ("..\\..\\boot.ini", "filename=.._.._boot.ini"),
    ("gpj.\u202eexe", "filename=gpj._exe"),
    ("50%", "filename*=utf-8''50%25"),
    ("x" * 1024, "filename=" + "x" * 1024),
]


@pytest.mark.parametrize("name,want", NAMES, ids=range(len(NAMES)))
def test_names_are_safe(alice, name, want):
    item = upload(alice, b"x", "text/plain", name)
    for answer in (download(alice, item), download(alice, f"{item}/{q(name)}")):
        assert answer.headers["Content-Disposition"] == "inline; " + want
        assert "X-Evil" not in answer.headers


def test_a_name_in_the_path_comes_before_the_uploader_s(alice):
    item = upload(alice, b"x", "text/html", "mine.html")
    assert download(alice, item).headers["Content-Disposition"] == "attachment; filename=mine.html"
    assert download(alice, item + "/yours.html").headers["Content-Disposition"] == "attachment; filename=yours.html"
    assert download(alice, item + "/" + q("../../up")).headers["Content-Disposition"] == "attachment; filename=.._.._up"


@pytest.mark.parametrize("name", ["x" * 1025, "ä" * 513])
def test_a_name_has_an_end(alice, name):
    item = upload(alice)
    alice.fails(400, "M_INVALID_PARAM", "POST", UPLOAD, data=b"x", params={"filename": name})
    alice.fails(400, "M_INVALID_PARAM", "GET", f"{AUTHED}{item}/{q(name)}")


RANGES = [  # of ten bytes 0123456789
    ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
    ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
    ("bytes=8-", 206, b"89", "bytes 8-9/10"),
    ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=10-", 416, None, "bytes */10"),
    ("bytes=99-100", 416, None, "bytes */10"),
    ("bytes=-0", 416, None, "bytes */10"),
    ("bytes=4-2", 200, b"0123456789", None),
    ("bytes=0-1,3-4", 200, b"0123456789", None),
    ("bytes=a-b", 200, b"0123456789", None),
    ("lines=0-1", 200, b"0123456789", None),
]


@pytest.mark.parametrize("range,status,body,content_range", RANGES)
def test_ranges(alice, range, status, body, content_range):
    answer = download(alice, upload(alice, b"0123456789", "image/png", "n.png"), Range=range)
    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    if body is None:
        assert answer.json()["errcode"] == "M_UNKNOWN"
    else:
        assert answer.content == body and answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"] == "inline; filename=n.png"
    assert answer.headers["Content-Security-Policy"] == CSP and answer.headers["ETag"]


def test_a_range_of_nothing(alice):
    item = upload(alice, b"")
    for range in ("bytes=0-", "bytes=-1"):
        answer = download(alice, item, Range=range)
        assert answer.status_code == 200 and answer.content == b""


def test_a_range_in_the_middle_of_a_large_file(alice):
    data = os.urandom(1 << 20)
    item = upload(alice, data, "video/mp4")
    at = 300_001
    answer = download(alice, item, Range=f"bytes={at}-{at + 499_999}")
    assert answer.status_code == 206 and answer.content == data[at:at + 500_000]


def test_conditional_requests(alice):
    item = upload(alice, b"0123456789", "image/png")
    tag = download(alice, item).headers["ETag"]
    for match in (tag, "*", f'"other", {tag}', "W/" + tag):
        answer = download(alice, item, **{"If-None-Match": match})
        assert answer.status_code == 304 and answer.content == b"" and answer.headers["ETag"] == tag, match
        assert answer.headers["Cache-Control"].startswith("public")
    assert download(alice, item, **{"If-None-Match": '"other"'}).status_code == 200
    assert download(alice, item, **{"If-Range": tag, "Range": "bytes=0-1"}).status_code == 206
    for other in ('"other"', "W/" + tag, "Mon, 23 Nov 2026 14:00:00 GMT"):
        assert download(alice, item, **{"If-Range": other, "Range": "bytes=0-1"}).status_code == 200, other


def test_only_who_is_logged_in(hs, alice, nobody):
    item = upload(alice)
    nobody.fails(401, "M_MISSING_TOKEN", "GET", AUTHED + item)
    nobody.fails(401, "M_MISSING_TOKEN", "POST", UPLOAD, data=b"x")
    nobody.fails(401, "M_MISSING_TOKEN", "POST", CREATE)
    nobody.fails(401, "M_MISSING_TOKEN", "PUT", f"{UPLOAD}/{item}", data=b"x")
    nobody.fails(401, "M_MISSING_TOKEN", "GET", "/_matrix/client/v1/media/config")
    nobody.fails(404, "M_NOT_FOUND", "GET", LEGACY + item)


@pytest.mark.parametrize("prefix", ["/_matrix/client/v1/media", "/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"])
def test_config(alice, prefix):
    assert alice.get(prefix + "/config") == {"m.upload.size": 50 << 20}


@pytest.mark.parametrize("version", ["r0", "v1", "v3"])
def test_older_versions_are_served(alice, version):
    answer = alice.raw("POST", f"/_matrix/media/{version}/upload", data=b"x")
    assert answer.status_code == 200
    item = answer.json()["content_uri"].removeprefix("mxc://")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/media/{version}/download/{item}")


@pytest.mark.parametrize("address,status,errcode", [
    ("hearth.test/unknown", 404, "M_NOT_FOUND"),
    ("hearth.test/..%2f..%2fhomeserver.yaml", 404, "M_NOT_FOUND"),
    ("hearth.test/%2e%2e", 404, "M_NOT_FOUND"),
    ("hearth.test/a%00b", 404, "M_NOT_FOUND"),
    ("hearth.test/" + "a" * 300, 404, "M_NOT_FOUND"),
    ("..%2f../abc", 400, "M_INVALID_PARAM"),
    ("127.0.0.1:1/abcdefgh", 502, "M_CONNECTION_FAILED"),
    ("elsewhere.test/abcdefgh?allow_remote=false", 404, "M_NOT_FOUND"),
    ("hearth.test/unknown?timeout_ms=soon", 400, "M_INVALID_PARAM"),
    ("hearth.test/unknown?allow_remote=perhaps", 400, "M_INVALID_PARAM"),
])
def test_what_is_not_there(alice, address, status, errcode):
    alice.fails(status, errcode, "GET", AUTHED + address)


def test_allow_redirect_changes_nothing(alice):
    assert alice.raw("GET", AUTHED + upload(alice), params={"allow_redirect": "true"}).content == b"hello"


@pytest.mark.parametrize("name", ["%FF", "%C0%AF", "a%ED%A0%80"])
def test_a_name_that_is_no_text(hs, alice, name):
    item = upload(alice)
    for method, url in (("POST", UPLOAD + "?filename=" + name), ("GET", f"{AUTHED}{item}/{name}")):
        answer = requests.request(method, hs.url + url, data=b"x", headers={"Authorization": f"Bearer {alice.token}"}, timeout=30)
        assert answer.status_code in (400, 404), url


# addresses made before their file

def test_an_address_is_made_then_filled(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    item, expires = create(alice)
    assert 23 * 3600_000 < expires - time.time() * 1000 <= 24 * 3600_000
    alice.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{AUTHED}{item}?timeout_ms=0")
    bob.fails(403, "M_FORBIDDEN", "PUT", f"{UPLOAD}/{item}", data=b"x")
    answer = put(alice, item, b"later", "image/gif")
    assert answer.status_code == 200 and answer.json() == {}
    alice.fails(409, "M_CANNOT_OVERWRITE_MEDIA", "PUT", f"{UPLOAD}/{item}", data=b"x")
    bob.fails(403, "M_FORBIDDEN", "PUT", f"{UPLOAD}/{item}", data=b"x")
    answer = download(bob, item)
    assert answer.content == b"later" and answer.headers["Content-Type"] == "image/gif"


def test_only_created_addresses_are_filled(alice):
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/hearth.test/neverCreated", data=b"x")
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/elsewhere.test/abc", data=b"x")
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/hearth.test/..%2fx", data=b"x")
    item = upload(alice, b"first")
    alice.fails(409, "M_CANNOT_OVERWRITE_MEDIA", "PUT", f"{UPLOAD}/{item}", data=b"x")
    assert download(alice, item).content == b"first"


def test_who_waits_gets_it_as_soon_as_it_comes(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    item, _ = create(alice)
    got, parked = [], f'{each_hs.url}/metrics'
    before = waiting(parked)
    threads = [threading.Thread(target=lambda: got.append(Client(each_hs, bob.user_id, bob.token).raw(
        "GET", f"{AUTHED}{item}?timeout_ms=60000"))) for _ in range(3)]
    for t in threads:
        t.start()
    while waiting(parked) < before + 3:
        time.sleep(0.01)
    begun = time.monotonic()
    assert put(alice, item, b"at last").status_code == 200
    for t in threads:
        t.join()
    assert [a.content for a in got] == [b"at last"] * 3
    assert time.monotonic() - begun < 30    # not at their deadlines


def waiting(url):
    return int(re.search(r"^hearth_http_parked_requests (\d+)", requests.get(url, timeout=30).text, re.M)[1])


def test_who_waits_too_long_is_told_so(alice):
    item, _ = create(alice)
    begun = time.monotonic()
    alice.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{AUTHED}{item}?timeout_ms=300")
    assert time.monotonic() - begun >= 0.3


@pytest.fixture(scope="module")
def strict():
    """Short-lived addresses, few of them, small files, a limit on all of them."""
    server = Server(unused_expiration_time="1s", max_pending_media_uploads=2, max_upload_size="1K",
                    media_upload_limits=[{"time_period": "1h", "max_size": "3K", "info_uri": "https://x.test/limits", "can_upgrade": True},
                                         {"time_period": "1d", "max_size": "1M"}])
    yield server
    server.close()


def test_an_unused_address_expires(strict):
    alice = register(strict)
    item, _ = create(alice)
    alice.fails(404, "M_NOT_FOUND", "GET", f"{AUTHED}{item}?timeout_ms=1500")     # its time is over before the wait is
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/{item}", data=b"x")
    create(alice)


def test_few_addresses_wait_for_a_user(strict):
    alice = register(strict)
    first, _ = create(alice)
    create(alice)
    error = alice.fails(429, "M_LIMIT_EXCEEDED", "POST", CREATE)
    assert 0 < error["retry_after_ms"] <= 1000
    create(register(strict))
    put(alice, first)
    create(alice)


def test_addresses_are_made_slowly():
    server = Server(rc_media_create={"per_second": 0.01, "burst_count": 2})
    try:
        alice = register(server)
        create(alice), create(alice)
        assert alice.fails(429, "M_LIMIT_EXCEEDED", "POST", CREATE)["retry_after_ms"] > 1000
    finally:
        server.close()


def raw_upload(server, user, head, body=b"", half=False):
    """What is answered to a request as it is written here; with half, the open socket."""
    s = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    s.sendall(f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n{head}\r\n".encode() + body)
    if half:
        return s
    with s:
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = s.recv(4096)
            if not more:
                break
            answer += more
    return answer


def test_no_file_is_larger_than_the_limit(strict):
    alice = register(strict)
    assert download(alice, upload(alice, b"x" * 1024)).content == b"x" * 1024
    alice.fails(413, "M_TOO_LARGE", "POST", UPLOAD, data=b"x" * 1025)
    item, _ = create(alice)
    alice.fails(413, "M_TOO_LARGE", "PUT", f"{UPLOAD}/{item}", data=b"x" * 1025)
    assert put(alice, item, b"y" * 1024).status_code == 200
    assert b" 413 " in raw_upload(strict, alice, "Content-Length: 1000000000000\r\n")
    assert re.search(rb" 4(00|13) ", raw_upload(strict, alice, "Content-Length: 99999999999999999999999\r\n"))
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert b" 200 " in raw_upload(strict, alice, "Transfer-Encoding: chunked\r\n", chunk + b"0\r\n\r\n")
    assert b" 413 " in raw_upload(strict, alice, "Transfer-Encoding: chunked\r\n", chunk + b"1\r\nx\r\n0\r\n\r\n")
    assert b" 400 " in raw_upload(strict, alice, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunk)
    files = [f for f in (strict.dir / "media" / "tmp").iterdir()]
    assert files == []


def test_a_user_uploads_so_much_in_so_much_time(strict):
    alice = register(strict)
    for n in range(3):
        upload(alice, bytes([n]) * 1024)
    error = alice.fails(403, "M_USER_LIMIT_EXCEEDED", "POST", UPLOAD, data=b"x")
    assert error["info_uri"] == "https://x.test/limits" and error["can_upgrade"] is True
    item, _ = create(alice)
    alice.fails(403, "M_USER_LIMIT_EXCEEDED", "PUT", f"{UPLOAD}/{item}", data=b"x")
    upload(alice, b"")
    upload(register(strict), b"x")


# the freeze

def test_the_freeze():
    server = Server(enable_authenticated_media=False)
    try:
        alice, nobody = register(server), Client(server)
        before = upload(alice, b"before", name="b.txt")
        for version in ("v3", "r0", "v1"):
            answer = nobody.raw("GET", f"/_matrix/media/{version}/download/{before}/c.txt")
            assert answer.content == b"before"
            assert answer.headers["Content-Disposition"] == "inline; filename=c.txt"
            assert answer.headers["Content-Security-Policy"] == CSP
        server.config["enable_authenticated_media"] = True
        server.restart()
        after = upload(alice, b"after")
        same = upload(alice, b"before")     # the same bytes, and yet another file
        assert download(nobody, before, LEGACY).content == b"before"
        for item in (after, same):
            nobody.fails(404, "M_NOT_FOUND", "GET", LEGACY + item)
            alice.fails(404, "M_NOT_FOUND", "GET", LEGACY + item)
            assert download(alice, item).status_code == 200
        assert download(alice, before).content == b"before"
        server.config["enable_authenticated_media"] = False
        server.restart()
        assert download(nobody, after, LEGACY).content == b"after"
    finally:
        server.close()


# on disk

def files_of(server):
    return [f for f in (server.dir / "media").rglob("*") if f.is_file()]


def test_equal_files_are_one(each_hs):
    users = [register(each_hs) for _ in range(3)]
    data = os.urandom(5000)
    before = len(files_of(each_hs))
    items = [upload(u, data, name=f"{n}.bin") for n, u in enumerate(users)]
    assert len(set(items)) == 3 and len(files_of(each_hs)) == before + 1
    hex = hashlib.sha256(data).hexdigest()
    found = [f for f in files_of(each_hs) if f.name.startswith(hex)]
    assert len(found) == 1 and found[0].read_bytes() == data
    assert found[0].stat().st_mode & 0o777 == 0o600
    assert str(found[0].parent.relative_to(each_hs.dir / "media")) == f"{hex[:1]}/{hex[1:3]}"
    for n, item in enumerate(items):
        assert download(users[0], item).headers["Content-Disposition"].endswith(f"filename={n}.bin")


def test_a_large_file_takes_no_memory(hs, alice):
    """45 MB up and down."""
    size, piece = 45 << 20, os.urandom(1 << 20)
    pid = hs.process.pid

    def memory(what):
        return int(re.search(what + r":\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])

    upload(alice, b"to warm up"), alice.sync()
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")     # the high-water mark begins anew
    before = memory("VmRSS")
    answer = alice.raw("POST", UPLOAD, data=(piece for _ in range(45)), headers={"Content-Type": "video/mp4"}, timeout=300)
    item = answer.json()["content_uri"].removeprefix("mxc://")
    digest, n = hashlib.sha256(), 0
    with requests.get(hs.url + AUTHED + item, headers={"Authorization": f"Bearer {alice.token}"}, stream=True, timeout=300) as got:
        for part in got.iter_content(1 << 18):
            digest.update(part)
            n += len(part)
    assert n == size and f'"{digest.hexdigest()}"' == got.headers["ETag"]
    assert memory("VmHWM") - before < 2 * 1024


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_kill_9_in_the_middle_of_uploads(store):
    """What was acknowledged is there whole; of what was not, nothing is there, or all of it; no file is left over."""
    server = Server(store=store)
    try:
        alice = register(server)
        acked, tried, lock, enough = {}, {}, threading.Lock(), threading.Event()
        item, _ = create(alice)

        def run(seed):
            c, n = Client(server, alice.user_id, alice.token), 0
            while True:
                data = f"{seed} {n} ".encode() * (1 + 3000 * (n % 4))
                with lock:
                    tried[hashlib.sha256(data).hexdigest()] = data
                try:
                    got = upload(c, data)
                except (requests.RequestException, MatrixError):
                    return
                with lock:
                    acked[got] = data
                    if len(acked) >= 60:
                        enough.set()
                n += 1

        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        half = raw_upload(server, alice, "Content-Length: 1000000\r\n", b"x" * 500_000, half=True)
        half_put = socket.create_connection(("127.0.0.1", server.port))
        half_put.sendall(f"PUT {UPLOAD}/{item} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n"
                         f"Content-Length: 1000\r\n\r\n".encode() + b"y" * 500)
        assert enough.wait(60)
        server.kill()
        for t in threads:
            t.join()
        half.close(), half_put.close()
        server.start()
        for got, data in acked.items():
            assert download(alice, got).content == data
        assert list((server.dir / "media" / "tmp").iterdir()) == []
        for f in files_of(server):
            assert tried[f.name.split("-")[0]] == f.read_bytes()
        alice.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{AUTHED}{item}?timeout_ms=0")
        assert put(alice, item, b"whole").status_code == 200 and download(alice, item).content == b"whole"
    finally:
        server.close()


def test_who_goes_away_leaves_nothing(hs, alice):
    """A client that breaks off its upload."""
    tmp = hs.dir / "media" / "tmp"
    s = raw_upload(hs, alice, "Content-Length: 1000000\r\n", b"x" * 600_000, half=True)
    while not list(tmp.iterdir()):
        time.sleep(0.01)
    s.close()
    while list(tmp.iterdir()):
        time.sleep(0.01)
    assert download(alice, upload(alice, b"still there")).content == b"still there"


def test_the_server_stops_in_the_middle_of_an_upload():
    server = Server(limits={"shutdown_timeout": "1s"})
    try:
        alice = register(server)
        tmp = server.dir / "media" / "tmp"
        s = raw_upload(server, alice, "Content-Length: 1000000\r\n", b"x" * 600_000, half=True)
        while not list(tmp.iterdir()):
            time.sleep(0.01)
        server.stop()
        s.close()
        assert list(tmp.iterdir()) == []
    finally:
        server.close()
