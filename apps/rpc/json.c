/* SPDX-License-Identifier: MIT */
#include "rpc/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/base64.h"

typedef ProtobufCFieldDescriptor field_t;

#define NAME_BYTES   128
#define NUMBER_BYTES 32
#define TWO_TO_53    9007199254740992.0 /* up to here a double is exact */

/* What one read shares. */
struct reading {
    struct message_arena *arena;
    char *fault;
};

static bool fail(struct reading *r, const field_t *f, const char *what)
{
    snprintf(r->fault, JSON_FAULT_BYTES, "%s: %s", f->name, what);
    return false;
}

static void *allocate(struct reading *r, size_t size)
{
    return r->arena->allocator.alloc(r->arena, size);
}

/* ---- Names ---- */

/* "original_request" becomes "originalRequest". */
static void camel(const char *name, char out[NAME_BYTES])
{
    size_t n = 0;
    for (; *name != '\0' && n < NAME_BYTES - 1; name++) {
        bool joint = *name == '_' && name[1] >= 'a' && name[1] <= 'z';
        if (joint)
            name++;
        out[n++] = joint ? (char)(*name - 'a' + 'A') : *name;
    }
    out[n] = '\0';
}

static const field_t *find_field(const ProtobufCMessageDescriptor *d, const char *key)
{
    char name[NAME_BYTES];
    for (unsigned i = 0; i < d->n_fields; i++) {
        camel(d->fields[i].name, name);
        if (strcmp(key, name) == 0 || strcmp(key, d->fields[i].name) == 0)
            return &d->fields[i];
    }
    return NULL;
}

/* ---- Numbers ---- */

/* A number as its sign and its amount, of which a double and a string can be exact as well. */
struct whole {
    bool negative;
    uint64_t amount;
};

static bool whole_of_text(const char *text, struct whole *w)
{
    w->negative = *text == '-';
    w->amount = 0;
    text += w->negative;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || w->amount > (UINT64_MAX - digit) / 10)
            return false;
        w->amount = w->amount * 10 + digit;
    }
    return true;
}

static bool whole_of_real(double value, struct whole *w)
{
    double amount = value < 0 ? -value : value;
    if (!(amount <= TWO_TO_53) || (double)(uint64_t)amount != amount)
        return false;
    *w = (struct whole){value < 0, (uint64_t)amount};
    return true;
}

static bool whole_of(const json_t *json, struct whole *w)
{
    if (json_is_string(json))
        return whole_of_text(json_string_value(json), w);
    if (json_is_real(json))
        return whole_of_real(json_real_value(json), w);
    if (!json_is_integer(json))
        return false;
    json_int_t value = json_integer_value(json);
    *w = (struct whole){value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value};
    return true;
}

/* Reads a number of so many bits, with a sign or without one. */
static bool read_whole(struct reading *r, const field_t *f, const json_t *json, unsigned bits,
                       bool is_signed, uint64_t *value)
{
    struct whole w;
    if (!whole_of(json, &w))
        return fail(r, f, "is no whole number");
    uint64_t max = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    if (is_signed)
        max = (max >> 1) + w.negative;
    else if (w.negative && w.amount > 0)
        return fail(r, f, "is below 0");
    if (w.amount > max)
        return fail(r, f, "is out of range");
    *value = w.negative ? 0 - w.amount : w.amount;
    return true;
}

static bool read_real(struct reading *r, const field_t *f, const json_t *json, double *value)
{
    char *end;
    if (json_is_number(json)) {
        *value = json_number_value(json);
        return true;
    }
    const char *text = json_string_value(json);
    if (!text || *text == '\0')
        return fail(r, f, "is no number");
    *value = strtod(text, &end);
    return *end == '\0' || fail(r, f, "is no number");
}

/* ---- Strings and enums ---- */

static bool read_string(struct reading *r, const field_t *f, const json_t *json, char **value)
{
    if (!json_is_string(json))
        return fail(r, f, "is no string");
    size_t length = json_string_length(json);
    *value = allocate(r, length + 1);
    if (!*value)
        return fail(r, f, "is too long");
    memcpy(*value, json_string_value(json), length + 1);
    return true;
}

static bool read_bytes(struct reading *r, const field_t *f, const json_t *json,
                       ProtobufCBinaryData *value)
{
    const char *text = json_string_value(json);
    size_t length = text ? json_string_length(json) : 0;
    if (!text)
        return fail(r, f, "is no string");
    value->data = allocate(r, BASE64_BYTES_MAX(length));
    if (!value->data)
        return fail(r, f, "is too long");
    return base64_read(text, length, value->data, &value->len) || fail(r, f, "is no base64");
}

static bool read_enum(struct reading *r, const field_t *f, const json_t *json, int *value)
{
    uint64_t number;
    const char *name = json_string_value(json);
    if (!name) {
        if (!read_whole(r, f, json, 32, true, &number))
            return false;
        *value = (int)(int64_t)number;
        return true;
    }
    const ProtobufCEnumValue *known =
        protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, name);
    if (!known)
        return fail(r, f, "is none of its names");
    *value = known->value;
    return true;
}

/* ---- Values ---- */

static ProtobufCMessage *read_message(struct reading *r, const ProtobufCMessageDescriptor *d,
                                      const json_t *json, int depth);

static bool read_32(struct reading *r, const field_t *f, const json_t *json, bool is_signed,
                    void *to)
{
    uint64_t value;
    if (!read_whole(r, f, json, 32, is_signed, &value))
        return false;
    uint32_t word = (uint32_t)value;
    memcpy(to, &word, sizeof(word));
    return true;
}

static bool read_bool(struct reading *r, const field_t *f, const json_t *json,
                      protobuf_c_boolean *to)
{
    if (!json_is_boolean(json))
        return fail(r, f, "is neither true nor false");
    *to = json_is_true(json);
    return true;
}

static bool read_float(struct reading *r, const field_t *f, const json_t *json, float *to)
{
    double value;
    if (!read_real(r, f, json, &value))
        return false;
    *to = (float)value;
    return true;
}

/* Reads what stands for one value of the field. */
static bool read_value(struct reading *r, const field_t *f, const json_t *json, void *to, int depth)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return read_32(r, f, json, true, to);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return read_32(r, f, json, false, to);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return read_whole(r, f, json, 64, true, to);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_whole(r, f, json, 64, false, to);
    case PROTOBUF_C_TYPE_FLOAT:
        return read_float(r, f, json, to);
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(r, f, json, to);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(r, f, json, to);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, f, json, to);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(r, f, json, to);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(r, f, json, to);
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)to = read_message(r, f->descriptor, json, depth + 1);
        return *(ProtobufCMessage **)to != NULL;
    }
    return fail(r, f, "is of no type");
}

static size_t size_of(const field_t *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static bool read_list(struct reading *r, const field_t *f, const json_t *json, char *message,
                      int depth)
{
    size_t count = json_array_size(json);
    if (!json_is_array(json))
        return fail(r, f, "is no list");
    char *values = allocate(r, count * size_of(f));
    if (!values)
        return fail(r, f, "is too long");
    for (size_t i = 0; i < count; i++)
        if (!read_value(r, f, json_array_get(json, i), values + i * size_of(f), depth))
            return false;
    memcpy(message + f->offset, &values, sizeof(values));
    memcpy(message + f->quantifier_offset, &count, sizeof(count));
    return true;
}

static bool read_field(struct reading *r, const field_t *f, const json_t *json, char *message,
                       int depth)
{
    if (json_is_null(json))
        return true;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(r, f, json, message, depth);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t chosen;
        memcpy(&chosen, message + f->quantifier_offset, sizeof(chosen));
        if (chosen != 0)
            return fail(r, f, "is there beside another one of its choice");
        memcpy(message + f->quantifier_offset, &f->id, sizeof(f->id));
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->quantifier_offset != 0) {
        *(protobuf_c_boolean *)(void *)(message + f->quantifier_offset) = 1;
    }
    return read_value(r, f, json, message + f->offset, depth);
}

static ProtobufCMessage *read_message(struct reading *r, const ProtobufCMessageDescriptor *d,
                                      const json_t *json, int depth)
{
    const char *key;
    json_t *value;
    ProtobufCMessage *message =
        json_is_object(json) && depth <= MESSAGE_DEPTH_MAX ? allocate(r, d->sizeof_message) : NULL;
    if (!message) {
        snprintf(r->fault, JSON_FAULT_BYTES, "%s: is no object, or too deep", d->short_name);
        return NULL;
    }
    protobuf_c_message_init(d, message);
    json_object_foreach((json_t *)json, key, value)
    {
        const field_t *f = find_field(d, key);
        if (!f) {
            snprintf(r->fault, JSON_FAULT_BYTES, "%.*s: there is no such field", NAME_BYTES / 2,
                     key);
            return NULL;
        }
        if (!read_field(r, f, value, (char *)message, depth))
            return NULL;
    }
    return message;
}

ProtobufCMessage *json_to_message(struct message_arena *arena, const ProtobufCMessageDescriptor *d,
                                  const char *text, size_t length, char fault[JSON_FAULT_BYTES])
{
    struct reading r = {arena, fault};
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json) {
        snprintf(fault, JSON_FAULT_BYTES, "no JSON: %.*s", JSON_FAULT_BYTES / 2, error.text);
        return NULL;
    }
    ProtobufCMessage *message = read_message(&r, d, json, 1);
    json_decref(json);
    return message;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static json_t *write_message(const ProtobufCMessage *message);

static json_t *write_64(const void *from, bool is_signed)
{
    char text[NUMBER_BYTES];
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    if (is_signed)
        snprintf(text, sizeof(text), "%lld", (long long)value);
    else
        snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return json_string(text);
}

static json_t *write_32(const void *from, bool is_signed)
{
    uint32_t word;
    memcpy(&word, from, sizeof(word));
    return json_integer(is_signed ? (json_int_t)(int32_t)word : (json_int_t)word);
}

static json_t *write_real(double value)
{
    if (value != value)
        return json_string("NaN");
    if (value - value != 0)
        return json_string(value > 0 ? "Infinity" : "-Infinity");
    return json_real(value);
}

static json_t *write_enum(const field_t *f, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(f->descriptor, number);
    return value ? json_string(value->name) : json_integer(number);
}

static json_t *write_bytes(const ProtobufCBinaryData *value)
{
    size_t length = BASE64_TEXT_BYTES(value->len);
    char *text = malloc(length + 1);
    if (!text)
        return NULL;
    base64_write(value->data, value->len, text);
    json_t *json = json_stringn(text, length);
    free(text);
    return json;
}

static json_t *write_value(const field_t *f, const void *from)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return write_32(from, true);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return write_32(from, false);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return write_64(from, true);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return write_64(from, false);
    case PROTOBUF_C_TYPE_FLOAT:
        return write_real((double)*(const float *)from);
    case PROTOBUF_C_TYPE_DOUBLE:
        return write_real(*(const double *)from);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)from);
    case PROTOBUF_C_TYPE_ENUM:
        return write_enum(f, *(const int *)from);
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(char *const *)from);
    case PROTOBUF_C_TYPE_BYTES:
        return write_bytes(from);
    case PROTOBUF_C_TYPE_MESSAGE:
        return write_message(*(ProtobufCMessage *const *)from);
    }
    return NULL;
}

static json_t *write_list(const field_t *f, const char *message)
{
    size_t count;
    const char *values;
    memcpy(&count, message + f->quantifier_offset, sizeof(count));
    memcpy(&values, message + f->offset, sizeof(values));
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, write_value(f, values + i * size_of(f))) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static bool is_zero(const char *bytes, size_t length)
{
    while (length > 0 && bytes[length - 1] == 0)
        length--;
    return length == 0;
}

/* Whether the field is to be written: it is there, or is not what it is by default. */
static bool is_present(const field_t *f, const char *message)
{
    const char *value = message + f->offset;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return memcmp(message + f->quantifier_offset, &f->id, sizeof(f->id)) == 0;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return !is_zero(message + f->quantifier_offset, sizeof(size_t));
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return *(char *const *)(const void *)value && **(char *const *)(const void *)value != '\0';
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)(const void *)value)->len > 0;
    if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->quantifier_offset != 0)
        return *(const protobuf_c_boolean *)(const void *)(message + f->quantifier_offset);
    return !is_zero(value, size_of(f));
}

static json_t *write_message(const ProtobufCMessage *message)
{
    char name[NAME_BYTES];
    json_t *object = json_object();
    for (unsigned i = 0; object && i < message->descriptor->n_fields; i++) {
        const field_t *f = &message->descriptor->fields[i];
        const char *bytes = (const char *)message;
        if (!is_present(f, bytes))
            continue;
        camel(f->name, name);
        json_t *value = f->label == PROTOBUF_C_LABEL_REPEATED ? write_list(f, bytes)
                                                              : write_value(f, bytes + f->offset);
        if (json_object_set_new(object, name, value) == 0)
            continue;
        json_decref(object);
        return NULL;
    }
    return object;
}

static char *text_of(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

char *json_from_message(const ProtobufCMessage *message)
{
    return text_of(write_message(message));
}

void json_seed(size_t random)
{
    json_object_seed(random | 1);
}

char *json_error(const char *code, const char *text, size_t text_bytes)
{
    json_t *error = json_object();
    json_object_set_new(error, "code", json_string(code));
    if (text_bytes > 0)
        json_object_set_new(error, "message", json_stringn(text, text_bytes));
    return text_of(error);
}
