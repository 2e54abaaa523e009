# SPDX-License-Identifier: Apache-2.0
"""asyncio: aiohttp's server and client in one event loop."""
import asyncio
import os
import random
import time

from aiohttp import ClientSession, TCPConnector, web

BACKENDS = [int(port) for port in os.environ["BACKENDS"].split(",")]
PATHS = ["/stock", "/reviews", "/price"]
A, B, C = range(3)
RANDOM = random.Random(int(os.environ["SEED"]))


async def sleep(low, high):
    await asyncio.sleep((low + RANDOM.random() * (high - low)) / 1e3)


def work(ms):
    end = time.perf_counter() + ms / 1e3
    while time.perf_counter() < end:
        pass


class Handler:
    def __init__(self, session):
        self.session = session
        self.jobs = asyncio.Queue()

    async def worker(self):
        while True:
            job, done = await self.jobs.get()
            await job
            done.set_result(None)

    async def submit(self, job):
        """r8: the job waits for one of four workers."""
        done = asyncio.get_running_loop().create_future()
        self.jobs.put_nowait((job, done))
        await done

    async def route(self, name, call):
        if name == "r1":
            await call(A)
            await asyncio.gather(call(B), call(C))
        elif name == "r2":
            await call(A)
            await call(B)
            await call(C)
        elif name == "r3":
            await sleep(1, 6)
            await call(B)
            await sleep(0, 5)
            await call(C)
        elif name == "r4":
            await sleep(0, 3)
        elif name == "r5":
            await asyncio.gather(call(B), call(B), call(B))
        elif name == "r6":
            await call(A)
            if RANDOM.random() < 0.5:
                await call(C)
            await sleep(1, 3)
        elif name == "r7":
            work(1)
            await call(B)
            work(0.5)
            await call(C)
        elif name == "r8":
            await self.submit(self.two(call))

    @staticmethod
    async def two(call):
        await call(A)
        await call(B)

    async def serve(self, request):
        name, _, token = request.path[1:].partition("/")
        headers = {"x-truth-id": request.headers["x-truth-id"]}

        async def call(which):
            path = PATHS[which] + (f"/{token}" if token and which != C else "")
            async with self.session.get(f"http://127.0.0.1:{BACKENDS[which]}{path}", headers=headers) as response:
                await response.read()

        await self.route(name, call)
        return web.Response(text="done")


async def main():
    session = ClientSession(connector=TCPConnector(limit=0, limit_per_host=int(os.environ["POOL"])))
    handler = Handler(session)
    workers = [asyncio.create_task(handler.worker()) for _ in range(4)]
    app = web.Application()
    app.router.add_get("/{path:.*}", handler.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["LISTEN_PORT"]), backlog=1024).start()
    await asyncio.gather(*workers)


asyncio.run(main())
