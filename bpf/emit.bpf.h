/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way into the ring: the only file that reserves records. Every wanted record counts as CAPTURED,
 * every failure to reserve as DROP_RING_FULL, so that captured = delivered + dropped, exactly.
 *
 * Records are reserved in the ring with constant sizes and filled in place. No per-CPU scratch: the
 * hooks are preemptible, and a second program on the same CPU would overwrite it (seen: mangled heads).
 */
#ifndef SPANTAP_BPF_EMIT_H
#define SPANTAP_BPF_EMIT_H

#include "bpf/count.bpf.h"
#include <bpf/bpf_core_read.h>

/* Not inlined, and not used by every file that includes this. Static: a socket is no argument for a global
 * one. */
#define EMIT_SUBPROGRAM static __noinline __attribute__((unused))

static __always_inline void *emit_reserve(const u64 size)
{
	void *record;

	count(SPANTAP_COUNT_CAPTURED);
	record = bpf_ringbuf_reserve(&ring, size, 0);
	if (!record)
		count_lost(SPANTAP_COUNT_DROP_RING_FULL);
	return record;
}

/*
 * A wake-up costs more than everything else together, so none per record: the reader polls with a
 * timer. Only a reader that sleeps on a filling ring is woken.
 */
static __always_inline void emit_submit(void *record)
{
	u64 flags = BPF_RB_NO_WAKEUP;

	if (reader_waiting && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= setting_wake_bytes)
		flags = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(record, flags);
}

static __always_inline void emit_header(struct spantap_event_header *header, u32 size, u8 type, u16 flags,
					u64 mono_ns, u64 conn_id, u32 tgid, u32 tid)
{
	header->size = size;
	header->type = type;
	header->lost = count_take_lost();
	header->flags = flags;
	header->mono_ns = mono_ns;
	header->conn_id = conn_id;
	header->tgid = tgid;
	header->tid = tid;
}

/* ------------------------------------------------------------------ data */

/* One piece on its way: what to copy from user memory and how to describe it. */
struct emit_piece {
	u64 address;
	u64 position;
	u64 mono_ns; /* one time for all pieces of a call: the user side knows them by it */
	u64 conn_id;
	u32 tgid;
	u32 tid;
	u32 bytes; /* true length */
	u32 copy;  /* of these, to be copied: at most SPANTAP_CLASS_LARGE */
	u16 flags;
	u16 syscall;
	struct spantap_turns turns;
};

/* One record; counted as captured whether there is room or not. Defined in emit.bpf.c. */
int emit_data(const struct emit_piece *piece);

/* ------------------------------------------------------------------ connections */

static __always_inline u64 emit_unix_pair(u64 one, u64 other)
{
	if (!one || !other)
		return 0;
	return ((one ^ other) * setting_secret) ^ ((one + other) * (setting_secret >> 7 | 1));
}

static __always_inline void emit_addresses(struct spantap_open_event *event, const struct sock *sk, u8 family)
{
	event->local_port = 0;
	event->peer_port = 0;
	event->unix_pair = 0;
	__builtin_memset(event->local_addr, 0, sizeof(event->local_addr));
	__builtin_memset(event->peer_addr, 0, sizeof(event->peer_addr));
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (family == AF_UNIX) {
		struct sock *peer = BPF_CORE_READ((const struct unix_sock *)sk, peer);

		/* Through memory: the verifier refuses arithmetic on a pointer that it knows. */
		event->unix_pair = (u64)sk;
		barrier();
		event->unix_pair = emit_unix_pair(*(volatile __u64 *)&event->unix_pair, (u64)peer);
		return;
	}
	event->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	event->peer_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET6) {
		bpf_core_read(event->local_addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(event->peer_addr, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		bpf_core_read(event->local_addr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(event->peer_addr, 4, &sk->__sk_common.skc_daddr);
	}
}

/* False if the ring is full: the next call tries again. */
EMIT_SUBPROGRAM int emit_open(const struct sock *sk, struct spantap_conn *conn, u64 mono_ns, u32 tid)
{
	struct spantap_open_event *event = emit_reserve(sizeof(*event));
	u16 flags = 0;

	if (!event)
		return 0;
	if (conn->flags & CONN_READ_START)
		flags |= SPANTAP_F_READ_FROM_START;
	if (conn->flags & CONN_WRITE_START)
		flags |= SPANTAP_F_WRITE_FROM_START;
	if (conn->flags & CONN_COUNTED)
		flags |= SPANTAP_F_COUNTED;
	emit_header(&event->header, sizeof(*event), SPANTAP_EVENT_OPEN, flags, mono_ns, conn->id, conn->tgid,
		    tid);
	event->family = conn->family;
	event->role = conn->role;
	event->pad = 0;
	event->dialled_by = conn->connect_tgid;
	event->turns = conn->connect_turns;
	event->pad2 = 0;
	event->read_position = conn->direction[0].position;
	event->write_position = conn->direction[1].position;
	emit_addresses(event, sk, conn->family);
	emit_submit(event);
	conn->flags |= CONN_OPENED;
	return 1;
}

/* `reason_and_flags`: enum spantap_end_reason, and enum spantap_event_flag shifted left by 8. */
EMIT_SUBPROGRAM int emit_end(const struct spantap_conn *conn, u32 reason_and_flags, u32 error, u32 tid)
{
	struct spantap_end_event *event = emit_reserve(sizeof(*event));

	if (!event)
		return 0;
	emit_header(&event->header, sizeof(*event), SPANTAP_EVENT_END, reason_and_flags >> 8,
		    bpf_ktime_get_ns(), conn->id, conn->tgid, tid);
	event->read_position = conn->direction[0].position;
	event->write_position = conn->direction[1].position;
	event->reason = reason_and_flags & 0xff;
	event->pad[0] = event->pad[1] = event->pad[2] = 0;
	event->error = error;
	emit_submit(event);
	return 1;
}

/* ------------------------------------------------------------------ processes */

static __always_inline void emit_task(u8 type, u32 tgid, u32 tid, u32 other, const void *comm)
{
	struct spantap_task_event *event = emit_reserve(sizeof(*event));

	if (!event)
		return;
	emit_header(&event->header, sizeof(*event), type, 0, bpf_ktime_get_ns(), 0, tgid, tid);
	event->other_tgid = other;
	event->pad = 0;
	bpf_probe_read_kernel(event->comm, sizeof(event->comm), comm);
	/* Rare, and the reader may have to attach the data hooks: worth a wake-up. */
	bpf_ringbuf_submit(event, reader_waiting ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

#endif /* SPANTAP_BPF_EMIT_H */
