"""Unread and highlight counts as /sync tells them, on both databases: what notifies, what is read, and that a restart changes nothing."""
import json

import pytest

from client import login, q, register

THREADS = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})


class Talk:
    """A public room of alice (its maker), bob, who reads, and carol."""

    def __init__(self, hs):
        self.hs = hs
        self.alice, self.bob, self.carol = register(hs), register(hs), register(hs)
        self.room = self.alice.create_room(preset="public_chat")
        self.bob.join(self.room)
        self.carol.join(self.room)
        self.bob.sync()

    def say(self, body="x", who=None, **content):
        return (who or self.alice).send_content(self.room, {"msgtype": "m.text", "body": body, **content})

    def mention(self, *whom, **kw):
        return self.say("you!", **{"m.mentions": {"user_ids": [c.user_id for c in whom]}}, **kw)

    def reply(self, root, who=None):
        return self.say("reply", who, **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})

    def react(self, to, who):
        return who.send_content(self.room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": to, "key": "y"}}, "m.reaction")

    def read(self, event, kind="m.read", **body):
        self.bob.post(f"/rooms/{q(self.room)}/receipt/{kind}/{q(event)}", body)

    def told(self, client=None, **kw):
        """(unread, highlighted) as the next /sync says; None when it says nothing of the room."""
        part = (client or self.bob).sync(**kw).get("rooms", {}).get("join", {}).get(self.room)
        return part and (part["unread_notifications"]["notification_count"], part["unread_notifications"]["highlight_count"])

    def whole(self, **kw):
        """The same by an initial /sync, of another device."""
        return self.told(login(self.hs, self.bob.user_id), **kw)

    def threads(self):
        part = login(self.hs, self.bob.user_id).sync(filter=THREADS)["rooms"]["join"][self.room]
        return (part["unread_notifications"]["notification_count"],
                {t: c["notification_count"] for t, c in part.get("unread_thread_notifications", {}).items()})


@pytest.fixture
def talk(each_hs):
    return Talk(each_hs)


def test_messages_count_and_come_with_their_event(talk):
    assert talk.whole() == (0, 0)
    event = talk.say()
    part = talk.bob.sync()["rooms"]["join"][talk.room]
    assert [e["event_id"] for e in part["timeline"]["events"]] == [event]
    assert part["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
    talk.say()
    assert talk.told() == talk.whole() == (2, 0)
    assert talk.told() is None
    assert talk.told(talk.alice, since=None) == (0, 0)


def test_what_does_not_notify(talk):
    talk.say(msgtype="m.notice")
    talk.react("$x", talk.alice)
    talk.alice.set_state(talk.room, "m.room.topic", {"topic": "x"})
    talk.alice.put(f"/profile/{q(talk.alice.user_id)}/displayname", {"displayname": "Alice"})
    assert talk.told() == talk.whole() == (0, 0)


def test_mentions_highlight(talk):
    talk.mention(talk.bob)
    talk.mention(talk.carol)
    talk.say(talk.bob.user_id)  # a name in the body alone is none
    assert talk.told() == talk.whole() == (3, 1)
    talk.say("all", **{"m.mentions": {"room": True}})
    assert talk.told() == (4, 2)
    talk.say("all", talk.carol, **{"m.mentions": {"room": True}})  # she may not
    assert talk.told() == talk.whole() == (5, 2)


def test_own_events_read_what_was_before(talk):
    talk.mention(talk.bob)
    assert talk.told() == (1, 1)
    talk.say("own", talk.bob)
    assert talk.told() == talk.whole() == (0, 0)
    event = talk.say()
    talk.react(event, talk.bob)
    assert talk.told() == talk.whole() == (0, 0)


@pytest.mark.parametrize("kind", ["m.read", "m.read.private"])
def test_receipts_read_up_to_their_event(talk, kind):
    events = [talk.mention(talk.bob) for _ in range(4)]
    assert talk.told() == (4, 4)
    talk.read(events[2], kind)
    assert talk.told() == talk.whole() == (1, 1)
    talk.read(events[0], kind)
    assert talk.told() is None and talk.whole() == (1, 1)
    talk.read(talk.say(), kind)
    assert talk.told() == talk.whole() == (0, 0)


def test_the_further_of_two_receipts_counts(talk):
    a, b, c = talk.say(), talk.say(), talk.say()
    talk.read(c)
    talk.read(a, "m.read.private")
    assert talk.whole() == (0, 0)
    d = talk.say()
    talk.read(b, "m.read.private")
    assert talk.whole() == (1, 0)
    talk.read(d, "m.read.private")
    assert talk.told() == talk.whole() == (0, 0)


def test_another_device_is_told_of_what_was_read(talk):
    phone = login(talk.hs, talk.bob.user_id)
    event = talk.say()
    assert talk.told(phone) == (1, 0)
    talk.read(event, "m.read.private")
    assert talk.told(phone, timeout=20000) == (0, 0)


def test_threads_are_partitions(talk):
    root, other = talk.say("root"), talk.say("other")
    first = talk.reply(root)
    last = talk.reply(root)
    talk.reply(other)
    assert talk.threads() == (2, {root: 2, other: 1})
    assert talk.whole() == (5, 0)  # who does not ask for threads is told of all
    talk.read(first, thread_id=root)
    assert talk.threads() == (2, {root: 1, other: 1})
    talk.read(other, thread_id="main")
    assert talk.threads() == (0, {root: 1, other: 1})
    talk.react(last, talk.bob)
    assert talk.threads() == (0, {other: 1})  # a reaction is in the thread of what it is about
    talk.read(talk.say("end"))
    assert talk.threads() == (0, {})


def test_muted_rooms_and_other_rules(talk):
    rule = f"/pushrules/global/room/{q(talk.room)}"
    talk.bob.put(rule, {"actions": []})
    talk.say()
    assert talk.told() == talk.whole() == (0, 0)
    talk.mention(talk.bob)  # rules for mentions come before those for rooms
    assert talk.told() == talk.whole() == (1, 1)
    talk.bob.delete(rule)
    talk.say()
    assert talk.told() == (2, 1)
    talk.bob.put("/pushrules/global/content/cake", {"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]})
    talk.say("we have CAKE!")
    assert talk.told() == talk.whole() == (3, 2)
    talk.bob.put("/pushrules/global/override/.m.rule.master/enabled", {"enabled": True})
    talk.mention(talk.bob)
    assert talk.told() == talk.whole() == (3, 2)


def test_redacted_and_ignored(talk):
    event = talk.mention(talk.bob)
    talk.say("carol's", talk.carol)
    assert talk.told() == (2, 1)
    talk.alice.put(f"/rooms/{q(talk.room)}/redact/{q(event)}/r", {})
    assert talk.told() == talk.whole() == (1, 0)
    ignored = f"/user/{q(talk.bob.user_id)}/account_data/m.ignored_user_list"
    talk.bob.put(ignored, {"ignored_users": {talk.carol.user_id: {}}})
    talk.say("unseen", talk.carol)
    assert talk.whole() == (0, 0)
    talk.say()
    talk.bob.sync()
    assert talk.whole() == (1, 0)
    talk.bob.put(ignored, {"ignored_users": {}})
    assert talk.whole() == (3, 0)


def test_joining_again_begins_anew(talk):
    talk.mention(talk.bob)
    talk.bob.leave(talk.room)
    talk.mention(talk.bob)
    talk.bob.join(talk.room)
    assert talk.told() == talk.whole() == (0, 0)
    talk.say()
    assert talk.told() == talk.whole() == (1, 0)


def test_a_restart_changes_nothing(talk):
    root = talk.say("root")
    talk.reply(root)
    talk.mention(talk.bob)
    talk.read(root, "m.read.private")
    before = talk.threads(), talk.whole()
    assert before == ((1, {root: 1}), (2, 1))
    talk.hs.restart()
    assert (talk.threads(), talk.whole()) == before
    talk.say()
    assert talk.told() == talk.whole() == (3, 1)
    talk.hs.kill()
    talk.hs.start()
    assert talk.whole() == (3, 1)
    talk.say("own", talk.bob)
    assert talk.threads() == (0, {root: 1})
