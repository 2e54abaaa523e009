# SPDX-License-Identifier: Apache-2.0
"""What really happened, from the logs of the Envoys and the applications, and what the spans say of it.

Nothing on the wire tells a request of the client: a hop is followed from log to log. Through an Envoy by its access
log's line; from Envoy to Envoy by the trace id that the first one sent; from an Envoy to its application by the
traceparent that the application was asked with; from there to its own calls by its call log, which names the
connection and the request's number on it. No time is compared.
"""
import collections
import dataclasses

from harness.connected import path_of
from harness.env import check, check_equal


@dataclasses.dataclass
class Pass:
    """One request's way through one Envoy, and what came of it."""
    proxy: str
    side: str
    path: str
    peer_port: int
    upstream_local_port: int
    listener: int
    trace: str      # as sent to the upstream
    span: str       # the id that Envoy gave itself there
    index: int = 0  # among those of the same proxy, path and peer port
    next: object = None     # the Pass through the next Envoy; None: an application comes
    calls: tuple = ()       # what that application called: Passes


def _passes(proxy):
    counted = collections.Counter()
    for line in proxy.access_log():
        check_equal(str(line["status"]), "200", f"status of {line}")
        _, trace, span, _ = line["traceparent"].split("-")
        one = Pass(proxy.name, line["side"], line["path"], int(line["peer"].rsplit(":", 1)[1]),
                   int(line["upstream_local_port"]), int(line["port"]), trace, span)
        key = one.path, one.peer_port
        one.index, counted[key] = counted[key], counted[key] + 1
        yield one


def requests_of(mesh):
    """The Passes through the gateway, each the root of a tree, in the order in which they were answered."""
    gateway = list(_passes(mesh.gateway))
    inbound, outbound = {}, collections.defaultdict(list)
    everyone = list(gateway)
    for service in mesh.services:
        for one in _passes(service.proxy):
            everyone.append(one)
            if one.side == "in":
                check(one.trace not in inbound, f"two requests with the trace id {one.trace}")
                inbound[one.trace] = one
            else:
                outbound[one.listener, one.peer_port].append(one)
        calls = {entry["traceparent"].split("-")[2]: entry["calls"] for entry in service.call_log()}
        for one in inbound.values():
            if one.proxy == service.proxy.name:
                one.calls = tuple(outbound[port, local][number] for port, local, number in calls[one.span])
    for one in everyone:
        if one.side != "in":
            one.next = inbound[one.trace]
    minted = [one.trace for one in everyone if one.side != "in"]
    check_equal(len(set(minted)), len(minted), "trace ids, against requests of gateway and applications: "
                                               "an application that forwards one would be no test")
    return gateway


@dataclasses.dataclass
class Verdict:
    requests: int = 0
    whole: int = 0
    inferred: int = 0       # links that are no fact of the wire
    wrong: int = 0          # of these, to a span of the sink that is not the cause
    links: collections.Counter = dataclasses.field(default_factory=collections.Counter)   # (place, rule)
    faults: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # (place, why)
    kinds: collections.Counter = dataclasses.field(default_factory=collections.Counter)   # places of one request
    examples: list = dataclasses.field(default_factory=list)


class Judge:
    """`tls`: what goes between two Envoys cannot be read, so neither of them has a span of it."""

    FACTS = ("wire", "connection", "")

    def __init__(self, spans, tls):
        self.tls = tls
        self.by_id = {s["span_id"]: s for s in spans}
        check_equal(len(self.by_id), len(spans), "span ids, against spans")
        self.children, self.of_trace = collections.defaultdict(list), collections.Counter()
        self.servers = collections.defaultdict(list)
        for span in sorted(spans, key=lambda s: s["start_ns"]):
            self.children[span["parent_span_id"]].append(span)
            self.of_trace[span["trace_id"]] += 1
            if span["kind"] == "SERVER":
                self.servers[service_of(span), path_of(span), span["attributes"]["network.peer.port"]].append(span)

    def judge(self, requests):
        verdict = Verdict(requests=len(requests))
        for request in requests:
            faults, seen = [], []
            self._follow(request, None, seen, faults, verdict)
            if not faults:
                self._check_trace(seen, faults)
            if faults:
                verdict.faults.update(faults)
                verdict.kinds[kind_of(faults)] += 1
                verdict.examples.append(f"{request.path}: {faults}")
            verdict.whole += not faults
        return verdict

    def _follow(self, one, above, seen, faults, verdict):
        """What is seen of a request from this Envoy on, below the span `above`."""
        if one.side == "gateway":
            above = self._root(one, seen, faults)
        elif one.side == "out":
            above = self._server(one)  # already linked to the application's call
        elif not self.tls:
            above = self._link(f"to {one.proxy}", self._server(one), above, seen, faults, verdict)
        if one.side == "in" or not self.tls:
            place = f"to {one.proxy}, from another's" if self.tls else f"{one.proxy} {one.side}"
            above = self._link(place, self.by_id.get(one.span), above, seen, faults, verdict)
        if one.next is not None:
            return self._follow(one.next, above, seen, faults, verdict)
        application = self._link(f"{one.proxy} to application", self._application(one), above, seen, faults, verdict)
        for call in one.calls:
            server = self._server(call)
            made = self.by_id.get(server["parent_span_id"]) if server else None
            where = f"{one.proxy.removesuffix('-proxy')} calls {call.next.proxy.removesuffix('-proxy')}"
            self._link(where, made, application, seen, faults, verdict)
            self._link(f"{where}, to {call.proxy}", server, made, seen, faults, verdict)
            self._follow(call, server, seen, faults, verdict)

    def _root(self, one, seen, faults):
        root = self._server(one)
        seen.append(root)
        if root is None or root["parent_span_id"]:
            faults.append(("gateway", "no span" if root is None else "has a parent"))
        return root

    def _link(self, place, child, parent, seen, faults, verdict):
        """Notes whether `child` hangs below `parent`, as it should; returns it."""
        seen.append(child)
        if child is None or parent is None:
            faults.append((place, "no span" if child is None else "no span of the parent"))
            return child
        rule = child["attributes"].get("spantap.link.rule", "")
        verdict.links[place, rule or "none"] += 1
        verdict.inferred += rule not in self.FACTS
        if child["parent_span_id"] == parent["span_id"]:
            return child
        wrong = child["parent_span_id"] in self.by_id
        verdict.wrong += wrong
        faults.append((place, "another's child" if wrong else "a foreign parent" if child["parent_span_id"]
                       else "no parent"))
        return child

    def _check_trace(self, seen, faults):
        ids = {s["trace_id"] for s in seen}
        if len(ids) != 1:
            faults.append(("all", f"{len(ids)} trace ids"))
        elif self.of_trace[next(iter(ids))] != len(seen):
            faults.append(("all", "spans of others in the trace"))

    def _server(self, one):
        """The server span of a Pass: by its place among the requests of the connection."""
        spans = self.servers[one.proxy, one.path, one.peer_port]
        return spans[one.index] if one.index < len(spans) else None

    def _application(self, one):
        """The application's server span: the one that was asked with this Envoy's traceparent."""
        found = [s for s in self.children[one.span] if s["kind"] == "SERVER"
                 and s["attributes"]["network.peer.port"] == one.upstream_local_port]
        return found[0] if len(found) == 1 else None


def kind_of(faults):
    """Where a request broke: in applications, in proxies, or in both."""
    kinds = {"applications" if " calls " in place else "proxies" for place, _ in faults}
    return " and ".join(sorted(kinds))


def service_of(span):
    return span["resource"].get("service.name")
