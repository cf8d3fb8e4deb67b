/* SPDX-License-Identifier: MIT */
/*
 * cell SUBJECT WORK [--mtu N] [--plain] [--spin] [--connections N] [--streams N] [--queues N]
 *      [--seconds S] [--cores S,P]
 *
 * Measures once and prints its figures, a line each: the suffix of the name ("-": none), the unit,
 * the value. To be run in a network namespace of its own (scripts/sandbox). Exit status 3: the
 * subject has not been built.
 */
#define _GNU_SOURCE /* affinity */
#include "cell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NOT_BUILT 3

#define PATIENCE_S 10 /* no single wait is longer */

/* ---- What subjects and works share ------------------------------------------------------------
 */

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void fail(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    fputs("cell: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(EXIT_FAILURE);
}

void *get_memory(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory)
        fail("%zu bytes", bytes);
    return memory;
}

void die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void cell_ready(void)
{
    if (write(READY_FD, "", 1) != 1)
        fail("telling that the subject is ready");
}

void cell_wait(const struct cell *cell, int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (!cell->spin)
        poll(&p, 1, timeout_ms);
}

static void print_notice(void *context, const char *message)
{
    (void)context;
    fprintf(stderr, "cell: %s\n", message);
}

struct device cell_device(const struct cell *cell, const char *name, const char *address)
{
    struct strait_tun_config config = {
        .size = sizeof(config),
        .name = name,
        .mtu = cell->mtu,
        .plain = cell->plain,
        .prefix_bits = PREFIX_BITS,
        .queue_packets = QUEUE_PACKETS,
        .notice = print_notice,
    };
    const struct shard_rule alone = {.shards = 1};
    struct device device;
    char error[200];
    inet_pton(AF_INET, address, &config.peer);
    if (device_open(&device, &config, &alone, error, sizeof(error)) != 1)
        fail("%s", error);
    return device;
}

struct sockaddr_in address_of(const char *address, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    return a;
}

int kernel_socket(void)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", strlen("cubic")) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
        fail("a socket with CUBIC");
    return fd;
}

int call_subject(const struct cell *cell, uint16_t port)
{
    struct sockaddr_in to = address_of(cell->subject->address, port);
    int fd = kernel_socket();
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        fail("connecting to port %u of %s", port, cell->subject->name);
    return fd;
}

void figure(const char *suffix, const char *unit, double value)
{
    printf("%s %s %.6g\n", *suffix ? suffix : "-", unit, value);
}

static int by_time(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

void figure_times(uint32_t *times_ns, size_t count)
{
    qsort(times_ns, count, sizeof(*times_ns), by_time);
    size_t middle = count / 2, last = count * 99 / 100;
    figure("", "us", times_ns[middle] / 1e3);
    figure("_p99", "us", times_ns[last] / 1e3);
}

/* ---- The processes ----------------------------------------------------------------------------
 */

/* Several queues have a core each: then both sides may run on all of them. */
static void stay_on(const struct cell *cell, int core)
{
    cpu_set_t set;
    if (cell->queues > 1)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        fail("staying on core %d", core);
}

/* Starts the subject in a process of its own, and waits until it serves. */
static void start_subject(struct cell *cell)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        fail("a pipe");
    cell->served_by = fork();
    if (cell->served_by < 0)
        fail("a process for %s", cell->subject->name);
    if (cell->served_by == 0) {
        die_with_parent();
        close(ready[0]);
        if (ready[1] != READY_FD && (dup2(ready[1], READY_FD) < 0 || close(ready[1])))
            fail("a pipe");
        stay_on(cell, cell->subject_core);
        cell->subject->serve(cell);
        exit(EXIT_FAILURE);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        fail("%s does not serve", cell->subject->name);
    close(ready[0]);
}

static void end_subject(const struct cell *cell)
{
    int status;
    kill(cell->served_by, SIGKILL);
    if (waitpid(cell->served_by, &status, 0) != cell->served_by || !WIFSIGNALED(status))
        fail("%s has ended by itself", cell->subject->name);
}

/* ---- The command line -------------------------------------------------------------------------
 */

static const struct subject *find_subject(const char *name)
{
    static const struct subject *const subjects[] = {
        &subject_strait, &subject_raw,  &subject_kernel,
        &subject_shovel, &subject_lwip, &subject_grpcio,
    };
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        if (strcmp(subjects[i]->name, name) == 0)
            return subjects[i];
    errno = ENOENT;
    fail("subject %s", name);
}

static const struct work *find_work(const char *name)
{
    static const struct work *const files[] = {
        bulk_works, latency_works, http_works, memory_works, packet_works, rpc_works,
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        for (const struct work *work = files[i]; work->name; work++)
            if (strcmp(work->name, name) == 0)
                return work;
    errno = ENOENT;
    fail("work %s", name);
}

static void read_options(struct cell *cell, int argc, char *argv[])
{
    static const struct option options[] = {
        {"mtu", required_argument, NULL, 'm'},
        {"plain", no_argument, NULL, 'p'},
        {"spin", no_argument, NULL, 's'},
        {"connections", required_argument, NULL, 'n'},
        {"streams", required_argument, NULL, 'i'},
        {"queues", required_argument, NULL, 'q'},
        {"seconds", required_argument, NULL, 't'},
        {"cores", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'm')
            cell->mtu = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'p')
            cell->plain = true;
        else if (option == 's')
            cell->spin = true;
        else if (option == 'n')
            cell->connections = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'i')
            cell->streams = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'q')
            cell->queues = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            cell->seconds = strtod(optarg, NULL);
        else if (option != 'c' ||
                 sscanf(optarg, "%d,%d", &cell->subject_core, &cell->peer_core) != 2)
            exit(2);
    }
    if (argc - optind != 2)
        exit(2);
}

int main(int argc, char *argv[])
{
    struct cell cell = {
        .mtu = 1500,
        .connections = 1,
        .streams = 1,
        .queues = 1,
        .seconds = 0.5,
        .subject_core = 1,
        .peer_core = 0,
    };
    read_options(&cell, argc, argv);
    cell.subject = find_subject(argv[optind]);
    const struct work *work = find_work(argv[optind + 1]);
    if (cell.subject->built && !cell.subject->built())
        return EXIT_NOT_BUILT;
    signal(SIGPIPE, SIG_IGN);
    if (!work->alone)
        start_subject(&cell);
    stay_on(&cell, cell.peer_core);
    work->measure(&cell);
    if (!work->alone)
        end_subject(&cell);
    return 0;
}
