# SPDX-License-Identifier: Apache-2.0
"""The client: a fixed list of requests over N keep-alive connections on raw sockets.

Each connection is a thread that works off its share (request i goes to connection i mod N), so the same
list gives the same traffic. What happened is written into the Request objects.
"""
import dataclasses
import hashlib
import socket
import struct
import threading
import time
from typing import Optional

from .origin import read_headers


@dataclasses.dataclass
class Request:
    path: str
    method: str = "GET"
    headers: tuple = ()                # pairs
    body: bytes = b""
    chunked: bool = False              # send the body chunked
    expect: bool = False               # Expect: 100-continue, and wait for it
    abort: str = ""                    # "request": RST after the request; "response": RST inside the answer
    abort_delay: float = 0.03
    close: bool = False                # Connection: close
    digest: bool = True                # compute sha256 of the body; off, the client reads faster
    # outcome
    status: int = 0                    # 0: no response head came
    body_bytes: int = 0
    sha256: str = ""
    error: str = ""
    start_ns: int = 0
    end_ns: int = 0
    response_headers: Optional[dict] = None
    local_port: int = 0
    connection: int = -1


class Connection:
    def __init__(self, port, host="127.0.0.1", timeout=30.0):
        self._address, self._timeout = (host, port), timeout
        self._socket = self._reader = None

    def close(self, reset=False):
        if self._socket is None:
            return
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self._socket.close()
        self._socket = self._reader = None

    def send(self, request):
        """Sends one request and reads its answer; never raises for what the peer does."""
        request.start_ns = time.time_ns()
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=self._timeout)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._reader = self._socket.makefile("rb", buffering=65536)
            request.local_port = self._socket.getsockname()[1]
            keep = self._exchange(request)
        except (OSError, ValueError) as error:
            request.error = str(error) or type(error).__name__
            keep = False
        request.end_ns = time.time_ns()
        if not keep:
            self.close(reset=bool(request.abort))

    def _exchange(self, request):
        self._send_request(request)
        if request.abort == "request":
            time.sleep(request.abort_delay)
            return False
        while True:
            line = self._reader.readline()
            if not line:
                raise ValueError("closed before a response")
            status = int(line.split()[1])
            headers = read_headers(self._reader)
            if status >= 200 or status == 101:
                break
        request.status, request.response_headers = status, headers
        if request.abort == "response":
            self._reader.read(1000)
            time.sleep(request.abort_delay)
            return False
        digest = hashlib.sha256()
        for part in self._body(request.method, status, headers):
            request.body_bytes += len(part)
            if request.digest:
                digest.update(part)
        request.sha256 = digest.hexdigest() if request.digest else ""
        lengthless = "content-length" not in headers and "transfer-encoding" not in headers
        bodyless = request.method == "HEAD" or status in (204, 304)
        return headers.get("connection", "").lower() != "close" and not request.close and (
            bodyless or not lengthless)

    def _send_request(self, request):
        lines = [f"{request.method} {request.path} HTTP/1.1", "host: test.local"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        if request.close:
            lines.append("connection: close")
        if request.expect:
            lines.append("expect: 100-continue")
        if request.chunked:
            lines.append("transfer-encoding: chunked")
        elif request.body or request.method in ("POST", "PUT"):
            lines.append(f"content-length: {len(request.body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if request.expect:
            self._socket.sendall(head)
            line = self._reader.readline()
            if not line.startswith(b"HTTP/1.1 100"):
                raise ValueError(f"wanted 100 Continue, got {line!r}")
            read_headers(self._reader)
            head = b""
        if request.chunked:
            self._socket.sendall(head)
            for start in range(0, len(request.body), 10000):
                part = request.body[start:start + 10000]
                self._socket.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            self._socket.sendall(b"0\r\n\r\n")
        else:
            self._socket.sendall(head + request.body)

    def _body(self, method, status, headers):
        if method == "HEAD" or status in (204, 304):
            return
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while True:
                size = int(self._reader.readline().split(b";")[0], 16)
                part = self._reader.read(size + 2)
                if len(part) != size + 2:
                    raise ValueError("closed inside a chunked body")
                if size == 0:
                    return
                yield part[:-2]
        elif "content-length" in headers:
            left = int(headers["content-length"])
            while left:
                part = self._reader.read(min(left, 1 << 18))
                if not part:
                    raise ValueError("closed inside a body")
                left -= len(part)
                yield part
        else:
            while part := self._reader.read(1 << 18):
                yield part


def run(port, requests, connections=1):
    """Sends all requests; returns the seconds it took."""
    start = time.monotonic()

    def work(index):
        connection = Connection(port)
        for request in requests[index::connections]:
            request.connection = index
            connection.send(request)
        connection.close()

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - start


def get(port, path, headers=(), method="GET"):
    """One request on a connection of its own; returns the Request."""
    request = Request(path, method=method, headers=tuple(headers), close=True)
    run(port, [request])
    return request
