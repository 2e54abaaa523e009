/* SPDX-License-Identifier: Apache-2.0
 *
 * A process's configuration: where the agent is, what is said to it, the share of roots to sample. Constant after
 * spantap_open() but for the two counters, so that producers read it without a lock. Used by producers, on any thread.
 * Freed by whoever leaves last: the host that closes it or the last of its producers. At most some 17 KiB.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_CLIENT_H_
#define SPANTAP_EXPORTER_HANDOFF_CLIENT_H_

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "exporter/handoff/embedded.h"
#include "exporter/handoff/ring_layout.h"
#include "spantap/spantap.h"

struct spantap_client {
  uint32_t users;  /* atomic: the host and each producer */
  uint32_t closed; /* atomic: by spantap_close() */
  spantap_mode mode;
  uint64_t root_threshold;                 /* a root is sampled if the low 56 bits of its trace id are not below this */
  const struct spantap_embedded* embedded; /* NULL: another mode, or spans have nowhere to go */
  struct sockaddr_un address;
  uint32_t hello_bytes;
  _Alignas(8) uint8_t hello[SPANTAP_HELLO_MAX_BYTES]; /* spantap_hello and the resource's attributes */
};

void handoff_client_release(spantap_client* client);

static inline int handoff_client_closed(const spantap_client* client) {
  return __atomic_load_n(&client->closed, __ATOMIC_RELAXED) != 0;
}

#endif /* SPANTAP_EXPORTER_HANDOFF_CLIENT_H_ */
