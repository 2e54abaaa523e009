# SPDX-License-Identifier: Apache-2.0
"""A fake collector in a process of its own (tests/e2e/fake_collector), and the addresses it serves.

One process may serve several, one after another or at once. Use each FakeCollector from one thread at a time.
"""
import contextlib
import json
import socket
import sys

from .env import REPO, Fail, wait_until


class FakeCollector:
    def __init__(self, env, name="fake_collector"):
        path = env.tmp / f"{name}.sock"
        self.process = env.start(name, [sys.executable, "-m", "fake_collector", path], cwd=REPO / "tests" / "e2e")
        wait_until(path.exists, 10, f"the control socket of {name}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._connect(path)
        self._lines = self._socket.makefile("rw")
        env.on_exit(self._socket.close)

    def _connect(self, path):
        def attempt():  # the path is there a moment before the listener
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.connect(str(path))
                return True
            return False

        wait_until(attempt, 5, "the fake collector's control connection")

    def _ask(self, command):
        self._lines.write(json.dumps(command) + "\n")
        self._lines.flush()
        reply = json.loads(self._lines.readline() or '{"error": "it ended"}')
        if "error" in reply:
            raise Fail(f"fake collector, {command['op']}: {reply['error']}")
        return reply

    @contextlib.contextmanager
    def serve(self, script):
        """An Address that behaves as `script` says (fake_collector/README.md) until the end of the block."""
        reply = self._ask({"op": "open", "script": script})
        address = Address(self, reply["id"], reply["port"], script)
        try:
            yield address
        finally:
            address.final = self._ask({"op": "close", "id": reply["id"]})


class Address:
    def __init__(self, process, number, port, script):
        self._process, self._id = process, number
        self.port, self.script = port, script
        self.final = None

    @property
    def endpoint(self):
        if "unix" in self.script:
            return f"unix:{self.script['unix']}"
        return f"{'https' if 'tls' in self.script else 'http'}://127.0.0.1:{self.port}"

    def stats(self):
        return self._process._ask({"op": "stats", "id": self._id})
