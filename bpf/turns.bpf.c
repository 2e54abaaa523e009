// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loop turns: how often a thread came back from epoll, poll or select, and how often it could have
 * slept there. Attached only if BpfSettings::turns, because every system call of every process pays
 * the number switch twice. No record per wait: the next message head, or connection dialled, carries the
 * counters.
 */
#include "bpf/thread.bpf.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(on_wait_enter, struct pt_regs *regs, long number)
{
	struct spantap_thread *thread;
	u64 pid_tgid;

	if (!frame_is_wait(number))
		return 0;
	pid_tgid = bpf_get_current_pid_tgid();
	if (!thread_is_counted(target_flags(pid_tgid >> 32)))
		return 0;
	thread = thread_counters(pid_tgid);
	if (thread)
		thread->could_sleep = frame_wait_could_sleep(number, regs);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_wait_exit, struct pt_regs *regs, long result)
{
	struct spantap_thread *thread;
	u64 pid_tgid;

	if (!frame_is_wait(frame_number(regs)))
		return 0;
	pid_tgid = bpf_get_current_pid_tgid();
	if (!thread_is_counted(target_flags(pid_tgid >> 32)))
		return 0;
	thread = thread_counters(pid_tgid);
	if (!thread)
		return 0;
	thread->turns.turn++;
	thread->turns.burst += thread->could_sleep;
	thread->could_sleep = 0;
	return 0;
}
