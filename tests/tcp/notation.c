/* SPDX-License-Identifier: MIT */
#include "notation.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Reading ------------------------------------------------------------------------------- */

struct cursor {
    const char *line, *at;
    char *error; /* "" as long as all is well */
    size_t error_bytes;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct cursor *c, const char *format, ...)
{
    if (c->error[0])
        return false;
    int used = snprintf(c->error, c->error_bytes, "column %d: ", (int)(c->at - c->line) + 1);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->error + used, c->error_bytes - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

static void skip_blanks(struct cursor *c)
{
    while (*c->at == ' ')
        c->at++;
}

/* Takes the word or sign if it comes next. A word ends where no letter or digit follows. */
static bool take(struct cursor *c, const char *word)
{
    skip_blanks(c);
    size_t length = strlen(word);
    if (strncmp(c->at, word, length) != 0)
        return false;
    if (isalnum((unsigned char)word[length - 1]) && isalnum((unsigned char)c->at[length]))
        return false;
    c->at += length;
    return true;
}

static bool demand(struct cursor *c, const char *word)
{
    return take(c, word) || refuse(c, "`%s` is missing", word);
}

/* A decimal number up to `max`. */
static bool number(struct cursor *c, uint64_t max, uint32_t *value)
{
    skip_blanks(c);
    if (!isdigit((unsigned char)*c->at))
        return refuse(c, "a number is missing");
    uint64_t n = 0;
    for (; isdigit((unsigned char)*c->at); c->at++) {
        n = n * 10 + (uint64_t)(*c->at - '0');
        if (n > max)
            return refuse(c, "the number is above %llu", (unsigned long long)max);
    }
    *value = (uint32_t)n;
    return true;
}

static bool number_u16(struct cursor *c, uint16_t *value)
{
    uint32_t n = 0;
    if (!number(c, UINT16_MAX, &n))
        return false;
    *value = (uint16_t)n;
    return true;
}

/* A 16-bit number, or `*`, which opens the field. */
static bool number_or_any(struct cursor *c, struct pattern *p, enum field field, uint16_t *value)
{
    if (take(c, "*")) {
        p->open |= FIELD_BIT(field);
        return true;
    }
    p->open &= ~FIELD_BIT(field);
    return number_u16(c, value);
}

/* `(LENGTH)` */
static bool length(struct cursor *c, struct packet *p)
{
    uint32_t n = 0;
    if (!demand(c, "(") || !number(c, PACKET_BYTES_MAX, &n) || !demand(c, ")"))
        return false;
    p->payload_bytes = n;
    return true;
}

/* The letters of the flags, in the order in which they are written. */
static const struct {
    char letter;
    unsigned flag;
} flag_letters[] = {{'F', TCP_FIN}, {'S', TCP_SYN}, {'R', TCP_RST}, {'P', TCP_PSH},
                    {'U', TCP_URG}, {'E', TCP_ECE}, {'W', TCP_CWR}, {'.', TCP_ACK}};
#define FLAG_LETTERS (sizeof flag_letters / sizeof flag_letters[0])

static bool parse_flags(struct cursor *c, unsigned *flags)
{
    skip_blanks(c);
    if (take(c, "-"))
        return true;
    for (; *c->at && *c->at != ' '; c->at++) {
        size_t i = 0;
        while (i < FLAG_LETTERS && flag_letters[i].letter != *c->at)
            i++;
        if (i == FLAG_LETTERS)
            return refuse(c, "`%c` is no flag", *c->at);
        if (*flags & flag_letters[i].flag)
            return refuse(c, "`%c` stands twice", *c->at);
        *flags |= flag_letters[i].flag;
    }
    return *flags || refuse(c, "flags are missing");
}

static bool parse_range(struct cursor *c, struct packet *p)
{
    uint32_t end = 0;
    if (!number(c, UINT32_MAX, &p->seq) || !demand(c, ":") || !number(c, UINT32_MAX, &end) ||
        !length(c, p))
        return false;
    return p->seq + (uint32_t)p->payload_bytes == end ||
           refuse(c, "%u + %zu is not %u", p->seq, p->payload_bytes, end);
}

static bool option_value(struct cursor *c, struct option *o, uint32_t max)
{
    unsigned i = o->values++;
    if (!take(c, "*"))
        return number(c, max, &o->value[i]);
    o->open |= 1u << i;
    return true;
}

static int hex_digit(char letter)
{
    return isdigit((unsigned char)letter)   ? letter - '0'
           : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                            : -1;
}

/* An even number of lower-case hexadecimal digits, or none. */
static bool hex_bytes(struct cursor *c, struct option *o)
{
    skip_blanks(c);
    while (hex_digit(*c->at) >= 0) {
        int high = hex_digit(c->at[0]), low = hex_digit(c->at[1]);
        if (low < 0)
            return refuse(c, "half a byte");
        if (o->bytes == sizeof o->byte)
            return refuse(c, "more than %zu bytes", sizeof o->byte);
        o->byte[o->bytes++] = (uint8_t)(high << 4 | low);
        c->at += 2;
    }
    return true;
}

static bool sack_blocks(struct cursor *c, struct option *o)
{
    do {
        if (o->values == 8)
            return refuse(c, "more than four SACK blocks");
        if (!option_value(c, o, UINT32_MAX) || !demand(c, ":") || !option_value(c, o, UINT32_MAX))
            return false;
        skip_blanks(c);
    } while (isdigit((unsigned char)*c->at) || *c->at == '*');
    return true;
}

static bool parse_option(struct cursor *c, struct option *o)
{
    if (take(c, "nop")) {
        o->kind = OPTION_NOP;
        return true;
    }
    if (take(c, "eol")) {
        o->kind = OPTION_EOL;
        return true;
    }
    if (take(c, "sackOK")) {
        o->kind = OPTION_SACK_OK;
        return true;
    }
    if (take(c, "mss")) {
        o->kind = OPTION_MSS;
        return option_value(c, o, UINT16_MAX);
    }
    if (take(c, "wscale")) {
        o->kind = OPTION_WSCALE;
        return option_value(c, o, UINT8_MAX);
    }
    if (take(c, "TS")) {
        o->kind = OPTION_TS;
        return demand(c, "val") && option_value(c, o, UINT32_MAX) && demand(c, "ecr") &&
               option_value(c, o, UINT32_MAX);
    }
    if (take(c, "sack")) {
        o->kind = OPTION_SACK;
        return sack_blocks(c, o);
    }
    if (take(c, "opt")) {
        uint32_t kind = 0;
        bool good = number(c, UINT8_MAX, &kind) && hex_bytes(c, o);
        o->kind = kind;
        return good;
    }
    if (take(c, "hex")) {
        o->kind = OPTION_HEX;
        return hex_bytes(c, o);
    }
    return refuse(c, "no option has this name");
}

/* What follows `<`. */
static bool parse_options(struct cursor *c, struct pattern *p)
{
    if (take(c, "*"))
        return demand(c, ">");
    p->open &= ~FIELD_BIT(FIELD_OPTIONS);
    if (take(c, ">"))
        return true;
    do {
        if (p->packet.options == PACKET_OPTIONS_MAX)
            return refuse(c, "too many options");
        if (!parse_option(c, &p->packet.option[p->packet.options++]))
            return false;
    } while (take(c, ","));
    return demand(c, ">");
}

static bool parse_ack(struct cursor *c, struct pattern *p)
{
    if (!take(c, "ack"))
        return !(p->packet.flags & TCP_ACK) || refuse(c, "`.` demands `ack`");
    if (!(p->packet.flags & TCP_ACK))
        return refuse(c, "`ack` demands `.`");
    if (!take(c, "*"))
        return number(c, UINT32_MAX, &p->packet.ack);
    p->open |= FIELD_BIT(FIELD_ACK);
    return true;
}

/* The values of the ECN field (RFC 3168 5), by their numbers. */
static const char *const ecn_words[] = {"", "ect1", "ect0", "ce"};
#define ECN_MASK 3u

static void parse_ecn(struct cursor *c, struct pattern *p)
{
    for (uint8_t i = 1; i <= ECN_MASK; i++)
        if (take(c, ecn_words[i]))
            p->packet.tos = i;
}

static bool parse_tcp(struct cursor *c, struct pattern *p)
{
    p->packet.protocol = IPPROTO_TCP;
    p->open = FIELD_BIT(FIELD_PORTS) | FIELD_BIT(FIELD_WINDOW) | FIELD_BIT(FIELD_OPTIONS);
    if (!parse_flags(c, &p->packet.flags) || !parse_range(c, &p->packet) || !parse_ack(c, p))
        return false;
    if (take(c, "win") && !number_or_any(c, p, FIELD_WINDOW, &p->packet.window))
        return false;
    if (take(c, "urg") && !number_or_any(c, p, FIELD_URGENT, &p->packet.urgent))
        return false;
    parse_ecn(c, p);
    return !take(c, "<") || parse_options(c, p);
}

static bool parse_udp(struct cursor *c, struct pattern *p)
{
    p->packet.protocol = IPPROTO_UDP;
    p->open = FIELD_BIT(FIELD_PORTS);
    skip_blanks(c);
    if (isdigit((unsigned char)*c->at)) {
        p->open = 0;
        if (!number_u16(c, &p->packet.source_port) || !demand(c, ">") ||
            !number_u16(c, &p->packet.destination_port))
            return false;
    }
    return length(c, &p->packet);
}

static bool parse_icmp(struct cursor *c, struct pattern *p)
{
    p->packet.protocol = IPPROTO_ICMP;
    p->open = FIELD_BIT(FIELD_ACK) | FIELD_BIT(FIELD_RANGE);
    uint32_t type = 0, code = 0;
    if (!number(c, UINT8_MAX, &type) || !demand(c, "/") || !number(c, UINT8_MAX, &code))
        return false;
    p->packet.type = (uint8_t)type;
    p->packet.code = (uint8_t)code;
    skip_blanks(c);
    if (*c->at == '(') {
        p->open &= ~FIELD_BIT(FIELD_RANGE);
        if (!length(c, &p->packet))
            return false;
    }
    if (!take(c, "id"))
        return true;
    p->open &= ~FIELD_BIT(FIELD_ACK);
    return number_u16(c, &p->packet.id) && demand(c, "seq") && number_u16(c, &p->packet.sequence);
}

bool notation_parse(const char *line, struct pattern *p, char *error, size_t error_bytes)
{
    *p = (struct pattern){0};
    error[0] = 0;
    struct cursor c = {.line = line, .at = line, .error = error, .error_bytes = error_bytes};
    bool good = take(&c, "udp")    ? parse_udp(&c, p)
                : take(&c, "icmp") ? parse_icmp(&c, p)
                                   : parse_tcp(&c, p);
    skip_blanks(&c);
    return good && (!*c.at || refuse(&c, "more than a packet: `%s`", c.at));
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static bool padding(const struct option *o)
{
    return o->kind == OPTION_NOP || o->kind == OPTION_EOL;
}

static bool same_option(const struct option *want, const struct option *is)
{
    if (want->kind != is->kind || want->values != is->values || want->bytes != is->bytes)
        return false;
    for (unsigned i = 0; i < want->values; i++)
        if (!(want->open >> i & 1) && want->value[i] != is->value[i])
            return false;
    return memcmp(want->byte, is->byte, want->bytes) == 0;
}

static bool same_options(const struct packet *want, const struct packet *is)
{
    bool padding_counts = false;
    for (unsigned i = 0; i < want->options; i++)
        padding_counts |= padding(&want->option[i]);
    unsigned next = 0;
    for (unsigned i = 0; i < is->options; i++) {
        if (!padding_counts && padding(&is->option[i]))
            continue;
        if (next == want->options || !same_option(&want->option[next++], &is->option[i]))
            return false;
    }
    return next == want->options;
}

unsigned notation_compare(const struct pattern *pattern, const struct packet *is)
{
    const struct packet *want = &pattern->packet;
    if (want->protocol != is->protocol)
        return FIELD_BIT(FIELD_KIND);
    bool differs[FIELDS] = {
        [FIELD_KIND] = want->flags != is->flags || want->type != is->type || want->code != is->code,
        [FIELD_PORTS] =
            want->source_port != is->source_port || want->destination_port != is->destination_port,
        [FIELD_RANGE] = want->seq != is->seq || want->payload_bytes != is->payload_bytes,
        [FIELD_ACK] = want->id != is->id || want->sequence != is->sequence ||
                      ((want->flags & TCP_ACK) && want->ack != is->ack),
        [FIELD_WINDOW] = want->window != is->window,
        [FIELD_URGENT] = want->urgent != is->urgent,
        [FIELD_ECN] = (want->tos & ECN_MASK) != (is->tos & ECN_MASK),
        [FIELD_OPTIONS] = !same_options(want, is),
    };
    unsigned mask = 0;
    for (unsigned field = 0; field < FIELDS; field++)
        if (differs[field])
            mask |= FIELD_BIT(field);
    return mask & ~pattern->open;
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* Appends to a text of `bytes` bytes that is cut off when full. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t bytes,
                                                         const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, bytes - used, format, arguments);
    va_end(arguments);
}

static void append_value(char *text, const struct option *o, unsigned i)
{
    if (o->open >> i & 1)
        append(text, FIELD_BYTES, "*");
    else
        append(text, FIELD_BYTES, "%u", o->value[i]);
}

static void append_values(char *text, const char *name, const struct option *o, const char *second)
{
    append(text, FIELD_BYTES, "%s ", name);
    append_value(text, o, 0);
    if (o->values < 2)
        return;
    append(text, FIELD_BYTES, " %s ", second);
    append_value(text, o, 1);
}

static void append_sack(char *text, const struct option *o)
{
    append(text, FIELD_BYTES, "sack");
    for (unsigned i = 0; i + 1 < o->values; i += 2) {
        append(text, FIELD_BYTES, " ");
        append_value(text, o, i);
        append(text, FIELD_BYTES, ":");
        append_value(text, o, i + 1);
    }
}

static void append_option(char *text, const struct option *o)
{
    switch (o->kind) {
    case OPTION_EOL:
        append(text, FIELD_BYTES, "eol");
        return;
    case OPTION_NOP:
        append(text, FIELD_BYTES, "nop");
        return;
    case OPTION_MSS:
        append_values(text, "mss", o, "");
        return;
    case OPTION_WSCALE:
        append_values(text, "wscale", o, "");
        return;
    case OPTION_SACK_OK:
        append(text, FIELD_BYTES, "sackOK");
        return;
    case OPTION_SACK:
        append_sack(text, o);
        return;
    case OPTION_TS:
        append_values(text, "TS val", o, "ecr");
        return;
    case OPTION_HEX:
        append(text, FIELD_BYTES, "hex ");
        break;
    default:
        append(text, FIELD_BYTES, "opt %u ", o->kind);
    }
    for (unsigned i = 0; i < o->bytes; i++)
        append(text, FIELD_BYTES, "%02x", o->byte[i]);
}

static void append_options(char *text, const struct packet *p)
{
    append(text, FIELD_BYTES, "<");
    for (unsigned i = 0; i < p->options; i++) {
        if (i)
            append(text, FIELD_BYTES, ",");
        append_option(text, &p->option[i]);
    }
    append(text, FIELD_BYTES, ">");
}

typedef char fields_text[FIELDS][FIELD_BYTES];

static void write_tcp(const struct packet *p, unsigned open, fields_text text)
{
    for (size_t i = 0; i < FLAG_LETTERS; i++)
        if (p->flags & flag_letters[i].flag)
            append(text[FIELD_KIND], FIELD_BYTES, "%c", flag_letters[i].letter);
    if (!p->flags)
        append(text[FIELD_KIND], FIELD_BYTES, "-");
    append(text[FIELD_RANGE], FIELD_BYTES, "%u:%u(%zu)", p->seq,
           p->seq + (uint32_t)p->payload_bytes, p->payload_bytes);
    if (p->flags & TCP_ACK && open & FIELD_BIT(FIELD_ACK))
        append(text[FIELD_ACK], FIELD_BYTES, "ack *");
    else if (p->flags & TCP_ACK)
        append(text[FIELD_ACK], FIELD_BYTES, "ack %u", p->ack);
    if (open & FIELD_BIT(FIELD_WINDOW))
        append(text[FIELD_WINDOW], FIELD_BYTES, "win *");
    else
        append(text[FIELD_WINDOW], FIELD_BYTES, "win %u", p->window);
    if (open & FIELD_BIT(FIELD_URGENT))
        append(text[FIELD_URGENT], FIELD_BYTES, "urg *");
    else if (p->urgent || p->flags & TCP_URG)
        append(text[FIELD_URGENT], FIELD_BYTES, "urg %u", p->urgent);
    append(text[FIELD_ECN], FIELD_BYTES, "%s", ecn_words[p->tos & ECN_MASK]);
    if (open & FIELD_BIT(FIELD_OPTIONS))
        append(text[FIELD_OPTIONS], FIELD_BYTES, "<*>");
    else
        append_options(text[FIELD_OPTIONS], p);
}

static void write_fields(const struct packet *p, unsigned open, fields_text text)
{
    memset(text, 0, sizeof(fields_text));
    if (!(open & FIELD_BIT(FIELD_PORTS)) && p->protocol != IPPROTO_ICMP)
        append(text[FIELD_PORTS], FIELD_BYTES, "%u > %u", p->source_port, p->destination_port);
    switch (p->protocol) {
    case IPPROTO_TCP:
        write_tcp(p, open, text);
        return;
    case IPPROTO_UDP:
        append(text[FIELD_KIND], FIELD_BYTES, "udp");
        break;
    case IPPROTO_ICMP:
        append(text[FIELD_KIND], FIELD_BYTES, "icmp %u/%u", p->type, p->code);
        if (!(open & FIELD_BIT(FIELD_ACK)))
            append(text[FIELD_ACK], FIELD_BYTES, "id %u seq %u", p->id, p->sequence);
        break;
    default:
        append(text[FIELD_KIND], FIELD_BYTES, "protocol %u", p->protocol);
    }
    if (!(open & FIELD_BIT(FIELD_RANGE)))
        append(text[FIELD_RANGE], FIELD_BYTES, "(%zu)", p->payload_bytes);
}

void notation_format(const struct pattern *p, char line[LINE_BYTES])
{
    fields_text text;
    write_fields(&p->packet, p->open, text);
    line[0] = 0;
    for (unsigned field = 0; field < FIELDS; field++)
        if (text[field][0])
            append(line, LINE_BYTES, "%s%s", line[0] ? " " : "", text[field]);
}

/* Cuts off the blanks at the end. */
static char *trim(char *line)
{
    size_t length = strlen(line);
    while (length && line[length - 1] == ' ')
        line[--length] = 0;
    return line;
}

void notation_side_by_side(const struct pattern *expected, const struct packet *actual,
                           unsigned differing, char *text, size_t text_bytes)
{
    fields_text want, is;
    write_fields(&expected->packet, expected->open, want);
    /* Ports that are as they should be are not worth their room. */
    write_fields(actual, expected->open & FIELD_BIT(FIELD_PORTS), is);
    char upper[LINE_BYTES] = "", lower[LINE_BYTES] = "", marks[LINE_BYTES] = "";
    for (unsigned field = 0; field < FIELDS; field++) {
        int width = (int)strlen(want[field]);
        if (width < (int)strlen(is[field]))
            width = (int)strlen(is[field]);
        if (width == 0)
            continue;
        append(upper, LINE_BYTES, " %-*s", width, want[field]);
        append(lower, LINE_BYTES, " %-*s", width, is[field]);
        append(marks, LINE_BYTES, " ");
        for (int i = 0; i < width; i++)
            append(marks, LINE_BYTES, "%c", differing >> field & 1 ? '^' : ' ');
    }
    snprintf(text, text_bytes, "  expected:%s\n    actual:%s\n           %s\n", trim(upper),
             trim(lower), trim(marks));
}
