/* SPDX-License-Identifier: MIT */
/*
 * A node of the key-value store as a program, alone in its cluster and confined: by the commands
 * that ask it, over the kernel's sockets, and by curl. In the sandbox.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"

#define DIR     "/run/strait-kv"
#define CLUSTER DIR "/cluster.conf"
#define DATA    DIR "/data"
#define NODE(id, address, cluster, data)                                                           \
    "\"$STRAIT\" kv node --tun tun0 --control none --id " id " --addr " address "/24"              \
    " --peer 10.7.0.1 --cluster " cluster " --data " data

#define OUTPUT_BYTES 4096

/* Runs a script whose output and exit status have to be these. */
static void expect(const char *script, int status, const char *expected)
{
    char output[OUTPUT_BYTES];
    int ended = run_command(output, sizeof(output), "%s", script);
    if (ended != status)
        fail_msg("%s: ends with %d, and says: %s", script, ended, output);
    assert_string_equal(output, expected);
}

static int setup(void **state)
{
    char output[OUTPUT_BYTES];
    (void)state;
    setenv("STRAIT_NODES", "10.7.0.2", 1);
    return run_command(output, sizeof(output), "%s",
                       "unset SUDO_UID; rm -rf " DIR "; mkdir -p " DATA "; chown nobody " DATA ";"
                       "printf 'cluster one\\nreplication 1\\nnode 1 10.7.0.2\\nvalue_bytes 100\\n'"
                       " >" CLUSTER);
}

static int teardown(void **state)
{
    char output[OUTPUT_BYTES];
    (void)state;
    return run_command(output, sizeof(output), "rm -rf " DIR);
}

/* Starts the node, or ends it by a signal; and says its exit status. */
#define START                                                                                      \
    "unset SUDO_UID; " NODE("1", "10.7.0.2", CLUSTER,                                              \
                            DATA) " >" DIR "/out 2>" DIR "/err &"                                  \
                                  " echo $! >" DIR "/pid;"                                         \
                                  "for turn in $(seq 100); do grep -q ready " DIR                  \
                                  "/out && break; sleep 0.1; done;"
#define STOP(signal)                                                                               \
    "kill -" signal " $(cat " DIR "/pid); wait $(cat " DIR "/pid) 2>" DIR "/said; echo $?;"
#define KV "\"$STRAIT\" kv "

static void what_is_written_can_be_read_and_outlives_a_kill(void **state)
{
    (void)state;
    expect(START KV "put a 1;" KV "get a; echo; printf 'a\\0b' | " KV "put z -;" KV
                    "get z | od -An -tx1;" STOP("KILL"),
           0, "version 1\n1\nversion 1\n 61 00 62\n137\n");
    expect(START KV "get a; echo; " KV "del a; " KV "get a 2>&1; echo $?;" KV
                    "del a 2>&1; echo $?;" STOP("TERM") "cat " DIR "/err",
           0,
           "1\nversion 2\nstrait: there is no such key\n1\n"
           "strait: there was no such key\nversion 3\n1\n0\nstrait: running as nobody\n");
}

static void a_transaction_happens_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    expect(START KV "txn '{\"put\":{\"b\":\"1\",\"c\":\"2\"},\"if\":{\"b\":{\"version\":0}}}' |"
                    " grep -o '\"put.*';" KV
                    "txn '{\"put\":{\"c\":\"3\"},\"if\":{\"b\":{\"version\":7}}}' 2>&1; echo $?;" KV
                    "get c; echo;" KV "txn '{\"put\":{\"b\":5}}' 2>/dev/null; echo $?;" KV
                    "put big $(head -c 101 /dev/zero | tr '\\0' x) 2>&1; echo $?;" STOP("TERM"),
           0,
           "\"put\":{\"b\":{\"version\":1},\"c\":{\"version\":1}}}\n"
           "strait: failed: condition: the key does not have the version that was demanded, at "
           "node 1, key b\n1\n2\n2\n"
           "strait: failed: 10.7.0.2: invalid argument: it is above the cluster's limit "
           "value_bytes\n1\n0\n");
}

static void curl_reads_and_writes(void **state)
{
    (void)state;
    expect(START "curl -s -X PUT -d v http://10.7.0.2/kv/k%20y | grep -o '\"version\":1';"
                 "curl -si http://10.7.0.2/kv/k%20y | tr -d '\\r' | grep -e ETag -e '^v';"
                 "curl -s -o /dev/null -w '%{http_code}\\n' -H 'If-None-Match: \"1\"'"
                 " http://10.7.0.2/kv/k%20y;"
                 "curl -s -o /dev/null -w '%{http_code}\\n' -X PUT -H 'If-Match: \"4\"' -d w"
                 " http://10.7.0.2/kv/k%20y;"
                 "curl -s -o /dev/null -w '%{http_code}\\n' -X PUT -d $(head -c 101 /dev/zero |"
                 " tr '\\0' x) http://10.7.0.2/kv/k;"
                 "curl -s -H 'Content-Type: application/json' -d '{\"key\":\"ayB5\"}'"
                 " http://10.7.0.2/rpc/strait.Kv/Get;" STOP("TERM"),
           0,
           "\"version\":1\nETag: \"1\"\nv\n304\n412\n413\n"
           "{\"found\":true,\"version\":\"1\",\"value\":\"dg==\"}0\n");
}

static void a_backup_is_a_database_that_sqlite_reads(void **state)
{
    (void)state;
    expect(START KV "put k v >/dev/null;" KV "backup " DIR "/copy; echo $?;" KV "backup " DIR
                    "/copy 2>/dev/null; echo $?;"
                    "sqlite3 " DIR "/copy 'PRAGMA integrity_check';"
                    "sqlite3 " DIR
                    "/copy \"SELECT count(*) FROM value WHERE key = CAST('k' AS BLOB)"
                    "\"; ls " DATA ";" STOP("TERM"),
           0, "0\n1\nok\n1\nnode.db\nnode.db-shm\nnode.db-wal\n0\n");
}

static void a_transactions_life_is_told(void **state)
{
    (void)state;
    expect(START "T=$(" KV
                 "txn '{\"put\":{\"life\":\"1\"}}' | grep -o '[0-9]*\\.[0-9]*\\.[0-9]*');" KV
                 "explain $T | grep -o 'coordinator: [PC].*';" KV "explain 1.99.1 >" DIR
                 "/said; echo $?;" KV "txns --in-doubt | tr -d ' \\n'; echo;" KV
                 "status | grep -e cluster -e serving;" STOP("TERM"),
           0,
           "coordinator: PREPARE; participants 1\ncoordinator: COMMIT\n1\n"
           "{\"txns\":[],\"more\":false}\n  \"cluster\": \"one\",\n  \"serving\": true,\n0\n");
}

#define DAMAGE(key)                                                                                \
    "sqlite3 " DATA "/node.db \"UPDATE value SET value = x'39' WHERE key = CAST('" key             \
    "' AS BLOB)\";"
#define DAMAGED "strait: failed: damaged: a row of the node does not match its checksum, at node 1"
#define WARNED(key)                                                                                \
    "strait: " DATA "/node.db: the row of value with key \"" key "\" does not match its checksum:" \
    " this node refuses to vote on it, and leaves reads of it to other replicas, until it is "     \
    "restored \n"

/* One row is damaged while the node is down, and one while it runs and has not read it yet. */
static void a_damaged_row_is_told_and_not_used(void **state)
{
    (void)state;
    expect(START KV "put down 1;" KV "put 'up now' 1;" STOP("TERM") DAMAGE("down"), 0,
           "version 1\nversion 1\n0\n");
    expect(START DAMAGE("up now") KV
           "get down 2>&1;" KV "put down 2 2>&1;" KV "get 'up now' 2>&1;" KV
           "put other 1;" STOP("TERM") "grep damaged " DIR "/out; sed 's/(see.*//' " DIR "/err",
           0,
           DAMAGED ", key down\n" DAMAGED ", key down\n" DAMAGED ", key up now\n"
                   "version 1\n0\nkv_journal_damaged 3\nstrait: running as nobody\n" WARNED("down")
                       WARNED("up%20now"));
}

static void without_a_node_it_is_said_so(void **state)
{
    (void)state;
    expect(KV "put a 1 --node 127.0.0.1 --timeout 1 2>&1 | sed 's/127.0.0.1: .*/127.0.0.1/';" KV
              "get a --node 127.0.0.1 --timeout 1 >" DIR "/said 2>&1",
           1, "strait: failed: 127.0.0.1\n");
    expect("unset STRAIT_NODES; " KV "get a 2>&1", 2,
           "strait: which node? say --node HOST[,HOST...], or set STRAIT_NODES\n");
}

static void a_wrong_command_line_is_told_what_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } wrong[] = {
        {"get", "it needs a key"},
        {"del ''", "a key has one byte at least"},
        {"put a", "it needs a key and a value; - is stdin"},
        {"txn", "it needs a transaction, such as '{\"put\":{\"a\":\"1\"}}'"},
        {"explain", "it needs a transaction, such as 1.1.4"},
        {"explain 1.2", "\"1.2\": a transaction is COORDINATOR.INCARNATION.SEQUENCE"},
        {"backup", "it needs the name of a new file"},
        {"get a b", "unexpected \"b\"; see strait kv get --help"},
        {"get a --node 10.7.0.2:80",
         "--node 10.7.0.2:80: nodes are named without a port: it is 7001"},
        {"gett a", "unknown command \"kv gett\"; see strait kv --help"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char script[512], said[512];
        snprintf(script, sizeof(script), KV "%s 2>&1", wrong[i].line);
        snprintf(said, sizeof(said), "strait: %s\n", wrong[i].said);
        expect(script, 2, said);
    }
}

static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int status;
        const char *said;
    } wrong[] = {
        {NODE("2", "10.7.0.2", CLUSTER, DATA), 2, "--id 2: " CLUSTER " has no such node"},
        {NODE("0", "10.7.0.2", CLUSTER, DATA), 2, "--id 0: must be a number from 1 to 32"},
        {NODE("1", "10.7.0.3", CLUSTER, DATA), 2,
         "--addr 10.7.0.3: by " CLUSTER " the address of node 1 is 10.7.0.2"},
        {NODE("1", "10.7.0.2", CLUSTER, DIR "/none"), 2,
         "--data " DIR "/none: No such file or directory; make the directory first"},
        {NODE("1", "10.7.0.2", CLUSTER, CLUSTER), 2, "--data " CLUSTER ": it is no directory"},
        {NODE("1", "10.7.0.2", DIR "/none", DATA), 2,
         "--cluster " DIR "/none: No such file or directory"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char script[512], said[512];
        snprintf(script, sizeof(script), "%s 2>&1", wrong[i].command);
        snprintf(said, sizeof(said), "strait: %s\n", wrong[i].said);
        expect(script, wrong[i].status, said);
    }
}

static void a_directory_of_another_node_or_user_is_refused(void **state)
{
    (void)state;
    expect("printf 'cluster two\\nreplication 1\\nnode 1 10.7.0.2\\n' >" DIR "/two.conf;"
           "unset SUDO_UID;" NODE("1", "10.7.0.2", DIR "/two.conf", DATA) " 2>&1",
           1,
           "strait: running as nobody\nstrait: " DATA
           "/node.db: it belongs to cluster one (nodes 1, "
           "replication 1) node 1, and not to cluster two (nodes 1, replication 1) node 1\n");
    expect("mkdir -p " DIR
           "/root; unset SUDO_UID;" NODE("1", "10.7.0.2", CLUSTER, DIR "/root") " 2>&1",
           1,
           "strait: running as nobody\nstrait: --data " DIR "/root: nobody cannot write there: "
           "Permission denied; give it the directory (chown)\n");
}

/* Makes a database of the node in a directory for it, does something to it, and starts the node. */
#define WITH_DATABASE(change)                                                                      \
    "rm -rf " DIR "/wrong; mkdir " DIR "/wrong; cp " DATA "/node.db " DIR "/wrong; cd " DIR        \
    "/wrong; " change "; chown nobody . node.db; cd - >" DIR                                       \
    "/said; unset SUDO_UID; timeout 5 " NODE("1", "10.7.0.2", CLUSTER, DIR "/wrong") " 2>&1"

static void a_database_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *script, *said;
    } wrong[] = {
        {WITH_DATABASE("head -c 1000 /dev/zero | tr '\\0' x >node.db"), "it is no database"},
        {WITH_DATABASE("truncate -s 5000 node.db"),
         "it is a database that is damaged, or cut short"},
        {WITH_DATABASE("chmod 444 node.db"), "it may be read, but not be written"},
        {WITH_DATABASE("chmod 0 node.db"),
         "it, or its log (-wal, -shm), cannot be opened: Permission denied"},
        {WITH_DATABASE("umask 77; touch node.db-wal"),
         "it, or its log (-wal, -shm), cannot be opened: Permission denied"},
        {WITH_DATABASE("rm node.db; mkdir node.db"),
         "it, or its log (-wal, -shm), cannot be opened: Is a directory"},
        {WITH_DATABASE("sqlite3 node.db 'DROP TABLE value'"), "no such table: value"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char said[512];
        snprintf(said, sizeof(said),
                 "strait: running as nobody\nstrait: " DIR "/wrong/node.db: %s\n", wrong[i].said);
        expect(wrong[i].script, 1, said);
    }
}

static void a_directory_is_for_one_node_at_a_time(void **state)
{
    (void)state;
    expect(START
           "timeout 10 \"$STRAIT\" kv node --tun tun1 --control none --id 1 --addr 10.7.0.2/24"
           " --cluster " CLUSTER " --data " DATA " 2>&1; echo $?;" KV "del none 2>&1;" STOP("TERM"),
           0,
           "strait: running as nobody\nstrait: --data " DATA ": a node runs there already\n1\n"
           "strait: there was no such key\nversion 1\n0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_can_be_read_and_outlives_a_kill),
        cmocka_unit_test(a_transaction_happens_as_a_whole_or_not_at_all),
        cmocka_unit_test(curl_reads_and_writes),
        cmocka_unit_test(a_backup_is_a_database_that_sqlite_reads),
        cmocka_unit_test(a_transactions_life_is_told),
        cmocka_unit_test(a_damaged_row_is_told_and_not_used),
        cmocka_unit_test(without_a_node_it_is_said_so),
        cmocka_unit_test(a_wrong_command_line_is_told_what_is_missing),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(a_directory_of_another_node_or_user_is_refused),
        cmocka_unit_test(a_database_that_cannot_be_used_is_refused),
        cmocka_unit_test(a_directory_is_for_one_node_at_a_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
