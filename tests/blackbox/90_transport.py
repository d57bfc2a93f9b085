"""The listener for other servers, and how others are reached: certificates, names, and who is not asked."""
import concurrent.futures
import signal
import socket
import ssl
import threading
import time

import pytest
import requests

from client import register
from fed import ca
from fed.dns import DNS
from fed.follower import enter
from fed.hearth import FedServer
from fed.peer import FED, Peer, q


@pytest.fixture
def fed_server():
    server = FedServer()
    yield server
    server.close()


def ask(server, path):
    with requests.Session() as http:
        http.trust_env = False
        return http.get(f"https://{server.name}{path}", verify=str(server.authority.pem), timeout=30)


@pytest.mark.parametrize("path", ["/_matrix/key/v2/server", "/_matrix/federation/v1/version", "/health"])
def test_the_listener_for_servers_serves_them(fed_server, path):
    assert ask(fed_server, path).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/_matrix/client/versions", "/_matrix/client/v3/login", "/_synapse/admin/v1/register",
                                  "/.well-known/matrix/client", "/_matrix/federation", "/"])
def test_and_nobody_else(fed_server, path):
    answer = ask(fed_server, path)
    assert (answer.status_code, answer.json()["errcode"]) == (404, "M_UNRECOGNIZED")


@pytest.mark.parametrize("path", ["/_matrix/key/v2/server", "/_matrix/federation/v1/version"])
def test_servers_are_not_served_where_they_should_not_be(path):
    server = FedServer(start=False)
    try:
        server.config["listeners"][0]["resources"] = [{"names": ["client"]}]
        server.start()
        assert requests.get(f"{server.url}{path}", timeout=30).status_code == 404
        assert ask(server, path).status_code == 200
    finally:
        server.close()


def test_behind_a_proxy_that_has_the_certificate(fed, peer):
    """Without TLS, on the listener that clients use as well: the proof is of what was asked, however it came."""
    user = register(fed)
    target = f"{FED}/v1/query/profile?user_id={q(user.user_id)}"
    proof = {"Authorization": peer.authorization("GET", fed.name, target), "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    assert requests.get(fed.url + target, headers=proof, timeout=30).status_code == 200
    assert requests.get(fed.url + target.replace("profile", "directory"), headers=proof, timeout=30).status_code == 401


def shown(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, context.wrap_socket(plain) as s:
        return ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True)).strip()


def test_a_renewed_certificate_is_shown_without_being_told():
    server = FedServer(start=False)
    try:
        for name, file in zip(("tls.crt", "tls.key"), server.authority.issue("localhost")):
            (server.dir / name).write_bytes(file.read_bytes())
        server.config.update(tls_certificate_path="tls.crt", tls_private_key_path="tls.key")
        server.start()
        cert, key = (f.read_bytes() for f in server.authority.issue("localhost"))
        (server.dir / "tls.crt").write_bytes(cert)
        (server.dir / "tls.key").write_bytes(key)
        deadline = time.monotonic() + 60
        while shown(server.fed_port) != cert.decode().strip():
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.2)
        assert ask(server, "/_matrix/key/v2/server").status_code == 200
    finally:
        server.close()


def test_files_that_are_not_there():
    server = FedServer(start=False, federation_custom_ca_list=["/nowhere/ca.pem"])
    with pytest.raises(AssertionError, match="federation_custom_ca_list: cannot read /nowhere/ca.pem"):
        server.start()
    server.process = None
    server.close()


def test_authorities_of_several_files():
    other = ca.CA("another")
    server = FedServer(federation_custom_ca_list=[str(other.pem), str(ca.shared().pem)])
    server.close()


def asked_by(peer, server):
    """The status of a request of the peer's, for which its keys must be had: the server has to reach it."""
    return peer.raw("GET", server, f"{FED}/v1/query/profile?user_id={q(register(server).user_id)}").status_code


@pytest.mark.parametrize("options, status, reached", [
    ({}, 200, True),
    ({"ip_range_blacklist": None}, 401, False),  # this machine is no part of the public internet
    ({"ip_range_blacklist": None, "ip_range_whitelist": ["127.0.0.1", "::1"]}, 200, True),
    ({"ip_range_blacklist": ["127.0.0.0/8", "::1"]}, 401, False),
    ({"federation_domain_whitelist": ["other.test"]}, 403, False),
    ({"federation_domain_whitelist": []}, 403, False),
    ({"federation_custom_ca_list": None}, 401, False),
    ({"federation_custom_ca_list": None, "federation_verify_certificates": False}, 200, True),
    ({"federation_custom_ca_list": None, "federation_certificate_verification_whitelist": ["local*"]}, 200, True),
    ({"federation_custom_ca_list": None, "federation_certificate_verification_whitelist": ["*.onion"]}, 401, False),
    ({"federation_client_minimum_tls_version": 1.3}, 200, True),
])
def test_who_is_asked(peer, options, status, reached):
    server = FedServer(start=False, **options)
    for key in [k for k, v in options.items() if v is None]:
        del server.config[key]
    try:
        server.start()
        assert asked_by(peer, server) == status
        assert bool(peer.requests) == reached
    finally:
        server.close()


@pytest.mark.parametrize("service", ["_matrix-fed", "_matrix"])
def test_a_server_is_found_by_its_srv_record(service):
    peer = Peer("peer.test", name="peer.test")
    names = DNS({"peer.test": "127.0.0.1", "machine.test": "127.0.0.1",
                 f"{service}._tcp.peer.test": [(10, 0, 1, "peer.test"), (20, 0, peer.port, "machine.test")]})
    server = FedServer(dns_servers=[names.address])
    try:
        assert asked_by(peer, server) == 200
        assert [r.path for r in peer.requests] == ["/_matrix/key/v2/server"]
        assert (f"{service}._tcp.peer.test", 33) in names.asked
    finally:
        server.close()
        names.close()
        peer.close()


def test_a_record_may_not_lead_to_another_name():
    """The certificate is the server's own, whatever machine it stands on."""
    peer = Peer("machine.test", name="peer.test")
    names = DNS({"machine.test": "127.0.0.1", "_matrix-fed._tcp.peer.test": [(10, 0, peer.port, "machine.test")]})
    server = FedServer(dns_servers=[names.address])
    try:
        assert asked_by(peer, server) == 401
        assert peer.requests == []
    finally:
        server.close()
        names.close()
        peer.close()


@pytest.mark.parametrize("host, address", [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_servers_without_names(host, address):
    """Both are what they are called: addresses, which their certificates have to be for."""
    peer = Peer(host, address=address)
    server = FedServer(start=False)
    server.name = server.config["server_name"] = f"{host}:{server.fed_port}"
    cert, key = server.authority.issue(host)
    server.config.update(tls_certificate_path=str(cert), tls_private_key_path=str(key))
    server.config["listeners"][1]["bind_addresses"] = [address]
    try:
        server.start()
        alice = register(server)
        room = peer.join(server, alice.create_room(preset="public_chat"), peer.user())
        said = alice.send(room.room_id, "hello")
        assert peer.wait_pdu(lambda e: e.get("content", {}).get("body") == "hello")["sender"].endswith(f":{server.name}")
        heard = room.message("hello yourself", prev=[room.take(peer.wait_pdu(lambda e: room.id(e) == said))])
        assert peer.send(server, [heard]) == {room.id(heard): {}}
        theirs = peer.create_room()
        assert enter(alice, theirs.room_id, peer) == theirs.room_id
    finally:
        server.close()
        peer.close()
    assert not peer.faults, peer.faults


def bindable(address, port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
        except PermissionError:
            return False
    return True


if bindable("127.0.77.1", 443):  # delegation knows no other port, and some machines keep it from their users
    @pytest.mark.parametrize("delegated", ["to a port", "to a name with a record"])
    def test_a_server_is_found_where_it_says_itself(delegated):
        """By /.well-known/matrix/server, behind a redirect: at another name, for which the certificate has to be."""
        web = Peer("site.test", address="127.0.77.1", port=443)
        peer = Peer("peer.test", name="site.test")
        names = DNS({"site.test": "127.0.77.1", "peer.test": "127.0.0.1", "_matrix-fed._tcp.peer.test": [(10, 0, peer.port, "peer.test")]})
        web.on("GET", "/.well-known/matrix/server", lambda request: (302, "/said/elsewhere"))
        web.on("GET", "/said/elsewhere", lambda request: (200, {"m.server": f"peer.test:{peer.port}" if delegated == "to a port" else "peer.test"}))
        server = FedServer(dns_servers=[names.address])
        try:
            assert asked_by(peer, server) == 200
            assert [r.path for r in web.requests] == ["/.well-known/matrix/server", "/said/elsewhere"]
            assert [r.path for r in peer.requests] == ["/_matrix/key/v2/server"]
            assert ("_matrix-fed._tcp.site.test", 33) not in names.asked
        finally:
            for s in (server, names, web, peer):
                s.close()


def test_a_stop_does_not_wait_for_another_server(fed_server, peer):
    """Whoever waits for one is answered, instead of being cut off when the time is over."""
    user, never = register(fed_server), threading.Event()
    peer.on("POST", "/user/keys/query", lambda request: never.wait() and None)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(user.post, "/keys/query", {"device_keys": {peer.user(): []}, "timeout": 60000})
        peer.wait_request("POST", "/user/keys/query")
        fed_server.process.send_signal(signal.SIGTERM)
        assert fed_server.process.wait(timeout=30) == 0
        assert peer.name in answer.result()["failures"]
    never.set()
