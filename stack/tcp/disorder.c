/* SPDX-License-Identifier: MIT */
/*
 * Most connections are in order at most times, so that what they need otherwise is made when data
 * is missing or comes twice, and given back with the last of it.
 */
#include <stdlib.h>

#include "tcp/connection.h"

const struct disorder disorder_none;

struct disorder *disorder_of(struct connection *c)
{
    return c->disorder == &disorder_none ? NULL : (struct disorder *)c->disorder;
}

struct disorder *disorder_make(struct connection *c)
{
    struct disorder *d = disorder_of(c);

    if (!d) {
        d = calloc(1, sizeof(*d));
        if (d)
            c->disorder = d;
    }
    return d;
}

void disorder_settle(struct connection *c)
{
    struct disorder *d = disorder_of(c);

    if (d && d->out_of_order.count == 0 && d->out_of_order_bytes == 0 && d->sacked.count == 0 &&
        d->report.duplicate.end == 0)
        disorder_free(c);
}

void disorder_free(struct connection *c)
{
    struct disorder *d = disorder_of(c);

    if (!d)
        return;
    CHECK(d->out_of_order.count == 0 && d->out_of_order_bytes == 0);
    ranges_clear(&d->sacked);
    free(d);
    c->disorder = &disorder_none;
}

void disorder_forget_sacked(struct connection *c)
{
    struct disorder *d = disorder_of(c);

    if (d)
        ranges_clear(&d->sacked);
    disorder_settle(c);
}
