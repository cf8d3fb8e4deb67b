/* SPDX-License-Identifier: MIT */
/* The environment that a simulated world gives to a host: timers, posts, work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/timer.h"
#include "sim/world.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define WORKS 3

struct task {
    struct strait_work work;
    struct chores *chores;
    uint64_t ran_ns, done_ns;
};

struct chores {
    struct strait *stack;
    struct strait_env *env;
    struct strait_timer timer;
    uint64_t expired_ns;
    int posts, crashes;
    struct task tasks[WORKS];
};

static void task_run(struct strait_work *work)
{
    struct task *t = (struct task *)work;
    t->ran_ns = t->chores->env->now(t->chores->env);
}

static void task_done(struct strait_work *work)
{
    struct task *t = (struct task *)work;
    t->done_ns = t->chores->env->now(t->chores->env);
}

static void chore_posted(void *argument)
{
    struct chores *c = argument;
    if (++c->posts < 3)
        strait_post(c->env, chore_posted, c);
}

static void chore_expired(void *owner, struct strait_timer *timer)
{
    struct chores *c = (struct chores *)((char *)timer - offsetof(struct chores, timer));
    assert_ptr_equal(owner, c->env);
    c->expired_ns = c->env->now(c->env);
}

static void chores_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct chores *c = app;
    c->stack = stack;
    c->env = env;
    c->timer.expired = chore_expired;
    for (int i = 0; i < WORKS; i++) {
        c->tasks[i] = (struct task){.work = {.run = task_run, .done = task_done}, .chores = c};
        assert_int_equal(env->execute(env, &c->tasks[i].work), 0);
    }
    env->timer_start(env, &c->timer, env->now(env) + 50 * MS + 1);
    strait_post(env, chore_posted, c);
    errno = 0;
    assert_int_equal(env->watch(env, 0, POLLIN, NULL, NULL), -1);
    assert_int_equal(errno, ENOSYS);
    assert_null(env->wait);
}

static void chores_crash(void *app)
{
    struct chores *c = app;
    assert_false(timer_running(&c->timer));
    c->crashes++;
}

static void work_timers_and_posts_come_in_virtual_time(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    assert_int_equal(world_run(w, STRAIT_NEVER), WORLD_IDLE);
    assert_int_equal(c.posts, 3);
    for (int i = 0; i < WORKS; i++) {
        assert_in_range(c.tasks[i].ran_ns, S + 1, S + 1020000);
        assert_in_range(c.tasks[i].done_ns, c.tasks[i].ran_ns, c.tasks[i].ran_ns + MS);
    }
    assert_in_range(c.expired_ns, S + 50 * MS + 1,
                    S + 50 * MS + 1 + (UINT64_C(1) << TIMER_TICK_SHIFT));
    assert_int_equal(world_now(w), c.expired_ns);
    world_free(w);
    assert_int_equal(c.crashes, 1);
}

static void a_crash_drops_work_timers_and_posts(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    assert_int_equal(world_run(w, S + 1), WORLD_TIME);
    strait_post(c.env, chore_posted, &c);
    world_crash(h);
    assert_int_equal(world_run(w, 5 * S), WORLD_IDLE);
    assert_int_equal(c.expired_ns, 0);
    assert_int_equal(c.tasks[0].ran_ns, 0);
    assert_int_equal(c.posts, 3);
    world_restart(h);
    assert_int_equal(world_run(w, 9 * S), WORLD_IDLE);
    assert_true(c.expired_ns > 0 && c.tasks[0].ran_ns > 0);
    world_free(w);
}

static void what_falls_due_in_a_pause_happens_at_its_end(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    world_run(w, S + 1);
    world_pause(h, true);
    assert_int_equal(world_run(w, 5 * S), WORLD_IDLE);
    assert_int_equal(c.expired_ns, 0);
    uint64_t t = world_now(w);
    world_pause(h, false);
    world_run(w, t + MS);
    assert_int_equal(c.tasks[0].ran_ns, t);
    assert_in_range(c.tasks[0].done_ns, t, t + MS);
    assert_int_equal(c.expired_ns, t);
    world_free(w);
}

/* Work that writes and syncs: each takes exactly 10 ms. */
struct writer {
    struct strait_work work;
    struct strait_env *env;
    uint64_t ran_ns, done_ns;
};

static void writer_run(struct strait_work *work)
{
    struct writer *t = (struct writer *)work;
    int file = t->env->file_open(t->env, "a", O_RDWR | O_CREAT);
    assert_int_equal(t->env->file_write(t->env, file, "x", 1, 0), 1);
    assert_int_equal(t->env->file_sync(t->env, file), 0);
    assert_int_equal(t->env->file_write(t->env, file, "y", 1, 1), 1);
    assert_int_equal(t->env->file_sync(t->env, file), 0);
    assert_int_equal(t->env->file_close(t->env, file), 0);
    t->ran_ns = t->env->now(t->env);
}

static void writer_done(struct strait_work *work)
{
    struct writer *t = (struct writer *)work;
    t->done_ns = t->env->now(t->env);
}

/* The content of "a" after a crash so long after the work was run; its size, or -1. */
static int64_t size_after_crash(struct writer *t, uint64_t after_ns)
{
    *t = (struct writer){.work = {.run = writer_run, .done = writer_done}};
    struct world *w = world_new(1);
    struct world_host *h = world_add_host(w, "h", NULL, NULL);
    disk_set_speed(world_disk(h), &(struct disk_speed){.sync_ns = 10 * MS});
    t->env = world_env(h);
    assert_int_equal(t->env->execute(t->env, &t->work), 0);
    while (t->ran_ns == 0)
        world_run(w, world_now(w) + 1000);
    world_run(w, t->ran_ns + after_ns);
    world_crash(h);
    world_run(w, 2 * S);
    world_restart(h);
    int file = disk_open(world_disk(h), "a", O_RDONLY);
    int64_t size = file < 0 ? -1 : disk_size(world_disk(h), file);
    world_free(w);
    return size;
}

static void work_is_done_when_the_disk_is_and_a_crash_leaves_what_was_complete(void **state)
{
    (void)state;
    struct writer t;
    /* A sync takes from 5 to 15 ms, and 30 both together at most. */
    assert_int_equal(size_after_crash(&t, 40 * MS), 2);
    assert_in_range(t.done_ns - t.ran_ns, 10 * MS, 30 * MS);
    uint64_t both_ns = t.done_ns - t.ran_ns;
    assert_int_equal(size_after_crash(&t, both_ns), 2);
    int sizes = 0;
    for (uint64_t after_ns = 5000; after_ns < both_ns; after_ns += MS / 4) {
        int64_t size = size_after_crash(&t, after_ns);
        assert_int_equal(t.done_ns, 0);
        assert_in_range(size + 1, after_ns >= 15 * MS ? 2 : 0, 3);
        sizes |= 1 << (size + 1);
    }
    assert_true(sizes & 4); /* the first sync was complete, the second write was lost */
}

static void too_much_work_is_refused(void **state)
{
    (void)state;
    static struct strait_work works[1025];
    struct world *w = world_new(1);
    struct strait_env *env = world_env(world_add_host(w, "h", NULL, NULL));
    for (int i = 0; i < 1024; i++)
        assert_int_equal(env->execute(env, &works[i]), 0);
    errno = 0;
    assert_int_equal(env->execute(env, &works[1024]), -1);
    assert_int_equal(errno, EAGAIN);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_timers_and_posts_come_in_virtual_time),
        cmocka_unit_test(a_crash_drops_work_timers_and_posts),
        cmocka_unit_test(what_falls_due_in_a_pause_happens_at_its_end),
        cmocka_unit_test(work_is_done_when_the_disk_is_and_a_crash_leaves_what_was_complete),
        cmocka_unit_test(too_much_work_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
