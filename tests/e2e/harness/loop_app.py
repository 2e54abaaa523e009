#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An event loop that forwards no header: harness/loop_app.py PORT NEXT_PORT.

GET /KIND/N waits a little, calls GET NEXT_PORT/delay/8/KIND/N on a connection of its own and answers with its status.
Of many requests at once only what each kind is known to call tells which call is whose. A process of its own, because
it is observed.
"""
import asyncio
import sys


async def read_head(reader):
    return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")


async def call(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: next\r\n\r\n".encode())
    head = await read_head(reader)
    writer.close()
    return head.split(" ")[1]


async def serve(reader, writer, next_port):
    try:
        while True:
            path = (await read_head(reader)).split(" ")[1]
            await asyncio.sleep(0.003)
            status = await call(next_port, "/delay/8" + path)
            writer.write(f"HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n".encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port, next_port):
    server = await asyncio.start_server(lambda r, w: serve(r, w, next_port), "127.0.0.1", port, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
