# SPDX-License-Identifier: Apache-2.0
"""The real OpenTelemetry Collector: OTLP/HTTP in, OTLP/HTTP out to a sink, its own counters.

The pipeline is otlp receiver -> otlphttp exporter, synchronous (no queue), so what the sink has is what
the Collector accepted. Its counters come from its Prometheus endpoint.
"""
import re
import urllib.request

from . import tools


def _receiver(name, http, grpc, tls):
    """One otlp receiver; `tls`: lines of its tls setting."""
    text = f"  {name}:\n    protocols:\n"
    for protocol, port in (("http", http), ("grpc", grpc)):
        text += f"      {protocol}:\n        endpoint: 127.0.0.1:{port}\n"
        if tls:
            text += "        tls:\n" + "".join(f"          {line}\n" for line in tls)
    return text


class Collector:
    """`certificates` (harness/certificates.py): listens with TLS and with mTLS, too."""

    def __init__(self, env, sink, name="otelcol", port=None, certificates=None):
        self.port = port or env.free_port()
        self._metrics_port = env.free_port()
        self.ports = {("http", "plain"): self.port, ("grpc", "plain"): env.free_port()}
        receivers = _receiver("otlp", self.port, self.ports["grpc", "plain"], [])
        names = ["otlp"]
        for security in ("tls", "mtls") if certificates else ():
            self.ports.update({("http", security): env.free_port(), ("grpc", security): env.free_port()})
            certificate, key = certificates.server()
            tls = [f"cert_file: {certificate}", f"key_file: {key}"]
            if security == "mtls":
                tls.append(f"client_ca_file: {certificates.ca}")
            names.append(f"otlp/{security}")
            receivers += _receiver(names[-1], self.ports["http", security], self.ports["grpc", security], tls)
        path = env.write(f"{name}.yaml", f"""
receivers:
{receivers}
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
      receivers: [{", ".join(names)}]
      exporters: [otlphttp, debug]
""")
        self.process = env.start(name, [tools.otelcol(), "--config", path], port=self.port)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def counter(self, name, **labels):
        """One of the Collector's own counters, summed over all label sets that have `labels`; 0 if it never counted."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        text = urllib.request.urlopen(url, timeout=5).read().decode()
        pattern = rf"^{re.escape(name)}(?:_total)?(?:{{([^}}]*)}})? ([0-9.e+]+)$"
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return int(sum(float(value) for found, value in re.findall(pattern, text, re.MULTILINE)
                       if all(label in found for label in wanted)))
