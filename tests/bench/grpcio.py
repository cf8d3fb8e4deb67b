#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""grpcio.py ADDRESS:PORT FD: the service of gRPC's own library for Python, as a subject of the
benchmark; it writes a byte to the descriptor once it serves. With "try" alone it only shows that
the library is there.

One thread and one loop, which is the fastest way that the library has; and messages as bytes, so
that nothing but the library is measured.
"""

import asyncio
import os
import sys

import grpc


async def ith_prime(request, _context):
    return b"\x08\x0d" if request == b"\x08\x05" else b""


async def serve(address, ready):
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(ith_prime)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("strait.Primes", {"IthPrime": handler}),))
    server.add_insecure_port(address)
    await server.start()
    os.write(ready, b"x")
    await server.wait_for_termination()


if sys.argv[1] != "try":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
