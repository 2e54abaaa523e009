/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the programs look into. CO-RE relocates every access by type and field
 * name at load time, so only the names, the rough types and the nesting matter here: no offsets, no
 * padding, no generated 130,000-line header. A build host needs no BTF.
 *
 * Only bpf programs include this. Add a field by copying its name and type from the kernel's source;
 * if a kernel renamed it, add a flavour (struct x___old) next to it with the commit that renamed it.
 * Everything here exists in 6.1 (the oldest kernel we mean to run on) and in 6.18 (where we test).
 */
#ifndef SPANTAP_BPF_KERNEL_TYPES_H
#define SPANTAP_BPF_KERNEL_TYPES_H

#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long long counter;
} atomic64_t;

/* ------------------------------------------------------------------ tasks and files */

/* x86 only, read in frame.bpf.h alone: TS_COMPAT marks a 32-bit system call. */
struct thread_info {
	u32 status;
};

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

/* ------------------------------------------------------------------ sockets */

struct socket {
	struct file *file;
	struct sock *sk;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	u8 bytes[16];
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	u8 sk_kern_sock : 1;
	u8 sk_shutdown;
	u16 sk_type;
	u16 sk_protocol;
	struct socket *sk_socket;
};

struct inet_connection_sock {
	const void *icsk_ulp_ops;
};

struct tcp_sock {
	u32 write_seq;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 snd_una;
	u64 bytes_received;
	u64 bytes_acked;
};

struct unix_sock {
	struct sock *peer;
};

/* ------------------------------------------------------------------ registers (frame.bpf.h) */

struct pt_regs {
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};

#pragma clang attribute pop

/* ------------------------------------------------------------------ constants of the kernel */

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10

#define RCV_SHUTDOWN 1
#define SOCK_DONE_BIT (1ul << 1) /* enum sock_flags: a FIN was received */

#define S_IFMT 0170000
#define S_IFSOCK 0140000

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#define EPIPE 32
#define ENETDOWN 100
#define EHOSTUNREACH 113
#define ENOSYS 38

#endif /* SPANTAP_BPF_KERNEL_TYPES_H */
