/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/address.h"

#include <arpa/inet.h>
#include <string.h>

static int read_port(const char* digits, size_t size, uint16_t* port) {
  uint32_t value = 0;
  if (size == 0 || size > 5) return 0;
  for (size_t i = 0; i < size; ++i) {
    if (digits[i] < '0' || digits[i] > '9') return 0;
    value = value * 10 + (uint32_t)(digits[i] - '0');
  }
  *port = (uint16_t)value;
  return value <= 65535;
}

int address_split(spantap_str text, struct address* address) {
  memset(address, 0, sizeof(*address));
  if (text.size == 0) return 0;
  const char* end = text.data + text.size;
  const char* close = text.data[0] == '[' ? (const char*)memchr(text.data, ']', text.size) : NULL;
  const char* colon = (const char*)memchr(text.data, ':', text.size);
  if (close != NULL) {
    address->host.data = text.data + 1;
    address->host.size = (size_t)(close - text.data - 1);
    colon = close + 1 != end ? close + 1 : NULL;
    if (colon != NULL && *colon != ':') return 0;
  } else {
    if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL) colon = NULL; /* bare IPv6 */
    address->host.data = text.data;
    address->host.size = (size_t)((colon != NULL ? colon : end) - text.data);
  }
  if (colon != NULL && !read_port(colon + 1, (size_t)(end - colon - 1), &address->port)) return 0;
  return address->host.size != 0;
}

/* 4, 6, or 0: none. */
static uint16_t to_bytes(spantap_str host, uint8_t bytes[16]) {
  char text[INET6_ADDRSTRLEN + 1];
  if (host.size >= sizeof(text)) return 0;
  memcpy(text, host.data, host.size);
  text[host.size] = '\0';
  if (memchr(text, ':', host.size) != NULL) return inet_pton(AF_INET6, text, bytes) == 1 ? 6 : 0;
  return inet_pton(AF_INET, text, bytes) == 1 ? 4 : 0;
}

static int fill(spantap_str text, spantap_conn* conn, uint8_t* bytes, uint16_t* port) {
  struct address address;
  uint8_t parsed[16] = {0};
  if (!address_split(text, &address)) return 0;
  uint16_t family = to_bytes(address.host, parsed);
  if (family == 0 || (conn->family != 0 && conn->family != family)) return 0;
  conn->family = family;
  memcpy(bytes, parsed, sizeof(parsed));
  *port = address.port;
  return 1;
}

int address_to_peer(spantap_str text, spantap_conn* conn) {
  return fill(text, conn, conn->peer_address, &conn->peer_port);
}

int address_to_local(spantap_str text, spantap_conn* conn) {
  return fill(text, conn, conn->local_address, &conn->local_port);
}
