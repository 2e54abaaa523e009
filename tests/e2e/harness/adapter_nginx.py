# SPDX-License-Identifier: Apache-2.0
"""nginx with the spantap module: a reverse proxy of one upstream, or whatever `locations` and `http` say.

`variant`: "module" (loaded, every request traced), "off" (loaded, nothing traced), "none" (not loaded, `http` and
`locations` must not use it). `http` goes into http {}, `extra` into its server {}, `locations` before the location of
the upstream; `upstream_port` None leaves that out.
"""
import os
import signal

from .env import REPO, Fail, wait_until
from .proxies import Nginx

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
