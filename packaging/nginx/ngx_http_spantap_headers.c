/* SPDX-License-Identifier: Apache-2.0
 *
 * W3C trace context in the header list of a request. The list is read once; a main request's is changed in place where
 * that is possible. A subrequest shares its parent's list, so it gets one of its own before anything is changed.
 */
#include "ngx_http_spantap.h"

static u_char traceparent_name[] = "traceparent";
static u_char tracestate_name[] = "tracestate";
static u_char request_id_name[] = "x-request-id";

#define NAME_SIZE(name) (sizeof(name) - 1)
#define IS(header, name) \
  ((header)->key.len == NAME_SIZE(name) && ngx_memcmp((header)->lowcase_key, name, NAME_SIZE(name)) == 0)

/* The next header of a list; *part and *index are where it is. NULL: no more. */
static ngx_table_elt_t* next_header(ngx_list_part_t** part, ngx_uint_t* index) {
  while (*index >= (*part)->nelts) {
    if ((*part)->next == NULL) return NULL;
    *part = (*part)->next;
    *index = 0;
  }
  return (ngx_table_elt_t*)(*part)->elts + (*index)++;
}

/* Values of several tracestate headers are one list (W3C, 3.3.1). */
static void join_trace_state(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  if (ctx->tracestates == 1) {
    ctx->trace_state = ctx->tracestate->value;
  } else {
    ngx_list_part_t* part = &r->headers_in.headers.part;
    ngx_uint_t index = 0;
    size_t size = 0;
    ngx_table_elt_t* header;
    while ((header = next_header(&part, &index)) != NULL)
      size += IS(header, tracestate_name) ? header->value.len + 1 : 0;
    u_char* at = ngx_pnalloc(r->pool, size);
    if (at == NULL) return;
    ctx->trace_state.data = at;
    for (part = &r->headers_in.headers.part, index = 0; (header = next_header(&part, &index)) != NULL;) {
      if (!IS(header, tracestate_name)) continue;
      if (at != ctx->trace_state.data) *at++ = ',';
      at = ngx_cpymem(at, header->value.data, header->value.len);
    }
    ctx->trace_state.len = (size_t)(at - ctx->trace_state.data);
  }
  if (spantap_check_tracestate(ngx_http_spantap_str(ctx->trace_state)) != SPANTAP_OK) ctx->trace_state.len = 0;
}

void ngx_http_spantap_read_headers(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  if (ctx->has_headers) return;
  ctx->has_headers = 1;
  /* A request that was refused early, or of HTTP/0.9, has an empty part and no list around it. */
  ngx_list_part_t* part = &r->headers_in.headers.part;
  ngx_uint_t index = 0;
  ngx_table_elt_t* header;
  while ((header = next_header(&part, &index)) != NULL) {
    if (header->key.len < NAME_SIZE(tracestate_name) || header->key.len > NAME_SIZE(request_id_name)) continue;
    if (IS(header, traceparent_name)) {
      if (ctx->traceparents++ == 0) ctx->traceparent = header;
    } else if (IS(header, tracestate_name)) {
      if (ctx->tracestates++ == 0) ctx->tracestate = header;
    } else if (IS(header, request_id_name)) {
      if (ctx->request_id.len == 0) ctx->request_id = header->value;
    }
  }
  if (ctx->tracestates > 0) join_trace_state(r, ctx);
}

/* ---------------------------------------------------------------- inject */

static ngx_table_elt_t* push_traceparent(ngx_list_t* list) {
  static ngx_uint_t hash;
  if (hash == 0) hash = ngx_hash_key(traceparent_name, NAME_SIZE(traceparent_name));
  ngx_table_elt_t* header = ngx_list_push(list);
  if (header == NULL) return NULL;
  ngx_memzero(header, sizeof(*header));
  header->hash = hash;
  header->key.data = traceparent_name;
  header->key.len = NAME_SIZE(traceparent_name);
  header->lowcase_key = traceparent_name;
  return header;
}

/* A list of r's own without trace context: traceparents go, tracestates too if `drop_state`. */
static ngx_int_t own_list(ngx_http_request_t* r, int drop_state) {
  ngx_list_part_t* part = &r->headers_in.headers.part;
  ngx_list_t list;
  ngx_uint_t count = 2, index = 0;
  for (ngx_list_part_t* each = part; each != NULL; each = each->next) count += each->nelts;
  if (ngx_list_init(&list, r->pool, count, sizeof(ngx_table_elt_t)) != NGX_OK) return NGX_ERROR;
  ngx_table_elt_t *header, *copies = list.part.elts;
  while ((header = next_header(&part, &index)) != NULL) {
    if (IS(header, traceparent_name) || (drop_state && IS(header, tracestate_name))) continue;
    copies[list.part.nelts++] = *header;
  }
  r->headers_in.headers = list;
  r->headers_in.headers.last = &r->headers_in.headers.part;
  return NGX_OK;
}

ngx_http_spantap_leg_t* ngx_http_spantap_leg(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  return r == r->main ? &ctx->leg : ngx_http_get_module_ctx(r, ngx_http_spantap_module);
}

static ngx_http_spantap_leg_t* make_leg(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  ngx_http_spantap_leg_t* leg = ngx_http_spantap_leg(r, ctx);
  if (leg == NULL) {
    leg = ngx_pcalloc(r->pool, sizeof(*leg));
    if (leg != NULL) ngx_http_set_ctx(r, leg, ngx_http_spantap_module);
  }
  return leg;
}

/* Where the value goes: r's only traceparent, in a list that is r's. */
static ngx_table_elt_t* make_header(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  int drop_state = ctx->tracestates > 0 && ctx->trace_state.len == 0;
  int plain = r == r->main && ctx->traceparents <= 1 && !drop_state && r->headers_in.headers.last != NULL;
  if (plain && ctx->traceparents == 1) return ctx->traceparent;
  if (!plain && own_list(r, drop_state) != NGX_OK) return NULL;
  return push_traceparent(&r->headers_in.headers);
}

/* As spantap_inject() does, with fewer instructions. */
static void put_traceparent(u_char* to, const spantap_context* context) {
  ngx_memcpy(to, "00-", 3);
  ngx_http_spantap_hex(to + 3, context->trace_id, 16);
  to[35] = '-';
  ngx_http_spantap_hex(to + 36, context->span_id, 8);
  ngx_memcpy(to + 52, "-0", 2);
  to[54] = (u_char)('0' + (context->flags & (SPANTAP_SAMPLED | SPANTAP_RANDOM)));
}

ngx_int_t ngx_http_spantap_inject(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx,
                                  ngx_http_spantap_loc_conf_t* conf) {
  ngx_http_spantap_leg_t* leg = make_leg(r, ctx);
  u_char* text = ngx_pnalloc(r->pool, SPANTAP_TRACEPARENT_SIZE);
  if (leg == NULL || text == NULL || !ctx->ids_good) return NGX_ERROR;
  spantap_context child = ctx->server;
  int own_span = ctx->record && conf->upstream_spans;
  if (own_span) (void)spantap_sample(ngx_http_spantap_producer, &ctx->server, &child);
  put_traceparent(text, &child);
  if (leg->header == NULL) leg->header = make_header(r, ctx);
  if (leg->header == NULL) return NGX_ERROR;
  leg->header->value.data = text;
  leg->header->value.len = SPANTAP_TRACEPARENT_SIZE;
  ngx_memcpy(leg->span_id, child.span_id, sizeof(leg->span_id));
  leg->unused = own_span;
  return NGX_OK;
}
