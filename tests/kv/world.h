/* SPDX-License-Identifier: MIT */
/*
 * A world of coordinators and workers without network, disk or clock: the machines of apps/kv, and
 * around them everything that may happen to them, as moves that somebody chooses. `explore.h`
 * chooses all of them, one after another; the named tests choose theirs.
 *
 *   Network  The set of all messages that were ever sent. Any of them may be delivered at any time,
 *            any number of times, or never: that is every order, delay, duplication and loss. Nodes
 *            that are cut off for a while are messages that are delivered late. A blackout empties
 *            the set, so that only what is sent again comes through.
 *   Journal  A queue of rows and an image of what is durable. A sync makes the rows up to the first
 *            forced one durable and tells its machine.
 *   Crash    Of the queue any prefix has become durable, whatever the machine has been told. The
 *            machine starts anew from the image. To be down for a while is the same as to be
 *            silent for a while and then to crash, so that both are one move.
 *   Time     A timer that is armed may run out at any time; it finds the deadline near or far. A
 *            step that compares the time with a deadline is taken with either.
 *
 * A world is flat: it is copied by assignment, and two worlds are the same if their canonical bytes
 * are (`world_encode`). What does not differ between the worlds of a scenario, or is only a name
 * for something, is in its universe.
 */
#ifndef TESTS_KV_WORLD_H
#define TESTS_KV_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kv/coordinator.h"
#include "kv/worker.h"
#include "map.h"

#define COORDINATORS_MAX 2
#define WORKERS_MAX      3
#define MACHINES_MAX     (COORDINATORS_MAX + WORKERS_MAX)
#define REQUESTS_MAX     4
#define KEYS_MAX         2
#define TXIDS_MAX        16
#define MESSAGES_MAX     256
#define RESULTS_MAX      64
#define SENDINGS_MAX     4096
#define QUEUE_MAX        8
#define OPERATIONS_MAX   2
#define NONE             0xff /* of anything that is known by its index */

/* ---- What is explored ---- */

struct scenario_request {
    uint32_t coordinator; /* from 1 on */
    uint64_t client, sequence;
    const char *text; /* "a=1 b? ..." : put 1, get; "a-" deletes, "a@0" checks the version */
};

struct scenario {
    const char *name;
    const char *title;
    uint32_t coordinators, workers;
    kv_nodes replicas[KEYS_MAX]; /* of keys a, b */
    struct scenario_request requests[REQUESTS_MAX];
    uint8_t coordinator_crashes, worker_crashes; /* how many, at most */
    uint8_t crashes;                             /* of both together */
    uint8_t blackouts;
    uint8_t losses;       /* crashes at which a worker loses its whole journal */
    kv_nodes may_restart; /* which workers crash; 0: any */
    bool no_inquiries;    /* of participants in doubt */
    bool in_order;        /* a request is only made when all before it have ended */
};

/* ---- The state ---- */

struct model_row {
    uint8_t kind, forced;
    uint8_t txid, mark; /* indices of txids */
    uint8_t request, results;
};

struct model_queue {
    uint8_t length;
    struct model_row rows[QUEUE_MAX];
};

/* Which rows of a transaction are durable. */
enum { ROW_PREPARE = 1, ROW_COMMIT = 2, ROW_ABORT = 4, ROW_END = 8 };

struct coordinator_image {
    uint8_t incarnation, sequence;
    uint8_t rows[TXIDS_MAX];
    uint8_t request[TXIDS_MAX];
};

struct worker_image {
    uint8_t rows[TXIDS_MAX];
    uint8_t request[TXIDS_MAX];
    uint8_t mark[COORDINATORS_MAX]; /* an index of txids */
    struct {
        uint8_t found, version, value; /* value: the request that has written it */
    } keys[KEYS_MAX];
    struct {
        uint8_t txid, results;
    } past[REQUESTS_MAX]; /* of the request's (client, sequence) */
};

/* What an observer has seen, who sees everything and forgets nothing. */
struct history {
    uint8_t request[TXIDS_MAX];   /* that VOTE-REQUESTs have carried */
    uint8_t voted[TXIDS_MAX];     /* workers that have sent VOTE-COMMIT */
    uint8_t committed[TXIDS_MAX]; /* workers at which it is durable */
    uint8_t aborted[TXIDS_MAX];
    uint8_t decided[TXIDS_MAX]; /* ROW_COMMIT, ROW_ABORT: durable at the coordinator */
    uint8_t lost;               /* workers that have lost their journal */
    uint8_t stopped;            /* workers that have stopped */
    struct {
        uint8_t submitted, replied, success, already;
        uint8_t txid;
        uint8_t versions[OPERATIONS_MAX]; /* told with a success */
    } requests[REQUESTS_MAX];
};

/* Machines: coordinators from 0 on, then workers from COORDINATORS_MAX on. */
struct state {
    uint64_t sent[MESSAGES_MAX / 64];
    uint16_t armed[MACHINES_MAX]; /* timers, by index of txids */
    struct model_queue queues[MACHINES_MAX];
    struct coordinator_image coordinators[COORDINATORS_MAX];
    struct worker_image workers[WORKERS_MAX];
    struct history seen;
    uint8_t crashes, coordinator_crashes, worker_crashes, blackouts, losses; /* left */
};

#define COORDINATOR_BYTES 1600
#define WORKER_BYTES      2304

struct world {
    struct universe *universe;
    struct state state;
    _Alignas(8) uint8_t coordinators[COORDINATORS_MAX][COORDINATOR_BYTES];
    _Alignas(8) uint8_t workers[WORKERS_MAX][WORKER_BYTES];
};

/* ---- What is common to all worlds of a scenario ---- */

struct universe {
    const struct scenario *scenario;
    struct kv_request *requests[REQUESTS_MAX];
    uint32_t request_count;
    struct kv_blob *keys[KEYS_MAX];
    struct kv_txid txids[TXIDS_MAX];
    uint32_t txid_count;
    struct kv_message messages[MESSAGES_MAX];
    uint64_t addressed[MACHINES_MAX][MESSAGES_MAX / 64]; /* messages to each machine */
    uint64_t idle[MESSAGES_MAX / 64];                    /* messages that are always under way */
    uint32_t message_count;
    struct kv_results *results[RESULTS_MAX];
    uint32_t result_count;
    struct coordinator *empty_coordinators[COORDINATORS_MAX];
    struct worker *empty_workers[WORKERS_MAX];

    struct map quiet;   /* of a machine and a move: LOUD, or the number of what it sends, + 2 */
    struct map settled; /* of a machine and its messages: of what all quiet moves send, + 1 */
    uint64_t (*sendings)[MESSAGES_MAX / 64]; /* sets of messages */
    uint32_t sending_count;
    uint64_t sent_now[MESSAGES_MAX / 64]; /* by the last moves */

    uint64_t said[MESSAGES_MAX / 64]; /* all messages, until somebody empties it */
    struct {
        bool success;
        struct kv_refusal refusal;
        struct kv_result results[OPERATIONS_MAX];
    } reply; /* the last one */
    struct {
        uint32_t count; /* answers to reads */
        enum kv_reason reason;
        struct kv_result result;
    } read;
    char violation[256]; /* what the last move has violated, or "" */
    bool log;            /* print what the machines do */
};

struct universe *universe_new(const struct scenario *);
void universe_free(struct universe *);

/* The index of a txid, from now on. */
uint8_t txid_index(struct universe *, struct kv_txid);

/* The first world: every node has started for the first time, nothing is sent or asked. */
void world_init(struct world *, struct universe *);

struct coordinator *world_coordinator(struct world *, uint32_t id);
struct worker *world_worker(struct world *, uint32_t id);

/* The bytes that tell this world from others. Returns their number, ENCODED_MAX at most. */
#define ENCODED_MAX 4096
size_t world_encode(struct world *, uint8_t bytes[ENCODED_MAX]);

/* The same of one machine with its journal, and of what has been seen; without the network. */
size_t world_encode_machine(struct world *, uint32_t machine, uint8_t bytes[ENCODED_MAX]);

/* ---- Moves ---- */

enum move_kind {
    MOVE_DELIVER, /* message */
    MOVE_SUBMIT,  /* request */
    MOVE_SYNC,    /* machine */
    MOVE_TIMEOUT, /* machine, txid */
    MOVE_CRASH,   /* machine, rows of the queue that are durable */
    MOVE_LOSE,    /* machine: a crash after which the journal is empty */
    MOVE_BLACKOUT,
};

struct move {
    uint8_t kind;
    uint8_t machine;
    uint8_t argument;
    bool late; /* the deadline is near */
};

#define MOVES_MAX 512

/* All moves that are possible. Returns their number. */
uint32_t world_moves(struct world *, struct move moves[MOVES_MAX]);

/* Whether it is one that a network that delivers, disks that work and nodes that stay up make. */
bool move_is_regular(struct move);

/* Makes the move; universe->violation says what the machines have violated with it. */
void world_move(struct world *, struct move);

/* The machine that a move is about; MACHINES_MAX if it is about the network. */
uint32_t move_machine(const struct universe *, struct move);

/* Takes back the move that was made in `before`, at less cost than a copy. */
void world_undo(struct world *, struct move, const struct world *before);

/* Somebody reads a key (0: a) at a worker: universe->read tells the answer. */
void world_read(struct world *, uint32_t worker, uint32_t key);

/* ---- Settling ---- */

/*
 * A move is quiet if it changes nothing but that more messages are under way: a message that comes
 * again and is answered again, a timer that makes somebody ask or send again. In a world that is
 * settled all quiet moves have been made. It is enough to look into settled worlds: what may happen
 * without those messages may happen with them, since none need be delivered.
 *
 * What a machine does depends on itself, its journal and the message; what is wrong about that, on
 * what has been seen, too. Whether a move is quiet is remembered for all of these together.
 */
/* Makes all quiet moves. */
void world_settle(struct world *);

/* As world_moves, but of a settled world, and without those that are quiet. */
uint32_t world_loud_moves(struct world *, struct move moves[MOVES_MAX]);

/* For people. */
const char *move_text(const struct universe *, struct move, char *text, size_t bytes);

#endif
