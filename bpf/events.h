/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel/user contract: every record that crosses the ring buffer, and every map value the agent
 * writes. Compiles as BPF C, C11 and C++20; the asserts at the end break the build of whichever side
 * changes alone.
 *
 * Rules of change: enum values are permanent and never reused; new fields take over padding or come
 * after the last field together with a new SPANTAP_EVENT_VERSION, 0 meaning "not known". The version is
 * stored in record files and compared by the loader.
 * Version 2: open events tell who dialled (dialled_by, turns). Since then `lost` took over padding.
 *
 * All integers are host byte order; addresses and nothing else are network byte order.
 */
#ifndef SPANTAP_BPF_EVENTS_H
#define SPANTAP_BPF_EVENTS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define SPANTAP_STATIC_ASSERT static_assert
#else
#define SPANTAP_STATIC_ASSERT _Static_assert
#endif

#define SPANTAP_EVENT_VERSION 2u
/* Record files from this version on can be read: what their records lack is 0. */
#define SPANTAP_EVENT_VERSION_OLDEST 1u

/* ------------------------------------------------------------------ limits */

/* Payload size classes of a data record. Reserved whole in the ring: no scratch memory, no copy. */
#define SPANTAP_CLASS_SMALL 256u
#define SPANTAP_CLASS_MEDIUM 1024u
#define SPANTAP_CLASS_LARGE 4096u
/* Head bytes copied per message unless the agent sets another cap (settings.head_bytes). */
#define SPANTAP_HEAD_BYTES 4096u
/* The ends of a call that carries body bytes: enough for a chunk-size line, and for a last chunk. */
#define SPANTAP_BODY_FIRST 32u
#define SPANTAP_BODY_LAST 64u
/* iovecs looked at per call: Envoy reads into 8 and writes from at most 16, nginx writes from 64. */
#define SPANTAP_MAX_IOVECS 64u
#define SPANTAP_COMM_LEN 16u

/* ------------------------------------------------------------------ records */

enum spantap_event_type {
	SPANTAP_EVENT_OPEN = 1, /* struct spantap_open_event: first sight of a connection */
	SPANTAP_EVENT_DATA = 2, /* struct spantap_data_event: one piece of one call */
	SPANTAP_EVENT_END = 3,	/* struct spantap_end_event: a direction or the connection ended */
	SPANTAP_EVENT_FORK = 4, /* struct spantap_task_event: other_tgid is the new child */
	SPANTAP_EVENT_EXEC = 5, /* struct spantap_task_event */
	SPANTAP_EVENT_EXIT = 6, /* struct spantap_task_event: the process's last thread is gone */

	/* Written by the agent's privileged side, never by the kernel; in record files too. */
	SPANTAP_EVENT_PROCESS = 128, /* struct spantap_process_event: who a tgid is */
	SPANTAP_EVENT_CLOCK = 129,   /* struct spantap_clock_event: monotonic to wall time */
	SPANTAP_EVENT_LOSS = 130,    /* struct spantap_loss_event: the kernel's counters so far */
};

/* Starts every record. 32 bytes. */
struct spantap_event_header {
	__u32 size; /* meaningful bytes of the record, this header included */
	__u8 type;  /* enum spantap_event_type */
	__u8 lost; /* records lost since the last one that was not, 255: or more; never those of other sources
		    */
	__u16 flags;   /* enum spantap_event_flag */
	__u64 mono_ns; /* CLOCK_MONOTONIC when the call returned */
	__u64 conn_id; /* one socket; never reused while the agent runs; 0 where none */
	__u32 tgid;    /* process id in the initial pid namespace */
	__u32 tid;     /* thread id in the initial pid namespace; 0 when seen in interrupt context */
};

enum spantap_event_flag {
	SPANTAP_F_WRITE = 1u << 0,	/* data, end: outgoing direction; otherwise incoming */
	SPANTAP_F_HEAD = 1u << 1,	/* data: begins like an HTTP/1 or FastCGI message */
	SPANTAP_F_COUNTED = 1u << 2,	/* data, open: the thread's counters are valid */
	SPANTAP_F_CALL_START = 1u << 3, /* data: first byte of a system call's bytes */
	SPANTAP_F_CALL_END = 1u << 4,	/* data: last byte of a system call's bytes */
	SPANTAP_F_UNREADABLE = 1u << 5, /* data: bytes wanted, user memory not readable (counted) */
	SPANTAP_F_KERNEL_BYTES =
	    1u << 6, /* data: no user buffer (sendfile, splice, MSG_TRUNC) or none we know */
	SPANTAP_F_READ_FROM_START = 1u << 7,  /* open: the incoming position is the first byte's */
	SPANTAP_F_WRITE_FROM_START = 1u << 8, /* open: the outgoing position is the first byte's */
};

/*
 * What a thread had done when it read or wrote a message head, or called connect() (for linking).
 * Valid only with SPANTAP_F_COUNTED, which only heads and open events carry; the head itself is counted.
 * Wrap-around is harmless: only differences are used.
 *
 * A head is what looks like one where a call's bytes begin (or behind the bytes an order mutes). So
 *  - a head read in several calls counts once, at its first byte; only if a later of these calls begins
 *    like a request line itself (a header value "ABC d..." cut there) it counts again. A request behind
 *    a body's last byte, if that was a capital letter read alone, is taken for its rest: not counted;
 *  - several heads in one call (pipelining) count once, all of them at that moment. A head behind the
 *    end of a body in one call counts not at all;
 *  - an interim response (1xx) in a call of its own counts, as does a short body of capital letters;
 *  - of a FastCGI response the first call that begins with a record after a request counts;
 *  - inside HTTP/2 and TLS nothing counts, nor does the preface of HTTP/2.
 */
struct spantap_turns {
	__u32 turn;   /* returns from epoll/poll/select */
	__u32 burst;  /* of these, the ones that could sleep */
	__u32 nreq;   /* request heads read */
	__u32 nread;  /* message heads read */
	__u32 nwrite; /* message heads written */
};

enum spantap_family {
	SPANTAP_FAMILY_UNIX = 1,
	SPANTAP_FAMILY_INET = 2,
	SPANTAP_FAMILY_INET6 = 10,
};

enum spantap_role {
	SPANTAP_ROLE_UNKNOWN = 0,
	SPANTAP_ROLE_CONNECTED = 1, /* this end called connect() while observed */
	SPANTAP_ROLE_ACCEPTED = 2,  /* this end came out of accept() while observed */
};

/*
 * First sight of a connection: when a connect() that was seen succeeds, else before its first data record.
 * With `dialled_by`, header.mono_ns, header.tid and `turns` are those of the connect() call, however long
 * the handshake took and whenever the record was made.
 */
struct spantap_open_event {
	struct spantap_event_header header;
	__u8 family;	  /* enum spantap_family */
	__u8 role;	  /* enum spantap_role */
	__u16 local_port; /* host byte order; 0 for Unix */
	__u16 peer_port;
	__u16 pad;
	__u8 local_addr[16]; /* IPv4 in the first four bytes; v4-mapped stays as the kernel has it */
	__u8 peer_addr[16];
	__u64 read_position;	    /* position of the next incoming byte */
	__u64 write_position;	    /* position of the next outgoing byte */
	__u64 unix_pair;	    /* Unix: equal at both ends of one pair, else 0 */
	__u32 netns;		    /* inode number of the network namespace; 0 if unknown */
	__u32 dialled_by;	    /* tgid that called connect() while observed, else 0; TCP only */
	struct spantap_turns turns; /* of header.tid; nothing counts connects */
	__u32 pad2;
};

/*
 * A piece: some consecutive bytes of one call. Bytes of the stream that are in no piece, or behind
 * `copied` within one, are gaps by arithmetic. For TCP `position` is the kernel's sequence number
 * extended to 64 bits, so its low 32 bits are equal at both ends of a connection.
 */
struct spantap_data_event {
	struct spantap_event_header header;
	__u64 position;	    /* of the piece's first byte */
	__u32 piece_bytes;  /* true length of the piece */
	__u32 copied_bytes; /* how many of them are in data[] */
	struct spantap_turns turns;
	__u16 syscall; /* number of the system call, for debugging */
	__u16 pad;
	__u8 data[];
};

enum spantap_end_reason {
	SPANTAP_END_EOF = 1,	  /* incoming: the peer's FIN was read (the call returned 0) */
	SPANTAP_END_SHUTDOWN = 2, /* outgoing: this end sent FIN (close or shutdown) */
	SPANTAP_END_RESET = 3,	  /* the connection failed; errno in `error` */
	SPANTAP_END_CLOSED = 4,	  /* the socket is gone, after its last byte; ends both directions */
};

struct spantap_end_event {
	struct spantap_event_header header;
	__u64 read_position;  /* bytes up to here had been read */
	__u64 write_position; /* bytes up to here had been written */
	__u8 reason;	      /* enum spantap_end_reason */
	__u8 pad[3];
	__u32 error; /* positive errno, 0 if none */
};

struct spantap_task_event {
	struct spantap_event_header header; /* tgid: the process; FORK: the parent */
	__u32 other_tgid;		    /* FORK: the child */
	__u32 pad;
	__u8 comm[SPANTAP_COMM_LEN]; /* NUL-terminated command name */
};

/* text[]: exe path, service name, OTEL_RESOURCE_ATTRIBUTES value; each NUL-terminated, in this order. */
struct spantap_process_event {
	struct spantap_event_header header;
	__u64 start_mono_ns; /* process start, tells a reused pid apart */
	__u16 listen_port;   /* lowest TCP port it listened on when looked at, else 0 */
	__u16 flags;	     /* SPANTAP_PROCESS_* */
	__u32 text_bytes;
	__u8 text[];
};
/* The service name in text[] was configured (flag or the process's own OTEL_SERVICE_NAME). */
#define SPANTAP_PROCESS_NAMED (1u << 0)

struct spantap_clock_event {
	struct spantap_event_header header;
	__u64 wall_minus_mono_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC, re-read each second */
};

/* Kernel-side counters. `captured` counts every record that the programs wanted to emit. */
enum spantap_counter {
	SPANTAP_COUNT_CAPTURED = 0,
	SPANTAP_COUNT_DROP_RING_FULL = 1,  /* no room in the ring buffer */
	SPANTAP_COUNT_DROP_CONN_STATE = 2, /* no memory for a connection's state */
	/* Not drops of records: conditions worth knowing. */
	SPANTAP_COUNT_UNREADABLE = 3,	 /* pieces whose user memory could not be read */
	SPANTAP_COUNT_TASK32 = 4,	 /* calls of 32-bit tasks, skipped */
	SPANTAP_COUNT_FOREIGN_FRAME = 5, /* calls whose buffers are unknown (io_uring, recvmmsg of several) */
	SPANTAP_COUNT_IOVECS = 6,	 /* calls with more iovecs than SPANTAP_MAX_IOVECS */
	SPANTAP_COUNT_RUNS = 7,		 /* times a data hook ran for a target */
	SPANTAP_COUNT_TARGETS_FULL = 8,	 /* processes not observed: the target map is full */
	SPANTAP_COUNT_MAX = 16,
};

struct spantap_loss_event {
	struct spantap_event_header header;
	__u64 counters[SPANTAP_COUNT_MAX]; /* totals since the start, indexed by enum spantap_counter */
};

/* ------------------------------------------------------------------ map values the agent writes */

/* Value of map `targets`, key: tgid. */
enum spantap_target_flag {
	SPANTAP_TARGET_OBSERVE = 1u << 0,
	SPANTAP_TARGET_DESCENDANTS = 1u << 1, /* children become targets at fork */
	SPANTAP_TARGET_TURNS = 1u << 2,	      /* count loop turns of its threads */
	SPANTAP_TARGET_DENY = 1u << 3,	      /* never, whatever else matches (the agent itself) */
};

/*
 * Value of map `orders` (LRU), key: conn_id. Bytes below the positions are known to be of no
 * interest: the kernel copies none of them. Always a position, never a switch, so that an order that
 * arrives late does no harm. ~0 mutes for good (an opaque connection).
 */
struct spantap_order {
	__u64 mute_read_until;
	__u64 mute_write_until;
};

/* ------------------------------------------------------------------ checks */

SPANTAP_STATIC_ASSERT(sizeof(struct spantap_event_header) == 32, "header");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_open_event) == 128, "open");
SPANTAP_STATIC_ASSERT(__builtin_offsetof(struct spantap_open_event, turns) == 104, "open of version 1");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_data_event) == 72, "data");
SPANTAP_STATIC_ASSERT(__builtin_offsetof(struct spantap_data_event, position) == 32, "data.position");
SPANTAP_STATIC_ASSERT(__builtin_offsetof(struct spantap_data_event, turns) == 48, "data.turns");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_end_event) == 56, "end");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_task_event) == 56, "task");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_process_event) == 48, "process");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_clock_event) == 40, "clock");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_loss_event) == 160, "loss");
SPANTAP_STATIC_ASSERT(sizeof(struct spantap_order) == 16, "order");

#endif /* SPANTAP_BPF_EVENTS_H */
