/* SPDX-License-Identifier: MIT */
/*
 * The checkers of datagrams: each arrives whole and right or not at all (RFC 791 2.3, RFC 768), and
 * as often as it was sent unless a path has duplicated it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "check_state.h"

#define NUMBER_BYTES 4

static const uint8_t *content(const struct check *check, uint32_t host, uint32_t number)
{
    return check_content(check, SCENARIO_CONNECTIONS, host, number * UINT64_C(104729));
}

static size_t length_of(const struct check *check, uint32_t host, uint32_t number)
{
    uint32_t most = check->scenario->hosts[host].datagram_bytes;

    return NUMBER_BYTES + (most > 0 ? (number + 1) * UINT64_C(7919) % most : 0);
}

size_t check_datagram_make(struct check *check, uint32_t host, uint32_t number, uint8_t *bytes)
{
    size_t length = length_of(check, host, number);

    CHECK(length <= CHECK_DATAGRAM_MAX && number < CHECK_DATAGRAMS);
    store_be32(bytes, number);
    memcpy(bytes + NUMBER_BYTES, content(check, host, number), length - NUMBER_BYTES);
    check->hosts[host].datagrams_sent |= UINT64_C(1) << number;
    check_note(check, host, -1, "sends datagram %" PRIu32 ", %zu bytes", number, length);
    return length;
}

static bool paths_duplicate(const struct scenario *s)
{
    bool duplicate = false;

    for (uint32_t i = 0; i < scenario_link_count(s); i++)
        duplicate |= s->paths[i][0].duplicate_ppm > 0 || s->paths[i][1].duplicate_ppm > 0;
    for (uint32_t i = 0; i < s->fault_count; i++)
        duplicate |= s->faults[i].path.duplicate_ppm > 0;
    return duplicate;
}

void check_datagram(struct check *check, uint64_t now_ns, uint32_t host, const uint8_t *bytes,
                    size_t length)
{
    uint32_t from = host ^ 1u, number = length >= NUMBER_BYTES ? load_be32(bytes) : UINT32_MAX;
    struct host *h = &check->hosts[host];

    check->now_ns = now_ns;
    if (number >= CHECK_DATAGRAMS || !(check->hosts[from].datagrams_sent & UINT64_C(1) << number)) {
        check_violated(check, host, -1, "gets a datagram of %zu bytes that nobody has sent",
                       length);
        return;
    }
    uint64_t bit = UINT64_C(1) << number;
    if (length != length_of(check, from, number) ||
        memcmp(bytes + NUMBER_BYTES, content(check, from, number), length - NUMBER_BYTES) != 0)
        check_violated(check, host, -1, "gets datagram %" PRIu32 ", but not as it was sent",
                       number);
    if (h->datagrams_got & bit && !paths_duplicate(check->scenario))
        check_violated(check, host, -1, "gets datagram %" PRIu32 " twice", number);
    h->datagrams_got |= bit;
    check_note(check, host, -1, "gets datagram %" PRIu32 ", %zu bytes", number, length);
}

/*
 * RFC 6864 4.2: no two datagrams whose fragments may meet have one identification. The sequence
 * begins anew with each life of a host.
 */
void datagram_fragment_sent(struct check *check, uint32_t host, const uint8_t *ip)
{
    struct host *h = &check->hosts[host];
    unsigned field = load_be16(ip + 6);
    uint16_t id = load_be16(ip + 4);

    if ((field & 0x1fff) != 0 || !(field & 0x2000) || h->id_count == CHECK_DATAGRAMS)
        return;
    for (uint32_t i = 0; i < h->id_count; i++)
        if (h->ids[i] == id)
            check_violated(check, host, -1, "uses the identification %u for two datagrams", id);
    h->ids[h->id_count++] = id;
}

void datagrams_at_rest(struct check *check, uint32_t host)
{
    uint64_t lost = check->hosts[host ^ 1u].datagrams_sent & ~check->hosts[host].datagrams_got;

    /* RFC 1191 6.5: what was too big for a path is not sent again, but the next one is smaller. */
    if (lost && !check->hosts[host ^ 1u].error_arrived)
        check_violated(check, host, -1, "has not got all datagrams, though nothing was lost");
}
