/* SPDX-License-Identifier: MIT */
#include "diagram.h"

#include <ctype.h>
#include <string.h>

#include "base/check.h"

#define LINES_MAX 8
#define MS        UINT64_C(1000000)

static enum history_kind kind_of(char letter)
{
    static const char letters[] = "rwdiual";
    const char *at = strchr(letters, letter);

    CHECK(letter != '\0' && at);
    return (enum history_kind)(HISTORY_READ + (at - letters));
}

/* Reads an operation, and returns what follows it. */
static const char *add_operation(struct history *h, const char *at)
{
    uint64_t digits[16];
    uint32_t count = 0;
    enum history_kind kind = kind_of(at[0]);
    CHECK(at[1] >= 'x' && at[1] <= 'z');
    uint32_t key = (uint32_t)(at[1] - 'x');

    for (at += 2; isdigit((unsigned char)*at); at++) {
        CHECK(count < sizeof(digits) / sizeof(digits[0]));
        digits[count++] = (uint64_t)(*at - '0');
    }
    CHECK(kind == HISTORY_LIST || count == (kind != HISTORY_DELETE));
    uint32_t operation = history_add(h, kind, key, count == 1 ? digits[0] : 0);
    if (kind == HISTORY_LIST)
        history_list(h, operation, digits, count);
    if (kind == HISTORY_DELETE && (*at == '+' || *at == '-'))
        history_found(h, operation, *at++ == '+');
    return at;
}

static uint32_t begin(struct history *h, uint32_t client, const char *at, uint64_t now_ns)
{
    uint32_t transaction = history_begin(h, client, now_ns);

    while (!strchr("])}>", *at)) {
        if (*at == ' ')
            at++;
        else
            at = add_operation(h, at);
    }
    CHECK(*at != '\0');
    return transaction;
}

static void refuse(struct history *h, uint32_t transaction, uint64_t now_ns)
{
    CHECK(transaction < h->transaction_count);
    uint32_t i = h->transactions[transaction].first;

    while (h->operations[i].kind != HISTORY_IF && h->operations[i].kind != HISTORY_UNLESS)
        i++;
    history_refuse(h, i, now_ns);
}

static void end(struct history *h, uint32_t transaction, char how, uint64_t now_ns)
{
    if (how == ']')
        history_end(h, transaction, HISTORY_OK, now_ns);
    if (how == ')')
        history_end(h, transaction, HISTORY_FAILED, now_ns);
    if (how == '}')
        refuse(h, transaction, now_ns);
}

struct history diagram(const char *const *lines)
{
    struct history h = {0};
    uint32_t transactions[LINES_MAX] = {0};
    size_t columns = 0;
    uint32_t count = 0;

    for (; lines[count]; count++) {
        CHECK(count < LINES_MAX);
        if (strlen(lines[count]) > columns)
            columns = strlen(lines[count]);
    }
    for (size_t column = 0; column < columns; column++) {
        for (uint32_t i = 0; i < count; i++)
            if (column < strlen(lines[i]) && lines[i][column] == '[')
                transactions[i] = begin(&h, i, lines[i] + column + 1, column * MS);
        for (uint32_t i = 0; i < count; i++)
            if (column < strlen(lines[i]))
                end(&h, transactions[i], lines[i][column], column * MS);
    }
    return h;
}
