/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as Envoy writes them: 10.0.0.1:80, 10.0.0.1, [2001:db8::1]:80, 2001:db8::1. Used by report*.c. Pure, total.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_ADDRESS_H_
#define SPANTAP_PACKAGING_ENVOY_ADDRESS_H_

#include "spantap/spantap.h"

struct address {
  spantap_str host; /* within the text, without brackets */
  uint16_t port;    /* 0: none */
};

/* Splits host and port; a name is a host, too. 0: the text is empty or its port is none. */
int address_split(spantap_str text, struct address* address);
/* Fills one end of a connection. 0: it is no IP address; nothing is filled. */
int address_to_peer(spantap_str text, spantap_conn* conn);
int address_to_local(spantap_str text, spantap_conn* conn);

#endif /* SPANTAP_PACKAGING_ENVOY_ADDRESS_H_ */
