"""The listener for other servers, and how others are reached: certificates, names, and who is not asked."""
import socket
import ssl
import time

import pytest
import requests

from fed import ca
from fed.hearth import FedServer


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
