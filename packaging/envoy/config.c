/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/config.h"

#include <stdio.h>
#include <string.h>

#include "packaging/envoy/json.h"

static const char kAccepted[] =
    "accepted: a StringValue "
    "\"unix:/path/of/agent.sock[;service=NAME][;span_style=envoy|otel][;mode=handoff|embedded|off]\", or a "
    "Struct with the texts socket, service_name, span_style, mode";

/* The agent's own mode, whose number is reserved in the interface; a library without it says so. */
enum { MODE_EMBEDDED = 2 };

static int refuse(char* error, const char* what, const char* subject, size_t size) {
  int shown = size < 60 ? (int)size : 60;
  snprintf(error, CONFIG_ERROR_BYTES, "spantap: tracer_config: %s \"%.*s\"; %s", what, shown, subject, kAccepted);
  return 0;
}

static int is(envoy_text text, const char* wanted) {
  return text.size == strlen(wanted) && memcmp(text.data, wanted, text.size) == 0;
}

static int keep(struct config_text* to, envoy_text value, const char* what, char* error) {
  if (value.size > sizeof(to->data)) return refuse(error, what, value.data, value.size);
  memcpy(to->data, value.data, value.size);
  to->size = value.size;
  return 1;
}

static int set_socket(struct config* config, envoy_text value, char* error) {
  static const char kScheme[] = "unix:";
  if (value.size >= sizeof(kScheme) - 1 && memcmp(value.data, kScheme, sizeof(kScheme) - 1) == 0) {
    value.data += sizeof(kScheme) - 1;
    value.size -= sizeof(kScheme) - 1;
  }
  if (value.size == 0 || value.data[0] != '/' || memchr(value.data, '\0', value.size) != NULL) {
    return refuse(error, "the socket is no absolute path:", value.data, value.size);
  }
  return keep(&config->socket, value, "the socket's path is too long:", error);
}

static int set_style(struct config* config, envoy_text value, char* error) {
  if (!is(value, "envoy") && !is(value, "otel")) return refuse(error, "unknown span_style", value.data, value.size);
  config->style = is(value, "otel") ? STYLE_OTEL : STYLE_ENVOY;
  return 1;
}

static int set_mode(struct config* config, envoy_text value, char* error) {
  if (is(value, "handoff")) {
    config->mode = SPANTAP_MODE_HANDOFF;
  } else if (is(value, "embedded")) {
    config->mode = MODE_EMBEDDED;
  } else if (is(value, "off")) {
    config->mode = SPANTAP_MODE_OFF;
  } else {
    return refuse(error, "unknown mode", value.data, value.size);
  }
  return 1;
}

static int set(struct config* config, envoy_text name, envoy_text value, char* error) {
  if (is(name, "socket")) return set_socket(config, value, error);
  if (is(name, "service") || is(name, "service_name")) {
    if (value.size == 0) return refuse(error, "the service has no name:", value.data, value.size);
    return keep(&config->service_name, value, "the service's name is too long:", error);
  }
  if (is(name, "span_style")) return set_style(config, value, error);
  if (is(name, "mode")) return set_mode(config, value, error);
  return refuse(error, "unknown setting", name.data, name.size);
}

/* unix:PATH, then ;NAME=VALUE any number of times. */
static int parse_text(envoy_text text, struct config* config, char* error) {
  for (int part = 0; text.size != 0; ++part) {
    const char* semicolon = (const char*)memchr(text.data, ';', text.size);
    envoy_text item = {text.data, semicolon != NULL ? (size_t)(semicolon - text.data) : text.size};
    size_t skip = item.size + (semicolon != NULL);
    text.data += skip;
    text.size -= skip;
    const char* equal = (const char*)memchr(item.data, '=', item.size);
    if (part == 0) {
      if (item.size < 5 || memcmp(item.data, "unix:", 5) != 0) {
        return refuse(error, "it does not begin with unix: but is", item.data, item.size);
      }
      if (!set_socket(config, item, error)) return 0;
    } else if (equal == NULL) {
      return refuse(error, "no NAME=VALUE but", item.data, item.size);
    } else {
      envoy_text name = {item.data, (size_t)(equal - item.data)};
      envoy_text value = {equal + 1, item.size - name.size - 1};
      if (!set(config, name, value, error)) return 0;
    }
  }
  return 1;
}

static int parse_object(struct json_reader* reader, struct config* config, char* error) {
  char name_data[64], value_data[CONFIG_VALUE_BYTES];
  struct json_string name = {name_data, 0, sizeof(name_data)}, value = {value_data, 0, sizeof(value_data)};
  for (;;) {
    enum json_result result = json_next(reader, &name, &value);
    envoy_text setting = {name.data, name.size}, text = {value.data, value.size};
    if (result == JSON_END) return 1;
    if (result == JSON_NO_STRING) return refuse(error, "this is no text:", name.data, name.size);
    if (result == JSON_TOO_LONG) return refuse(error, "too long is", name.data, name.size);
    if (result == JSON_MALFORMED) return refuse(error, "no JSON object after", name.data, name.size);
    if (!set(config, setting, text, error)) return 0;
  }
}

int config_parse(envoy_text text, struct config* config, char error[CONFIG_ERROR_BYTES]) {
  struct json_reader reader;
  memset(config, 0, sizeof(*config));
  if (text.size == 0) return 1;
  if (text.data == NULL || text.size > CONFIG_MAX_BYTES) return refuse(error, "it is too long", "", 0);
  if (json_open(&reader, text.data, text.size)) return parse_object(&reader, config, error);
  return parse_text(text, config, error);
}
