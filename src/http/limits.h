/* limits.h - every bound of http/ that is not an option, in one place. */
#pragma once

enum {
	/* Of the request line and the headers together; a longer request line alone is 414, else 431. The library's
	 * memory for a connection holds these, what it makes of them, and the answer's headers: it stays taken while a
	 * request is parked, so it is most of what 10,000 idle long polls cost. */
	HTTP_MAX_HEAD = 8 * 1024,
	HTTP_CONNECTION_POOL = 12 * 1024,
	HTTP_MAX_HEADERS = 100,
	HTTP_MAX_QUERY =
		64, /* arguments in a query; from twice as many on, the connection is closed without an answer */
	HTTP_MAX_PARAMS = 8, /* {parameters} in a route's path */
	HTTP_MAX_REPLY_HEADERS = 16,

	HTTP_BODY_DEFAULT = 1024 * 1024, /* of a route that does not say */
	HTTP_BODY_DISCARD =
		8 * 1024 * 1024, /* beyond the limit: read and dropped, so that the 413 reaches the client */
	HTTP_LINGERING = 256,    /* connections at once whose refusal is to be seen, each for so long at most: */
	HTTP_LINGER_S = 10,
	HTTP_BODIES_TOTAL = 256 * 1024 * 1024,  /* of all requests that are being received or answered */
	HTTP_STREAM_BYTES = 256 * 1024,         /* a piece of a body that goes to a sink or comes from a source */
	HTTP_STREAMS_TOTAL = 256 * 1024 * 1024, /* of all answers from sources that are being sent */
	HTTP_MAX_REPLY = 512 * 1024 * 1024,     /* one JSON answer */

	HTTP_IDLE_S = 75,             /* between two requests of a connection */
	HTTP_MIN_BYTES_S = 16 * 1024, /* large bodies and answers: a second more for each so many bytes */
	HTTP_GZIP_MIN = 1400,         /* smaller answers fit a packet anyway */
	HTTP_GZIP_SPARE = 4,          /* compressors kept for reuse */

	HTTP_RATE_SLOTS = 32768, /* allowances remembered, of all classes; a power of two */
	HTTP_RATE_WAYS = 8,      /* the fullest of so many stays */

	HTTP_WORKERS_FAST = 64, /* they block on commits */
	HTTP_WORKERS_SLOW = 8,
	HTTP_WORKERS_FEDERATION = 32,
	HTTP_WORKERS_REMOTE = 64, /* they block on other servers */
	HTTP_QUEUE_FAST = 4096,
	HTTP_QUEUE_SLOW = 256,
	HTTP_QUEUE_FEDERATION = 1024,
	HTTP_QUEUE_REMOTE = 1024,
	HTTP_ORIGIN_RUNNING = 8,  /* of one server's requests at work; */
	HTTP_ORIGIN_WAITING = 50, /* and so many of it wait for that */
	HTTP_ASKER_PART = 4,      /* of LANE_REMOTE's workers, one user has a fourth; */
	HTTP_ASKER_WAITING = 500, /* and so many of their requests wait: a page of pictures from elsewhere */
	/* A loop more for each so many connections: resuming one costs a look at all suspended ones of the loop. */
	HTTP_LOOP_SHARE = 2000,
	HTTP_MAX_LOOPS = 128,
	HTTP_CONNECTIONS = 50000,
	HTTP_REQUEST_TIMEOUT_S = 30,

	/* The client (client.h) */
	CLIENT_LOOPS = 2,
	CLIENT_MAX_RUNNING = 200,
	CLIENT_MAX_PER_HOST = 8,
	CLIENT_MAX_WAITING = 4096,
	CLIENT_WAITING_SHARE = 4, /* of these, one host may have one in so many */
	CLIENT_MAX_IDLE = 64,     /* an idle connection more is work for each request of its loop */
	CLIENT_QUEUE_MS = 15000,
	CLIENT_CONNECT_MS = 10000,
	CLIENT_SLOW_MS = 10000,
	CLIENT_SLOW_BYTES = 64,
	CLIENT_MAX_URL = 8192,
	CLIENT_MAX_HEAD = 64 * 1024, /* of an answer, with all that went before it (100 Continue) and came after it */
	CLIENT_MAX_HEADERS = 200,
	CLIENT_MAX_ADDRESSES = 6, /* of a host (or of a service's hosts) that are tried */
	CLIENT_MAX_TARGETS = 16,  /* of an answer with SRV records that are looked at */
	CLIENT_MAX_LOOKUPS = 512,
	CLIENT_TAKE_BYTES = 64 * 1024,     /* wait for `take` */
	CLIENT_MAX_ERROR_BODY = 64 * 1024, /* beside `take`, with a status that is no success: cut there */
};
