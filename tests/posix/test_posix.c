/* SPDX-License-Identifier: MIT */
/*
 * Every case, on the kernel and on Strait. A name of a case as the argument runs that case alone.
 * Cases for which Strait has a reason to differ are run on the kernel, and named.
 */
#include "posix.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 160

static const struct posix_case *const tables[] = {
    name_cases,  connect_cases, stream_cases,  datagram_cases, option_cases,
    poll_cases,  control_cases, wait_cases,    reuse_cases,    tcp_cases,
    ioctl_cases, ping_cases,    message_cases,
};

static const struct posix *const subjects[] = {&posix_kernel, &posix_strait};

/* One case on one subject. */
struct trial {
    const struct posix_case *what;
    const struct posix *on;
    char name[NAME_MAX_BYTES];
};

static void try(void **state)
{
    const struct trial *t = *state;

    if (t->on == &posix_strait && t->what->difference) {
        print_message("differs: %s\n", t->what->difference);
        skip();
    }
    t->on->renew();
    t->what->run(t->on);
}

static size_t collect(struct trial *trials, const char *wanted)
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct posix_case *c = tables[i]; c->name; c++) {
            if (wanted && strcmp(wanted, c->name) != 0)
                continue;
            for (size_t n = 0; n < sizeof(subjects) / sizeof(subjects[0]); n++, count++) {
                if (!trials)
                    continue;
                struct trial *t = &trials[count];
                *t = (struct trial){.what = c, .on = subjects[n]};
                snprintf(t->name, sizeof(t->name), "%s (%s)", c->name, subjects[n]->name);
            }
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : NULL;
    size_t count = collect(NULL, wanted);
    struct trial *trials = calloc(count, sizeof(*trials));
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    int failed = EXIT_FAILURE;

    if (!trials || !tests || count == 0)
        goto out;
    signal(SIGPIPE, SIG_IGN);
    collect(trials, wanted);
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = trials[i].name, .test_func = try, .initial_state = &trials[i]};
    failed = _cmocka_run_group_tests("posix", tests, count, NULL, NULL);
out:
    free(tests);
    free(trials);
    return failed;
}
