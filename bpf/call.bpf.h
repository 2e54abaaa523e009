/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What both hook families do with one finished socket call, once they have found the target and the
 * connection's state: open it, move its position, hand its bytes to the selector, report its end.
 */
#ifndef SPANTAP_BPF_CALL_H
#define SPANTAP_BPF_CALL_H

#include "bpf/select.bpf.h"
#include "bpf/target.bpf.h"

/* Errors after which a connection carries no more bytes. EAGAIN and its like are every other call. */
static __always_inline int call_is_fatal(long result)
{
	return result == -EPIPE || (result <= -ENETDOWN && result >= -EHOSTUNREACH);
}

/* A first record must be OPEN. A full ring counts this call's record as lost, too. */
static __always_inline int call_open(const struct sock *sk, struct spantap_conn *conn, u32 tid)
{
	if (conn->flags & CONN_OPENED)
		return 1;
	if (emit_open(sk, conn, conn->connect_ns ? conn->connect_ns : bpf_ktime_get_ns(),
		      conn->connect_ns ? conn->connect_tid : tid))
		return 1;
	count(SPANTAP_COUNT_CAPTURED);
	count_lost(SPANTAP_COUNT_DROP_RING_FULL);
	return 0;
}

/* The call returned 0 or failed: does that end the connection? */
static __always_inline void call_end(const struct sock *sk, struct spantap_conn *conn, long result, u32 write,
				     u32 tid)
{
	u32 flags = write ? SPANTAP_F_WRITE << 8 : 0;

	if (!(conn->flags & CONN_OPENED))
		return;
	if (result == 0) {
		if (write || (conn->flags & CONN_EOF) || !(BPF_CORE_READ(sk, sk_shutdown) & RCV_SHUTDOWN))
			return;
		conn_sync_positions(sk, conn);
		if (emit_end(conn, SPANTAP_END_EOF | flags, 0, tid))
			conn->flags |= CONN_EOF;
	} else if (!(conn->flags & CONN_RESET)) {
		if (emit_end(conn, SPANTAP_END_RESET | flags, -result, tid))
			conn->flags |= CONN_RESET;
	}
}

/*
 * One call of a target on a connection. `result` > 0: bytes moved; 0 or fatal: maybe its end.
 */
static __always_inline void call_take(const struct sock *sk, struct spantap_conn *conn, long result,
				      u32 write, struct select_call *call)
{
	struct spantap_direction *direction, *other;

	conn->tgid = call->tgid;
	if (result <= 0) {
		call_end(sk, conn, result, write, call->tid);
		return;
	}
	direction = write ? &conn->direction[1] : &conn->direction[0];
	other = write ? &conn->direction[0] : &conn->direction[1];
	call->conn_id = conn->id;
	call->bytes = result;
	call->write = write;
	call->start = conn_position_after(sk, conn, write, result) - result;
	if (call_open(sk, conn, call->tid)) {
		select_bytes(call, direction);
	} else {
		/* The OPEN record to come must not say that this direction is seen from its first byte. */
		direction->position = call->start + result;
		conn->flags &= ~(write ? CONN_WRITE_START : CONN_READ_START);
	}
	if (direction->fcgi & FCGI_ASKED) {
		direction->fcgi &= ~FCGI_ASKED;
		other->fcgi |= FCGI_DUE;
	}
}

#endif /* SPANTAP_BPF_CALL_H */
