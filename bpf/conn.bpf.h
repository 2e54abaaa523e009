/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connection state: which sockets are connections, where their state lies, and at which byte position
 * a call began. Used by the hooks and the selector; knows nothing of system calls.
 *
 * Positions. TCP: the kernel's own sequence numbers, extended to 64 bits, so that what nobody saw
 * (splice, io_uring, lost records, the time before us) is a gap by arithmetic. Unix sockets, MPTCP and
 * sockets with an upper layer protocol (kernel TLS: plain bytes in the calls, cipher bytes in the
 * sequence) are counted by us. Two threads that write one socket at the same time may see each other's
 * bytes in write_seq; HTTP/1 does not do that.
 */
#ifndef SPANTAP_BPF_CONN_H
#define SPANTAP_BPF_CONN_H

#include "bpf/emit.bpf.h"

/* The high word of a first position: an earlier byte never gets a negative one. */
#define CONN_POSITION_BASE (1ull << 32)

/* ------------------------------------------------------------------ positions */

static __always_inline u64 conn_extend(u64 previous, u32 sequence)
{
	if (!previous)
		return CONN_POSITION_BASE | sequence;
	return previous + (long)(int)(sequence - (u32)previous);
}

/* copied_seq without the FIN, which the kernel counts as a byte once it was read (maybe with data). */
static __always_inline u32 conn_read_sequence(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	u32 copied = BPF_CORE_READ(tcp, copied_seq);

	if ((BPF_CORE_READ(sk, __sk_common.skc_flags) & SOCK_DONE_BIT) &&
	    copied == BPF_CORE_READ(tcp, rcv_nxt))
		copied--;
	return copied;
}

static __always_inline u32 conn_write_sequence(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, write_seq);
}

static __always_inline int conn_is_sequenced(const struct sock *sk, const struct spantap_conn *conn)
{
	return (conn->flags & CONN_SEQUENCED) &&
	       !BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_ops);
}

/* Brings both positions up to date; `conn` is a TCP connection. */
static __always_inline void conn_sync_positions(const struct sock *sk, struct spantap_conn *conn)
{
	if (!conn_is_sequenced(sk, conn))
		return;
	conn->direction[0].position = conn_extend(conn->direction[0].position, conn_read_sequence(sk));
	/* Afterwards write_seq counts our FIN, or jumps ahead (tcp_disconnect adds a window). */
	if (!(conn->flags & (CONN_SHUTDOWN | CONN_WRITE_FINAL)))
		conn->direction[1].position =
		    conn_extend(conn->direction[1].position, conn_write_sequence(sk));
}

/* Position after a call that moved bytes in direction `write`. */
static __always_inline u64 conn_position_after(const struct sock *sk, const struct spantap_conn *conn,
					       u32 write, u32 bytes)
{
	u64 previous = conn->direction[write & 1].position;

	if (!conn_is_sequenced(sk, conn))
		return (previous ? previous : CONN_POSITION_BASE) + bytes;
	return conn_extend(previous, write ? conn_write_sequence(sk) : conn_read_sequence(sk));
}

/* ------------------------------------------------------------------ which sockets */

static __always_inline int conn_is_stream(const struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	if (BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return 0;
	if (family == AF_INET || family == AF_INET6)
		return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
	return family == AF_UNIX;
}

/* Sockets of the kernel itself (NFS, for one) may send inside somebody's write(): not theirs. */
static __always_inline int conn_is_kernel_socket(const struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock) || !BPF_CORE_READ(sk, sk_socket, file);
}

/*
 * Fills the state of a connection that is seen for the first time, after a call that moved `bytes`.
 * Whether its streams are seen from their first byte follows from the kernel's byte counts; no hook on
 * accept is needed. A connected socket's acked bytes start at 1 (its SYN), an accepted one's at 0.
 */
static __always_inline void conn_init(const struct sock *sk, struct spantap_conn *conn, u32 write, u32 bytes)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	u32 read_seq, write_seq, fin;
	u64 read_total, write_total;

	conn->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	conn->role = SPANTAP_ROLE_UNKNOWN;
	conn->direction[0].position = CONN_POSITION_BASE;
	conn->direction[1].position = CONN_POSITION_BASE;
	if (conn->family == AF_UNIX || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return;
	conn->flags |= CONN_SEQUENCED;
	read_seq = conn_read_sequence(sk);
	write_seq = conn_write_sequence(sk);
	fin = (BPF_CORE_READ(sk, __sk_common.skc_flags) & SOCK_DONE_BIT) != 0;
	read_total = BPF_CORE_READ(tcp, bytes_received) - (u32)(BPF_CORE_READ(tcp, rcv_nxt) - fin - read_seq);
	write_total = BPF_CORE_READ(tcp, bytes_acked) + (u32)(write_seq - BPF_CORE_READ(tcp, snd_una));
	if (write) {
		write_seq -= bytes;
		write_total -= bytes;
	} else {
		read_seq -= bytes;
		read_total -= bytes;
	}
	conn->direction[0].position = conn_extend(0, read_seq);
	conn->direction[1].position = conn_extend(0, write_seq);
	if (!read_total)
		conn->flags |= CONN_READ_START;
	if (!write_total) {
		conn->flags |= CONN_WRITE_START;
		conn->role = SPANTAP_ROLE_ACCEPTED;
	}
}

/* ------------------------------------------------------------------ where the state lies */

/* Without state there is no record: one was wanted, and is lost. */
static __always_inline void conn_count_lost(void)
{
	count(SPANTAP_COUNT_CAPTURED);
	count_lost(SPANTAP_COUNT_DROP_CONN_STATE);
}

static __always_inline u64 conn_generation(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* Socket family: storage on the socket, id = its cookie. `sk` must be a pointer the verifier trusts. */
static __always_inline struct spantap_conn *conn_find_stored(struct sock *sk)
{
	return bpf_sk_storage_get(&socket_conns, sk, 0, 0);
}

static __always_inline struct spantap_conn *conn_create_stored(struct sock *sk)
{
	struct spantap_conn *conn = bpf_sk_storage_get(&socket_conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!conn)
		conn_count_lost();
	else
		conn->id = bpf_get_socket_cookie(sk);
	return conn;
}

/*
 * Syscall family: by address, because a socket found through a descriptor is no pointer that the
 * storage helper takes. An orphaned socket (state change after close) has no inode any more; its
 * address cannot have been reused yet, as tcp_destroy_sock, which deletes it, comes first.
 */
static __always_inline struct spantap_conn *conn_find_by_address(const struct sock *sk)
{
	u64 address = (u64)sk, generation = conn_generation(sk);
	struct spantap_conn *conn = bpf_map_lookup_elem(&address_conns, &address);

	if (conn && generation && conn->generation != generation)
		return 0;
	return conn;
}

static __always_inline struct spantap_conn *conn_create_by_address(const struct sock *sk)
{
	u64 address = (u64)sk;
	struct spantap_conn fresh = {}, *conn;

	fresh.generation = conn_generation(sk);
	fresh.id = __sync_fetch_and_add(&last_conn_id, 1) + 1;
	bpf_map_update_elem(&address_conns, &address, &fresh, BPF_ANY);
	conn = bpf_map_lookup_elem(&address_conns, &address);
	if (!conn)
		conn_count_lost();
	return conn;
}

#endif /* SPANTAP_BPF_CONN_H */
