/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: key, value, who writes, reads and deletes. Nothing is pinned: when the agent is gone, by
 * whatever signal, so are the maps and the programs.
 *
 * maps.bpf.c defines them (SPANTAP_MAP empty), every other file declares them extern; libbpf's static
 * linker compares the two definitions.
 */
#ifndef SPANTAP_BPF_MAPS_H
#define SPANTAP_BPF_MAPS_H

#include "bpf/kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bpf/events.h"
#include "bpf/settings.bpf.h"

#ifndef SPANTAP_MAP
#define SPANTAP_MAP extern
#endif

/* Of FastCGI only the order of calls tells a response's first part from a later one. */
enum spantap_fcgi_flag {
	FCGI_ASKED = 1u << 0, /* a request began in this call */
	FCGI_DUE = 1u << 1,   /* the other direction carried a request whose answer has not begun */
};

/* One direction of a connection, as the selector sees it. */
struct spantap_direction {
	u64 position;	/* of the next byte; 0: nothing seen yet */
	u64 mute_until; /* what `orders` said when last asked */
	u32 head_left;	/* bytes that may still be copied of an unfinished message head */
	u32 fcgi;	/* enum spantap_fcgi_flag */
};

enum spantap_conn_flag {
	CONN_OPENED = 1u << 0,	   /* the OPEN record is in the ring */
	CONN_EOF = 1u << 1,	   /* END EOF was sent */
	CONN_SHUTDOWN = 1u << 2,   /* END SHUTDOWN was sent; direction[1].position is final */
	CONN_RESET = 1u << 3,	   /* END RESET was sent */
	CONN_CLOSED = 1u << 4,	   /* END CLOSED was sent */
	CONN_SEQUENCED = 1u << 5,  /* positions are TCP sequence numbers, else our own counts */
	CONN_READ_START = 1u << 6, /* first seen before its first incoming byte was read */
	CONN_WRITE_START = 1u << 7,
	CONN_WRITE_FINAL = 1u << 8, /* TCP_CLOSE: nothing can be written any more */
	CONN_COUNTED = 1u << 9,	    /* connect_turns is valid */
};

/* A connection. Index 0 of `direction`: incoming, 1: outgoing. */
struct spantap_conn {
	u64 id;		/* conn_id of its records */
	u64 generation; /* inode number of the socket (syscall family: an address may be reused) */
	u64 connect_ns; /* when connect() was called, 0 if not seen */
	u32 connect_tid;
	u32 connect_tgid;
	struct spantap_turns connect_turns; /* of that thread at that moment */
	u32 tgid; /* the target that used it last: whose END it is when an interrupt closes it */
	u32 flags;
	u8 family;
	u8 role;
	u16 error; /* errno that the protocol ended with */
	struct spantap_direction direction[2];
};

/* A thread's counters, and whether the wait it is in could sleep. */
struct spantap_thread {
	struct spantap_turns turns;
	u32 could_sleep;
};

/*
 * Records for the agent. Written by every program, read by the agent. Sized by BpfSettings::ring_bytes.
 * One ring for all CPUs, because order inside a process matters more than the contended word.
 */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

/*
 * Who is observed. Key: tgid, value: enum spantap_target_flag.
 * Written by the agent (--pid, /proc scan) and by process.bpf.c (fork, exec, listen, cgroup); read by
 * every hook; deleted by process.bpf.c at the exit of the last thread. Full: counted, not observed.
 */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u32);
} targets SEC(".maps");

/* Names, ports and cgroups to become targets. Written once by the agent, read by process.bpf.c. */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u8[SPANTAP_COMM_LEN]);
	__type(value, u32);
} target_names SEC(".maps");

SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u16);
	__type(value, u32);
} target_ports SEC(".maps");

SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u64); /* cgroup id */
	__type(value, u32);
} target_cgroups SEC(".maps");

/*
 * State of a connection, socket family. Created, read and written by the hooks; the kernel frees it
 * with the socket, so it can neither leak nor be taken for another socket's.
 */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct spantap_conn);
} socket_conns SEC(".maps");

/*
 * The same, syscall family. Key: address of the struct sock, checked by `generation`. Deleted at
 * tcp_destroy_sock, else evicted as the least recently used. The agent shrinks it to 1 where it is unused.
 */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, u64);
	__type(value, struct spantap_conn);
} address_conns SEC(".maps");

/* What the agent does not want to see. Key: conn_id. Written by the agent, read by the selector. */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct spantap_order);
} orders SEC(".maps");

/*
 * Counters of threads of targets with SPANTAP_TARGET_TURNS. Key: tid. Written by turns.bpf.c and the
 * selector, read by process.bpf.c too; evicted as the least recently used (a thread then starts at 0 again:
 * one unsure link).
 */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct spantap_thread);
} threads SEC(".maps");

/* Index: enum spantap_counter. Written by every program, read and summed by the agent. */
SPANTAP_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SPANTAP_COUNT_MAX);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

#endif /* SPANTAP_BPF_MAPS_H */
