// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The selector of select.bpf.h. select_step is a global function, because the verifier walks a
 * bpf_loop callback until its state converges: with the walk's fields known as constants it did not
 * within a million instructions; behind a global function they are unknown, and it does in two rounds.
 */
#include "bpf/infer.h"
#include "bpf/select.bpf.h"
#include "bpf/thread.bpf.h"

/* "\r\n\r\n" as a little-endian word: a call that ends so ends its head. */
#define SELECT_HEAD_END 0x0a0d0a0du
/* The same of a FastCGI request: an empty record of PARAMS (4) or STDIN (5), whatever the request's id. */
#define SELECT_FCGI_END_MASK 0xffffffff0000feffull
#define SELECT_FCGI_END 0x0401ull
/* Steps of one walk: an iovec takes one per range that it touches, at most four; heads go by 4 KiB. */
#define SELECT_MAX_STEPS (4 * SPANTAP_MAX_IOVECS)
#define SELECT_BODY_WHOLE 128u

/* The walk over a call. All offsets count from the call's first byte. */
struct select_walk {
	struct select_call call;
	struct emit_piece piece;
	u64 address; /* of the byte at `cursor`, if left > 0 */
	u32 left;    /* bytes of the loaded buffer from there on */
	u32 cursor;
	u32 iovec;     /* next to load */
	u32 skip;      /* muted bytes at the start */
	u32 first_end; /* [skip, first_end) and [last_start, bytes) are copied */
	u32 last_start;
	u32 decided;
	u32 in_head;
};

static __always_inline u32 select_min(u32 a, u32 b)
{
	return a < b ? a : b;
}

/* ------------------------------------------------------------------ thread counters */

static __always_inline void select_count_head(struct select_walk *walk, enum spantap_guess kind)
{
	struct spantap_thread *thread;

	if (kind == SPANTAP_INFER_PREFACE || !thread_is_counted(walk->call.target))
		return;
	thread = thread_counters(walk->call.tid);
	if (!thread)
		return;
	if (walk->call.write)
		thread->turns.nwrite++;
	else
		thread->turns.nread++;
	if (!walk->call.write && (kind == SPANTAP_INFER_REQUEST || kind == SPANTAP_INFER_FCGI_REQUEST))
		thread->turns.nreq++;
	walk->piece.turns = thread->turns;
	walk->piece.flags |= SPANTAP_F_COUNTED;
}

/* ------------------------------------------------------------------ deciding */

/* Asks `orders`; true if the byte at the cursor is muted. Moves `skip` to the first one that is not. */
static __always_inline int select_is_muted(struct select_walk *walk, struct spantap_direction *direction)
{
	u64 id = walk->call.conn_id, until;
	struct spantap_order *order = bpf_map_lookup_elem(&orders, &id);

	if (!order)
		return 0;
	until = walk->call.write ? order->mute_write_until : order->mute_read_until;
	direction->mute_until = until;
	if (until <= walk->call.start + walk->cursor)
		return 0;
	until -= walk->call.start;
	walk->skip = until < walk->call.bytes ? until : walk->call.bytes;
	return 1;
}

static __always_inline void select_ranges(struct select_walk *walk, u32 first)
{
	u32 bytes = walk->call.bytes;

	walk->first_end = select_min(bytes, walk->cursor + first);
	walk->last_start = bytes > SPANTAP_BODY_LAST ? bytes - SPANTAP_BODY_LAST : 0;
	if (walk->last_start < walk->first_end)
		walk->last_start = walk->first_end;
}

static __always_inline enum spantap_guess select_infer(const struct select_walk *walk)
{
	u8 peek[SPANTAP_INFER_BYTES] = {};
	u32 length = select_min(walk->left, SPANTAP_INFER_BYTES);

	barrier_var(length);
	if (length > SPANTAP_INFER_BYTES || bpf_probe_read_user(peek, length, (void *)walk->address))
		return SPANTAP_INFER_NO;
	return spantap_infer(peek, length);
}

/*
 * The call before held one byte that may begin a head (Go's server reads the next request's first byte
 * alone): "OST /a" after "P" is the rest of it, not another request.
 */
static __always_inline int select_is_rest(const struct spantap_direction *direction, enum spantap_guess kind)
{
	return kind == SPANTAP_INFER_REQUEST && direction->head_left == setting_head_bytes - 1;
}

/* FastCGI: of an answer's records only the first one that follows a request begins a message. */
static __always_inline enum spantap_guess select_fcgi(struct spantap_direction *direction,
						      enum spantap_guess kind)
{
	if (kind == SPANTAP_INFER_FCGI_REQUEST) {
		direction->fcgi |= FCGI_ASKED;
	} else if (kind == SPANTAP_INFER_FCGI_RESPONSE) {
		if (!(direction->fcgi & FCGI_DUE))
			return SPANTAP_INFER_NO;
		direction->fcgi &= ~FCGI_DUE;
	}
	return kind;
}

/* At the first byte that is not muted: what is it? */
static __always_inline void select_decide(struct select_walk *walk, struct spantap_direction *direction)
{
	enum spantap_guess kind = select_fcgi(direction, select_infer(walk));
	u32 first = SPANTAP_BODY_FIRST;

	if (kind != SPANTAP_INFER_NO && !select_is_rest(direction, kind)) {
		direction->head_left = setting_head_bytes;
		walk->piece.flags |= SPANTAP_F_HEAD;
		select_count_head(walk, kind);
	} else if (!direction->head_left && select_is_muted(walk, direction)) {
		return;
	}
	walk->decided = 1;
	walk->in_head = direction->head_left != 0;
	if (walk->in_head)
		first = direction->head_left;
	else if (walk->call.bytes - walk->cursor <= SELECT_BODY_WHOLE)
		first = SELECT_BODY_WHOLE;
	select_ranges(walk, first);
}

/* ------------------------------------------------------------------ walking */

/* False if there is no further buffer. */
static __always_inline int select_load(struct select_walk *walk)
{
	const struct frame_buffers *buffers = &walk->call.buffers;
	u32 rest = walk->call.bytes - walk->cursor;
	u64 iovec[2];

	if (walk->iovec >= buffers->iovec_count)
		return 0;
	if (walk->iovec >= SPANTAP_MAX_IOVECS) {
		count(SPANTAP_COUNT_IOVECS);
		return 0;
	}
	if (!buffers->iovecs) {
		walk->address = buffers->base;
		walk->left = rest;
	} else if (!bpf_probe_read_user(iovec, sizeof(iovec),
					(void *)(buffers->iovecs + walk->iovec * sizeof(iovec)))) {
		walk->address = iovec[0];
		walk->left = iovec[1] < rest ? iovec[1] : rest;
	} else {
		count(SPANTAP_COUNT_UNREADABLE);
		return 0;
	}
	walk->iovec++;
	return 1;
}

/* Spends the head's budget; a call that ends in an empty line, or record, ends the head. */
static __always_inline void select_spend_head(const struct select_walk *walk,
					      struct spantap_direction *direction, u32 bytes)
{
	u32 tail = 0;
	u64 record = 0;

	direction->head_left -= select_min(bytes, direction->head_left);
	if (walk->cursor + bytes < walk->call.bytes)
		return;
	if (bytes >= 8 && !bpf_probe_read_user(&record, 8, (void *)(walk->address + bytes - 8)) &&
	    (record & SELECT_FCGI_END_MASK) == SELECT_FCGI_END)
		direction->head_left = 0;
	if (bytes >= 4 && !bpf_probe_read_user(&tail, 4, (void *)(walk->address + bytes - 4)) &&
	    tail == SELECT_HEAD_END)
		direction->head_left = 0;
}

static __always_inline void select_emit(struct select_walk *walk, struct spantap_direction *direction,
					u32 bytes)
{
	walk->piece.address = walk->address;
	walk->piece.position = walk->call.start + walk->cursor;
	walk->piece.bytes = bytes;
	walk->piece.copy = bytes;
	if (walk->cursor == 0)
		walk->piece.flags |= SPANTAP_F_CALL_START;
	if (walk->cursor + bytes == walk->call.bytes)
		walk->piece.flags |= SPANTAP_F_CALL_END;
	if (walk->in_head && walk->cursor < walk->first_end)
		select_spend_head(walk, direction, bytes);
	emit_data(&walk->piece);
	walk->piece.flags &= SPANTAP_F_WRITE;
	walk->piece.turns = (struct spantap_turns){};
}

/* Up to where the walk may go in one step, given what is decided. */
static __always_inline u32 select_next_edge(const struct select_walk *walk)
{
	if (walk->cursor < walk->skip)
		return walk->skip;
	if (walk->cursor < walk->first_end)
		return walk->first_end;
	if (walk->cursor < walk->last_start)
		return walk->last_start;
	return walk->call.bytes;
}

/* One step; 1 ends the walk. */
__noinline int select_step(struct select_walk *walk, struct spantap_direction *direction)
{
	u32 bytes;

	if (!walk || !direction || walk->cursor >= walk->call.bytes)
		return 1;
	if (!walk->left && !select_load(walk))
		return 1;
	if (!walk->left) /* an empty buffer */
		return 0;
	if (walk->cursor >= walk->skip && !walk->decided)
		select_decide(walk, direction);
	bytes = select_min(walk->left, select_next_edge(walk) - walk->cursor);
	if (walk->decided && (walk->cursor < walk->first_end || walk->cursor >= walk->last_start)) {
		bytes = select_min(bytes, SPANTAP_CLASS_LARGE);
		select_emit(walk, direction, bytes);
	}
	walk->address += bytes;
	walk->cursor += bytes;
	walk->left -= bytes;
	return walk->cursor >= walk->call.bytes;
}

struct select_loop {
	struct select_walk *walk;
	struct spantap_direction *direction;
};

static int select_loop_step(u32 step, struct select_loop *loop)
{
	return select_step(loop->walk, loop->direction) != 0;
}

/* ------------------------------------------------------------------ entry */

/* A call whose bytes lie in no user buffer that we know: one piece without content. */
static __always_inline void select_without_buffer(struct select_walk *walk,
						  struct spantap_direction *direction)
{
	direction->head_left = 0;
	if (!walk->skip)
		select_is_muted(walk, direction);
	if (walk->skip >= walk->call.bytes)
		return;
	walk->piece.position = walk->call.start + walk->skip;
	walk->piece.bytes = walk->call.bytes - walk->skip;
	walk->piece.flags |= SPANTAP_F_KERNEL_BYTES | SPANTAP_F_CALL_END;
	if (!walk->skip)
		walk->piece.flags |= SPANTAP_F_CALL_START;
	emit_data(&walk->piece);
}

__noinline int select_bytes(struct select_call *call, struct spantap_direction *direction)
{
	struct select_walk walk = {};
	struct select_loop loop = {&walk, direction};
	u64 muted;

	if (!call || !direction)
		return 0;
	if (direction->position != call->start)
		direction->head_left = 0; /* a gap, or the first call */
	direction->position = call->start + call->bytes;
	if (direction->mute_until > call->start) {
		muted = direction->mute_until - call->start;
		if (muted >= call->bytes)
			return 0;
		walk.skip = muted;
		direction->head_left = 0;
	}
	walk.call = *call;
	walk.piece.mono_ns = bpf_ktime_get_ns();
	walk.piece.conn_id = call->conn_id;
	walk.piece.tgid = call->tgid;
	walk.piece.tid = call->tid;
	walk.piece.syscall = call->syscall;
	walk.piece.flags = call->write ? SPANTAP_F_WRITE : 0;
	if (call->buffers.known)
		bpf_loop(SELECT_MAX_STEPS, select_loop_step, &loop, 0);
	else
		select_without_buffer(&walk, direction);
	return 0;
}
