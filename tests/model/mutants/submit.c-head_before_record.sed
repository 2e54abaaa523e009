# The head is published before the record is written.
s|^  uint32_t bytes = handoff_put_span\(span, to, handoff_ring_window\(&producer->ring\)\);|  uint32_t bytes = handoff_span_bytes(span); if (bytes > handoff_ring_window(\&producer->ring)) bytes = 0;|
s|^  handoff_ring_publish\(&producer->ring, bytes\);|  handoff_ring_publish(\&producer->ring, bytes); handoff_put_span(span, to, bytes);|
