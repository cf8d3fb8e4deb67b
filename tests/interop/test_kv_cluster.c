/* SPDX-License-Identifier: MIT */
/*
 * A cluster of three nodes behind TUNs of their own, asked by curl, gRPC and the commands. The
 * program runs itself among them: scripts/cluster puts it in their sandbox.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"

#define OUTPUT_BYTES 16384

#define KV    "timeout 60 \"$STRAIT\" kv "
#define CURL  "timeout 30 curl -s "
#define NODE1 "10.8.1.2"
#define NODE2 "10.8.2.2"
#define NODE3 "10.8.3.2"

/* What scripts/cluster has laid out: the directory of node 3, say, and what it has said. */
#define DATA(id) "${STRAIT_CLUSTER%/*}/" id

/* A node as a program, with a file of the cluster and a directory of its own choice. */
#define NODE(id, cluster, data)                                                                    \
    "\"$STRAIT\" kv node --id " id " --tun tun" id " --addr 10.8." id ".2/24 --peer 10.8." id      \
    ".1 --cluster " cluster " --data " data

#define NODES ". tests/interop/kv_node.sh; " /* stop, start, node */

/* A shell script has to end with this status, after just this output. */
static void expect(int status, const char *expected, const char *script)
{
    char output[OUTPUT_BYTES];
    int ended = run_command(output, sizeof(output), "%s", script);
    if (ended != status)
        fail_msg("%s: status %d instead of %d: %s", script, ended, status, output);
    assert_string_equal(output, expected);
}

/* ---- Requests ---- */

static void each_node_takes_each_request(void **state)
{
    (void)state;
    expect(0, "1\n2\n3\n",
           "for n in " NODE1 " " NODE2 " " NODE3 "; do " CURL "-X PUT -d $n http://$n/kv/by-curl |"
           " grep -o '\"version\":[0-9]' | cut -d: -f2; done");
    expect(0, "ETag: \"3\"\n" NODE3 "\nETag: \"3\"\n" NODE3 "\nETag: \"3\"\n" NODE3 "\n",
           "for n in " NODE1 " " NODE2 " " NODE3 "; do " CURL "-i http://$n/kv/by-curl |"
           " tr -d '\\r' | grep -e ^ETag -e ^10; echo; done | grep .");
    expect(0,
           "version 1\nvalue " NODE1 "\nversion 2\nversion 3\nvalue " NODE2
           "\nversion 4\nversion 5\nvalue " NODE3 "\nversion 6\n",
           "for n in " NODE1 " " NODE2 " " NODE3 "; do " KV "put by-kv \"value $n\" --node $n; " KV
           "get by-kv; echo; " KV "del by-kv --node $n; done");
    expect(
        0, "404 404 404",
        "echo $(for n in " NODE1 " " NODE2 " " NODE3 "; do " CURL
        "-o /dev/null -w '%{http_code}\\n' \"http://$n/kv/by-kv?stale=ok\"; done) | tr -d '\\n'");
}

static void a_transaction_is_on_all_replicas_or_on_none(void **state)
{
    (void)state;
    static const char both[] =
        "for n in " NODE1 " " NODE2 " " NODE3 "; do for k in left right; do " CURL
        "\"http://$n/kv/$k?stale=ok\"; done; done";
    expect(0, "true\n",
           CURL "-d '{\"put\":{\"left\":\"a\",\"right\":\"a\"},\"if\":{\"left\":{\"version\":0}}}' "
                "http://" NODE2 "/txn | grep -o '\"committed\":true' | cut -d: -f2");
    expect(0, "aaaaaa", both);
    expect(0, "\"reason\":\"condition\" 409\n",
           CURL "-w ' %{http_code}\\n' -d '{\"put\":{\"left\":\"b\",\"right\":\"b\"},"
                "\"if\":{\"right\":{\"version\":7}}}' http://" NODE3
                "/txn | grep -o -e '\"reason\":\"[a-z]*\"' -e ' 409' | tr -d '\\n'; echo");
    expect(0, "aaaaaa", both);
}

static void a_transactions_life_is_told(void **state)
{
    (void)state;
    expect(0, "  UTC  coordinator: PREPARE; participants 1 2 3\n  UTC  coordinator: COMMIT\n",
           "t=$(" KV "txn '{\"put\":{\"life\":\"1\"}}' --node " NODE2
           " | grep -o '[0-9]*\\.[0-9]*\\.[0-9]*'); " KV
           "explain $t | grep -e PREPARE -e COMMIT | sed 's/[0-9:. -]* UTC/  UTC/' | "
           "grep coordinator");
    expect(1,
           "transaction 1.77.1\n10.8.1.2 knows nothing of it: it has ended, or never was\n"
           "10.8.2.2 knows nothing of it: it has ended, or never was\n"
           "10.8.3.2 knows nothing of it: it has ended, or never was\n",
           KV "explain 1.77.1");
}

static void two_phase_commit_can_be_read_out_of_a_capture(void **state)
{
    (void)state;
    expect(0, "ACK\nGLOBAL-COMMIT\nVOTE-COMMIT\nVOTE-REQUEST put seen\n",
           "d=${STRAIT_CLUSTER%/*}; : >$d/tcpdump; tcpdump -i any -Q in -U -w $d/capture port 7002 "
           "2>$d/tcpdump & "
           "until grep -q 'listening on' $d/tcpdump; do sleep 0.05; done; " KV
           "put seen yes --node " NODE1 " >$d/said; for i in $(seq 200); do "
           "[ $(scripts/messages $d/capture | grep -c ' ACK ') -lt 2 ] || break; sleep 0.05; done; "
           "kill -INT $!; wait $!; scripts/messages $d/capture | grep -v -e MARK -e INQUIRE -e "
           "ANSWER | "
           "sed 's/.*  //; s/ [0-9.]*//' | sort -u; rm $d/capture $d/tcpdump");
}

/* ---- The database ---- */

static void a_backup_is_whole_while_writes_run(void **state)
{
    (void)state;
    static const char script[] =
        "d=${STRAIT_CLUSTER%/*}; values='SELECT count(*) > 8 FROM value'; " KV
        "bench --clients 8 --seconds 4 >$d/bench & b=$!; for i in 1 2 3; do "
        "for _ in $(seq 200); do sqlite3 -readonly $d/$i/node.db \"$values\" | grep -q 0 || break; "
        "sleep 0.1; done; " KV "backup $d/copy-$i --node 10.8.$i.2; "
        "echo \"$? $(sqlite3 $d/copy-$i 'PRAGMA integrity_check') $(sqlite3 $d/copy-$i "
        "\"$values\")\"; "
        "done; wait $b; echo $?; rm $d/copy-*";
    expect(0, "0 ok 1\n0 ok 1\n0 ok 1\n0\n", script);
}

static void sqlite3_looks_into_a_node_that_runs(void **state)
{
    (void)state;
    expect(
        0, "k|v|1\nk|v|1\nk|v|1\nclient\njournal\nmark\nonce\nstore\ntotal\nvalue\n",
        KV "put k v >/dev/null; for i in 1 2 3; do sqlite3 -readonly " DATA(
            "$i/node.db") " \"SELECT CAST(key AS TEXT), CAST(value AS TEXT), version FROM value "
                          "WHERE key = CAST('k' AS BLOB)\"; done; sqlite3 -readonly " DATA(
                              "1/node.db") " \"SELECT name FROM sqlite_schema WHERE type = 'table' "
                                           "AND name NOT LIKE 'sqlite_%' ORDER BY name\"");
    expect(0, "version 2\n", KV "put k w"); /* and does not disturb it */
}

/* As the README says it. */
static void a_damaged_row_can_be_put_right_by_a_copy(void **state)
{
    (void)state;
    expect(
        0,
        "version 1\nyes\nstrait: failed: damaged: a row of the node does not match its checksum, "
        "at node 3, key torn\n1\nversion 2\nno",
        NODES KV "put torn yes; stop 3; sqlite3 $root/3/node.db \"UPDATE value SET value = x'00' "
                 "WHERE key = CAST('torn' AS BLOB)\"; start 3 $STRAIT_CLUSTER $root/3; " KV
                 "get torn --node " NODE3 "; echo; " KV "put torn no --timeout 1 2>&1; "
                 "grep -c 'value with key \"torn\" does not match' $root/3.log; stop 3; " KV
                 "backup $root/copy.db --node " NODE2 "; sqlite3 $root/3/node.db "
                 "\"ATTACH '$root/copy.db' AS copy; REPLACE INTO main.value SELECT * FROM "
                 "copy.value WHERE key = CAST('torn' AS BLOB)\"; rm $root/copy.db; "
                 "start 3 $STRAIT_CLUSTER $root/3; " KV "put torn no; " KV
                 "get torn --stale --node " NODE3);
}

/* ---- Bad input ---- */

/* How many keys there are, and what the key "bad" has: nothing of bad input is ever applied. */
static void remember(char *output)
{
    assert_int_equal(run_command(output, OUTPUT_BYTES, "%s",
                                 CURL "http://" NODE1 "/status | grep -o '\"keys\":[0-9]*'; " CURL
                                      "http://" NODE1 "/kv/bad"),
                     0);
}

static void malformed_requests_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *answer;
    } cases[] = {
        {"'http://" NODE1 "/kv/'", "key 400"},
        {"'http://" NODE1 "/kv/%zz'", "key 400"},
        {"-X POST 'http://" NODE1 "/kv/bad'", "method 405"},
        {"'http://" NODE1 "/kv/bad?fresh=no'", "query 400"},
        {"-X PUT -d v -H 'Strait-Client: me' 'http://" NODE1 "/kv/bad'", "identity 400"},
        {"-X PUT -d v -H 'Strait-Client: 1' 'http://" NODE1 "/kv/bad'", "identity 400"},
        {"-X PUT -d v -H 'If-Match: 3' 'http://" NODE1 "/kv/bad'", "condition 400"},
        {"-X PUT -d v -H 'If-Match: \"3\"' 'http://" NODE1 "/kv/bad'", "condition 412"},
        {"-X PUT -d v 'http://" NODE1 "/kv/'$(head -c 1025 /dev/zero | tr '\\0' k)", "large 413"},
        {"'http://" NODE1 "/txns/1.2'", "txid 400"},
        {"'http://" NODE1 "/txns/1.77.1'", "404"},
        {"-d '{' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '[]' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '{}' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '{\"put\":3}' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '{\"put\":{\"bad\":5}}' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '{\"put\":{\"bad\":\"1\",\"\":\"2\"}}' 'http://" NODE1 "/txn'", "transaction 400"},
        {"-d '{\"put\":{\"bad\":\"1\"},\"whatever\":{}}' 'http://" NODE1 "/txn'",
         "transaction 400"},
        {"-d '{\"put\":{\"bad\":{\"value_base64\":\"!\"}}}' 'http://" NODE1 "/txn'",
         "transaction 400"},
        {"-d '{\"put\":{\"bad\":\"1\"},\"if\":{\"b\":{\"version\":-1}}}' 'http://" NODE1 "/txn'",
         "transaction 400"},
        {"-d '{\"put\":{\"bad\":\"1\"},\"delete\":[\"bad\"]}' 'http://" NODE1 "/txn'",
         "invalid 400"},
    };
    char before[OUTPUT_BYTES], after[OUTPUT_BYTES], output[OUTPUT_BYTES];
    remember(before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_command(output, sizeof(output),
                    CURL "-w '\"reason\":\"%%{http_code}' %s | grep -o '\"reason\":\"[a-z0-9]*' | "
                         "cut -d'\"' -f4 | tr '\\n' ' '",
                    cases[i].arguments);
        if (strncmp(output, cases[i].answer, strlen(cases[i].answer)) != 0)
            fail_msg("%s: answered \"%s\" instead of \"%s\"", cases[i].arguments, output,
                     cases[i].answer);
    }
    remember(after);
    assert_string_equal(after, before);
}

static void what_is_above_a_limit_is_refused(void **state)
{
    (void)state;
    char before[OUTPUT_BYTES], after[OUTPUT_BYTES];
    remember(before);
    expect(0, "413",
           "head -c 1048577 /dev/zero | " CURL
           "-o /dev/null -w '%{http_code}' -X PUT --data-binary @- http://" NODE1 "/kv/bad");
    expect(0, "413",
           "python3 -c 'import json; print(json.dumps({\"put\": {i: \"\" for i in range(129)}}))' "
           "| " CURL "-o /dev/null -w '%{http_code}' --data-binary @- http://" NODE1 "/txn");
    expect(0, "413",
           "python3 -c 'import json; print(json.dumps({\"put\": {i: \"x\" * 10**6 for i in "
           "range(5)}}))' | " CURL "-o /dev/null -w '%{http_code}' --data-binary @- http://" NODE1
           "/txn");
    expect(1,
           "strait: failed: 10.8.1.2: invalid argument: it is above the cluster's limit "
           "value_bytes\n",
           "head -c 1048577 /dev/zero | " KV "put bad - --node " NODE1 " 2>&1");
    remember(after);
    assert_string_equal(after, before);
    expect(0, "version 1\n1048576\n",
           "head -c 1048576 /dev/zero | " KV "put large -; " KV "get large | wc -c");
}

/* A call of gRPC whose message is these bytes. */
#define GRPC(bytes, path)                                                                          \
    "printf '\\0\\0\\0\\0" bytes "' | " CURL "--http2-prior-knowledge -H 'te: trailers' -H "       \
    "'content-type: application/grpc' --data-binary @- -o /dev/null -D - http://" NODE1 ":" path   \
    " | tr -d '\\r' | grep ^grpc"

static void malformed_messages_are_refused(void **state)
{
    (void)state;
    char before[OUTPUT_BYTES], after[OUTPUT_BYTES];
    remember(before);
    expect(0, "grpc-status: 13\ngrpc-message: the request is no such message\n",
           GRPC("\\3\\377\\377\\377", "7001/strait.Kv/Put"));
    expect(0, "grpc-status: 12\ngrpc-message: no such service\n",
           GRPC("\\0", "7001/strait.KvNode/Deliver"));
    expect(0, "grpc-status: 3\ngrpc-message: invalid argument\n",
           GRPC("\\3\\377\\377\\377", "7002/strait.KvNode/Deliver"));
    expect(0, "grpc-status: 9\ngrpc-message: of another cluster, or for another node\n",
           GRPC("\\7\\12\\5other", "7002/strait.KvNode/Deliver"));
    remember(after);
    assert_string_equal(after, before);
}

static void clusters_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"cluster x\nnode 1 10.8.1.2\nnode 1 10.8.2.2\nnode 2 10.8.3.2\n", "line 3"},
        {"cluster x\nreplication 2\nnode 1 10.8.1.2\n", "replication"},
        {"cluster x\nnode 1 10.8.1.2\nnode 2 10.8.1.2\nnode 3 10.8.3.2\n", "line 3"},
        {"cluster x\ncoordinator fixed:4\nreplication 1\nnode 1 10.8.1.2\n", "4"},
        {"cluster x\nreplication 1\nnode 1 nowhere\n", "line 3"},
        {"cluster x\nnodes 3\n", "line 2"},
        {"cluster x\nreplication 1\nnode 2 10.8.2.2\n", "has no such node"},
        {"", "cluster"},
    };
    char output[OUTPUT_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = run_command(output, sizeof(output), "printf '%s' >%s; %s 2>&1", cases[i].text,
                                 DATA("bad.conf"), NODE("1", DATA("bad.conf"), DATA("1")));
        assert_int_equal(status, 2);
        assert_int_equal(strncmp(output, "strait: ", 8), 0);
        if (!strstr(output, cases[i].said) || strchr(output, '\n') != strrchr(output, '\n'))
            fail_msg("%s: said %s", cases[i].text, output);
    }
}

static void data_of_another_node_or_version_is_refused(void **state)
{
    (void)state;
    expect(0, "version 1\n", KV "put here yes");
    expect(0,
           "other/node.db: it belongs to cluster demo (nodes 1 2 3, replication 3) node 2, "
           "and not to cluster demo (nodes 1 2 3, replication 3) node 3\n"
           "other/node.db: this program knows version 1 of it, and it has 99\n"
           "other/node.db: it is no database\n",
           NODES
           "stop 3; mkdir $root/other; " KV "backup $root/other/node.db --node " NODE2 "; "
           "chown -R nobody $root/other; try() { node 3 $STRAIT_CLUSTER $root/other | of_root; }; "
           "try; sqlite3 $root/other/node.db 'PRAGMA user_version = 99'; try; "
           "head -c 1000 /dev/zero | tr '\\0' x >$root/other/node.db; try; rm -r $root/other");
    expect(0, "yes", NODES "start 3 $STRAIT_CLUSTER $root/3; " KV "get here --node " NODE3);
}

static void a_foreign_clusters_messages_are_refused(void **state)
{
    (void)state;
    /* Neither side has the other's votes, and both say what they have refused. */
    expect(0, "\"reason\":\"timeout\" 503\n\"reason\":\"timeout\" 503\ncounted\ncounted\n",
           NODES
           "stop 3; sed 's/^cluster .*/cluster other/' $STRAIT_CLUSTER >$root/other.conf; "
           "mkdir $root/other; chown nobody $root/other; start 3 $root/other.conf $root/other; "
           "for n in " NODE3 " " NODE1 "; do " CURL
           "-w ' %{http_code}\\n' -X PUT -d 1 http://$n/kv/foreign | grep -o -e "
           "'\"reason\":\"[a-z]*\"' -e ' [0-9]*$' | "
           "tr -d '\\n'; echo; done; "
           "for n in " NODE3 " " NODE1 "; do " CURL
           "http://$n/status | grep -q '\"kv_node_foreign\":[1-9]' && echo counted; done");
    expect(0, "version 1\n",
           NODES "stop 3; rm -r $root/other; start 3 $STRAIT_CLUSTER $root/3; " KV "put foreign 1");
}

/* ---- scripts/cluster ---- */

static void the_script_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *said;
    } cases[] = {
        {"0", "\"0\": the number of nodes must be from 1 to 32"},
        {"33", "\"33\": the number of nodes must be from 1 to 32"},
        {"three", "\"three\": the number of nodes must be from 1 to 32"},
        {"3 4", "it takes one number of nodes"},
        {"3 --", "there is no command after --"},
        {"3 --data", "--data needs a value"},
        {"--quick", "unknown option --quick"},
    };
    char output[OUTPUT_BYTES], expected[OUTPUT_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = run_command(output, sizeof(output), "timeout 60 scripts/cluster %s 2>&1",
                                 cases[i].arguments);
        snprintf(expected, sizeof(expected), "scripts/cluster: %s; see scripts/cluster --help\n",
                 cases[i].said);
        assert_string_equal(output, expected);
        assert_int_equal(status, 2);
    }
}

static void the_script_leaves_nothing_but_the_exit_status(void **state)
{
    (void)state;
    expect(
        7, "2 2 2 /1 /2 gone\n",
        "d=$(mktemp -d); timeout 60 scripts/cluster 2 -- sh -c 'IFS=,; set -- $STRAIT_NODES; "
        "printf \"$# \"; set -- $STRAIT_PIDS; printf \"$# \"; kill -0 $*; echo $* >'$d'/pids; "
        "set -- $STRAIT_DATA; printf \"$# ${1#${STRAIT_CLUSTER%/*}} ${2#${STRAIT_CLUSTER%/*}} \"; "
        "echo ${STRAIT_CLUSTER%/*} >'$d'/data; sleep 500 & exit 7'; status=$?; "
        "kill -0 $(cat $d/pids) 2>/dev/null || [ -e $(cat $d/data) ] || echo gone; rm -r $d; "
        "exit $status");
}

static void the_script_stops_at_the_end_of_its_input_or_by_a_signal(void **state)
{
    (void)state;
    expect(0, "0\n", "sleep 1 | timeout 60 scripts/cluster 1 >/dev/null; echo $?");
    expect(0, "143\n1\n",
           "f=$(mktemp); scripts/cluster 1 </dev/null >$f & for i in $(seq 200); do "
           "grep -q '^SIGINT' $f && break; sleep 0.05; done; kill $!; wait $!; echo $?; "
           "kill -0 $(grep -o 'process [0-9]*' $f | cut -d' ' -f2) 2>/dev/null; echo $?; rm $f");
}

static void the_script_keeps_data_where_it_is_told_to(void **state)
{
    (void)state;
    expect(1,
           "version 1\n1scripts/cluster: --data DIR has the data of another cluster: cluster.conf "
           "there is not of 1 nodes\n",
           "d=$(mktemp -d); chmod 755 $d; timeout 60 scripts/cluster 2 --data $d -- " KV
           "put a 1; timeout 60 scripts/cluster 2 --data $d --coordinator random -- " KV
           "get a; timeout 60 scripts/cluster 1 --data $d 2>&1 -- true | sed \"s|$d|DIR|\"; "
           "rm -r $d; false");
}

/* ---- Torture ---- */

/* Says what the workload has found wrong, after its seed. */
static void torture(const char *options)
{
    char output[OUTPUT_BYTES];
    int status = run_command(output, sizeof(output),
                             "PYTHONDONTWRITEBYTECODE=1 timeout 200 scripts/cluster 3 -- "
                             "tests/interop/kv_torture.py %s 2>&1",
                             options);
    if (status != 0)
        fail_msg("%s", output);
}

static void nothing_acknowledged_is_lost_amid_kills_and_stops(void **state)
{
    (void)state;
    torture("--seconds 10");
}

static void nothing_acknowledged_is_lost_amid_failing_disks(void **state)
{
    (void)state;
    torture("--seconds 10 --disk");
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_node_takes_each_request),
        cmocka_unit_test(a_transaction_is_on_all_replicas_or_on_none),
        cmocka_unit_test(a_transactions_life_is_told),
        cmocka_unit_test(two_phase_commit_can_be_read_out_of_a_capture),
        cmocka_unit_test(a_backup_is_whole_while_writes_run),
        cmocka_unit_test(sqlite3_looks_into_a_node_that_runs),
        cmocka_unit_test(a_damaged_row_can_be_put_right_by_a_copy),
        cmocka_unit_test(malformed_requests_are_refused_and_change_nothing),
        cmocka_unit_test(what_is_above_a_limit_is_refused),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(clusters_that_make_no_sense_are_refused),
        cmocka_unit_test(data_of_another_node_or_version_is_refused),
        cmocka_unit_test(a_foreign_clusters_messages_are_refused),
        cmocka_unit_test(the_script_refuses_what_it_cannot_do),
        cmocka_unit_test(the_script_leaves_nothing_but_the_exit_status),
        cmocka_unit_test(the_script_stops_at_the_end_of_its_input_or_by_a_signal),
        cmocka_unit_test(the_script_keeps_data_where_it_is_told_to),
        cmocka_unit_test(nothing_acknowledged_is_lost_amid_kills_and_stops),
        cmocka_unit_test(nothing_acknowledged_is_lost_amid_failing_disks),
    };
    (void)argc;
    if (!getenv("STRAIT_CLUSTER")) {
        unsetenv("SUDO_UID"); /* the nodes are nobody's */
        execl("scripts/cluster", "scripts/cluster", "3", "--", argv[0], NULL);
        perror("scripts/cluster");
        return EXIT_FAILURE;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
