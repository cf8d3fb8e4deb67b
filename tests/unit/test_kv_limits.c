/* SPDX-License-Identifier: MIT */
/* What the machines of the store do at their limits, and when the store fails them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "kv/coordinator.h"
#include "kv/worker.h"

/* A database in which every key has version 4, and what went out of the machine. */
struct rig {
    bool damaged;
    enum kv_past past;
    uint32_t messages, rows, stops;
    enum kv_message_kind kind; /* the last of each */
    enum kv_reason reason;
    enum kv_stop stop;
};

static bool get(void *context, const struct kv_blob *key, struct kv_result *result)
{
    const struct rig *rig = context;
    (void)key;
    *result = (struct kv_result){.found = true, .version = 4};
    return !rig->damaged;
}

static enum kv_past past(void *context, const struct kv_request *request, struct kv_txid *txid,
                         struct kv_results **results)
{
    const struct rig *rig = context;
    (void)request, (void)txid, (void)results;
    return rig->past;
}

static void take(void *context, const struct kv_action *action)
{
    struct rig *rig = context;

    if (action->kind == KV_SEND) {
        rig->messages++;
        rig->kind = action->message->kind;
        rig->reason = action->message->refusal.reason;
    } else if (action->kind == KV_JOURNAL) {
        rig->rows++;
    } else if (action->kind == KV_STOP) {
        rig->stops++;
        rig->stop = action->stop;
    }
}

static struct worker *small_worker(uint32_t records_max, uint32_t locks_max)
{
    struct worker *w = worker_new(&(struct worker_config){.id = 1,
                                                          .epoch = 1,
                                                          .records_max = records_max,
                                                          .locks_max = locks_max,
                                                          .readers_max = 1,
                                                          .inquire_ns = 1,
                                                          .inquire_max_ns = 1});
    assert_non_null(w);
    return w;
}

static struct kv_request *put(const char *key, uint64_t client)
{
    struct kv_request *r = kv_request_new(1);
    assert_non_null(r);
    r->client = client;
    r->sequence = 1;
    r->epoch = 1;
    r->participants = 1;
    r->operations[0] = (struct kv_operation){.kind = KV_PUT,
                                             .key = kv_blob_new(key, strlen(key)),
                                             .value = kv_blob_new("v", 1),
                                             .replicas = 1};
    return r;
}

static void step(struct rig *rig, struct worker *w, const struct kv_event *event)
{
    struct kv_store store = {get, past, rig};
    struct kv_sink sink = {take, rig};
    worker_step(w, event, 0, &store, &sink);
}

static void vote_request(struct rig *rig, struct worker *w, uint64_t sequence,
                         struct kv_request *request)
{
    struct kv_message m = {
        .kind = KV_VOTE_REQUEST, .from = 2, .to = 1, .txid = {2, 1, sequence}, .request = request};
    step(rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
    kv_request_release(request);
}

static void a_worker_votes_abort_when_its_records_are_full(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct worker *w = small_worker(1, 4);
    vote_request(&rig, w, 1, put("a", 0));
    assert_int_equal(rig.rows, 1);
    vote_request(&rig, w, 2, put("b", 0));
    assert_int_equal(rig.rows, 1);
    assert_int_equal(rig.kind, KV_VOTE_ABORT);
    assert_int_equal(rig.reason, KV_REASON_BUSY);
    assert_int_equal(w->counters.refused_records, 1);
    assert_int_equal(kv_locks_held(worker_locks(w)), 1);
    worker_free(w);
}

static void a_worker_votes_abort_when_its_locks_are_full(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct worker *w = small_worker(4, 1);
    vote_request(&rig, w, 1, put("a", 0));
    vote_request(&rig, w, 2, put("b", 0));
    assert_int_equal(rig.reason, KV_REASON_BUSY);
    assert_int_equal(w->counters.refused_locks, 1);
    worker_free(w);
}

static void a_worker_with_a_damaged_row_does_not_vote_for_it(void **state)
{
    (void)state;
    struct rig rig = {.damaged = true};
    struct worker *w = small_worker(4, 4);
    vote_request(&rig, w, 1, put("a", 0));
    assert_int_equal(rig.kind, KV_VOTE_ABORT);
    assert_int_equal(rig.reason, KV_REASON_DAMAGED);
    assert_int_equal(kv_locks_held(worker_locks(w)), 0);
    rig.damaged = false;
    vote_request(&rig, w, 2, put("a", 0));
    rig.damaged = true; /* between the PREPARE and the vote */
    step(&rig, w,
         &(struct kv_event){.kind = KV_EVENT_DURABLE, .row = KV_WORKER_PREPARE, .txid = {2, 1, 2}});
    assert_int_equal(rig.stops, 1);
    assert_int_equal(rig.stop, KV_STOP_STORE_UNREADABLE);
    assert_int_equal(rig.messages, 1);
    worker_free(w);
}

static void a_request_that_the_client_has_retired_is_refused(void **state)
{
    (void)state;
    struct rig rig = {.past = KV_PAST_RETIRED};
    struct worker *w = small_worker(4, 4);
    vote_request(&rig, w, 1, put("a", 9));
    assert_int_equal(rig.reason, KV_REASON_RETIRED);
    vote_request(&rig, w, 2, put("a", 0)); /* who is no client has no past */
    assert_int_equal(rig.rows, 1);
    worker_free(w);
}

static void a_vote_request_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct worker *w = small_worker(4, 4);
    struct kv_request *elsewhere = put("a", 0), *keyless = put("a", 0), *empty = kv_request_new(0);
    elsewhere->participants = elsewhere->operations[0].replicas = 2;
    kv_blob_release(keyless->operations[0].key);
    keyless->operations[0].key = NULL;
    vote_request(&rig, w, 1, elsewhere);
    assert_int_equal(rig.reason, KV_REASON_INVALID);
    vote_request(&rig, w, 2, keyless);
    assert_int_equal(rig.reason, KV_REASON_INVALID);
    vote_request(&rig, w, 3, empty);
    assert_int_equal(rig.reason, KV_REASON_INVALID);
    assert_int_equal(rig.messages, 3);
    assert_int_equal(rig.rows, 0);
    worker_free(w);
}

static void what_is_below_the_mark_is_let_go_from_the_oldest_on(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct worker *w = small_worker(4, 4);
    struct kv_message m = {.kind = KV_GLOBAL_ABORT, .from = 2, .to = 1};
    for (uint64_t sequence = 3; sequence >= 1; sequence--) { /* they come in disorder */
        m.txid = (struct kv_txid){2, 1, sequence};
        step(&rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
        step(&rig, w,
             &(struct kv_event){.kind = KV_EVENT_DURABLE, .row = KV_WORKER_ABORT, .txid = m.txid});
    }
    m.txid = (struct kv_txid){3, 1, 1}; /* of another coordinator */
    step(&rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
    m = (struct kv_message){.kind = KV_MARK, .from = 2, .to = 1, .mark = {2, 1, 3}};
    step(&rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
    assert_int_equal(w->counters.forgotten, 2);
    assert_null(worker_find(w, (struct kv_txid){2, 1, 1}));
    assert_null(worker_find(w, (struct kv_txid){2, 1, 2}));
    assert_non_null(worker_find(w, (struct kv_txid){2, 1, 3}));
    assert_non_null(worker_find(w, (struct kv_txid){3, 1, 1}));
    m.mark.sequence = 2; /* an older one comes late */
    step(&rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
    assert_int_equal(w->counters.forgotten, 2);
    worker_free(w);
}

static void one_in_doubt_below_the_mark_stops(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct worker *w = small_worker(4, 4);
    vote_request(&rig, w, 1, put("a", 0));
    step(&rig, w,
         &(struct kv_event){.kind = KV_EVENT_DURABLE, .row = KV_WORKER_PREPARE, .txid = {2, 1, 1}});
    struct kv_message m = {.kind = KV_MARK, .from = 2, .to = 1, .mark = {2, 1, 2}};
    step(&rig, w, &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = &m});
    assert_int_equal(rig.stop, KV_STOP_PREPARED_ENDED);
    assert_int_equal(rig.rows, 1); /* the mark, and what it would delete, is not journalled */
    worker_free(w);
}

static void a_window_too_small_for_the_journal_is_told(void **state)
{
    (void)state;
    struct coordinator *c = coordinator_new(&(struct coordinator_config){.id = 1, .window = 2});
    struct kv_row row = {.kind = KV_COORDINATOR_PREPARE, .txid = {1, 1, 5}, .participants = 1};
    assert_true(coordinator_load(c, &row));
    row.txid.sequence = 6;
    assert_true(coordinator_load(c, &row));
    row.txid.sequence = 7;
    assert_false(coordinator_load(c, &row));
    coordinator_free(c);
    assert_null(coordinator_new(&(struct coordinator_config){.id = 33, .window = 2}));
    assert_null(coordinator_new(&(struct coordinator_config){.id = 1, .window = 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_votes_abort_when_its_records_are_full),
        cmocka_unit_test(a_worker_votes_abort_when_its_locks_are_full),
        cmocka_unit_test(a_worker_with_a_damaged_row_does_not_vote_for_it),
        cmocka_unit_test(a_request_that_the_client_has_retired_is_refused),
        cmocka_unit_test(a_vote_request_that_makes_no_sense_is_refused),
        cmocka_unit_test(what_is_below_the_mark_is_let_go_from_the_oldest_on),
        cmocka_unit_test(one_in_doubt_below_the_mark_stops),
        cmocka_unit_test(a_window_too_small_for_the_journal_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
