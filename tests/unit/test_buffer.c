/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/pool.h"
#include "base/prng.h"

#define PARTS_MAX 1024

static uint8_t source[1 << 20];

/* Bytes that tell their place, so that one shifted or swapped is seen. */
static void fill_source(void)
{
    struct prng r;
    prng_seed(&r, 42);
    for (size_t i = 0; i < sizeof(source); i++)
        source[i] = (uint8_t)prng_next(&r);
}

static int setup(void **state)
{
    static struct pool pool;
    fill_source();
    pool_init(&pool, 64 << 20);
    *state = &pool;
    return 0;
}

/* After the tests all buffers are empty, and so all memory is back. */
static int teardown(void **state)
{
    struct pool *pool = *state;
    assert_int_equal(pool->used_bytes, 0);
    pool_finish(pool);
    return 0;
}

static void assert_holds(struct buffer *b, uint64_t position, const uint8_t *bytes, size_t length)
{
    static uint8_t copy[sizeof(source)];
    buffer_read(b, position, copy, length);
    assert_memory_equal(copy, bytes, length);
}

static int parts_of(struct buffer *b, uint64_t position, size_t length)
{
    struct iovec parts[PARTS_MAX];
    size_t covered;
    int count = buffer_view(b, position, length, parts, PARTS_MAX, &covered);
    assert_int_equal(covered, length);
    return count;
}

static void appended_bytes_come_back(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 1000);
    assert_int_equal(buffer_write(&b, pool, 0, 1000, source, 100000), 100000);
    assert_int_equal(b.start, 1000);
    assert_int_equal(b.end, 101000);
    assert_holds(&b, 1000, source, 100000);
    assert_holds(&b, 51234, source + 50234, 777);
    assert_true(buffer_memory(&b) >= 100000);
    assert_int_equal(buffer_memory(&b), pool->used_bytes);
    buffer_clear(&b, pool);
    assert_int_equal(buffer_memory(&b), 0);
    assert_int_equal(b.start, b.end);
}

static void all_zero_is_an_empty_buffer(void **state)
{
    struct pool *pool = *state;
    struct buffer b = {0};
    struct iovec part;
    size_t covered = 1;
    assert_int_equal(buffer_view(&b, 0, 0, &part, 1, &covered), 0);
    assert_int_equal(covered, 0);
    assert_int_equal(buffer_write(&b, pool, 0, 0, source, 0), 0);
    assert_int_equal(buffer_memory(&b), 0);
    assert_int_equal(buffer_write(&b, pool, 0, 0, source, 1), 1);
    assert_holds(&b, 0, source, 1);
    buffer_clear(&b, pool);
}

static void an_empty_buffer_holds_no_memory(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, UINT64_C(1) << 40);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(buffer_write(&b, pool, 0, b.end, source, 100), 100);
        buffer_drop_below(&b, pool, b.end);
        assert_int_equal(pool->used_bytes, 0);
    }
}

static void dropping_frees_whole_chunks_as_it_goes(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(buffer_write(&b, pool, 0, 0, source, 4 * POOL_LARGE_BYTES),
                     4 * POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), 4 * POOL_LARGE_BYTES);
    buffer_drop_below(&b, pool, POOL_LARGE_BYTES - 1);
    assert_int_equal(buffer_memory(&b), 4 * POOL_LARGE_BYTES);
    buffer_drop_below(&b, pool, POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), 3 * POOL_LARGE_BYTES);
    buffer_drop_below(&b, pool, 10); /* already gone */
    assert_int_equal(b.start, POOL_LARGE_BYTES);
    buffer_drop_above(&b, pool, 3 * POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), 2 * POOL_LARGE_BYTES);
    assert_holds(&b, POOL_LARGE_BYTES, source + POOL_LARGE_BYTES, 2 * POOL_LARGE_BYTES);
    buffer_drop_below(&b, pool, 3 * POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), 0);
}

static void out_of_order_writes_fill_the_hole(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(buffer_write(&b, pool, 0, 200000, source + 200000, 30000), 30000);
    assert_int_equal(b.end, 230000);
    assert_int_equal(buffer_write(&b, pool, 0, 0, source, 10), 10);
    assert_int_equal(buffer_write(&b, pool, 0, 100000, source + 100000, 1), 1);
    assert_holds(&b, 200000, source + 200000, 30000);
    assert_holds(&b, 100000, source + 100000, 1);
    assert_int_equal(buffer_write(&b, pool, 0, 5, source + 5, 200100), 200100);
    assert_int_equal(b.end, 230000);
    assert_holds(&b, 0, source, 230000);
    buffer_clear(&b, pool);
}

static void dropping_above_keeps_what_is_below(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 10);
    assert_int_equal(buffer_write(&b, pool, 0, 10, source, 5000), 5000);
    assert_int_equal(buffer_write(&b, pool, 0, 300000, source, 100000), 100000);
    size_t before = buffer_memory(&b);
    buffer_drop_above(&b, pool, 1 << 20); /* nothing is there */
    assert_int_equal(buffer_memory(&b), before);
    assert_int_equal(b.end, 400000);
    buffer_drop_above(&b, pool, 5010);
    assert_int_equal(b.end, 5010);
    assert_true(buffer_memory(&b) <= POOL_MEDIUM_BYTES);
    assert_holds(&b, 10, source, 5000);
    buffer_drop_above(&b, pool, 2000);
    assert_int_equal(buffer_write(&b, pool, 0, 2000, source, 3000), 3000);
    assert_holds(&b, 10, source, 1990);
    assert_holds(&b, 2000, source, 3000);
    buffer_drop_above(&b, pool, 10);
    assert_int_equal(buffer_memory(&b), 0);
    assert_int_equal(b.start, 10);
    assert_int_equal(b.end, 10);
}

static void a_view_of_few_parts_says_what_it_covers(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    struct iovec parts[2];
    size_t covered;
    buffer_init(&b, 0);
    for (int i = 3; i >= 0; i--) {
        uint64_t at = (uint64_t)i * POOL_SMALL_BYTES;
        buffer_write(&b, pool, 0, at, source + at, POOL_SMALL_BYTES);
    }
    assert_int_equal(buffer_view(&b, 48, 8000, parts, 2, &covered), 2);
    assert_int_equal(covered, 4096 - 48);
    assert_int_equal(parts[0].iov_len, 2000);
    assert_memory_equal(parts[0].iov_base, source + 48, 2000);
    assert_int_equal(parts[1].iov_len, 2048);
    assert_memory_equal(parts[1].iov_base, source + 2048, 2048);
    assert_int_equal(buffer_view(&b, 2048, 2048, parts, 2, &covered), 1);
    assert_memory_equal(parts[0].iov_base, source + 2048, 2048);
    assert_int_equal(buffer_view(&b, 8191, 1, parts, 2, &covered), 1);
    assert_int_equal(covered, 1);
    buffer_clear(&b, pool);
}

static void a_large_write_takes_large_chunks(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 12345);
    assert_int_equal(buffer_write(&b, pool, 0, 12345, source, 65536), 65536);
    assert_in_range(parts_of(&b, 12345, 65536), 1, 2);
    buffer_clear(&b, pool);
}

static void many_small_writes_end_in_few_chunks(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 777);
    for (size_t i = 0; i < sizeof(source); i += 16)
        assert_int_equal(buffer_write(&b, pool, 0, b.end, source + i, 16), 16);
    assert_holds(&b, 777, source, sizeof(source));
    assert_in_range(parts_of(&b, 777, sizeof(source)), 16, 32);
    assert_true(buffer_memory(&b) <= sizeof(source) + 2 * POOL_LARGE_BYTES);
    buffer_clear(&b, pool);
}

static void single_bytes_at_descending_positions_share_chunks(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 0);
    for (uint64_t at = POOL_LARGE_BYTES; at-- > 0;)
        assert_int_equal(buffer_write(&b, pool, 0, at, source + at, 1), 1);
    assert_holds(&b, 0, source, POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), POOL_LARGE_BYTES);
    assert_in_range(parts_of(&b, 0, POOL_LARGE_BYTES), 1, 32);
    buffer_clear(&b, pool);
}

static void a_narrow_gap_takes_a_small_block(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(buffer_write(&b, pool, 0, POOL_SMALL_BYTES, source, 1), 1);
    assert_int_equal(buffer_write(&b, pool, 0, 0, source, POOL_LARGE_BYTES), POOL_LARGE_BYTES);
    assert_holds(&b, 0, source, POOL_LARGE_BYTES);
    assert_int_equal(buffer_memory(&b), 2 * POOL_SMALL_BYTES + POOL_LARGE_BYTES);
    buffer_clear(&b, pool);
}

static void a_write_takes_what_the_budget_allows(void **state)
{
    (void)state;
    struct pool pool;
    struct buffer b;
    size_t budget = POOL_MEDIUM_BYTES + 2 * POOL_SMALL_BYTES;
    pool_init(&pool, budget);
    buffer_init(&b, 0);
    assert_int_equal(buffer_write(&b, &pool, 0, 0, source, 65536), budget);
    assert_int_equal(b.end, budget);
    assert_int_equal(buffer_write(&b, &pool, 0, b.end, source, 1), 0);
    assert_int_equal(b.end, budget);
    assert_true(pool.refused > 0);
    assert_holds(&b, 0, source, budget);

    buffer_drop_below(&b, &pool, POOL_MEDIUM_BYTES);
    assert_int_equal(buffer_write(&b, &pool, 0, b.end, source + budget, 1000), 1000);
    assert_holds(&b, POOL_MEDIUM_BYTES, source + POOL_MEDIUM_BYTES, 2 * POOL_SMALL_BYTES + 1000);
    buffer_clear(&b, &pool);
    assert_int_equal(pool.used_bytes, 0);
    assert_int_equal(buffer_write(&b, &pool, 0, b.end, source, 0), 0);
    pool_finish(&pool);
}

/* ---- External chunks ---- */

static void count_release(void *argument)
{
    ++*(int *)argument;
}

static void external_bytes_are_referenced_and_released_once(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    struct iovec parts[4];
    size_t covered;
    int released = 0;
    buffer_init(&b, 0);
    buffer_write(&b, pool, 0, 0, source, 100);
    assert_int_equal(buffer_append_external(&b, source + 100, 5000, count_release, &released), 0);
    assert_int_equal(b.end, 5100);
    assert_int_equal(buffer_write(&b, pool, 0, 5100, source + 5100, 900), 900);

    assert_int_equal(buffer_view(&b, 0, 6000, parts, 4, &covered), 3);
    assert_int_equal(covered, 6000);
    assert_ptr_equal(parts[1].iov_base, source + 100);
    assert_int_equal(parts[1].iov_len, 5000);
    assert_holds(&b, 0, source, 6000);
    assert_true(buffer_memory(&b) <= 2 * POOL_SMALL_BYTES);

    buffer_drop_below(&b, pool, 5099);
    assert_int_equal(released, 0);
    buffer_drop_below(&b, pool, 5100);
    assert_int_equal(released, 1);
    assert_holds(&b, 5100, source + 5100, 900);
    buffer_clear(&b, pool);
    assert_int_equal(released, 1);
}

static void dropping_above_shortens_or_releases_external_bytes(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    int released[2] = {0, 0};
    buffer_init(&b, 0);
    buffer_append_external(&b, source, 1000, count_release, &released[0]);
    buffer_append_external(&b, source + 1000, 1000, count_release, &released[1]);
    buffer_drop_above(&b, pool, 400);
    assert_int_equal(released[0], 0);
    assert_int_equal(released[1], 1);
    assert_int_equal(b.end, 400);
    assert_int_equal(buffer_write(&b, pool, 0, 400, source + 400, 300), 300);
    assert_holds(&b, 0, source, 700);
    buffer_clear(&b, pool);
    assert_int_equal(released[0], 1);
    assert_int_equal(released[1], 1);
}

static void external_behind_a_hole_leaves_the_hole(void **state)
{
    struct pool *pool = *state;
    struct buffer b;
    int released = 0;
    buffer_init(&b, 0);
    buffer_write(&b, pool, 0, 0, source, 10);
    buffer_write(&b, pool, 0, 9000, source, 10);
    buffer_drop_above(&b, pool, 5000);
    buffer_append_external(&b, source + 5000, 100, count_release, &released);
    assert_int_equal(b.end, 5100);
    assert_int_equal(buffer_write(&b, pool, 0, 10, source + 10, 4990), 4990);
    assert_holds(&b, 0, source, 5100);
    buffer_clear(&b, pool);
    assert_int_equal(released, 1);
}

static void a_stream_of_both_kinds_agrees_with_its_source(void **state)
{
    enum { STEPS = 20000, WINDOW = 200000 };
    struct pool *pool = *state;
    struct buffer b;
    struct prng r;
    int released = 0, appended = 0;
    prng_seed(&r, 5);
    uint64_t origin = UINT64_C(7) << 32;
    buffer_init(&b, origin);
    for (int step = 0; step < STEPS; step++) {
        /* Position p of the stream is byte (p - origin) modulo the size of the source. */
        size_t at = (b.end - origin) % sizeof(source);
        size_t length = 1 + prng_below(&r, prng_below(&r, 4) == 0 ? 65536 : 3000);
        length = length < sizeof(source) - at ? length : sizeof(source) - at;
        if (b.end - b.start + length > WINDOW) {
            buffer_drop_below(&b, pool, b.start + prng_below(&r, b.end - b.start + 1));
        } else if (prng_below(&r, 2) == 0) {
            buffer_append_external(&b, source + at, length, count_release, &released);
            appended++;
        } else {
            assert_int_equal(buffer_write(&b, pool, 0, b.end, source + at, length), length);
        }
        if (b.end == b.start)
            continue;
        uint64_t from = b.start + prng_below(&r, b.end - b.start);
        size_t from_at = (from - origin) % sizeof(source);
        size_t take = 1 + prng_below(&r, b.end - from);
        take = take < sizeof(source) - from_at ? take : sizeof(source) - from_at;
        assert_holds(&b, from, source + from_at, take < 4096 ? take : 4096);
    }
    assert_true(appended > 1000 && released < appended);
    buffer_clear(&b, pool);
    assert_int_equal(released, appended);
}

/* ---- Against a model: a flat array of what has been written where ---- */

#define MODEL_BYTES ((size_t)1 << 18)

struct model {
    uint64_t start, end;
    uint8_t bytes[MODEL_BYTES]; /* of positions start to start + MODEL_BYTES */
    bool written[MODEL_BYTES];
};

static void model_drop_below(struct model *m, uint64_t position)
{
    size_t by = (size_t)(position - m->start);
    memmove(m->bytes, m->bytes + by, MODEL_BYTES - by);
    memmove(m->written, m->written + by, MODEL_BYTES - by);
    memset(m->written + MODEL_BYTES - by, false, by);
    m->start = position;
}

static void model_drop_above(struct model *m, uint64_t position)
{
    size_t from = (size_t)(position - m->start);
    memset(m->written + from, false, MODEL_BYTES - from);
    m->end = m->end < position ? m->end : position;
}

static void model_write(struct model *m, uint64_t position, const uint8_t *bytes, size_t length)
{
    size_t at = (size_t)(position - m->start);
    memcpy(m->bytes + at, bytes, length);
    memset(m->written + at, true, length);
    if (length > 0 && position + length > m->end)
        m->end = position + length;
}

/* Compares the written run around index `at`, through a view of at most `max` parts. */
static void check_run(struct buffer *b, const struct model *m, size_t at, int max)
{
    struct iovec parts[PARTS_MAX];
    size_t covered, seen = 0, length = 0;
    while (at + length < MODEL_BYTES && m->written[at + length])
        length++;
    int count = buffer_view(b, m->start + at, length, parts, max, &covered);
    assert_in_range(count, length > 0, max);
    assert_true(covered == length || count == max);
    for (int i = 0; i < count; i++) {
        assert_memory_equal(parts[i].iov_base, m->bytes + at + seen, parts[i].iov_len);
        seen += parts[i].iov_len;
    }
    assert_int_equal(seen, covered);
}

static void check_all(struct buffer *b, const struct model *m)
{
    for (size_t at = 0; at < MODEL_BYTES; at++) {
        if (m->written[at] && (at == 0 || !m->written[at - 1]))
            check_run(b, m, at, PARTS_MAX);
    }
}

static size_t random_length(struct prng *r)
{
    switch (prng_below(r, 4)) {
    case 0:
        return 1 + prng_below(r, 20);
    case 1:
        return 1 + prng_below(r, 65536);
    default:
        return 1 + prng_below(r, 3000);
    }
}

static void random_step(struct buffer *b, struct pool *pool, struct model *m, struct prng *r)
{
    uint64_t position = m->start + prng_below(r, MODEL_BYTES);
    switch (prng_below(r, 16)) {
    case 0:
        position = position < m->end ? position : m->end;
        buffer_drop_below(b, pool, position);
        model_drop_below(m, position);
        return;
    case 1:
        buffer_drop_above(b, pool, position);
        model_drop_above(m, position);
        return;
    case 2:
    case 3:
    case 4:
    case 5: /* in order */
        position = m->end;
        break;
    default:
        break;
    }
    size_t room = (size_t)(m->start + MODEL_BYTES - position);
    size_t length = random_length(r);
    length = length < room ? length : room;
    const uint8_t *bytes = source + prng_below(r, sizeof(source) - length);
    size_t taken = buffer_write(b, pool, 0, position, bytes, length);
    assert_true(taken <= length);
    /* Less is taken only when not even a small chunk is to be had. */
    assert_true(taken == length || pool_room(pool, 0) < POOL_SMALL_BYTES);
    model_write(m, position, bytes, taken);
}

static void run_against_model(struct pool *pool, uint64_t seed, int steps)
{
    static struct model m;
    struct buffer b;
    struct prng r;
    prng_seed(&r, seed);
    memset(&m, 0, sizeof(m));
    m.start = m.end = (UINT64_C(1) << 32) - 5000;
    buffer_init(&b, m.start);
    for (int step = 0; step < steps; step++) {
        random_step(&b, pool, &m, &r);
        assert_int_equal(b.start, m.start);
        assert_int_equal(b.end, m.end);
        assert_int_equal(buffer_memory(&b), pool->used_bytes);
        /* A chunk's extent is at least a quarter of its block; the outer ones may hang over. */
        assert_true(buffer_memory(&b) <= 4 * (m.end - m.start + 2 * POOL_LARGE_BYTES));
        if (m.start == m.end)
            assert_int_equal(buffer_memory(&b), 0);
        check_run(&b, &m, prng_below(&r, MODEL_BYTES), 1 + (int)prng_below(&r, 3));
        if (step % 50 == 0)
            check_all(&b, &m);
    }
    check_all(&b, &m);
    buffer_clear(&b, pool);
}

static void random_writes_and_drops_agree_with_a_model(void **state)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        run_against_model(*state, seed, 1000);
}

static void a_short_budget_agrees_with_a_model(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, 100000);
    for (uint64_t seed = 1; seed <= 8; seed++)
        run_against_model(&pool, seed, 1000);
    assert_true(pool.refused > 100);
    assert_int_equal(pool.used_bytes, 0);
    pool_finish(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_bytes_come_back),
        cmocka_unit_test(all_zero_is_an_empty_buffer),
        cmocka_unit_test(an_empty_buffer_holds_no_memory),
        cmocka_unit_test(dropping_frees_whole_chunks_as_it_goes),
        cmocka_unit_test(out_of_order_writes_fill_the_hole),
        cmocka_unit_test(dropping_above_keeps_what_is_below),
        cmocka_unit_test(a_view_of_few_parts_says_what_it_covers),
        cmocka_unit_test(a_large_write_takes_large_chunks),
        cmocka_unit_test(many_small_writes_end_in_few_chunks),
        cmocka_unit_test(single_bytes_at_descending_positions_share_chunks),
        cmocka_unit_test(a_narrow_gap_takes_a_small_block),
        cmocka_unit_test(a_write_takes_what_the_budget_allows),
        cmocka_unit_test(external_bytes_are_referenced_and_released_once),
        cmocka_unit_test(dropping_above_shortens_or_releases_external_bytes),
        cmocka_unit_test(external_behind_a_hole_leaves_the_hole),
        cmocka_unit_test(a_stream_of_both_kinds_agrees_with_its_source),
        cmocka_unit_test(random_writes_and_drops_agree_with_a_model),
        cmocka_unit_test(a_short_budget_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
