/* SPDX-License-Identifier: MIT */
/*
 * Runs stream worlds, each from its seed, until a range of seeds or a time is spent. A world that
 * fails is told with its seed, its options, what was violated, and the command that replays it. The
 * last line says how much was run; the exit status is 1 if a world failed, 2 for a wrong command
 * line.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "run.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* Longer than any world takes under a sanitizer: it hangs. */
#define HANG_S 300

struct options {
    uint64_t first, last; /* seeds */
    uint64_t budget_ns;   /* 0: no limit of time */
    bool log, hash;
    const char *pcap;     /* prefix of the files, or NULL */
    const char *scenario; /* a line of options, or NULL */
    uint32_t failures_max;
};

struct totals {
    uint64_t worlds, virtual_ns;
    uint32_t failures;
};

/* What a handler of signals says when a world has killed the program. */
static char last_words[256];

static void say_last_words(void)
{
    ssize_t n = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)n;
}

static void die(int number)
{
    say_last_words();
    signal(number, SIG_DFL);
    raise(number);
}

/* The sanitizers' own way of dying, where they are linked. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void prepare_to_die(void)
{
    signal(SIGABRT, die);
    signal(SIGALRM, die);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say_last_words);
    else
        signal(SIGSEGV, die);
}

static uint64_t wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static const char *program;

static void usage(FILE *to)
{
    fprintf(to,
            "usage: %s [--seeds A..B | --seconds N [--from SEED] | --options LINE]\n"
            "          [--hash] [--log] [--pcap PREFIX] [--failures N]\n"
            "  --seeds A..B     exactly these worlds\n"
            "  --seconds N      worlds from SEED (1) on, until so much time has passed\n"
            "  --options LINE   one world, as a failure has printed it\n"
            "  --hash           prints the hash of each world's history\n"
            "  --log            tells everything that happens\n"
            "  --pcap PREFIX    writes PREFIX-a.pcap and so on, one for each host\n"
            "  --failures N     ends after so many failures (10)\n",
            program);
}

static _Noreturn void wrong_usage(const char *what)
{
    fprintf(stderr, "%s: %s\n", program, what);
    usage(stderr);
    exit(2);
}

/* A number up to what follows it. */
static const char *read_number(const char *text, uint64_t *number)
{
    char *end;

    if (*text < '0' || *text > '9')
        wrong_usage("a number is missing");
    *number = strtoull(text, &end, 10);
    return end;
}

static void read_seeds(const char *text, struct options *o)
{
    const char *end = read_number(text, &o->first);

    o->last = o->first;
    if (strncmp(end, "..", 2) == 0)
        end = read_number(end + 2, &o->last);
    if (*end != '\0' || o->last < o->first)
        wrong_usage("--seeds takes A..B");
}

static uint64_t read_whole(const char *text)
{
    uint64_t number;

    if (*read_number(text, &number) != '\0')
        wrong_usage("a number is expected");
    return number;
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 's'},  {"seconds", required_argument, NULL, 't'},
        {"from", required_argument, NULL, 'f'},   {"options", required_argument, NULL, 'o'},
        {"hash", no_argument, NULL, 'h'},         {"log", no_argument, NULL, 'l'},
        {"pcap", required_argument, NULL, 'p'},   {"failures", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, '?' + 0x100}, {NULL, 0, NULL, 0},
    };
    *o = (struct options){.first = 1, .last = UINT64_MAX, .failures_max = 10};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 's':
            read_seeds(optarg, o);
            break;
        case 't':
            o->budget_ns = read_whole(optarg) * NS_PER_S;
            break;
        case 'f':
            o->first = read_whole(optarg);
            break;
        case 'o':
            o->scenario = optarg;
            break;
        case 'h':
            o->hash = true;
            break;
        case 'l':
            o->log = true;
            break;
        case 'p':
            o->pcap = optarg;
            break;
        case 'x':
            o->failures_max = (uint32_t)read_whole(optarg);
            break;
        case '?' + 0x100:
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind < argc)
        wrong_usage("there are options only");
    if (!o->scenario && o->budget_ns == 0 && o->last == UINT64_MAX)
        wrong_usage("how many worlds? --seeds, --seconds or --options says it");
}

static void tell_failure(const struct scenario *s, const struct check *check, bool drawn)
{
    char *line = malloc(SCENARIO_LINE_BYTES);

    CHECK(line != NULL);
    scenario_print(s, line, SCENARIO_LINE_BYTES);
    printf("FAILED: seed %" PRIu64 "\n  options: %s\n", scenario_seed(s), line);
    for (uint32_t i = 0; i < check_violations(check) && check_violation(check, i); i++)
        printf("  violated: %s\n", check_violation(check, i));
    if (drawn)
        printf("  replay: %s --seeds %" PRIu64 "..%" PRIu64 " --log\n", program, scenario_seed(s),
               scenario_seed(s));
    else
        printf("  replay: %s --options '%s' --log\n", program, line);
    free(line);
}

/* Every so many worlds, one is moved in time (run_wrap). */
#define WRAP_EACH 11

/* From now on, who dies or hangs does so in this world. */
static void expect_the_worst(const struct scenario *s)
{
    snprintf(last_words, sizeof(last_words),
             "FAILED: the program died in the world of seed %" PRIu64 "\n"
             "  replay: %s --seeds %" PRIu64 "..%" PRIu64 " --log\n",
             scenario_seed(s), program, scenario_seed(s), scenario_seed(s));
    alarm(HANG_S);
}

static void run_world_of(const struct scenario *s, const struct options *o, struct totals *totals)
{
    struct run *run = run_new(s);
    char error[200], *line = NULL;

    expect_the_worst(s);
    if (o->log) {
        line = malloc(SCENARIO_LINE_BYTES);
        CHECK(line != NULL);
        scenario_print(s, line, SCENARIO_LINE_BYTES);
        printf("seed %" PRIu64 "\noptions: %s\n", scenario_seed(s), line);
        free(line);
        run_log(run, stdout);
    }
    if (o->pcap && run_pcap(run, o->pcap, error, sizeof(error)) != 0)
        errx(1, "%s", error);
    run_all(run);
    alarm(0);

    totals->worlds++;
    totals->virtual_ns += world_now(run_world(run));
    if (o->hash)
        printf("%" PRIu64 " %016" PRIx64 "\n", scenario_seed(s), world_hash(run_world(run)));
    if (check_violations(run_check(run)) > 0) {
        totals->failures++;
        tell_failure(s, run_check(run), !o->scenario);
    }
    run_free(run);
}

static void run_worlds(const struct options *o, struct totals *totals)
{
    struct scenario s;
    char error[200];
    uint64_t start_ns = wall_clock();

    if (o->scenario) {
        if (scenario_parse(&s, o->scenario, error, sizeof(error)) != 0)
            wrong_usage(error);
        run_world_of(&s, o, totals);
        return;
    }
    for (uint64_t seed = o->first; totals->failures < o->failures_max; seed++) {
        scenario_draw(&s, seed);
        expect_the_worst(&s);
        if (seed % WRAP_EACH == 0)
            totals->virtual_ns -= run_wrap(&s); /* in which nothing happens */
        run_world_of(&s, o, totals);
        if (seed == o->last || (o->budget_ns > 0 && wall_clock() - start_ns >= o->budget_ns))
            return;
    }
}

int main(int argc, char **argv)
{
    struct options options;
    struct totals totals = {0};

    program = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that nothing is lost if a world kills the program */
    read_options(argc, argv, &options);
    prepare_to_die();
    uint64_t start_ns = wall_clock();
    run_worlds(&options, &totals);
    uint64_t took_ms = (wall_clock() - start_ns) / NS_PER_MS + 1;
    if (!options.hash)
        printf("%" PRIu64 " worlds, %" PRIu64 " virtual hours, %" PRIu64
               " worlds a minute, %" PRIu32 " failures\n",
               totals.worlds, totals.virtual_ns / NS_PER_S / 3600, totals.worlds * 60000 / took_ms,
               totals.failures);
    return totals.failures > 0;
}
