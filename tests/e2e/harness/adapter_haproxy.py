# SPDX-License-Identifier: Apache-2.0
"""HAProxy with spantap_haproxy.lua, set up like Debian's: master and worker, chroot, user haproxy, logs; or without.

`variant`: "module"; "off" (loaded, SPANTAP_MODE=off); "none" (nothing of spantap in the configuration).
The socket has to lie two folders below the chroot that is made of it: CHROOT/run/agent.sock, as in an installation.
Routes: /dead/ to a port where nobody listens, /move/ from such a server to the upstream by redispatch, /late/ with a
server timeout of 300 ms, /single/ one request at a time, /none/ without a server, /direct/ answered by HAProxy,
/denied/ refused, /limited/ one request of a path in ten seconds, /quiet/ not logged, everything else to the upstream. HTTP/1.1 on .port, HTTP/2 without TLS on .h2_port.
"""
import os
import pathlib
import signal
import subprocess
import time

from . import tools
from .env import REPO, wait_until

LIBRARIES = REPO / "build" / "lib"
SCRIPT = LIBRARIES / "spantap_haproxy.lua"
EXAMPLE = REPO / "packaging" / "haproxy" / "haproxy.cfg"
RULES = "".join(line + "\n" for line in EXAMPLE.read_text().splitlines()
                if line.strip().startswith(("http-request", "log-format-sd")))  # those of the example, and no others


class HaproxyWithAdapter:
    """`settings`: SPANTAP_* for setenv. `log_port`: of a UDP socket that gets RFC 5424 lines."""

    def __init__(self, env, upstream_port, socket=None, variant="module", threads=2, name="haproxy", service="haproxy",
                 port=None, settings=None, log_port=None, rules=RULES, extra=""):
        self.port, self.h2_port = port or env.free_port(), env.free_port()
        self._env, self.name = env, name
        self.chroot, inside = self._below(env, socket)
        options = {"SPANTAP_SOCKET": inside, "SPANTAP_SERVICE_NAME": service}
        if variant == "off":
            options["SPANTAP_MODE"] = "off"
        options.update(settings or {})
        self._o = dict(upstream=upstream_port, threads=threads, settings=options, on=variant != "none", rules=rules,
                       log_port=log_port, extra=extra, dead=env.free_port())
        self.config = env.write(f"{name}.cfg", self._text())
        self.process = env.start(name, [tools.system("haproxy"), "-W", "-db", "-f", self.config], port=self.port)
        self.pid = self.process.pid

    @staticmethod
    def _below(env, socket):
        path = pathlib.Path(socket) if socket else env.tmp / "run" / "agent.sock"
        return path.parents[1], "/" + str(path.relative_to(path.parents[1]))

    def workers(self):
        """Those that serve, or still end, requests; a zombie is none of them."""
        return [pid for pid in _children(self.pid) if _state(pid) not in ("Z", "X", "")]

    def reload(self):
        """SIGUSR2; returns when the new worker is there, the old one may still end its requests. A master that is just
        starting itself anew does not hear the signal: it is sent again."""
        before, loaded, asked = set(self.workers()), self._loaded(), 0.0

        def reloaded():
            nonlocal asked
            if time.monotonic() - asked > 2:
                asked = time.monotonic()
                self.process.send(signal.SIGUSR2)
            return set(self.workers()) - before and self._loaded() > loaded

        wait_until(reloaded, 10, f"a new worker of {self.name}")

    def _loaded(self):
        return self.process.output().count("Loading success.")

    def stop(self, seconds=10.0):
        return self.process.stop(seconds)

    def kill9(self):
        for pid in [self.pid, *self.workers()]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(5)

    def _text(self):
        o = self._o
        user = "  user haproxy\n  group haproxy\n" if os.geteuid() == 0 else ""
        chroot = f"  chroot {self.chroot}\n" if os.geteuid() == 0 else ""
        load = "".join(f"  setenv {k} {v}\n" for k, v in o["settings"].items()) + f"  lua-load-per-thread {SCRIPT}\n"
        log = f"127.0.0.1:{o['log_port']} format rfc5424" if o["log_port"] else "127.0.0.1:9"
        level = "info" if o["log_port"] else "emerg"
        up = f"127.0.0.1:{o['upstream']}"
        return f"""global
  log {log} local0 {level}
{chroot}  stats socket {self._env.tmp}/{self.name}.admin mode 660 level admin
  stats timeout 30s
{user}  maxconn 4096
  nbthread {o['threads']}
{load if o['on'] else ''}
defaults
  log global
  mode http
  option httplog
  option dontlognull
  timeout connect 2000
  timeout client 30000
  timeout server 30000
  timeout queue 2000
  retries 1

frontend front
  bind 127.0.0.1:{self.port}
  bind 127.0.0.1:{self.h2_port} proto h2
{o['rules'] if o['on'] else ''}{o['extra']}
  http-request set-log-level silent if {{ path_beg /quiet/ }}
  http-request return status 200 content-type text/plain string direct if {{ path_beg /direct/ }}
  http-request deny if {{ path_beg /denied/ }}
  http-request track-sc0 path table rates if {{ path_beg /limited/ }}
  http-request deny deny_status 429 if {{ path_beg /limited/ }} {{ sc_http_req_rate(0) gt 1 }}
  use_backend dead if {{ path_beg /dead/ }}
  use_backend move if {{ path_beg /move/ }}
  use_backend late if {{ path_beg /late/ }}
  use_backend single if {{ path_beg /single/ }}
  use_backend none if {{ path_beg /none/ }}
  default_backend up

backend up
  http-reuse safe
  server s1 {up}
backend dead
  server gone 127.0.0.1:{o['dead']}
backend move
  option redispatch 1
  balance first
  http-request replace-path /move/(.*) /\\1
  server gone 127.0.0.1:{o['dead']}
  server s1 {up}
backend late
  timeout server 300
  http-request replace-path /late/(.*) /\\1
  server s1 {up}
backend single
  http-request replace-path /single/(.*) /\\1
  server s1 {up} maxconn 1
backend none
backend rates
  stick-table type string len 64 size 100 expire 10s store http_req_rate(10s)
"""


def check_configuration(path):
    """(exit code, what HAProxy says) of a configuration that is only read."""
    done = subprocess.run([tools.system("haproxy"), "-c", "-f", str(path)], capture_output=True, text=True, timeout=10,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(word) for word in children.read().split()]
    except OSError:
        return []


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""
