/* SPDX-License-Identifier: MIT */
#include "rpc/classic.h"

#include <string.h>

const uint8_t *classic_arguments(const struct classic_request *r)
{
    return r->bytes + CLASSIC_ID_BYTES;
}

/* Takes what is there up to `size` bytes in all. Returns whether they are there. */
static bool fill(struct classic_request *r, size_t size, const uint8_t **bytes, size_t *length)
{
    size_t lacking = size - r->taken;
    size_t n = *length < lacking ? *length : lacking;
    memcpy(r->bytes + r->taken, *bytes, n);
    r->taken += n;
    *bytes += n;
    *length -= n;
    return n == lacking;
}

/* The id says how long the request is. Returns whether there is such a procedure. */
static bool learn_sizes(struct classic_request *r, const struct rpc_dispatcher *rpc)
{
    r->id = rpc_get32(r->bytes);
    if (get_sizes(rpc, r->id, &r->argument_bytes, &r->result_bytes))
        return true;
    r->state = CLASSIC_NO_PROCEDURE;
    return false;
}

size_t classic_feed(struct classic_request *r, const struct rpc_dispatcher *rpc,
                    const uint8_t *bytes, size_t length)
{
    size_t left = length;
    if (r->state != CLASSIC_PARTIAL)
        return 0;
    if (r->taken < CLASSIC_ID_BYTES &&
        (!fill(r, CLASSIC_ID_BYTES, &bytes, &left) || !learn_sizes(r, rpc)))
        return length - left;
    if (fill(r, CLASSIC_ID_BYTES + r->argument_bytes, &bytes, &left))
        r->state = CLASSIC_WHOLE;
    return length - left;
}
