# SPDX-License-Identifier: Apache-2.0
"""Judges spantap's spans of one Envoy against what Envoy and its upstream themselves say.

Three witnesses: Envoy's own spans (one per request, with the client's port as a tag), the upstream's
log (what it was asked, with which traceparent), and spantap's spans. A server span is matched by its
path where that is unique, otherwise by its place in the sequence of requests on its connection; a
client span by the parent-id on the wire, which Envoy makes anew for every request. Times are never used
for matching, so they can be judged.
"""
import collections
import dataclasses
import difflib
import statistics
from urllib.parse import urlsplit

WIRE_FIELDS = ("method", "path", "status")


@dataclasses.dataclass
class Verdict:
    """Lists hold short texts, one per finding; all empty is a perfect run."""
    servers: int = 0
    clients: int = 0
    missing: list = dataclasses.field(default_factory=list)       # Envoy has it, spantap does not
    extra: list = dataclasses.field(default_factory=list)         # spantap has it, Envoy does not
    different: list = dataclasses.field(default_factory=list)     # method, path or status
    wrong_trace: list = dataclasses.field(default_factory=list)   # carries another request's trace id
    no_trace: list = dataclasses.field(default_factory=list)      # a context was on the wire, not taken
    doubtful: int = 0                                             # the same among equal heads in flight
    late: list = dataclasses.field(default_factory=list)          # the same, sent on after the client had gone
    client_missing: list = dataclasses.field(default_factory=list)
    client_extra: list = dataclasses.field(default_factory=list)
    client_different: list = dataclasses.field(default_factory=list)
    right_links: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    wrong_links: list = dataclasses.field(default_factory=list)   # (confidence, rule, text)
    no_links: list = dataclasses.field(default_factory=list)      # one candidate by its head, not linked
    start_off_ms: list = dataclasses.field(default_factory=list)  # spantap minus Envoy, with the path
    end_off_ms: list = dataclasses.field(default_factory=list)


def envoy_view(span):
    tags = span["attributes"]
    return {"method": tags["http.method"], "path": path_of(tags["http.url"]), "port": int(tags["downstream_port"]),
            "status": int(tags["http.status_code"]), "trace": span["trace_id"], "id": span["span_id"],
            "start": span["start_ns"], "end": span["end_ns"]}


def spantap_view(span):
    tags = span["attributes"]
    path = tags.get("url.path") or path_of(tags.get("url.full", ""))
    return {"method": tags.get("http.request.method_original") or tags.get("http.request.method"),
            "path": path, "port": tags.get("network.peer.port") or tags.get("client.port"),
            "status": tags.get("http.response.status_code", 0), "trace": span["trace_id"], "id": span["span_id"],
            "parent": span["parent_span_id"], "start": span["start_ns"], "end": span["end_ns"],
            "rule": tags.get("spantap.link.rule", ""), "confidence": tags.get("spantap.link.confidence", 0.0)}


def path_of(url):
    return urlsplit(url).path


def split_traceparent(value):
    parts = value.split("-")
    return (parts[1], parts[2]) if len(parts) >= 4 else ("", "")


def text(view):
    return f"{view['method']} {view['path']} -> {view['status']}"


def match(envoy, servers, unique):
    """(pairs, Envoy's without a partner, ours without a partner)."""
    ours_by_path = collections.defaultdict(list)
    for view in servers:
        ours_by_path[view["path"]].append(view)
    pairs = [(v, ours_by_path[v["path"]][0]) for v in envoy if v["path"] in unique and ours_by_path[v["path"]]]
    pairs += match_equals(envoy, servers, unique)
    theirs_taken, ours_taken = {id(t) for t, _ in pairs}, {id(o) for _, o in pairs}
    return (pairs, [v for v in envoy if id(v) not in theirs_taken], [v for v in servers if id(v) not in ours_taken])


def match_equals(envoy, servers, unique):
    """Pairs of requests with one path among many: the two sequences of each connection, aligned."""
    by_port = collections.defaultdict(lambda: ([], []))
    for side, views in enumerate((envoy, servers)):
        for view in sorted(views, key=lambda v: v["start"]):
            by_port[view["port"]][side].append(view)
    pairs = []
    for theirs, ours in by_port.values():
        paths = [v["path"] for v in theirs], [v["path"] for v in ours]
        for block in difflib.SequenceMatcher(None, *paths, autojunk=False).get_matching_blocks():
            same = zip(theirs[block.a:block.a + block.size], ours[block.b:block.b + block.size])
            pairs += [(t, o) for t, o in same if t["path"] not in unique]
    return pairs


def judge(envoy_spans, origin_log, spantap_spans):
    verdict = Verdict()
    envoy = [envoy_view(s) for s in envoy_spans]
    servers = [spantap_view(s) for s in spantap_spans if s["kind"] == "SERVER"]
    clients = [spantap_view(s) for s in spantap_spans if s["kind"] == "CLIENT"]
    counts = collections.Counter(v["path"] for v in envoy)
    unique = {path for path, n in counts.items() if n == 1}
    verdict.servers, verdict.clients = len(servers), len(clients)
    pairs, missing, extra = match(envoy, servers, unique)
    verdict.missing, verdict.extra = [text(v) for v in missing], [text(v) for v in extra]
    _judge_servers(verdict, pairs)
    _judge_traces(verdict, pairs, unique, clients)
    _judge_clients(verdict, clients, origin_log)
    _judge_links(verdict, pairs, clients, unique)
    return verdict


def _judge_servers(verdict, pairs):
    for theirs, ours in pairs:
        for field in WIRE_FIELDS:
            if theirs[field] != ours[field]:
                verdict.different.append(f"{text(theirs)}: {field} is {ours[field]!r}")
        verdict.start_off_ms.append(((ours["start"] - theirs["start"]) / 1e6, text(theirs)))
        verdict.end_off_ms.append(((ours["end"] - theirs["end"]) / 1e6, text(theirs)))


def _judge_traces(verdict, pairs, unique, clients):
    envoy_traces = {theirs["trace"] for theirs, _ in pairs}
    sent_on = {client["id"]: client for client in clients}  # Envoy sends its own span's id upstream
    for theirs, ours in pairs:
        if ours["trace"] == theirs["trace"]:
            continue
        client = sent_on.get(theirs["id"])
        if ours["trace"] in envoy_traces:
            verdict.wrong_trace.append(f"{text(theirs)}: {ours['trace']} instead of {theirs['trace']}")
        elif client is None:
            continue
        elif _is_late(ours, client):
            verdict.late.append(text(theirs))
        elif theirs["path"] in unique:
            verdict.no_trace.append(text(theirs))
        else:
            verdict.doubtful += 1


def _is_late(server, client):
    """Envoy kept the request in its buffer, and wrote it when the client had already left."""
    return server["status"] == 0 and client["start"] >= server["end"]


def _judge_clients(verdict, clients, origin_log):
    by_id = {v["id"]: v for v in clients}
    asked = {}
    for entry in origin_log:
        trace, parent = split_traceparent(entry["headers"].get("traceparent", ""))
        asked[parent] = (trace, entry)
    verdict.client_extra = [text(v) for key, v in by_id.items() if key not in asked]
    verdict.client_extra += ["a span id twice"] * (len(clients) - len(by_id))
    for parent, (trace, entry) in asked.items():
        ours = by_id.get(parent)
        if ours is None:
            verdict.client_missing.append(text(entry))
            continue
        wanted = dict(method=entry["method"], path=path_of(entry["path"]), trace=trace)
        # What the origin meant to answer is not seen if the client left first: 0 is right then too.
        statuses = {entry["status"]} | ({0} if "/abort" in entry["path"] else set())
        for field, value in wanted.items():
            if ours[field] != value:
                verdict.client_different.append(f"{text(entry)}: {field} is {ours[field]!r}")
        if ours["status"] not in statuses:
            verdict.client_different.append(f"{text(entry)}: status is {ours['status']!r}")


def _judge_links(verdict, pairs, clients, unique):
    parent_of = {theirs["id"]: ours for theirs, ours in pairs}  # Envoy sends its own span's id upstream
    server_ids = {ours["id"] for _, ours in pairs}
    for client in clients:
        right = parent_of.get(client["id"])
        if right is None:
            continue
        if client["parent"] == right["id"]:
            verdict.right_links[client["rule"]] += 1
        elif client["parent"] in server_ids:
            verdict.wrong_links.append((client["confidence"], client["rule"], text(client)))
        elif client["path"] in unique and not _is_late(right, client):
            verdict.no_links.append(text(client))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def describe_offsets(offsets):
    """(median, p99.9, the worst ones as text) of absolute offsets in milliseconds."""
    sizes = [abs(ms) for ms, _ in offsets]
    worst = [f"{ms:+.2f} ms {what}" for ms, what in sorted(offsets, key=lambda o: -abs(o[0]))[:5] if abs(ms) > 2]
    return (statistics.median(sizes) if sizes else 0.0), percentile(sizes, 0.999), worst
