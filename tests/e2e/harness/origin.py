# SPDX-License-Identifier: Apache-2.0
"""An upstream whose behaviour is in the path: /BEHAVIOUR[/ARGUMENT]/ANYTHING.

  /ok/x  /status/404/x      small answer       /bytes/N/x    N bytes, content-length
  /chunked/N/x              N bytes, chunked   /close/N/x    N bytes, ends at close
  /delay/MS/x               answers late       /slow/MS/x    a pause inside the body
  /echo/x                   the SHA-256 of the request body, and its length
  /hints/x                  103, then 200      /nocontent/x  204      /notmodified/x  304
  /reset/x                  RST, no answer     /cut/N/x      RST in the middle of N bytes
  /lines/N/x                N bytes in many small chunks
  /upgrade/x                101, then every byte comes back; CONNECT anywhere: 200, then the same

Raw sockets, one thread per connection, in the test process. `log` has one dict per request, written
before the answer: {method, path, status, headers, peer_port, body_bytes, time_ns}; status 0: reset.
"""
import hashlib
import socket
import struct
import threading
import time

BLOCK = bytes(range(256)) * 256  # 64 KiB, every byte value


def body_of(size):
    """The bytes that /bytes, /chunked and /close send."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


class _Reset(Exception):
    pass


class Origin:
    def __init__(self, env, port=None):
        self.port = port or env.free_port()
        self.lock = threading.Lock()
        self.log = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()
        env.on_exit(self.close)

    def close(self):
        self._closing = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def snapshot(self):
        with self.lock:
            return list(self.log)

    def _accept(self):
        while not self._closing:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, peer[1]), daemon=True).start()

    def _serve(self, connection, peer_port):
        reader = connection.makefile("rb", buffering=65536)
        try:
            while self._one(connection, reader, peer_port):
                pass
        except _Reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, ValueError):
            pass  # the proxy went away
        finally:
            reader.close()
            connection.close()

    def _one(self, connection, reader, peer_port):
        line = reader.readline()
        if not line.strip():
            return False
        method, path, version = line.decode("latin-1").split()
        headers = read_headers(reader)
        words = path.split("?")[0].split("/")[1:]
        what = words[0] if method != "CONNECT" else "connect"
        number = int(words[1]) if len(words) > 2 and words[1].isdigit() else 0
        entry = {"method": method, "path": path, "headers": headers, "peer_port": peer_port,
                 "time_ns": time.time_ns(), "body_bytes": 0,
                 "status": {"status": number, "reset": 0, "nocontent": 204, "notmodified": 304,
                            "upgrade": 101}.get(what, 200)}
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest = hashlib.sha256()
        for part in read_body(reader, headers):
            digest.update(part)
            entry["body_bytes"] += len(part)
        with self.lock:
            self.log.append(entry)
        if what == "reset":
            raise _Reset
        if what in ("upgrade", "connect"):
            return _tunnel(connection, reader, what)
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return self._answer(connection, method, what, number, entry, digest, keep)

    def _answer(self, connection, method, what, number, entry, digest, keep):
        send = connection.sendall
        bare = method == "HEAD" or entry["status"] in (204, 304)
        end = b"" if keep else b"connection: close\r\n"
        if what == "hints":
            send(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
        if what == "delay":
            time.sleep(number / 1000)
        if what in ("chunked", "lines"):
            send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + end + b"\r\n")
            if not bare:
                _send_chunked(connection, number, 48 if what == "lines" else 16384)
            return keep
        if what == "close":
            send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + (b"" if bare else body_of(number)))
            return False
        if what in ("bytes", "cut", "slow"):
            size = number if what != "slow" else 4096
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n" % (size, end)
            if bare:
                send(head)
            elif what == "bytes":
                send(head + body_of(size) if size < 65536 else head)
                if size >= 65536:
                    send(body_of(size))
            elif what == "cut":
                send(head + body_of(size)[:size // 2])
                time.sleep(0.05)
                raise _Reset
            else:
                send(head + body_of(size)[:100])
                time.sleep(number / 1000)
                send(body_of(size)[100:])
            return keep
        body = b"%s %d\n" % (digest.hexdigest().encode(), entry["body_bytes"]) if what == "echo" else b"fine\n"
        if entry["status"] in (204, 304):
            send(b"HTTP/1.1 %d Without Body\r\n%s\r\n" % (entry["status"], end))
        else:
            send(b"HTTP/1.1 %d Chosen\r\ncontent-length: %d\r\n%s\r\n%s"
                 % (entry["status"], len(body), end, b"" if bare else body))
        return keep


def _tunnel(connection, reader, what):
    if what == "upgrade":
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
    else:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    while part := reader.read1(65536):
        connection.sendall(part)
    return False


def _send_chunked(connection, size, chunk):
    body = body_of(size)
    for start in range(0, size, chunk):
        part = body[start:start + chunk]
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")


def read_headers(reader):
    """Header lines up to the empty one; names in lower case, repeated ones joined by ', '."""
    headers = {}
    while True:
        line = reader.readline()
        if line in (b"\r\n", b"\n"):
            return headers
        if not line:
            raise ValueError("the peer closed inside a head")
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value


def read_body(reader, headers):
    """Yields the parts of a message body that has a length or is chunked."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            size = int(reader.readline().split(b";")[0], 16)
            if size == 0:
                while reader.readline() not in (b"\r\n", b"\n", b""):
                    pass
                return
            yield _read_exactly(reader, size)
            reader.readline()
    left = int(headers.get("content-length", 0))
    while left:
        part = _read_exactly(reader, min(left, 65536))
        left -= len(part)
        yield part


def _read_exactly(reader, size):
    part = reader.read(size)
    if len(part) != size:
        raise ValueError("the peer closed inside a body")
    return part
