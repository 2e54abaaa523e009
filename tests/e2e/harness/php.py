# SPDX-License-Identifier: Apache-2.0
"""PHP-FPM behind nginx: FastCGI over a Unix socket or TCP, a connection a request or kept ones.

The script, unless another is given, answers by its path and calls a backend, to which it forwards nothing.
"""
import os

from . import tools
from .env import need, wait_until

SECRET = "hunter2"  # a parameter that no request sent
# /ok/N calls the backend; /moved, /missing, /broken (an error log line and a 500), /large, /echo answer themselves.
SCRIPT = """<?php
$path = strtok($_SERVER['REQUEST_URI'], '?');
switch (explode('/', $path)[1]) {
    case 'moved': header('Location: /elsewhere'); break;
    case 'missing': http_response_code(404); echo 'no'; break;
    case 'broken': error_log('a line for the log'); http_response_code(500); echo 'oops'; break;
    case 'large': echo str_repeat('0123456789abcdef', (int) explode('/', $path)[2] / 16); break;
    case 'echo': echo strlen(file_get_contents('php://input')); break;
    default: echo file_get_contents('http://127.0.0.1:' . getenv('BACKEND_PORT') . $path);
}
"""

_NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 300s;
  client_body_temp_path {root}/body; fastcgi_temp_path {root}/fastcgi; proxy_temp_path {root}/proxy;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  upstream php {{ server {address}; {keep_upstream} }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      fastcgi_pass php; fastcgi_keep_conn {keep}; include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME {root}/script.php; fastcgi_param SECRET_OF_THE_SITE {secret};
    }}
  }}
}}
"""

_POOL = """
[global]
error_log = {root}/fpm.err
daemonize = no
[pool]
user = nobody
group = nogroup
listen = {address}
listen.mode = 0666
listen.backlog = 1024
pm = static
pm.max_children = {children}
clear_env = no
"""


class Php:
    """`.port` is nginx's; `.nginx` and `.fpm` are processes. `settings` is the script's environment: BACKEND_PORT for
    the one that is here."""

    def __init__(self, env, settings, script=SCRIPT, port=None, unix=True, keep=False, children=4, options=()):
        need("php-fpm8.2", "make deps, or package php8.2-fpm")
        self.port, root = port or env.free_port(), env.tmp / "php"
        for folder in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "script.php").write_text(script)
        address = root / "fpm.sock" if unix else f"127.0.0.1:{env.free_port()}"
        values = {"root": root, "secret": SECRET, "port": self.port, "keep": "on" if keep else "off", "children": children,
                  "keep_upstream": f"keepalive {children};" if keep else ""}
        pool = env.write("fpm.conf", _POOL.format(address=address, **values))
        self.fpm = env.start("php-fpm", ["php-fpm8.2", "-n", *options, "-y", pool, "--allow-to-run-as-root"],
                             port=None if unix else int(address.split(":")[1]), env=settings)
        if unix:
            wait_until(lambda: os.path.exists(address), 10, "the socket of php-fpm")
        conf = env.write("nginx.conf", _NGINX.format(address=f"unix:{address}" if unix else address, **values))
        self.nginx = env.start("nginx", [tools.system("nginx"), "-p", root, "-c", conf, "-e", root / "nginx.err"],
                               port=self.port)
