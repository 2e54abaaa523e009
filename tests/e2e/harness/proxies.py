# SPDX-License-Identifier: Apache-2.0
"""Envoy, nginx and HAProxy as the tests run them: one listener on loopback, keep-alive both ways.

`routes` is a list of (path prefix, upstream port), first match wins; one int stands for [("/", port)].
Each object has .port, .pid, .process and, where the program writes one, access_log() -> list of dicts
{method, path, status, traceparent, request_id}.
"""
import json
import os

from . import tools


def _routes(routes):
    return [("/", routes)] if isinstance(routes, int) else list(routes)


class Envoy:
    """`tracer_port`: Envoy's own OpenTelemetry tracer at 100 % to OTLP/HTTP on that port. `realtime`: it goes
    before everything else on the machine, for tests that compare times."""

    def __init__(self, env, routes, name="envoy", tracer_port=None, concurrency=1, port=None, idle_timeout="60s",
                 spawn_upstream_span=False, log=True, realtime=False, upstream_connections=4096):
        self.port = port or env.free_port()
        self._log = env.tmp / f"{name}-access.log"
        self._upstream_connections = upstream_connections  # at most, to each port of a route
        config = self._config(_routes(routes), name, tracer_port, idle_timeout, spawn_upstream_span)
        if not log:
            filters = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
            del filters[0]["typed_config"]["access_log"]
        path = env.write(f"{name}.json", json.dumps(config, indent=1))
        self.process = env.start(
            name, [tools.envoy(), "-c", path, "--use-dynamic-base-id", "--concurrency", concurrency,
                   "--disable-hot-restart", "-l", "warning", "--service-cluster", name, "--service-node", name],
            port=self.port, realtime=realtime)
        self.pid = self.process.pid

    def access_log(self):
        return _read_json_log(self._log)

    def _config(self, routes, name, tracer_port, idle_timeout, spawn_upstream_span):
        clusters, route_table = {}, []
        for prefix, port in routes:
            clusters[f"up{port}"] = _envoy_cluster(f"up{port}", port, idle_timeout, self._upstream_connections)
            route_table.append({"match": {"prefix": prefix}, "route": {"cluster": f"up{port}", "timeout": "30s"}})
        manager = {
            "@type": _envoy_type("filters.network.http_connection_manager", "HttpConnectionManager"),
            "stat_prefix": name, "codec_type": "HTTP1", "generate_request_id": True,
            "stream_idle_timeout": "0s", "delayed_close_timeout": "0.1s",
            "access_log": [{"name": "file", "typed_config": {
                "@type": _envoy_type("access_loggers.file", "FileAccessLog"), "path": str(self._log),
                "log_format": {"json_format": {
                    "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
                    "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%",
                    "traceparent": "%REQ(TRACEPARENT)%", "request_id": "%REQ(X-REQUEST-ID)%"}}}}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": route_table}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": _envoy_type("filters.http.router", "Router")}}],
        }
        if tracer_port:
            clusters["otlp"] = _envoy_cluster("otlp", tracer_port, idle_timeout)
            manager["tracing"] = {
                "random_sampling": {"value": 100}, "spawn_upstream_span": spawn_upstream_span,
                "custom_tags": [{"tag": "downstream_port", "value": "%DOWNSTREAM_REMOTE_PORT%"}],
                "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "service_name": name,
                    "http_service": {"http_uri": {"uri": f"http://127.0.0.1:{tracer_port}/v1/traces",
                                                  "cluster": "otlp", "timeout": "5s"}}}}}
        return {
            "node": {"id": name, "cluster": name},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": {
                "tracing": {"opentelemetry": {"flush_interval_ms": 200, "min_flush_spans": 32}}}}]},
            "static_resources": {
                "listeners": [{
                    "name": name, "traffic_direction": "INBOUND", "address": _envoy_address(self.port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}],
                "clusters": list(clusters.values())},
        }


def _envoy_type(package, message):
    return f"type.googleapis.com/envoy.extensions.{package}.v3.{message}"


def _envoy_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_cluster(name, port, idle_timeout, connections=4096):
    return {
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [{"max_connections": connections, "max_pending_requests": 65536,
                                             "max_requests": 65536}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": _envoy_type("upstreams.http", "HttpProtocolOptions"),
            "explicit_http_config": {"http_protocol_options": {}},
            "common_http_protocol_options": {"idle_timeout": idle_timeout}}},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": _envoy_address(port)}}]}]}}


class Nginx:
    """A reverse proxy (`routes`), or an origin: `files` serves a folder, `body` answers 200 with it."""

    def __init__(self, env, routes=None, name="nginx", workers=1, files=None, body=None, port=None, log=True,
                 extra=""):
        self.port = port or env.free_port()
        self._log = env.tmp / f"{name}-access.log"
        root = env.tmp / name
        for folder in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        text = self._config(root, _routes(routes) if routes else [], workers, files, body, log, extra)
        path = env.write(f"{name}.conf", text)
        self.process = env.start(name, [tools.system("nginx"), "-p", root, "-c", path,
                                        "-e", env.tmp / f"{name}-error.log"], port=self.port)
        self.pid = self.process.pid

    def access_log(self):
        return _read_json_log(self._log)

    def _config(self, root, routes, workers, files, body, log, extra):
        upstreams = "".join(
            f"  upstream up{port} {{ server 127.0.0.1:{port} max_fails=0; keepalive 32; }}\n"
            for port in dict.fromkeys(port for _, port in routes))
        locations = "".join(
            f"    location {prefix} {{ proxy_pass http://up{port}; proxy_http_version 1.1;"
            f" proxy_set_header Connection \"\"; proxy_set_header Host $http_host;"
            f" proxy_request_buffering off; proxy_buffering on; proxy_next_upstream off; }}\n"
            for prefix, port in routes)
        if files:
            locations += f"    location / {{ root {files}; }}\n"
        elif body is not None:
            locations += f"    location / {{ default_type text/plain; return 200 '{body}'; }}\n"
        user = "user root;\n" if os.geteuid() == 0 else ""
        access = f"{self._log} json" if log else "off"
        return f"""{user}daemon off;
worker_processes {workers};
pid {root}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  log_format json escape=json '{{"method":"$request_method","path":"$request_uri","status":$status,'
                              '"traceparent":"$http_traceparent","request_id":"$http_x_request_id",'
                              '"upstream":"$upstream_addr"}}';
  access_log {access};
  client_max_body_size 0; keepalive_requests 1000000; keepalive_timeout 60s;
{upstreams}  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    {extra}
{locations}  }}
}}
"""


class HAProxy:
    def __init__(self, env, routes, name="haproxy", port=None):
        self.port = port or env.free_port()
        self._routes = _routes(routes)
        path = env.write(f"{name}.cfg", self._config())
        self.process = env.start(name, [tools.system("haproxy"), "-db", "-f", path], port=self.port,
                                 stdout_path=env.tmp / f"{name}.out")
        self.pid = self.process.pid

    def access_log(self):
        entries = []
        for line in self.process.stdout().splitlines():
            if line.startswith("{"):
                entries.append(json.loads(line))
        return entries

    def _config(self):
        uses = "".join(f"  use_backend up{port} if {{ path_beg {prefix} }}\n" for prefix, port in self._routes)
        backends = "".join(
            f"backend up{port}\n  http-reuse safe\n  server s 127.0.0.1:{port}\n"
            for port in dict.fromkeys(port for _, port in self._routes))
        log = ('log-format {"method":"%HM","path":"%[capture.req.uri]","status":%ST,'
               '"traceparent":"%[capture.req.hdr(0)]","request_id":"%[capture.req.hdr(1)]","state":"%ts"}')
        return f"""global
  maxconn 4096
  nbthread 1
  log stdout format raw local0
defaults
  mode http
  log global
  option dontlognull
  option abortonclose
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  retries 0
frontend f
  bind 127.0.0.1:{self.port}
  capture request header traceparent len 64
  capture request header x-request-id len 64
  {log.replace('"', chr(92) + '"').replace(' ', chr(92) + ' ').replace('log-format' + chr(92), 'log-format')}
{uses}  default_backend up{self._routes[-1][1]}
{backends}"""


def _read_json_log(path):
    """Access log lines as dicts. Missing values are '-' or empty in the files, '' here."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        entries.append({k: "" if v in (None, "-") else v for k, v in entry.items()})
    return entries
