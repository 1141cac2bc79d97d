/* SPDX-License-Identifier: Apache-2.0 */
/* The pruned tensors of a job, by role: which do the same work in different layers, and what pruning did to each. */
#include "heatmap/role.h"
#include "http/failure.h"
#include "http/job_answer.h"
#include "http/job_layers.h"
#include "http/list.h"
#include "http/memory.h"
#include "http/pruned.h"
#include "http/task.h"
#include "json_writer.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 16 };

/* What is done, and what is asked for. */
struct work {
    struct kend_artifacts *artifacts;
    char job[PROTO_ID_SIZE], variant[KEN_MAX_VARIANT_NAME + 1];
    struct kend_list_query page; /* of roles */
    struct kend_layers layers;
    char *text; /* [length]; NULL: not made */
    size_t length;
    int code;
    struct ken_error error;
};

/* The layers of one role. */
struct role {
    size_t first, count, place; /* place: of the one that comes first in the model */
};

/* ---- the document */

static void tell_layer(struct ken_json_writer *json, const struct kend_layer *layer)
{
    uint64_t numbers[NUMBERS];
    const size_t count = ken_role_numbers(layer->name, numbers, NUMBERS);
    ken_json_begin_object(json);
    ken_json_key(json, "name");
    ken_json_string(json, layer->name);
    ken_json_key(json, "numbers");
    ken_json_uints(json, numbers, count < NUMBERS ? count : NUMBERS);
    ken_json_key(json, "shape");
    ken_json_uints(json, layer->shape, layer->rank);
    ken_json_key(json, "kept_fraction");
    ken_json_double(json, kend_layer_kept_fraction(layer));
    ken_json_key(json, "relative_l2");
    ken_json_double(json, layer->relative_l2);
    ken_json_key(json, "kept");
    ken_json_uint(json, layer->kept);
    ken_json_key(json, "reset");
    ken_json_uint(json, layer->reset);
    ken_json_key(json, "unchanged");
    ken_json_uint(json, layer->unchanged);
    ken_json_end_object(json);
}

static int tell_role(struct ken_json_writer *json, const struct kend_layers *layers, const struct role *role)
{
    const char *name = layers->item[role->first].name;
    char *text = malloc(strlen(name) + 1);
    if (!text) return KEN_ENOMEM;
    ken_json_begin_object(json);
    ken_json_key(json, "role");
    ken_json_string(json, ken_role_of(text, name));
    ken_json_key(json, "tensors");
    ken_json_begin_array(json);
    for (size_t i = 0; i < role->count; i++) tell_layer(json, &layers->item[role->first + i]);
    ken_json_end_array(json);
    ken_json_end_object(json);
    free(text);
    return KEN_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct role *one = a, *other = b;
    return one->place < other->place ? -1 : one->place > other->place;
}

/* Roles in the order of the model; NULL if out of memory. */
static struct role *find_roles(const struct kend_layers *layers, size_t *count)
{
    struct role *roles = calloc(layers->count + 1, sizeof *roles);
    *count = 0;
    for (size_t first = 0; roles && first < layers->count; first += roles[(*count)++].count) {
        struct role role = {first, kend_layers_of_role(layers, first), SIZE_MAX};
        for (size_t i = 0; i < role.count; i++)
            if (layers->item[first + i].place < role.place) role.place = layers->item[first + i].place;
        roles[*count] = role;
    }
    if (roles) qsort(roles, *count, sizeof *roles, by_place);
    return roles;
}

static int tell(struct work *work)
{
    struct ken_json_writer json;
    size_t count;
    struct role *roles = find_roles(&work->layers, &count);
    if (!roles) return ken_fail(&work->error, KEN_ENOMEM, "out of memory for layers");
    const struct kend_list_page page = kend_list_page_of(&work->page, count);
    int code = KEN_OK;
    ken_json_writer_init(&json);
    kend_list_page_begin(&json);
    for (size_t i = page.first; !code && i < page.end; i++) code = tell_role(&json, &work->layers, &roles[i]);
    kend_list_page_end(&json, &page);
    ken_json_end_object(&json);
    ken_json_filler(&json, "\n", 1);
    free(roles);
    if (!code) code = ken_json_writer_take(&json, &work->text, &work->length);
    if (code) ken_json_writer_free(&json);
    return code ? ken_fail(&work->error, code, "out of memory for layers") : KEN_OK;
}

/* ---- on a thread of its own */

static void run(void *opaque, struct kend_task *task)
{
    struct work *work = opaque;
    const struct kend_layers_source source = {work->artifacts, work->job, work->variant, kend_task_cancelled, task};
    work->code = kend_layers_read(&work->layers, &source, &work->error);
    if (!work->code) work->code = tell(work);
    kend_layers_free(&work->layers);
}

static void drop(void *opaque)
{
    struct work *work = opaque;
    free(work->text);
    free(work);
}

/* ---- */

static enum MHD_Result answer_failure(struct kend_request *request, const struct ken_error *error)
{
    static const struct kend_failure failure = {
        .missing = "only pruning makes layers to look at", .log = "layers cannot be read", .told = "the layers cannot be read"};
    return kend_answer_failure(request, error, &failure);
}

static enum MHD_Result answer(struct kend_request *request, struct work *work)
{
    char *text = work->text;
    work->text = NULL;
    kend_request_let_go_document(request);
    if (work->code) return answer_failure(request, &work->error);
    return kend_send(request, 200, kend_response_take(request, text, work->length, "application/json"));
}

static enum MHD_Result start(struct kend_request *request, const struct work *asked)
{
    static const struct kend_task_kind kind = {run, drop};
    const struct kend_layers_source source = {asked->artifacts, asked->job, asked->variant, NULL, NULL};
    struct ken_error error = {0};
    struct work *work;
    enum MHD_Result result;
    uint64_t bytes;
    if (kend_layers_bytes(&source, &bytes, &error)) return answer_failure(request, &error);
    bytes *= 3; /* a page of them tells at most two names for a row's one */
    if (!kend_hold_or_answer(request, bytes, &result)) return result;
    if (!(work = malloc(sizeof *work))) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    *work = *asked;
    work = kend_task_start(request, &kind, work, &result);
    return work ? answer(request, work) : result;
}

enum MHD_Result kend_route_layers(struct kend_request *request)
{
    struct work asked = {.artifacts = request->http->parts.artifacts};
    struct kend_job *job;
    enum MHD_Result result;
    if (request->state) {
        struct work *done = kend_task_done(request, &result);
        return done ? answer(request, done) : result;
    }
    if (!kend_list_query_read(&asked.page, request, &result)) return result;
    if (!kend_find_job(request, &job, &result)) return result;
    memcpy(asked.job, job->id, sizeof asked.job);
    if (kend_pruned_find(asked.variant, request, job, "variant", kend_query_get(&request->query, "variant"), &result))
        result = start(request, &asked);
    kend_job_free(&job);
    return result;
}
