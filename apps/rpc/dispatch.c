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
 */
#include "rpc/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define MEAN_SHIFT 3 /* a run changes the mean time of a service by an eighth of the difference */

TAILQ_HEAD(jobs, rpc_job);

struct served {
    struct rpc_service service;
    struct jobs waiting, running;
    unsigned waiting_count, running_count;
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
    uint8_t arguments[RPC_BYTES_MAX], result[RPC_BYTES_MAX];
};

/* ---- Services -------------------------------------------------------------------------------- */

static const struct rpc_procedure *find_in(const struct rpc_service *service, uint32_t id)
{
    for (size_t i = 0; i < service->count; i++)
        if (service->procedures[i].id == id)
            return &service->procedures[i];
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

static bool fits(const struct rpc_procedure *p)
{
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
        if (find(rpc, p->id, &other) || find_in(service, p->id) != p) {
            errno = EEXIST;
            return -1;
        }
    }
    if (rpc->count == RPC_SERVICES_MAX) {
        errno = ENOSPC;
        return -1;
    }
    struct served *s = &rpc->services[rpc->count++];
    s->service = *service;
    if (s->service.parallel_max == 0)
        s->service.parallel_max = RPC_PARALLEL;
    if (s->service.queue_max == 0)
        s->service.queue_max = RPC_QUEUE;
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->running);
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

void rpc_free(struct rpc_dispatcher *rpc)
{
    if (!rpc)
        return;
    rpc->ending = true;
    for (size_t i = 0; i < rpc->count; i++) {
        struct rpc_job *job;
        free_jobs(&rpc->services[i].waiting);
        TAILQ_FOREACH(job, &rpc->services[i].running, link)
        job->answered = NULL;
    }
    if (rpc->running == 0)
        release(rpc);
}

void rpc_crash(struct rpc_dispatcher *rpc)
{
    if (!rpc)
        return;
    for (size_t i = 0; i < rpc->count; i++)
        free_jobs(&rpc->services[i].running);
    rpc->running = 0;
    rpc_free(rpc);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void count_answer(struct rpc_dispatcher *rpc, enum rpc_code code)
{
    if (code == RPC_OK)
        rpc->counters.results++;
    else
        rpc->counters.errors++;
}

/* Ends a job that does not run, or has run. */
static void answer(struct rpc_job *job, enum rpc_code code)
{
    if (job->answered)
        job->answered(job->owner, code, code == RPC_OK ? job->result : NULL,
                      code == RPC_OK ? job->procedure->result_bytes : 0);
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
    job->code = job->procedure->run(job->served->service.context, job->arguments, job->result);
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

/* Returns whether the call is now under way. */
static bool begin_procedure(struct rpc_job *job)
{
    job->begins = true;
    job->procedure->begin(job->served->service.context, job, job->arguments);
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
    if (!job->procedure->begin && env->execute(env, &job->work) < 0) {
        shed(job);
        return false;
    }
    job->runs = true;
    TAILQ_INSERT_TAIL(&s->running, job, link);
    s->running_count++;
    job->rpc->running++;
    if (!job->procedure->begin || begin_procedure(job))
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

void rpc_cancel(struct rpc_job *job)
{
    struct served *s = job->served;
    job->rpc->counters.cancelled++;
    job->answered = NULL;
    if (job->runs)
        return;
    TAILQ_REMOVE(&s->waiting, job, link);
    s->waiting_count--;
    free(job);
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

struct rpc_job *call_server_stub(struct rpc_dispatcher *rpc, uint32_t id, const uint8_t *arguments,
                                 uint64_t deadline_ns, rpc_answered *answered, void *owner)
{
    const struct served *s;
    const struct rpc_procedure *procedure = find(rpc, id, &s);
    uint64_t now_ns = rpc->env->now(rpc->env);
    rpc->counters.calls++;
    if (!procedure) {
        rpc->counters.unknown++;
        answered(owner, RPC_UNIMPLEMENTED, NULL, 0);
        return NULL;
    }
    if (now_ns >= deadline_ns) {
        rpc->counters.expired++;
        answered(owner, RPC_DEADLINE_EXCEEDED, NULL, 0);
        return NULL;
    }
    if (!procedure->begin &&
        (!procedure->is_long || !procedure->is_long(s->service.context, arguments))) {
        run_here(rpc, s, procedure, arguments, answered, owner);
        return NULL;
    }
    struct rpc_job *job = malloc(sizeof(*job));
    if (!job) {
        rpc->counters.shed++;
        answered(owner, RPC_RESOURCE_EXHAUSTED, NULL, 0);
        return NULL;
    }
    *job = (struct rpc_job){
        .rpc = rpc,
        .served = &rpc->services[s - rpc->services],
        .procedure = procedure,
        .deadline_ns = deadline_ns,
        .answered = answered,
        .owner = owner,
    };
    memcpy(job->arguments, arguments, procedure->argument_bytes);
    return queue_call(job->served, job, now_ns);
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
