/* SPDX-License-Identifier: MIT */
/*
 * A subject that is a program of its own beside this one, since its names would clash with
 * Strait's: it inherits the opened TUN and the descriptor that says when it is ready.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cell.h"

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
