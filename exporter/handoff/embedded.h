/* SPDX-License-Identifier: Apache-2.0
 *
 * Embedded mode: the contract with libspantap-embedded.so.0 (exporter/embedded/), which lies beside libspantap.so.0 and
 * plays the agent within the process. A ring of its making is the same as an agent's (ring_layout.h), and so is what
 * leads to it; only the connection is asked for by a call instead of by connect(). Version 1: another one takes another
 * symbol, and libraries of different releases do not find each other.
 *
 * Any thread. None of the functions throws, waits (but for flush), or touches what a parent of fork() has left.
 */
#ifndef SPANTAP_EXPORTER_HANDOFF_EMBEDDED_H_
#define SPANTAP_EXPORTER_HANDOFF_EMBEDDED_H_

#include <stdint.h>

#define SPANTAP_EMBEDDED_LIBRARY "libspantap-embedded.so.0"
#define SPANTAP_EMBEDDED_SYMBOL "spantap_embedded_1"

enum {
  SPANTAP_EMBEDDED_ON = 0,
  SPANTAP_EMBEDDED_OFF = 1,    /* tracing is not wanted */
  SPANTAP_EMBEDDED_NOWHERE = 2 /* it is, but spans are not: they have nowhere to go */
};

struct spantap_embedded {
  /* Reads the environment, once in a process and its children. */
  int (*open)(void);
  /* The producer's end of a connection on which `hello` (at most SPANTAP_HELLO_MAX_BYTES) has been said and the welcome
   * lies ready; -1: none is to be had. Starts the process's thread if there is none. */
  int (*connect)(const uint8_t* hello, uint32_t bytes);
  /* Until what lies in rings or was taken from them before has left this process, or has been given up. 1: it has; 0:
   * it has not within the time. */
  int (*flush)(uint32_t timeout_ms);
};

/* What the library's one symbol is. */
typedef const struct spantap_embedded* (*spantap_embedded_get)(void);

/* The library, loaded at the first call; NULL: it, or what it needs, is not there. Once in a process; any thread. */
const struct spantap_embedded* handoff_load_embedded(void);

#endif /* SPANTAP_EXPORTER_HANDOFF_EMBEDDED_H_ */
