/* SPDX-License-Identifier: Apache-2.0 */
/** @file
 * Hands finished spans from a proxy to the node's spantap agent, at the price of a memory copy.
 * @code
 *   spantap_client *client;                                     once a process, before or after fork
 *   spantap_open(&options, &client);
 *   spantap_producer *producer;                                 once a thread
 *   spantap_producer_open(client, &producer);
 *   spantap_submit(producer, &span);                            once a request
 * @endcode
 * Words follow OpenTelemetry (https://opentelemetry.io/docs/specs/otel/trace/api/) and W3C Trace Context Level 2
 * (https://www.w3.org/TR/trace-context-2/).
 * @verbatim
 * Strings     pointer and length, no NUL needed, borrowed for the call. Text should be UTF-8: what is not is repaired
 *             (U+FFFD) by the agent, never refused. A NULL pointer with length 0 is the empty string.
 * Structures  those that may grow begin with struct_size; set it with the _INIT macro. A smaller one (an older caller)
 *             is read as far as it goes; of a larger one (a newer caller) the known part is used.
 * Status      0 or a positive value: done. Negative: not done, see spantap_status; the values are permanent.
 * Threads     a client may be used by any thread; a producer, and the spans begun on it, by the thread that opened it.
 * Fork        a child may go on with a client and producer of its parent: the first call notices the fork, without a
 *             system call, and attaches anew. Nothing of the parent's is sent twice.
 * Blocking    no function waits for the agent or takes a lock that another thread may hold for long. No thread is
 *             started, but in embedded mode.
 * Cost        said with each function; "free of system calls" means that nothing enters the kernel.
 * @endverbatim
 * The header is plain C99, and valid C++11. It includes <stddef.h> and <stdint.h> only.
 */
#ifndef SPANTAP_SPANTAP_H_
#define SPANTAP_SPANTAP_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Before each function: the library shows it. */
#if defined(_MSC_VER)
#define SPANTAP_API
#else
#define SPANTAP_API __attribute__((visibility("default")))
#endif

/** Of this header. spantap_api_version() is the library's; libraries of one soname take every older header. */
#define SPANTAP_API_VERSION 1u

/* ---------------------------------------------------------------- status */

/** What a function returns: one of the values below. */
typedef int32_t spantap_status;
/** Values of spantap_status. */
enum {
  SPANTAP_OK = 0,            /**< done */
  SPANTAP_INVALID = -1,      /**< an argument is NULL, out of range or contradictory; nothing was done */
  SPANTAP_NO_AGENT = -2,     /**< dropped and counted: no agent is attached (yet) */
  SPANTAP_FULL = -3,         /**< dropped and counted: the agent has not kept up */
  SPANTAP_TOO_LARGE = -4,    /**< dropped and counted: over SPANTAP_MAX_RECORD bytes; or: over another stated limit */
  SPANTAP_ENDED = -5,        /**< the span has been ended before */
  SPANTAP_WRONG_THREAD = -6, /**< the producer belongs to another thread */
  SPANTAP_MALFORMED = -7,    /**< a header's value is not what its specification says */
  SPANTAP_NO_SPACE = -8,     /**< the caller's memory is too small; what was there before is unchanged */
  SPANTAP_NO_MEMORY = -9,    /**< the system gives no memory or descriptor; only from the functions that open */
  SPANTAP_CLOSED = -10,      /**< the client has been closed */
  SPANTAP_UNSUPPORTED = -11, /**< not in this library or this mode */
  SPANTAP_TIMEOUT = -12      /**< not done within the time given */
};

/** A constant text in English, never NULL. Any thread; async-signal-safe. */
SPANTAP_API const char* spantap_status_text(spantap_status status);
/** The SPANTAP_API_VERSION that the library was built with. Any thread. */
SPANTAP_API uint32_t spantap_api_version(void);
/** Its release, such as "0.1.0". Any thread. */
SPANTAP_API const char* spantap_version(void);

/* ---------------------------------------------------------------- values */

/** A string or bytes, borrowed for the call. */
typedef struct spantap_str {
  const char* data; /**< may be NULL if size is 0 */
  size_t size;      /**< bytes */
} spantap_str;

/** A string literal. */
#define SPANTAP_STR(literal) \
  { (literal), sizeof(literal) - 1 }

/** Names of attributes as small integers: cheaper to hand off, and the agent spells them by the semantic conventions
 * (HTTP, Stable: https://opentelemetry.io/docs/specs/semconv/http/http-spans/) or in Envoy's style, as it is
 * configured. Permanent; new ones are appended. */
typedef uint16_t spantap_key;
/** Values of spantap_key. */
enum {
  SPANTAP_KEY_NAMED = 0,                        /**< spantap_attr.name says it */
  SPANTAP_KEY_HTTP_REQUEST_METHOD = 1,          /**< http.request.method */
  SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL = 2, /**< http.request.method_original */
  SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE = 3,    /**< http.response.status_code */
  SPANTAP_KEY_HTTP_ROUTE = 4,                   /**< http.route */
  SPANTAP_KEY_HTTP_REQUEST_BODY_SIZE = 5,       /**< http.request.body.size */
  SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE = 6,      /**< http.response.body.size */
  SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT = 7,    /**< http.request.resend_count */
  SPANTAP_KEY_URL_FULL = 8,                     /**< url.full */
  SPANTAP_KEY_URL_SCHEME = 9,                   /**< url.scheme */
  SPANTAP_KEY_URL_PATH = 10,                    /**< url.path */
  SPANTAP_KEY_URL_QUERY = 11,                   /**< url.query */
  SPANTAP_KEY_USER_AGENT_ORIGINAL = 12,         /**< user_agent.original */
  SPANTAP_KEY_SERVER_ADDRESS = 13,              /**< server.address */
  SPANTAP_KEY_SERVER_PORT = 14,                 /**< server.port */
  SPANTAP_KEY_CLIENT_ADDRESS = 15,              /**< client.address */
  SPANTAP_KEY_CLIENT_PORT = 16,                 /**< client.port */
  SPANTAP_KEY_NETWORK_PEER_ADDRESS = 17,        /**< network.peer.address */
  SPANTAP_KEY_NETWORK_PEER_PORT = 18,           /**< network.peer.port */
  SPANTAP_KEY_NETWORK_PROTOCOL_NAME = 19,       /**< network.protocol.name */
  SPANTAP_KEY_NETWORK_PROTOCOL_VERSION = 20,    /**< network.protocol.version */
  SPANTAP_KEY_ERROR_TYPE = 21,                  /**< error.type */
  SPANTAP_KEY_RPC_SYSTEM = 22,                  /**< rpc.system */
  SPANTAP_KEY_RPC_SERVICE = 23,                 /**< rpc.service */
  SPANTAP_KEY_RPC_METHOD = 24,                  /**< rpc.method */
  SPANTAP_KEY_RPC_GRPC_STATUS_CODE = 25,        /**< rpc.grpc.status_code */
  SPANTAP_KEY_REQUEST_ID = 26,                  /**< x-request-id; Envoy's guid:x-request-id */
  SPANTAP_KEY_COUNT_ = 27                       /**< of this header; grows */
};

/** Of an attribute's value. */
typedef uint16_t spantap_type;
/** Values of spantap_type. */
enum {
  SPANTAP_STRING = 1, /**< value.s */
  SPANTAP_INT = 2,    /**< value.i */
  SPANTAP_DOUBLE = 3, /**< value.d */
  SPANTAP_BOOL = 4    /**< value.b */
};

/** An attribute. */
typedef struct spantap_attr {
  spantap_key key;   /**< what it is */
  spantap_type type; /**< which member of value holds */
  uint32_t reserved; /**< 0 */
  spantap_str name;  /**< if key is SPANTAP_KEY_NAMED; not empty */
  /** As type says. */
  union {
    spantap_str s; /**< text */
    int64_t i;     /**< number */
    double d;      /**< number */
    int64_t b;     /**< 0 or 1 */
  } value;
} spantap_attr;

/** W3C trace context of a span: itself when it is injected or used as a parent. */
typedef struct spantap_context {
  uint8_t trace_id[16]; /**< all zero: none */
  uint8_t span_id[8];   /**< all zero: none */
  uint8_t flags;        /**< W3C trace-flags: SPANTAP_SAMPLED, SPANTAP_RANDOM */
  uint8_t remote;       /**< 1: it came in a header */
  uint8_t reserved[6];  /**< 0 */
} spantap_context;
/** Bits of spantap_context.flags. */
enum {
  SPANTAP_SAMPLED = 0x01, /**< the span is recorded */
  SPANTAP_RANDOM = 0x02   /**< the low 56 bits of the trace id are random */
};

/** Of a span; numbers of opentelemetry.proto.trace.v1. */
typedef uint8_t spantap_kind;
/** Values of spantap_kind. */
enum {
  SPANTAP_INTERNAL = 1, /**< within a program */
  SPANTAP_SERVER = 2,   /**< a request taken */
  SPANTAP_CLIENT = 3,   /**< a request made */
  SPANTAP_PRODUCER = 4, /**< a message sent */
  SPANTAP_CONSUMER = 5  /**< a message taken */
};
/** How a span went; numbers of opentelemetry.proto.trace.v1. */
typedef uint8_t spantap_span_status;
/** Values of spantap_span_status. */
enum {
  SPANTAP_STATUS_UNSET = 0, /**< nothing to say */
  SPANTAP_STATUS_OK = 1,    /**< an application said so; not for proxies */
  SPANTAP_STATUS_ERROR = 2  /**< it failed */
};

/* Limits of one span; more is SPANTAP_TOO_LARGE (a record), or discarded and counted in the span (the rest). */
#define SPANTAP_MAX_RECORD 65536u /**< bytes as handed off: about the sum of the strings */
#define SPANTAP_MAX_VALUE 4096u   /**< bytes of one string value; longer ones are cut */
#define SPANTAP_MAX_ATTRS 128u    /**< of a span, an event or a link */
#define SPANTAP_MAX_EVENTS 128u   /**< of a span */
#define SPANTAP_MAX_LINKS 128u    /**< of a span */

/* ---------------------------------------------------------------- opening and closing */

typedef struct spantap_client spantap_client;     /**< a process's configuration and counters */
typedef struct spantap_producer spantap_producer; /**< a thread's ring */

/** Where spans go. */
typedef uint32_t spantap_mode;
/** Values of spantap_mode.
 *
 * Embedded: libspantap-embedded.so.0, beside this library, takes the spans of the process out of the same rings and
 * sends them by OTLP to the collector that OTEL_* variables name. From a process's first span on it has three threads,
 * with all signals blocked; that span costs about a millisecond, the others what they cost with an agent. A child of
 * fork() starts its own with its own first span. exit() waits for what is on its way, 2 s or SPANTAP_DRAIN
 * milliseconds at most; what is not sent when a process is killed is lost. spantap_open() is SPANTAP_UNSUPPORTED if
 * the library, or what it needs, is not there. */
enum {
  SPANTAP_MODE_DEFAULT = 0,  /**< SPANTAP_MODE of the environment (handoff, embedded, off), else handoff */
  SPANTAP_MODE_HANDOFF = 1,  /**< to the agent behind the socket */
  SPANTAP_MODE_EMBEDDED = 2, /**< to a collector, by a library beside this one */
  SPANTAP_MODE_OFF = 3       /**< nothing is sampled, every span is SPANTAP_NO_AGENT and counted as dropped_off */
};

/** For spantap_open(); begin with SPANTAP_OPTIONS_INIT. */
typedef struct spantap_options {
  uint32_t struct_size;         /**< sizeof */
  spantap_mode mode;            /**< where spans go */
  spantap_str socket;           /**< path of the agent's socket; empty: SPANTAP_SOCKET, else /run/spantap/agent.sock */
  spantap_str service_name;     /**< resource attribute; empty: the agent finds one */
  const spantap_attr* resource; /**< more resource attributes, by name; may be NULL */
  uint32_t resource_count;      /**< at most SPANTAP_MAX_RESOURCE */
  uint32_t ring_bytes;          /**< of each thread's ring: a wish, 0 for the agent's choice */
  double sample_ratio;          /**< of new roots, 0 to 1; by the low 56 bits of the trace id, the same everywhere */
} spantap_options;
#define SPANTAP_MAX_RESOURCE 64u /**< resource attributes */
/** The default options. */
#define SPANTAP_OPTIONS_INIT \
  { sizeof(spantap_options), 0, {0, 0}, {0, 0}, 0, 0, 0, 1.0 }

/** Copies the options; connects to nothing. *client is to be closed by spantap_close(). Any thread; allocates.
 * NULL options are the default ones. SPANTAP_INVALID (also: a socket path over 107 bytes, an attribute that is none),
 * SPANTAP_TOO_LARGE (the resource is over 16 KB), SPANTAP_UNSUPPORTED (mode), SPANTAP_NO_MEMORY. */
SPANTAP_API spantap_status spantap_open(const spantap_options* options, spantap_client** client);

/** Ends the client: its producers give SPANTAP_CLOSED from now on, and are still to be closed by their threads. Spans
 * submitted before it are the agent's and are delivered. NULL is allowed. Never waits. */
SPANTAP_API void spantap_close(spantap_client* client);

/** A producer for the calling thread. Tries to attach (see spantap_attach). Allocates. SPANTAP_INVALID, SPANTAP_CLOSED,
 * SPANTAP_NO_MEMORY, SPANTAP_UNSUPPORTED (a kernel before 4.14); an agent that is not there is no error. */
SPANTAP_API spantap_status spantap_producer_open(spantap_client* client, spantap_producer** producer);
/** NULL is allowed. Any thread, as long as no other one is using it (after a join, say). In a forked child it frees the
 * child's part only. Records that lie in the ring are the agent's; if it has died and no other came, they are lost. */
SPANTAP_API void spantap_producer_close(spantap_producer* producer);

/** As far towards the agent as it goes without waiting: three system calls if no agent is there, some ten once it
 * answers; at most ten attempts in the first second and one a second later on. If attached, it looks (at most ten times
 * a second) whether the agent still lives. A producer that is not attached does this by itself in spantap_submit() and
 * spantap_end(); a proxy with a timer may do it there, so that requests never pay for it and an idle proxy finds a new
 * agent. SPANTAP_OK: attached, or in embedded mode waiting for the process's first span. SPANTAP_NO_AGENT: not yet.
 * SPANTAP_CLOSED, SPANTAP_WRONG_THREAD, SPANTAP_INVALID. */
SPANTAP_API spantap_status spantap_attach(spantap_producer* producer);

/** 1: a span submitted now would be taken (attached, and the agent wants spans; in embedded mode also before a
 * process's first span). One load. */
SPANTAP_API int spantap_enabled(const spantap_producer* producer);

/* ---------------------------------------------------------------- propagation and sampling */

/** Reads W3C traceparent (Level 2, section 3.2) into *context: strict lower case, version ff refused, later versions
 * accepted; unknown flag bits cleared; remote set. SPANTAP_MALFORMED: start a new trace; *context is then all zero.
 * Pure; any thread; free of system calls. */
SPANTAP_API spantap_status spantap_extract(spantap_str traceparent, spantap_context* context);
/** SPANTAP_OK if a tracestate value is well formed (section 3.3). Pure. */
SPANTAP_API spantap_status spantap_check_tracestate(spantap_str tracestate);
#define SPANTAP_TRACEPARENT_SIZE 55u /**< characters of traceparent, version 00 */
/** Writes the 55 characters of traceparent, version 00, without a NUL. SPANTAP_NO_SPACE: capacity is smaller;
 * SPANTAP_INVALID: an id is all zero. Pure. */
SPANTAP_API spantap_status spantap_inject(const spantap_context* context, char* buffer, size_t capacity);

/** The context of a new span: a child of *parent with its decision, or, if parent is NULL or has no trace id, a new
 * root with the client's ratio. *child gets ids and flags. 1: sampled; 0: not sampled (the ids are good for
 * propagation); negative: a status. With SPANTAP_MODE_OFF a child is its parent itself, so that a trace passes through.
 * Free of system calls and locks, about 10 ns. Thread of the producer. */
SPANTAP_API int spantap_sample(spantap_producer* producer, const spantap_context* parent, spantap_context* child);

/* ---------------------------------------------------------------- attributes prepared once */

/** Attributes that many spans have, those of a route or of a connection, say: encoded once, and from then on copied as
 * they are, for a tenth of what the same attributes cost one by one. Lives in the caller's memory; needs no freeing. */
typedef struct spantap_prepared spantap_prepared;
/** Bytes of memory that `count` attributes need whose names (of those without a key) and texts have `text_bytes`. */
#define SPANTAP_PREPARED_SIZE(count, text_bytes) (16u + 16u * (count) + (text_bytes))

/** Encodes attributes into `memory` (8-byte aligned); *prepared points into it. The memory is not to change as long as
 * spans refer to it, and may then be used again or freed. SPANTAP_INVALID: also an attribute that makes no sense;
 * SPANTAP_TOO_LARGE: over SPANTAP_MAX_ATTRS or SPANTAP_MAX_RECORD; SPANTAP_NO_SPACE: `size` is too small. In all of
 * these *prepared is unchanged. Pure; any thread, and so is the use of what was prepared: by any number of threads and
 * producers at once, also in a child of fork(). Free of system calls, some 5 ns an attribute. */
SPANTAP_API spantap_status spantap_prepare(const spantap_attr* attrs, uint32_t count, void* memory, size_t size,
                                           const spantap_prepared** prepared);

/* ---------------------------------------------------------------- a finished span in one call */

/** Something that happened while a span lived. */
typedef struct spantap_event {
  uint64_t time_unix_ns;     /**< when */
  spantap_str name;          /**< not empty */
  const spantap_attr* attrs; /**< may be NULL if there are none */
  uint32_t attr_count;       /**< of attrs */
  uint32_t reserved;         /**< 0 */
} spantap_event;

/** Another span that this one has to do with. */
typedef struct spantap_link {
  spantap_context context;   /**< its ids */
  spantap_str trace_state;   /**< W3C; may be empty */
  const spantap_attr* attrs; /**< may be NULL if there are none */
  uint32_t attr_count;       /**< of attrs */
  uint32_t reserved;         /**< 0 */
} spantap_link;

/** The downstream (server spans) or upstream (client spans) connection that the span's request used, by which the agent
 * joins the span with what it saw in the kernel. A part that is all zero is unknown: the peer's address and port alone
 * are worth giving. */
typedef struct spantap_conn {
  uint16_t family;           /**< 4 or 6; 0: unknown */
  uint16_t local_port;       /**< host byte order */
  uint16_t peer_port;        /**< host byte order */
  uint16_t reserved;         /**< 0 */
  uint8_t local_address[16]; /**< IPv4: the first four bytes, network byte order */
  uint8_t peer_address[16];  /**< likewise */
} spantap_conn;

/** A finished span; begin with SPANTAP_SPAN_INIT. */
typedef struct spantap_span {
  uint32_t struct_size;        /**< sizeof */
  spantap_kind kind;           /**< not 0 */
  spantap_span_status status;  /**< how it went */
  uint16_t reserved;           /**< 0 */
  spantap_context context;     /**< trace and span id are needed; flags as propagated */
  uint8_t parent_span_id[8];   /**< all zero: a root */
  uint64_t start_unix_ns;      /**< nanoseconds since 1970 */
  uint64_t end_unix_ns;        /**< not before start_unix_ns */
  spantap_str name;            /**< not empty */
  spantap_str trace_state;     /**< W3C, as propagated; may be empty */
  spantap_str status_message;  /**< with SPANTAP_STATUS_ERROR */
  const spantap_attr* attrs;   /**< may be NULL if there are none */
  const spantap_event* events; /**< likewise */
  const spantap_link* links;   /**< likewise */
  uint32_t attr_count;         /**< of attrs */
  uint32_t event_count;        /**< of events */
  uint32_t link_count;         /**< of links */
  uint8_t parent_is_remote;    /**< 1: the parent's ids came in a header */
  uint8_t reserved2[3];        /**< 0 */
  const spantap_conn* conn;    /**< may be NULL */
  /** Groups of spantap_prepare(), `prepared_count` of them, handed off before `attrs`, so that these win; NULL ones are
   * passed over. All attributes count against SPANTAP_MAX_ATTRS. May be NULL if there are none. */
  const spantap_prepared* const* prepared;
  uint32_t prepared_count; /**< of prepared */
  uint32_t reserved3;      /**< 0 */
} spantap_span;
/** A span of which nothing is known. */
#define SPANTAP_SPAN_INIT                                                                                              \
  {                                                                                                                    \
    sizeof(spantap_span), 0, 0, 0, {{0}, {0}, 0, 0, {0}}, {0}, 0, 0, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, 0, 0, 0, 0, {0}, \
        0, 0, 0, 0                                                                                                     \
  }

/** Hands *span off: copied into the ring, visible to the agent when the call returns, delivered even if the process is
 * killed then. Free of system calls, locks and allocation while attached; about 50 ns for ten attributes. (An agent
 * that has read nothing for a second, or leaves the ring full, is looked at by one system call, at most ten times a
 * second.) SPANTAP_INVALID (also: no name, no ids, end before start, unknown kind), SPANTAP_NO_AGENT, SPANTAP_FULL,
 * SPANTAP_TOO_LARGE, SPANTAP_WRONG_THREAD, SPANTAP_CLOSED: not handed off, counted. An attribute, event or link that
 * makes no sense (no name, a name over 255 bytes, NULL with a length, an unknown type, a group that spantap_prepare()
 * did not make) is discarded and counted in the span. */
SPANTAP_API spantap_status spantap_submit(spantap_producer* producer, const spantap_span* span);

/** Whether a span that ended then is worth building. SPANTAP_OK: build and submit it, or do not. Otherwise what
 * spantap_submit() would return, and the span is counted as dropped: do not submit it. So that a proxy without an agent
 * does not gather what nobody takes. SPANTAP_NO_AGENT, SPANTAP_CLOSED, SPANTAP_WRONG_THREAD, SPANTAP_INVALID (NULL).
 * Attaches as spantap_submit() does, and costs as little: some 3 ns while attached, 10 without an agent. Thread of the
 * producer. */
SPANTAP_API spantap_status spantap_wants(spantap_producer* producer, uint64_t end_unix_ns);

/* ---------------------------------------------------------------- a span while it lives */

/** Lives in the caller's memory (a request's pool, say): SPANTAP_LIVE_SIZE bytes hold about ten attributes; more memory
 * holds more. Needs no freeing: memory whose span is not ended is simply forgotten. */
typedef struct spantap_live spantap_live;
#define SPANTAP_LIVE_SIZE 1024u /**< bytes for about ten attributes */
#define SPANTAP_LIVE_MIN 512u   /**< the least that a span takes */

/** Begins a span in `memory` (8-byte aligned). `context` and `parent_span_id` as in spantap_span; the latter may be
 * NULL, and is remote for server and consumer spans. `name` may be empty until spantap_set_name(); without any,
 * spantap_end() is SPANTAP_INVALID. *live points into memory. The producer must outlive it. SPANTAP_INVALID,
 * SPANTAP_NO_SPACE (size below SPANTAP_LIVE_MIN), SPANTAP_WRONG_THREAD, SPANTAP_CLOSED. Free of system calls, like all
 * functions below. */
SPANTAP_API spantap_status spantap_begin(spantap_producer* producer, void* memory, size_t size,
                                         const spantap_context* context, const uint8_t* parent_span_id,
                                         spantap_kind kind, spantap_str name, uint64_t start_unix_ns,
                                         spantap_live** live);
/** @{ */
/** Each appends; a key set twice is handed off twice, and the later one wins at the agent. What does not fit is
 * discarded and counted in the span's dropped_attributes_count, and SPANTAP_NO_SPACE says so. SPANTAP_ENDED after
 * spantap_end(); SPANTAP_INVALID, SPANTAP_WRONG_THREAD. Name, trace state, status and connection replace what was
 * there. `name` only with SPANTAP_KEY_NAMED. */
SPANTAP_API spantap_status spantap_set_string(spantap_live* live, spantap_key key, spantap_str name, spantap_str value);
SPANTAP_API spantap_status spantap_set_int(spantap_live* live, spantap_key key, spantap_str name, int64_t value);
SPANTAP_API spantap_status spantap_set_double(spantap_live* live, spantap_key key, spantap_str name, double value);
SPANTAP_API spantap_status spantap_set_bool(spantap_live* live, spantap_key key, spantap_str name, int value);
SPANTAP_API spantap_status spantap_set_name(spantap_live* live, spantap_str name);
SPANTAP_API spantap_status spantap_set_trace_state(spantap_live* live, spantap_str trace_state);
SPANTAP_API spantap_status spantap_set_status(spantap_live* live, spantap_span_status status, spantap_str message);
SPANTAP_API spantap_status spantap_set_conn(spantap_live* live, const spantap_conn* conn);
SPANTAP_API spantap_status spantap_add_event(spantap_live* live, const spantap_event* event);
SPANTAP_API spantap_status spantap_add_link(spantap_live* live, const spantap_link* link);
/** @} */
/** Hands it off, as spantap_submit() does and with its statuses; the span is over whatever they are. */
SPANTAP_API spantap_status spantap_end(spantap_live* live, uint64_t end_unix_ns);

/* ---------------------------------------------------------------- counters */

/** For spantap_stats_get(); begin with SPANTAP_STATS_INIT. */
typedef struct spantap_stats {
  uint32_t struct_size;       /**< sizeof */
  uint32_t attached;          /**< 1: now */
  uint64_t handed_off;        /**< spans in a ring of an agent */
  uint64_t dropped_no_agent;  /**< SPANTAP_NO_AGENT of submit and end */
  uint64_t dropped_full;      /**< SPANTAP_FULL of submit and end */
  uint64_t dropped_too_large; /**< SPANTAP_TOO_LARGE of submit and end */
  uint64_t dropped_invalid;   /**< SPANTAP_INVALID of submit and end */
  uint64_t dropped_off;       /**< mode off, or closed */
  uint64_t wrong_thread;      /**< calls by a thread that the producer does not belong to */
  uint64_t attach_attempts;   /**< to get a ring */
  uint64_t attached_times;    /**< rings got */
  uint64_t refused_agent;     /**< it refused us, or was none that can be trusted (seals, version, sizes) */
} spantap_stats;
/** All zero. */
#define SPANTAP_STATS_INIT \
  { sizeof(spantap_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Of this producer, since it was opened (in a forked child: since the fork). Thread of the producer. */
SPANTAP_API spantap_status spantap_stats_get(const spantap_producer* producer, spantap_stats* stats);

/** Waits until the agent has taken all that this producer handed off, for at most timeout_ms. Needs not be called
 * before an exit: what is handed off is safe. In embedded mode: until all that the process handed off before is sent,
 * or given up. SPANTAP_TIMEOUT, SPANTAP_NO_AGENT. The only function that may wait. */
SPANTAP_API spantap_status spantap_flush(spantap_producer* producer, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif /* SPANTAP_SPANTAP_H_ */
