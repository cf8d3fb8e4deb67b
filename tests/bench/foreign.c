/* SPDX-License-Identifier: MIT */
/*
 * Subjects that are programs of their own, since they are written in another language, or their
 * names would clash with Strait's: they inherit the descriptor that says when they are ready, and
 * that of the opened TUN.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cell.h"
#include "rpc/grpc.h"

/* The path of a program in this one's folder. */
static void path_beside(const char *name, char *path, size_t path_bytes)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = '\0';
    const char *slash = strrchr(self, '/');
    snprintf(path, path_bytes, "%.*s%s", slash ? (int)(slash + 1 - self) : 0, self, name);
}

static bool lwip_built(void)
{
    char path[PATH_MAX];
    path_beside("lwip", path, sizeof(path));
    return access(path, X_OK) == 0;
}

static void lwip_serve(const struct cell *cell)
{
    char path[PATH_MAX], fd[16], mtu[16];
    struct device device = cell_device(cell, "tun0", KERNEL_ADDRESS);
    path_beside("lwip", path, sizeof(path));
    snprintf(fd, sizeof(fd), "%d", device.fd);
    snprintf(mtu, sizeof(mtu), "%u", cell->mtu);
    if (fcntl(device.fd, F_SETFD, 0) == 0)
        execl(path, "lwip", fd, mtu, cell->spin ? "spin" : "sleep", (char *)NULL);
    fail("%s", path);
}

const struct subject subject_lwip = {
    .name = "lwip", .address = SUBJECT_ADDRESS, .serve = lwip_serve, .built = lwip_built};

#define GRPCIO         "tests/bench/grpcio.py" /* from the root of the sources */
#define GRPCIO_ADDRESS "127.0.0.1"

static bool grpcio_installed(void)
{
    return system(GRPCIO " try 2>/dev/null") == 0;
}

static void grpcio_serve(const struct cell *cell)
{
    char at[64], ready[16];
    (void)cell;
    snprintf(at, sizeof(at), GRPCIO_ADDRESS ":%d", GRPC_PORT);
    snprintf(ready, sizeof(ready), "%d", READY_FD);
    execl(GRPCIO, GRPCIO, at, ready, (char *)NULL);
    fail("%s", GRPCIO);
}

const struct subject subject_grpcio = {
    .name = "grpcio", .address = GRPCIO_ADDRESS, .serve = grpcio_serve, .built = grpcio_installed};
