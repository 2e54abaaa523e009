/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting. Per CPU, and still atomic: the hooks are preemptible, so one program may interrupt
 * another on the same CPU between load and store.
 */
#ifndef SPANTAP_BPF_COUNT_H
#define SPANTAP_BPF_COUNT_H

#include "bpf/maps.bpf.h"
#include "bpf/settings.bpf.h"

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* A wanted record could not be made. The next one that can tells (spantap_event_header.lost). */
static __always_inline void count_lost(u32 why)
{
	count(why);
	__sync_fetch_and_add(&lost_untold, 1);
}

static __always_inline u8 count_take_lost(void)
{
	u64 lost = lost_untold;

	/* No write to shared memory as long as nothing is lost. */
	if (!lost)
		return 0;
	lost = __atomic_exchange_n(&lost_untold, 0, __ATOMIC_RELAXED);
	return lost < 255 ? lost : 255;
}

#endif /* SPANTAP_BPF_COUNT_H */
