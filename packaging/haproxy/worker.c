/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/haproxy/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SOCKET = 107, MAX_SERVICE = 255 };

static spantap_client* client;
static int configured, off;
static char socket_path[MAX_SOCKET + 1] = "/run/spantap/agent.sock";
static __thread struct {
  spantap_producer* producer;
  int opened;
} here;

static int refuse(char* error, const char* name, const char* value, const char* accepted) {
  snprintf(error, WORKER_ERROR_BYTES, "spantap: %s is \"%.100s\"; accepted is %s", name, value, accepted);
  return 0;
}

/* An empty value is none. */
static const char* setting(const char* name) {
  const char* value = secure_getenv(name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

static int read_ratio(spantap_options* options, char* error) {
  static const char kName[] = "SPANTAP_SAMPLE_RATIO";
  const char* value = setting(kName);
  if (value == NULL) return 1;
  char* end;
  double ratio = strtod(value, &end);
  if (end == value || *end != '\0' || !(ratio >= 0 && ratio <= 1))
    return refuse(error, kName, value, "a number from 0 to 1, such as 0.1");
  options->sample_ratio = ratio;
  return 1;
}

static int read_mode(spantap_options* options, char* error) {
  static const char kName[] = "SPANTAP_MODE";
  const char* value = setting(kName);
  if (value == NULL || strcmp(value, "handoff") == 0) {
    options->mode = SPANTAP_MODE_HANDOFF;
  } else if (strcmp(value, "off") == 0) {
    options->mode = SPANTAP_MODE_OFF;
  } else if (strcmp(value, "embedded") != 0) { /* that is for the library to know */
    return refuse(error, kName, value, "handoff or off");
  }
  return 1;
}

static int read_texts(spantap_options* options, char* error) {
  const char* socket = setting("SPANTAP_SOCKET");
  const char* service = setting("SPANTAP_SERVICE_NAME");
  if (socket != NULL && (socket[0] != '/' || strlen(socket) > MAX_SOCKET))
    return refuse(error, "SPANTAP_SOCKET", socket,
                  "the socket's path as seen below HAProxy's chroot, from / on, at most 107 bytes, such as "
                  "/run/spantap/agent.sock");
  if (service != NULL && strlen(service) > MAX_SERVICE)
    return refuse(error, "SPANTAP_SERVICE_NAME", service, "a name of at most 255 bytes");
  if (socket != NULL) options->socket = (spantap_str){socket, strlen(socket)};
  if (service != NULL) options->service_name = (spantap_str){service, strlen(service)};
  return 1;
}

int worker_configure(char error[WORKER_ERROR_BYTES]) {
  if (configured) return 1;
  spantap_options options = SPANTAP_OPTIONS_INIT;
  if (!read_ratio(&options, error) || !read_mode(&options, error) || !read_texts(&options, error)) return 0;
  spantap_status status = spantap_open(&options, &client);
  if (status != SPANTAP_OK) return refuse(error, "SPANTAP_MODE", spantap_status_text(status), "handoff or off");
  if (options.socket.size != 0) memcpy(socket_path, options.socket.data, options.socket.size + 1);
  off = options.mode == SPANTAP_MODE_OFF;
  configured = 1;
  return 1;
}

int worker_sees_socket(void) { return access(socket_path, F_OK) == 0; }

int worker_is_off(void) { return off; }

spantap_producer* worker_producer(void) {
  if (!here.opened) {
    here.opened = 1;
    if (spantap_producer_open(client, &here.producer) != SPANTAP_OK) here.producer = NULL;
  }
  return here.producer;
}
