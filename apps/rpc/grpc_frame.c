/* SPDX-License-Identifier: MIT */
#include "rpc/grpc_frame.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/rpc.h"

const uint8_t *grpc_bytes(const struct grpc_bytes *b)
{
    return b->grown ? b->grown : b->small;
}

static bool grow(struct grpc_bytes *b, size_t needed)
{
    size_t room = b->grown ? b->room : sizeof(b->small);
    if (needed <= room)
        return true;
    while (room < needed)
        room *= 2;
    uint8_t *grown = realloc(b->grown, room);
    if (!grown)
        return false;
    if (!b->grown)
        memcpy(grown, b->small, b->length);
    b->grown = grown;
    b->room = room;
    return true;
}

bool grpc_bytes_add(struct grpc_bytes *b, const uint8_t *bytes, size_t length)
{
    if (!grow(b, b->length + length))
        return false;
    if (length > 0)
        memcpy((b->grown ? b->grown : b->small) + b->length, bytes, length);
    b->length += length;
    return true;
}

void grpc_bytes_drop(struct grpc_bytes *b, size_t length)
{
    uint8_t *bytes = b->grown ? b->grown : b->small;
    b->length -= length;
    memmove(bytes, bytes + length, b->length);
}

void grpc_bytes_free(struct grpc_bytes *b)
{
    free(b->grown);
    b->grown = NULL;
    b->length = b->room = 0;
}

bool grpc_frame_add(struct grpc_bytes *b, const uint8_t *message, size_t length)
{
    uint8_t head[GRPC_FRAME_HEAD_BYTES] = {0};
    rpc_put32(head + 1, (uint32_t)length);
    return grow(b, b->length + sizeof(head) + length) && grpc_bytes_add(b, head, sizeof(head)) &&
           grpc_bytes_add(b, message, length);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The head is whole. */
static void read_head(struct grpc_frame *f)
{
    f->length = rpc_get32(f->head + 1);
    if (f->head[0] != 0)
        f->state = GRPC_FRAME_COMPRESSED;
    else if (f->length > f->max)
        f->state = GRPC_FRAME_LONG;
}

size_t grpc_frame_feed(struct grpc_frame *f, const uint8_t *bytes, size_t length)
{
    size_t of_head = least(length, sizeof(f->head) - f->head_bytes);
    if (f->state != GRPC_FRAME_PARTIAL)
        return 0;
    if (of_head > 0) {
        memcpy(f->head + f->head_bytes, bytes, of_head);
        f->head_bytes += of_head;
        if (f->head_bytes < sizeof(f->head))
            return of_head;
        read_head(f);
        if (f->state != GRPC_FRAME_PARTIAL)
            return of_head;
    }
    size_t of_message = least(length - of_head, f->length - f->message.length);
    if (!grpc_bytes_add(&f->message, bytes + of_head, of_message))
        f->state = GRPC_FRAME_NO_MEMORY;
    else if (f->head_bytes == sizeof(f->head) && f->message.length == f->length)
        f->state = GRPC_FRAME_WHOLE;
    return of_head + of_message;
}

void grpc_frame_next(struct grpc_frame *f)
{
    grpc_bytes_free(&f->message);
    f->state = GRPC_FRAME_PARTIAL;
    f->head_bytes = f->length = 0;
}
