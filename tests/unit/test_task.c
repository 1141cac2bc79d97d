/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets a place for work that takes its time. What HTTP does of it is made here: the linker has it go through __wrap_*. */
#include "http/task.h"

#include "unit.h"

#include <pthread.h>
#include <unistd.h>

/* ---- the requests */

static const char *owner;
static unsigned refused;

const char *__wrap_kend_request_owner(const struct kend_request *request);
const char *__wrap_kend_request_owner(const struct kend_request *request)
{
    (void)request;
    return owner;
}

enum MHD_Result __wrap_kend_answer_problem(struct kend_request *request, enum proto_problem problem, const char *format, ...);
enum MHD_Result __wrap_kend_answer_problem(struct kend_request *request, enum proto_problem problem, const char *format, ...)
{
    (void)request, (void)format;
    ck_assert_int_eq(problem, PROTO_RATE_LIMITED);
    refused++;
    return MHD_YES;
}

enum kend_wait_result __wrap_kend_wait_suspend(struct kend_waits *waits, struct kend_wait *wait, struct MHD_Connection *connection,
                                               const char *job, uint64_t seen, int64_t deadline);
enum kend_wait_result __wrap_kend_wait_suspend(struct kend_waits *waits, struct kend_wait *wait, struct MHD_Connection *connection,
                                               const char *job, uint64_t seen, int64_t deadline)
{
    (void)waits, (void)wait, (void)connection, (void)job, (void)seen, (void)deadline;
    return KEND_WAIT_SUSPENDED;
}

void __wrap_kend_wait_wake(struct kend_waits *waits, struct kend_wait *wait);
void __wrap_kend_wait_wake(struct kend_waits *waits, struct kend_wait *wait)
{
    (void)waits, (void)wait;
}

/* ---- work that does not end before it is called off */

static void run(void *work, struct kend_task *task)
{
    (void)work;
    while (!kend_task_cancelled(task)) usleep(1000);
}

static void drop(void *work)
{
    (void)work;
}

static struct kend_http http;
static struct kend_request requests[KEND_TASKS];
static unsigned count;

/* Whether this owner gets one more. */
static bool starts(const char *whose)
{
    static const struct kend_task_kind kind = {run, drop};
    const unsigned before = refused;
    enum MHD_Result result;
    struct kend_request none = {.http = &http}, *request = count < KEND_TASKS ? &requests[count] : &none;
    *request = (struct kend_request){.http = &http};
    owner = whose;
    ck_assert_ptr_null(kend_task_start(request, &kind, &http, &result));
    if (refused == before) {
        ck_assert_uint_lt(count, KEND_TASKS);
        count++;
        return true;
    }
    request->release(request->state);
    return false;
}

static void begin(struct kend_tokens *tokens)
{
    count = 0;
    http = (struct kend_http){.parts.tokens = tokens};
    ck_assert_int_eq(kend_tasks_create(&http.tasks, NULL), 0);
}

static void end(void)
{
    kend_tasks_close(http.tasks);
    for (unsigned i = 0; i < count; i++) requests[i].release(requests[i].state);
    kend_tasks_destroy(&http.tasks);
}

static struct kend_tokens *const some = (struct kend_tokens *)&http; /* only asked for whether there are any */

START_TEST(without_tokens_all_are_one)
{
    begin(NULL);
    for (unsigned i = 0; i < KEND_TASKS; i++) ck_assert(starts(""));
    ck_assert(!starts(""));
    end();
}
END_TEST

START_TEST(whoever_comes_without_a_token_where_there_are_some_is_an_owner)
{
    begin(some);
    ck_assert(starts("") && starts(""));
    ck_assert(!starts(""));
    ck_assert(starts("a"));
    end();
}
END_TEST

START_TEST(the_last_place_is_for_an_owner_who_has_none)
{
    begin(some);
    ck_assert(starts("a") && starts("a") && starts("b"));
    ck_assert(!starts("a") && !starts("b"));
    ck_assert(starts("c"));
    ck_assert(!starts("d"));
    end();
}
END_TEST

UNIT_MAIN("task", without_tokens_all_are_one, whoever_comes_without_a_token_where_there_are_some_is_an_owner,
          the_last_place_is_for_an_owner_who_has_none)
