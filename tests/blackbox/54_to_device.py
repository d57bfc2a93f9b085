"""Messages to devices: to whom they go, once, in order, until the token that carried them comes back; also across kill -9."""
import itertools
import random
import threading

import pytest
import requests

from client import login, q, register
from server import Server

TYPE = "org.example.note"
_txn = itertools.count()


def send(client, messages, txn=None, type=TYPE):
    return client.put(f"/sendToDevice/{q(type)}/{txn or f'n{next(_txn)}'}", {"messages": messages})


def to(client, **content):
    return {client.user_id: {client.device_id: content}}


def events(answer):
    return answer.get("to_device", {}).get("events", [])


def got(client, **params):
    """What the client is given from its token on; it moves on."""
    return [e["content"] for e in events(client.sync(**params))]


def pair(server):
    alice, bob = register(server), register(server)
    alice.sync()
    bob.sync()
    return alice, bob


# ---- to whom

def test_a_message_reaches_one_device(each_hs):
    alice, bob = pair(each_hs)
    other = login(each_hs, bob.user_id)
    other.sync()
    assert send(alice, to(bob, n=1)) == {}
    assert events(bob.sync()) == [{"sender": alice.user_id, "type": TYPE, "content": {"n": 1}}]
    assert got(other) == [] and got(alice) == [] and got(bob) == []


def test_to_all_devices_and_to_several_users(each_hs):
    alice, bob = pair(each_hs)
    bobs = [bob, login(each_hs, bob.user_id), login(each_hs, bob.user_id)]
    mine = [alice, login(each_hs, alice.user_id)]
    for c in bobs + mine:
        c.sync()
    send(alice, {bob.user_id: {"*": {"for": "all"}}, alice.user_id: {mine[1].device_id: {"for": "mine"}}})
    assert [got(c) for c in bobs] == [[{"for": "all"}]] * 3
    assert [got(c) for c in mine] == [[], [{"for": "mine"}]]
    send(alice, {bob.user_id: {"*": {"for": "others"}, bob.device_id: {"for": "you"}}})
    assert [got(c) for c in bobs] == [[{"for": "you"}], [{"for": "others"}], [{"for": "others"}]]


def test_who_is_not_there_is_passed_over(each_hs):
    alice, bob = pair(each_hs)
    send(alice, {bob.user_id: {"NOSUCH": {}, bob.device_id: {"n": 1}}, f"@nobody-here:{each_hs.name}": {"*": {}},
                 "@x:elsewhere.example": {"*": {}, "D": {}}, "no user": {"*": {}}})
    assert got(bob) == [{"n": 1}]
    send(alice, {})
    send(alice, {bob.user_id: {}})
    assert got(bob) == []


@pytest.mark.parametrize("body,errcode", [
    ({}, "M_MISSING_PARAM"), ({"messages": []}, "M_BAD_JSON"), ({"messages": {"@a:b.c": 1}}, "M_BAD_JSON"), ([], "M_BAD_JSON")])
def test_malformed_requests_are_refused(alice, body, errcode):
    alice.fails(400, errcode, "PUT", f"/sendToDevice/{TYPE}/bad{next(_txn)}", body)


def test_a_message_that_is_no_object_is_refused_with_all_others(each_hs):
    alice, bob = pair(each_hs)
    alice.fails(400, "M_BAD_JSON", "PUT", f"/sendToDevice/{TYPE}/mixed",
                {"messages": {bob.user_id: {bob.device_id: {"n": 1}, "X": "text"}}})
    alice.fails(413, "M_TOO_LARGE", "PUT", f"/sendToDevice/{TYPE}/mixed",
                {"messages": {bob.user_id: {bob.device_id: {"n": 1}, "X": {"big": "x" * 70000}}}})
    assert got(bob) == []
    send(alice, to(bob, n=2), txn="mixed")
    assert got(bob) == [{"n": 2}]


# ---- once

def test_the_same_transaction_again_changes_nothing(each_hs):
    alice, bob = pair(each_hs)
    for _ in range(3):
        send(alice, to(bob, n=1), txn="same")
    assert got(bob) == [{"n": 1}]
    send(alice, to(bob, n=1), txn="same")
    assert got(bob) == []
    # An id is of one device and one path.
    send(alice, to(bob, n=2), txn="same", type="org.example.other")
    send(login(each_hs, alice.user_id), to(bob, n=3), txn="same")
    assert got(bob) == [{"n": 2}, {"n": 3}]


def test_the_same_transaction_at_the_same_time(each_hs):
    alice, bob = pair(each_hs)
    threads = [threading.Thread(target=send, args=(alice, to(bob, n=1), "crowd")) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got(bob) == [{"n": 1}]


def test_they_come_again_until_the_token_comes_back(each_hs):
    alice, bob = pair(each_hs)
    before = bob.next_batch
    send(alice, to(bob, n=1))
    send(alice, to(bob, n=2))
    for _ in range(2):
        assert got(bob, since=before) == [{"n": 1}, {"n": 2}]
    # Also for a first answer, which has no token.
    assert got(bob, since=None) == [{"n": 1}, {"n": 2}]
    after = bob.next_batch
    send(alice, to(bob, n=3))
    assert got(bob, since=after) == [{"n": 3}]
    # What was acknowledged is gone for every token; what was not comes.
    assert got(bob, since=before) == [{"n": 3}]
    assert got(bob, since=None) == [{"n": 3}]


def test_a_message_wakes_a_waiting_sync(each_hs):
    alice, bob = pair(each_hs)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(bob.sync(timeout=30000)))
    waiting.start()
    other = login(each_hs, bob.user_id)
    send(alice, to(other, n=0))     # for another device of the same user: wakes nobody for good
    send(alice, to(bob, n=1))
    waiting.join(timeout=20)
    found = answers and [e["content"] for e in events(answers[0])]
    # The other device's login is news of its own.
    assert found == [{"n": 1}] or (found == [] and got(bob) == [{"n": 1}])


def test_filters_leave_them_alone(each_hs):
    alice, bob = pair(each_hs)
    send(alice, to(bob, n=1))
    assert got(bob, filter='{"room":{"rooms":[]},"account_data":{"types":[]},"presence":{"types":[]}}') == [{"n": 1}]


def test_other_endpoints_tokens_acknowledge_nothing(each_hs):
    alice, bob = pair(each_hs)
    room = bob.create_room()
    send(alice, to(bob, n=1))
    tokens = [bob.get("/events", timeout=0)["end"], bob.get("/initialSync", limit=1)["end"],
              bob.get(f"/rooms/{q(room)}/initialSync")["messages"]["end"]]
    for token in tokens + [bob.get("/events", **{"from": tokens[0]}, timeout=0)["end"]]:
        assert got(bob, since=token) == [{"n": 1}]


# ---- in order, in parts

def test_many_come_in_parts_and_nothing_is_skipped(each_hs):
    alice, bob = pair(each_hs)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    for n in range(230):
        send(alice, to(bob, n=n))
        if n % 50 == 0:
            alice.send(room, f"beside {n}")
    seen, said, parts = [], [], []
    for turn in range(4):
        token = bob.next_batch
        answer = bob.sync()
        if turn == 1:               # an answer that was lost
            bob.next_batch = token
            again = bob.sync()
            assert events(again) == events(answer) and again["next_batch"] == answer["next_batch"]
        parts.append(len(events(answer)))
        seen += [e["content"]["n"] for e in events(answer)]
        said += answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        if turn == 0:
            alice.send(room, "while there is a part to come")
            send(alice, to(bob, n=230))
    assert seen == list(range(231)) and parts == [100, 100, 31, 0]
    assert [e["content"]["body"] for e in said] == [f"beside {n}" for n in range(0, 230, 50)] + ["while there is a part to come"]


def test_the_next_part_does_not_wait(each_hs):
    alice, bob = pair(each_hs)
    for n in range(101):
        send(alice, to(bob, n=n))
    assert len(got(bob)) == 100
    assert got(bob, timeout=30000) == [{"n": 100}]


def test_three_thousand_devices_in_one_request(hs):
    alice = register(hs)
    users = [register(hs) for _ in range(3)]

    def more(user):
        for n in range(999):
            login(hs, user.user_id, device_id=f"D{n}")

    threads = [threading.Thread(target=more, args=(u,)) for u in users]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    ids = [[u.device_id] + [f"D{n}" for n in range(999)] for u in users]
    send(alice, {u.user_id: {d: {"to": d} for d in ids[i]} for i, u in enumerate(users)})
    send(alice, {u.user_id: {"*": {"long": "x" * 1000}} for u in users})
    for u in users:
        for d in (u.device_id, "D0", "D500", "D998"):
            c = u if d == u.device_id else login(hs, u.user_id, device_id=d)
            assert got(c, since=None) == [{"to": d}, {"long": "x" * 1000}]


# ---- devices that go

def test_a_device_that_goes_takes_its_messages(each_hs):
    alice, bob = pair(each_hs)
    second = login(each_hs, bob.user_id, device_id="SECOND")
    send(alice, {bob.user_id: {"*": {"n": 1}}})
    second.post("/logout")
    send(alice, {bob.user_id: {"*": {"n": 2}}})
    second = login(each_hs, bob.user_id, device_id="SECOND")
    assert got(second, since=None) == []
    send(alice, {bob.user_id: {"*": {"n": 3}}})
    assert got(second) == [{"n": 3}]
    assert got(bob) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_new_login_of_a_device_keeps_them(each_hs):
    alice, bob = pair(each_hs)
    send(alice, to(bob, n=1))
    again = login(each_hs, bob.user_id, device_id=bob.device_id)
    assert got(again, since=None) == [{"n": 1}]


# ---- kill -9

@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_nothing_is_lost_or_doubled_by_kill_9(store):
    server = Server(store=store)
    try:
        alice, bob = pair(server)

        def crash():
            server.kill()
            server.start()

        # between the request and the sync
        send(alice, to(bob, n=1), txn="k1")
        crash()
        send(alice, to(bob, n=1), txn="k1")
        before = bob.next_batch
        assert got(bob) == [{"n": 1}]
        # between the sync and the next one, whose token acknowledges
        after = bob.next_batch
        crash()
        assert got(bob, since=before) == [{"n": 1}]
        assert got(bob, since=after) == []
        # acknowledged, not deleted yet
        crash()
        assert got(bob, since=after) == []
        send(alice, to(bob, n=2), txn="k2")
        assert got(bob, since=after) == [{"n": 2}]
        # in the middle of many
        for n in range(150):
            send(alice, to(bob, n=n))
        first = got(bob)
        assert len(first) == 100
        crash()
        assert first + got(bob) == [{"n": n} for n in range(150)]
    finally:
        server.close()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_an_acknowledged_request_survives_kill_9_under_load(store):
    server = Server(store=store)
    try:
        alice, bob = pair(server)
        seen, n = [], 0
        for _ in range(4):
            done, stop = [], threading.Event()

            def load(first):
                k = first
                try:
                    while not stop.is_set():
                        send(alice, to(bob, n=k), txn=f"load{k}")
                        done.append(k)
                        k += 1
                except Exception:       # the server is gone
                    pass

            sender = threading.Thread(target=load, args=(n,))
            sender.start()
            while len(done) < 25:
                seen += [c["n"] for c in got(bob)]
            server.kill()
            stop.set()
            sender.join()
            server.start()
            n = done[-1] + 1
            # Whether the last one was stored before the crash or not: the same transaction again makes it one.
            send(alice, to(bob, n=n), txn=f"load{n}")
            n += 1
        while True:
            more = [c["n"] for c in got(bob)]
            if not more:
                break
            seen += more
        assert seen == list(range(n))
    finally:
        server.close()


class Receiver:
    """A device that loses answers, asks twice at once, and goes on from the last token that it has."""

    def __init__(self, client, seed, up):
        self.client, self.random, self.up, self.got = client, random.Random(seed), up, []
        self.came = threading.Semaphore(0)      # so many messages; at the end, no end of them

    def ask(self):
        self.up.wait()
        params = {"full_state": "true"} if self.random.random() < 0.1 else {}
        if self.random.random() < 0.2:
            params["filter"] = '{"room":{"rooms":[]}}'
        try:
            return self.client.get("/sync", since=self.client.next_batch, timeout=self.random.choice([0, 0, 300]), **params)
        except requests.RequestException:       # the server is gone
            return None

    def run(self, want, all_sent):
        idle = 0
        while len(self.got) < want and idle < 5:
            sent = all_sent()
            answers = []
            asking = [threading.Thread(target=lambda: answers.append(self.ask())) for _ in range(self.random.choice([1, 1, 1, 2]))]
            for t in asking:
                t.start()
            for t in asking:
                t.join()
            answers = [a for a in answers if a]
            if answers and self.random.random() < 0.7:
                answer = self.random.choice(answers)
                self.client.next_batch = answer["next_batch"]
                idle = 0 if events(answer) or not sent else idle + 1
                self.got += [(e["sender"], e["content"]["n"]) for e in events(answer)]
                for _ in events(answer):
                    self.came.release()
        self.came.release(want)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_each_message_once_and_in_order_whatever_happens(store):
    """Senders that repeat what failed, devices that lose answers, and a server that is killed at any time."""
    server = Server(store=store)
    try:
        each, up, seed = 90, threading.Event(), 7
        up.set()
        senders = [register(server) for _ in range(3)]
        bob = register(server)
        devices = [Receiver(bob, seed, up), Receiver(login(server, bob.user_id), seed + 1, up)]
        for d in devices:
            d.client.sync()
        some = threading.Barrier(len(senders) + 1)

        def load(who, chance):
            for n in range(each):
                if n == 45:
                    some.wait()
                messages = {bob.user_id: {"*": {"n": n, "pad": "x" * chance.choice([0, 500])}}}
                while True:
                    up.wait()
                    try:
                        send(who, messages, txn=f"r{n}")
                        break
                    except requests.RequestException:
                        pass

        sending = [threading.Thread(target=load, args=(s, random.Random(i))) for i, s in enumerate(senders)]
        for t in sending:
            t.start()
        some.wait()         # more than one answer holds
        receiving = [threading.Thread(target=d.run, args=(len(senders) * each, lambda: not any(t.is_alive() for t in sending))) for d in devices]
        for t in receiving:
            t.start()
        chance = random.Random(seed)
        for _ in range(4):
            for _ in range(chance.randrange(60)):
                devices[0].came.acquire()
            up.clear()
            server.kill()
            server.start()
            up.set()
        for t in sending + receiving:
            t.join()
        for d in devices:
            assert sorted(d.got) == sorted((s.user_id, n) for s in senders for n in range(each))
            for s in senders:
                assert [n for who, n in d.got if who == s.user_id] == list(range(each))
        assert devices[0].got == devices[1].got
        for d in devices:
            assert got(d.client) == []
    finally:
        server.close()
