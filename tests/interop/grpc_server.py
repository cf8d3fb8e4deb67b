#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""grpc_server.py ADDRESS:PORT: grpcio as a server for Strait's client, until its input ends."""

import concurrent.futures
import sys
import time

import grpc

PRIMES = {b"": b"\x08\x02", b"\x08\x05": b"\x08\x0d"}


def ith_prime(request, context):
    if request == b"\x08\x07":
        time.sleep(5)
    if request not in PRIMES:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "50% \u00e4rger")
    return PRIMES[request]


def watch(_request, _context):
    for status in b"\x01\x02":
        yield b"\x08" + bytes([status])


server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=4))
handler = grpc.unary_unary_rpc_method_handler(ith_prime)
watcher = grpc.unary_stream_rpc_method_handler(watch)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("strait.Primes", {"IthPrime": handler}),
     grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Watch": watcher})))
server.add_insecure_port(sys.argv[1])
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop(0)
