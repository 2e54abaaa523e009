/* SPDX-License-Identifier: Apache-2.0
 *
 * What a thread of HAProxy has of its own: a producer. The client is the process's: made while the configuration is
 * parsed, before HAProxy forks, changes its root and starts threads. Used by module.c, request.c and result.c.
 * Threads: worker_configure() before there are any; the rest on each thread for itself. Memory: a producer a thread,
 * whose ring is the agent's.
 */
#ifndef SPANTAP_PACKAGING_HAPROXY_WORKER_H_
#define SPANTAP_PACKAGING_HAPROXY_WORKER_H_

#include "spantap/spantap.h"

enum { WORKER_ERROR_BYTES = 512 };

/* Reads SPANTAP_SOCKET, SPANTAP_SERVICE_NAME, SPANTAP_SAMPLE_RATIO and SPANTAP_MODE from the environment (HAProxy's
 * setenv). Once is enough: later calls do nothing. 0: refused, `error` has what is wrong and what is accepted. */
int worker_configure(char error[WORKER_ERROR_BYTES]);
/* 1: nothing is traced, headers pass unchanged. */
int worker_is_off(void);

/* 1: the agent's socket is there, as the process sees files now; whether anybody listens is another matter. */
int worker_sees_socket(void);

/* The calling thread's producer. NULL: no memory for one. */
spantap_producer* worker_producer(void);

#endif /* SPANTAP_PACKAGING_HAPROXY_WORKER_H_ */
