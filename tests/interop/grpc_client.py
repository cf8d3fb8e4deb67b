#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""grpc_client.py HOST:PORT: grpcio as a client of Strait. Messages are bytes written by hand, so that
nothing of Strait stands on both sides. Prints a line for each thing that it finds as it should be."""

import struct
import sys
import time

import grpc

PRIME = "/strait.Primes/IthPrime"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

channel = grpc.insecure_channel(sys.argv[1], options=NO_LIMIT)


def call(path, request, **more):
    return channel.unary_unary(path)(request, timeout=more.pop("timeout", 20), **more)


def code(path, request, **more):
    try:
        return call(path, request, **more)
    except grpc.RpcError as error:
        return error.code().name, error.details()


def say(what, found, expected):
    print(what if found == expected else f"{what}: {found!r} instead of {expected!r}", flush=True)


def unknown_field(size):
    """A message of so many bytes: field 2, a string, of a four-byte length."""
    body = size - 5
    length = bytes([body & 127 | 128, body >> 7 & 127 | 128, body >> 14 & 127 | 128, body >> 21])
    return b"\x12" + length + bytes(body)


say("unary", call(PRIME, b"\x08\x05"), b"\x08\x0d")
say("long", call(PRIME, b"\x08\xbf\x84\x3d"), b"\x08\xa7\x97\xb1\x07")
say("status", code(PRIME, b"\x08\xff\xff\xff\xff\x0f"), ("OUT_OF_RANGE", "out of range"))
say("no method", code("/strait.Primes/Nth", b"")[0], "UNIMPLEMENTED")
say("4 MiB", code(PRIME, unknown_field(4 << 20)), b"\x08\x02")
say("more", code(PRIME, unknown_field((4 << 20) + 1))[0], "RESOURCE_EXHAUSTED")
say("gzip", code(PRIME, b"\x08\x05" * 3000, compression=grpc.Compression.Gzip)[0], "UNIMPLEMENTED")
say("metadata", call(PRIME, b"\x08\x05", metadata=(
    ("strait-once-bin", struct.pack("!QQQ", 1, 1, 1)), ("other", "x" * 1000))), b"\x08\x0d")
say("long metadata", code(PRIME, b"", metadata=(("x", "y" * 7900), ("z", "y" * 7900)))[0],
    "RESOURCE_EXHAUSTED")

began = time.monotonic()
say("deadline", code(PRIME, b"\x08\xdc\x9e\xf7\x60", timeout=0.05)[0], "DEADLINE_EXCEEDED")
say("in time", time.monotonic() - began < 5, True)

future = channel.unary_unary(PRIME).future(b"\x08\xdc\x9e\xf7\x60", timeout=20)
time.sleep(0.02)
say("cancel", (future.cancel(), future.cancelled()), (True, True))

futures = [channel.unary_unary(PRIME).future(b"\x08\x05", timeout=60) for _ in range(500)]
say("500 at once", {f.result() for f in futures}, {b"\x08\x0d"})

say("health", call(CHECK, b""), b"\x08\x01")
say("health of a service", call(CHECK, b"\x0a\x0dstrait.Primes"), b"\x08\x01")
say("health of no service", code(CHECK, b"\x0a\x01x")[0], "NOT_FOUND")

asked = [b"\x3a\x01*", b"\x22\x16strait.Primes.IthPrime", b"\x22\x02no"]
answers = list(channel.stream_stream(REFLECT)(iter(asked), timeout=20))
say("reflection", [b"strait.Primes" in answers[0], b"primes/primes.proto" in answers[1],
                   b":\x18\x08\x05" in answers[2], len(answers)], [True, True, True, 3])

# The server is told to stop while this one waits: it hears of it before the connection ends.
watch = channel.unary_stream(WATCH)(b"", timeout=60)
say("watch", next(watch), b"\x08\x01")
print("ready to be left", flush=True)
try:
    say("it stops", next(watch), b"\x08\x02")
    next(watch)
except grpc.RpcError as error:
    say("left", error.code().name, "UNAVAILABLE")
