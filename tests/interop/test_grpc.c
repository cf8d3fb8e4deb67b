/* SPDX-License-Identifier: MIT */
/*
 * gRPC and JSON between Strait and other people's programs: grpcio as client and as server, h2load,
 * curl, and a browser's fetch.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client.h"
#include "kernel.h"
#include "program.h"

#define OUTPUT_BYTES 8192

/* A shell command has to end with this status after just this output. */
static void expect(int expected_status, const char *expected, const char *command)
{
    char output[OUTPUT_BYTES];
    int status = run_command(output, sizeof(output), "%s", command);
    if (status != expected_status)
        fail_msg("%s: status %d instead of %d: %s", command, status, expected_status, output);
    assert_string_equal(output, expected);
}

/* ---- Strait serves ---- */

static void grpcio_calls(void **state)
{
    struct program *p = *state;
    char output[OUTPUT_BYTES];
    program_start(p, NULL);
    run_command(output, sizeof(output),
                "(timeout 100 tests/interop/grpc_client.py " STRAIT_ADDRESS ":7001 2>&1; echo end) "
                "| while read -r line; do echo \"$line\"; "
                "[ \"$line\" = 'ready to be left' ] && kill -TERM %d; done",
                (int)program_pid(p));
    assert_string_equal(output, "unary\nlong\nstatus\nno method\n4 MiB\nmore\ngzip\nmetadata\n"
                                "long metadata\ndeadline\nin time\ncancel\n500 at once\nhealth\n"
                                "health of a service\nhealth of no service\nreflection\nwatch\n"
                                "ready to be left\nit stops\nleft\nend\n");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_cancelled"), 3); /* and the watch */
}

static void h2load_and_curl_call(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0,
           "requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, "
           "0 errored, 0 timeout\n",
           "f=$(mktemp); printf '\\0\\0\\0\\0\\2\\10\\5' >$f; "
           "timeout 60 h2load -n 20000 -c 4 -m 100 -d $f -H 'content-type: application/grpc' "
           "http://" STRAIT_ADDRESS ":7001/strait.Primes/IthPrime | grep ^requests:; rm $f");
    expect(0, " 00 00 00 00 02 08 0d\n",
           "printf '\\0\\0\\0\\0\\2\\10\\5' | timeout 20 curl -s --http2-prior-knowledge "
           "-H 'Content-Type: application/grpc' --data-binary @- "
           "http://" STRAIT_ADDRESS ":7001/strait.Primes/IthPrime | od -An -tx1");
    expect(0, "415",
           "timeout 20 curl -s --http2-prior-knowledge -o /dev/null -w '%{http_code}' "
           "-d x http://" STRAIT_ADDRESS ":7001/strait.Primes/IthPrime");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_results"), 20001);
}

#define JSON "timeout 20 curl -s -H 'Content-Type: application/json' "

static void curl_calls_in_json(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0, "{\"prime\":13}",
           JSON "-d '{\"i\":5}' http://" STRAIT_ADDRESS "/rpc/strait.Primes/IthPrime");
    expect(0, "{\"code\":\"out_of_range\",\"message\":\"out of range\"} 400",
           JSON "-w ' %{http_code}' -d '{\"i\":4294967295}' http://" STRAIT_ADDRESS
                "/rpc/strait.Primes/IthPrime");
    /* curl asks whether it may send so much, and does: white space. */
    expect(0, "{\"prime\":2}",
           "(printf '{}'; head -c 2000000 /dev/zero | tr '\\0' ' ') | " JSON
           "--data-binary @- http://" STRAIT_ADDRESS "/rpc/strait.Primes/IthPrime");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_results"), 2);
}

static const char page[] =
    "<!DOCTYPE html>\n<title>none</title>\n<script>\n"
    "const call = async (method, what) => (await (await fetch('/rpc/strait.Primes/' + method, {\n"
    "  method: 'POST', headers: {'Content-Type': 'application/json'},\n"
    "  body: JSON.stringify(what)})).json());\n"
    "onload = async () => {\n"
    "  const primes = await Promise.all([5, 6, 7].map(i => call('IthPrime', {i})));\n"
    "  const error = await call('IthPrime', {i: -1});\n"
    "  document.title = primes.map(p => p.prime).join() + ' ' + error.code;\n"
    "};\n</script>\n";

static void a_browser_fetches_json(void **state)
{
    struct program *p = *state;
    char root[] = "/tmp/strait-fetch.XXXXXX", path[64], output[OUTPUT_BYTES];
    assert_non_null(mkdtemp(root));
    assert_int_equal(chmod(root, 0755), 0);
    snprintf(path, sizeof(path), "%s/index.html", root);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(page, file) >= 0);
    assert_int_equal(fclose(file), 0);
    program_start(p, "--root", root, NULL);
    int status = run_command(output, sizeof(output),
                             "timeout 150 chromium-headless-shell --no-sandbox --disable-gpu "
                             "--virtual-time-budget=20000 --user-data-dir=%s/profile --dump-dom "
                             "http://" STRAIT_ADDRESS "/ 2>/dev/null | grep -o '<title>.*</title>'",
                             root);
    assert_int_equal(status, 0);
    assert_string_equal(output, "<title>13,17,19 invalid_argument</title>\n");
    program_stop(p, SIGTERM);
    assert_int_equal(run_command(output, sizeof(output), "rm -rf %s", root), 0);
}

static void the_example_of_the_readme_greets(void **state)
{
    (void)state;
    expect(0, "Hello, Ada!\n",
           "\"$EXAMPLE_GRPC\" & pid=$!; "
           "for i in $(seq 200); do nc -z 127.0.0.1 7001 && break; sleep 0.05; done; "
           "timeout 20 /usr/bin/python3 \"$(dirname \"$EXAMPLE_GRPC\")/client.py\"; kill $pid");
}

/* ---- Strait calls ---- */

#define CALL "timeout 20 \"$STRAIT\" rpc "

static void the_command_calls_lists_and_asks_for_health(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0, "{\"prime\":13}\n",
           CALL "call " STRAIT_ADDRESS " strait.Primes/IthPrime '{\"i\":5}'");
    expect(0, "{\"status\":\"SERVING\"}\n", CALL "health " STRAIT_ADDRESS " strait.Primes");
    expect(0,
           "strait.Primes\ngrpc.health.v1.Health\ngrpc.reflection.v1.ServerReflection\n"
           "grpc.reflection.v1alpha.ServerReflection\n",
           CALL "list " STRAIT_ADDRESS ":7001");
    expect(1, "strait: strait.Primes/IthPrime: error (out of range)\n",
           CALL "call " STRAIT_ADDRESS " strait.Primes/IthPrime '{\"i\":203280221}' 2>&1");
    /* A watch until the user ends it, and until its deadline. */
    expect(0, "{\"status\":\"SERVING\"}\n",
           "timeout --preserve-status -s INT 1 \"$STRAIT\" rpc health -f " STRAIT_ADDRESS);
    expect(1,
           "{\"status\":\"SERVICE_UNKNOWN\"}\n"
           "strait: grpc.health.v1.Health/Watch: unknown (deadline exceeded)\n",
           CALL "call " STRAIT_ADDRESS
                " grpc.health.v1.Health/Watch '{\"service\":\"no\"}' -w 1 2>&1");
    program_stop(p, SIGTERM);
}

/* The code depends on the pauses, which are drawn: whether the last attempt or the deadline ends
 * it.
 */
static void who_cannot_be_called_is_told_why(void **state)
{
    struct program *p = *state;
    static const struct {
        const char *command, *said;
    } cases[] = {
        {"call " STRAIT_ADDRESS ":7777 strait.Primes/IthPrime -w 1",
         "strait.Primes/IthPrime: not executed: no connection: Connection refused"},
        {"call 192.0.2.1 strait.Primes/IthPrime -w 1",
         "strait.Primes/IthPrime: not executed: no connection: Network is unreachable"},
        {"call 10.7.0.99 strait.Primes/IthPrime -w 0.5",
         "strait.Primes/IthPrime: not executed: no connection: Connection timed out"},
        {"call " STRAIT_ADDRESS ":7000 strait.Primes/IthPrime -w 1",
         "strait.Primes/IthPrime: unknown: no connection: Connection reset by peer"},
        {"health " STRAIT_ADDRESS " no.such",
         "grpc.health.v1.Health/Check: error: no such service"},
    };
    program_start(p, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char command[256], said[256];
        snprintf(command, sizeof(command), CALL "%s 2>&1 | sed 's/ ([^)]*)//'", cases[i].command);
        snprintf(said, sizeof(said), "strait: %s\n", cases[i].said);
        expect(0, said, command);
    }
    program_stop(p, SIGTERM);
}

/* One connection for all. */
static void the_bench_tells_its_speed(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0, "2000 results\n",
           "timeout 50 \"$STRAIT\" rpc bench " STRAIT_ADDRESS
           " strait.Primes/IthPrime '{\"i\":5}' -n 2000 -c 100 | "
           "sed -n 's/^[0-9]* calls\\/s; half of them took up to .*/2000 results/p'");
    expect(
        1,
        "0 calls/s; half of them took up to 0.000 ms, 99% up to 0.000 ms, the slowest 0.000 ms\n",
        "timeout 50 \"$STRAIT\" rpc bench " STRAIT_ADDRESS
        " strait.Primes/IthPrime '{\"i\":203280221}' -n 10 2>/dev/null");
    program_stop(p, SIGTERM);
}

#define SERVER "127.0.0.1:7703"

/* Of the kernel's sockets, and of a Strait host. */
static void a_server_of_grpcio_is_called(void **state)
{
    (void)state;
    expect(0,
           "{\"prime\":13}\n"
           "strait: strait.Primes/IthPrime: error (failed precondition): 50% \xc3\xa4rger\n"
           "strait: strait.Primes/IthPrime: unknown (deadline exceeded)\n"
           "{\"status\":\"SERVING\"}\n{\"status\":\"NOT_SERVING\"}\nended: 0\n"
           "{\"prime\":2}\n",
           "d=$(mktemp -d); mkfifo $d/in; "
           "timeout 60 tests/interop/grpc_server.py 0.0.0.0:7703 <$d/in >$d/out & exec 3>$d/in; "
           "for i in $(seq 200); do grep -q ready $d/out && break; sleep 0.05; done; " CALL
           "call " SERVER " strait.Primes/IthPrime '{\"i\":5}' 2>&1; " CALL "call " SERVER
           " strait.Primes/IthPrime '{\"i\":6}' 2>&1; " CALL "call " SERVER
           " strait.Primes/IthPrime '{\"i\":7}' -w 1 2>&1; " CALL "health " SERVER
           " -f 2>&1; echo ended: $?; " CLIENT("rpc call") KERNEL_ADDRESS
           ":7703 strait.Primes/IthPrime; exec 3>&-; wait; rm -r $d");
}

int main(void)
{
#define GRPC_TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        GRPC_TEST(grpcio_calls),
        GRPC_TEST(h2load_and_curl_call),
        GRPC_TEST(curl_calls_in_json),
        GRPC_TEST(a_browser_fetches_json),
        GRPC_TEST(the_example_of_the_readme_greets),
        GRPC_TEST(the_command_calls_lists_and_asks_for_health),
        GRPC_TEST(who_cannot_be_called_is_told_why),
        GRPC_TEST(the_bench_tells_its_speed),
        GRPC_TEST(a_server_of_grpcio_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
