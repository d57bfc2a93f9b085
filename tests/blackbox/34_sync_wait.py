"""Long polls: what wakes them, what does not, and what a restart leaves of a token."""
import json
import threading
import time

import pytest

from client import ALWAYS_IN_SYNC, login, q, register
from server import Server


class Poll(threading.Thread):
    """One /sync on its way, from the client's token."""

    def __init__(self, client, timeout=20000, **params):
        super().__init__()
        self.client, self.timeout, self.params = client, timeout, params
        self.got = self.failure = self.seconds = None
        self.start()
        # the poll has to be asleep: there is nothing to wait on but time
        time.sleep(0.15)

    def run(self):
        began = time.monotonic()
        try:
            self.got = self.client.sync(timeout=self.timeout, **self.params)
        except BaseException as e:
            self.failure = e
        self.seconds = time.monotonic() - began

    def answer(self):
        self.join(30)
        assert not self.is_alive(), "the poll was not woken"
        if self.failure:
            raise self.failure
        assert self.seconds < 10, "woken by its timeout alone"
        return self.got


@pytest.fixture
def room_of_two(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    bob.sync()
    return room


def test_without_news_it_lasts_as_long_as_asked(alice):
    alice.sync()
    began = time.monotonic()
    assert set(alice.sync(timeout=400)) == ALWAYS_IN_SYNC
    assert 0.35 < time.monotonic() - began < 5


def test_a_first_answer_never_waits(alice):
    began = time.monotonic()
    alice.sync(timeout=20000)
    alice.sync(timeout=20000, full_state="true")
    assert time.monotonic() - began < 5


def wake_by_message(alice, bob, room):
    alice.send(room, "hello")
    return lambda got: got["rooms"]["join"][room]["timeline"]["events"]


def wake_by_state(alice, bob, room):
    alice.set_state(room, "m.room.topic", {"topic": "t"})
    return lambda got: got["rooms"]["join"][room]["timeline"]["events"]


def wake_by_invite(alice, bob, room):
    other = alice.create_room()
    alice.invite(other, bob)
    return lambda got: got["rooms"]["invite"][other]


def wake_by_kick(alice, bob, room):
    alice.post(f"/rooms/{q(room)}/kick", {"user_id": bob.user_id})
    return lambda got: got["rooms"]["leave"][room]


def wake_by_own_join(alice, bob, room):
    other = alice.create_room(preset="public_chat")
    bob.other.join(other)
    return lambda got: got["rooms"]["join"][other]


def wake_by_typing(alice, bob, room):
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 20000})
    return lambda got: got["rooms"]["join"][room]["ephemeral"]["events"]


def wake_by_receipt(alice, bob, room):
    event = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=1)["chunk"][0]["event_id"]
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}")
    return lambda got: got["rooms"]["join"][room]["ephemeral"]["events"]


def wake_by_account_data(alice, bob, room):
    bob.other.put(f"/user/{q(bob.user_id)}/account_data/org.example", {"a": 1})
    return lambda got: got["account_data"]["events"]


def wake_by_tag(alice, bob, room):
    bob.other.put(f"/user/{q(bob.user_id)}/rooms/{q(room)}/tags/u.x", {})
    return lambda got: got["rooms"]["join"][room]["account_data"]["events"]


def wake_by_push_rules(alice, bob, room):
    bob.other.put("/pushrules/global/override/org.example", {"actions": [], "conditions": []})
    return lambda got: got["account_data"]["events"]


@pytest.mark.parametrize("wake", [wake_by_message, wake_by_state, wake_by_invite, wake_by_kick, wake_by_own_join, wake_by_typing,
                                  wake_by_receipt, wake_by_account_data, wake_by_tag, wake_by_push_rules])
def test_news_wake(alice, bob, room_of_two, wake):
    bob.other = login(alice.server, bob.user_id)    # news of its own: before
    bob.sync()
    poll = Poll(bob)
    assert wake(alice, bob, room_of_two)(poll.answer())


def test_what_is_filtered_out_or_elsewhere_does_not_end_a_poll(alice, bob, room_of_two):
    elsewhere = alice.create_room()
    poll = Poll(bob, filter=json.dumps({"room": {"timeline": {"types": ["org.example"]}, "state": {"types": []}}}))
    alice.send(elsewhere, "not for bob")
    alice.send(room_of_two, "filtered out")
    time.sleep(0.2)
    assert poll.is_alive()
    event = alice.send(room_of_two, type="org.example", n=1)
    part = poll.answer()["rooms"]["join"][room_of_two]
    assert [e["event_id"] for e in part["timeline"]["events"]] == [event]


def test_several_polls_of_a_user_all_wake(alice, bob, room_of_two):
    others = [login(alice.server, bob.user_id) for _ in range(3)]
    for o in others:
        o.sync()
    bob.sync()      # of their devices
    polls = [Poll(c) for c in [bob, *others]]
    event = alice.send(room_of_two, "hello")
    for p in polls:
        assert p.answer()["rooms"]["join"][room_of_two]["timeline"]["events"][-1]["event_id"] == event


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_token_survives_a_restart(store):
    server = Server(store=store)
    try:
        alice, bob = register(server), register(server)
        quiet = alice.create_room(preset="public_chat")
        room = alice.create_room(preset="public_chat")
        for r in (quiet, room):
            bob.join(r)
        bob.sync()
        old = bob.next_batch
        server.restart()
        assert set(bob.sync()) == ALWAYS_IN_SYNC
        alice.send(room, "after the restart")
        # from before what the process knows: it asks the database
        got = bob.sync(since=old)
        assert list(got["rooms"]["join"]) == [room]
        assert [e["content"]["body"] for e in got["rooms"]["join"][room]["timeline"]["events"]] == ["after the restart"]
        poll = Poll(bob)
        alice.send(room, "and more")
        assert list(poll.answer()["rooms"]["join"]) == [room]
        alice.post(f"/rooms/{q(room)}/kick", {"user_id": bob.user_id})
        event = alice.get(f"/rooms/{q(quiet)}/messages", dir="b", limit=1)["chunk"][0]["event_id"]
        alice.post(f"/rooms/{q(quiet)}/receipt/m.read/{q(event)}")
        bob.put(f"/user/{q(bob.user_id)}/account_data/org.example", {"a": 1})
        server.restart()
        got = bob.sync(since=old)
        assert list(got["rooms"]["leave"]) == [room]
        assert got["rooms"]["join"][quiet]["ephemeral"]["events"][0]["type"] == "m.receipt"
        assert [e["type"] for e in got["account_data"]["events"]] == ["org.example"]
    finally:
        server.close()


def test_stopping_answers_the_waiting():
    server = Server()
    try:
        alice = register(server)
        alice.sync()
        poll = Poll(alice, timeout=60000)
        server.stop()
        assert set(poll.answer()) == ALWAYS_IN_SYNC
    finally:
        server.close()
