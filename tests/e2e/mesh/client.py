# SPDX-License-Identifier: Apache-2.0
"""The client, a process of its own: client.py PORT CLIENTS TOTAL TOKENS THINK_MS SEED ROUTE...

A closed loop: each of CLIENTS connections sends GET /ROUTE, or with TOKENS=1 GET /ROUTE/ID with an id that no other
request has, and thinks for THINK_MS on average after the answer. Nothing else tells requests apart. Prints the number
of answers 200, and of others.
"""
import http.client
import random
import sys
import threading
import time


def work(index, port, count, tokens, think_s, seed, routes, outcomes):
    source = random.Random(seed * 1000 + index)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        time.sleep(source.expovariate(1 / think_s))
        path = "/" + source.choice(routes) + (f"/{source.getrandbits(40):010x}" if tokens else "")
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        outcomes.append(answer.status)
    connection.close()


def main():
    port, clients, total, tokens, think_ms, seed = (int(word) for word in sys.argv[1:7])
    outcomes = []
    threads = [threading.Thread(target=work, args=(i, port, total // clients, tokens, think_ms / 1e3, seed,
                                                   sys.argv[7:], outcomes)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(outcomes.count(200), total // clients * clients - outcomes.count(200))


main()
