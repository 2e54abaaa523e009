/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting. Per CPU, and still atomic: the hooks are preemptible, so one program may interrupt
 * another on the same CPU between load and store.
 */
#ifndef SPANTAP_BPF_COUNT_H
#define SPANTAP_BPF_COUNT_H

#include "bpf/maps.bpf.h"

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

#endif /* SPANTAP_BPF_COUNT_H */
