/* SPDX-License-Identifier: MIT */
#include "control/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "control/socket.h"

#define WAIT_S 10 /* for a program that may be busy */

/* Connects as the options say; `path` is then the last place that was tried. */
static int connect_to(const struct options *o, char path[CONTROL_PATH_MAX])
{
    if (o->control) {
        snprintf(path, CONTROL_PATH_MAX, "%s", o->control);
        return control_connect(o->control);
    }
    int fd = -1;
    if (geteuid() != 0 && control_default_path(o->tun, false, path))
        fd = control_connect(path); /* one of this user's own */
    if (fd < 0 && control_default_path(o->tun, true, path))
        fd = control_connect(path);
    return fd;
}

static int send_request(int fd, const char *request)
{
    char line[512];
    int length = snprintf(line, sizeof(line), "%s\n", request);
    const struct timeval limit = {.tv_sec = WAIT_S};
    if (length < 0 || (size_t)length >= sizeof(line)) {
        errno = EMSGSIZE;
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
        return -1;
    return send(fd, line, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -1;
}

/* Takes objects until the last one. Returns 0, or -1 with a line. */
static int take_answer(FILE *stream, void (*take)(void *context, json_t *object), void *context,
                       char *error, size_t error_bytes)
{
    char *line = NULL;
    size_t capacity = 0;
    int result = 1;
    while (result > 0 && getline(&line, &capacity, stream) > 0) {
        json_t *object = json_loads(line, 0, NULL);
        const json_t *failed = json_object_get(object, "error");
        if (json_object_get(object, "done")) {
            result = 0;
        } else if (!json_is_object(object) || failed) {
            snprintf(error, error_bytes, "%s",
                     json_is_string(failed) ? json_string_value(failed)
                                            : "the answer is not understood");
            result = -1;
        } else {
            take(context, object);
        }
        json_decref(object);
    }
    free(line);
    if (result > 0)
        snprintf(error, error_bytes, "the answer was cut off: %s",
                 ferror(stream) ? strerror(errno) : "the program has ended");
    return result == 0 ? 0 : -1;
}

static void explain(char *error, size_t error_bytes, const char *path, int number)
{
    if (number == EACCES || number == EPERM)
        snprintf(error, error_bytes, "%s: %s; ask as root, or as the user whom strait has become",
                 path, strerror(number));
    else
        snprintf(error, error_bytes, "nobody answers at %s: %s; is strait serve running?", path,
                 strerror(number));
}

int control_ask(const struct options *o, const char *request,
                void (*take)(void *context, json_t *object), void *context, char *error,
                size_t error_bytes)
{
    char path[CONTROL_PATH_MAX] = "";
    int fd = connect_to(o, path);
    FILE *stream = fd < 0 || send_request(fd, request) < 0 ? NULL : fdopen(fd, "r");
    if (!stream) {
        explain(error, error_bytes, path, errno);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int result = take_answer(stream, take, context, error, error_bytes);
    fclose(stream);
    return result;
}
