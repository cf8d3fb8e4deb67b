/* SPDX-License-Identifier: MIT */
#include "ip/path.h"

#include "base/siphash.h"

void paths_init(struct paths *p, struct core *core)
{
    p->core = core;
    p->count = 0;
    for (int i = 0; i < PATHS_BUCKETS; i++)
        list_init(&p->buckets[i]);
    list_init(&p->recent);
}

static struct list *bucket_of(struct paths *p, const struct address *destination)
{
    uint64_t hash = siphash(p->core->config.secret, destination, sizeof(*destination));
    return &p->buckets[hash % PATHS_BUCKETS];
}

static void touch(struct paths *p, struct path *path)
{
    list_remove(&path->recent_node);
    list_append(&p->recent, &path->recent_node);
}

/* What is known of the path, or NULL. What has expired stays in its place until it is used again.
 */
static struct path *find(struct paths *p, const struct address *destination)
{
    struct list *bucket = bucket_of(p, destination);

    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        struct path *path = container_of(node, struct path, bucket_node);
        if (address_equal(&path->destination, destination))
            return path;
    }
    return NULL;
}

static bool is_alive(const struct paths *p, const struct path *path)
{
    return p->core->now_ns < path->expires_ns;
}

uint16_t paths_mtu(struct paths *p, const struct address *destination, uint16_t link_mtu)
{
    if (p->count == 0)
        return link_mtu;
    struct path *path = find(p, destination);
    if (path == NULL || !is_alive(p, path))
        return link_mtu;
    touch(p, path);
    return path->mtu < link_mtu ? path->mtu : link_mtu;
}

/* An entry for a destination that has none. */
static struct path *take(struct paths *p, const struct address *destination)
{
    struct path *path;

    if (p->count < PATHS_MAX) {
        path = &p->all[p->count++];
        list_init(&path->recent_node);
    } else {
        path = container_of(p->recent.next, struct path, recent_node);
        list_remove(&path->bucket_node);
        if (is_alive(p, path))
            count(p->core, ip_path_forgotten);
    }
    path->destination = *destination;
    path->expires_ns = 0;
    list_append(bucket_of(p, destination), &path->bucket_node);
    return path;
}

uint16_t paths_lower(struct paths *p, const struct address *destination, uint16_t mtu)
{
    struct path *path = find(p, destination);

    if (path == NULL)
        path = take(p, destination);
    touch(p, path);
    if (is_alive(p, path) && path->mtu < mtu)
        return path->mtu;
    path->mtu = mtu;
    path->expires_ns = p->core->now_ns + p->core->config.path_mtu_timeout_ms * NS_PER_MS;
    return mtu;
}

/* RFC 1191 7.1: the largest plateau below the length of the packet that was too big. */
static uint16_t plateau_below(uint16_t packet_bytes)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};

    for (size_t i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
        if (plateaus[i] < packet_bytes)
            return plateaus[i];
    }
    return PATH_MTU_MIN;
}

uint16_t path_mtu_meant(uint16_t told, uint16_t packet_bytes)
{
    uint16_t mtu = told != 0 ? told : plateau_below(packet_bytes);

    return mtu > PATH_MTU_MIN ? mtu : PATH_MTU_MIN;
}
