/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exporter/handoff/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exporter/handoff/encode.h"

static const char kDefaultSocket[] = "/run/spantap/agent.sock";

/* In one place, and nothing of it in a program that runs with more rights than its caller. */
static spantap_str environment(const char* name) {
  spantap_str value = {secure_getenv(name), 0};
  if (value.data != NULL) value.size = strlen(value.data);
  return value;
}

static int is(spantap_str value, const char* word) {
  return value.size == strlen(word) && memcmp(value.data, word, value.size) == 0;
}

/* An unknown word is no reason for a proxy not to start: as if it were not there. */
static spantap_mode chosen_mode(spantap_mode asked) {
  if (asked != SPANTAP_MODE_DEFAULT) return asked;
  spantap_str value = environment("SPANTAP_MODE");
  if (is(value, "off")) return SPANTAP_MODE_OFF;
  return is(value, "embedded") ? SPANTAP_MODE_EMBEDDED : SPANTAP_MODE_HANDOFF;
}

static spantap_status set_address(spantap_client* client, spantap_str path) {
  if (path.size == 0) path = environment("SPANTAP_SOCKET");
  if (path.size == 0) path = (spantap_str){kDefaultSocket, sizeof(kDefaultSocket) - 1};
  if (path.size >= sizeof(client->address.sun_path) || memchr(path.data, 0, path.size) != NULL) return SPANTAP_INVALID;
  client->address.sun_family = AF_UNIX;
  memcpy(client->address.sun_path, path.data, path.size);
  return SPANTAP_OK;
}

static spantap_status set_embedded(spantap_client* client) {
  client->embedded = handoff_load_embedded();
  if (client->embedded == NULL) return SPANTAP_UNSUPPORTED;
  int found = client->embedded->open();
  if (found != SPANTAP_EMBEDDED_ON) client->embedded = NULL;
  if (found == SPANTAP_EMBEDDED_OFF) client->mode = SPANTAP_MODE_OFF;
  return SPANTAP_OK;
}

static spantap_status set_hello(spantap_client* client, const spantap_options* options) {
  struct spantap_hello hello = {SPANTAP_HELLO_MAGIC, SPANTAP_HANDOFF_VERSION, options->ring_bytes, 0, 0};
  struct handoff_out out = {client->hello + sizeof(hello), client->hello + sizeof(client->hello)};
  uint16_t written = 0;
  uint32_t dropped = 0;
  if (options->service_name.size != 0) {
    spantap_attr name = {SPANTAP_KEY_NAMED, SPANTAP_STRING, 0, SPANTAP_STR("service.name"), {options->service_name}};
    if (!handoff_put_attrs(&out, &name, 1, &written, &dropped)) return SPANTAP_TOO_LARGE;
  }
  if (!handoff_put_attrs(&out, options->resource, options->resource_count, &written, &dropped))
    return SPANTAP_TOO_LARGE;
  if (dropped != 0) return SPANTAP_INVALID;
  hello.attr_count = written;
  hello.attr_bytes = (uint32_t)(out.at - client->hello - sizeof(hello));
  client->hello_bytes = (uint32_t)(out.at - client->hello);
  memcpy(client->hello, &hello, sizeof(hello));
  return SPANTAP_OK;
}

static spantap_status configure(spantap_client* client, const spantap_options* options) {
  if (handoff_str_bad(options->socket) || handoff_str_bad(options->service_name) ||
      (options->resource == NULL && options->resource_count != 0) || options->resource_count > SPANTAP_MAX_RESOURCE ||
      !(options->sample_ratio >= 0 && options->sample_ratio <= 1)) { /* NaN, too */
    return SPANTAP_INVALID;
  }
  client->mode = chosen_mode(options->mode);
  client->root_threshold = (uint64_t)((1 - options->sample_ratio) * 72057594037927936.0); /* 2^56 */
  spantap_status status = SPANTAP_INVALID;
  if (client->mode == SPANTAP_MODE_EMBEDDED) {
    status = set_embedded(client);
  } else if (client->mode == SPANTAP_MODE_HANDOFF || client->mode == SPANTAP_MODE_OFF) {
    status = set_address(client, options->socket);
  }
  return status == SPANTAP_OK ? set_hello(client, options) : status;
}

spantap_status spantap_open(const spantap_options* options, spantap_client** client) {
  if (client == NULL || (options != NULL && options->struct_size < sizeof(options->struct_size)))
    return SPANTAP_INVALID;
  spantap_options whole = SPANTAP_OPTIONS_INIT;
  if (options != NULL)
    memcpy(&whole, options, options->struct_size < sizeof(whole) ? options->struct_size : sizeof(whole));
  int saved = errno;
  spantap_client* made = (spantap_client*)calloc(1, sizeof(*made));
  errno = saved;
  if (made == NULL) return SPANTAP_NO_MEMORY;
  made->users = 1;
  spantap_status status = configure(made, &whole);
  if (status != SPANTAP_OK) {
    free(made);
    return status;
  }
  *client = made;
  return SPANTAP_OK;
}

void spantap_close(spantap_client* client) {
  if (client == NULL) return;
  __atomic_store_n(&client->closed, 1, __ATOMIC_RELAXED);
  handoff_client_release(client);
}

void handoff_client_release(spantap_client* client) {
  if (__atomic_sub_fetch(&client->users, 1, __ATOMIC_ACQ_REL) == 0) free(client);
}
