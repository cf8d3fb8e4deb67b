/* SPDX-License-Identifier: MIT */
/* A hash table with chains; entries and chains are known by their index + 1, so that 0 is none. */
#include "kv/locks.h"

struct lock {
    const struct kv_blob *key;
    struct kv_txid holder;
    uint64_t hash;
    uint32_t next; /* in its chain, or of the free ones */
    bool exclusive;
};

struct kv_locks {
    uint32_t capacity; /* of entries, and the number of chains */
    uint32_t held;
    uint32_t free;
    struct lock entries[];
};

/* The heads of the chains stand behind the entries. */
static uint32_t *heads(const struct kv_locks *locks)
{
    return (uint32_t *)&locks->entries[locks->capacity];
}

size_t kv_locks_bytes(uint32_t capacity)
{
    size_t bytes = sizeof(struct kv_locks) + capacity * (sizeof(struct lock) + sizeof(uint32_t));
    return (bytes + 7) & ~(size_t)7;
}

void kv_locks_init(struct kv_locks *locks, uint32_t capacity)
{
    locks->capacity = capacity;
    for (uint32_t i = capacity; i > 0; i--) {
        locks->entries[i - 1].next = locks->free;
        locks->free = i;
    }
}

/* FNV-1a. Keys are the clients' choice: at worst the chain is as long as the table. */
static uint64_t hash_of(const struct kv_blob *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key->length; i++)
        hash = (hash ^ key->bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint32_t *chain_of(const struct kv_locks *locks, uint64_t hash)
{
    return &heads(locks)[hash % locks->capacity];
}

static bool is_for(const struct lock *lock, const struct kv_blob *key, uint64_t hash)
{
    return lock->hash == hash && kv_blob_equal(lock->key, key);
}

/* A lock of another transaction that excludes this one, or NULL. */
static const struct lock *obstacle(const struct kv_locks *locks, const struct kv_blob *key,
                                   bool exclusive, struct kv_txid holder)
{
    uint64_t hash = hash_of(key);

    for (uint32_t i = *chain_of(locks, hash); i; i = locks->entries[i - 1].next) {
        const struct lock *lock = &locks->entries[i - 1];
        if ((exclusive || lock->exclusive) && is_for(lock, key, hash) &&
            !kv_txid_equal(lock->holder, holder))
            return lock;
    }
    return NULL;
}

static void add(struct kv_locks *locks, const struct kv_blob *key, bool exclusive,
                struct kv_txid holder)
{
    uint64_t hash = hash_of(key);
    uint32_t *head = chain_of(locks, hash), index = locks->free;
    struct lock *lock = &locks->entries[index - 1];

    locks->free = lock->next;
    locks->held++;
    *lock = (struct lock){
        .key = key, .holder = holder, .hash = hash, .next = *head, .exclusive = exclusive};
    *head = index;
}

/* Removes all locks of a transaction on a key. */
static void remove_of(struct kv_locks *locks, const struct kv_blob *key, struct kv_txid holder)
{
    uint64_t hash = hash_of(key);
    uint32_t *link = chain_of(locks, hash);

    while (*link) {
        uint32_t index = *link;
        struct lock *lock = &locks->entries[index - 1];
        if (!kv_txid_equal(lock->holder, holder) || !is_for(lock, key, hash)) {
            link = &lock->next;
            continue;
        }
        *link = lock->next;
        *lock = (struct lock){.next = locks->free};
        locks->free = index;
        locks->held--;
    }
}

enum kv_reason kv_locks_take(struct kv_locks *locks, const struct kv_request *request,
                             kv_nodes replicas, struct kv_txid holder, struct kv_refusal *refusal)
{
    uint32_t position = 0;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!(o->replicas & replicas))
            continue;
        const struct lock *lock = obstacle(locks, o->key, kv_operation_writes(o), holder);
        if (lock) {
            refusal->holder = lock->holder;
            refusal->operation = position;
            return KV_REASON_LOCKED;
        }
        position++;
    }
    if (position > locks->capacity - locks->held)
        return KV_REASON_BUSY;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (o->replicas & replicas)
            add(locks, o->key, kv_operation_writes(o), holder);
    }
    return KV_REASON_NONE;
}

void kv_locks_release(struct kv_locks *locks, const struct kv_request *request, kv_nodes replicas,
                      struct kv_txid holder)
{
    for (uint32_t i = 0; i < request->count; i++) {
        if (request->operations[i].replicas & replicas)
            remove_of(locks, request->operations[i].key, holder);
    }
}

struct kv_txid kv_locks_writer(const struct kv_locks *locks, const struct kv_blob *key)
{
    const struct lock *lock = obstacle(locks, key, false, (struct kv_txid){0});
    return lock ? lock->holder : (struct kv_txid){0};
}

uint32_t kv_locks_held_by(const struct kv_locks *locks, struct kv_txid holder)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < locks->capacity; i++) {
        const struct lock *lock = &locks->entries[i];
        count += lock->key && kv_txid_equal(lock->holder, holder);
    }
    return count;
}

uint32_t kv_locks_held(const struct kv_locks *locks)
{
    return locks->held;
}
