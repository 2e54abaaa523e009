# SPDX-License-Identifier: Apache-2.0
"""nginx with the spantap module, and a rig of all that its tests need (`Rig`).

`NginxWithAdapter`: a reverse proxy of one upstream, or whatever `locations` and `http` say.

`variant`: "module" (loaded, every request traced), "off" (loaded, nothing traced), "none" (not loaded, `http` and
`locations` must not use it). `http` goes into http {}, `extra` into its server {}, `locations` before the location of
the upstream; `upstream_port` None leaves that out.
"""
import os
import signal
import socket
import time

from . import load
from .env import REPO, Fail, check, check_equal, wait_until
from .origin import Origin
from .proxies import Nginx
from .sink import OtlpSink
from .spantap import Agent

MODULE = REPO / "build" / "lib" / "ngx_http_spantap_module.so"


class NginxWithAdapter(Nginx):
    def __init__(self, env, upstream_port, socket, variant="module", name="nginx", workers=1, http="", locations="",
                 main="", context="propagate", service=None, log=True, extra="", port=None, body=None):
        if variant != "none" and not MODULE.exists():
            raise Fail(f"{MODULE} is not built (make adapter-nginx)")
        self._parts = (variant, socket, context, service or name, http, locations, main)
        super().__init__(env, upstream_port, name=name, workers=workers, log=log, extra=extra, port=port, body=body)
        self._config_path = env.tmp / f"{name}.conf"
        self.count = workers
        wait_until(lambda: len(self.workers()) == workers, 10, "nginx's workers", interval=0.005)
        if variant == "module" and os.path.exists(socket):
            self.wait_attached()

    def _config(self, *args):
        variant, socket, context, service, http, locations, main = self._parts
        text = super()._config(*args)
        head, inside = main + "\n", http + "\n"
        if variant != "none":
            head += f"load_module {MODULE};\n"
            inside += f"spantap_exporter {{ socket {socket}; }}\nspantap_service_name {service};\n"
            inside += "spantap_trace off;\n" if variant == "off" else \
                f"spantap_trace on;\nspantap_trace_context {context};\n"
        text = head + text.replace("http {\n", "http {\n" + inside, 1)
        at = text.find("    location ")
        return text[:at] + locations + "\n" + text[at:] if at >= 0 else text.replace("  }\n}\n", locations + "  }\n}\n")

    def workers(self):
        """Process ids of the children that run as workers and do not shut down."""
        found = []
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            for pid in children.read().split():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as title:
                        if b"worker process" in (text := title.read()) and b"shutting down" not in text:
                            found.append(int(pid))
                except OSError:
                    pass
        return found

    def wait_attached(self, seconds=5.0):
        """Until every worker has a ring of the agent's."""
        def attached(pid):
            with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
                return "memfd:spantap-ring" in maps.read()
        wait_until(lambda: all(attached(pid) for pid in self.workers()), seconds, "rings of nginx's workers", 0.005)

    def reload(self, seconds=10.0):
        """SIGHUP; returns when as many new workers are there, and the old ones take no more connections."""
        before = set(self.workers())
        self.process.send(signal.SIGHUP)
        wait_until(lambda: len(now := set(self.workers())) == self.count and not now & before, seconds,
                   "new workers after a reload", interval=0.005)

    def change(self, old, new):
        """Changes the configuration's text, for the next reload."""
        text = self._config_path.read_text()
        if old not in text:
            raise Fail(f"{old!r} is not in nginx's configuration")
        self._config_path.write_text(text.replace(old, new))

    def stop(self, graceful=False, seconds=10.0):
        return self.process.stop(seconds, signal.SIGQUIT if graceful else signal.SIGTERM)

    def kill9(self):
        workers = self.workers()
        self.process.kill()
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Rig:
    """A sink, an agent, an upstream, and one nginx before it."""

    def __init__(self, env, agent=True, origin=True, keep="spans"):
        self.env, self.sink = env, OtlpSink(env, keep=keep)
        folder = env.tmp / "run"
        folder.mkdir(mode=0o755)
        self.socket = folder / "agent.sock"
        self.agent = self.start_agent() if agent else None
        self.origin = Origin(env) if origin else None
        self.nginx = None

    def start_agent(self):
        return Agent(self.env, "--socket", self.socket, "--endpoint", self.sink.endpoint,
                     "--batch-delay", "15ms")

    def start(self, upstream=True, **options):
        self.nginx = NginxWithAdapter(self.env, self.origin.port if upstream else None, self.socket, **options)
        return self.nginx

    def get(self, path, *headers, **options):
        request = load.Request(path, headers=tuple(headers), close=True, **options)
        load.run(self.nginx.port, [request])
        return request

    def spans(self, count):
        """The next `count` spans, and that there are no more."""
        spans = self.sink.wait_spans(count)
        time.sleep(0.03)
        check_equal(self.sink.span_count, count, f"spans {[(s['kind'], s['name']) for s in self.sink.snapshot()]}")
        self.sink.clear()
        return spans

    def one(self):
        return self.spans(1)[0]

    def end(self):
        """nginx ends at once, and no span is lost."""
        start = time.monotonic()
        check_equal(self.nginx.stop(graceful=True), 0, "nginx's exit code")
        took = time.monotonic() - start
        check(took < 3, f"nginx took {took:.2f} s to end")
        check("[alert]" not in self.nginx.process.output(), "alerts in nginx's log:\n" + self.nginx.process.tail(5))
        ledger = self.agent.stop()
        check_equal((ledger["dropped"], ledger.get("handoff_quarantined", 0)), (0, 0), "dropped, quarantined")
        return ledger


def of_kind(spans, kind):
    return [s for s in spans if s["kind"] == kind]


def server_of(spans):
    found = of_kind(spans, "SERVER")
    check_equal(len(found), 1, "server spans")
    return found[0]


def raw(port, data, end=None, wait=3.0):
    """Sends bytes, reads until the peer closes (or `end` has come), returns what came."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        connection.sendall(data)
        try:
            while part := connection.recv(65536):
                got += part
                if end and end in got:
                    break
        except (ConnectionResetError, TimeoutError):
            pass
    return got
