# SPDX-License-Identifier: Apache-2.0
"""Starts PHP-FPM behind nginx: two process trees, FastCGI between them, a script file in the test's folder."""
import os
import shutil

_NGINX = """
daemon off; worker_processes 1; pid {tmp}/nginx.pid; error_log {tmp}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 300s;
  client_body_temp_path {tmp}/body; fastcgi_temp_path {tmp}/fastcgi; proxy_temp_path {tmp}/proxy;
  uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      fastcgi_pass unix:{tmp}/fpm.sock;
      fastcgi_param SCRIPT_FILENAME {script}; fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SERVER_PROTOCOL $server_protocol;
    }}
  }}
}}
"""

_POOL = """
[global]
error_log = {tmp}/fpm.err
daemonize = no
[shop]
user = nobody
group = nogroup
listen = {tmp}/fpm.sock
listen.mode = 0666
listen.backlog = 1024
pm = static
pm.max_children = {children}
clear_env = no
"""


def start(env, server, settings, out):
    script = env.tmp / "fpm.php"
    shutil.copy(server.argv(out)[-1], script)
    script.chmod(0o644)
    values = {"tmp": env.tmp, "port": settings["LISTEN_PORT"], "script": script, "children": 32}
    pool = env.write("fpm.conf", _POOL.format(**values))
    fpm = env.start("php-fpm", ["php-fpm8.2", "-n", "-d", "extension=curl", "-y", pool, "--allow-to-run-as-root"],
                    env={**settings, **server.env})
    nginx = env.start("nginx", ["nginx", "-p", env.tmp, "-c", env.write("nginx.conf", _NGINX.format(**values))],
                      port=int(settings["LISTEN_PORT"]))
    for _ in range(100):
        if os.path.exists(env.tmp / "fpm.sock"):
            return [nginx.pid, fpm.pid]
        fpm.wait(0.1)
    raise AssertionError("php-fpm did not make its socket")
