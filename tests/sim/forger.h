/* SPDX-License-Identifier: MIT */
/*
 * A stranger on the path, who sees packets and sends some in the name of a peer. What he sends must
 * not do any harm (RFC 9293 3.10.7.4, RFC 5961): it is beside what the connection is about. The
 * packets are marked (PACKET_FORGED), so that checkers do not believe them.
 */
#ifndef TESTS_SIM_FORGER_H
#define TESTS_SIM_FORGER_H

#include "check.h"
#include "sim/world.h"

struct forger;

/* The check knows which connections are open. Borrowed. */
struct forger *forger_new(const struct scenario *, const struct check *);
void forger_free(struct forger *);

/* Sees a packet on the link of an end host, as check_packet does. */
void forger_see(struct forger *, uint32_t host, bool sent, const void *bytes, size_t length,
                const struct strait_offload *);

/*
 * Puts a forgery for each open connection of the host onto its link, in the direction towards it.
 */
void forger_act(struct forger *, uint32_t host, struct world_link *, int direction,
                enum scenario_forgery);

#endif
