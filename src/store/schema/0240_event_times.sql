-- When events of a room say that they were sent: /timestamp_to_event. It costs about 25 bytes an event, and no statement.
CREATE INDEX events_by_time ON events (room, origin_server_ts, timeline) WHERE timeline IS NOT NULL;
