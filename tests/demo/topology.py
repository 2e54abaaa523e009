# SPDX-License-Identifier: Apache-2.0
"""The demo's seven processes on loopback, and the configuration files of its four proxies.

    gateway ─► frontend-proxy ─► frontend ─► orders-proxy ─► orders ─► stock-proxy ─► stock
    Envoy      nginx             Python      Envoy           Python    HAProxy        Python

Every process gets its name as OTEL_SERVICE_NAME, as it would from a pod's environment. Where Envoy is not installed
nginx takes its place. Files and processes belong to the Env (tests/e2e/harness) that they are started with.
"""
import os
import pathlib
import shutil
import sys

from harness import Skip, tools

HERE = pathlib.Path(__file__).resolve().parent

ENVOY = """
admin: {{}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: next}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: next
    type: STATIC
    load_assignment:
      cluster_name: next
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {next_port}}}}}}}
"""

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/{name}.body;
    proxy_temp_path {folder}/{name}.proxy;
    fastcgi_temp_path {folder}/{name}.fastcgi;
    uwsgi_temp_path {folder}/{name}.uwsgi;
    scgi_temp_path {folder}/{name}.scgi;
    upstream next {{
        server 127.0.0.1:{next_port};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
frontend {name}
    bind 127.0.0.1:{port}
    default_backend next
backend next
    server next 127.0.0.1:{next_port}
"""


class Topology:
    def __init__(self, env):
        self.env = env
        self.services = []      # names, from the entry to the last
        self.processes = {}     # name -> harness.Process
        self.ports = {}
        try:
            self.envoy = tools.envoy()
        except Skip:
            self.envoy = None   # nginx takes its place

    def start(self):
        """Starts everything, the last service first, so that nobody meets a closed port."""
        self._app("stock")
        self._proxy("stock-proxy", "haproxy", "stock")
        self._app("orders", "stock-proxy")
        self._proxy("orders-proxy", "envoy", "orders")
        self._app("frontend", "orders-proxy")
        self._proxy("frontend-proxy", "nginx", "frontend")
        self._proxy("gateway", "envoy", "frontend-proxy")
        self.services.reverse()

    def kind(self, wanted):
        return "nginx" if wanted == "envoy" and self.envoy is None else wanted

    def _run(self, name, argv):
        variables = {"OTEL_SERVICE_NAME": name}
        self.processes[name] = self.env.start(name, argv, port=self.ports[name], env=variables)
        self.services.append(name)

    def _app(self, role, next_name=None):
        self.ports[role] = self.env.free_port()
        argv = [sys.executable, HERE / "service.py", role, "--port", self.ports[role]]
        self._run(role, argv + (["--next-port", self.ports[next_name]] if next_name else []))

    def _proxy(self, name, wanted, next_name):
        self.ports[name] = self.env.free_port()
        kind = self.kind(wanted)
        template = {"envoy": ENVOY, "nginx": NGINX, "haproxy": HAPROXY}[kind]
        config = self.env.write(f"{name}.conf" if kind != "envoy" else f"{name}.yaml",
                                template.format(name=name, port=self.ports[name], next_port=self.ports[next_name],
                                                folder=self.env.tmp))
        self._run(name, {
            "envoy": [self.envoy, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c", config],
            "nginx": [tools.system("nginx"), "-e", "stderr", "-c", config],
            "haproxy": [tools.system("haproxy"), "-db", "-f", config],
        }[kind])
