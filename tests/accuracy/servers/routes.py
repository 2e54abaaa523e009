# SPDX-License-Identifier: Apache-2.0
"""The routes of the Python servers that block: one urllib3 pool, a thread pool for parallel calls, a job queue.

With gevent's patches (gunicorn) the same code runs in greenlets.
"""
import os
import queue
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

BACKENDS = [int(port) for port in os.environ["BACKENDS"].split(",")]
PATHS = ["/stock", "/reviews", "/price"]
A, B, C = range(3)


def sleep(source, low, high):
    time.sleep((low + source.random() * (high - low)) / 1e3)


def work(ms):
    end = time.perf_counter() + ms / 1e3
    while time.perf_counter() < end:
        pass


class Routes:
    def __init__(self):
        size = int(os.environ["POOL"])
        self.random = random.Random(int(os.environ["SEED"]))
        self.http = urllib3.PoolManager(num_pools=8, maxsize=size or 256, block=size > 0, retries=False)
        self.parallel = ThreadPoolExecutor(256)
        self.jobs = queue.Queue()
        for _ in range(4):
            threading.Thread(target=self.worker, daemon=True).start()

    def worker(self):
        while True:
            job, done = self.jobs.get()
            job()
            done.set()

    def serve(self, path, truth):
        name, _, token = path[1:].partition("/")

        def call(which):
            path = PATHS[which] + (f"/{token}" if token and which != C else "")
            self.http.request("GET", f"http://127.0.0.1:{BACKENDS[which]}{path}", headers={"x-truth-id": truth})

        getattr(self, name)(call)

    def gather(self, call, *which):
        for future in [self.parallel.submit(call, w) for w in which]:
            future.result()

    def r1(self, call):
        call(A)
        self.gather(call, B, C)

    def r2(self, call):
        call(A)
        call(B)
        call(C)

    def r3(self, call):
        sleep(self.random, 1, 6)
        call(B)
        sleep(self.random, 0, 5)
        call(C)

    def r4(self, call):
        sleep(self.random, 0, 3)

    def r5(self, call):
        self.gather(call, B, B, B)

    def r6(self, call):
        call(A)
        if self.random.random() < 0.5:
            call(C)
        sleep(self.random, 1, 3)

    def r7(self, call):
        work(1)
        call(B)
        work(0.5)
        call(C)

    def r8(self, call):
        done = threading.Event()
        self.jobs.put((lambda: (call(A), call(B)), done))
        done.wait()
