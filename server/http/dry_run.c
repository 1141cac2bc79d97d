/* SPDX-License-Identifier: Apache-2.0 */
#include "http/dry_run.h"

#include "clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { DRY_RUN_MAGIC = 0x64727972, DRY_RUN_GRACE_SECONDS = 5 };

/* Shared by the request, which may be given up by its client, and the engine, which cannot be told to forget it: the last one frees it. */
struct dry_run_request {
    unsigned magic;
    pthread_mutex_t lock;
    unsigned owners;
    struct kend_waits *waits;
    struct kend_wait *wait; /* the request's; NULL when it is gone */
    bool done;
    int code;
    const char *pointer; /* static */
    char message[KEN_MESSAGE_MAX];
    json_t *plan;
};

static void dry_run_leave(struct dry_run_request *run, bool request)
{
    pthread_mutex_lock(&run->lock);
    if (request) run->wait = NULL;
    bool last = --run->owners == 0;
    pthread_mutex_unlock(&run->lock);
    if (!last) return;
    pthread_mutex_destroy(&run->lock);
    json_decref(run->plan);
    run->magic = 0;
    free(run);
}

static void dry_run_release(void *state)
{
    dry_run_leave(state, true);
}

/* On a thread of the engine. */
static void dry_run_done(void *opaque, int code, const char *pointer, const char *message, const json_t *plan)
{
    struct dry_run_request *run = opaque;
    KEN_ASSERT(run->magic == DRY_RUN_MAGIC);
    pthread_mutex_lock(&run->lock);
    run->code = code;
    run->pointer = pointer;
    if (message) strncpy(run->message, message, sizeof run->message - 1);
    run->plan = plan ? json_deep_copy(plan) : NULL;
    run->done = true;
    if (run->wait) kend_wait_wake(run->waits, run->wait);
    pthread_mutex_unlock(&run->lock);
    dry_run_leave(run, false);
}

enum MHD_Result kend_dry_run_start(struct kend_request *request, struct proto_job *job)
{
    struct dry_run_request *run = calloc(1, sizeof *run);
    if (!run) {
        proto_job_free(&job);
        return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    }
    run->magic = DRY_RUN_MAGIC;
    pthread_mutex_init(&run->lock, NULL);
    run->owners = 2;
    run->waits = request->http->parts.waits;
    run->wait = &request->wait;
    request->state = run;
    request->release = dry_run_release;
    request->deadline = kend_monotonic_ms() + (int64_t)(KEND_DRY_RUN_SECONDS + DRY_RUN_GRACE_SECONDS) * 1000;
    if (!kend_engine_dry_run(request->http->parts.engine, job, kend_request_owner(request), dry_run_done, run)) {
        dry_run_leave(run, false);
        return kend_answer_problem(request, PROTO_RATE_LIMITED, "too many dry runs are being made already (at most %d, %d of one owner)",
                                   KEND_DRY_RUNS, KEND_DRY_RUNS_OF_OWNER);
    }
    return kend_dry_run_answer(request);
}

/* What failed as the job error that it would be. */
static enum MHD_Result answer_failure(struct kend_request *request, const struct dry_run_request *run)
{
    if (run->code == KEN_ECANCELLED) return kend_answer_problem(request, PROTO_DRAINING, "kend is shutting down");
    const enum proto_job_error error = proto_job_error_of(run->code);
    if (error == PROTO_JOB_INTERNAL) return kend_answer_problem(request, PROTO_INTERNAL, "%s", run->message);
    return kend_answer_failed_check(request, error, run->pointer, run->message);
}

enum MHD_Result kend_dry_run_answer(struct kend_request *request)
{
    struct dry_run_request *run = request->state;
    KEN_ASSERT(run->magic == DRY_RUN_MAGIC);
    for (;;) {
        pthread_mutex_lock(&run->lock);
        bool done = run->done;
        pthread_mutex_unlock(&run->lock);
        if (done) break;
        if (kend_monotonic_ms() >= request->deadline) return kend_answer_problem(request, PROTO_INTERNAL, "the dry run does not end");
        const enum kend_wait_result waits = kend_wait_suspend(run->waits, &request->wait, request->connection, NULL, 0, request->deadline);
        if (waits == KEND_WAIT_SUSPENDED) return MHD_YES;
        if (waits != KEND_WAIT_CHANGED) return kend_answer_no_wait(request, waits);
    }
    /* Done: the engine does not touch it any more. */
    if (run->code) return answer_failure(request, run);
    return kend_answer_json(request, 200, json_incref(run->plan));
}
