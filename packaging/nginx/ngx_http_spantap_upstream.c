/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries of upstream servers. Each upstream's peer.init is wrapped when the configuration is made; for a recorded
 * request it then wraps the peer's functions, as nginx's own keepalive module does: get() begins a try, free() ends it.
 * The spans are made in the log phase, when nginx's upstream states are complete.
 */
#include "ngx_http_spantap.h"

typedef struct {
  ngx_http_request_t* request;
  ngx_http_upstream_t* upstream;
  ngx_http_spantap_ctx_t* ctx;
  ngx_http_spantap_try_t* current;
  ngx_http_spantap_try_t first; /* most requests need no other */
  ngx_uint_t tries;
  uint8_t wire_id[8];                    /* the span id that lies in the bytes for the upstream */
  ngx_http_spantap_try_t* named_on_wire; /* whose it is */
  unsigned on_wire : 1;                  /* one does */
  unsigned wire_id_unused : 1;           /* and no span has it yet */
  void* data;
  ngx_event_get_peer_pt get;
  ngx_event_free_peer_pt free;
  ngx_event_notify_peer_pt notify;
#if (NGX_SSL || NGX_COMPAT)
  ngx_event_set_peer_session_pt set_session;
  ngx_event_save_peer_session_pt save_session;
#endif
} wrapped_peer;

/* ---------------------------------------------------------------- the id on the wire */

/* nginx makes the request's bytes once and sends them again at a retry. In between, the parent id among them is
 * replaced, so that what each server gets names its own span. 0: not found, and nothing is changed (gRPC compresses
 * headers, or the header is not passed on). Only the first buffer is looked at: a body is never touched. */
static int put_on_wire(wrapped_peer* peer, const uint8_t* span_id) {
  ngx_chain_t* chain = peer->upstream->request_bufs;
  if (chain == NULL || !ngx_buf_in_memory_only(chain->buf) || chain->buf->start == NULL) return 0;
  u_char wanted[32 + 1 + 16];
  ngx_http_spantap_hex(wanted, peer->ctx->server.trace_id, 16);
  wanted[32] = '-';
  ngx_http_spantap_hex(wanted + 33, peer->wire_id, sizeof(peer->wire_id));
  int found = 0;
  u_char* at = chain->buf->start;
  while ((at = memmem(at, (size_t)(chain->buf->last - at), wanted, sizeof(wanted))) != NULL) {
    ngx_http_spantap_hex(at + 33, span_id, 8);
    at += sizeof(wanted);
    found = 1;
  }
  if (found) ngx_memcpy(peer->wire_id, span_id, sizeof(peer->wire_id));
  return found;
}

static void choose_id(wrapped_peer* peer, ngx_http_spantap_try_t* try) {
  if (peer->wire_id_unused) {
    peer->wire_id_unused = 0;
    peer->named_on_wire = try;
    ngx_memcpy(try->span_id, peer->wire_id, sizeof(try->span_id));
    return;
  }
  spantap_context child;
  (void)spantap_sample(ngx_http_spantap_producer, &peer->ctx->server, &child);
  ngx_memcpy(try->span_id, child.span_id, sizeof(try->span_id));
  if (!peer->on_wire) return;
  if (!put_on_wire(peer, try->span_id)) {
    /* The id that is there belongs to who is told it: this try, if no server has been told it yet. */
    if (peer->named_on_wire == NULL || peer->upstream->request_sent) return;
    ngx_memcpy(peer->named_on_wire->span_id, try->span_id, sizeof(try->span_id));
    ngx_memcpy(try->span_id, peer->wire_id, sizeof(try->span_id));
  }
  peer->named_on_wire = try;
}

/* ---------------------------------------------------------------- the peer's functions */

static ngx_int_t get_peer(ngx_peer_connection_t* pc, void* data) {
  wrapped_peer* peer = data;
  ngx_int_t result = peer->get(pc, peer->data);
  ngx_http_request_t* r = peer->request;
  if (result == NGX_BUSY || result == NGX_ERROR || r->upstream_states == NULL || ngx_http_spantap_producer == NULL) {
    return result; /* no server has been chosen */
  }
  ngx_http_spantap_try_t* try = peer->tries == 0 ? &peer->first : ngx_pcalloc(r->pool, sizeof(*try));
  if (try == NULL) return result;
  try->request = r;
  try->upstream = peer->upstream;
  try->state = r->upstream_states->nelts - 1;
  try->resend = peer->tries++;
  try->peer = pc->name;
  choose_id(peer, try);
  try->start_ns = ngx_http_spantap_clock(CLOCK_MONOTONIC);
  *peer->ctx->last_try = try;
  peer->ctx->last_try = &try->next;
  peer->current = try;
  return result;
}

/* The end of the response came before what its headers promise. */
static int ended_early(ngx_http_upstream_t* upstream) {
  ngx_event_pipe_t* pipe = upstream->buffering ? upstream->pipe : NULL;
#if nginx_version >= 1022000
  if (upstream->error) return 1;
#endif
  return pipe != NULL && (pipe->upstream_error || (pipe->upstream_eof && !pipe->upstream_done && pipe->length > 0));
}

static void end_try(ngx_http_spantap_try_t* try, ngx_peer_connection_t* pc) {
  ngx_connection_t* connection = pc->connection;
  uint16_t family = 0;
  try->end_ns = ngx_http_spantap_clock(CLOCK_MONOTONIC);
  try->broken = ended_early(try->upstream);
  if (pc->sockaddr != NULL) {
    ngx_http_spantap_conn_end(pc->sockaddr, try->conn.peer_address, &try->conn.peer_port, &try->conn.family);
  }
  /* One system call a connection: nginx keeps the answer. */
  if (connection != NULL && connection->pool != NULL && try->conn.family != 0 &&
      (connection->local_socklen != 0 || ngx_connection_local_sockaddr(connection, NULL, 0) == NGX_OK)) {
    ngx_http_spantap_conn_end(connection->local_sockaddr, try->conn.local_address, &try->conn.local_port, &family);
  }
}

static void free_peer(ngx_peer_connection_t* pc, void* data, ngx_uint_t state) {
  wrapped_peer* peer = data;
  if (peer->current != NULL) end_try(peer->current, pc);
  peer->current = NULL;
  peer->free(pc, peer->data, state);
}

static void notify_peer(ngx_peer_connection_t* pc, void* data, ngx_uint_t type) {
  wrapped_peer* peer = data;
  peer->notify(pc, peer->data, type);
}

#if (NGX_SSL || NGX_COMPAT)
static ngx_int_t set_peer_session(ngx_peer_connection_t* pc, void* data) {
  wrapped_peer* peer = data;
  return peer->set_session(pc, peer->data);
}

static void save_peer_session(ngx_peer_connection_t* pc, void* data) {
  wrapped_peer* peer = data;
  peer->save_session(pc, peer->data);
}
#endif

static void wrap(ngx_peer_connection_t* pc, wrapped_peer* peer) {
  peer->data = pc->data;
  pc->data = peer;
  peer->get = pc->get;
  pc->get = get_peer;
  peer->free = pc->free;
  pc->free = free_peer;
  peer->notify = pc->notify;
  if (pc->notify != NULL) pc->notify = notify_peer;
#if (NGX_SSL || NGX_COMPAT)
  peer->set_session = pc->set_session;
  if (pc->set_session != NULL) pc->set_session = set_peer_session;
  peer->save_session = pc->save_session;
  if (pc->save_session != NULL) pc->save_session = save_peer_session;
#endif
}

/* A clone (a cache's update in the background) sends its main request's header: it takes the id that no span has yet.
 */
static void take_wire_id(wrapped_peer* peer) {
  ngx_http_spantap_leg_t* leg = ngx_http_spantap_leg(peer->request, peer->ctx);
  if (leg == NULL || leg->header == NULL) leg = &peer->ctx->leg;
  if (leg->header == NULL) return;
  ngx_memcpy(peer->wire_id, leg->span_id, sizeof(peer->wire_id));
  peer->on_wire = 1;
  peer->wire_id_unused = leg->unused;
  leg->unused = 0;
}

static int compare(const void* left, const void* right) {
  uintptr_t a = (uintptr_t)((const ngx_http_spantap_peer_init_t*)left)->upstream;
  uintptr_t b = (uintptr_t)((const ngx_http_spantap_peer_init_t*)right)->upstream;
  return a < b ? -1 : a > b;
}

static ngx_http_upstream_init_peer_pt original_init(ngx_http_request_t* r, ngx_http_upstream_srv_conf_t* upstream) {
  ngx_http_spantap_main_conf_t* main = ngx_http_get_module_main_conf(r, ngx_http_spantap_module);
  ngx_http_spantap_peer_init_t *low = main->peer_inits.elts, *high = low + main->peer_inits.nelts;
  while (high - low > 1) { /* it is there: it has been replaced from this table */
    ngx_http_spantap_peer_init_t* middle = low + (high - low) / 2;
    if ((uintptr_t)upstream < (uintptr_t)middle->upstream) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return low->init;
}

static ngx_int_t init_peer(ngx_http_request_t* r, ngx_http_upstream_srv_conf_t* upstream) {
  ngx_int_t result = original_init(r, upstream)(r, upstream);
  if (result != NGX_OK) return result;
  ngx_http_spantap_loc_conf_t* location = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
  ngx_http_spantap_ctx_t* ctx = location->upstream_spans ? ngx_http_spantap_get(r) : NULL;
  if (ctx == NULL || ctx->location == NULL) return NGX_OK;
  if (!ngx_http_spantap_decide(r, ctx)) return NGX_OK;
  wrapped_peer* peer = ngx_pcalloc(r->pool, sizeof(*peer));
  if (peer == NULL) return NGX_OK;
  peer->request = r;
  peer->upstream = r->upstream;
  peer->ctx = ctx;
  take_wire_id(peer);
  wrap(&r->upstream->peer, peer);
  return NGX_OK;
}

ngx_int_t ngx_http_spantap_wrap_upstreams(ngx_conf_t* cf, ngx_http_spantap_main_conf_t* main) {
  ngx_http_upstream_main_conf_t* upstreams = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
  if (upstreams == NULL || upstreams->upstreams.nelts == 0) return NGX_OK;
  ngx_http_upstream_srv_conf_t** each = upstreams->upstreams.elts;
  ngx_uint_t count = upstreams->upstreams.nelts;
  if (ngx_array_init(&main->peer_inits, cf->pool, count, sizeof(ngx_http_spantap_peer_init_t)) != NGX_OK) {
    return NGX_ERROR;
  }
  for (ngx_uint_t i = 0; i < count; ++i) {
    if (each[i]->peer.init == NULL) continue;
    ngx_http_spantap_peer_init_t* kept = ngx_array_push(&main->peer_inits);
    kept->upstream = each[i];
    kept->init = each[i]->peer.init;
    each[i]->peer.init = init_peer;
  }
  ngx_qsort(main->peer_inits.elts, main->peer_inits.nelts, sizeof(ngx_http_spantap_peer_init_t), compare);
  return NGX_OK;
}
