/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMES_MIN ((size_t)65536)

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

size_t key_of(char key[KEY_BYTES], uint32_t client, uint32_t number)
{
    return (size_t)snprintf(key, KEY_BYTES, "bench/%u/%u", client, number % CLIENT_KEYS);
}

/* ---- The command line ---- */

static void misuse(void)
{
    fail("usage: write|read [--clients N] [--seconds S] [--group TRANSACTIONS] [--directory DIR] "
         "[--server ADDRESS] [--one-connection]");
}

static void take(struct measure *m, int option)
{
    if (option == 'c')
        m->clients = (uint32_t)strtoul(optarg, NULL, 10);
    else if (option == 's')
        m->seconds = strtod(optarg, NULL);
    else if (option == 'g')
        m->group = strtod(optarg, NULL);
    else if (option == 'd')
        m->directory = optarg;
    else if (option == 'a')
        m->server = optarg;
    else if (option == 'o')
        m->one_connection = true;
    else
        misuse();
}

void measure_read(struct measure *m, int argc, char *argv[])
{
    static const struct option options[] = {
        {"clients", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"group", required_argument, NULL, 'g'},
        {"directory", required_argument, NULL, 'd'},
        {"server", required_argument, NULL, 'a'},
        {"one-connection", no_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    int option;
    *m = (struct measure){
        .clients = 1, .seconds = 1, .group = 1, .directory = ".", .server = "127.0.0.1"};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take(m, option);
    if (argc - optind != 1 || m->clients < 1 || m->clients > CLIENTS_MAX || m->group <= 0)
        misuse();
    m->read = strcmp(argv[optind], "read") == 0;
    if (!m->read && strcmp(argv[optind], "write") != 0)
        misuse();
}

/* ---- Times ---- */

static void make_room(struct times *t, size_t count)
{
    size_t room = t->room ? t->room : TIMES_MIN;
    while (room < count)
        room *= 2;
    if (room == t->room)
        return;
    t->list_us10 = realloc(t->list_us10, room * sizeof(*t->list_us10));
    if (!t->list_us10)
        fail("no memory");
    t->room = room;
}

void times_add(struct times *t, uint64_t took_ns)
{
    make_room(t, t->count + 1);
    t->list_us10[t->count++] = (uint32_t)(took_ns / 100);
}

void times_join(struct times *t, const struct times *more)
{
    make_room(t, t->count + more->count);
    memcpy(t->list_us10 + t->count, more->list_us10, more->count * sizeof(*t->list_us10));
    t->count += more->count;
}

void times_free(struct times *t)
{
    free(t->list_us10);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void print_figures(double per_second, struct times *t)
{
    printf("- 1/s %.6g\n", per_second);
    if (t->count == 0)
        return;
    qsort(t->list_us10, t->count, sizeof(*t->list_us10), compare);
    size_t half = (t->count - 1) / 2, nearly_all = (t->count - 1) * 99 / 100;
    printf("_p50 us %.6g\n", t->list_us10[half] / 10.0);
    printf("_p99 us %.6g\n", t->list_us10[nearly_all] / 10.0);
}
