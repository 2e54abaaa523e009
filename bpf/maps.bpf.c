// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The definitions behind maps.bpf.h and settings.bpf.h: one place for what all hook files share.
 */
#define SPANTAP_MAP
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 setting_family = SPANTAP_FAMILY_SOCKET;
const volatile __u32 setting_head_bytes = SPANTAP_HEAD_BYTES;
const volatile __u64 setting_wake_bytes = 1 << 22;
const volatile __u32 setting_turns = 0;
const volatile __u32 setting_cgroup_levels = 0;
const volatile __u32 setting_target_flags = SPANTAP_TARGET_OBSERVE | SPANTAP_TARGET_DESCENDANTS;
const volatile __u64 setting_secret = 1;

volatile __u32 reader_waiting = 0;
__u64 last_conn_id = 0;
volatile __u64 lost_untold = 0;
