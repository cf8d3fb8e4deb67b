/* SPDX-License-Identifier: MIT */
#include "get/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "get/get.h"
#include "get/progress.h"
#include "outlet.h"
#include "station.h"

#define LEAVE_NS        (2 * UINT64_C(1000000000)) /* for the last segments */
#define REDRAW_NS       (UINT64_C(100000000))
#define COLUMNS_MAX     200
#define COLUMNS_DEFAULT 80

struct settings {
    const char *file; /* NULL: stdout */
    bool resume;
    bool quiet;
    const char *text; /* of the URL */
    struct url url;
};

struct download {
    struct station station;
    const struct settings *settings;
    struct get *get;
    struct outlet outlet;
    int file;        /* to write to */
    bool is_regular; /* so that it can be cut and continued */
    uint64_t have;
    size_t from, to; /* in `waiting`: for the outlet to have room */
    char waiting[GET_PIECE_BYTES];

    bool over;  /* nothing more will come */
    bool whole; /* and all that was wanted has */
    bool ended; /* it has been written, too */
    bool shows; /* the progress, on stderr */
    bool began;
    uint64_t began_ns;
    struct progress progress;
    struct strait_timer redraw;
};

/* ---- The command line ---- */

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    (void)report;
    switch (option) {
    case 'o':
        s->file = strcmp(value, "-") == 0 ? NULL : value;
        return 0;
    case 'C':
        s->resume = true;
        return 0;
    default: /* 'q' */
        s->quiet = true;
        return 0;
    }
}

static int check_options(void *settings, const struct options *options, const struct report *report)
{
    struct settings *s = settings;
    if (options->operand_count == 0)
        return options_fail(report, "the URL is missing; say for example get http://10.7.0.1/");
    s->text = options->operands[0];
    const char *wrong = url_parse(&s->url, s->text);
    if (wrong)
        return options_fail(report, "%s: %s", s->text, wrong);
    if (s->resume && !s->file)
        return options_fail(report, "-C needs -o FILE, which it continues");
    return 0;
}

static const struct command command = {
    .name = "get",
    .help =
        "Usage: strait get URL --addr ADDRESS/BITS [OPTION...]\n"
        "\n"
        "Downloads by HTTP, to stdout or to a file. Redirections are followed, but to other hosts\n"
        "only by address: names are looked up before the device is opened. Exit status: 0 when\n"
        "all is there, 1 when something failed.\n"
        "\n"
        "  -o FILE            where to write\n"
        "  -C                 continues FILE where it ends, if the server can do that\n"
        "  -q                 shows no progress\n",
    .letters = "o:Cq",
    .operands_max = 1,
    .take = take_option,
    .check = check_options,
};

/* ---- The progress, on a terminal ---- */

static void draw(struct download *d)
{
    char line[COLUMNS_MAX + 64];
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    int columns = known ? size.ws_col : COLUMNS_DEFAULT;
    if (columns > COLUMNS_MAX)
        columns = COLUMNS_MAX;
    d->progress.elapsed_ns = d->station.env->now(d->station.env) - d->began_ns;
    progress_write(&d->progress, columns, line, sizeof(line));
    fprintf(stderr, "\r%.*s\033[K", columns - 1, line);
}

static void redraw(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct download *d =
        (struct download *)(void *)((char *)timer - offsetof(struct download, redraw));
    draw(d);
    env->timer_start(env, timer, env->now(env) + REDRAW_NS);
}

static void show_progress(struct download *d, uint64_t first, uint64_t total)
{
    struct strait_env *env = d->station.env;
    d->progress = (struct progress){.done = first, .resumed = first, .total = total};
    d->began_ns = env->now(env);
    d->began = true;
    d->redraw.expired = redraw;
    env->timer_start(env, &d->redraw, d->began_ns);
}

/* Leaves the line as it ends. */
static void finish_progress(struct download *d)
{
    if (!d->began || !d->shows)
        return;
    d->station.env->timer_stop(d->station.env, &d->redraw);
    draw(d);
    fputc('\n', stderr);
}

/* ---- The file ---- */

static const char *file_name(const struct download *d)
{
    return d->settings->file ? d->settings->file : "stdout";
}

/*
 * Opened with the rights of whoever has called, as the device is. It is not cut before an answer is
 * there.
 */
static int open_file(struct download *d)
{
    const char *name = d->settings->file;
    struct stat status;
    if (!name)
        return 0;
    d->file = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (d->file < 0 || fstat(d->file, &status) < 0)
        return complain("%s: %s", name, strerror(errno));
    d->is_regular = S_ISREG(status.st_mode);
    if (!d->settings->resume)
        return 0;
    if (!d->is_regular)
        return complain("-C %s: only a file can be continued", name);
    d->have = (uint64_t)status.st_size;
    return 0;
}

static bool begin(void *context, uint64_t first, uint64_t total)
{
    struct download *d = context;
    if (first < d->have && !d->settings->quiet)
        say("the server sends the whole instead of the rest: beginning anew");
    if (d->is_regular &&
        (ftruncate(d->file, (off_t)first) < 0 || lseek(d->file, (off_t)first, SEEK_SET) < 0)) {
        say("%s: %s", file_name(d), strerror(errno));
        return false;
    }
    if (d->shows)
        show_progress(d, first, total);
    return true;
}

/* Writes what waits. Returns false after a line. */
static bool flush(struct download *d)
{
    ssize_t n = outlet_write(&d->outlet, d->waiting + d->from, d->to - d->from);
    if (n < 0) {
        say("%s: %s", file_name(d), strerror(errno));
        return false;
    }
    d->from += (size_t)n;
    d->progress.done += (uint64_t)n;
    if (d->from == d->to)
        d->from = d->to = 0;
    return true;
}

/* What waits is less than a piece together with this one: see `full`. */
static bool body(void *context, const char *bytes, size_t length)
{
    struct download *d = context;
    memcpy(d->waiting + d->to, bytes, length);
    d->to += length;
    return d->outlet.waits || flush(d);
}

static bool full(void *context)
{
    const struct download *d = context;
    return d->to > 0;
}

/* ---- The end ---- */

static void stop(struct download *d)
{
    d->ended = true;
    strait_loop_stop(d->station.loop);
}

static void ended(void *context, bool whole, const char *error)
{
    struct download *d = context;
    d->over = true;
    d->whole = whole;
    if (error) {
        finish_progress(d);
        d->began = false;
        say("%s: %s", d->settings->text, error);
    }
    if (d->to == 0 || (!whole && !error)) /* the second: it cannot be written */
        stop(d);
}

static void room_again(void *argument)
{
    struct download *d = argument;
    if (!flush(d)) {
        d->whole = false;
        stop(d);
    } else if (d->to == 0 && d->over) {
        stop(d);
    } else if (d->to == 0) {
        get_resume(d->get);
    }
}

static const char *words(int number)
{
    return strerror(number);
}

static int run(struct download *d, struct in_addr address)
{
    struct strait_env *env = d->station.env;
    struct get_config config = {
        .stack = d->station.stack,
        .env = env,
        .url = d->settings->url,
        .address = address,
        .have = d->have,
        .begin = begin,
        .body = body,
        .full = full,
        .words = words,
        .ended = ended,
        .context = d,
    };
    outlet_init(&d->outlet, env, d->file, room_again, d);
    d->shows = !d->settings->quiet && isatty(STDERR_FILENO) && !isatty(d->file);
    d->get = get_start(&config);
    if (!d->get)
        return complain("%s", strerror(errno));
    int result = station_run(&d->station);
    finish_progress(d);
    get_free(d->get);
    outlet_stop(&d->outlet);
    if (result == 0 && !d->ended)
        result = complain("interrupted");
    if (result < 0 || station_finish(&d->station, env->now(env) + LEAVE_NS) < 0)
        return -1;
    return d->whole ? 0 : -1;
}

/* The file is whole when it has been closed without an error. */
static int close_file(struct download *d)
{
    if (d->file == STDOUT_FILENO || close(d->file) == 0)
        return 0;
    return complain("%s: %s", file_name(d), strerror(errno));
}

int get_main(int argc, char *argv[])
{
    struct settings settings = {0};
    struct download d = {.settings = &settings, .file = STDOUT_FILENO};
    struct options options;
    struct in_addr address;
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    if (station_find(settings.url.host, &address) < 0 || open_file(&d) < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN); /* the end of stdout's reader is an error of write */
    int result = -1;
    if (station_init(&d.station, &options) == 0 && station_open(&d.station) == 0 &&
        station_confine(&d.station, NULL, NULL) == 0)
        result = run(&d, address);
    station_free(&d.station);
    if (close_file(&d) < 0)
        result = -1;
    return result == 0 ? 0 : 1;
}
