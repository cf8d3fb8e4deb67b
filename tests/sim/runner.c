/* SPDX-License-Identifier: MIT */
#include "runner.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define HANG_S   300 /* longer than any world takes under a sanitizer */

struct options {
    uint64_t first, last; /* seeds */
    uint64_t budget_ns;   /* 0: no limit of time */
    uint32_t failures_max;
    bool log, hash;
};

/* What a handler of signals says when a world has killed the program. */
static char last_words[256];

static void die(int number)
{
    ssize_t n = write(STDOUT_FILENO, last_words, strlen(last_words));
    (void)n;
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static _Noreturn void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s --seeds A..B | --seconds N [--hash] [--log] [--failures N]\n"
            "  --seeds A..B     exactly these worlds\n"
            "  --seconds N      worlds from seed 1 on, until so much time has passed\n"
            "  --hash           prints the hash of each world's history\n"
            "  --log            tells everything that happens\n"
            "  --failures N     ends after so many failures (10)\n",
            program);
    exit(2);
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 's'},    {"seconds", required_argument, NULL, 't'},
        {"hash", no_argument, NULL, 'h'},           {"log", no_argument, NULL, 'l'},
        {"failures", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0},
    };
    bool bounded = false;
    *o = (struct options){.first = 1, .last = UINT64_MAX, .failures_max = 10};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 's' && sscanf(optarg, "%" SCNu64 "..%" SCNu64, &o->first, &o->last) != 2)
            usage(argv[0]);
        if (option == 't' && (o->budget_ns = strtoull(optarg, NULL, 10) * NS_PER_S) == 0)
            usage(argv[0]);
        if (option == 'x' && (o->failures_max = (uint32_t)strtoul(optarg, NULL, 10)) == 0)
            usage(argv[0]);
        if (option == '?')
            usage(argv[0]);
        o->hash = o->hash || option == 'h';
        o->log = o->log || option == 'l';
        bounded = bounded || option == 's' || option == 't';
    }
    if (optind < argc || !bounded || o->last < o->first)
        usage(argv[0]);
}

/* Returns whether the world has failed. */
static bool run(const char *program, uint64_t seed, const struct options *o,
                const struct runner *runner)
{
    uint64_t hash;
    snprintf(last_words, sizeof(last_words),
             "FAILED: the program died in the world of seed %" PRIu64 "\n"
             "  replay: %s --seeds %" PRIu64 "..%" PRIu64 " --log\n",
             seed, program, seed, seed);
    alarm(HANG_S);
    bool failed = runner->run(runner->context, seed, o->log ? stdout : NULL, &hash) > 0;
    alarm(0);
    if (o->hash)
        printf("%" PRIu64 " %016" PRIx64 "\n", seed, hash);
    if (failed)
        printf("FAILED: seed %" PRIu64 "\n  replay: %s --seeds %" PRIu64 "..%" PRIu64 " --log\n",
               seed, program, seed, seed);
    return failed;
}

int runner_main(int argc, char **argv, const struct runner *runner)
{
    struct options o;
    uint64_t worlds = 0;
    uint32_t failures = 0;
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that nothing is lost if a world kills the program */
    read_options(argc, argv, &o);
    signal(SIGABRT, die);
    signal(SIGALRM, die);
    uint64_t start_ns = wall_clock();
    for (uint64_t seed = o.first; failures < o.failures_max; seed++) {
        failures += run(argv[0], seed, &o, runner);
        worlds++;
        if (seed == o.last || (o.budget_ns > 0 && wall_clock() - start_ns >= o.budget_ns))
            break;
    }
    if (!o.hash) {
        printf("%" PRIu64 " worlds, ", worlds);
        runner->sum_up(runner->context);
        printf(", %" PRIu32 " failures\n", failures);
    }
    return failures > 0;
}
