"""A homeserver in Python: it answers as a good one does, or as a test tells it to; it remembers all that it was asked.

    peer = Peer()                       runs, on a port of its own, as localhost:PORT
    room = peer.create_room("10")       (rooms.py) a room of its own, which others may join
    room = peer.join(hearth, room_id)   enters one of Hearth's, as a user of its own
    peer.send(hearth, [event], [edu])   a transaction
    peer.on("GET", "/event/", handler)  answers otherwise: handler(request) gives (status, object), or None for the usual answer
    peer.wait_pdu(lambda e: ...)        an event that arrives, or has arrived, in a transaction
Requests without a good X-Matrix are answered with 401 and make `faults`, which the fixture asserts to be empty.
"""
import http.server
import inspect
import itertools
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse

import requests

from client import check_schema
from fed import ca, events
from fed.rooms import PeerRoom

FED = "/_matrix/federation"
_serial = itertools.count()
_ports = set()  # of all peers so far: a Hearth that outlives one still knows the keys of that name


def q(text):
    return urllib.parse.quote(text, safe="")


class Refused(Exception):
    """The other server's answer was no 2xx."""

    def __init__(self, answer):
        self.status = answer.status_code
        try:
            self.body = answer.json()
        except ValueError:
            self.body = {}
        self.errcode = self.body.get("errcode")
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")


class Request:
    """What somebody asked of a peer. parts: the path behind /vN/, decoded."""

    def __init__(self, method, target, body, origin):
        self.method, self.target, self.body, self.origin = method, target, body, origin
        path, _, query = target.partition("?")
        self.path = path
        self.query = urllib.parse.parse_qs(query)
        self.parts = [urllib.parse.unquote(p) for p in re.sub(r"^/_matrix/[a-z]+/v\d+/", "", path).split("/")]

    def arg(self, name, otherwise=None):
        return self.query.get(name, [otherwise])[0]

    def __repr__(self):
        return f"{self.method} {self.target} from {self.origin}"


NOT_FOUND = 404, {"errcode": "M_NOT_FOUND", "error": "not here"}


class Peer:
    def __init__(self, host="localhost", start=True, name=None, address="127.0.0.1", port=None):
        """host is what its certificate says; address and port where it listens."""
        self.authority = ca.shared()
        self.cert = self.authority.issue(host)
        self.requests, self.pdus, self.edus, self.faults = [], [], [], []
        self.rooms, self.handlers, self.hearths = {}, [], {}
        self.profiles, self.aliases, self.devices = {}, {}, {}
        self.changed = threading.Condition()
        self.verify, self.answers_txn = True, lambda request: (200, {"pdus": {}})
        self.http, self.server = requests.Session(), None
        self.http.verify, self.http.trust_env = str(self.authority.pem), False
        self.address, self.port = address, port
        self._listen()
        self.name = name or f"{host}:{self.port}"
        self.key = events.Key(self.name)
        if start:
            self.start()
        else:
            self.server.server_close()

    def _listen(self):
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = peer._serve(self.command, self.path, self.headers, body)
                if status is None:  # hangs up
                    self.close_connection = True
                    return
                kind = "application/json"
                more = {}
                if isinstance(answer, str):  # a redirect
                    more, answer = {"Location": answer}, b""
                if isinstance(answer, tuple):
                    kind, data = answer
                elif inspect.isgenerator(answer):  # piece after piece, of what is said to be long
                    data = None
                else:
                    data = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(1 << 20 if data is None else len(data)))
                self.end_headers()
                for piece in answer if data is None else [data]:
                    self.wfile.write(piece)

            do_GET = do_PUT = do_POST = do_DELETE = serve

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            address_family = socket.AF_INET6 if ":" in self.address else socket.AF_INET

            def handle_error(self, request, client_address):
                pass

            def get_request(self):
                sock, address = super().get_request()
                sock.settimeout(60)
                return self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

        self.server = Server((self.address, self.port or 0), Handler)
        while not self.port and self.server.server_address[1] in _ports:
            used, self.server = self.server, Server(("127.0.0.1", 0), Handler)
            used.server_close()
        self.server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.tls.load_cert_chain(*map(str, self.cert))
        self.port = self.server.server_address[1]
        _ports.add(self.port)

    def start(self):
        """Answers (again)."""
        if self.server.fileno() < 0:
            self._listen()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        """Nobody is there: connections are refused. The kept ones are closed at their next request."""
        self.server.shutdown()
        self.server.server_close()

    def close(self):
        if self.server.fileno() >= 0:
            self.stop()
        self.http.close()

    #
    # Asked by others
    #
    def on(self, method, path, handler):
        """The newest handler whose path is part of the request's comes first. Gives a function that takes it away again."""
        entry = (method, path, handler)
        self.handlers.insert(0, entry)
        return lambda: self.handlers.remove(entry)

    def _note(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def _serve(self, method, target, headers, body):
        try:
            content = json.loads(body) if body else None
        except ValueError:
            self.faults.append(f"{method} {target}: no JSON")
            return 400, {"errcode": "M_NOT_JSON", "error": "no JSON"}
        origin = None
        if target.startswith(FED) and not target.startswith(f"{FED}/v1/version"):
            origin = self._authenticate(method, target, headers.get("Authorization", ""), content)
            if self.verify and origin is None:
                self.faults.append(f"{method} {target}: not well signed: {headers.get('Authorization')}")
                return 401, {"errcode": "M_UNAUTHORIZED", "error": "not signed"}
        request = Request(method, target, content, origin)
        self._note(request)
        for m, path, handler in list(self.handlers):
            if m == method and path in request.path:
                answer = handler(request)
                if answer is not None:
                    return answer
        for m, pattern, handler in self.ROUTES:
            if m == method and re.fullmatch(pattern, request.path):
                return handler(self, request)
        return 404, {"errcode": "M_UNRECOGNIZED", "error": "not here"}

    def _authenticate(self, method, target, header, content):
        if not header.startswith("X-Matrix "):
            return None
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', header[len("X-Matrix "):]))
        if said.get("destination") != self.name:
            return None
        signed = {"method": method, "uri": target, "origin": said["origin"], "destination": self.name,
                  "signatures": {said["origin"]: {said["key"]: said["sig"]}}}
        if content is not None:
            signed["content"] = content
        try:
            events.verify(signed, said["origin"], said["key"], self.key_of(said["origin"], said["key"]))
        except Exception as e:
            self.faults.append(f"{method} {target}: {e!r}")
            return None
        return said["origin"]

    def key_of(self, server_name, key_id):
        if server_name == self.name:
            return self.key.public
        known = self.hearths.setdefault(server_name, {})
        if key_id not in known:
            document = self.http.get(f"https://{server_name}/_matrix/key/v2/server", timeout=20).json()
            known.update({k: v["key"] for k, v in document["verify_keys"].items()})
        return known[key_id]

    def key_document(self, valid_ms=3600_000):
        return self.key.sign({"server_name": self.name, "valid_until_ts": int(time.time() * 1000) + valid_ms,
                              "verify_keys": {self.key.id: {"key": self.key.public}}, "old_verify_keys": {}})

    def _get_keys(self, request):
        return 200, self.key_document()

    def _get_version(self, request):
        return 200, {"server": {"name": "Peer", "version": "0"}}

    def _put_send(self, request):
        answer = self.answers_txn(request)
        if answer[0] == 200:
            with self.changed:
                for event in request.body.get("pdus", []):
                    self.pdus.append(event)
                    room = self.rooms.get(event.get("room_id"))
                    if room:
                        room.take(event)
                self.edus += request.body.get("edus", [])
                self.changed.notify_all()
        return answer

    def _room(self, request, index=1):
        return self.rooms.get(request.parts[index])

    def _make(self, membership):
        def handler(self, request):
            room, user = self._room(request), request.parts[2]
            if not room:
                return NOT_FOUND
            if membership != "leave" and room.version not in request.query.get("ver", []):
                return 400, {"errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "version", "room_version": room.version}
            event = room.build("m.room.member", {"membership": membership}, sender=user, state_key=user, by=None)
            return 200, {"event": event, "room_version": room.version}
        return handler

    def _put_send_join(self, request):
        room = self._room(request)
        if not room:
            return NOT_FOUND
        event = request.body
        before = [room.events[i] for i in room.state_before(event).values()]
        room.take(event)
        answer = {"state": before, "auth_chain": room.auth_chain(before + [event]), "event": event, "members_omitted": False, "origin": self.name}
        return 200, (answer if request.path.startswith(f"{FED}/v2/") else [200, answer])

    def _put_send_leave(self, request):
        room = self._room(request)
        if not room:
            return NOT_FOUND
        room.take(request.body)
        return 200, ({} if request.path.startswith(f"{FED}/v2/") else [200, {}])

    def _put_send_knock(self, request):
        room = self._room(request)
        if not room:
            return NOT_FOUND
        room.take(request.body)
        return 200, {"knock_room_state": room.stripped()}

    def _put_invite(self, request):
        v2 = request.path.startswith(f"{FED}/v2/")
        event, version = (request.body["event"], request.body["room_version"]) if v2 else (request.body, "1")
        event = events.sign(version, dict(event), self.key)
        with self.changed:
            self.invites.append((event, request.body.get("invite_room_state", []) if v2 else []))
            self.changed.notify_all()
        return 200, ({"event": event} if v2 else [200, {"event": event}])

    invites = property(lambda self: self.__dict__.setdefault("_invites", []))

    def _find(self, event_id):
        for room in self.rooms.values():
            if event_id in room.events:
                return room, room.events[event_id]
        return None, None

    def _get_event(self, request):
        _, event = self._find(request.parts[1])
        return (200, {"origin": self.name, "origin_server_ts": int(time.time() * 1000), "pdus": [event]}) if event else NOT_FOUND

    def _get_state(self, request):
        room, event = self._find(request.arg("event_id"))
        if not room:
            return NOT_FOUND
        state = [room.events[i] for i in room.state_before(event).values()]
        chain = room.auth_chain(state)
        if request.parts[0] == "state":
            return 200, {"pdus": state, "auth_chain": chain}
        return 200, {"pdu_ids": [room.id(e) for e in state], "auth_chain_ids": [room.id(e) for e in chain]}

    def _get_event_auth(self, request):
        room, event = self._find(request.parts[2])
        return (200, {"auth_chain": room.auth_chain([event])}) if room else NOT_FOUND

    def _get_backfill(self, request):
        room = self._room(request)
        if not room:
            return NOT_FOUND
        found = room.before(request.query.get("v", []), int(request.arg("limit", "10")), inclusive=True)
        return 200, {"origin": self.name, "origin_server_ts": int(time.time() * 1000), "pdus": found}

    def _post_missing(self, request):
        room, b = self._room(request), request.body
        if not room:
            return NOT_FOUND
        found = room.before(b["latest_events"], b.get("limit", 10), stop=b["earliest_events"], min_depth=b.get("min_depth", 0))
        return 200, {"events": found[::-1]}

    def _get_profile(self, request):
        profile = self.profiles.get(request.arg("user_id"))
        if profile is None:
            return NOT_FOUND
        field = request.arg("field")
        return 200, ({k: v for k, v in profile.items() if k == field} if field else profile)

    def _get_directory(self, request):
        room_id = self.aliases.get(request.arg("room_alias"))
        return (200, {"room_id": room_id, "servers": [self.name]}) if room_id else NOT_FOUND

    def _get_devices(self, request):
        user = self.devices.get(request.parts[2])
        return (200, user) if user else NOT_FOUND

    ROUTES = [
        ("GET", r"/_matrix/key/v2/server(/.*)?", _get_keys),
        ("GET", FED + "/v1/version", _get_version),
        ("PUT", FED + "/v1/send/.+", _put_send),
        ("GET", FED + "/v1/make_join/[^/]+/[^/]+", _make(None, "join")),
        ("PUT", FED + "/v[12]/send_join/[^/]+/[^/]+", _put_send_join),
        ("GET", FED + "/v1/make_leave/[^/]+/[^/]+", _make(None, "leave")),
        ("PUT", FED + "/v[12]/send_leave/[^/]+/[^/]+", _put_send_leave),
        ("GET", FED + "/v1/make_knock/[^/]+/[^/]+", _make(None, "knock")),
        ("PUT", FED + "/v1/send_knock/[^/]+/[^/]+", _put_send_knock),
        ("PUT", FED + "/v[12]/invite/[^/]+/[^/]+", _put_invite),
        ("GET", FED + "/v1/event/[^/]+", _get_event),
        ("GET", FED + "/v1/state(_ids)?/[^/]+", _get_state),
        ("GET", FED + "/v1/event_auth/[^/]+/[^/]+", _get_event_auth),
        ("GET", FED + "/v1/backfill/[^/]+", _get_backfill),
        ("POST", FED + "/v1/get_missing_events/[^/]+", _post_missing),
        ("GET", FED + "/v1/query/profile", _get_profile),
        ("GET", FED + "/v1/query/directory", _get_directory),
        ("GET", FED + "/v1/user/devices/[^/]+", _get_devices),
    ]

    #
    # Waiting
    #
    def wait(self, found, what, timeout=30):
        """Until found() gives something that is true."""
        with self.changed:
            assert self.changed.wait_for(lambda: found() or self.faults, timeout), f"{what} did not come; asked were {self.requests[-20:]}"
            assert not self.faults, self.faults
            return found()

    def wait_request(self, method, path, timeout=30, after=0):
        """A request whose path has this in it, among those from number `after` on."""
        return self.wait(lambda: next((r for r in self.requests[after:] if r.method == method and path in r.path), None), f"{method} {path}", timeout)

    def wait_pdu(self, wanted, timeout=30):
        return self.wait(lambda: next((e for e in self.pdus if wanted(e)), None), "the event", timeout)

    def wait_edu(self, type, wanted=lambda content: True, timeout=30):
        return self.wait(lambda: next((e["content"] for e in self.edus if e["edu_type"] == type and wanted(e["content"])), None), type, timeout)

    #
    # Asking others
    #
    def authorization(self, method, destination, target, content=None, origin=None, key=None):
        key = key or self.key
        signed = {"method": method, "uri": target, "origin": origin or self.name, "destination": destination}
        if content is not None:
            signed["content"] = content
        signature = key.sign(signed)["signatures"][key.server_name][key.id]
        return f'X-Matrix origin="{origin or self.name}",destination="{destination}",key="{key.id}",sig="{signature}"'

    def raw(self, method, server, target, content=None, headers=None, timeout=60):
        """The answer whatever its status, its shape checked; `server` is a server or its name."""
        name = getattr(server, "name", server)
        headers = {"Authorization": self.authorization(method, name, target, content), **(headers or {})}
        data = None if content is None else json.dumps(content, ensure_ascii=False).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = requests.Request(method, f"https://{name}/", data=data, headers=headers)
        prepared = self.http.prepare_request(request)
        prepared.url = f"https://{name}{target}"  # byte for byte as signed
        answer = self.http.send(prepared, timeout=timeout, verify=str(self.authority.pem))
        check_schema(answer)
        return answer

    def ask(self, method, server, target, content=None, **kw):
        """The object of a 2xx answer; Refused otherwise."""
        answer = self.raw(method, server, target, content, **kw)
        if answer.status_code >= 300:
            raise Refused(answer)
        return answer.json()

    def get(self, server, path):
        return self.ask("GET", server, FED + path)

    def transaction(self, pdus=(), edus=()):
        return {"origin": self.name, "origin_server_ts": int(time.time() * 1000), "pdus": list(pdus), "edus": list(edus)}

    def send(self, server, pdus=(), edus=(), txn=None):
        """Sends a transaction and gives its answer's outcomes, by event id."""
        return self.ask("PUT", server, f"{FED}/v1/send/{txn or f't{next(_serial)}'}", self.transaction(pdus, edus))["pdus"]

    def edu(self, server, type, content):
        return self.send(server, edus=[{"edu_type": type, "content": content}])

    #
    # Rooms
    #
    def user(self, name=None):
        return f"@{name or f'p{next(_serial)}'}:{self.name}"

    def create_room(self, version="10", creator=None, **options):
        room = PeerRoom.create(self, version, creator or self.user(), **options)
        self.rooms[room.room_id] = room
        return room

    def join(self, server, room_id, user=None, versions=None):
        """Enters a room of another server's; the room as it was given."""
        user = user or self.user()
        vers = "&".join(f"ver={v}" for v in versions or [str(n) for n in range(1, 13)])
        made = self.get(server, f"/v1/make_join/{q(room_id)}/{q(user)}?{vers}")
        version = made.get("room_version", "1")
        event = made["event"]
        if events.named(version):
            event["event_id"] = f"$j{next(_serial)}:{self.name}"
        event["origin"] = self.name
        event["origin_server_ts"] = int(time.time() * 1000)
        events.finish(version, event, self.key)
        event_id = events.event_id(version, event)
        got = self.ask("PUT", server, f"{FED}/v2/send_join/{q(room_id)}/{q(event_id)}", event)
        room = PeerRoom.entered(self, version, room_id, got.get("event", event), got["state"], got["auth_chain"])
        room.via = server
        self.rooms[room_id] = room
        return room
