/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_PATH */
#include "control/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "privilege.h"

#define ROOT_DIRECTORY "/run"
#define BACKLOG        8

bool control_default_path(const char *device, bool of_root, char path[CONTROL_PATH_MAX])
{
    const char *base = of_root ? ROOT_DIRECTORY : getenv("XDG_RUNTIME_DIR");
    if (!base || base[0] != '/')
        return false;
    int length = snprintf(path, CONTROL_PATH_MAX, "%s/strait/%s/control", base, device);
    return length > 0 && (size_t)length < CONTROL_PATH_MAX;
}

/* The address of a path; false with errno ENAMETOOLONG. */
static bool address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, strlen(path)); /* and the zero behind it is there */
    return true;
}

int control_connect(const char *path)
{
    struct sockaddr_un address;
    if (!address_of(path, &address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* ---- Opening ---- */

/* Makes the last two directories of a default path, each if it is not there. */
static int make_parents(const char *path)
{
    char directory[CONTROL_PATH_MAX];
    snprintf(directory, sizeof(directory), "%s", path);
    char *last = strrchr(directory, '/');
    *last = '\0';
    char *before = strrchr(directory, '/');
    *before = '\0';
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return -1;
    *before = '/';
    return mkdir(directory, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* Parts the path into a directory, which is opened, and a name in it. */
static int open_directory(struct control_socket *s, const char *path)
{
    char directory[CONTROL_PATH_MAX];
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (name[0] == '\0') {
        errno = EISDIR;
        return -1;
    }
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    memcpy(directory, length > 0 ? path : ".", length > 0 ? length : 1);
    directory[length > 0 ? length : 1] = '\0';
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->directory < 0 ? -1 : 0;
}

/* Gives a file of the directory, or with "" the directory itself, to the user to come. */
static int give_away(const struct control_socket *s, const char *name)
{
    uid_t uid;
    gid_t gid;
    if (geteuid() != 0 || !privilege_user(&uid, &gid))
        return 0;
    return fchownat(s->directory, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
}

static int bind_for_owner(int fd, const struct sockaddr_un *address)
{
    mode_t mask = umask(0177);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    umask(mask);
    return result;
}

/* Something is at the path: removes it if it is a socket that nobody listens to. */
static int remove_stale(const struct control_socket *s, const struct sockaddr_un *address)
{
    struct stat status;
    if (fstatat(s->directory, s->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!S_ISSOCK(status.st_mode)) {
        errno = ENOTSOCK;
        return -1;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int refused = probe >= 0 &&
                  connect(probe, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
                  errno == ECONNREFUSED;
    close(probe);
    if (!refused) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlinkat(s->directory, s->name, 0);
}

static int listen_at(struct control_socket *s, const struct sockaddr_un *address)
{
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -1;
    int result = bind_for_owner(s->fd, address);
    if (result < 0 && errno == EADDRINUSE && remove_stale(s, address) == 0)
        result = bind_for_owner(s->fd, address);
    if (result < 0) {
        int saved = errno;
        close(s->fd); /* the file is not ours: it stays */
        s->fd = -1;
        errno = saved;
        return -1;
    }
    return give_away(s, s->name) < 0 ? -1 : listen(s->fd, BACKLOG);
}

static const char *explain(int number)
{
    switch (number) {
    case EADDRINUSE:
        return "a running strait answers there";
    case ENOTSOCK:
        return "something is there that is no socket";
    default:
        return strerror(number);
    }
}

int control_socket_open(struct control_socket *s, const char *path, bool make_directories,
                        char *error, size_t error_bytes)
{
    struct sockaddr_un address;
    *s = (struct control_socket){.fd = -1, .directory = -1};
    if (address_of(path, &address) && (!make_directories || make_parents(path) == 0) &&
        open_directory(s, path) == 0 && (!make_directories || give_away(s, "") == 0) &&
        listen_at(s, &address) == 0)
        return 0;
    snprintf(error, error_bytes, "%s: %s; name another path", path, explain(errno));
    control_socket_close(s);
    return -1;
}

void control_socket_close(struct control_socket *s)
{
    if (s->fd >= 0) {
        unlinkat(s->directory, s->name, 0);
        close(s->fd);
    }
    if (s->directory >= 0)
        close(s->directory);
    s->fd = s->directory = -1;
}
