/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "names.h"

#define BUFFER_BYTES 65536
#define FLUSH_NS     UINT64_C(1000000000)

struct trace {
    FILE *file; /* NULL: it could not be written */
    struct strait_env *env;
    struct strait_timer flush;
    uint64_t start_ns; /* of the clock; times in the file count from here */
    bool waiting;      /* something is in the buffer */
    void (*failed)(int error);
    char buffer[BUFFER_BYTES];
};

static void fail(struct trace *t)
{
    int error = errno;
    fclose(t->file);
    t->file = NULL;
    t->failed(error);
}

struct trace *trace_open(const char *path, void (*failed)(int error))
{
    struct trace *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->failed = failed;
    t->file = fopen(path, "we");
    if (!t->file) {
        free(t);
        return NULL;
    }
    setvbuf(t->file, t->buffer, _IOFBF, sizeof(t->buffer));
    fputs("#strait-trace 1\n"
          "#time_s\tlocal\tremote\tevent\tposition\tlength\tstate\tcwnd\tssthresh\tsrtt_us\t"
          "rttvar_us\trto_us\tsend_window\treceive_window\n",
          t->file);
    return t;
}

static void flush_due(void *owner, struct strait_timer *timer)
{
    struct trace *t = (struct trace *)((char *)timer - offsetof(struct trace, flush));
    (void)owner;
    t->waiting = false;
    if (t->file && fflush(t->file) != 0)
        fail(t);
}

static void put_known(FILE *file, uint32_t value, bool known)
{
    if (known)
        fprintf(file, "\t%" PRIu32, value);
    else
        fputs("\t-", file);
}

static void put_record(FILE *file, const struct strait_trace *r, uint64_t time_ns)
{
    static const char *const events[] = {
        [STRAIT_TRACE_SENT] = "sent",       [STRAIT_TRACE_RESENT] = "resent",
        [STRAIT_TRACE_ACKED] = "acked",     [STRAIT_TRACE_RECEIVED] = "received",
        [STRAIT_TRACE_CHANGED] = "changed",
    };
    char local[NAME_BYTES], remote[NAME_BYTES];
    fprintf(file, "%" PRIu64 ".%09" PRIu64 "\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu32 "\t%s",
            time_ns / 1000000000, time_ns % 1000000000, socket_name(&r->local, local),
            socket_name(&r->remote, remote), events[r->event], r->position, r->length,
            state_name(r->state));
    put_known(file, r->cwnd, r->cwnd != 0);
    put_known(file, r->ssthresh, r->ssthresh != 0 && r->ssthresh != UINT32_MAX);
    put_known(file, r->srtt_us, r->srtt_us != 0);
    put_known(file, r->rttvar_us, r->srtt_us != 0);
    fprintf(file, "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\n", r->rto_us, r->send_window,
            r->receive_window);
}

static void told(void *context, const struct strait_trace *r)
{
    struct trace *t = context;
    if (!t->file)
        return;
    put_record(t->file, r, r->time_ns > t->start_ns ? r->time_ns - t->start_ns : 0);
    if (ferror(t->file)) {
        fail(t);
        return;
    }
    if (!t->waiting && t->env)
        t->env->timer_start(t->env, &t->flush, t->env->now(t->env) + FLUSH_NS);
    t->waiting = true;
}

void trace_start(struct trace *t, struct strait *stack, struct strait_env *env)
{
    t->env = env;
    t->flush.expired = flush_due;
    t->start_ns = env->now(env);
    strait_trace(stack, told, t);
}

void trace_close(struct trace *t)
{
    if (!t)
        return;
    if (t->env)
        t->env->timer_stop(t->env, &t->flush);
    if (t->file && fclose(t->file) != 0)
        t->failed(errno);
    free(t);
}
