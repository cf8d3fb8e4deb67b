/* SPDX-License-Identifier: MIT */
/* What the files behind world.h share, and nobody else. */
#ifndef TESTS_KV_PARTS_H
#define TESTS_KV_PARTS_H

#include "world.h"

/* Time: early moves happen before every deadline, late ones after it. */
#define EARLY_NS    0
#define DEADLINE_NS 1000
#define LATE_NS     2000

/* Machines. */
bool is_coordinator(uint32_t machine);
bool exists(const struct world *, uint32_t machine);
uint32_t id_of(uint32_t machine);

/* Numbers of things, from now on; NONE for NULL. */
struct kv_txid txid_at(const struct universe *, uint8_t index);
uint8_t request_index(const struct universe *, const struct kv_request *);
uint8_t results_index(struct universe *, struct kv_results *);
uint32_t message_index(struct universe *, const struct kv_message *);
uint8_t past_index(const struct universe *, uint64_t client, uint64_t sequence);

/* The machine that gets a message. */
uint32_t receiver(const struct kv_message *);

/* Whether a message may be delivered now. */
bool is_under_way(const struct world *, uint32_t index);

/* Makes the first `count` rows of the queue durable. */
void make_durable(struct world *, uint32_t machine, uint32_t count);

/* How many rows a sync makes durable: to the first forced one. 0 if there is none. */
uint32_t rows_to_sync(const struct model_queue *);

/* What a worker reads: the functions of a kv_store whose context is a view. */
struct view {
    struct universe *universe;
    const struct worker_image *image;
};

bool view_get(void *view, const struct kv_blob *key, struct kv_result *);
enum kv_past view_past(void *view, const struct kv_request *, struct kv_txid *,
                       struct kv_results **);

/* Gives a new machine its durable rows. */
void load_coordinator(struct world *, uint32_t id);
void load_worker(struct world *, uint32_t id);
void empty_worker_image(struct worker_image *);

#endif
