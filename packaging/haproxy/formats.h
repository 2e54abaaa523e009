/* SPDX-License-Identifier: Apache-2.0
 *
 * What HAProxy writes for us and how it is read back: two log-formats and an expression, published as environment
 * variables while the configuration is parsed (module.c), so that a user writes "${SPANTAP_REQUEST}" and text and
 * parser cannot disagree. Used by module.c, request.c and response.c.
 */
#ifndef SPANTAP_PACKAGING_HAPROXY_FORMATS_H_
#define SPANTAP_PACKAGING_HAPROXY_FORMATS_H_

/* The request, for `http-request set-var-fmt`. Header names and values come last: only they may contain the separator,
 * a byte that HAProxy accepts neither in a method nor in a target. (White space would be folded by log-formats.) */
#define SEPARATOR '\x1f'
#define REQUEST_FORMAT "%[method]\x1f%[req.ver]\x1f%[ssl_fc]\x1f%[pathq]\x1f%[req.hdrs]"
enum request_field { REQUEST_METHOD, REQUEST_VERSION, REQUEST_TLS, REQUEST_PATH_AND_QUERY, REQUEST_HEADERS };

/* Makes of it what goes upstream and what the spans need, for `http-request set-var`; and that when tracing is off. */
#define CONTEXT_EXPRESSION "var(txn.spantap),lua.spantap_request"
#define OFF_TEXT "-"
#define OFF_EXPRESSION "str(-)"

/* The result, for `log-format-sd`: a valid element of RFC 5424's structured data (number 0 is nobody's enterprise). It
 * is rendered from left to right, so that our converter finds the values in HAProxy's line buffer. Numbers, addresses
 * and names of sections: nothing that a client chooses. Of a connection only what tells it from others: an address
 * costs HAProxy as much as all the numbers together. */
#define RESULT_PREFIX "[spantap@0 v=\""
#define RESULT_FORMAT                                                                                              \
  RESULT_PREFIX                                                                                                    \
  "%ST %ts %rc %TR %Tw %Tc %Tr %B %U %ci %cp %fp %bp %si %sp %[ssl_bc] %[bc_http_major] %[fc_rcvd_proxy] %f %b %s" \
  "\" trace_id=\"%[var(txn.spantap),lua.spantap_result]\"]"
enum result_field {
  RESULT_STATUS,      /* -1: none was sent */
  RESULT_TERMINATION, /* two letters: who ended the stream, and in which state */
  RESULT_RETRIES,     /* with a + in front: on another server, finally */
  RESULT_REQUEST_MS,  /* from the request's first byte to its headers' end */
  RESULT_QUEUE_MS,    /* -1: no server was reached for, also the next two */
  RESULT_CONNECT_MS,
  RESULT_RESPONSE_MS,
  RESULT_BYTES_OUT,
  RESULT_BYTES_IN,
  RESULT_CLIENT_ADDRESS,
  RESULT_CLIENT_PORT,
  RESULT_FRONTEND_PORT,
  RESULT_SOURCE_PORT, /* of the connection to the server; - without one, also the next four */
  RESULT_SERVER_ADDRESS,
  RESULT_SERVER_PORT,
  RESULT_SERVER_TLS,
  RESULT_SERVER_MAJOR,
  RESULT_PROXY_PROTOCOL, /* 1: the client is not who connected */
  RESULT_FRONTEND,
  RESULT_BACKEND, /* the frontend itself: HAProxy answered */
  RESULT_SERVER,  /* <NOSRV>, <STATS> ...: none */
  RESULT_COUNT
};

#endif /* SPANTAP_PACKAGING_HAPROXY_FORMATS_H_ */
