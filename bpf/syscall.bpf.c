// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hook family "syscall" (any kernel): the exit of every system call. Every call of every process pays
 * for it, so the number is switched on first and the process looked up second.
 *
 * accept, connect, close, dup and shutdown are not hooked: state is keyed by the socket, not by the
 * descriptor, so dup, fork and descriptor reuse need nothing; a connection's beginning follows from the
 * kernel's byte counts (conn.bpf.h), and its connect and end from inet_sock_set_state (process.bpf.c).
 */
#include "bpf/call.bpf.h"

static __always_inline const struct sock *syscall_socket(int fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd), *file = 0;
	struct socket *socket;

	if (fd < 0 || (u32)fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), slots + fd) || !file)
		return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* splice: the socket may be at either end. */
static __always_inline const struct sock *syscall_find(const struct pt_regs *regs,
						       struct frame_transfer *transfer)
{
	const struct sock *sk = syscall_socket(transfer->fd);

	if (sk || frame_number(regs) != SYS_SPLICE)
		return sk;
	transfer->write = 1;
	return syscall_socket(regs->dx);
}

static __always_inline void syscall_fill_buffers(struct select_call *call, const struct pt_regs *regs,
						 int flags)
{
	call->syscall = frame_number(regs);
	call->buffers.known = 0;
	if ((flags & MSG_TRUNC) || frame_is_kernel_bytes(frame_number(regs)))
		return;
	frame_read_buffers(regs, &call->buffers);
	if (!call->buffers.known)
		count(SPANTAP_COUNT_FOREIGN_FRAME);
}

/* Bytes of a recvmmsg or sendmmsg that returned `messages`: the sum of their msg_len. */
static __always_inline long syscall_message_bytes(const struct pt_regs *regs, long messages)
{
	long bytes = 0;

	for (u32 i = 0; i < SPANTAP_MAX_IOVECS && i < messages; i++) {
		u32 length = 0;

		bpf_probe_read_user(&length, sizeof(length),
				    (void *)(regs->si + i * FRAME_MMSGHDR_BYTES + FRAME_MMSGHDR_LENGTH));
		bytes += length;
	}
	return bytes;
}

static __always_inline int syscall_exit(const struct pt_regs *regs, long result)
{
	struct frame_transfer transfer;
	u64 pid_tgid;
	struct select_call call = {};
	struct spantap_conn *conn;
	const struct sock *sk;
	int flags;

	if (!frame_read_transfer(frame_number(regs), regs, &transfer))
		return 0;
	if (result < 0 && !call_is_fatal(result))
		return 0;
	pid_tgid = bpf_get_current_pid_tgid();
	call.tgid = pid_tgid >> 32;
	call.tid = pid_tgid;
	call.target = target_current(call.tgid);
	if (!call.target)
		return 0;
	if (frame_is_32bit()) {
		count(SPANTAP_COUNT_TASK32);
		return 0;
	}
	flags = frame_receive_flags(regs);
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return 0;
	sk = syscall_find(regs, &transfer);
	if (!sk)
		return 0;
	count(SPANTAP_COUNT_RUNS);
	if (transfer.messages && result > 0)
		result = syscall_message_bytes(regs, result);
	conn = conn_find_by_address(sk);
	if (!conn) {
		if (result <= 0 || !conn_is_stream(sk))
			return 0;
		conn = conn_create_by_address(sk);
		if (!conn)
			return 0;
		conn_init(sk, conn, transfer.write, result);
	}
	if (result > 0)
		syscall_fill_buffers(&call, regs, flags);
	call_take(sk, conn, result, transfer.write, &call);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	return syscall_exit(regs, result);
}

/* The same where tp_btf cannot be attached. */
SEC("raw_tp/sys_exit")
int on_sys_exit_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return syscall_exit(frame_current(), ctx->args[1]);
}
