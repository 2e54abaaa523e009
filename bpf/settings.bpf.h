/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the agent decides before loading. Read-only afterwards: the verifier knows the values and
 * removes the branches that they rule out. Defined in maps.bpf.c; set by agent/capture/bpf_programs.cc.
 */
#ifndef SPANTAP_BPF_SETTINGS_H
#define SPANTAP_BPF_SETTINGS_H

#include "bpf/kernel_types.h"

#define SPANTAP_FAMILY_SOCKET 1	 /* state in socket storage, hooks on sock_*_length */
#define SPANTAP_FAMILY_SYSCALL 2 /* state by socket address, hook on sys_exit */

/* Which hook family is loaded: SPANTAP_FAMILY_SOCKET or SPANTAP_FAMILY_SYSCALL. */
extern const volatile __u32 setting_family;
/* Bytes copied from the start of each HTTP/1 message. */
extern const volatile __u32 setting_head_bytes;
/* Ring fill in bytes from which the sleeping reader is woken. */
extern const volatile __u64 setting_wake_bytes;
/* 1: threads' turns and heads are counted for targets with SPANTAP_TARGET_TURNS. */
extern const volatile __u32 setting_turns;
/* Bit n set: some target cgroup lies n levels below the root of the cgroup v2 hierarchy. */
extern const volatile __u32 setting_cgroup_levels;
/* Flags of processes that become targets by port, executable or cgroup. */
extern const volatile __u32 setting_target_flags;
/* Random and odd; keeps kernel addresses out of `unix_pair`. */
extern const volatile __u64 setting_secret;

/* 1 while the reader sleeps in poll (written by the agent through the mapped data section). */
extern volatile __u32 reader_waiting;
/* Records lost since the last one that was not. */
extern volatile __u64 lost_untold;
/* Last conn_id given out by the syscall family. */
extern __u64 last_conn_id;

#endif /* SPANTAP_BPF_SETTINGS_H */
