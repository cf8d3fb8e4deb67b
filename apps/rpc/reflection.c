/* SPDX-License-Identifier: MIT */
#include "rpc/reflection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/described.pb-c.h"
#include "rpc/reflection_v1.pb-c.h"
#include "rpc/reflection_v1alpha.pb-c.h"

#define FILES_MAX    64
#define SERVICES_MAX RPC_SERVICES_MAX

/* Both versions have the same messages. */
typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

#define ASKED(name)   GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERS(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

struct reflection {
    const struct rpc_messages *const *list;
    struct message_arena arena; /* of what follows */
    Strait__Described__FileSet *set;
    Strait__Described__File *files[FILES_MAX]; /* file i of the set */
    size_t file_count;
};

/* ---- Looking for names ---- */

/*
 * If `scope`, a name or several with dots between, is what `*symbol` begins with, goes on behind
 * it. The empty one always is.
 */
static bool enter(const char **symbol, const char *scope)
{
    size_t n = strlen(scope);
    if (n == 0)
        return true;
    if (strncmp(*symbol, scope, n) != 0 || (*symbol)[n] != '.')
        return false;
    *symbol += n + 1;
    return true;
}

static bool has_name(const char *symbol, Strait__Described__Named *const *named, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(symbol, named[i]->name) == 0)
            return true;
    return false;
}

static bool type_has(const char *symbol, const Strait__Described__Type *type)
{
    if (strcmp(symbol, type->name) == 0)
        return true;
    if (!enter(&symbol, type->name))
        return false;
    for (size_t i = 0; i < type->n_nested_type; i++)
        if (type_has(symbol, type->nested_type[i]))
            return true;
    return has_name(symbol, type->field, type->n_field) ||
           has_name(symbol, type->enum_type, type->n_enum_type);
}

static bool service_has(const char *symbol, const Strait__Described__Service *service)
{
    return strcmp(symbol, service->name) == 0 ||
           (enter(&symbol, service->name) && has_name(symbol, service->method, service->n_method));
}

static bool file_has(const char *symbol, const Strait__Described__File *file)
{
    if (!enter(&symbol, file->package))
        return false;
    for (size_t i = 0; i < file->n_message_type; i++)
        if (type_has(symbol, file->message_type[i]))
            return true;
    for (size_t i = 0; i < file->n_service; i++)
        if (service_has(symbol, file->service[i]))
            return true;
    return has_name(symbol, file->enum_type, file->n_enum_type) ||
           has_name(symbol, file->extension, file->n_extension);
}

/* ---- Answers ---- */

/* An answer, and what it is made of. */
struct reply {
    response_t response;
    Grpc__Reflection__V1__ErrorResponse error;
    Grpc__Reflection__V1__FileDescriptorResponse described;
    Grpc__Reflection__V1__ListServiceResponse listed;
    Grpc__Reflection__V1__ExtensionNumberResponse extensions;
    ProtobufCBinaryData files[FILES_MAX];
    bool has_file[FILES_MAX];
    Grpc__Reflection__V1__ServiceResponse services[SERVICES_MAX];
    Grpc__Reflection__V1__ServiceResponse *service_list[SERVICES_MAX];
};

static void say_error(struct reply *r, enum rpc_code code, const char *text)
{
    grpc__reflection__v1__error_response__init(&r->error);
    r->error.error_code = (int32_t)code;
    r->error.error_message = (char *)text;
    r->response.message_response_case = ANSWERS(ERROR_RESPONSE);
    r->response.error_response = &r->error;
}

static size_t find_file(const struct reflection *f, const char *name)
{
    size_t i = 0;
    while (i < f->file_count && strcmp(f->files[i]->name, name) != 0)
        i++;
    return i;
}

static void add_file(const struct reflection *f, struct reply *r, size_t i)
{
    if (i == f->file_count || r->has_file[i])
        return;
    r->has_file[i] = true;
    r->files[r->described.n_file_descriptor_proto++] = f->set->file[i];
}

/* The file, and behind it those that it imports, and they import, each once. */
static void say_file(const struct reflection *f, struct reply *r, size_t file)
{
    if (file == f->file_count) {
        say_error(r, RPC_NOT_FOUND, "nothing of that name");
        return;
    }
    grpc__reflection__v1__file_descriptor_response__init(&r->described);
    r->described.file_descriptor_proto = r->files;
    add_file(f, r, file);
    for (size_t at = 0; at < r->described.n_file_descriptor_proto; at++) {
        size_t i = 0;
        while (f->set->file[i].data != r->files[at].data)
            i++;
        for (size_t d = 0; d < f->files[i]->n_dependency; d++)
            add_file(f, r, find_file(f, f->files[i]->dependency[d]));
    }
    r->response.message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    r->response.file_descriptor_response = &r->described;
}

static size_t file_of_symbol(const struct reflection *f, const char *symbol)
{
    size_t i = 0;
    while (i < f->file_count && !file_has(symbol, f->files[i]))
        i++;
    return i;
}

static void say_services(const struct reflection *f, struct reply *r)
{
    grpc__reflection__v1__list_service_response__init(&r->listed);
    for (size_t i = 0; f->list[i] && i < SERVICES_MAX; i++) {
        grpc__reflection__v1__service_response__init(&r->services[i]);
        r->services[i].name = (char *)f->list[i]->service->name;
        r->service_list[i] = &r->services[i];
        r->listed.n_service++;
    }
    r->listed.service = r->service_list;
    r->response.message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    r->response.list_services_response = &r->listed;
}

/* There are no extensions, neither of this type nor of another one. */
static void say_extensions(const struct reflection *f, struct reply *r, char *type)
{
    if (file_of_symbol(f, type) == f->file_count) {
        say_error(r, RPC_NOT_FOUND, "no such type");
        return;
    }
    grpc__reflection__v1__extension_number_response__init(&r->extensions);
    r->extensions.base_type_name = type;
    r->response.message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    r->response.all_extension_numbers_response = &r->extensions;
}

static void make_reply(const struct reflection *f, request_t *request, struct reply *r)
{
    grpc__reflection__v1__server_reflection_response__init(&r->response);
    r->response.valid_host = request->host;
    r->response.original_request = request;
    switch (request->message_request_case) {
    case ASKED(FILE_BY_FILENAME):
        say_file(f, r, find_file(f, request->file_by_filename));
        break;
    case ASKED(FILE_CONTAINING_SYMBOL):
        say_file(f, r, file_of_symbol(f, request->file_containing_symbol));
        break;
    case ASKED(FILE_CONTAINING_EXTENSION):
        say_error(r, RPC_NOT_FOUND, "there are no extensions");
        break;
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
        say_extensions(f, r, request->all_extension_numbers_of_type);
        break;
    case ASKED(LIST_SERVICES):
        say_services(f, r);
        break;
    default:
        say_error(r, RPC_INVALID_ARGUMENT, "nothing is asked");
        break;
    }
}

/* ---- The procedure ---- */

static void answer_message(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    struct message_arena arena;
    struct rpc_result result = {0};
    message_arena_init(&arena);
    request_t *request = (request_t *)message_unpack(
        &arena, &grpc__reflection__v1__server_reflection_request__descriptor, bytes, length);
    struct reply *reply = calloc(1, sizeof(*reply));
    enum rpc_code code = request ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL;
    if (request && reply) {
        make_reply(context, request, reply);
        code = message_answer(&reply->response.base, &result);
    }
    free(reply);
    message_arena_free(&arena);
    if (code == RPC_OK)
        rpc_send(job, result.bytes, result.length);
    else
        rpc_end(job, code, NULL);
    free(result.bytes);
}

static void finished(void *context, struct rpc_job *job)
{
    (void)context;
    rpc_end(job, RPC_OK, NULL);
}

static void cancelled(void *context, struct rpc_job *job)
{
    (void)context;
    (void)job;
}

static const struct rpc_streaming conversation = {
    .message = answer_message, .finished = finished, .cancelled = cancelled};

static const struct rpc_procedure procedures[] = {
    {.name = "ServerReflectionInfo",
     .argument_bytes = RPC_ANY_SIZE,
     .result_bytes = RPC_ANY_SIZE,
     .class = RPC_PURE,
     .streaming = &conversation},
};

const struct rpc_messages reflection_v1_messages = {
    &grpc__reflection__v1__server_reflection__descriptor, procedures};
const struct rpc_messages reflection_v1alpha_messages = {
    &grpc__reflection__v1alpha__server_reflection__descriptor, procedures};

/* ---- The service ---- */

static bool read_files(struct reflection *f, const uint8_t *descriptors, size_t descriptor_bytes)
{
    f->set = (Strait__Described__FileSet *)message_unpack(
        &f->arena, &strait__described__file_set__descriptor, descriptors, descriptor_bytes);
    if (!f->set || f->set->n_file > FILES_MAX)
        return false;
    for (; f->file_count < f->set->n_file; f->file_count++) {
        const ProtobufCBinaryData *file = &f->set->file[f->file_count];
        f->files[f->file_count] = (Strait__Described__File *)message_unpack(
            &f->arena, &strait__described__file__descriptor, file->data, file->len);
        if (!f->files[f->file_count])
            return false;
    }
    return true;
}

static void release(void *context)
{
    struct reflection *f = context;
    message_arena_free(&f->arena);
    free(f);
}

int reflection_serve(struct rpc_dispatcher *rpc, const struct rpc_messages *const *list,
                     const uint8_t *descriptors, size_t descriptor_bytes)
{
    struct reflection *f = calloc(1, sizeof(*f));
    if (!f) {
        errno = ENOMEM;
        return -1;
    }
    f->list = list;
    message_arena_init(&f->arena);
    const struct rpc_service service = {
        .name = "reflection",
        .procedures = procedures,
        .count = sizeof(procedures) / sizeof(procedures[0]),
        .context = f,
        .release = release,
    };
    errno = EINVAL;
    if (read_files(f, descriptors, descriptor_bytes) && rpc_register(rpc, &service) == 0)
        return 0;
    int error = errno;
    release(f);
    errno = error;
    return -1;
}
