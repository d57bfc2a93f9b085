"""The commands of `hearth`, the life of the server, and its settings: what an operator does."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess

import pytest
import requests

from server import BINARY, Server, free_port

V3 = "/_matrix/client/v3"


def hearth(*args, cwd, given="", status=0):
    done = subprocess.run([BINARY, *args], cwd=cwd, input=given, text=True, capture_output=True, timeout=60)
    assert done.returncode == status, (args, done)
    return done.stdout if status == 0 else done.stderr


def login(url, user, password):
    return requests.post(f"{url}{V3}/login", timeout=30, json={
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password})


@pytest.fixture
def server():
    s = Server()
    yield s
    s.close()


def test_users_are_made_by_the_running_server(server):
    config = ("--config", "homeserver.yaml", "user")
    assert hearth(*config, "add", "ada", "--admin", cwd=server.dir, given="correct horse\n") == "@ada:hearth.test\n"
    assert "already taken" in hearth(*config, "add", "ada", cwd=server.dir, given="correct horse\n", status=1)
    first = login(server.url, "ada", "correct horse").json()
    assert hearth(*config, "passwd", "ada", "--keep-logins", cwd=server.dir, given="battery staple\n") == "@ada:hearth.test\n"
    who = {"headers": {"Authorization": f"Bearer {first['access_token']}"}, "timeout": 30}
    assert requests.get(f"{server.url}{V3}/account/whoami", **who).status_code == 200
    assert login(server.url, "ada", "correct horse").status_code == 403
    assert login(server.url, "ada", "battery staple").status_code == 200
    hearth(*config, "passwd", "@ada:hearth.test", cwd=server.dir, given="third one is it\n")
    assert requests.get(f"{server.url}{V3}/account/whoami", **who).status_code == 401
    assert hearth(*config, "list", cwd=server.dir) == "@ada:hearth.test admin\n"
    assert "something is missing" in hearth(*config, "add", cwd=server.dir, status=2)
    assert "no password" in hearth(*config, "add", "eve", cwd=server.dir, status=1)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_users_are_made_without_a_server_too(store):
    server = Server(store=store)
    try:
        server.stop()
        config = ("--config", "homeserver.yaml", "user")
        for name in ("bea", "ada"):
            assert hearth(*config, "add", name, cwd=server.dir, given="correct horse\n") == f"@{name}:hearth.test\n"
        assert hearth(*config, "list", cwd=server.dir) == "@ada:hearth.test\n@bea:hearth.test\n"
        server.start()
        assert login(server.url, "ada", "correct horse").status_code == 200
    finally:
        server.close()


def test_a_folder_serves_one(server):
    assert "another server uses the folder" in hearth("serve", "--config", "homeserver.yaml", cwd=server.dir, status=1)


def test_what_it_writes_is_for_its_owner_alone(server):
    for name in ("data", "data/hearth.lock", "data/hearth.sock", "hearth.db", "signing.key"):
        assert (server.dir / name).stat().st_mode & 0o077 == 0, name


def test_it_takes_as_many_descriptors_as_connections_need():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))  # what a login shell begins with
    try:
        s = Server(limits={"max_connections": 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with contextlib.closing(s):
        assert resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)[0] >= 2000


def test_the_signing_key_is_kept(server):
    key = (server.dir / "signing.key").read_text()
    assert key.startswith("ed25519 a_")
    server.restart()
    assert (server.dir / "signing.key").read_text() == key


def test_bad_settings_refuse_to_start(server):
    bad = server.dir / "bad.yaml"
    bad.write_text("server_name: x\nmax_upload_size: many\nmax_upload_siez: 1M\n")
    said = hearth("serve", "--config", "bad.yaml", cwd=server.dir, status=1)
    assert said == ('bad.yaml:2: max_upload_size: expected a size such as 50M, found "many"\n'
                    "bad.yaml:3: max_upload_siez: unknown and ignored; did you mean max_upload_size?\n")
    assert hearth("check-config", "--config", "bad.yaml", cwd=server.dir, status=1) == said
    assert "No such file" in hearth("serve", "--config", "none.yaml", cwd=server.dir, status=1)


def test_a_generated_file_is_good(tmp_path):
    (tmp_path / "homeserver.yaml").write_text(hearth("generate-config", "--server-name", "example.org", cwd=tmp_path))
    assert hearth("check-config", "--config", "homeserver.yaml", cwd=tmp_path) == "homeserver.yaml is good\n"
    hearth("generate-key", "a.key", cwd=tmp_path)
    assert "File exists" in hearth("generate-key", "a.key", cwd=tmp_path, status=1)
    assert hearth("version", cwd=tmp_path).startswith("hearth ")
    assert ".SH CONFIGURATION" in hearth("help", "--man", cwd=tmp_path)


VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "state_res"


def resolved(*args, cwd):
    answer = json.loads(hearth("state", "resolve", *map(str, args), cwd=cwd))
    return answer, sorted(row["event_id"] for row in answer["state"])


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda p: p.stem)
def test_states_of_files_are_resolved(path, tmp_path):
    case = json.loads(path.read_text())
    answer, ids = resolved(path, cwd=tmp_path)
    assert ids == sorted(case["expected"]) and answer["room_version"] == case["room_version"]
    # Each state in a file of its own, the events in another, in the opposite order.
    files = [tmp_path / f"{i}.json" for i in range(len(case["states"]) + 1)]
    for file, state in zip(files, reversed(case["states"])):
        file.write_text(json.dumps({"states": [state]}))
    files[-1].write_text(json.dumps({"events": case["events"]}))
    assert resolved(*files, "--room-version", case["room_version"], cwd=tmp_path)[1] == ids


def test_a_resolution_is_explained(tmp_path):
    why = resolved("--explain", VECTORS / "msc4297-problem-b.v11.json", cwd=tmp_path)[0]
    ids = {name: [row["event_id"] for row in rows] for name, rows in why.items() if isinstance(rows, list)}
    assert why["algorithm"] == "2" and ids["conflicted"] == ids["full_conflicted_set"] == ["$levels", "$p2"]
    assert ids["power_events"] == ["$levels", "$p2"] and ids["other_events"] == []
    assert "refused" not in why["power_events"][0] and "power level" in why["power_events"][1]["refused"]
    assert why["power_events"][1]["rule"].startswith("rooms/v11, Authorisation rules, 7: ")
    assert [(row["event_id"], row["held"], row["cause"]) for row in why["lost"]] == [("$p2", "$levels", None)]
    why = resolved("--explain", VECTORS / "msc4297-problem-b.v12.json", cwd=tmp_path)[0]
    assert [row["event_id"] for row in why["power_events"]] == ["$levels", "$rules", "$p1", "$bob", "$p2"]
    assert why["lost"] == []
    why = resolved("--explain", VECTORS / "ban-against-power-levels.v11.json", cwd=tmp_path)[0]
    assert [(row["event_id"], row["cause"]) for row in why["lost"]] == [("$p2", "$ban")]
    why = resolved("--explain", VECTORS / "v1-reset-ban.json", cwd=tmp_path)[0]
    assert why["algorithm"] == "1" and [row["event_id"] for row in why["members"] if "refused" in row] == ["$ban:x"]


def whole_event(kept=(), **fields):
    """An event of room version 11 as servers send it, and its id: of its content only `kept` survives redaction."""
    def digest(event):
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()
    event = {"room_id": "!r:x", "sender": "@a:x", "state_key": "", "origin_server_ts": 1, "depth": 1, "auth_events": [],
             "prev_events": [], **fields}
    event["hashes"] = {"sha256": base64.b64encode(digest(event)).decode().rstrip("=")}
    redacted = {**event, "content": {k: v for k, v in event["content"].items() if k in kept}}
    named = "$" + base64.urlsafe_b64encode(digest(redacted)).decode().rstrip("=")
    return {**event, "signatures": {"x": {"ed25519:1": "not asked for"}}}, named


def test_states_as_servers_send_them(tmp_path):
    create, c = whole_event(["room_version"], type="m.room.create", content={"room_version": "11"})
    join, j = whole_event(["membership"], type="m.room.member", state_key="@a:x", content={"membership": "join"},
                          auth_events=[c], prev_events=[c])
    topics = [whole_event(type="m.room.topic", content={"topic": n}, auth_events=[c, j], prev_events=[j],
                          origin_server_ts=ts) for n, ts in (("one", 9), ("two", 8))]
    for file, (topic, _) in zip("ab", topics):
        (tmp_path / file).write_text(json.dumps({"pdus": [create, join, topic], "auth_chain": [create, join]}))
    assert resolved("a", "b", cwd=tmp_path)[1] == sorted([c, j, topics[0][1]])
    (tmp_path / "a").write_text(json.dumps({"pdus": [{**create, "event_id": j}]}))
    assert f"{j} is really {c}" in hearth("state", "resolve", "a", cwd=tmp_path, status=1)


def test_files_that_hold_no_states_are_refused(tmp_path):
    case = json.loads((VECTORS / "msc4297-problem-b.v11.json").read_text())

    def said(**changes):
        (tmp_path / "bad.json").write_text(json.dumps({**case, **changes}))
        return hearth("state", "resolve", "bad.json", cwd=tmp_path, status=1)

    assert "$nowhere, which no file has" in said(states=[["$nowhere"]])
    assert "two events under m.room.power_levels" in said(states=[["$p1", "$p2"]])
    assert "no room version 99" in said(room_version="99")
    assert "from 1 to 64 states" in said(states=[])
    assert "neither hashes nor an event_id" in said(events=[{"type": "m.room.create"}])
    without = [e for e in case["events"] if e["event_id"] != "$p1"]
    assert "$p1 among its auth_events, which no file has" in said(events=without)
    assert "Event has no" in said(events=[{**case["events"][0], "hashes": {}}])
    (tmp_path / "bad.json").write_text("[")
    hearth("state", "resolve", "bad.json", cwd=tmp_path, status=1)
    assert "No such file" in hearth("state", "resolve", "none.json", cwd=tmp_path, status=1)
    hearth("state", "resolve", cwd=tmp_path, status=2)
    hearth("state", "untangle", cwd=tmp_path, status=2)
    hearth("state", "resolve", "--loudly", "bad.json", cwd=tmp_path, status=2)


def test_routes_are_the_table_itself(server):
    routes = hearth("routes", cwd=server.dir).splitlines()
    assert "GET /_matrix/client/versions" in routes and routes == sorted(routes, key=lambda r: r.split()[::-1])
    for line in routes:
        method, path = line.split()
        assert method in ("GET", "PUT", "POST", "DELETE") and path.startswith("/"), line


def test_a_reload_takes_what_it_can(server):
    well_known = f"{server.url}/.well-known/matrix/client"
    assert requests.get(well_known, timeout=30).json() == {"m.homeserver": {"base_url": server.url + "/"}}
    server.config.update(public_baseurl="https://new.example/", extra_well_known_client_content={"org.x": {"y": 1}},
                         server_name="other.test", rc_login={"address": {"per_second": 0.001, "burst_count": 1}})
    server.reload()
    assert requests.get(well_known, timeout=30).json() == {
        "m.homeserver": {"base_url": "https://new.example/"}, "org.x": {"y": 1}}
    assert [login(server.url, "x", "y").status_code for _ in range(2)] == [403, 429]
    assert "server_name: takes effect when the server is started again" in server.output()
    (server.dir / "homeserver.yaml").write_text("nonsense: [")
    server.signal_reload()
    assert requests.get(well_known, timeout=30).json()["m.homeserver"] == {"base_url": "https://new.example/"}
    assert "configuration not reloaded" in server.output()


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)


def seen_certificate(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, context.wrap_socket(plain) as s:
        return ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True))


def test_tls_and_its_reload():
    server, port = Server(start=False), free_port()
    try:
        certificate(server.dir, "first")
        server.config["listeners"].append({"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": True,
                                           "resources": [{"names": ["client"]}]})
        server.config.update(tls_certificate_path="tls.crt", tls_private_key_path="tls.key")
        server.start()
        answer = requests.get(f"https://localhost:{port}/_matrix/client/versions", verify=server.dir / "tls.crt", timeout=30)
        assert answer.status_code == 200
        assert seen_certificate(port).strip() == (server.dir / "tls.crt").read_text().strip()
        certificate(server.dir, "second")
        server.reload()
        assert seen_certificate(port).strip() == (server.dir / "tls.crt").read_text().strip()
        (server.dir / "tls.crt").write_text("no certificate")
        server.signal_reload()
        seen_certificate(port)
        assert "certificate not reloaded" in server.output()
    finally:
        server.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(how):
    server = Server()
    try:
        server.process.send_signal(how)
        assert server.process.wait(timeout=60) == 0
        assert not (server.dir / "data" / "hearth.sock").exists()
    finally:
        server.process = None
        server.close()


def test_without_settings_everything_is_in_data(tmp_path):
    """Its port is taken, by us or by whoever has it: it says so and ends, and all that it wrote is in ./data."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            s.bind(("127.0.0.1", 8008))
            s.listen()
        said = hearth(cwd=tmp_path, status=1)
    assert "cannot listen on 127.0.0.1 port 8008" in said
    assert os.listdir(tmp_path) == ["data"]


def test_support_is_told_when_configured():
    support = {"contacts": [{"role": "m.role.security", "email_address": "security@hearth.test"}], "support_page": "https://x/"}
    server = Server(well_known_support=support)
    try:
        answer = requests.get(f"{server.url}/.well-known/matrix/support", timeout=30)
        assert answer.json() == json.loads(json.dumps(support)) and answer.headers["Access-Control-Allow-Origin"] == "*"
    finally:
        server.close()


def test_support_is_404_otherwise(server):
    answer = requests.get(f"{server.url}/.well-known/matrix/support", timeout=30)
    assert (answer.status_code, answer.json()["errcode"]) == (404, "M_NOT_FOUND")


def test_health_and_metrics(server):
    assert requests.get(f"{server.url}/health", timeout=30).status_code == 200
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    assert "# TYPE" in text


def test_metrics_are_not_for_everybody():
    server = Server(start=False)
    try:
        server.config["listeners"][0]["resources"] = [{"names": ["client"]}]
        server.start()
        assert requests.get(f"{server.url}/metrics", timeout=30).status_code == 404
        assert requests.get(f"{server.url}/health", timeout=30).status_code == 200
    finally:
        server.close()
