/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread's counters (struct spantap_turns): found or begun at 0. Used by whoever counts or reports
 * them: turns.bpf.c (waits), the selector (heads), process.bpf.c (connect). Only the thread itself writes
 * its entry, so there are no atomics.
 */
#ifndef SPANTAP_BPF_THREAD_H
#define SPANTAP_BPF_THREAD_H

#include "bpf/frame.bpf.h"
#include "bpf/target.bpf.h"

/* 0 if there is no memory. */
static __always_inline struct spantap_thread *thread_counters(u32 tid)
{
	struct spantap_thread *thread = bpf_map_lookup_elem(&threads, &tid), fresh = {};

	if (thread)
		return thread;
	bpf_map_update_elem(&threads, &tid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* Whether the threads of a process with these target flags are counted, at this call. */
static __always_inline int thread_is_counted(u32 target)
{
	return setting_turns && (target & SPANTAP_TARGET_TURNS) && !frame_is_32bit();
}

#endif /* SPANTAP_BPF_THREAD_H */
