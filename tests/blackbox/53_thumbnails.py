"""Thumbnails: sizes, methods, kinds, what moves; made once; bombs and what is no image; the freeze; bounds."""
import concurrent.futures
import contextlib
import pathlib
import re
import sqlite3
import struct
import zlib

import pytest
import requests

from client import Client, MatrixError, register
from server import Server

IMAGES = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "images"
AUTHED, LEGACY = "/_matrix/client/v1/media/thumbnail/", "/_matrix/media/v3/thumbnail/"
DOWNLOAD = "/_matrix/client/v1/media/download/"


def upload(user, data, type="application/octet-stream"):
    answer = user.raw("POST", "/_matrix/media/v3/upload", data=data, headers={"Content-Type": type})
    if answer.status_code != 200:
        raise MatrixError(answer)
    return answer.json()["content_uri"].removeprefix("mxc://")


def image(user, name, tail=b""):
    """A file of the vectors. With a tail it is another one: nothing of it is made yet."""
    return upload(user, (IMAGES / name).read_bytes() + tail)


def thumbnail(user, item, width, height, base=AUTHED, **params):
    return user.raw("GET", base + item, params={"width": width, "height": height, **params})


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, seed=0):
    """A real one, of one colour."""
    rows = (b"\0" + bytes([seed % 256, seed // 256 % 256, 99]) * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def size(data):
    """(width, height) of a PNG, a JPEG or an extended WebP."""
    if data[:4] == b"\x89PNG":
        return struct.unpack(">II", data[16:24])
    if data[:4] == b"RIFF":
        assert data[12:16] == b"VP8X"
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    at = 2
    while data[at + 1] not in (0xc0, 0xc1, 0xc2):
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    height, width = struct.unpack(">HH", data[at + 5:at + 9])
    return width, height


def made(server):
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    return int(re.search(r'^hearth_thumbnails_total\{outcome="made"\} (\d+)', text, re.M)[1])


CASES = [  # image, asked for, type and size of the answer
    ("photo.jpg", {"width": 32, "height": 32, "method": "crop"}, "image/jpeg", (32, 32)),
    ("photo.jpg", {"width": 20, "height": 20, "method": "crop"}, "image/jpeg", (32, 32)),
    ("photo.jpg", {"width": 96, "height": 96, "method": "crop"}, "image/jpeg", (96, 96)),
    ("photo.jpg", {"width": 80, "height": 40, "method": "crop"}, "image/jpeg", (96, 48)),
    ("photo.jpg", {"width": 320, "height": 240, "method": "scale"}, "image/jpeg", (200, 120)),
    ("photo.jpg", {"width": 10, "height": 10}, "image/jpeg", (200, 120)),
    ("photo.jpg", {"width": 4000, "height": 4000, "method": "crop"}, "image/jpeg", (200, 120)),
    ("turned.jpg", {"width": 32, "height": 96, "method": "crop"}, "image/jpeg", (32, 96)),
    ("turned.jpg", {"width": 320, "height": 240}, "image/jpeg", (120, 200)),
    ("clear.png", {"width": 96, "height": 96, "method": "crop"}, "image/png", (96, 96)),
    ("photo.webp", {"width": 96, "height": 96, "method": "crop"}, "image/jpeg", (96, 96)),
    ("clear.webp", {"width": 96, "height": 96, "method": "crop"}, "image/png", (96, 96)),
    ("moving.gif", {"width": 32, "height": 32, "method": "crop"}, "image/png", (32, 32)),
    ("moving.gif", {"width": 32, "height": 32, "method": "crop", "animated": "false"}, "image/png", (32, 32)),
    ("moving.gif", {"width": 32, "height": 32, "method": "crop", "animated": "true"}, "image/webp", (32, 32)),
    ("moving.webp", {"width": 32, "height": 32, "method": "crop", "animated": "true"}, "image/webp", (32, 32)),
    ("photo.jpg", {"width": 32, "height": 32, "method": "crop", "animated": "true"}, "image/jpeg", (32, 32)),
]


@pytest.mark.parametrize("name,want,type,dimensions", CASES, ids=range(len(CASES)))
def test_sizes_and_kinds(each_hs, name, want, type, dimensions):
    alice = register(each_hs)
    answer = alice.raw("GET", AUTHED + image(alice, name), params=want)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == type
    assert size(answer.content) == dimensions


def test_large_images_are_scaled_to_the_server_s_sizes(alice):
    item = upload(alice, png(1500, 1000))
    for asked, got in [((320, 240), (320, 213)), ((100, 100), (320, 213)), ((321, 1), (640, 427)), ((800, 600), (800, 533)),
                       ((801, 600), (1024, 683)), ((5000, 5000), (1500, 1000))]:
        answer = thumbnail(alice, item, *asked, method="scale")
        assert answer.status_code == 200 and size(answer.content) == got, asked


def test_the_answer_s_headers_are_a_download_s(alice):
    item = image(alice, "photo.jpg")
    got, file = thumbnail(alice, item, 32, 32, method="crop"), alice.raw("GET", DOWNLOAD + item)
    assert got.headers["Content-Disposition"] == "inline; filename=thumbnail.jpeg"
    assert got.headers["Content-Length"] == str(len(got.content))
    own = {"Content-Disposition", "Content-Length", "Content-Type", "ETag", "Date"}
    assert {k: v for k, v in got.headers.items() if k not in own} == {k: v for k, v in file.headers.items() if k not in own}
    assert got.headers["ETag"] != file.headers["ETag"]
    again = alice.raw("GET", AUTHED + item, params={"width": 32, "height": 32, "method": "crop"},
                      headers={"If-None-Match": got.headers["ETag"]})
    assert again.status_code == 304 and again.content == b""


def test_a_small_image_of_nothing_but_pixels_is_its_own_thumbnail(alice):
    for name, kind in [("photo.jpg", "image/jpeg"), ("opaque.png", "image/png"), ("photo.webp", "image/webp"), ("still.gif", "image/gif")]:
        answer = thumbnail(alice, image(alice, name), 320, 240)
        assert answer.content == (IMAGES / name).read_bytes() and answer.headers["Content-Type"] == kind
    item = image(alice, "moving.gif")
    assert thumbnail(alice, item, 320, 240, animated="true").content == (IMAGES / "moving.gif").read_bytes()
    assert thumbnail(alice, item, 320, 240, animated="false").headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("name", ["turned.jpg", "comment.jpg", "comment.gif", "turned.png", "turned.webp"])
def test_nothing_but_pixels_is_shown(alice, name):
    answer = thumbnail(alice, image(alice, name), 800, 600)
    assert answer.status_code == 200
    assert b"SECRET" not in answer.content and b"alert" not in answer.content


def test_the_type_is_in_the_bytes_not_in_the_claim(alice):
    item = upload(alice, (IMAGES / "moving.gif").read_bytes() + b"/*1*/", "text/html")
    assert thumbnail(alice, item, 32, 32, method="crop").headers["Content-Type"] == "image/png"
    for claimed in ("image/png", "image/svg+xml"):
        item = upload(alice, b"<svg xmlns='http://www.w3.org/2000/svg'/>" + claimed.encode(), claimed)
        alice.fails(400, "M_UNKNOWN", "GET", f"{AUTHED}{item}?width=32&height=32")


BAD = [
    b"", b"hello", b"%PDF-1.7\n", b"GIF89a/*\1\0\0\0*/=1;alert(1)//", b"<html></html>",
    (IMAGES / "photo.jpg").read_bytes()[:300],
    png(20, 20)[:40],
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_what_is_no_image_has_no_thumbnail(alice, data):
    item = upload(alice, data, "image/png")
    for _ in range(2):
        alice.fails(400, "M_UNKNOWN", "GET", f"{AUTHED}{item}?width=32&height=32&method=crop")


def test_bombs_are_too_large(alice):
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    for bomb in (head, b"GIF89a\xff\xff\xff\xff\0\0\0;"):
        item = upload(alice, bomb, "image/png")
        alice.fails(413, "M_TOO_LARGE", "GET", f"{AUTHED}{item}?width=32&height=32")


@pytest.mark.parametrize("query,errcode", [
    ("", "M_MISSING_PARAM"), ("width=32", "M_MISSING_PARAM"), ("height=32", "M_MISSING_PARAM"), ("width=a&height=32", "M_INVALID_PARAM"),
    ("width=-1&height=32", "M_INVALID_PARAM"), ("width=32&height=0", "M_INVALID_PARAM"), ("width=1.5&height=32", "M_INVALID_PARAM"),
    ("width=32&height=32&method=stretch", "M_INVALID_PARAM"), ("width=32&height=32&animated=perhaps", "M_INVALID_PARAM"),
    ("width=32&height=32&timeout_ms=soon", "M_INVALID_PARAM"),
])
def test_wishes_that_make_no_sense(alice, query, errcode):
    alice.fails(400, errcode, "GET", f"{AUTHED}{image(alice, 'photo.jpg')}?{query}")


def test_the_largest_wish_there_is(alice):
    assert thumbnail(alice, image(alice, "photo.jpg"), 2 ** 62, 2 ** 62).status_code == 200


def test_of_what_is_not_there(alice, nobody):
    alice.fails(404, "M_NOT_FOUND", "GET", f"{AUTHED}hearth.test/unknown?width=32&height=32")
    item = alice.post("/_matrix/media/v1/create")["content_uri"].removeprefix("mxc://")
    alice.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{AUTHED}{item}?width=32&height=32&timeout_ms=0")
    nobody.fails(401, "M_MISSING_TOKEN", "GET", f"{AUTHED}{image(alice, 'photo.jpg')}?width=32&height=32")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_made_once_also_for_many_who_ask_at_once(store):
    server = Server(store=store)
    try:
        alice = register(server)
        item = image(alice, "photo.jpg")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: thumbnail(Client(server, alice.user_id, alice.token), item, 60 + n, 60 + n, method="crop"),
                                    range(32)))
        assert {a.status_code for a in answers} == {200} and len({a.content for a in answers}) == 1
        assert made(server) == 1
        server.restart()
        again = thumbnail(alice, item, 96, 96, method="crop")
        assert again.content == answers[0].content and made(server) == 0
    finally:
        server.close()


def test_many_images_at_once(alice, hs):
    items = [upload(alice, png(150, 100, seed)) for seed in range(40)]
    ask = lambda item: thumbnail(Client(hs, alice.user_id, alice.token), item, 32, 32, method="crop")  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert {(a.status_code, size(a.content)) for a in pool.map(ask, items)} == {(200, (32, 32))}


def test_their_number_is_bounded(alice, hs):
    item = upload(alice, png(700, 700))
    before = made(hs)
    for n in range(1, 60):
        answer = thumbnail(alice, item, 10 * n, 600 - 10 * n + 1, method="crop")
        assert answer.status_code == 200
        width, height = size(answer.content)
        assert width >= 10 * n and height >= 600 - 10 * n + 1       # "must never return thumbnails smaller"
    assert made(hs) - before <= 40
    # Whoever wants what everybody wants has it still.
    assert size(thumbnail(alice, item, 32, 32, method="crop").content) == (32, 32)


def test_of_what_is_quarantined_there_is_none():
    """Neither one that was made before, nor a new one, and no waiting for it; what another has of the same bytes stays."""
    server = Server()
    try:
        alice = register(server)
        item, twin = image(alice, "turned.jpg"), image(alice, "turned.jpg")
        assert thumbnail(alice, item, 32, 32, method="crop").status_code == 200
        server.stop()
        with contextlib.closing(sqlite3.connect(server.dir / "hearth.db")) as db, db:
            done = db.execute("UPDATE media SET quarantined_by = ? WHERE media_id = ?",
                              (alice.user_id.encode(), item.split("/")[1].encode()))
            assert done.rowcount == 1
        server.start()
        for size in (32, 96):
            alice.fails(404, "M_NOT_FOUND", "GET", f"{AUTHED}{item}?width={size}&height={size}&method=crop")
        assert thumbnail(alice, twin, 32, 32, method="crop").status_code == 200
        assert made(server) == 0
    finally:
        server.close()


def test_the_older_endpoints_are_frozen(alice):
    item = image(alice, "photo.jpg")
    for version in ("r0", "v1", "v3"):
        alice.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/media/{version}/thumbnail/{item}?width=32&height=32")


def test_the_older_endpoints_are_open_where_they_are_left_open():
    server = Server(enable_authenticated_media=False, dynamic_thumbnails=True, max_image_pixels=200 * 120)
    try:
        alice, nobody = register(server), Client(server)
        item = image(alice, "photo.jpg")
        answer = thumbnail(nobody, item, 50, 40, LEGACY, method="scale")
        assert answer.status_code == 200 and size(answer.content) == (50, 30)      # dynamic_thumbnails
        alice.fails(413, "M_TOO_LARGE", "GET", f"{AUTHED}{upload(alice, png(201, 120))}?width=32&height=32")
    finally:
        server.close()


def test_sizes_are_the_operator_s():
    server = Server(thumbnail_sizes=[{"width": 50, "height": 50, "method": "crop"}, {"width": 100, "height": 100, "method": "scale"}])
    try:
        alice = register(server)
        item = image(alice, "photo.jpg")
        assert size(thumbnail(alice, item, 10, 10, method="crop").content) == (50, 50)
        assert size(thumbnail(alice, item, 10, 10, method="scale").content) == (100, 60)
    finally:
        server.close()
