/* SPDX-License-Identifier: MIT */
#ifndef KV_HOST_H
#define KV_HOST_H

/* The command `strait kv node ...`; argv[0] is "node". Returns the exit status. */
int kv_host_main(int argc, char *argv[]);

#endif
