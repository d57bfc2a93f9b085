"""Files of other servers: fetched when somebody first asks, once for all who do, and kept."""
import concurrent.futures

import pytest

from client import register
from fed.hearth import FedServer

DOWNLOAD = "/_matrix/client/v1/media/download"


def multipart(data, *headers):
    head = "".join(f"{h}\r\n" for h in headers)
    return "multipart/mixed; boundary=b0undary", (
        b"--b0undary\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0undary\r\n" + head.encode() + b"\r\n" + data + b"\r\n--b0undary--\r\n")


def serve(peer, data=b"\x89PNG picture", *headers):
    headers = headers or ("Content-Type: image/png", 'Content-Disposition: inline; filename="p.png"')
    peer.on("GET", "/media/download/", lambda request: (200, multipart(data, *headers)))


def asked(peer):
    return [r for r in peer.requests if "/media/" in r.path]


@pytest.fixture
def alice(each_fed):
    return register(each_fed)


def get(alice, peer, media_id, path=DOWNLOAD, **params):
    return alice.raw("GET", f"{path}/{peer.name}/{media_id}", params=params)


def test_a_file_is_fetched_once_and_kept(alice, peer):
    serve(peer)
    for _ in range(2):
        got = get(alice, peer, "abc")
        assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, b"\x89PNG picture", "image/png")
        assert 'filename="p.png"' in got.headers["Content-Disposition"] or "p.png" in got.headers["Content-Disposition"]
    (request,) = asked(peer)
    assert request.path == "/_matrix/federation/v1/media/download/abc" and int(request.arg("timeout_ms")) <= 20000
    peer.stop()
    assert get(alice, peer, "abc").content == b"\x89PNG picture"


def test_many_ask_at_once(alice, peer):
    serve(peer, b"x" * 300000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: register(alice.server).raw("GET", f"{DOWNLOAD}/{peer.name}/many"), range(8)))
    assert [(a.status_code, len(a.content)) for a in answers] == [(200, 300000)] * 8
    assert len(asked(peer)) == 1


def test_what_a_server_does_not_have(alice, peer):
    for _ in range(2):
        alice.fails(404, "M_NOT_FOUND", "GET", f"{DOWNLOAD}/{peer.name}/nothing")
    # the signed endpoint, and the one from before it; a failure is remembered for a while
    assert [r.path.split("/")[2] for r in asked(peer)] == ["federation", "media"]
    alice.fails(404, "M_NOT_FOUND", "GET", f"{DOWNLOAD}/{peer.name}/other?allow_remote=false")
    assert len(asked(peer)) == 2


def test_a_server_from_before_the_signed_endpoint(alice, peer):
    peer.on("GET", "/_matrix/media/v3/download/", lambda request: (200, ("text/plain", b"hello")))
    got = get(alice, peer, "old")
    assert (got.content, got.headers["Content-Type"]) == (b"hello", "text/plain; charset=utf-8")
    assert asked(peer)[-1].arg("allow_remote") == "false"


def test_a_file_that_is_kept_elsewhere(alice, peer, each_fed):
    # The guarded client trusts the world's authorities alone: the address is another server's, over plain http.
    import http.server
    import threading

    class Store(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"kept")
            assert "Authorization" not in self.headers

        def log_message(self, *args):
            pass
    store = http.server.HTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    serve(peer, b"", f"Location: http://127.0.0.1:{store.server_address[1]}/x")
    assert get(alice, peer, "moved").content == b"kept"
    store.shutdown()


@pytest.mark.parametrize("answer", [
    ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b\r\n\r\ncut off"), ("text/plain", b"nothing of the kind"),
    ("text/plain", b"nothing\r\nof the kind"), ("multipart/mixed", b"--b\r\n\r\n{}\r\n--bx\r\n"), ("multipart/mixed", b""), ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b--")])
def test_what_is_no_file(alice, peer, answer):
    peer.on("GET", "/media/download/", lambda request: (200, answer))
    got = get(alice, peer, "broken")
    assert got.status_code in (404, 502) and got.json()["errcode"]
    serve(peer)
    peer.requests.clear()
    assert get(alice, peer, "good").status_code == 200


def test_what_is_too_large(peer):
    server = FedServer(max_upload_size="100K")
    try:
        alice = register(server)
        serve(peer, b"x" * 200000)
        alice.fails(502, "M_TOO_LARGE", "GET", f"{DOWNLOAD}/{peer.name}/large")
        serve(peer, b"x" * 100000)
        assert len(get(alice, peer, "fits").content) == 100000
    finally:
        server.close()
