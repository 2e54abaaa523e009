// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Lifecycles: processes (fork, exec, exit) and TCP connections (inet_sock_set_state). Both hook
 * families need them. Attached as long as something may become a target.
 */
#include "bpf/conn.bpf.h"
#include "bpf/thread.bpf.h"
#include <bpf/bpf_tracing.h>

/* ------------------------------------------------------------------ processes */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 tgid = parent->tgid, other = child->tgid, flags;

	if (child->pid != child->tgid) /* a thread */
		return 0;
	flags = target_flags(tgid);
	if (!(flags & SPANTAP_TARGET_DESCENDANTS))
		return 0;
	if (target_add(other, flags))
		emit_task(SPANTAP_EVENT_FORK, tgid, parent->pid, other, parent->comm);
	return 0;
}

/* comm is the new program's here: the file name of what was executed, cut to 15 characters. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	u32 tgid = task->tgid, flags = target_flags(tgid);
	u8 name[SPANTAP_COMM_LEN] = {};

	bpf_get_current_comm(name, sizeof(name));
	if (!flags && bpf_map_lookup_elem(&target_names, name))
		flags = target_add(tgid, setting_target_flags);
	if (flags)
		emit_task(SPANTAP_EVENT_EXEC, tgid, task->pid, 0, name);
	return 0;
}

/*
 * signal->live was decremented before the tracepoint: 0 means that the last thread is going. Two last
 * threads may both see it; the deletion decides whose record it is. Descriptors are closed later, so
 * END records of a process may follow its EXIT.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	u32 tgid = task->tgid, tid = task->pid;
	u32 flags;

	if (setting_turns)
		bpf_map_delete_elem(&threads, &tid);
	flags = target_flags(tgid);
	if (!flags || task->signal->live.counter > 0)
		return 0;
	if (!bpf_map_delete_elem(&targets, &tgid))
		emit_task(SPANTAP_EVENT_EXIT, tgid, tid, 0, task->comm);
	return 0;
}

/* ------------------------------------------------------------------ TCP connections */

static __always_inline struct spantap_conn *state_find(struct sock *sk)
{
	if (setting_family == SPANTAP_FAMILY_SOCKET)
		return conn_find_stored(sk);
	return conn_find_by_address(sk);
}

static __always_inline struct spantap_conn *state_create(struct sock *sk)
{
	if (setting_family == SPANTAP_FAMILY_SOCKET)
		return conn_create_stored(sk);
	return conn_create_by_address(sk);
}

/* Last records of a connection. */
static __always_inline void state_end(const struct sock *sk, struct spantap_conn *conn)
{
	if (!(conn->flags & CONN_OPENED) || (conn->flags & CONN_CLOSED))
		return;
	conn_sync_positions(sk, conn);
	if (conn->error && !(conn->flags & CONN_RESET) && emit_end(conn, SPANTAP_END_RESET, conn->error, 0))
		conn->flags |= CONN_RESET;
	if (emit_end(conn, SPANTAP_END_CLOSED, 0, 0))
		conn->flags |= CONN_CLOSED;
}

static __always_inline void state_note_dial(struct spantap_conn *conn, u64 pid_tgid, u32 target)
{
	struct spantap_thread *thread;

	conn->connect_ns = bpf_ktime_get_ns();
	conn->connect_tid = pid_tgid;
	conn->connect_tgid = conn->tgid = pid_tgid >> 32;
	conn->connect_turns = (struct spantap_turns){};
	if (!thread_is_counted(target))
		return;
	thread = thread_counters(pid_tgid);
	if (!thread)
		return;
	conn->connect_turns = thread->turns;
	conn->flags |= CONN_COUNTED;
}

/*
 * A target calls connect(): port and sequence are not chosen yet, so only the moment is noted. This runs
 * inside the call before the SYN leaves, so the thread has done nothing since it called, and of a
 * non-blocking connect this is the call, too, not its completion.
 */
static __always_inline void state_connect(struct sock *sk)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 target = target_current(pid_tgid >> 32);
	struct spantap_conn *conn;

	if (!target || !conn_is_stream(sk) || conn_is_kernel_socket(sk))
		return;
	conn = state_create(sk);
	if (!conn)
		return;
	state_end(sk, conn); /* disconnected and connected anew */
	conn->error = 0;
	conn->flags = CONN_SEQUENCED | CONN_READ_START | CONN_WRITE_START;
	conn->direction[0] = conn->direction[1] = (struct spantap_direction){};
	state_note_dial(conn, pid_tgid, target);
	conn->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	conn->role = SPANTAP_ROLE_CONNECTED;
}

static __always_inline void state_established(struct sock *sk)
{
	struct spantap_conn *conn = state_find(sk);

	if (!conn || (conn->flags & CONN_OPENED) || !conn->connect_ns)
		return;
	conn_sync_positions(sk, conn);
	emit_open(sk, conn, conn->connect_ns, conn->connect_tid);
}

/* Our FIN is about to be sent: by close() or shutdown(), or by the kernel when the process died. */
static __always_inline void state_shutdown(struct sock *sk)
{
	struct spantap_conn *conn = state_find(sk);

	if (!conn || !(conn->flags & CONN_OPENED) || (conn->flags & CONN_SHUTDOWN))
		return;
	conn_sync_positions(sk, conn);
	if (emit_end(conn, SPANTAP_END_SHUTDOWN | SPANTAP_F_WRITE << 8, 0, 0))
		conn->flags |= CONN_SHUTDOWN;
}

/*
 * The protocol is done; the process may not be: bytes that came before the peer's FIN or RST can still
 * be read. So this is no end unless nothing is left to read, and even then only of a failed connection.
 */
static __always_inline void state_closed(const struct sock *sk, struct spantap_conn *conn)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	conn_sync_positions(sk, conn);
	conn->flags |= CONN_WRITE_FINAL;
	conn->error = BPF_CORE_READ(sk, sk_err);
	if (!conn->error || !(conn->flags & CONN_OPENED) || (conn->flags & CONN_RESET))
		return;
	if (BPF_CORE_READ(tcp, copied_seq) != BPF_CORE_READ(tcp, rcv_nxt))
		return;
	if (emit_end(conn, SPANTAP_END_RESET, conn->error, 0))
		conn->flags |= CONN_RESET;
}

/* inet_num is bound before the state changes; an unbound listener has an ephemeral port: no match. */
static __always_inline void state_listen(const struct sock *sk)
{
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);

	if (bpf_map_lookup_elem(&target_ports, &port))
		target_add(bpf_get_current_pid_tgid() >> 32, setting_target_flags);
}

/*
 * Runs in the caller's context for connect, listen and close, in interrupt context for what the
 * network causes: there the current task is a stranger, and the connection says whose it is.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old_state, int new_state)
{
	struct spantap_conn *conn;

	switch (new_state) {
	case TCP_SYN_SENT:
		state_connect(sk);
		break;
	case TCP_ESTABLISHED:
		state_established(sk);
		break;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		state_shutdown(sk);
		break;
	case TCP_CLOSE:
		conn = state_find(sk);
		if (conn)
			state_closed(sk, conn);
		break;
	case TCP_LISTEN:
		state_listen(sk);
		break;
	}
	return 0;
}

/* Protocol and process are both done with the socket. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	struct spantap_conn *conn = state_find(sk);
	u64 address = (u64)sk;

	if (conn)
		state_end(sk, conn);
	if (setting_family == SPANTAP_FAMILY_SYSCALL)
		bpf_map_delete_elem(&address_conns, &address);
	return 0;
}
