/* SPDX-License-Identifier: MIT */
/* What strait kv explain says of a node's JSON: every phase and row of the machines in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/coordinator.h"
#include "kv/explain.h"
#include "kv/worker.h"

/* Prints, and returns what was printed, to be freed. */
static char *explain(const char *json, bool known)
{
    char *text = NULL;
    size_t length;
    FILE *to = open_memstream(&text, &length);
    assert_non_null(to);
    assert_int_equal(kv_explain_print(to, "10.8.1.2", json), known);
    fclose(to);
    return text;
}

static void expect(const char *json, bool known, const char *text)
{
    char *said = explain(json, known);
    assert_string_equal(said, text);
    free(said);
}

static void the_rows_and_the_machines_are_told_in_their_order(void **state)
{
    (void)state;
    expect("{\"txid\":\"1.4.7\",\"coordinator\":{\"phase\":\"voting\",\"participants\":[1,2],"
           "\"voted\":[2],\"acknowledged\":[]},\"worker\":{\"phase\":\"prepared\"},"
           "\"keys\":[\"a%FF\",\"b\"],\"journal\":[{\"machine\":\"coordinator\","
           "\"row\":\"PREPARE\",\"time_ms\":784111777005,\"participants\":[1,2]}]}",
           true,
           "10.8.1.2; keys a%FF b\n"
           "  1994-11-06 08:49:37.005 UTC  coordinator: PREPARE; participants 1 2\n"
           "  coordinator: voting (votes are awaited); participants 1 2; voted to commit 2\n"
           "  worker: prepared (in doubt: it has voted to commit, holds its locks, and waits for "
           "the outcome)\n");
}

static void what_a_node_does_not_know_is_said(void **state)
{
    (void)state;
    expect("{\"txid\":\"1.4.7\",\"journal\":[]}", false,
           "10.8.1.2 knows nothing of it: it has ended, or never was\n");
}

static void what_is_no_json_or_another_one_does_no_harm(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "[]",
        "{\"journal\":7}",
        "{\"journal\":{}}",
    };
    expect(NULL, false, "10.8.1.2 answers no JSON\n");
    expect("", false, "10.8.1.2 answers no JSON\n");
    expect("<html>", false, "10.8.1.2 answers no JSON\n");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(wrong[i], false, "10.8.1.2 knows nothing of it: it has ended, or never was\n");
    expect("{\"worker\":7,\"keys\":{}}", true, "10.8.1.2\n  worker:  ()\n");
    free(explain("{\"journal\":[7,{\"time_ms\":\"x\"},{\"time_ms\":9223372036854775807}]}", true));
}

/* A phase without a meaning would stand before empty brackets. */
static void every_phase_of_the_machines_has_a_meaning(void **state)
{
    (void)state;
    char json[100];
    for (int phase = COORDINATOR_PREPARING; phase <= COORDINATOR_ENDED; phase++) {
        snprintf(json, sizeof(json), "{\"coordinator\":{\"phase\":\"%s\"}}",
                 coordinator_phase_name((enum coordinator_phase)phase));
        char *said = explain(json, true);
        assert_null(strstr(said, "()"));
        free(said);
    }
    for (int phase = WORKER_PREPARING; phase <= WORKER_ABORTED; phase++) {
        snprintf(json, sizeof(json), "{\"worker\":{\"phase\":\"%s\"}}",
                 worker_phase_name((enum worker_phase)phase));
        char *said = explain(json, true);
        assert_null(strstr(said, "()"));
        free(said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rows_and_the_machines_are_told_in_their_order),
        cmocka_unit_test(what_a_node_does_not_know_is_said),
        cmocka_unit_test(what_is_no_json_or_another_one_does_no_harm),
        cmocka_unit_test(every_phase_of_the_machines_has_a_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
