/* SPDX-License-Identifier: Apache-2.0
 *
 * $spantap_trace_id, $spantap_span_id, $spantap_parent_id, $spantap_parent_sampled and $spantap_traceparent. Asking for
 * one makes the ids, so that spantap_trace may depend on them (split_clients).
 */
#include "ngx_http_spantap.h"

static ngx_int_t give(ngx_http_variable_value_t* v, u_char* data, size_t size) {
  v->valid = 1;
  v->no_cacheable = 0;
  v->not_found = 0;
  v->data = data;
  v->len = (unsigned)size;
  return NGX_OK;
}

static ngx_http_spantap_ctx_t* context_with_ids(ngx_http_request_t* r) {
  if (ngx_http_spantap_producer == NULL) return NULL;
  ngx_http_spantap_ctx_t* ctx = ngx_http_spantap_get(r);
  if (ctx == NULL) ctx = ngx_http_spantap_create(r, 0);
  if (ctx != NULL) ngx_http_spantap_make_ids(r, ctx);
  return ctx;
}

static ngx_int_t not_found(ngx_http_variable_value_t* v) {
  v->not_found = 1;
  return NGX_OK;
}

/* `data` is the offset in the context of the bytes, and how many they are. */
#define ID(field, size) ((uintptr_t)offsetof(ngx_http_spantap_ctx_t, field) << 8 | (size))

static ngx_int_t get_id(ngx_http_request_t* r, ngx_http_variable_value_t* v, uintptr_t data) {
  static const uint8_t zero[16];
  ngx_http_spantap_ctx_t* ctx = context_with_ids(r);
  if (ctx == NULL) return not_found(v);
  u_char* id = (u_char*)ctx + (data >> 8);
  size_t size = data & 0xff;
  if (ngx_memcmp(id, zero, size) == 0) return not_found(v);
  u_char* text = ngx_pnalloc(r->pool, 2 * size);
  if (text == NULL) return NGX_ERROR;
  ngx_hex_dump(text, id, size);
  return give(v, text, 2 * size);
}

static ngx_int_t get_parent_sampled(ngx_http_request_t* r, ngx_http_variable_value_t* v, uintptr_t data) {
  ngx_http_spantap_ctx_t* ctx = context_with_ids(r);
  if (ctx == NULL) return not_found(v);
  return give(v, (u_char*)(ctx->parent.flags & SPANTAP_SAMPLED ? "1" : "0"), 1);
}

/* What goes upstream, for those who name each header themselves; nothing if nothing is injected. */
static ngx_int_t get_traceparent(ngx_http_request_t* r, ngx_http_variable_value_t* v, uintptr_t data) {
  ngx_http_spantap_ctx_t* ctx = ngx_http_spantap_get(r);
  ngx_http_spantap_leg_t* leg = ctx == NULL ? NULL : ngx_http_spantap_leg(r, ctx);
  if (leg == NULL || leg->header == NULL) return not_found(v);
  return give(v, leg->header->value.data, leg->header->value.len);
}

static ngx_http_variable_t variables[] = {
    {ngx_string("spantap_trace_id"), NULL, get_id, ID(server.trace_id, 16), NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("spantap_span_id"), NULL, get_id, ID(server.span_id, 8), NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("spantap_parent_id"), NULL, get_id, ID(parent.span_id, 8), NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("spantap_parent_sampled"), NULL, get_parent_sampled, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("spantap_traceparent"), NULL, get_traceparent, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    ngx_http_null_variable};

ngx_int_t ngx_http_spantap_add_variables(ngx_conf_t* cf) {
  for (ngx_http_variable_t* each = variables; each->name.len > 0; ++each) {
    ngx_http_variable_t* added = ngx_http_add_variable(cf, &each->name, each->flags);
    if (added == NULL) return NGX_ERROR;
    added->get_handler = each->get_handler;
    added->data = each->data;
  }
  return NGX_OK;
}
