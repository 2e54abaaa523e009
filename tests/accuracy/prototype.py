# SPDX-License-Identifier: Apache-2.0
"""What the method's first prototype reached on its own recordings: column "before" of the table.

(server, tiny pool, tokens, clients) -> links right %, whole traces right %, as it would draw every best candidate.
"""

_TABLE = """
node 0 8 99.5/98.8 100.0/99.9
node 0 32 97.0/91.0 99.9/99.8
node 0 128 94.8/86.0 99.2/97.7
node 1 8 95.1/85.4 97.4/89.7
node 1 32 69.2/40.2 90.0/70.4
node 1 128 69.9/39.7 87.4/64.3
asyncio 0 8 99.2/98.0 99.9/99.9
asyncio 0 32 94.4/87.4 97.4/92.8
asyncio 0 128 10.3/16.1 69.5/47.1
asyncio 1 8 93.3/83.2 98.0/92.5
asyncio 1 32 60.9/40.2 90.2/71.8
asyncio 1 128 58.8/37.6 85.0/63.9
threads 0 8 97.3/93.8 99.5/98.6
threads 0 32 68.1/63.9 91.4/78.0
threads 0 128 62.5/63.1 82.3/70.2
threads 1 8 95.9/90.6 99.8/99.1
threads 1 32 69.9/63.3 92.9/81.3
threads 1 128 63.2/61.0 81.7/70.0
go 0 8 98.6/96.2 100.0/100.0
go 0 32 92.0/79.0 99.4/98.5
go 0 128 79.3/57.0 95.8/89.1
go 1 8 96.4/90.6 99.5/98.8
go 1 32 74.8/50.0 96.7/89.8
go 1 128 67.7/46.2 93.3/82.2
java 0 8 82.2/63.8 92.6/80.6
java 0 32 25.3/19.8 66.5/37.3
java 0 128 5.0/17.1 48.6/31.1
javaurl 0 8 98.8/96.7 99.9/99.8
javaurl 0 32 93.5/86.6 99.7/99.1
javaurl 0 128 77.0/68.8 98.3/96.0
"""


def _figures():
    found = {}
    for line in _TABLE.split("\n"):
        if line:
            server, tiny, clients, *both = line.split()
            for tokens, figures in enumerate(both):
                found[server, tiny == "1", tokens == 1, int(clients)] = tuple(figures.split("/"))
    return found


FIGURES = _figures()


def of(cell):
    """(links, traces) as text, or None where it was not measured."""
    return None if cell.work else FIGURES.get((cell.server, cell.tiny, cell.tokens, cell.clients))
