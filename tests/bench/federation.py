#!/usr/bin/env python3
"""Hearth among other servers: what it costs, measured from outside. Prints a table; `make bench` runs it after the load generator.

    tests/bench/federation.py [join] [inbound] [outbound]        needs the tests' Python packages; HEARTH_BIN, SYNAPSE_VENV

join      a user enters rooms of 10,000 and 50,000 members of a scripted server, beside the bare cost of checking as many signatures
inbound   events that a scripted server pushes, and how long one takes from its receipt to a client's /sync
outbound  a message to 500 scripted servers, 100 of which take connections and never answer: how long until the others have it
FED_MEMBERS (10000,50000), FED_SYNAPSE (1: joins by Synapse, too), FED_SYNAPSE_MEMBERS (10000: of the rooms it joins, one after the other), FED_SERVERS (500)
"""
import json
import os
import pathlib
import queue
import re
import socket
import ssl
import statistics
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "blackbox"))

import nacl.bindings  # noqa: E402
import requests  # noqa: E402

import client  # noqa: E402
from client import q, register  # noqa: E402
from fed import ca, events  # noqa: E402
from fed import peer as peer_module  # noqa: E402
from fed.hearth import FedServer  # noqa: E402
from fed.peer import FED, Peer  # noqa: E402

client.check_schema = peer_module.check_schema = lambda answer: None  # what is measured is the server
TICK = os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU seconds of a server's process since the meter was made, and its memory."""

    def __init__(self, server):
        self.pid = server.process.pid
        self.began, self.cpu0 = time.monotonic(), self._cpu()

    def _cpu(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def read(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        memory = {k: int(v.split()[0]) / 1024 for k, v in (line.split(":", 1) for line in status.splitlines()) if k in ("VmRSS", "VmHWM")}
        return {"s": time.monotonic() - self.began, "cpu": self._cpu() - self.cpu0, "rss": memory["VmRSS"], "peak": memory["VmHWM"]}


def row(what, **figures):
    figures["load"] = f"{os.getloadavg()[0]:.1f}"
    print(f"| {what} | " + " | ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()) + " |", flush=True)


#
# Joining
#
class LargeRoom:
    """A room of one server with many members, made by hand: state is what everybody who joins gets."""

    def __init__(self, peer, members):
        self.room = peer.create_room("10")
        room, base = self.room, self.room.state
        prev = [room.events[t] for t in room.tips]
        auth = [room.state_event("m.room.create"), room.state_event("m.room.power_levels"), room.state_event("m.room.join_rules")]
        for i in range(members):
            user = f"@m{i}:{peer.name}"
            e = room.build("m.room.member", {"membership": "join", "displayname": f"Member {i}"}, sender=user, state_key=user, prev=prev, auth=auth)
            event_id = room.id(e)
            room.events[event_id] = e
            base[("m.room.member", user)] = event_id
        last = room.build("m.room.message", {"body": "x"}, sender=room.creator, prev=prev)
        room.events[room.id(last)] = last
        room.after[room.id(last)] = base
        room.tips = [room.id(last)]


def bare_signatures(peer, members):
    """Seconds that as many verifications take by themselves, on one core."""
    room = peer.create_room("10")
    event = room.state_event("m.room.member", room.creator)
    bare = events.redact("10", event)
    signature = events.unb64(bare.pop("signatures")[peer.name][peer.key.id])
    signed = signature + events.canonical(bare)
    public = events.unb64(peer.key.public)
    began = time.process_time()
    for _ in range(members):
        nacl.bindings.crypto_sign_open(signed, public)
    return time.process_time() - began


def pieces(server):
    """How many pieces a room came in, and how many of them held the writer for more than 10 and 25 ms."""
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    upto = {b: int(n) for b, n in re.findall(r'^hearth_room_import_piece_seconds_bucket\{le="([^"]+)"\} (\d+)$', text, re.M)}
    return {"pieces": upto["+Inf"], "over_10_ms": upto["+Inf"] - upto["0.01"], "over_25_ms": upto["+Inf"] - upto["0.025"]} if upto else {}


def join_by(server, name, members):
    peer = Peer()
    try:
        made = LargeRoom(peer, members)
        bare = bare_signatures(peer, min(members, 10000)) * members / min(members, 10000)
        user = register(server)
        other = register(server)
        local = other.create_room(preset="public_chat")
        peer.aliases[f"#large:{peer.name}"] = made.room.room_id
        other.sync()
        waits, stop = [], threading.Event()

        def others_go_on():
            while not stop.is_set():
                began = time.monotonic()
                other.send(local)
                waits.append((time.monotonic() - began) * 1000)
                time.sleep(0.02)  # their cost is in the figure, too
        meanwhile = threading.Thread(target=others_go_on)
        meter = Meter(server)
        meanwhile.start()
        user.do("POST", f"/join/{q('#large:' + peer.name)}", {}, timeout=1800)
        got = meter.read()
        stop.set()
        meanwhile.join()
        row(f"join of {members} members, {name}", s=got["s"], cpu_s=got["cpu"], bare_signatures_s=bare, ratio=got["cpu"] / bare,
            peak_MB=got["peak"], sends_elsewhere=len(waits), p50_ms=statistics.median(waits), slowest_ms=max(waits), **pieces(server))
    finally:
        peer.close()


def join():
    for members in map(int, os.environ.get("FED_MEMBERS", "10000,50000").split(",")):
        server = FedServer()
        try:
            join_by(server, "Hearth", members)
        finally:
            server.close()
    if os.environ.get("FED_SYNAPSE", "1") == "1" and os.environ.get("SYNAPSE_VENV"):
        from fed.synapse import Synapse
        server = Synapse()
        try:
            for members in map(int, os.environ.get("FED_SYNAPSE_MEMBERS", "10000").split(",")):
                join_by(server, "Synapse", members)
        finally:
            server.close()


#
# What comes in
#
def inbound_by(server, name):
    peer = Peer()
    try:
        alice = register(server)
        rooms = []
        for _ in range(5):
            there = peer.join(server, alice.create_room(preset="public_chat"))
            there.creator = next(k for (t, k) in there.state if t == "m.room.member" and k.endswith(peer.name))
            rooms.append(there)
        batches = [[r.message(f"m{i}") for _ in range(50)] for i in range(20) for r in rooms]
        alice.sync()
        meter = Meter(server)
        for batch in batches:
            peer.send(server, batch)
        last = {r.id(b[-1]) for b, r in zip(batches[-5:], rooms)}

        def arrived(got):
            for r in got["rooms"]["join"].values():
                for e in r["timeline"]["events"]:
                    last.discard(e["event_id"])
            return not last
        alice.sync_until(arrived, timeout=1000)
        n, got = 50 * len(batches), meter.read()
        row(f"inbound, {name}", events=n, per_s=n / got["s"], per_cpu_s=n / got["cpu"], ms_cpu_each=1000 * got["cpu"] / n, rss_MB=got["rss"])
        late = queue.Queue()

        def read():
            while True:
                got = alice.sync(timeout=30000)
                now = time.monotonic()
                for r in got["rooms"].get("join", {}).values():
                    for e in r["timeline"]["events"]:
                        if "sent" in e["content"]:
                            late.put((now - e["content"]["sent"] / 1e6) * 1000)
                        if e["content"].get("body") == "end":
                            return
        reader = threading.Thread(target=read)
        reader.start()
        for i in range(300):
            event = rooms[0].build("m.room.message", {"body": "end" if i == 299 else "x", "sent": int(time.monotonic() * 1e6)})
            peer.send(server, [rooms[0].take(event)])
            time.sleep(0.01)  # a steady rate is what is measured
        reader.join()
        times = sorted(late.queue)
        row(f"inbound to /sync, {name}", n=len(times), p50_ms=statistics.median(times), p99_ms=times[int(len(times) * 0.99)])
    finally:
        peer.close()


def inbound():
    server = FedServer()
    try:
        inbound_by(server, "Hearth")
    finally:
        server.close()


#
# What goes out
#
class Crowd:
    """Many servers behind one listener on all of 127/8: 127.1.0.N:PORT, each with a key of its own. Only what joining and being told needs."""

    def __init__(self, n):
        self.sock = socket.socket()
        self.sock.bind(("0.0.0.0", 0))
        self.sock.listen(1024)
        self.port = self.sock.getsockname()[1]
        self.hosts = [f"127.1.{1 + i // 250}.{1 + i % 250}" for i in range(n)]
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*map(str, ca.shared().issue(*self.hosts)))
        self.peers, self.heard, self.dead = {}, {}, set()
        self.changed = threading.Condition()
        for h in self.hosts:
            p = Peer(start=False, name=f"{h}:{self.port}")
            p.rooms_heard = []
            self.peers[p.name] = p
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        host = conn.getsockname()[0]
        name = f"{host}:{self.port}"
        if name in self.dead:
            time.sleep(3600)  # takes connections, never answers
        try:
            conn = self.tls.wrap_socket(conn, server_side=True)
            f = conn.makefile("rb")
            while True:
                method, target, _ = f.readline().decode().split()
                length = 0
                while (line := f.readline().strip()):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = f.read(length)
                if name in self.dead:
                    time.sleep(3600)
                answer = json.dumps(self._answer(name, method, target, body)).encode()
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        except (OSError, ValueError):
            conn.close()

    def _answer(self, name, method, target, body):
        if target.startswith("/_matrix/key/"):
            return self.peers[name].key_document()
        if "/send/" in target:
            now = time.monotonic()
            with self.changed:
                for e in json.loads(body)["pdus"]:
                    if e["type"] == "m.room.message":
                        self.heard.setdefault(e["content"]["body"], {})[name] = now
                self.changed.notify_all()
            return {"pdus": {}}
        return {}

    def close(self):
        self.sock.close()


def outbound():
    n = int(os.environ.get("FED_SERVERS", "500"))
    dead = n // 5
    server = FedServer()
    crowd = Crowd(n)
    try:
        alice = register(server)
        room = alice.create_room(preset="public_chat")
        for p in crowd.peers.values():
            p.join(server, room, p.user("u"))
        live = set(list(crowd.peers)[:n - dead])

        def tell(body):
            began, meter = time.monotonic(), Meter(server)
            alice.send(room, body)
            with crowd.changed:
                crowd.changed.wait_for(lambda: live <= set(crowd.heard.get(body, {})), 120)
            times = sorted((crowd.heard[body][p] - began) * 1000 for p in live & set(crowd.heard.get(body, {})))
            return times, meter.read()
        def told(what, body):
            times, got = tell(body)
            row(f"outbound, {what}: those {len(times)} who are there", p50_ms=statistics.median(times), p99_ms=times[int(len(times) * 0.99)],
                cpu_ms_each=1000 * got["cpu"] / n, rss_MB=got["rss"])
        tell("warm")
        for i in range(5):
            told(f"all {n} there, message {i}", f"all {i}")
        crowd.dead = set(crowd.peers) - live
        for i in range(5):
            told(f"{dead} of {n} dead, message {i}", f"dead {i}")
    finally:
        crowd.close()
        server.close()


if __name__ == "__main__":
    for name in sys.argv[1:] or ["join", "inbound", "outbound"]:
        {"join": join, "inbound": inbound, "outbound": outbound}[name]()
