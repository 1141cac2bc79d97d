/* SPDX-License-Identifier: Apache-2.0 */
/* Two jobs, or two variants of one, tensor by tensor: in how many elements their masks agree and differ. */
#include "http/comparing.h"
#include "http/comparisons.h"
#include "http/failure.h"
#include "http/list.h"
#include "http/memory.h"
#include "http/task.h"
#include "json_writer.h"

#include <stdlib.h>
#include <string.h>

enum { SKIPPED_TOLD = 200 };

/* What is done, and what is asked for. */
struct work {
    struct kend_comparing comparing;
    struct kend_list_query page; /* of tensors */
    struct kend_comparisons *comparisons;
    const struct kend_comparison *kept; /* to be given back; or NULL */
    struct kend_comparison made;        /* where none could be kept */
    int code;
    struct ken_error error;
};

/* ---- the document */

static void tell_number(struct ken_json_writer *json, const char *key, uint64_t number)
{
    ken_json_key(json, key);
    ken_json_uint(json, number);
}

static void tell_agreement(struct ken_json_writer *json, const struct ken_agreement *agreement)
{
    tell_number(json, "both", agreement->both);
    tell_number(json, "only_here", agreement->only_here);
    tell_number(json, "only_there", agreement->only_there);
    tell_number(json, "neither", agreement->neither);
    ken_json_key(json, "jaccard");
    ken_json_double(json, ken_agreement_jaccard(agreement));
}

static void tell_compared(struct ken_json_writer *json, const struct kend_compared *compared)
{
    ken_json_begin_object(json);
    ken_json_key(json, "name");
    ken_json_string(json, compared->name);
    ken_json_key(json, "shape");
    ken_json_uints(json, compared->shape, compared->rank);
    tell_agreement(json, &compared->agreement);
    ken_json_key(json, "relative_l2_here");
    ken_json_double(json, compared->relative_l2_here);
    ken_json_key(json, "relative_l2_there");
    ken_json_double(json, compared->relative_l2_there);
    ken_json_end_object(json);
}

static void tell_skipped(struct ken_json_writer *json, const struct kend_comparison *comparison)
{
    ken_json_key(json, "skipped");
    ken_json_begin_array(json);
    for (size_t i = 0; i < comparison->skipped_count && i < SKIPPED_TOLD; i++) {
        ken_json_begin_object(json);
        ken_json_key(json, "name");
        ken_json_string(json, comparison->skipped[i].name);
        ken_json_key(json, "reason");
        ken_json_string(json, kend_skipped_word(comparison->skipped[i].reason));
        ken_json_end_object(json);
    }
    ken_json_end_array(json);
}

/* The page; *text [*length] to be freed. */
static int tell(const struct work *work, const struct kend_comparison *comparison, char **text, size_t *length)
{
    struct ken_json_writer json;
    const struct kend_list_page page = kend_list_page_of(&work->page, comparison->count);
    ken_json_writer_init(&json);
    kend_list_page_begin(&json);
    for (size_t i = page.first; i < page.end; i++) tell_compared(&json, &comparison->compared[i]);
    kend_list_page_end(&json, &page);
    ken_json_key(&json, "totals");
    ken_json_begin_object(&json);
    tell_number(&json, "tensors", comparison->count);
    tell_number(&json, "skipped", comparison->skipped_count);
    tell_agreement(&json, &comparison->totals);
    ken_json_end_object(&json);
    tell_skipped(&json, comparison);
    ken_json_end_object(&json);
    ken_json_filler(&json, "\n", 1);
    return ken_json_writer_take(&json, text, length);
}

static enum MHD_Result answer_page(struct kend_request *request, const struct work *work, const struct kend_comparison *comparison)
{
    char *text = NULL;
    size_t length = 0;
    const int code = tell(work, comparison, &text, &length);
    return kend_send(request, 200, code ? NULL : kend_response_take(request, text, length, "application/json"));
}

/* ---- on a thread of its own */

static void run(void *opaque, struct kend_task *task)
{
    struct work *work = opaque;
    work->comparing.interrupt = (struct ken_interrupt){kend_task_cancelled, task};
    work->code = kend_comparison_make(&work->made, &work->comparing, &work->error);
    if (work->code)
        kend_comparison_free(&work->made);
    else
        work->kept = kend_comparisons_keep(work->comparisons, &work->comparing, &work->made);
}

static void drop(void *opaque)
{
    struct work *work = opaque;
    if (work->kept) kend_comparisons_give_back(work->comparisons, work->kept);
    kend_comparison_free(&work->made);
    free(work);
}

/* ---- */

static enum MHD_Result answer_failure(struct kend_request *request, const struct ken_error *error)
{
    static const struct kend_failure failure = {
        .missing = "one of the two has no delta to compare", .log = "deltas cannot be compared", .told = "the deltas cannot be compared"};
    return kend_answer_failure(request, error, &failure);
}

static enum MHD_Result answer(struct kend_request *request, const struct work *work)
{
    kend_request_let_go_document(request);
    if (work->code) return answer_failure(request, &work->error);
    return answer_page(request, work, work->kept ? work->kept : &work->made);
}

static enum MHD_Result start(struct kend_request *request, const struct work *asked)
{
    static const struct kend_task_kind kind = {run, drop};
    struct ken_error error = {0};
    struct work *work;
    enum MHD_Result result;
    uint64_t bytes;
    if (kend_comparison_bytes(&asked->comparing, &bytes, &error)) return answer_failure(request, &error);
    if (!kend_hold_or_answer(request, bytes, &result)) return result;
    if (!(work = malloc(sizeof *work))) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    *work = *asked;
    work = kend_task_start(request, &kind, work, &result);
    return work ? answer(request, work) : result;
}

enum MHD_Result kend_route_compare(struct kend_request *request)
{
    struct work asked = {.comparing = {.artifacts = request->http->parts.artifacts}, .comparisons = request->http->comparisons};
    enum MHD_Result result;
    if (request->state) {
        const struct work *done = kend_task_done(request, &result);
        return done ? answer(request, done) : result;
    }
    if (!kend_list_query_read(&asked.page, request, &result)) return result;
    if (!kend_comparing_read(&asked.comparing, request, &result)) return result;
    const struct kend_comparison *kept = kend_comparisons_find(asked.comparisons, &asked.comparing);
    if (!kept) return start(request, &asked);
    result = answer_page(request, &asked, kept);
    kend_comparisons_give_back(asked.comparisons, kept);
    return result;
}
