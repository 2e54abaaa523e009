/* SPDX-License-Identifier: Apache-2.0
 *
 * The tracer's configuration as Envoy hands it over: the text of a StringValue, or a Struct, which arrives as a JSON
 * object. Used by tracer.c on the main thread. Total: any bytes are read or refused; at most 64 KiB of them.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_CONFIG_H_
#define SPANTAP_PACKAGING_ENVOY_CONFIG_H_

#include "packaging/envoy/envoy_abi.h"
#include "spantap/spantap.h"

enum { CONFIG_MAX_BYTES = 65536, CONFIG_VALUE_BYTES = 256, CONFIG_ERROR_BYTES = 512 };

enum span_style { STYLE_ENVOY, STYLE_OTEL };

/* Texts are empty where the configuration says nothing. */
struct config_text {
  char data[CONFIG_VALUE_BYTES];
  size_t size;
};

struct config {
  struct config_text socket;
  struct config_text service_name;
  enum span_style style;
  spantap_mode mode;
};

/* 1: read. 0: refused; `error` says what is wrong and what is accepted. */
int config_parse(envoy_text text, struct config* config, char error[CONFIG_ERROR_BYTES]);

#endif /* SPANTAP_PACKAGING_ENVOY_CONFIG_H_ */
