/* SPDX-License-Identifier: Apache-2.0
 *
 * The shortest useful program: one request's span, as a child of the traceparent that came with it. Waits for the agent
 * only because it has nothing else to do; a proxy would not. Built and run by tests/e2e/test_abi.py.
 * Usage: example SOCKET [TRACEPARENT]
 */
#include <spantap/spantap.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int argc, char** argv) {
  spantap_options options = SPANTAP_OPTIONS_INIT;
  spantap_client* client;
  spantap_producer* producer;
  spantap_context parent = {{0}, {0}, 0, 0, {0}}, context;
  spantap_span span = SPANTAP_SPAN_INIT;
  spantap_str route = SPANTAP_STR("/items/{id}"), name = SPANTAP_STR("GET /items/{id}");
  spantap_attr attrs[] = {{SPANTAP_KEY_HTTP_ROUTE, SPANTAP_STRING, 0, {0, 0}, {{0, 0}}},
                          {SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, SPANTAP_INT, 0, {0, 0}, {{0, 0}}}};
  char header[SPANTAP_TRACEPARENT_SIZE + 1] = "";
  int tries;
  if (argc < 2) return 2;
  options.socket.data = argv[1];
  options.socket.size = strlen(argv[1]);
  if (spantap_open(&options, &client) != SPANTAP_OK || spantap_producer_open(client, &producer) != SPANTAP_OK) return 1;
  for (tries = 0; tries < 300 && spantap_attach(producer) != SPANTAP_OK; ++tries) {
    struct timespec pause = {0, 10000000};
    nanosleep(&pause, NULL);
  }
  if (argc > 2) {
    spantap_str traceparent;
    traceparent.data = argv[2];
    traceparent.size = strlen(argv[2]);
    (void)spantap_extract(traceparent, &parent); /* malformed: a new trace */
  }
  (void)spantap_sample(producer, &parent, &context);
  (void)spantap_inject(&context, header, sizeof(header)); /* what goes upstream */
  attrs[0].value.s = route;
  attrs[1].value.i = 200;
  span.kind = SPANTAP_SERVER;
  span.context = context;
  memcpy(span.parent_span_id, parent.span_id, sizeof(span.parent_span_id));
  span.parent_is_remote = parent.remote;
  span.start_unix_ns = (uint64_t)time(NULL) * 1000000000u;
  span.end_unix_ns = span.start_unix_ns + 1500000;
  span.name = name;
  span.attrs = attrs;
  span.attr_count = 2;
  printf("%s %s\n", header, spantap_status_text(spantap_submit(producer, &span)));
  spantap_producer_close(producer);
  spantap_close(client);
  return 0;
}
