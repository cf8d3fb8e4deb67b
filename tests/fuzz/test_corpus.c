/* SPDX-License-Identifier: MIT */
/*
 * The committed inputs of the fuzz targets (tests/fuzz/corpus), in a build of any compiler: what a
 * fuzzer has once found is tested by everybody. Runs in the project's folder, as make does.
 */
#include <dirent.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "targets.h"

#define CORPUS      "tests/fuzz/corpus"
#define PATH_BYTES  512
#define INPUT_BYTES 4096

static size_t read_input(const char *path, uint8_t bytes[INPUT_BYTES])
{
    FILE *file = fopen(path, "rb");

    if (!file)
        fail_msg("%s: cannot be read", path);
    size_t length = fread(bytes, 1, INPUT_BYTES, file);
    assert_int_equal(fclose(file), 0);
    return length;
}

/* Gives each input of the target's folder to it. A broken promise ends the program. */
static void run_all(const char *target, int (*run)(const uint8_t *, size_t))
{
    uint8_t bytes[INPUT_BYTES];
    char path[PATH_BYTES];
    int inputs = 0;

    snprintf(path, sizeof(path), "%s/%s", CORPUS, target);
    DIR *folder = opendir(path);
    if (!folder) {
        fail_msg("%s: cannot be opened", path);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/%s", CORPUS, target, entry->d_name);
        run(bytes, read_input(path, bytes));
        inputs++;
    }
    closedir(folder);
    assert_true(inputs > 0);
}

static void packets_into_a_listening_host(void **state)
{
    (void)state;
    run_all("packet", fuzz_packet);
}

static void packets_into_every_state(void **state)
{
    (void)state;
    run_all("states", fuzz_states);
}

static void bytes_as_options(void **state)
{
    (void)state;
    run_all("options", fuzz_options);
}

static void fragments_against_the_model(void **state)
{
    (void)state;
    run_all("reassembly", fuzz_reassembly);
}

static void streams_through_a_hostile_middle(void **state)
{
    (void)state;
    run_all("aware", fuzz_aware);
}

static void requests_to_the_http_server(void **state)
{
    (void)state;
    run_all("http", fuzz_http);
}

static void requests_to_the_rpc_server(void **state)
{
    (void)state;
    run_all("rpc", fuzz_rpc);
}

static void bytes_as_a_client_of_grpc(void **state)
{
    (void)state;
    run_all("grpc", fuzz_grpc);
}

static void bytes_as_a_server_of_grpc(void **state)
{
    (void)state;
    run_all("grpc_client", fuzz_grpc_client);
}

static void bytes_as_messages(void **state)
{
    (void)state;
    run_all("message", fuzz_message);
}

static void bytes_as_messages_of_the_store(void **state)
{
    (void)state;
    run_all("kv_message", fuzz_kv_message);
}

static void requests_to_the_store_by_http(void **state)
{
    (void)state;
    run_all("kv_http", fuzz_kv_http);
}

/* The fuzzer begins with a way into each state: an input that is named after it. */
static void the_corpus_has_a_way_into_every_state(void **state)
{
    static const struct {
        const char *input;
        unsigned number;
    } ways[] = {
        {"listen", TCP_LISTEN},           {"half-open", STATES_HALF_OPEN},
        {"syn-sent", TCP_SYN_SENT},       {"syn-received", TCP_SYN_RECV},
        {"established", TCP_ESTABLISHED}, {"fin-wait-1", TCP_FIN_WAIT1},
        {"fin-wait-2", TCP_FIN_WAIT2},    {"close-wait", TCP_CLOSE_WAIT},
        {"closing", TCP_CLOSING},         {"last-ack", TCP_LAST_ACK},
        {"time-wait", TCP_TIME_WAIT},     {"closed", TCP_CLOSE},
    };
    uint8_t bytes[INPUT_BYTES];
    char path[PATH_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        snprintf(path, sizeof(path), CORPUS "/states/%s", ways[i].input);
        uint32_t reached = states_reached(bytes, read_input(path, bytes));
        if (!(reached & 1u << ways[i].number))
            fail_msg("%s does not lead there, but to %#x", path, (unsigned)reached);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_into_a_listening_host),
        cmocka_unit_test(packets_into_every_state),
        cmocka_unit_test(bytes_as_options),
        cmocka_unit_test(fragments_against_the_model),
        cmocka_unit_test(streams_through_a_hostile_middle),
        cmocka_unit_test(requests_to_the_http_server),
        cmocka_unit_test(requests_to_the_rpc_server),
        cmocka_unit_test(the_corpus_has_a_way_into_every_state),
        cmocka_unit_test(bytes_as_a_client_of_grpc),
        cmocka_unit_test(bytes_as_a_server_of_grpc),
        cmocka_unit_test(bytes_as_messages),
        cmocka_unit_test(bytes_as_messages_of_the_store),
        cmocka_unit_test(requests_to_the_store_by_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
