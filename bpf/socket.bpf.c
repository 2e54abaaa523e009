// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hook family "socket" (kernels from 6.3 on): the tracepoints behind every sendmsg and recvmsg of a
 * socket. No other system call of any process pays anything, and the struct sock is at hand.
 *
 * Not seen by them: splice out of a socket (tcp_splice_read calls no recvmsg). For TCP that is a gap
 * by arithmetic; on a Unix socket the later positions are short by what was spliced.
 */
#include "bpf/call.bpf.h"

static __always_inline void socket_fill_buffers(struct select_call *call, int flags)
{
	struct pt_regs *regs = frame_current();

	call->syscall = frame_number(regs);
	call->buffers.known = 0;
	if ((flags & MSG_TRUNC) || frame_is_kernel_bytes(frame_number(regs)))
		return;
	if (frame_in_syscall(regs))
		frame_read_buffers(regs, &call->buffers);
	if (!call->buffers.known)
		count(SPANTAP_COUNT_FOREIGN_FRAME);
}

static __always_inline int socket_message(struct sock *sk, int result, int flags, const u32 write)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct select_call call = {.tgid = pid_tgid >> 32, .tid = pid_tgid};
	struct spantap_conn *conn;

	if (result < 0 && !call_is_fatal(result))
		return 0;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return 0;
	call.target = target_current(call.tgid);
	if (!call.target)
		return 0;
	if (frame_is_32bit()) {
		count(SPANTAP_COUNT_TASK32);
		return 0;
	}
	count(SPANTAP_COUNT_RUNS);
	conn = conn_find_stored(sk);
	if (!conn) {
		if (result <= 0 || !conn_is_stream(sk) || conn_is_kernel_socket(sk))
			return 0;
		conn = conn_create_stored(sk);
		if (!conn)
			return 0;
		conn_init(sk, conn, write, result);
	}
	if (result > 0)
		socket_fill_buffers(&call, flags);
	call_take(sk, conn, result, write, &call);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_sock_send, struct sock *sk, int result, int flags)
{
	return socket_message(sk, result, 0, 1);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_sock_recv, struct sock *sk, int result, int flags)
{
	return socket_message(sk, result, flags, 0);
}
