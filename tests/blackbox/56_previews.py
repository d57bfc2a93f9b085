"""Previews of pages, from a server that is slow, endless, lying, redirecting to where nobody may go; and from good ones."""
import base64
import gzip
import http.server
import json
import struct
import subprocess
import threading
import urllib.parse
import zlib

import pytest
from client import Client, register
from server import BINARY, Server

PREVIEW = "/_matrix/client/v1/media/preview_url"
OLD = "/_matrix/media/v3/preview_url"


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


IMAGE = png(30, 20)
ARTICLE = """<html><head><title>Not this</title>
<meta property="og:title" content="An article &amp; more">
<meta property="og:type" content="article"><meta property="og:url" content="http://elsewhere.example/">
<meta property="og:image" content="/red.png"><meta property="og:image:width" content="9999">
<meta property="og:image:secure_url" content="https://tracker.example/x.png">
<meta property="og:description" content="What it says."></head><body>Body</body></html>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        site = self.server.site
        path = urllib.parse.urlsplit(self.path).path
        with site.lock:
            site.hits[path] = site.hits.get(path, 0) + 1
            site.headers[path] = dict(self.headers)
        try:
            site.pages[path](self)
        except KeyError:
            self.send_error(404)
        except OSError:
            pass  # the other side has seen enough

    def log_message(self, *args):
        pass

    def say(self, body, type="text/html; charset=utf-8", status=200, **headers):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        if type:
            self.send_header("Content-Type", type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def says(*args, **kw):
    return lambda h: h.say(*args, **kw)


class Site:
    def __init__(self, address="127.0.0.1"):
        self.pages, self.hits, self.headers, self.lock = {}, {}, {}, threading.Lock()
        self.httpd = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.site = self
        self.url = f"http://{address}:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture(scope="module")
def site():
    s = Site()
    s.pages["/red.png"] = says(IMAGE, "image/png")
    s.pages["/article"] = says(ARTICLE)
    yield s
    s.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request):
    s = Server(store=request.param, url_preview_enabled=True, url_preview_ip_range_whitelist=["127.0.0.1"], max_spider_size="1M",
               url_preview_accept_language=["de", "en;q=0.5"],
               url_preview_url_blacklist=[{"path": "/secret/*"}, {"path": r"^/\d+$", "scheme": "http"}])
    yield s
    s.close()


@pytest.fixture
def someone(server):
    return register(server)


def preview(client, url, **params):
    return client.get(PREVIEW, url=url, **params)


def fails(client, url, status=502, errcode="M_CONNECTION_FAILED"):
    return client.fails(status, errcode, "GET", PREVIEW, params={"url": url})


def test_an_article_with_its_picture(server, someone, site):
    og = preview(someone, site.url + "/article")
    image = og.pop("og:image")
    assert og == {"og:title": "An article & more", "og:type": "article", "og:url": "http://elsewhere.example/",
                  "og:description": "What it says.", "og:image:type": "image/png", "og:image:width": 30, "og:image:height": 20,
                  "matrix:image:size": len(IMAGE)}
    assert image.startswith("mxc://hearth.test/")
    answer = someone.raw("GET", "/_matrix/client/v1/media/download/" + image[len("mxc://"):])
    if answer.status_code != 404 or answer.json()["errcode"] != "M_UNRECOGNIZED":
        assert answer.content == IMAGE
    sent = site.headers["/article"]
    assert sent["User-Agent"].startswith("Hearth/") and sent["Accept-Language"] == "de, en;q=0.5"
    assert "Cookie" not in sent and "Authorization" not in sent


def test_it_is_fetched_once(server, someone, site):
    site.pages["/once"] = says("<title>Once</title>")
    before = site.hits.get("/once", 0)
    others = [register(server) for _ in range(5)]
    got = []
    threads = [threading.Thread(target=lambda c=c: got.append(preview(c, site.url + "/once"))) for c in others]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert got == [{"og:title": "Once"}] * 5
    assert someone.get(OLD, url=site.url + "/once#part", ts=1) == {"og:title": "Once"}
    assert site.hits["/once"] == before + 1


def test_a_failure_is_remembered_for_a_while(server, someone, site):
    before = site.hits.get("/gone", 0)
    body = fails(someone, site.url + "/gone")
    assert "404" in body["error"]
    site.pages["/gone"] = says("<title>Back</title>")
    fails(someone, site.url + "/gone")
    assert site.hits["/gone"] == before + 1
    del site.pages["/gone"]


def test_plain_pages(server, someone, site):
    site.pages["/plain"] = says("<html><head><title> A  page </title><script>var x = 1;</script></head><body><nav>Menu</nav>"
                                "<p>First\nwords.</p><img src='/red.png' width=30 height=20></body>")
    og = preview(someone, site.url + "/plain")
    assert (og["og:title"], og["og:description"], og["og:image:width"]) == ("A page", "First words.", 30)
    site.pages["/empty"] = says("")
    assert preview(someone, site.url + "/empty") == {}


@pytest.mark.parametrize("name, type, body", [
    ("latin", "text/html; charset=ISO-8859-1", "<title>Käse</title>".encode("latin-1")),
    ("koi8", "text/html", "<meta charset=koi8-r><title>Привет</title>".encode("koi8-r")),
    ("bom", "text/html; charset=latin1", "\ufeff<title>日本</title>".encode("utf-16")),
    ("sjis", "text/html; charset=Shift_JIS", "<title>日本</title>".encode("shift_jis")),
    ("lies", "text/html; charset=utf-8", "<title>Käse</title>".encode("latin-1")),
    ("unknown", "text/html; charset=no-such-thing", "<title>Käse</title>".encode()),
    ("forbidden", "text/html; charset=ISO-2022-CN-EXT", "<title>Käse</title>".encode()),
])
def test_charsets(server, someone, site, name, type, body):
    site.pages["/charset/" + name] = says(body, type)
    want = {"koi8": "Привет", "bom": "日本", "sjis": "日本", "lies": "K\ufffdse"}.get(name, "Käse")
    assert preview(someone, site.url + "/charset/" + name) == {"og:title": want}


def test_an_image_itself(server, someone, site):
    site.pages["/cat.png"] = says(IMAGE, "image/png", Content_Disposition='inline; filename="cat.png"')
    og = preview(someone, site.url + "/cat.png")
    assert og.pop("og:image").startswith("mxc://")
    assert og == {"og:description": "cat.png", "og:image:type": "image/png", "og:image:width": 30, "og:image:height": 20,
                  "matrix:image:size": len(IMAGE)}


def test_oembed(server, someone, site):
    site.pages["/video"] = says('<link rel="alternate" type="application/json+oembed" href="/oembed"><body>x</body>')
    site.pages["/oembed"] = says('{"version": "1.0", "type": "video", "title": "Cats &amp; dogs", "width": 640, "height": 480,'
                                 '"thumbnail_url": "/red.png", "html": "<p>Words</p>"}', "application/json")
    og = preview(someone, site.url + "/video")
    assert og["og:title"] == "Cats & dogs" and og["og:type"] == "video.other" and og["og:video:width"] == 640
    assert og["og:url"] == site.url + "/video" and og["og:image:width"] == 30 and og["og:description"] == "x"


def test_providers_of_the_operators(site, tmp_path):
    site.pages["/provider"] = says('{"type": "link", "author_name": "Somebody", "thumbnail_url": "/red.png"}', "application/json")
    providers = tmp_path / "providers.json"
    providers.write_text(json.dumps([{"provider_name": "P", "provider_url": site.url, "endpoints": [
        {"schemes": [site.url + "/watch/*"], "url": site.url + "/provider"}]}]))
    server = Server(url_preview_enabled=True, url_preview_ip_range_blacklist=[], oembed={"additional_providers": [str(providers)]})
    og = preview(register(server), site.url + "/watch/1")
    assert (og["og:title"], og["og:url"], og["og:image:width"]) == ("Somebody", site.url + "/watch/1", 30)
    assert "/watch/1" not in site.hits
    server.close()


@pytest.mark.parametrize("options, said", [
    ({"url_preview_url_blacklist": [{"netloc": "^("}]}, "url_preview_url_blacklist"),
    ({"url_preview_url_blacklist": [{"host": "x"}]}, "url_preview_url_blacklist"),
    ({"oembed": {"additional_providers": ["/nowhere.json"]}}, "/nowhere.json"),
])
def test_settings_that_cannot_be(options, said):
    server = Server(start=False, url_preview_enabled=True, **options)
    server.write_config()
    run = subprocess.run([BINARY, "serve", "--config", "homeserver.yaml"], cwd=server.dir, capture_output=True, text=True, timeout=30)
    assert run.returncode == 1 and said in run.stderr
    server.close()


def test_data_urls(server, someone, site):
    data = "data:image/png;base64," + base64.b64encode(IMAGE).decode()
    site.pages["/inline"] = says(f"<title>T</title><img src='{data}'>")
    assert preview(someone, site.url + "/inline")["og:image:width"] == 30
    fails(someone, data, 400, "M_INVALID_PARAM")


def test_what_breaks_the_picture_leaves_the_page(server, someone, site):
    inside = Site("127.0.0.2")
    site.pages["/endless.png"] = endless("image/png")
    site.pages["/text.png"] = says("no image", "text/html")
    for i, link in enumerate(["/no-such.png", "/endless.png", "/text.png", inside.url + "/x.png", "ftp://x/y.png", "/secret/x.png",
                              "http://[", "data:image/png;base64,%%%"]):
        site.pages[f"/picture{i}"] = says(f'<title>T</title><meta property="og:image" content="{link}">')
        assert preview(someone, f"{site.url}/picture{i}") == {"og:title": "T"}, link
    assert inside.hits == {}
    inside.close()


# What no preview is made of

def endless(type):
    def page(h):
        h.say(b"", type)
        while True:
            h.wfile.write(b"x" * 65536)
    return page


def test_networks_that_are_not_asked(server, someone, site):
    inside = Site("127.0.0.2")
    inside.pages["/"] = says("<title>Secret</title>")
    for url in [inside.url, inside.url.replace("127.0.0.2", "2130706434"), inside.url.replace("127.0.0.2", "0x7f000002"),
                inside.url.replace("127.0.0.2", "[::ffff:127.0.0.2]"), "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/",
                "http://[fe80::1]/", "http://0.0.0.0/"]:
        assert fails(someone, url)["error"] == "The address could not be fetched"
    for i, target in enumerate([inside.url + "/", "ftp://127.0.0.1/", "file:///etc/passwd", "http://a:b@127.0.0.1/", f"/redirect/2"]):
        site.pages[f"/redirect/{i}"] = says("", status=302, Location=target)
    site.pages["/redirect/4"] = says("", status=302, Location="/redirect/4")
    for i in range(5):
        assert fails(someone, f"{site.url}/redirect/{i}")["error"] == "The address could not be fetched"
    assert inside.hits == {}
    inside.close()


def test_addresses_that_are_none(server, someone):
    for url in ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "javascript:alert(1)", "http://", "http://u:p@example.org/",
                "http://exam\nple.org/", "http://" + "a" * 300]:
        fails(someone, url, 400, "M_INVALID_PARAM")
    someone.fails(400, "M_MISSING_PARAM", "GET", PREVIEW)
    someone.fails(400, "M_INVALID_PARAM", "GET", PREVIEW, params={"url": "http://x.example/", "ts": "yesterday"})


def test_addresses_that_the_operator_does_not_want(server, someone, site):
    site.pages["/to-secret"] = says("", status=301, Location="/secret/page")
    site.pages["/secret/page"] = says("<title>Secret</title>")
    site.pages["/through-secret"] = says("", status=301, Location="/secret/way")
    site.pages["/secret/way"] = says("", status=301, Location="/article")
    for path in ["/secret/page", "/12345", "/to-secret", "/through-secret"]:
        fails(someone, site.url + path, 403, "M_FORBIDDEN")
    assert not [path for path in site.hits if path.startswith("/secret/")], "not even on the way to another page"
    site.pages["/12345x"] = says("<title>Fine</title>")
    assert preview(someone, site.url + "/12345x") == {"og:title": "Fine"}


def bomb(h):
    h.say(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip")


def lying(h):
    h.say("<title>Short</title>", Content_Length="1000")


def test_servers_that_misbehave(server, someone, site):
    site.pages.update({"/endless": endless("text/html"), "/bomb": bomb, "/lying": lying, "/zip": endless("application/zip"),
                       "/no-type": says("<title>x</title>", None), "/flood": lambda h: [h.wfile.write(b"X: y\r\n" * 1000) for _ in range(100)]})
    for path in ["/endless", "/bomb", "/lying", "/zip", "/no-type", "/flood"]:
        fails(someone, site.url + path)


def test_hostile_pages(server, someone, site):
    deep = "<div>" * 50000 + "<p>deep"
    wide = "<a " + " ".join(f"a{i:x}" for i in range(60000)) + ">"
    site.pages.update({"/deep": says("<title>Deep</title>" + deep), "/wide": says("<title>Wide</title>" + wide),
                       "/tags": says("<title>Many</title>" + "<meta property='og:x' content='y'>" * 60),
                       "/long": says("<title>Long</title><meta property='og:x' content='" + "y" * 2000 + "'>")})
    assert preview(someone, site.url + "/deep")["og:title"] == "Deep"
    assert preview(someone, site.url + "/wide")["og:title"] == "Wide"
    assert preview(someone, site.url + "/tags") == {"og:title": "Many"}
    assert preview(someone, site.url + "/long") == {"og:title": "Long"}


def test_slow_servers_keep_nobody_from_a_preview(server, someone, site):
    slow, quick = Site(), Site()
    two, release = threading.Semaphore(0), threading.Event()

    def page(h):
        two.release()
        release.wait(30)
        h.say("<title>Late</title>")

    slow.pages = {f"/slow{i}": page for i in range(8)}
    quick.pages["/"] = says("<title>Quick</title>")
    got = []
    clients = [Client(server, someone.user_id, someone.token) for _ in range(8)]
    threads = [threading.Thread(target=lambda c=c, i=i: got.append(preview(c, f"{slow.url}/slow{i}"))) for i, c in enumerate(clients)]
    [t.start() for t in threads]
    assert two.acquire(timeout=30) and two.acquire(timeout=30)
    assert preview(register(server), quick.url) == {"og:title": "Quick"}
    begun = sum(slow.hits.values())
    release.set()
    [t.join() for t in threads]
    assert begun == 2, "a user has two at a time"
    assert got == [{"og:title": "Late"}] * 8
    slow.close()
    quick.close()


def test_who_may_ask(server, site):
    nobody = Client(server)
    nobody.fails(401, "M_MISSING_TOKEN", "GET", PREVIEW, params={"url": site.url})


def test_off_by_default(alice, site):
    for path in [PREVIEW, OLD]:
        alice.fails(404, "M_UNRECOGNIZED", "GET", path, params={"url": site.url + "/article"})
