/* SPDX-License-Identifier: MIT */
/*
 * The kernel as oracle: each script is played against Strait and against the kernel, and they have
 * to do the same, but for the differences that tests/oracle/differences.txt lists with the RFCs'
 * verdict. A difference that is not listed fails the test of its script; one that is listed and
 * does not appear fails the last test.
 *
 *     test_oracle            the tests
 *     test_oracle --list     prints what the file would be now: with `?` for verdicts to be found
 *     test_oracle --trace X  prints both trials of script X, side by side
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/check.h"
#include "differences.h"
#include "scripts.h"
#include "trial.h"

#define FILE_OF_DIFFERENCES "tests/oracle/differences.txt"
#define TRIALS_MAX          30 /* of a script, on a machine that is too busy to keep time */

struct oracle {
    struct subject *strait, *kernel;
    struct differences listed;
    unsigned trials;
    struct head found;
};

/* A script and what it is to be judged by. */
struct hearing {
    struct oracle *oracle;
    const struct script *script;
};

/* ---- Trials -------------------------------------------------------------------------------- */

struct pair {
    struct trial *strait, *kernel;
};

/* Returns NULL if time was not kept. */
static struct trial *try_once(struct oracle *o, const struct script *script, struct subject *s)
{
    struct trial *t = trial_run(script, s, o->trials++);
    if (s->in_time(s))
        return t;
    free(t);
    return NULL;
}

/* Returns false if the machine is too busy to say what the kernel does. */
static bool play(struct oracle *o, const struct script *script, struct pair *pair)
{
    pair->strait = try_once(o, script, o->strait);
    pair->kernel = NULL;
    for (int i = 0; i < TRIALS_MAX && !pair->kernel; i++)
        pair->kernel = try_once(o, script, o->kernel);
    if (pair->kernel)
        return true;
    free(pair->strait);
    return false;
}

static void dismiss(struct pair *pair)
{
    free(pair->strait);
    free(pair->kernel);
}

static const char *outcome(const struct step *s)
{
    return s->outcome[0] ? s->outcome : "nothing";
}

/* The next step, from *i on, at which the two differ. Returns false if there is none. */
static bool next_difference(const struct pair *pair, const char *script, size_t *i,
                            struct difference *d)
{
    CHECK(pair->strait->step_count == pair->kernel->step_count);
    for (; *i < pair->strait->step_count; ++*i) {
        const struct step *a = &pair->strait->steps[*i], *b = &pair->kernel->steps[*i];
        CHECK(strcmp(a->what, b->what) == 0); /* a script does not depend on what it sees */
        if (strcmp(a->outcome, b->outcome) == 0)
            continue;
        *d = (struct difference){
            .script = script, .step = a->what, .strait = outcome(a), .kernel = outcome(b)};
        ++*i;
        return true;
    }
    return false;
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void plays_as_listed(void **state)
{
    const struct hearing *h = *state;
    struct oracle *o = h->oracle;
    struct difference d;
    struct pair pair;
    size_t i = 0, differences = 0, unlisted = 0;

    if (!play(o, h->script, &pair))
        fail_msg("the machine is too busy: %d trials did not keep time", TRIALS_MAX);
    for (; next_difference(&pair, h->script->name, &i, &d); differences++) {
        struct difference *listed = differences_find(&o->listed, &d);
        if (listed)
            listed->seen = true;
        else if (unlisted++ < 10)
            difference_write(stderr, &d, NULL);
    }
    dismiss(&pair);
    o->found.scripts++;
    o->found.same += differences == 0;
    if (unlisted > 0)
        fail_msg(
            "%zu difference(s) that the list, of Linux %u.%u, does not have; here is Linux %u.%u",
            unlisted, o->listed.head.major, o->listed.head.minor, o->found.major, o->found.minor);
}

static void every_listed_difference_is_still_there(void **state)
{
    const struct oracle *o = ((const struct hearing *)*state)->oracle;
    size_t gone = 0;
    for (size_t i = 0; i < o->listed.count; i++) {
        const struct difference *d = &o->listed.list[i];
        if (!d->seen) {
            difference_write(stderr, d, NULL);
            gone++;
        }
    }
    if (gone > 0)
        fail_msg("%zu listed difference(s) did not appear", gone);
}

static void the_head_of_the_list_counts_right(void **state)
{
    const struct oracle *o = ((const struct hearing *)*state)->oracle;
    assert_int_equal(o->listed.head.scripts, o->found.scripts);
    assert_int_equal(o->listed.head.same, o->found.same);
}

/* ---- The program --------------------------------------------------------------------------- */

static const struct chapter *const chapters[] = {
    &chapter_open, &chapter_states, &chapter_receive, &chapter_send, &chapter_close,
};
#define CHAPTERS (sizeof chapters / sizeof chapters[0])

static size_t count_scripts(void)
{
    size_t total = 0;
    for (size_t i = 0; i < CHAPTERS; i++)
        total += chapters[i]->count;
    return total;
}

static const struct script *script_at(size_t index)
{
    size_t i = 0;
    for (; index >= chapters[i]->count; i++)
        index -= chapters[i]->count;
    return &chapters[i]->scripts[index];
}

static int test_all(struct oracle *o)
{
    size_t count = count_scripts(), total = count + 2;
    struct hearing hearings[total];
    struct CMUnitTest tests[total];
    memset(hearings, 0, sizeof hearings);
    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < total; i++) {
        hearings[i].oracle = o;
        tests[i].initial_state = &hearings[i];
    }
    for (size_t i = 0; i < count; i++) {
        hearings[i].script = script_at(i);
        tests[i].name = hearings[i].script->name;
        tests[i].test_func = plays_as_listed;
    }
    tests[count].name = "every_listed_difference_is_still_there";
    tests[count].test_func = every_listed_difference_is_still_there;
    tests[count + 1].name = "the_head_of_the_list_counts_right";
    tests[count + 1].test_func = the_head_of_the_list_counts_right;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static int list(struct oracle *o)
{
    char *text = NULL;
    size_t bytes = 0, count = count_scripts();
    FILE *body = open_memstream(&text, &bytes);
    CHECK(body);
    for (size_t n = 0; n < count; n++) {
        const char *name = script_at(n)->name, *before = NULL;
        struct difference d, *listed;
        struct pair pair;
        size_t i = 0;
        if (!play(o, script_at(n), &pair)) {
            fprintf(stderr, "%s: the machine is too busy\n", name);
            exit(EXIT_FAILURE);
        }
        for (; next_difference(&pair, name, &i, &d); before = name) {
            if ((listed = differences_find(&o->listed, &d))) {
                listed->seen = true;
                d.verdict = listed->verdict;
            }
            difference_write(body, &d, before);
        }
        o->found.same += !before;
        dismiss(&pair);
    }
    fclose(body);
    o->found.scripts = (unsigned)count;
    differences_write_head(stdout, FILE_OF_DIFFERENCES, &o->found);
    fputs(text, stdout);
    free(text);
    return EXIT_SUCCESS;
}

static int trace(struct oracle *o, const char *name)
{
    for (size_t n = 0; n < count_scripts(); n++) {
        struct pair pair;
        if (strcmp(script_at(n)->name, name) != 0 || !play(o, script_at(n), &pair))
            continue;
        for (size_t i = 0; i < pair.strait->step_count; i++) {
            const struct step *a = &pair.strait->steps[i], *b = &pair.kernel->steps[i];
            printf("%s\n  strait:  %s\n", a->what, outcome(a));
            if (strcmp(a->outcome, b->outcome) != 0)
                printf("  kernel:  %s\n", outcome(b));
        }
        dismiss(&pair);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "no trial of %s\n", name);
    return EXIT_FAILURE;
}

/* Does what the arguments ask for, once the oracle is there. Returns the exit status. */
static int act(struct oracle *o, int argc, char **argv)
{
    char error[300];
    bool listing = argc == 2 && strcmp(argv[1], "--list") == 0;

    if (argc == 3 && strcmp(argv[1], "--trace") == 0)
        return trace(o, argv[2]);
    if (argc > 1 && !listing) {
        fprintf(stderr, "usage: test_oracle [--list | --trace SCRIPT]\n");
        return 2;
    }
    if (!differences_read(&o->listed, FILE_OF_DIFFERENCES, error, sizeof error) ||
        (!listing && !differences_judged(&o->listed, error, sizeof error))) {
        fprintf(stderr, FILE_OF_DIFFERENCES "%s\n", error);
        return EXIT_FAILURE;
    }
    return listing ? list(o) : test_all(o);
}

int main(int argc, char **argv)
{
    struct oracle o = {.strait = subject_strait(), .kernel = subject_kernel()};
    setpriority(PRIO_PROCESS, 0, -20); /* helps to keep time, where it is granted */
    struct utsname kernel;
    CHECK(uname(&kernel) == 0);
    sscanf(kernel.release, "%u.%u", &o.found.major, &o.found.minor);
    int result = act(&o, argc, argv);
    differences_free(&o.listed);
    o.strait->free(o.strait);
    o.kernel->free(o.kernel);
    return result;
}
