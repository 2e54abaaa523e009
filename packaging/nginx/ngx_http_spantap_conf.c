/* SPDX-License-Identifier: Apache-2.0
 *
 * Directives. Names and meaning are those of the nginx OpenTelemetry module with spantap_ for otel_; what the agent
 * does instead (where spans go, how they are batched) is refused or ignored with a message that says so.
 */
#include "ngx_http_spantap.h"

/* ---------------------------------------------------------------- spantap_exporter */

static ngx_int_t set_socket(ngx_http_spantap_main_conf_t* main, ngx_str_t value) {
  if (value.len > 5 && ngx_strncmp(value.data, "unix:", 5) == 0) {
    value.data += 5;
    value.len -= 5;
  }
  if (value.len == 0 || value.data[0] != '/' || value.len > 107) return NGX_ERROR;
  main->socket = value;
  return NGX_OK;
}

static char* exporter_line(ngx_conf_t* cf, ngx_command_t* dummy, void* conf) {
  static const char* const ignored[] = {"interval", "batch_size", "batch_count"};
  ngx_http_spantap_main_conf_t* main = conf;
  ngx_str_t* words = cf->args->elts;
  const char* name = (const char*)words[0].data;
  for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); ++i) {
    if (ngx_strcmp(name, ignored[i]) != 0) continue;
    if (cf->args->nelts != 2) return "takes one argument in \"interval\", \"batch_size\" and \"batch_count\"";
    ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0, "\"%s\" is ignored: the spantap agent batches", name);
    return NGX_CONF_OK;
  }
  if (ngx_strcmp(name, "trusted_certificate") == 0 || ngx_strcmp(name, "header") == 0) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s\" belongs to the spantap agent, which talks to the collector; accepted here: "
                       "socket /path/to/agent.sock;",
                       name);
    return NGX_CONF_ERROR;
  }
  int is_socket = ngx_strcmp(name, "socket") == 0, is_endpoint = ngx_strcmp(name, "endpoint") == 0;
  if (!is_socket && !is_endpoint) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown \"%V\" in \"spantap_exporter\"; accepted: socket PATH;",
                       &words[0]);
    return NGX_CONF_ERROR;
  }
  if (cf->args->nelts != 2 || set_socket(main, words[1]) != NGX_OK ||
      (is_endpoint && ngx_strncmp(words[1].data, "unix:", 5) != 0)) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       is_endpoint ? "\"endpoint\" is the spantap agent's option (--endpoint URL); accepted here: "
                                     "socket /path/to/agent.sock;"
                                   : "invalid \"socket\"; accepted: socket /path/to/agent.sock; absolute, at most 107 "
                                     "bytes (the agent's --socket)");
    return NGX_CONF_ERROR;
  }
  return NGX_CONF_OK;
}

static char* set_exporter(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  ngx_http_spantap_main_conf_t* main = conf;
  if (main->exporter_given) return "is duplicate";
  main->exporter_given = 1;
  ngx_conf_t saved = *cf;
  cf->handler = exporter_line;
  cf->handler_conf = conf;
  char* result = ngx_conf_parse(cf, NULL);
  *cf = saved;
  return result;
}

/* ---------------------------------------------------------------- other directives of http {} */

static char* set_ratio(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  ngx_http_spantap_main_conf_t* main = conf;
  ngx_str_t* words = cf->args->elts;
  char* end = NULL;
  if (main->follows_parent) return "is duplicate";
  double ratio = strtod((const char*)words[1].data, &end);
  if (end != (char*)words[1].data + words[1].len || !(ratio >= 0.0 && ratio <= 1.0)) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid ratio \"%V\" in \"spantap_sample_ratio\"; accepted: 0 to 1",
                       &words[1]);
    return NGX_CONF_ERROR;
  }
  main->sample_ratio = ratio;
  main->follows_parent = 1;
  return NGX_CONF_OK;
}

static char* check_name(ngx_conf_t* cf, ngx_str_t* name) {
  if (name->len > 0 && name->len <= 255) return NGX_CONF_OK;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the attribute's name has %uz bytes; accepted: 1 to 255", name->len);
  return NGX_CONF_ERROR;
}

static char* add_resource_attr(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  ngx_http_spantap_main_conf_t* main = conf;
  ngx_str_t* words = cf->args->elts;
  if (check_name(cf, &words[1]) != NGX_CONF_OK) return NGX_CONF_ERROR;
  if (main->resource.nelts >= SPANTAP_MAX_RESOURCE) return "is given more than 64 times";
  spantap_attr* attr = ngx_array_push(&main->resource);
  if (attr == NULL) return NGX_CONF_ERROR;
  attr->name = ngx_http_spantap_str(words[1]);
  (void)ngx_http_spantap_add_str(attr, SPANTAP_KEY_NAMED, words[2].data, words[2].len);
  return NGX_CONF_OK;
}

/* ---------------------------------------------------------------- directives of every level */

static char* compile(ngx_conf_t* cf, ngx_str_t* text, ngx_http_complex_value_t* value) {
  ngx_http_compile_complex_value_t compiler;
  ngx_memzero(&compiler, sizeof(compiler));
  compiler.cf = cf;
  compiler.value = text;
  compiler.complex_value = value;
  return ngx_http_compile_complex_value(&compiler) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static char* set_trace(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  ngx_http_spantap_loc_conf_t* location = conf;
  ngx_str_t* words = cf->args->elts;
  if (location->trace != NGX_CONF_UNSET_UINT) return "is duplicate";
  if (ngx_http_script_variables_count(&words[1]) > 0) {
    location->trace = NGX_HTTP_SPANTAP_BY_VALUE;
    if (compile(cf, &words[1], &location->trace_value) != NGX_CONF_OK) return NGX_CONF_ERROR;
  } else if (ngx_strcmp(words[1].data, "on") == 0 || ngx_strcmp(words[1].data, "1") == 0) {
    location->trace = NGX_HTTP_SPANTAP_ON;
  } else if (ngx_strcmp(words[1].data, "off") == 0 || ngx_strcmp(words[1].data, "0") == 0) {
    location->trace = NGX_HTTP_SPANTAP_OFF;
    return NGX_CONF_OK;
  } else {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"spantap_trace\"; accepted: on, off, or a value with a variable",
                       &words[1]);
    return NGX_CONF_ERROR;
  }
  ngx_http_spantap_srv_conf_t* server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_spantap_module);
  ngx_http_spantap_main_conf_t* main = ngx_http_conf_get_module_main_conf(cf, ngx_http_spantap_module);
  server->used = 1;
  main->used = 1;
  return NGX_CONF_OK;
}

static char* set_context(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  static const struct {
    const char* name;
    ngx_uint_t value;
  } known[] = {{"ignore", 0},
               {"extract", NGX_HTTP_SPANTAP_EXTRACT},
               {"inject", NGX_HTTP_SPANTAP_INJECT},
               {"propagate", NGX_HTTP_SPANTAP_EXTRACT | NGX_HTTP_SPANTAP_INJECT}};
  ngx_http_spantap_loc_conf_t* location = conf;
  ngx_str_t* words = cf->args->elts;
  if (location->context != NGX_CONF_UNSET_UINT) return "is duplicate";
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
    if (ngx_strcmp(words[1].data, known[i].name) == 0) {
      location->context = known[i].value;
      return NGX_CONF_OK;
    }
  }
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                     "invalid value \"%V\" in \"spantap_trace_context\"; accepted: extract, inject, propagate, ignore",
                     &words[1]);
  return NGX_CONF_ERROR;
}

static char* add_span_attr(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  ngx_http_spantap_loc_conf_t* location = conf;
  ngx_str_t* words = cf->args->elts;
  if (check_name(cf, &words[1]) != NGX_CONF_OK) return NGX_CONF_ERROR;
  if (location->attrs == NULL) {
    location->attrs = ngx_array_create(cf->pool, 4, sizeof(ngx_http_spantap_attr_t));
    if (location->attrs == NULL) return NGX_CONF_ERROR;
  }
  if (location->attrs->nelts >= NGX_HTTP_SPANTAP_MAX_OWN_ATTRS) return "is given more than 64 times";
  ngx_http_spantap_attr_t* attr = ngx_array_push(location->attrs);
  if (attr == NULL) return NGX_CONF_ERROR;
  attr->name = words[1];
  return compile(cf, &words[2], &attr->value);
}

#define EVERY_LEVEL (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

ngx_command_t ngx_http_spantap_commands[] = {
    {ngx_string("spantap_exporter"), NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_NOARGS, set_exporter,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("spantap_service_name"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_http_spantap_main_conf_t, service_name), NULL},
    {ngx_string("spantap_resource_attr"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, add_resource_attr,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("spantap_sample_ratio"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_ratio, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     NULL},
    {ngx_string("spantap_trace"), EVERY_LEVEL | NGX_CONF_TAKE1, set_trace, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("spantap_trace_context"), EVERY_LEVEL | NGX_CONF_TAKE1, set_context, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("spantap_upstream_spans"), EVERY_LEVEL | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_http_spantap_loc_conf_t, upstream_spans), NULL},
    {ngx_string("spantap_span_name"), EVERY_LEVEL | NGX_CONF_TAKE1, ngx_http_set_complex_value_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_http_spantap_loc_conf_t, span_name), NULL},
    {ngx_string("spantap_span_attr"), EVERY_LEVEL | NGX_CONF_TAKE2, add_span_attr, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command};

/* ---------------------------------------------------------------- configuration's structures */

void* ngx_http_spantap_create_main_conf(ngx_conf_t* cf) {
  ngx_http_spantap_main_conf_t* main = ngx_pcalloc(cf->pool, sizeof(*main));
  if (main == NULL) return NULL;
  main->sample_ratio = 1.0;
  if (ngx_array_init(&main->resource, cf->pool, 4, sizeof(spantap_attr)) != NGX_OK) return NULL;
  return main;
}

void* ngx_http_spantap_create_srv_conf(ngx_conf_t* cf) {
  return ngx_pcalloc(cf->pool, sizeof(ngx_http_spantap_srv_conf_t));
}

char* ngx_http_spantap_merge_srv_conf(ngx_conf_t* cf, void* parent, void* child) {
  ngx_http_spantap_srv_conf_t *outer = parent, *inner = child;
  inner->used |= outer->used;
  return NGX_CONF_OK;
}

void* ngx_http_spantap_create_loc_conf(ngx_conf_t* cf) {
  ngx_http_spantap_loc_conf_t* location = ngx_pcalloc(cf->pool, sizeof(*location));
  if (location == NULL) return NULL;
  location->trace = NGX_CONF_UNSET_UINT;
  location->context = NGX_CONF_UNSET_UINT;
  location->upstream_spans = NGX_CONF_UNSET;
  return location;
}

char* ngx_http_spantap_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child) {
  ngx_http_spantap_loc_conf_t *outer = parent, *inner = child;
  if (inner->trace == NGX_CONF_UNSET_UINT) inner->trace_value = outer->trace_value;
  ngx_conf_merge_uint_value(inner->trace, outer->trace, NGX_HTTP_SPANTAP_OFF);
  ngx_conf_merge_uint_value(inner->context, outer->context, 0);
  ngx_conf_merge_value(inner->upstream_spans, outer->upstream_spans, 1);
  if (inner->span_name == NULL) inner->span_name = outer->span_name;
  if (inner->attrs == NULL) inner->attrs = outer->attrs;
  ngx_http_spantap_prepare_location(cf, inner);
  return NGX_CONF_OK;
}

static void close_client(void* client) { spantap_close(client); }

ngx_int_t ngx_http_spantap_open_client(ngx_conf_t* cf, ngx_http_spantap_main_conf_t* main) {
  if (!main->used) return NGX_OK;
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(cf->cycle->pool, 0);
  if (cleanup == NULL) return NGX_ERROR;
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.socket = ngx_http_spantap_str(main->socket);
  options.service_name = ngx_http_spantap_str(main->service_name);
  options.resource = main->resource.elts;
  options.resource_count = (uint32_t)main->resource.nelts;
  options.sample_ratio = main->sample_ratio;
  spantap_status status = spantap_open(&options, &main->client);
  if (status == SPANTAP_OK) {
    cleanup->handler = close_client;
    cleanup->data = main->client;
    return NGX_OK;
  }
  main->client = NULL;
  if (status == SPANTAP_TOO_LARGE) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"spantap_service_name\" and \"spantap_resource_attr\" are too long; accepted: 16 KB in all");
    return NGX_ERROR;
  }
  ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "spantap: nothing is traced: %s", spantap_status_text(status));
  return NGX_OK;
}
