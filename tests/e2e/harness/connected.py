# SPDX-License-Identifier: Apache-2.0
"""Spans as trees: which request they belong to, the line that they form from the root down, and what is wrong."""
import collections
import re

_NUMBER = re.compile(r"/ok/(\d+)$")


def path_of(span):
    attributes = span["attributes"]
    for name in ("url.path", "url.full", "http.url", "http.target"):
        if name in attributes:
            return str(attributes[name]).split("?")[0]
    return span["name"].split(" ")[-1]


def by_request(spans, count):
    """{number: spans} of the requests /ok/NUMBER, on whatever hop; others are left out."""
    groups = collections.defaultdict(list)
    for span in spans:
        found = _NUMBER.search(path_of(span))
        if found and int(found[1]) < count:
            groups[int(found[1])].append(span)
    return groups


def line_of(spans):
    """[(service, kind)] from the root down; what branches off or hangs below no span of the group is not in it."""
    ids = {s["span_id"] for s in spans}
    children = collections.defaultdict(list)
    for span in spans:
        children[span["parent_span_id"] if span["parent_span_id"] in ids else ""].append(span)
    line, at = [], ""
    while len(children[at]) == 1 and len(line) <= len(spans):
        span = children[at][0]
        line.append((span["resource"].get("service.name"), span["kind"]))
        at = span["span_id"]
    return line


def describe(spans):
    """For messages: each span with its parent, in the order of their starts."""
    names = {s["span_id"]: f"{s['resource'].get('service.name')} {s['kind']}" for s in spans}
    traces = {t: f"trace {i}" for i, t in enumerate(dict.fromkeys(s["trace_id"] for s in spans))}
    texts = []
    for span in sorted(spans, key=lambda s: s["start_ns"]):
        rule = span["attributes"].get("spantap.link.rule")
        parent = span["parent_span_id"]
        texts.append(f"{names[span['span_id']]} ({traces[span['trace_id']]}) below "
                     f"{names.get(parent, parent or 'none')}{' by ' + rule if rule else ''}")
    return "; ".join(texts)


def check_no_wrong_parent(groups):
    """However little is known, no span may hang below another request's."""
    owner = {span["span_id"]: number for number, group in groups.items() for span in group}
    wrong = [(number, owner[span["parent_span_id"]]) for number, group in groups.items() for span in group
             if owner.get(span["parent_span_id"], number) != number]
    if wrong:
        raise AssertionError(f"{len(wrong)} spans hang below another request's, (request, parent's): {wrong[:4]}")
