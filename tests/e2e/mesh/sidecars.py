# SPDX-License-Identifier: Apache-2.0
"""Envoy as Istio configures it: a sidecar with an inbound and several outbound listeners, and a gateway.

Each traces for itself at 100 %: it continues a traceparent that comes, and mints one where none does. Spans of its own
go to `tracer_port`. With `tls`, a harness.certificates.Certificates, what goes between two Envoys is mTLS; what goes
between an Envoy and its application never is.
"""
import dataclasses
import json
import pathlib

from harness import tools

INBOUND_SOURCE = "127.0.0.6"  # what an application sees as its peer


@dataclasses.dataclass(frozen=True)
class Listener:
    side: str           # "in", "out" or "gateway"
    port: int
    upstream: int
    upstream_tls: bool = False

    @property
    def tls(self):
        return self.side == "in"


def _type(name):
    return f"type.googleapis.com/envoy.{name}"


def _address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


class Proxy:
    """One Envoy. `listeners`: what it listens on and where each leads."""

    def __init__(self, env, name, listeners, tracer_port, tls=None):
        self.name, self._tls, self._listeners = name, tls, listeners
        self.log_path = env.tmp / f"{name}-access.log"
        path = env.write(f"{name}.json", json.dumps(self._config(tracer_port), indent=1))
        self.process = env.start(
            name, [tools.envoy(), "-c", path, "--use-dynamic-base-id", "--concurrency", 1, "--disable-hot-restart",
                   "-l", "warning", "--file-flush-interval-msec", 500, "--service-cluster", name,
                   "--service-node", name],
            port=listeners[0].port, env={"OTEL_SERVICE_NAME": name})
        self.pid = self.process.pid

    def access_log(self):
        """What it passed on, as dicts, each connection's requests in order. Complete when it has ended."""
        text = pathlib.Path(self.log_path).read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines()]

    def _config(self, tracer_port):
        clusters = [self._cluster(listener) for listener in self._listeners]
        clusters.append(self._plain_cluster("tracer", tracer_port))
        return {
            "node": {"id": self.name, "cluster": self.name},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": {
                "tracing": {"opentelemetry": {"flush_interval_ms": 500, "min_flush_spans": 256}}}}]},
            "static_resources": {"listeners": [self._listener(one, tracer_port) for one in self._listeners],
                                 "clusters": clusters}}

    def _listener(self, listener, tracer_port):
        chain = {"filters": [{"name": "http", "typed_config": self._manager(listener, tracer_port)}]}
        if self._tls and listener.tls:
            chain["transport_socket"] = {"name": "tls", "typed_config": {
                "@type": _type("extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
                "require_client_certificate": True, "common_tls_context": self._tls_context(self._tls.server())}}
        return {"name": f"{listener.side}{listener.port}", "address": _address(listener.port),
                "traffic_direction": "INBOUND" if listener.side == "in" else "OUTBOUND", "filter_chains": [chain]}

    def _tls_context(self, pair):
        chain, key = pair
        return {"alpn_protocols": ["istio"],
                "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}],
                "validation_context": {"trusted_ca": {"filename": str(self._tls.ca)}}}

    def _manager(self, listener, tracer_port):
        return {
            "@type": _type("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": listener.side, "codec_type": "HTTP1", "generate_request_id": True,
            "use_remote_address": listener.side == "gateway", "stream_idle_timeout": "0s",
            "access_log": [{"name": "file", "typed_config": {
                "@type": _type("extensions.access_loggers.file.v3.FileAccessLog"), "path": str(self.log_path),
                "log_format": {"json_format": {
                    "side": listener.side, "port": str(listener.port), "path": "%REQ(:PATH)%",
                    "status": "%RESPONSE_CODE%", "traceparent": "%REQ(TRACEPARENT)%",
                    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "upstream_local_port": "%UPSTREAM_LOCAL_PORT%"}}}}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": f"up{listener.port}", "timeout": "30s"}}]}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": _type("extensions.filters.http.router.v3.Router")}}],
            "tracing": {
                "random_sampling": {"value": 100}, "spawn_upstream_span": listener.side == "gateway",
                "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": {
                    "@type": _type("config.trace.v3.OpenTelemetryConfig"), "service_name": self.name,
                    "http_service": {"http_uri": {"uri": f"http://127.0.0.1:{tracer_port}/v1/traces",
                                                  "cluster": "tracer", "timeout": "5s"}}}}}}

    def _cluster(self, listener):
        cluster = self._plain_cluster(f"up{listener.port}", listener.upstream)
        if listener.side == "in":
            cluster["upstream_bind_config"] = {"source_address": _address(0, INBOUND_SOURCE)["socket_address"]}
        if self._tls and listener.upstream_tls:
            cluster["transport_socket"] = {"name": "tls", "typed_config": {
                "@type": _type("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                "common_tls_context": self._tls_context(self._tls.client())}}
        return cluster

    def _plain_cluster(self, name, port):
        return {
            "name": name, "type": "STATIC", "connect_timeout": "2s",
            "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 65536,
                                                 "max_requests": 65536}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _address(port)}}]}]}}
