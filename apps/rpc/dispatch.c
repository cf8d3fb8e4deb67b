/* SPDX-License-Identifier: MIT */
/*
 * The way of a call:
 *
 *     call_server_stub --> quick: run here, answered
 *                      `-> others: queue of the service -> executor, or `begin` -> answered
 *
 * A call that does not end at once has a job, which lives until it is answered, or has been
 * cancelled and does not run. Of each service a few jobs run at a time; the others wait in its own
 * queue, so that no service waits for another. Where the queue is full, or so long that the
 * deadline would pass before the call's turn, it is refused at once: the client then knows, and no
 * work is done in vain.
 *
 * A call of a streaming procedure has a job too, which neither waits nor counts among those that
 * run: it is a conversation, and may last as long as its client does.
 */
#include "rpc/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define MEAN_SHIFT 3 /* a run changes the mean time of a service by an eighth of the difference */

TAILQ_HEAD(jobs, rpc_job);

struct served {
    struct rpc_dispatcher *rpc;
    struct rpc_service service;
    struct jobs waiting, running, streaming;
    unsigned waiting_count, running_count, streaming_count;
    uint64_t mean_ns;  /* of a run; 0: none has ended */
    bool runs_waiting; /* within run_waiting: what ends at once does not begin it again */
};

struct rpc_dispatcher {
    struct strait_env *env;
    struct served services[RPC_SERVICES_MAX];
    size_t count;
    unsigned running; /* jobs of all services */
    bool ending;
    struct rpc_counters counters;
};

struct rpc_job {
    struct strait_work work;
    TAILQ_ENTRY(rpc_job) link;
    struct rpc_dispatcher *rpc;
    struct served *served;
    const struct rpc_procedure *procedure;
    uint64_t deadline_ns, began_ns;
    rpc_answered *answered; /* NULL: nobody waits */
    void *owner;
    bool runs;
    bool begins;         /* its procedure's `begin` has not returned */
    bool answered_early; /* within it */
    enum rpc_code code;
    const struct rpc_reader *reader; /* of a stream */
    void *state;                     /* of the procedure of a stream, or that waits for others */
    struct rpc_result message;       /* of a procedure of messages */
    uint8_t result[RPC_BYTES_MAX];   /* of another one; or what is said of an error */
    size_t argument_bytes;
    uint8_t arguments[];
};

/* ---- Services -------------------------------------------------------------------------------- */

static bool has_id(const struct rpc_procedure *p)
{
    return p->argument_bytes != RPC_ANY_SIZE;
}

static const struct rpc_procedure *find_in(const struct rpc_service *service, uint32_t id)
{
    for (size_t i = 0; i < service->count; i++) {
        const struct rpc_procedure *p = &service->procedures[i];
        if (p->id == id && has_id(p))
            return p;
    }
    return NULL;
}

static const struct rpc_procedure *find(const struct rpc_dispatcher *rpc, uint32_t id,
                                        const struct served **served)
{
    for (size_t i = 0; i < rpc->count; i++) {
        const struct rpc_procedure *procedure = find_in(&rpc->services[i].service, id);
        *served = &rpc->services[i];
        if (procedure)
            return procedure;
    }
    return NULL;
}

/* The service whose table the procedure is of. */
static struct served *served_of(struct rpc_dispatcher *rpc, const struct rpc_procedure *procedure)
{
    for (size_t i = 0; i < rpc->count; i++) {
        const struct rpc_service *service = &rpc->services[i].service;
        if (procedure >= service->procedures && procedure < service->procedures + service->count)
            return &rpc->services[i];
    }
    return NULL;
}

static bool fits(const struct rpc_procedure *p)
{
    if (!has_id(p))
        return p->result_bytes == RPC_ANY_SIZE && !p->identified;
    return p->argument_bytes <= RPC_BYTES_MAX && p->result_bytes <= RPC_BYTES_MAX &&
           p->result_bytes > 0 && (!p->identified || p->argument_bytes >= RPC_IDENTITY_BYTES);
}

struct rpc_dispatcher *rpc_new(struct strait_env *env)
{
    struct rpc_dispatcher *rpc = calloc(1, sizeof(*rpc));
    if (rpc)
        rpc->env = env;
    return rpc;
}

int rpc_register(struct rpc_dispatcher *rpc, const struct rpc_service *service)
{
    const struct served *other;
    for (size_t i = 0; i < service->count; i++) {
        const struct rpc_procedure *p = &service->procedures[i];
        if (!fits(p)) {
            errno = EINVAL;
            return -1;
        }
        if (has_id(p) && (find(rpc, p->id, &other) || find_in(service, p->id) != p)) {
            errno = EEXIST;
            return -1;
        }
    }
    if (rpc->count == RPC_SERVICES_MAX) {
        errno = ENOSPC;
        return -1;
    }
    struct served *s = &rpc->services[rpc->count++];
    s->rpc = rpc;
    s->service = *service;
    if (s->service.parallel_max == 0)
        s->service.parallel_max = RPC_PARALLEL;
    if (s->service.queue_max == 0)
        s->service.queue_max = RPC_QUEUE;
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->running);
    TAILQ_INIT(&s->streaming);
    return 0;
}

bool get_sizes(const struct rpc_dispatcher *rpc, uint32_t id, size_t *argument_bytes,
               size_t *result_bytes)
{
    const struct served *served;
    const struct rpc_procedure *procedure = find(rpc, id, &served);
    if (!procedure)
        return false;
    *argument_bytes = procedure->argument_bytes;
    *result_bytes = procedure->result_bytes;
    return true;
}

static void free_jobs(struct jobs *jobs)
{
    for (struct rpc_job *job; (job = TAILQ_FIRST(jobs));) {
        TAILQ_REMOVE(jobs, job, link);
        free(job);
    }
}

static void release(struct rpc_dispatcher *rpc)
{
    for (size_t i = 0; i < rpc->count; i++)
        if (rpc->services[i].service.release)
            rpc->services[i].service.release(rpc->services[i].service.context);
    free(rpc);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void count_answer(struct rpc_dispatcher *rpc, enum rpc_code code)
{
    if (code == RPC_OK)
        rpc->counters.results++;
    else
        rpc->counters.errors++;
}

/* Tells the answer of a procedure of messages. */
static void tell_message(rpc_answered *answered, void *owner, enum rpc_code code,
                         const struct rpc_result *result)
{
    const char *text = result->text;
    if (code == RPC_OK)
        answered(owner, code, result->bytes, result->length);
    else
        answered(owner, code, (const uint8_t *)text, text ? strlen(text) : 0);
}

/* Ends a job that does not run, or has run. */
static void answer(struct rpc_job *job, enum rpc_code code)
{
    if (job->answered && !has_id(job->procedure))
        tell_message(job->answered, job->owner, code, &job->message);
    else if (job->answered)
        job->answered(job->owner, code, code == RPC_OK ? job->result : NULL,
                      code == RPC_OK ? job->procedure->result_bytes : 0);
    free(job->message.bytes);
    free(job);
}

static void expire(struct rpc_job *job)
{
    job->rpc->counters.expired++;
    answer(job, RPC_DEADLINE_EXCEEDED);
}

static void shed(struct rpc_job *job)
{
    job->rpc->counters.shed++;
    answer(job, RPC_RESOURCE_EXHAUSTED);
}

/* ---- Long calls ------------------------------------------------------------------------------ */

static void run_waiting(struct served *s);

/* On another thread. */
static void work_run(struct strait_work *work)
{
    struct rpc_job *job = (struct rpc_job *)(void *)work;
    void *context = job->served->service.context;
    if (job->procedure->handle)
        job->code =
            job->procedure->handle(context, job->arguments, job->argument_bytes, &job->message);
    else
        job->code = job->procedure->run(context, job->arguments, job->result);
}

static void note_time(struct served *s, uint64_t took_ns)
{
    if (s->mean_ns == 0)
        s->mean_ns = took_ns;
    else
        s->mean_ns = s->mean_ns - (s->mean_ns >> MEAN_SHIFT) + (took_ns >> MEAN_SHIFT);
}

/* What ran has ended with its code. */
static void job_done(struct rpc_job *job)
{
    struct rpc_dispatcher *rpc = job->rpc;
    struct served *s = job->served;
    TAILQ_REMOVE(&s->running, job, link);
    s->running_count--;
    rpc->running--;
    note_time(s, rpc->env->now(rpc->env) - job->began_ns);
    if (job->answered)
        count_answer(rpc, job->code);
    else
        rpc->counters.unheard++;
    answer(job, job->code);
    if (rpc->ending && rpc->running == 0)
        release(rpc);
    else if (!rpc->ending && !s->runs_waiting)
        run_waiting(s);
}

static void work_done(struct strait_work *work)
{
    job_done((struct rpc_job *)(void *)work);
}

void rpc_answer(struct rpc_job *job, enum rpc_code code, const uint8_t *result)
{
    job->code = code;
    if (code == RPC_OK)
        memcpy(job->result, result, job->procedure->result_bytes);
    if (job->begins)
        job->answered_early = true;
    else
        job_done(job);
}

void rpc_answer_message(struct rpc_job *job, enum rpc_code code, const struct rpc_result *result)
{
    job->code = code;
    job->message = *result;
    if (result->text) {
        snprintf((char *)job->result, sizeof(job->result), "%s", result->text);
        job->message.text = (const char *)job->result;
    }
    if (job->begins)
        job->answered_early = true;
    else
        job_done(job);
}

uint64_t rpc_job_deadline(const struct rpc_job *job)
{
    return job->deadline_ns;
}

static bool begins(const struct rpc_procedure *p)
{
    return p->begin || p->begin_message;
}

/* Returns whether the call is now under way. */
static bool begin_procedure(struct rpc_job *job)
{
    const struct rpc_procedure *p = job->procedure;
    void *context = job->served->service.context;
    job->begins = true;
    if (p->begin)
        p->begin(context, job, job->arguments);
    else
        p->begin_message(context, job, job->arguments, job->argument_bytes);
    job->begins = false;
    return !job->answered_early;
}

/* Lets a job run. Returns whether it is still there: it may have been shed, or answered. */
static bool begin(struct rpc_job *job)
{
    struct strait_env *env = job->rpc->env;
    struct served *s = job->served;
    job->began_ns = env->now(env);
    job->work.run = work_run;
    job->work.done = work_done;
    if (!begins(job->procedure) && env->execute(env, &job->work) < 0) {
        shed(job);
        return false;
    }
    job->runs = true;
    TAILQ_INSERT_TAIL(&s->running, job, link);
    s->running_count++;
    job->rpc->running++;
    if (!begins(job->procedure) || begin_procedure(job))
        return true;
    job_done(job);
    return false;
}

/* Lets as many run as may. */
static void run_waiting(struct served *s)
{
    s->runs_waiting = true;
    for (struct rpc_job *job;
         s->running_count < s->service.parallel_max && (job = TAILQ_FIRST(&s->waiting));) {
        struct strait_env *env = job->rpc->env;
        TAILQ_REMOVE(&s->waiting, job, link);
        s->waiting_count--;
        if (env->now(env) >= job->deadline_ns)
            expire(job);
        else
            begin(job);
    }
    s->runs_waiting = false;
}

/* Whether a call would be run in time, as things are, if it waited. */
static bool is_in_time(const struct served *s, uint64_t now_ns, uint64_t deadline_ns)
{
    unsigned rounds = (s->waiting_count + s->service.parallel_max) / s->service.parallel_max;
    return s->running_count < s->service.parallel_max ||
           s->mean_ns < (deadline_ns - now_ns) / rounds;
}

static struct rpc_job *queue_call(struct served *s, struct rpc_job *job, uint64_t now_ns)
{
    if (s->waiting_count >= s->service.queue_max || !is_in_time(s, now_ns, job->deadline_ns)) {
        shed(job);
        return NULL;
    }
    if (s->running_count < s->service.parallel_max)
        return begin(job) ? job : NULL;
    TAILQ_INSERT_TAIL(&s->waiting, job, link);
    s->waiting_count++;
    return job;
}

static void free_stream(struct rpc_job *job)
{
    TAILQ_REMOVE(&job->served->streaming, job, link);
    job->served->streaming_count--;
    free(job);
}

/* Tells the procedure of a job that runs; the job may end. */
static void tell_cancelled(struct rpc_job *job)
{
    job->answered = NULL;
    if (job->procedure->cancelled)
        job->procedure->cancelled(job->served->service.context, job);
}

void rpc_cancel(struct rpc_job *job)
{
    struct served *s = job->served;
    job->rpc->counters.cancelled++;
    job->answered = NULL;
    if (job->reader) {
        job->procedure->streaming->cancelled(s->service.context, job);
        free_stream(job);
        return;
    }
    if (job->runs) {
        tell_cancelled(job);
        return;
    }
    TAILQ_REMOVE(&s->waiting, job, link);
    s->waiting_count--;
    free(job);
}

static void cancel_streams(struct served *s)
{
    for (struct rpc_job *job; (job = TAILQ_FIRST(&s->streaming));)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
        rpc_cancel(job);
}

/* Those that end at once, end; nobody hears of the others. */
static void cancel_running(struct served *s)
{
    struct rpc_job *next;
    for (struct rpc_job *job = TAILQ_FIRST(&s->running); job; job = next) {
        next = TAILQ_NEXT(job, link);
        tell_cancelled(job);
    }
}

void rpc_free(struct rpc_dispatcher *rpc)
{
    if (!rpc)
        return;
    rpc->ending = true;
    rpc->running++; /* it is not released meanwhile */
    for (size_t i = 0; i < rpc->count; i++) {
        cancel_streams(&rpc->services[i]);
        free_jobs(&rpc->services[i].waiting);
        cancel_running(&rpc->services[i]);
    }
    if (--rpc->running == 0)
        release(rpc);
}

void rpc_crash(struct rpc_dispatcher *rpc)
{
    if (!rpc)
        return;
    rpc->ending = true;
    rpc->running++;
    for (size_t i = 0; i < rpc->count; i++) {
        cancel_running(&rpc->services[i]);
        free_jobs(&rpc->services[i].running);
    }
    rpc->running = 0;
    rpc_free(rpc);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void run_here(struct rpc_dispatcher *rpc, const struct served *s,
                     const struct rpc_procedure *procedure, const uint8_t *arguments,
                     rpc_answered *answered, void *owner)
{
    uint8_t result[RPC_BYTES_MAX];
    enum rpc_code code = procedure->run(s->service.context, arguments, result);
    count_answer(rpc, code);
    if (code == RPC_OK)
        answered(owner, code, result, procedure->result_bytes);
    else
        answered(owner, code, NULL, 0);
}

static void handle_here(struct rpc_dispatcher *rpc, const struct served *s,
                        const struct rpc_procedure *procedure, const uint8_t *arguments,
                        size_t argument_bytes, rpc_answered *answered, void *owner)
{
    struct rpc_result result = {0};
    enum rpc_code code = procedure->handle(s->service.context, arguments, argument_bytes, &result);
    count_answer(rpc, code);
    tell_message(answered, owner, code, &result);
    free(result.bytes);
}

static struct rpc_job *new_job(struct served *s, const struct rpc_procedure *procedure,
                               size_t argument_bytes, void *owner)
{
    struct rpc_job *job = calloc(1, sizeof(*job) + argument_bytes);
    if (!job)
        return NULL;
    job->rpc = s->rpc;
    job->served = s;
    job->procedure = procedure;
    job->argument_bytes = argument_bytes;
    job->owner = owner;
    return job;
}

static bool is_long(const struct served *s, const struct rpc_procedure *p, const uint8_t *arguments)
{
    if (p->handle)
        return p->handle_is_long;
    return begins(p) || (p->is_long && p->is_long(s->service.context, arguments));
}

struct rpc_job *rpc_run(struct rpc_dispatcher *rpc, const struct rpc_procedure *procedure,
                        const uint8_t *arguments, size_t argument_bytes, uint64_t deadline_ns,
                        rpc_answered *answered, void *owner)
{
    struct served *s = served_of(rpc, procedure);
    uint64_t now_ns = rpc->env->now(rpc->env);
    rpc->counters.calls++;
    if (now_ns >= deadline_ns) {
        rpc->counters.expired++;
        answered(owner, RPC_DEADLINE_EXCEEDED, NULL, 0);
        return NULL;
    }
    if (!is_long(s, procedure, arguments)) {
        if (procedure->handle)
            handle_here(rpc, s, procedure, arguments, argument_bytes, answered, owner);
        else
            run_here(rpc, s, procedure, arguments, answered, owner);
        return NULL;
    }
    struct rpc_job *job = new_job(s, procedure, argument_bytes, owner);
    if (!job) {
        rpc->counters.shed++;
        answered(owner, RPC_RESOURCE_EXHAUSTED, NULL, 0);
        return NULL;
    }
    job->answered = answered;
    job->deadline_ns = deadline_ns;
    memcpy(job->arguments, arguments, argument_bytes);
    return queue_call(s, job, now_ns);
}

struct rpc_job *call_server_stub(struct rpc_dispatcher *rpc, uint32_t id, const uint8_t *arguments,
                                 uint64_t deadline_ns, rpc_answered *answered, void *owner)
{
    const struct served *s;
    const struct rpc_procedure *procedure = find(rpc, id, &s);
    if (procedure)
        return rpc_run(rpc, procedure, arguments, procedure->argument_bytes, deadline_ns, answered,
                       owner);
    rpc->counters.calls++;
    rpc->counters.unknown++;
    answered(owner, RPC_UNIMPLEMENTED, NULL, 0);
    return NULL;
}

/* ---- Streams --------------------------------------------------------------------------------- */

struct rpc_job *rpc_stream(struct rpc_dispatcher *rpc, const struct rpc_procedure *procedure,
                           const struct rpc_reader *reader, void *owner)
{
    struct served *s = served_of(rpc, procedure);
    struct rpc_job *job = NULL;
    if (s->streaming_count < RPC_STREAMS_MAX)
        job = new_job(s, procedure, 0, owner);
    if (!job) {
        rpc->counters.shed++;
        return NULL;
    }
    job->reader = reader;
    TAILQ_INSERT_TAIL(&s->streaming, job, link);
    s->streaming_count++;
    rpc->counters.calls++;
    rpc->counters.streams++;
    return job;
}

void rpc_stream_message(struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    job->procedure->streaming->message(job->served->service.context, job, bytes, length);
}

void rpc_stream_finished(struct rpc_job *job)
{
    if (job->procedure->streaming->finished)
        job->procedure->streaming->finished(job->served->service.context, job);
}

void rpc_stream_room(struct rpc_job *job)
{
    if (job->procedure->streaming->room)
        job->procedure->streaming->room(job->served->service.context, job);
}

bool rpc_send(struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    job->rpc->counters.messages++;
    return job->reader->message(job->owner, bytes, length);
}

void rpc_end(struct rpc_job *job, enum rpc_code code, const char *text)
{
    rpc_answered *ended = job->reader->ended;
    void *owner = job->owner;
    count_answer(job->rpc, code);
    free_stream(job);
    ended(owner, code, (const uint8_t *)text, text ? strlen(text) : 0);
}

void **rpc_job_state(struct rpc_job *job)
{
    return &job->state;
}

/* ---- Counters -------------------------------------------------------------------------------- */

struct rpc_counters *rpc_counters(struct rpc_dispatcher *rpc)
{
    return &rpc->counters;
}

void rpc_visit_counters(const struct rpc_dispatcher *rpc,
                        void (*visit)(void *context, const char *name, uint64_t value),
                        void *context)
{
#define RPC_VISIT(name) visit(context, "rpc_" #name, rpc->counters.name);
    RPC_COUNTERS(RPC_VISIT)
#undef RPC_VISIT
}
