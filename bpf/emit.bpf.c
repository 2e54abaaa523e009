// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Data records. A global function: the verifier proves it once and for all arguments, instead of once
 * for every path that leads to it (as a static function it made the programs exceed the verifier's
 * one million instructions).
 */
#include "bpf/emit.bpf.h"

static __always_inline void emit_class(const struct emit_piece *piece, const u32 class)
{
	struct spantap_data_event *event = emit_reserve(sizeof(*event) + class);
	u32 copy = piece->copy;
	u16 flags = piece->flags;

	if (!event)
		return;
	/* The verifier must see the bound on the very register that is passed on. */
	barrier_var(copy);
	if (copy > class)
		copy = class;
	if (class && bpf_probe_read_user(event->data, copy, (void *)piece->address)) {
		copy = 0;
		flags |= SPANTAP_F_UNREADABLE;
		count(SPANTAP_COUNT_UNREADABLE);
	}
	emit_header(&event->header, sizeof(*event) + copy, SPANTAP_EVENT_DATA, flags, piece->mono_ns,
		    piece->conn_id, piece->tgid, piece->tid);
	event->position = piece->position;
	event->piece_bytes = piece->bytes;
	event->copied_bytes = copy;
	event->turns = piece->turns;
	event->syscall = piece->syscall;
	event->pad = 0;
	emit_submit(event);
}

__noinline int emit_data(const struct emit_piece *piece)
{
	if (!piece)
		return 0;
	if (piece->copy == 0)
		emit_class(piece, 0);
	else if (piece->copy <= SPANTAP_CLASS_SMALL)
		emit_class(piece, SPANTAP_CLASS_SMALL);
	else if (piece->copy <= SPANTAP_CLASS_MEDIUM)
		emit_class(piece, SPANTAP_CLASS_MEDIUM);
	else
		emit_class(piece, SPANTAP_CLASS_LARGE);
	return 0;
}
