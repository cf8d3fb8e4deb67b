/* SPDX-License-Identifier: MIT */
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

/* The command `strait kv node|get|put|del|txn|status|txns|explain|backup|bench ...`; argv[0] is
 * "kv". Returns the exit status. */
int kv_main(int argc, char *argv[]);

#endif
