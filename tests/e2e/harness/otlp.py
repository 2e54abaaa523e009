# SPDX-License-Identifier: Apache-2.0
"""OTLP trace messages as plain dicts, decoded by protobuf itself.

The message descriptors are written down here from the OTLP specification and not taken from the
exporter's .proto, so that a wrong field number there cannot hide; that Envoy's and the Collector's
messages decode with them proves them right.
"""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_TYPES = {"string": _F.TYPE_STRING, "bytes": _F.TYPE_BYTES, "int64": _F.TYPE_INT64, "bool": _F.TYPE_BOOL,
          "double": _F.TYPE_DOUBLE, "uint32": _F.TYPE_UINT32, "fixed32": _F.TYPE_FIXED32,
          "fixed64": _F.TYPE_FIXED64, "int32": _F.TYPE_INT32}

# message: (field, type, number); "*" repeated, "|" member of the oneof `value`.
_MESSAGES = {
    "AnyValue": [("string_value|", "string", 1), ("bool_value|", "bool", 2), ("int_value|", "int64", 3),
                 ("double_value|", "double", 4), ("array_value|", "ArrayValue", 5),
                 ("kvlist_value|", "KeyValueList", 6), ("bytes_value|", "bytes", 7)],
    "ArrayValue": [("values*", "AnyValue", 1)],
    "KeyValueList": [("values*", "KeyValue", 1)],
    "KeyValue": [("key", "string", 1), ("value", "AnyValue", 2)],
    "Resource": [("attributes*", "KeyValue", 1), ("dropped", "uint32", 2)],
    "Scope": [("name", "string", 1), ("version", "string", 2), ("attributes*", "KeyValue", 3)],
    "Event": [("time", "fixed64", 1), ("name", "string", 2), ("attributes*", "KeyValue", 3)],
    "Link": [("trace_id", "bytes", 1), ("span_id", "bytes", 2), ("trace_state", "string", 3),
             ("attributes*", "KeyValue", 4), ("dropped", "uint32", 5), ("flags", "fixed32", 6)],
    "Status": [("message", "string", 2), ("code", "int32", 3)],
    "Span": [("trace_id", "bytes", 1), ("span_id", "bytes", 2), ("trace_state", "string", 3),
             ("parent_span_id", "bytes", 4), ("name", "string", 5), ("kind", "int32", 6),
             ("start", "fixed64", 7), ("end", "fixed64", 8), ("attributes*", "KeyValue", 9),
             ("dropped_attributes", "uint32", 10), ("events*", "Event", 11), ("dropped_events", "uint32", 12),
             ("links*", "Link", 13), ("dropped_links", "uint32", 14), ("status", "Status", 15),
             ("flags", "fixed32", 16)],
    "ScopeSpans": [("scope", "Scope", 1), ("spans*", "Span", 2), ("schema_url", "string", 3)],
    "ResourceSpans": [("resource", "Resource", 1), ("scope_spans*", "ScopeSpans", 2),
                      ("schema_url", "string", 3)],
    "Request": [("resource_spans*", "ResourceSpans", 1)],
    "PartialSuccess": [("rejected_spans", "int64", 1), ("error_message", "string", 2)],
    "Response": [("partial_success", "PartialSuccess", 1)],
}


def _build():
    package = "spantap.test.otlp"
    file = descriptor_pb2.FileDescriptorProto(name="spantap_test_otlp.proto", package=package, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(field.endswith("|") for field, _, _ in fields):
            message.oneof_decl.add(name="kind_of_value")
        for field, kind, number in fields:
            entry = message.field.add(name=field.rstrip("*|"), number=number)
            entry.label = _F.LABEL_REPEATED if field.endswith("*") else _F.LABEL_OPTIONAL
            if kind in _TYPES:
                entry.type = _TYPES[kind]
            else:
                entry.type = _F.TYPE_MESSAGE
                entry.type_name = f".{package}.{kind}"
            if field.endswith("|"):
                entry.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _MESSAGES}


_CLASSES = _build()
_KINDS = {0: "UNSPECIFIED", 1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
_STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}


def _value(any_value):
    which = any_value.WhichOneof("kind_of_value")
    if which is None:
        return None
    if which == "array_value":
        return [_value(v) for v in any_value.array_value.values]
    if which == "kvlist_value":
        return _attributes(any_value.kvlist_value.values)
    return getattr(any_value, which)


def _attributes(pairs):
    return {pair.key: _value(pair.value) for pair in pairs}


def _span(span, resource, scope):
    return {
        "trace_id": span.trace_id.hex(), "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(), "trace_state": span.trace_state,
        "name": span.name, "kind": _KINDS.get(span.kind, span.kind),
        "start_ns": span.start, "end_ns": span.end, "flags": span.flags,
        "status": _STATUS.get(span.status.code, span.status.code), "status_message": span.status.message,
        "attributes": _attributes(span.attributes), "resource": resource, "scope": scope,
        "links": [{"trace_id": l.trace_id.hex(), "span_id": l.span_id.hex(),
                   "attributes": _attributes(l.attributes)} for l in span.links],
    }


def decode_request(body):
    """ExportTraceServiceRequest bytes -> list of span dicts. Raises on malformed bytes."""
    request = _CLASSES["Request"]()
    request.ParseFromString(body)
    spans = []
    for rs in request.resource_spans:
        resource = _attributes(rs.resource.attributes)
        for ss in rs.scope_spans:
            spans.extend(_span(s, resource, ss.scope.name) for s in ss.spans)
    return spans


def count_spans(body):
    request = _CLASSES["Request"]()
    request.ParseFromString(body)
    return sum(len(ss.spans) for rs in request.resource_spans for ss in rs.scope_spans)


def partial_success(rejected, message=""):
    """Body of an ExportTraceServiceResponse that refuses `rejected` spans."""
    response = _CLASSES["Response"]()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()
