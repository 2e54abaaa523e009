# SPDX-License-Identifier: Apache-2.0
"""The real OpenTelemetry Collector: OTLP/HTTP in, OTLP/HTTP out to a sink, its own counters.

The pipeline is otlp receiver -> otlphttp exporter, synchronous (no queue), so what the sink has is what
the Collector accepted. Its counters come from its Prometheus endpoint.
"""
import re
import urllib.request

from . import tools


class Collector:
    def __init__(self, env, sink, name="otelcol", port=None):
        self.port = port or env.free_port()
        self._metrics_port = env.free_port()
        path = env.write(f"{name}.yaml", f"""
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{self.port}
exporters:
  otlphttp:
    endpoint: {sink.endpoint}
    compression: none
    sending_queue:
      enabled: false
  debug:
service:
  telemetry:
    metrics:
      level: detailed
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: {self._metrics_port}
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlphttp, debug]
""")
        self.process = env.start(name, [tools.otelcol(), "--config", path], port=self.port)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def counter(self, name):
        """Sum over all label sets of one of the Collector's own counters; 0 if it never counted."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        text = urllib.request.urlopen(url, timeout=5).read().decode()
        pattern = rf"^{re.escape(name)}(?:_total)?(?:{{[^}}]*}})? ([0-9.e+]+)$"
        return int(sum(float(value) for value in re.findall(pattern, text, re.MULTILINE)))
