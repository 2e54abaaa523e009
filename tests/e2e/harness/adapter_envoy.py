# SPDX-License-Identifier: Apache-2.0
"""Envoy with libspantap_envoy.so, with its own OpenTelemetry tracer, or with none: the same listener otherwise.

`variant`: "module"; "off" (loaded, mode=off); "none" (no tracing at all); "own" (envoy.tracers.opentelemetry to OTLP
on `own_port`, by HTTP or, `own_grpc`, by gRPC).
Routes: /dead/ to a port where nobody listens, /retry/ with two retries, /grpc/ with a grpc-status 14 added to the
response, /direct/ answered by Envoy, /none/ without a route, everything else to the upstream. HTTP/1.1 and HTTP/2.
"""
import json
import os
import signal

from . import tools
from .env import REPO
from .proxies import _envoy_address, _envoy_cluster, _envoy_type, _read_json_log

LIBRARIES = REPO / "build" / "lib"
MODULE = LIBRARIES / "libspantap_envoy.so"
# Tells the agent both ends of both connections; no attribute comes of it.
CONNECTION_TAG = {"tag": "spantap.connection", "value":
                  "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_LOCAL_ADDRESS%"}


class EnvoyWithAdapter:
    """By default a server and a client span a request, by the semantic conventions, so that both name its URL.
    `tracer_config`: the text of a StringValue, or a dict for a Struct; None: built from socket, service, span_style.
    `direction`: of the listener; OUTBOUND makes Envoy call the request's span a client.
    `hot`: (base id, epoch) of a hot restart; the next epoch, on the same port, takes over and ends the one before."""

    def __init__(self, env, upstream_port, socket=None, variant="module", concurrency=1, spawn_upstream_span=True,
                 name="envoy", service="envoy", span_style="otel", tracer_config=None, direction="INBOUND", sampling=100,
                 own_port=None, own_grpc=False, custom_tags=(), decorator=None, log=False, level="warning", port=None,
                 extra_env=None, verbose=False, node="node-1", dead_port=None,
                 connection_tag=True, hot=None):
        self.port = port or env.free_port()
        self.name = name
        files = f"{name}-{hot[1]}" if hot else name
        self._log = env.tmp / f"{files}-access.log"
        if connection_tag and variant == "module":
            custom_tags = [*custom_tags, CONNECTION_TAG]
        if tracer_config is None:
            tracer_config = self.config_text(socket, service, span_style, "off" if variant == "off" else None)
        self._o = dict(variant=variant, upstream=upstream_port, spawn=spawn_upstream_span, service=service, direction=direction,
                       sampling=sampling, own_port=own_port, own_grpc=own_grpc, custom_tags=list(custom_tags),
                       decorator=decorator, log=log, verbose=verbose, tracer_config=tracer_config,
                       dead=dead_port or env.free_port())
        self._listeners = env.tmp / f"{files}-lds.json"
        self._write_listener(0)
        config = env.write(f"{files}.json", json.dumps(self._bootstrap(), indent=1))
        restart = ["--use-dynamic-base-id", "--disable-hot-restart"]
        if hot:
            restart = ["--base-id", hot[0], "--restart-epoch", hot[1], "--parent-shutdown-time-s", 2]
        self.process = env.start(
            name, [tools.envoy(), "-c", config, *restart, "--concurrency", concurrency, "-l", level, "--drain-time-s", "1",
                   "--service-cluster", name, "--service-node", node, "--service-zone", "zone-1"],
            port=self.port, wait=15,
            env={"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(LIBRARIES), **(extra_env or {})})
        self.pid = self.process.pid

    @staticmethod
    def config_text(socket, service=None, span_style=None, mode=None):
        text = f"unix:{socket or '/run/spantap/agent.sock'}"
        for key, value in (("service", service), ("span_style", span_style), ("mode", mode)):
            text += f";{key}={value}" if value else ""
        return text

    def workers(self):
        return [self.pid]

    def worker_threads(self):
        """Thread ids of Envoy's workers."""
        tasks = f"/proc/{self.pid}/task"
        return [int(t) for t in os.listdir(tasks) if open(f"{tasks}/{t}/comm").read().startswith("wrk:")]

    def reload(self, **changes):
        """A changed listener with a tracer of its own; the old one drains for a second. `changes`: tracer_config, for
        instance; what Envoy refuses leaves the old listener in place."""
        self._o.update(changes)
        self._generation += 1
        self._write_listener(self._generation)

    def stop(self, seconds=10.0):
        return self.process.stop(seconds)

    def kill9(self):
        self.process.send(signal.SIGKILL)
        self.process.wait(5)

    def access_log(self):
        return _read_json_log(self._log)

    # -- configuration
    def _write_listener(self, generation):
        self._generation = generation
        resource = {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", **self._listener(generation)}
        temporary = self._listeners.with_suffix(".new")
        temporary.write_text(json.dumps({"version_info": str(generation), "resources": [resource]}))
        os.rename(temporary, self._listeners)

    def _bootstrap(self):
        o = self._o
        clusters = [_envoy_cluster("up", o["upstream"], "60s"), _envoy_cluster("dead", o["dead"], "60s")]
        if o["variant"] == "own":
            clusters.append(_envoy_cluster("otlp", o["own_port"], "60s"))
            if o["own_grpc"]:
                options = next(iter(clusters[-1]["typed_extension_protocol_options"].values()))
                options["explicit_http_config"] = {"http2_protocol_options": {}}
        return {
            "layered_runtime": {"layers": [{"name": "static", "static_layer": {
                "tracing": {"opentelemetry": {"flush_interval_ms": 200, "min_flush_spans": 32}}}}]},
            "dynamic_resources": {"lds_config": {"path_config_source": {
                "path": str(self._listeners), "watched_directory": {"path": str(self._listeners.parent)}}}},
            "static_resources": {"clusters": clusters},
        }

    def _listener(self, generation):
        o = self._o
        manager = {
            "@type": _envoy_type("filters.network.http_connection_manager", "HttpConnectionManager"),
            "stat_prefix": self.name, "codec_type": "AUTO", "generate_request_id": True,
            "stream_idle_timeout": "0s", "delayed_close_timeout": "0.1s",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": self._routes()}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": _envoy_type("filters.http.router", "Router")}}],
        }
        if o["variant"] != "none":
            manager["tracing"] = {
                "random_sampling": {"value": o["sampling"]}, "spawn_upstream_span": o["spawn"],
                "verbose": o["verbose"], "custom_tags": o["custom_tags"],
                "provider": self._provider(generation)}
        if o["log"]:
            manager["access_log"] = [{"name": "file", "typed_config": {
                "@type": _envoy_type("access_loggers.file", "FileAccessLog"), "path": str(self._log),
                "log_format": {"json_format": {
                    "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%", "traceparent": "%REQ(TRACEPARENT)%",
                    "trace_id": "%TRACE_ID%", "request_id": "%REQ(X-REQUEST-ID)%"}}}}]
        return {"name": self.name, "traffic_direction": o["direction"], "address": _envoy_address(self.port),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}

    def _routes(self):
        def to(prefix, cluster, **more):
            route = {"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "5s", **more}}
            if self._o["decorator"]:
                route["decorator"] = {"operation": self._o["decorator"]}
            return route
        grpc = to("/grpc/", "up", prefix_rewrite="/ok/")
        grpc["response_headers_to_add"] = [{"header": {"key": "grpc-status", "value": "14"}},
                                           {"header": {"key": "grpc-message", "value": "away"}}]
        return [to("/dead/", "dead"), grpc,
                to("/retry/", "up", prefix_rewrite="/status/503/", retry_policy={
                    "retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.002s"}}),
                {"match": {"prefix": "/direct/"}, "direct_response": {"status": 200}},
                *[to(f"/{p}/", "up") for p in ("ok", "status", "bytes", "reset", "cut", "delay", "echo", "slow",
                                               "chunked", "nocontent")],
                to("/w", "up")]

    def _provider(self, generation):
        o = self._o
        if o["variant"] == "own":
            service = {"service_name": o["service"]}
            if o["own_grpc"]:
                service["grpc_service"] = {"envoy_grpc": {"cluster_name": "otlp"}, "timeout": "5s"}
            else:
                service["http_service"] = {"http_uri": {"uri": f"http://127.0.0.1:{o['own_port']}/v1/traces",
                                                        "cluster": "otlp", "timeout": "5s"}}
            return {"name": "envoy.tracers.opentelemetry", "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig", **service}}
        config = o["tracer_config"]
        kind = "Struct" if isinstance(config, dict) else "StringValue"
        return {"name": "envoy.tracers.dynamic_modules", "typed_config": {
            "@type": _envoy_type("tracers.dynamic_modules", "DynamicModuleTracer"),
            "dynamic_module_config": {"name": "spantap_envoy", "do_not_close": False},  # it stays all the same
            "tracer_name": f"spantap-{generation}",
            "tracer_config": {"@type": f"type.googleapis.com/google.protobuf.{kind}", "value": config}}}
