/* SPDX-License-Identifier: MIT */
#include "ip/ports.h"

#include <errno.h>

#include "base/check.h"
#include "base/shard.h"
#include "base/siphash.h"

void ports_init(struct ports *p)
{
    for (int i = 0; i < PORTS_BUCKETS; i++)
        list_init(&p->buckets[i]);
}

static bool overlap(const struct address *a, const struct address *b)
{
    return address_is_any(a) || address_is_any(b) || address_equal(a, b);
}

bool ports_taken(const struct ports *p, const struct address *address, uint16_t port)
{
    const struct list *bucket = &p->buckets[port % PORTS_BUCKETS];

    for (const struct list *node = bucket->next; node != bucket; node = node->next) {
        const struct binding *b = container_of(node, struct binding, node);
        if (b->port == port && overlap(&b->address, address))
            return true;
    }
    return false;
}

/* Whether a claim stands in the way of another one on the same address. */
static bool excludes(const struct binding *claim, const struct binding *b)
{
    bool share = claim->reuse_address && b->reuse_address && !claim->listening;

    return !share && !(claim->reuse_port && b->reuse_port);
}

/* Whether `b` may not have the port, or not keep it. */
static bool is_excluded(struct ports *p, const struct binding *b, const struct address *address,
                        uint16_t port)
{
    struct list *bucket = ports_bucket(p, port);

    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        const struct binding *claim = container_of(node, struct binding, node);
        if (claim != b && claim->port == port && overlap(&claim->address, address) &&
            excludes(claim, b))
            return true;
    }
    return false;
}

int ports_move(struct ports *p, struct binding *b, const struct address *address)
{
    if (is_excluded(p, b, address, b->port)) {
        errno = EADDRINUSE;
        return -1;
    }
    b->address = *address;
    return 0;
}

int ports_listen(struct ports *p, struct binding *b)
{
    if (is_excluded(p, b, &b->address, b->port)) {
        errno = EADDRINUSE;
        return -1;
    }
    b->listening = true;
    return 0;
}

int ports_bind(struct ports *p, struct binding *b, const struct address *address, uint16_t port)
{
    CHECK(port != 0 && b->port == 0);
    if (is_excluded(p, b, address, port)) {
        errno = EADDRINUSE;
        return -1;
    }
    b->address = *address;
    b->port = port;
    list_append(ports_bucket(p, port), &b->node);
    return 0;
}

/* A number that those drawn before do not tell, although the generator's output would. */
static uint64_t draw(struct core *core)
{
    uint64_t number = prng_next(&core->prng);
    return siphash(core->config.secret, &number, sizeof(number));
}

/*
 * RFC 6056 3.3.2 draws anew while the port is taken; as many draws as there are ports may still
 * miss the last free one, so after a few the search goes on from port to port (3.3.1).
 */
int ports_bind_any(struct ports *p, struct core *core, struct binding *b,
                   const struct address *address)
{
    enum { DRAWS = 16 };
    uint32_t range = shard_ports(&core->config);
    uint32_t index = 0;

    for (uint32_t i = 0; i < DRAWS + range; i++) {
        index = i < DRAWS ? (uint32_t)(draw(core) % range) : (index + 1) % range;
        uint16_t port = shard_port(&core->config, index);
        if (!ports_taken(p, address, port))
            return ports_bind(p, b, address, port);
    }
    errno = EADDRINUSE;
    return -1;
}

void ports_release(struct binding *b)
{
    if (b->port == 0)
        return;
    list_remove(&b->node);
    b->port = 0;
}
