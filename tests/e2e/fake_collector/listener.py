# SPDX-License-Identifier: Apache-2.0
"""One address and what happens on it: listening, not listening, accepting and not, flapping; TLS; the script.

A thread accepts, one more serves each connection. close() ends them all; nothing outlives it.
"""
import contextlib
import os
import socket
import ssl
import struct
import threading
import time

from . import http1, http2
from .account import Account


class Closed(Exception):
    """The peer or close() ended the connection."""


class Link:
    """A connection as the protocols see it."""

    def __init__(self, listener, sock):
        self.listener, self.sock = listener, sock
        self.account, self.script = listener.account, listener.script
        self._answering = threading.Lock()
        self._over = False

    @contextlib.contextmanager
    def answering(self):
        """Held while an acknowledgement is counted and written, so that flapping never comes between the two."""
        with self._answering:
            if self._over:
                raise Closed
            yield

    def end(self):
        """No answer from now on. Only our half is closed: a reset could overtake the last answer."""
        with self._answering, contextlib.suppress(OSError):
            self._over = True
            self.sock.shutdown(socket.SHUT_WR)

    def receive(self, size=65536, seconds=None):
        """Bytes, never none of them. None after `seconds`."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(size)
        except (socket.timeout, ssl.SSLWantReadError):
            return None
        except OSError:
            raise Closed from None
        if not data:
            raise Closed
        return data

    def send(self, data):
        self.sock.settimeout(None)
        try:
            self.sock.sendall(data)
        except OSError:
            raise Closed from None

    def sleep(self, seconds):
        if self.listener.closing.wait(seconds):
            raise Closed

    def stall(self):
        """Says and reads nothing more until the peer goes away."""
        while not self.listener.closing.is_set():
            self.receive(seconds=0.5)

    def hold(self):
        """As stall(), but does not even read: the peer's window closes. Ends with the listener, or the peer's end."""
        while True:
            self.sleep(0.05)
            with contextlib.suppress(OSError):
                # The state TCP_CLOSE(7) follows the peer's reset, CLOSE_WAIT(8) its end.
                if self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (7, 8):
                    raise Closed

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if isinstance(self.sock, ssl.SSLSocket):
            socket.socket(fileno=self.sock.detach()).close()
        else:
            self.sock.close()
        raise Closed

    def next_act(self):
        return self.listener.next_act()


class Listener:
    def __init__(self, script):
        self.script = script
        self.account = Account()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._acts = list(script.get("acts", [{"do": "ok"}]))
        self._links, self._threads, self._fillers = set(), [], []
        self._server = None
        self.port = 0
        self._tls = self._context(script["tls"]) if "tls" in script else None
        mode = script.get("listen", "normal")
        self._listen(backlog=0 if mode == "full" else 128)
        if mode == "refused":
            self._server.close()
        elif mode == "full":
            self._fill()
        else:
            self._start(self._flap if "flap_ms" in script else self._accept)

    def _context(self, tls):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["cert"], tls["key"])
        if "client_ca" in tls:
            context.load_verify_locations(tls["client_ca"])
            context.verify_mode = ssl.CERT_REQUIRED
        if tls.get("max_version") == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(tls.get("alpn", ["h2"] if self.script.get("protocol") == "grpc" else ["http/1.1"]))
        return context

    def _listen(self, backlog=128):
        if "unix" in self.script:
            self._server = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.script["unix"])
            self._server.bind(self.script["unix"])
        else:
            self._server = socket.socket()
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._server.bind(("127.0.0.1", self.port))
            self.port = self._server.getsockname()[1]
        self._server.settimeout(0.02)
        self._server.listen(backlog)

    def _fill(self):
        """Connections until the queue of those to be accepted is full: the next one's SYN gets no answer."""
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def _start(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def next_act(self):
        with self._lock:
            return self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]

    def _accept(self, until=None):
        while not self.closing.is_set() and (until is None or time.monotonic() < until):
            try:
                sock = self._server.accept()[0]
            except (socket.timeout, BlockingIOError):
                continue
            except OSError:
                return
            self.account.connection()
            self._start(self._serve, sock)

    def _flap(self):
        seconds = self.script["flap_ms"] / 1000
        while not self.closing.is_set():
            self._server.close()
            self._cut()
            self.closing.wait(seconds)
            self._listen()
            self._accept(time.monotonic() + seconds)

    def _cut(self):
        with self._lock:
            links = list(self._links)
        for link in links:
            link.end()

    def _serve(self, sock):
        link = None
        with contextlib.suppress(Closed, OSError):  # a failed handshake is an OSError, too
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, sock)
            with self._lock:
                self._links.add(link)
            if self._tls:
                link.sock = sock = self._secure(sock)
            self._talk(link)
        with self._lock:
            self._links.discard(link)
        sock.close()

    def _talk(self, link):
        how = self.script.get("on_connect")
        if how == "reset":
            link.reset()
        if how != "close":
            (http2 if self.script.get("protocol") == "grpc" else http1).serve(link)

    def _secure(self, sock):
        sock.settimeout(10)
        duplicate = sock.dup()
        try:
            return self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            # Bytes left unread would turn our end into a reset, which overtakes the alert that says why.
            duplicate.settimeout(0.05)
            with contextlib.suppress(OSError):
                while duplicate.recv(65536):
                    pass
            raise
        finally:
            duplicate.close()

    def close(self):
        self.closing.set()
        self._server.close()
        with self._lock:
            links = list(self._links)
        for link in links:
            with contextlib.suppress(OSError):
                link.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(2)
        for filler in self._fillers:
            filler.close()
