# SPDX-License-Identifier: Apache-2.0
"""A service in asyncio: aiohttp's server and client in one event loop. README.md says what a service does."""
import asyncio
import collections
import contextvars
import json
import os
import pathlib
import random
import signal

from aiohttp import ClientSession, TCPConnector, web

ROUTES = json.loads(os.environ["ROUTES"])
DELAY_S = float(os.environ["DELAY_MS"]) / 1e3
CALLS = contextvars.ContextVar("calls")  # of the request whose task this is
USES = collections.Counter()  # (destination, port of a connection) -> requests sent on it
LOG = []


class Connector(TCPConnector):
    """Notes which connection a call got."""

    async def connect(self, request, traces, timeout):
        connection = await super().connect(request, traces, timeout)
        local = connection.transport.get_extra_info("sockname")[1]
        CALLS.get().append([request.port, local, USES[request.port, local]])
        USES[request.port, local] += 1
        return connection


class Handler:
    def __init__(self, session):
        self.session = session

    async def call(self, port, path):
        async with self.session.get(f"http://127.0.0.1:{port}{path}") as response:
            await response.read()

    async def serve(self, request):
        name, _, token = request.path[1:].partition("/")
        calls = []
        CALLS.set(calls)
        for step in ROUTES[name]:
            made = [self.call(port, path + (f"/{token}" if token else "")) for port, path in step]
            await (asyncio.gather(*made) if len(made) > 1 else made[0])
        if DELAY_S:
            await asyncio.sleep(random.expovariate(1 / DELAY_S))
        LOG.append(json.dumps({"traceparent": request.headers.get("traceparent"), "calls": calls}))
        return web.Response(text="done")


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    async with ClientSession(connector=Connector(limit=0)) as session:
        app = web.Application()
        app.router.add_get("/{path:.*}", Handler(session).serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(os.environ["LISTEN_PORT"]), backlog=1024).start()
        await end.wait()
        pathlib.Path(os.environ["CALL_LOG"]).write_text("\n".join(LOG))


asyncio.run(main())
