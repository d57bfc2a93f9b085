"""Answers that differ from the specification's schema on purpose: where, what the validator says, and why."""
import re
from typing import NamedTuple


class Exception_(NamedTuple):
    method: str
    path: str      # a regular expression for the whole path, query included
    status: int
    text: str      # part of the validator's complaint
    reason: str

    def matches(self, method, path, status):
        return self.method == method and self.status == status and re.fullmatch(self.path, path) is not None


EXCEPTIONS = [
    Exception_("GET", r"/_matrix/client/v3/devices(/.*)?", 200, "None is not of type 'string'",
               "null for an absent display_name or last_seen_ip, as Synapse has it: matrix-nio refuses devices without these members"),
    Exception_("GET", r"/_matrix/client/v3/rooms/[^/]+/joined_members", 200, "None is not of type 'string'",
               "null for an absent display_name or avatar_url, as Synapse has it: clients and Sytest look for the members"),
    Exception_("GET", r"/_matrix/client/v3/rooms/[^/]+/joined_members", 200, "avatar_url: 'x",
               "what stands in a member's own event is theirs: it need not be a URI"),
    Exception_("GET", r"/_matrix/client/v3/events\?.*", 200, "is a required property",
               "/events tells of typing, receipts and account data beside room events: none of these has an event_id or sender"),
    Exception_("GET", r"/_matrix/client/v3/sync\?.*event_fields.*", 200, "is a required property",
               "a filter with event_fields asks for events with less than the schema requires of whole ones"),
    Exception_("GET", r"/_matrix/client/v3/rooms/[^/]+/state/[^?]*\?format=event", 200, "$: {'content': ",
               "the schema says oneOf an object and an event, and every event is an object, too"),
    Exception_("POST", r"/_matrix/client/v3/keys/device_signing/upload", 401, "'errcode' is a required property",
               "user-interactive authentication, which the operation's text asks for and its list of answers forgets"),
]
