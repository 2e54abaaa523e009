/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System call frames: the only file that knows registers and system call numbers (x86-64). Another
 * architecture is another version of this file.
 *
 * The arguments of a system call stay in the task's pt_regs until it returns to user space, so a hook
 * deep inside the call, or at its exit, finds the caller's buffers there. What has to be ruled out is
 * a frame that is not this call's:
 *  - while a call runs, the entry code keeps -ENOSYS in ax. io_uring's deferred work runs after ax got
 *    its result, its workers have a copied frame with ax = 0, its inline submission has a number that
 *    is not listed here: all three are told apart without following the descriptor.
 *  - a 32-bit call (TS_COMPAT) has other numbers and other structures: skipped, and counted (by the
 *    syscall family only where its number is one of ours, too: the number comes first there).
 */
#ifndef SPANTAP_BPF_FRAME_H
#define SPANTAP_BPF_FRAME_H

#include "bpf/count.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define TS_COMPAT 0x0002

enum frame_syscall {
	SYS_READ = 0,
	SYS_WRITE = 1,
	SYS_POLL = 7,
	SYS_READV = 19,
	SYS_WRITEV = 20,
	SYS_SELECT = 23,
	SYS_SENDFILE = 40,
	SYS_SENDTO = 44,
	SYS_RECVFROM = 45,
	SYS_SENDMSG = 46,
	SYS_RECVMSG = 47,
	SYS_EPOLL_WAIT = 232,
	SYS_PSELECT6 = 270,
	SYS_PPOLL = 271,
	SYS_SPLICE = 275,
	SYS_EPOLL_PWAIT = 281,
	SYS_RECVMMSG = 299,
	SYS_SENDMMSG = 307,
	SYS_PREADV2 = 327,
	SYS_PWRITEV2 = 328,
	SYS_EPOLL_PWAIT2 = 441,
};

/* struct mmsghdr: a msghdr, then its byte count. */
#define FRAME_MMSGHDR_BYTES 64
#define FRAME_MMSGHDR_LENGTH 56

/* Where the bytes of a call lie in user memory. */
struct frame_buffers {
	u64 base;   /* one buffer, if `iovecs` is 0 */
	u64 iovecs; /* address of an array of struct iovec */
	u32 iovec_count;
	u32 known; /* 0: no user buffer, or none that is surely this call's */
};

/* The kernel's struct user_msghdr, as far as it is needed; starts a struct mmsghdr too. */
struct frame_msghdr {
	u64 name;
	u64 name_length;
	u64 iov;
	u64 iov_length;
};

static __always_inline struct pt_regs *frame_current(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

static __always_inline int frame_is_32bit(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return (task->thread_info.status & TS_COMPAT) != 0;
}

/* True between entry and exit of a system call. */
static __always_inline int frame_in_syscall(const struct pt_regs *regs)
{
	return (long)regs->ax == -ENOSYS;
}

static __always_inline u64 frame_number(const struct pt_regs *regs)
{
	return regs->orig_ax;
}

/* No user buffer by nature, as opposed to one that we do not know. */
static __always_inline int frame_is_kernel_bytes(u64 number)
{
	return number == SYS_SENDFILE || number == SYS_SPLICE;
}

static __always_inline void frame_read_message(u64 address, struct frame_buffers *out)
{
	struct frame_msghdr message;

	if (bpf_probe_read_user(&message, sizeof(message), (void *)address))
		return;
	out->iovecs = message.iov;
	out->iovec_count = message.iov_length;
	out->known = 1;
}

/*
 * The buffers of the system call in `regs`. recvmmsg and sendmmsg with more than one message run the
 * socket hooks once per message over one frame that does not say which: known stays 0 (a gap).
 */
static __always_inline void frame_read_buffers(const struct pt_regs *regs, struct frame_buffers *out)
{
	out->base = regs->si;
	out->iovecs = 0;
	out->iovec_count = 1;
	out->known = 0;
	switch (frame_number(regs)) {
	case SYS_READ:
	case SYS_WRITE:
	case SYS_RECVFROM:
	case SYS_SENDTO:
		out->known = 1;
		return;
	case SYS_READV:
	case SYS_WRITEV:
	case SYS_PREADV2:
	case SYS_PWRITEV2:
		out->iovecs = regs->si;
		out->iovec_count = regs->dx;
		out->known = 1;
		return;
	case SYS_RECVMMSG:
	case SYS_SENDMMSG:
		if ((u32)regs->dx != 1)
			return;
		frame_read_message(regs->si, out);
		return;
	case SYS_RECVMSG:
	case SYS_SENDMSG:
		frame_read_message(regs->si, out);
		return;
	}
}

/* sys_exit only: the flags argument of a receiving call, else 0. */
static __always_inline int frame_receive_flags(const struct pt_regs *regs)
{
	switch (frame_number(regs)) {
	case SYS_RECVFROM:
	case SYS_RECVMMSG:
		return regs->r10;
	case SYS_RECVMSG:
		return regs->dx;
	}
	return 0;
}

/* sys_exit only: the descriptor of the socket that bytes left or entered, and the direction. */
struct frame_transfer {
	int fd;
	int write;
	int messages; /* recvmmsg, sendmmsg: the result counts messages */
};

/* False if the call moves no socket bytes. splice and sendfile: see syscall.bpf.c for the other end. */
static __always_inline int frame_read_transfer(u64 number, const struct pt_regs *regs,
					       struct frame_transfer *out)
{
	out->fd = regs->di;
	out->write = 0;
	out->messages = 0;
	switch (number) {
	case SYS_RECVMMSG:
		out->messages = 1;
		return 1;
	case SYS_READ:
	case SYS_READV:
	case SYS_PREADV2:
	case SYS_RECVFROM:
	case SYS_RECVMSG:
		return 1;
	case SYS_SENDMMSG:
		out->messages = 1;
		out->write = 1;
		return 1;
	case SYS_WRITE:
	case SYS_WRITEV:
	case SYS_PWRITEV2:
	case SYS_SENDTO:
	case SYS_SENDMSG:
	case SYS_SENDFILE: /* out_fd comes first */
		out->write = 1;
		return 1;
	case SYS_SPLICE: /* fd_in is the socket; fd_out is tried by the caller */
		return 1;
	}
	return 0;
}

static __always_inline int frame_is_wait(u64 number)
{
	switch (number) {
	case SYS_EPOLL_WAIT:
	case SYS_EPOLL_PWAIT:
	case SYS_EPOLL_PWAIT2:
	case SYS_POLL:
	case SYS_PPOLL:
	case SYS_SELECT:
	case SYS_PSELECT6:
		return 1;
	}
	return 0;
}

/*
 * sys_enter only (ppoll, select and pselect6 overwrite their timeout): whether a wait may sleep, that
 * is, its timeout is not zero. A missing timeout waits for ever.
 */
static __always_inline int frame_wait_could_sleep(u64 number, const struct pt_regs *regs)
{
	u64 address = 0, time[2];

	__builtin_memset(time, 0xff, sizeof(time)); /* unreadable: the call fails by itself */
	switch (number) {
	case SYS_EPOLL_WAIT:
	case SYS_EPOLL_PWAIT:
		return (int)regs->r10 != 0;
	case SYS_POLL:
		return (int)regs->dx != 0;
	case SYS_PPOLL:
		address = regs->dx;
		break;
	case SYS_EPOLL_PWAIT2:
		address = regs->r10;
		break;
	case SYS_SELECT:
	case SYS_PSELECT6:
		address = regs->r8;
		break;
	}
	if (!address || bpf_probe_read_user(time, sizeof(time), (void *)address))
		return 1;
	return time[0] != 0 || time[1] != 0;
}

#endif /* SPANTAP_BPF_FRAME_H */
