# SPDX-License-Identifier: Apache-2.0
"""build/lib/libspantap.so by ctypes: a producer as a program has it.

As a program: `python3 libspantap.py SOCKET SPANS PAUSE_US [SERVICE]` submits SPANS spans (0: until stdin ends) with a pause
after each, flushes, prints the counters as JSON, and waits for the end of stdin.
"""
import ctypes
import json
import os
import pathlib
import select
import sys
import time

LIBRARY = pathlib.Path(os.environ.get("SPANTAP_LIBRARY") or
                       pathlib.Path(__file__).resolve().parents[3] / "build" / "lib" / "libspantap.so")
SERVER, STRING, INT, METHOD, STATUS_CODE, NAMED = 2, 1, 2, 1, 3, 0


class Str(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t)]

    @classmethod
    def of(cls, text):
        data = text.encode()
        return cls(data, len(data))


class Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("mode", ctypes.c_uint32), ("socket", Str), ("service_name", Str),
                ("resource", ctypes.c_void_p), ("resource_count", ctypes.c_uint32), ("ring_bytes", ctypes.c_uint32),
                ("sample_ratio", ctypes.c_double)]


class Context(ctypes.Structure):
    _fields_ = [("trace_id", ctypes.c_uint8 * 16), ("span_id", ctypes.c_uint8 * 8), ("flags", ctypes.c_uint8),
                ("remote", ctypes.c_uint8), ("reserved", ctypes.c_uint8 * 6)]


class Stats(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("attached", ctypes.c_uint32)] + [
        (name, ctypes.c_uint64) for name in
        ("handed_off", "dropped_no_agent", "dropped_full", "dropped_too_large", "dropped_invalid", "dropped_off",
         "wrong_thread", "attach_attempts", "attached_times", "refused_agent")]


class LibraryProducer:
    def __init__(self, path, service=""):
        self._lib = ctypes.CDLL(str(LIBRARY))
        options = Options(ctypes.sizeof(Options), 0, Str.of(str(path)), Str.of(service), None, 0, 0, 1.0)
        client, self._producer = ctypes.c_void_p(), ctypes.c_void_p()
        self._memory = (ctypes.c_uint64 * 128)()
        self._check(self._lib.spantap_open(ctypes.byref(options), ctypes.byref(client)))
        self._check(self._lib.spantap_producer_open(client, ctypes.byref(self._producer)))

    @staticmethod
    def _check(status):
        if status < 0:
            raise OSError(f"libspantap says {status}")

    def attach(self, seconds):
        end = time.monotonic() + seconds
        while self._lib.spantap_attach(self._producer) != 0:
            if time.monotonic() > end:
                raise TimeoutError("not attached")
            time.sleep(0.005)

    def submit(self, name="GET /library"):
        """The status of a live span with two attributes."""
        lib, context, live = self._lib, Context(), ctypes.c_void_p()
        lib.spantap_sample(self._producer, None, ctypes.byref(context))
        now = time.time_ns()
        self._check(lib.spantap_begin(self._producer, self._memory, ctypes.c_size_t(1024), ctypes.byref(context), None,
                                      ctypes.c_uint8(SERVER), Str.of(name), ctypes.c_uint64(now - 1_000_000),
                                      ctypes.byref(live)))
        self._check(lib.spantap_set_string(live, METHOD, Str(), Str.of("GET")))
        self._check(lib.spantap_set_int(live, STATUS_CODE, Str(), ctypes.c_int64(200)))
        return lib.spantap_end(live, ctypes.c_uint64(now))

    def flush(self, milliseconds):
        return self._lib.spantap_flush(self._producer, milliseconds)

    def stats(self):
        stats = Stats(ctypes.sizeof(Stats))
        self._check(self._lib.spantap_stats_get(self._producer, ctypes.byref(stats)))
        return {name: getattr(stats, name) for name, _ in Stats._fields_}


def main():
    spans, pause_s = int(sys.argv[2]), int(sys.argv[3]) / 1e6
    producer = LibraryProducer(sys.argv[1], sys.argv[4] if len(sys.argv) > 4 else "")
    producer.attach(10) if spans else None
    submitted = 0
    while submitted != spans if spans else not select.select([sys.stdin], [], [], 0)[0]:
        producer.submit()
        submitted += 1
        time.sleep(pause_s)
    flushed = producer.flush(10000) if not spans else 0
    print(json.dumps({**producer.stats(), "submitted": submitted, "flushed": flushed}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
