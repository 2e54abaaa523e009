/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is observed: the lookup that every hook begins with, and how a process becomes a target in the
 * kernel (descendant, executable, port, cgroup), so that nothing of its first call is missed.
 */
#ifndef SPANTAP_BPF_TARGET_H
#define SPANTAP_BPF_TARGET_H

#include "bpf/count.bpf.h"

/* Levels of the cgroup hierarchy that a --cgroup target may lie on; deeper ones are refused. */
#define TARGET_CGROUP_LEVELS 16

/* Flags of a target, 0 if the process is none. */
static __always_inline u32 target_flags(u32 tgid)
{
	u32 *flags = bpf_map_lookup_elem(&targets, &tgid);

	if (!flags || (*flags & SPANTAP_TARGET_DENY) || !(*flags & SPANTAP_TARGET_OBSERVE))
		return 0;
	return *flags;
}

/* Adds a process unless it is known already (DENY stays DENY). Returns its flags. */
static __always_inline u32 target_add(u32 tgid, u32 flags)
{
	u32 *known = bpf_map_lookup_elem(&targets, &tgid);

	if (known)
		return target_flags(tgid);
	if (bpf_map_update_elem(&targets, &tgid, &flags, BPF_NOEXIST)) {
		count(SPANTAP_COUNT_TARGETS_FULL);
		return 0;
	}
	return flags;
}

/* Whether the current task lies in a target cgroup or below one. */
static __always_inline int target_in_cgroup(void)
{
	for (u32 level = 0; level < TARGET_CGROUP_LEVELS; level++) {
		u64 id;

		if (!(setting_cgroup_levels & (1u << level)))
			continue;
		id = bpf_get_current_ancestor_cgroup_id(level);
		if (id && bpf_map_lookup_elem(&target_cgroups, &id))
			return 1;
	}
	return 0;
}

/* For the data hooks: flags of the current process, 0 if it is not observed. */
static __always_inline u32 target_current(u32 tgid)
{
	u32 *flags = bpf_map_lookup_elem(&targets, &tgid);

	if (flags)
		return (*flags & SPANTAP_TARGET_DENY) ? 0 : *flags;
	if (setting_cgroup_levels && target_in_cgroup())
		return target_add(tgid, setting_target_flags);
	return 0;
}

#endif /* SPANTAP_BPF_TARGET_H */
