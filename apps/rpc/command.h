/* SPDX-License-Identifier: MIT */
#ifndef APPS_RPC_COMMAND_H
#define APPS_RPC_COMMAND_H

/* The command `strait rpc serve|call|list|bench ...`; argv[0] is "rpc". Returns the exit status. */
int rpc_main(int argc, char *argv[]);

#endif
