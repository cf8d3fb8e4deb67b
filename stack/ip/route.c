/* SPDX-License-Identifier: MIT */
/* Interfaces and the routes that lead to them: a list, longest prefix first, so the first match is
 * the answer. A host has a handful of them. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "ip/ip.h"

#define MTU_MIN 68 /* that every link carries, RFC 791 3.2 */
#define MTU_MAX 65535

#define LOOPBACK_NUMBER 1u /* of its interface; the others follow */

static uint32_t mask_of(int prefix_bits)
{
    return prefix_bits == 0 ? 0 : UINT32_MAX << (32 - prefix_bits);
}

/* ---- Interfaces ----------------------------------------------------------------------------- */

unsigned ip_interface_number(const struct ip *ip, const struct interface *interface)
{
    if (interface == &ip->loopback.interface)
        return LOOPBACK_NUMBER;
    return LOOPBACK_NUMBER + 1 + (unsigned)(interface - ip->interfaces);
}

bool ip_is_local(const struct ip *ip, const struct address *address)
{
    for (int i = 0; i < ip->interface_count; i++) {
        if (address_equal(&ip->interfaces[i].address, address))
            return true;
    }
    return false;
}

bool ip_is_own(const struct ip *ip, const struct address *address)
{
    return address_is_loopback(address) || ip_is_local(ip, address);
}

bool ip_is_broadcast(const struct ip *ip, const struct address *address)
{
    for (int i = 0; i < ip->interface_count; i++) {
        if (address_equal(&ip->interfaces[i].broadcast, address))
            return true;
    }
    return address_to_v4(address) == INADDR_BROADCAST;
}

bool ip_is_near(const struct ip *ip, const struct address *address)
{
    for (int i = 0; i < ip->interface_count; i++) {
        const struct interface *interface = &ip->interfaces[i];
        if (address_equal(&interface->address, address) ||
            address_equal(&interface->broadcast, address))
            return true;
    }
    return false;
}

static bool link_is_usable(const struct strait_link *link)
{
    return link->send != NULL && link->mtu >= MTU_MIN && link->mtu <= MTU_MAX;
}

/* The broadcast address of a network; one of 31 or 32 bits has none (RFC 3021). */
static struct address broadcast_of(const struct address *address, int prefix_bits)
{
    if (prefix_bits > 30)
        return address_v4(INADDR_BROADCAST);
    return address_v4(address_to_v4(address) | ~mask_of(prefix_bits));
}

static struct ip_route_entry *find_entry(struct ip *ip, const struct address *network,
                                         int prefix_bits)
{
    for (int i = 0; i < ip->route_count; i++) {
        struct ip_route_entry *entry = &ip->routes[i];
        if (entry->prefix_bits == prefix_bits && address_equal(&entry->network, network))
            return entry;
    }
    return NULL;
}

/* Routes a network to a new interface unless it goes to another; there is room. */
static void add_if_new(struct ip *ip, struct address network, int prefix_bits,
                       struct interface *interface)
{
    if (find_entry(ip, &network, prefix_bits) != NULL)
        return;
    int added = ip_route_add(ip, network, prefix_bits, interface);
    CHECK(added == 0);
}

struct interface *ip_attach(struct ip *ip, struct strait_link *link, struct address address,
                            int prefix_bits)
{
    if (prefix_bits < 0 || prefix_bits > 32 || !link_is_usable(link) ||
        !address_is_unicast(&address) || ip_is_local(ip, &address) || ip_interface(ip, link)) {
        errno = EINVAL;
        return NULL;
    }
    struct address broadcast = broadcast_of(&address, prefix_bits);
    if (address_equal(&address, &broadcast)) {
        errno = EINVAL;
        return NULL;
    }
    bool first = ip->interface_count == 0;
    if (ip->interface_count == IP_INTERFACES_MAX || ip->route_count + 1 + first > IP_ROUTES_MAX) {
        errno = ENOSPC;
        return NULL;
    }

    struct interface *interface = &ip->interfaces[ip->interface_count++];
    *interface = (struct interface){.link = link,
                                    .address = address,
                                    .broadcast = broadcast,
                                    .prefix_bits = (uint8_t)prefix_bits};
    add_if_new(ip, address_v4(address_to_v4(&address) & mask_of(prefix_bits)), prefix_bits,
               interface);
    if (first)
        add_if_new(ip, address_v4(INADDR_ANY), 0, interface);
    return interface;
}

/* ---- Routes --------------------------------------------------------------------------------- */

int ip_route_add(struct ip *ip, struct address network, int prefix_bits,
                 struct interface *interface)
{
    if (prefix_bits < 0 || prefix_bits > 32 || address_to_v4(&network) & ~mask_of(prefix_bits)) {
        errno = EINVAL;
        return -1;
    }
    struct ip_route_entry *known = find_entry(ip, &network, prefix_bits);
    if (known != NULL) {
        known->interface = interface;
        return 0;
    }
    if (ip->route_count == IP_ROUTES_MAX) {
        errno = ENOSPC;
        return -1;
    }

    int at = 0;
    while (at < ip->route_count && ip->routes[at].prefix_bits >= prefix_bits)
        at++;
    memmove(&ip->routes[at + 1], &ip->routes[at],
            (size_t)(ip->route_count - at) * sizeof(ip->routes[0]));
    ip->routes[at] = (struct ip_route_entry){
        .network = network, .prefix_bits = (uint8_t)prefix_bits, .interface = interface};
    ip->route_count++;
    return 0;
}

static struct interface *interface_towards(struct ip *ip, const struct address *destination)
{
    if (!address_is_unicast(destination) || ip_is_broadcast(ip, destination))
        return NULL;
    for (int i = 0; i < ip->route_count; i++) {
        const struct ip_route_entry *entry = &ip->routes[i];
        uint32_t network = address_to_v4(destination) & mask_of(entry->prefix_bits);
        if (network == address_to_v4(&entry->network))
            return entry->interface;
    }
    return NULL;
}

/* The source of packets for which none was chosen. */
static struct address source_towards(const struct ip *ip, const struct interface *interface,
                                     const struct address *destination)
{
    return ip_is_local(ip, destination) ? *destination : interface->address;
}

int ip_route_find(struct ip *ip, const struct address *source, const struct address *destination,
                  struct route *route)
{
    bool given = source != NULL && !address_is_any(source);
    if (given && !ip_is_own(ip, source)) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    bool inside = ip_is_own(ip, destination);
    struct interface *interface =
        inside ? &ip->loopback.interface : interface_towards(ip, destination);
    if (!inside && interface == NULL) {
        count(ip->core, ip_no_route);
        errno = ENETUNREACH;
        return -1;
    }
    if (given && !inside && address_is_loopback(source)) {
        errno = EINVAL; /* RFC 1122 3.2.1.3 (g): such an address must not leave the host */
        return -1;
    }
    *route = (struct route){
        .interface = interface,
        .source = given ? *source : source_towards(ip, interface, destination),
        .destination = *destination,
        .mtu = paths_mtu(&ip->paths, destination, (uint16_t)interface->link->mtu),
        .header_bytes = IPV4_HEADER_BYTES,
        .ttl = ip->core->config.ttl,
    };
    return 0;
}

int ip_route_through(struct ip *ip, unsigned number, struct route *route)
{
    struct interface *inside = &ip->loopback.interface;

    if (number < LOOPBACK_NUMBER || number > LOOPBACK_NUMBER + ip->interface_count) {
        errno = ENODEV;
        return -1;
    }
    if (route->interface == inside || number == LOOPBACK_NUMBER)
        return 0;
    struct interface *chosen = &ip->interfaces[number - LOOPBACK_NUMBER - 1];
    if (address_equal(&route->source, &route->interface->address))
        route->source = chosen->address;
    route->interface = chosen;
    route->mtu = paths_mtu(&ip->paths, &route->destination, (uint16_t)chosen->link->mtu);
    return 0;
}

/* ---- Path MTU ------------------------------------------------------------------------------- */

bool ip_path_too_big(struct ip *ip, struct route *route, const struct ip_error *error)
{
    /* What the sender of a super-packet has put on the wire was no larger than the path's MTU. */
    uint16_t packet_bytes = error->packet_bytes < route->mtu ? error->packet_bytes : route->mtu;
    uint16_t mtu = path_mtu_meant(error->mtu, packet_bytes);

    /* RFC 1191 6.4: only what lowers the MTU is news; RFC 5927 7.2: the packet would have passed */
    if (mtu >= packet_bytes) {
        count(ip->core, ip_path_refused);
        return false;
    }
    route->mtu = paths_lower(&ip->paths, &route->destination, mtu);
    count(ip->core, ip_path_lowered);
    log_to(ip->core, STRAIT_LOG_IP, "the path to " ADDRESS_FORMAT " carries %u bytes",
           ADDRESS_BYTES(&route->destination), route->mtu);
    return true;
}
