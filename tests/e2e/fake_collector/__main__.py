# SPDX-License-Identifier: Apache-2.0
"""fake_collector CONTROL: takes one JSON command a line on the Unix socket CONTROL, answers with one line each.

  {"op": "open", "script": {...}}  -> {"id": N, "port": N}
  {"op": "stats", "id": N}         -> what came, and what was acknowledged (account.py)
  {"op": "close", "id": N}         -> the same, after the end of its sockets and threads
"""
import json
import os
import socket
import sys

from .listener import Listener


def handle(command, listeners):
    if command["op"] == "open":
        listener = Listener(command["script"])
        listeners[id(listener)] = listener
        return {"id": id(listener), "port": listener.port}
    listener = listeners[command["id"]]
    if command["op"] == "close":
        del listeners[command["id"]]
        listener.close()
    return listener.account.report()


def main(path):
    listeners = {}
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    peer = server.accept()[0]
    with peer, peer.makefile("rw") as lines:
        for line in lines:
            try:
                reply = handle(json.loads(line), listeners)
            except Exception as error:  # told to the test, which fails by it
                reply = {"error": repr(error)}
            lines.write(json.dumps(reply) + "\n")
            lines.flush()
    os._exit(0)  # threads may sit in endless answers


main(sys.argv[1])
