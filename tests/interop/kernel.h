/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of a test: its sockets and its tools. All of it is called from the thread of
 * the test, and fails the test when the kernel refuses something.
 */
#ifndef INTEROP_KERNEL_H
#define INTEROP_KERNEL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STRAIT_ADDRESS "10.7.0.2"
#define STRAIT_NETWORK "10.7.0.2/24" /* the same, as --addr takes it */
#define KERNEL_ADDRESS "10.7.0.1"
#define DEVICE         "tun0"

#define PORT_ECHO    7
#define PORT_DISCARD 9
#define PORT_CHARGEN 19
#define PORT_HTTP    80

/* No single wait of a test is longer. */
#define WAIT_MS 10000

/* The sanitizers slow everything down: under them tests move a quarter of the bytes. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED     1
#define SCALED(bytes) ((uint64_t)(bytes) / 4)
#else
#define SANITIZED     0
#define SCALED(bytes) ((uint64_t)(bytes))
#endif

#define KB ((uint64_t)1000)
#define MB ((uint64_t)1000000)
#define GB ((uint64_t)1000000000)

struct sockaddr_in address_of(const char *address, uint16_t port);

/*
 * A socket whose calls end after WAIT_MS at the latest. A stream socket uses CUBIC or, where that
 * is missing, Reno: the machine's default (BBR, say) paces, and would be what is measured.
 */
int kernel_socket(int type);

/* Connects to a port of Strait. */
int kernel_connect(uint16_t port);

/* A listening socket of the kernel on the TUN's address; stores the port that it got. */
int kernel_listen(uint16_t *port);

/* SO_LINGER with time 0: the next close sends a RST. */
void kernel_close_by_reset(int fd);

/* Segments that the kernel's timers, of loss probes and of retransmission, have sent in all. */
uint32_t kernel_repeats_by_time(void);

/*
 * Segments that the kernel has sent again on the connection because they were lost, as duplicate
 * acknowledgements have told it. What a timer has made it send does not count, nor what Strait has
 * reported as duplicates (RFC 2883): on a busy machine an acknowledgement comes late, and the
 * kernel does not wait for it. Nor does what the device's queue has dropped, where Strait was not
 * given the time to read it. If it cannot be told, UINT32_MAX.
 */
uint32_t kernel_retransmissions(int fd);

/* Echoes `bytes` over a new connection to Strait, and compares. */
void check_echo(uint64_t seed, uint64_t bytes);

/*
 * Runs a shell command, which has to bound its own time; its output, errors included, is stored as
 * a string, as far as it fits. Returns the exit status.
 */
int run_command(char *output, size_t output_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same in two steps: the command runs until its end is waited for. */
FILE *start_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
int finish_command(FILE *, char *output, size_t output_bytes);

#endif
