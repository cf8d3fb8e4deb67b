/* SPDX-License-Identifier: MIT */
/*
 * The rule of base/shard.h as a program for the kernel, which runs it on each packet that it gives
 * to a TUN device, to choose the queue: an eBPF program of the socket filter kind, which sees the
 * packet from its IP header on and returns the number of the shard. What is no IPv4 packet, or is
 * shorter than its header tells, goes to shard 0.
 */
#ifndef HOST_STEER_H
#define HOST_STEER_H

#include <linux/bpf.h>
#include <stddef.h>

#include "base/shard.h"

#define STEER_INSTRUCTIONS_MAX 80

struct steer_program {
    struct bpf_insn code[STEER_INSTRUCTIONS_MAX];
    size_t count;
};

/* Writes the program. */
void steer_assemble(struct steer_program *, const struct shard_rule *);

/* Gives it to the kernel. Returns its descriptor, which is the caller's, or -1 with errno (EPERM
 * without CAP_BPF, as a rule). */
int steer_load(const struct steer_program *);

#endif
