/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The selector: which bytes of a call are copied. Both hook families end here. Defined in select.bpf.c.
 *
 *   muted (position below an order)      nothing, the position moves on
 *   looks like a message's start          up to head_bytes from here, and the call's last 64
 *   goes on with an unfinished head      what is left of head_bytes, and the call's last 64
 *   anything else                        the call if it is <= 128 bytes, else its first 32 and last 64
 *
 * A call's pieces are walked iovec by iovec. Each piece is a record of its own and starts at offset 0
 * of the record's payload, so the verifier needs no variable offset into the ring.
 */
#ifndef SPANTAP_BPF_SELECT_H
#define SPANTAP_BPF_SELECT_H

#include "bpf/conn.bpf.h"
#include "bpf/frame.bpf.h"

/* One call that moved bytes, filled by a hook. Holds no pointer, so that a global function can take it. */
struct select_call {
	u64 conn_id;
	u64 start; /* position of the first byte */
	u32 bytes;
	u32 write;
	u32 tgid;
	u32 tid;
	u32 target; /* enum spantap_target_flag */
	u32 syscall;
	struct frame_buffers buffers;
};

/* Emits the pieces of a call and moves the direction's position behind it. */
int select_bytes(struct select_call *call, struct spantap_direction *direction);

#endif /* SPANTAP_BPF_SELECT_H */
