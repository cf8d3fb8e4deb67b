/* SPDX-License-Identifier: MIT */
#include "host/steer.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

/* Where the fields of the IPv4 header stand (RFC 791 3.1). */
#define VERSION_AT     0
#define FRAGMENT_AT    6
#define PROTOCOL_AT    9
#define SOURCE_AT      12
#define DESTINATION_AT 16

#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset */

/* Loads from the packet go to R0 and take R1 to R5 from us; they want the packet in R6. */
enum {
    RESULT = BPF_REG_0,
    SCRATCH = BPF_REG_1,
    PACKET = BPF_REG_6,
    PORTS = BPF_REG_7, /* the length of the IP header, then both ports, then the local one */
    REMOTE = BPF_REG_8,
    LOCAL = BPF_REG_9,
};

static size_t emit(struct steer_program *p, uint8_t code, uint8_t to, uint8_t from, int32_t value)
{
    CHECK(p->count < STEER_INSTRUCTIONS_MAX);
    p->code[p->count] = (struct bpf_insn){
        .code = code,
        .dst_reg = to & 0xfu,
        .src_reg = from & 0xfu,
        .imm = value,
    };
    return p->count++;
}

/* to = to OPERATION value, or from: BPF_ADD and the like, in 64 bits. */
static void with_number(struct steer_program *p, uint8_t operation, uint8_t to, int32_t value)
{
    emit(p, BPF_ALU64 | BPF_K | operation, to, 0, value);
}

static void with_register(struct steer_program *p, uint8_t operation, uint8_t to, uint8_t from)
{
    emit(p, BPF_ALU64 | BPF_X | operation, to, from, 0);
}

/* A load in a mode: of the value itself, or from the packet. */
static void load(struct steer_program *p, uint8_t mode, uint8_t size, uint8_t to, uint8_t from,
                 int32_t value)
{
    emit(p, BPF_LD | mode | size, to, from, value);
}

/* SCRATCH = value, which takes two instructions. */
static void load_number(struct steer_program *p, uint64_t value)
{
    load(p, BPF_IMM, BPF_DW, SCRATCH, 0, (int32_t)(uint32_t)value);
    emit(p, 0, 0, 0, (int32_t)(uint32_t)(value >> 32));
}

/* RESULT = the number at `offset` of the packet, in host order. Beyond its end: returns 0. */
static void load_packet(struct steer_program *p, uint8_t size, int32_t offset)
{
    load(p, BPF_ABS, size, 0, 0, offset);
}

/* A jump to wherever `land` says later; without a condition the operation is BPF_JA. */
static size_t jump_if(struct steer_program *p, uint8_t operation, uint8_t left, int32_t right)
{
    return emit(p, BPF_JMP | BPF_K | operation, left, 0, right);
}

static void land(struct steer_program *p, size_t jump)
{
    p->code[jump].off = (int16_t)(p->count - jump - 1);
}

static void return_result(struct steer_program *p)
{
    emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

/* PORTS = both ports, the remote one above the local one; 0 if the packet has none. */
static void read_ports(struct steer_program *p)
{
    load_packet(p, BPF_B, VERSION_AT);
    with_register(p, BPF_MOV, PORTS, RESULT);
    with_number(p, BPF_RSH, RESULT, 4);
    size_t version_4 = jump_if(p, BPF_JEQ, RESULT, 4);
    with_number(p, BPF_MOV, RESULT, 0);
    return_result(p);

    land(p, version_4);
    with_number(p, BPF_AND, PORTS, 15);
    with_number(p, BPF_LSH, PORTS, 2);
    load_packet(p, BPF_H, FRAGMENT_AT);
    with_number(p, BPF_AND, RESULT, FRAGMENT_BITS);
    size_t fragment = jump_if(p, BPF_JNE, RESULT, 0);
    load_packet(p, BPF_B, PROTOCOL_AT);
    size_t tcp = jump_if(p, BPF_JEQ, RESULT, IPPROTO_TCP);
    size_t neither = jump_if(p, BPF_JNE, RESULT, IPPROTO_UDP);

    land(p, tcp);
    load(p, BPF_IND, BPF_W, 0, PORTS, 0);
    with_register(p, BPF_MOV, PORTS, RESULT);
    size_t done = jump_if(p, BPF_JA, 0, 0);

    land(p, fragment);
    land(p, neither);
    with_number(p, BPF_MOV, PORTS, 0);
    land(p, done);
}

/* REMOTE and LOCAL = the two ends, as shard_endpoint makes them; PORTS = the local port. */
static void read_ends(struct steer_program *p)
{
    load_packet(p, BPF_W, SOURCE_AT);
    with_register(p, BPF_MOV, REMOTE, RESULT);
    load_packet(p, BPF_W, DESTINATION_AT);
    with_register(p, BPF_MOV, LOCAL, RESULT);

    with_register(p, BPF_MOV, SCRATCH, PORTS);
    with_number(p, BPF_RSH, SCRATCH, 16);
    with_number(p, BPF_LSH, REMOTE, 16);
    with_register(p, BPF_OR, REMOTE, SCRATCH);
    with_number(p, BPF_AND, PORTS, UINT16_MAX);
    with_number(p, BPF_LSH, LOCAL, 16);
    with_register(p, BPF_OR, LOCAL, PORTS);
}

/* As shard_of. */
static void choose_by_port(struct steer_program *p, const struct shard_rule *rule)
{
    size_t below = jump_if(p, BPF_JLT, PORTS, rule->port_first);
    size_t above = jump_if(p, BPF_JGT, PORTS, rule->port_last);
    with_number(p, BPF_SUB, PORTS, rule->port_first);
    with_number(p, BPF_MOD, PORTS, (int32_t)rule->shards);
    with_register(p, BPF_MOV, RESULT, PORTS);
    return_result(p);
    land(p, below);
    land(p, above);
}

/* RESULT, of 16 bits, is mixed: half of what shard.c does. */
static void mix(struct steer_program *p, int32_t multiplier)
{
    with_register(p, BPF_MOV, SCRATCH, RESULT);
    with_number(p, BPF_RSH, SCRATCH, SHARD_MIX_SHIFT);
    with_register(p, BPF_XOR, RESULT, SCRATCH);
    with_number(p, BPF_MUL, RESULT, multiplier);
    with_number(p, BPF_AND, RESULT, UINT16_MAX);
}

/* As shard_by_hash. */
static void choose_by_hash(struct steer_program *p, const struct shard_rule *rule)
{
    size_t ordered = emit(p, BPF_JMP | BPF_X | BPF_JLE, LOCAL, REMOTE, 0);
    with_register(p, BPF_MOV, SCRATCH, LOCAL);
    with_register(p, BPF_MOV, LOCAL, REMOTE);
    with_register(p, BPF_MOV, REMOTE, SCRATCH);
    land(p, ordered);

    load_number(p, rule->keys[1]);
    with_register(p, BPF_MUL, LOCAL, SCRATCH);
    load_number(p, rule->keys[2]);
    with_register(p, BPF_MUL, REMOTE, SCRATCH);
    load_number(p, rule->keys[0]);
    with_register(p, BPF_MOV, RESULT, SCRATCH);
    with_register(p, BPF_ADD, RESULT, LOCAL);
    with_register(p, BPF_ADD, RESULT, REMOTE);
    with_number(p, BPF_RSH, RESULT, 48);
    mix(p, SHARD_MIX_MULTIPLIER_1);
    mix(p, SHARD_MIX_MULTIPLIER_2);
    with_number(p, BPF_MUL, RESULT, (int32_t)rule->shards);
    with_number(p, BPF_RSH, RESULT, 16);
    return_result(p);
}

void steer_assemble(struct steer_program *p, const struct shard_rule *rule)
{
    p->count = 0;
    with_register(p, BPF_MOV, PACKET, SCRATCH); /* it comes in R1 */
    read_ports(p);
    read_ends(p);
    choose_by_port(p, rule);
    choose_by_hash(p, rule);
}

int steer_load(const struct steer_program *p)
{
    static const char name[] = "strait_steer", license[] = "MIT";
    union bpf_attr attributes = {
        .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
        .insn_cnt = (uint32_t)p->count,
        .insns = (uintptr_t)p->code,
        .license = (uintptr_t)license,
    };

    memcpy(attributes.prog_name, name, sizeof(name));
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}
