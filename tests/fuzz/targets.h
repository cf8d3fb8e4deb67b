/* SPDX-License-Identifier: MIT */
/*
 * The fuzz targets. Each reads any bytes as its input, and aborts the program when what its file
 * promises does not hold; the sanitizers watch the rest. A target is a pure function of its input:
 * time is virtual, the stack's secret is fixed. With clang's libFuzzer each of them becomes a
 * program (`make fuzz`); test_corpus.c runs the committed inputs in the builds of every MODE.
 *
 * They return 0, as libFuzzer asks for.
 */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

int fuzz_packet(const uint8_t *bytes, size_t length);
int fuzz_states(const uint8_t *bytes, size_t length);
int fuzz_options(const uint8_t *bytes, size_t length);
int fuzz_reassembly(const uint8_t *bytes, size_t length);
int fuzz_aware(const uint8_t *bytes, size_t length);
int fuzz_http(const uint8_t *bytes, size_t length);
int fuzz_rpc(const uint8_t *bytes, size_t length);
int fuzz_grpc(const uint8_t *bytes, size_t length);
int fuzz_grpc_client(const uint8_t *bytes, size_t length);
int fuzz_message(const uint8_t *bytes, size_t length);
int fuzz_kv_message(const uint8_t *bytes, size_t length);
int fuzz_kv_http(const uint8_t *bytes, size_t length);

/*
 * What fuzz_states does, and which states its sockets were in: a set of bits 1 << number, with
 * Linux's numbers of the states (TCP_ESTABLISHED ...) and this one for a listener's half-open
 * record.
 */
#define STATES_HALF_OPEN 0
uint32_t states_reached(const uint8_t *bytes, size_t length);

#endif
