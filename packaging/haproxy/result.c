/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/haproxy/result.h"

#include <arpa/inet.h>
#include <string.h>

int result_read(const char* line, size_t size, struct result* result) {
  static const size_t kPrefix = sizeof(RESULT_PREFIX) - 1;
  if (size < kPrefix || memcmp(line, RESULT_PREFIX, kPrefix) != 0) return 0;
  const char *at = line + kPrefix, *end = line + size;
  for (int i = 0; i < RESULT_COUNT; ++i) {
    const char ends_with = i == RESULT_COUNT - 1 ? '"' : ' ';
    const char* start = at;
    while (at<end&& * at> ' ' && *at != '"') ++at;
    if (at == start || at == end || *at != ends_with) return 0;
    result->fields[i] = (spantap_str){start, (size_t)(at - start)};
    ++at;
  }
  return 1;
}

int64_t result_number(const struct result* result, enum result_field field) {
  const char* at = result->fields[field].data;
  const char* end = at + result->fields[field].size;
  int64_t value = 0;
  if (*at == '+') ++at;
  if (at == end || end - at > 18) return -1;
  for (; at < end; ++at) {
    if (*at < '0' || *at > '9') return -1;
    value = value * 10 + (*at - '0');
  }
  return value;
}

/* Four numbers with dots, as HAProxy writes them: several times quicker than the general function. */
static int read_ipv4(spantap_str text, uint8_t address[16]) {
  const char *at = text.data, *end = at + text.size;
  for (int i = 0; i < 4; ++i) {
    unsigned value = 0;
    const char* start = at;
    while (at < end && *at >= '0' && *at <= '9' && at - start < 3) value = value * 10 + (unsigned)(*at++ - '0');
    if (at == start || value > 255 || (i < 3 && (at == end || *at++ != '.'))) return 0;
    address[i] = (uint8_t)value;
  }
  return at == end;
}

static uint16_t read_address(spantap_str text, uint8_t address[16]) {
  char terminated[INET6_ADDRSTRLEN];
  if (read_ipv4(text, address)) return 4;
  if (text.size >= sizeof(terminated) || memchr(text.data, ':', text.size) == NULL) return 0;
  memcpy(terminated, text.data, text.size);
  terminated[text.size] = '\0';
  return inet_pton(AF_INET6, terminated, address) == 1 ? 6 : 0;
}

static uint16_t read_port(const struct result* result, enum result_field field) {
  int64_t port = result_number(result, field);
  return port > 0 && port <= 65535 ? (uint16_t)port : 0;
}

const spantap_conn* result_conn(const struct result* result, enum result_field peer, enum result_field own_port,
                                spantap_conn* conn) {
  memset(conn, 0, sizeof(*conn));
  conn->family = read_address(result->fields[peer], conn->peer_address);
  if (conn->family == 0) return NULL;
  conn->peer_port = read_port(result, peer + 1);
  conn->local_port = read_port(result, own_port);
  return conn;
}
