/* SPDX-License-Identifier: Apache-2.0 */
/* All layers of one role as small pictures in one. */
#include "heatmap/layers.h"
#include "heatmap/role.h"
#include "http/job_answer.h"
#include "http/job_layers.h"
#include "http/picture_answer.h"
#include "http/picture_files.h"
#include "http/picture_query.h"
#include "http/pruned.h"
#include "http/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is done, and what is asked for. */
struct work {
    struct kend_artifacts *artifacts;
    char job[PROTO_ID_SIZE], variant[KEN_MAX_VARIANT_NAME + 1];
    struct ken_layers wanted;
    char *role; /* to be freed */
    struct ken_picture picture;
    bool opened;
    int code;
    struct ken_error error;
};

/* ---- on a thread of its own */

static int draw(struct work *work, const struct kend_picture_files *files)
{
    return ken_layers_draw(&work->picture, &work->wanted, files->cells, files->cells_bytes, files->delta, files->delta_bytes, &work->error);
}

/* Those of the role, which stand together. */
static int draw_role(struct work *work, const struct kend_layers *layers, const struct kend_picture_files *files)
{
    size_t first = 0;
    while (first < layers->count && !ken_role_is(work->role, layers->item[first].name)) first++;
    if (first == layers->count) return ken_fail(&work->error, KEN_ENOT_FOUND, "no pruned tensor has that role");
    const size_t count = kend_layers_of_role(layers, first);
    struct ken_layer *told = calloc(count, sizeof *told);
    if (!told) return ken_fail(&work->error, KEN_ENOMEM, "out of memory for layers");
    for (size_t i = 0; i < count; i++) {
        const struct kend_layer *layer = &layers->item[first + i];
        told[i] = (struct ken_layer){layer->name, kend_layer_kept_fraction(layer), layer->relative_l2};
    }
    work->wanted.role = work->role;
    work->wanted.layers = told;
    work->wanted.count = count;
    int code = draw(work, files);
    work->wanted.layers = NULL;
    free(told);
    return code;
}

static void run(void *opaque, struct kend_task *task)
{
    struct work *work = opaque;
    const struct kend_layers_source source = {work->artifacts, work->job, work->variant, kend_task_cancelled, task};
    struct kend_picture_files files;
    struct kend_layers layers = {0};
    work->wanted.interrupt = (struct ken_interrupt){kend_task_cancelled, task};
    work->code = kend_picture_files_open(&files, work->artifacts, work->job, work->variant, &work->error);
    if (!work->code) work->code = kend_layers_read(&layers, &source, &work->error);
    work->opened = !work->code;
    if (work->opened) work->code = draw_role(work, &layers, &files);
    kend_layers_free(&layers);
    kend_picture_files_close(&files);
}

static void drop(void *opaque)
{
    struct work *work = opaque;
    free(work->picture.png);
    free(work->role);
    free(work);
}

/* ---- */

static enum MHD_Result answer(struct kend_request *request, struct work *work)
{
    return kend_answer_picture(request, work->code ? NULL : &work->picture, &work->error, work->opened);
}

static enum MHD_Result start(struct kend_request *request, const struct work *asked, const char *role)
{
    static const struct kend_task_kind kind = {run, drop};
    const struct kend_layers_source source = {asked->artifacts, asked->job, asked->variant, NULL, NULL};
    struct ken_error error = {0};
    enum MHD_Result result;
    uint64_t bytes;
    if (kend_layers_bytes(&source, &bytes, &error)) return kend_answer_picture(request, NULL, &error, false);
    if (!kend_hold_or_answer(request, bytes + ken_layers_most_bytes(&asked->wanted), &result)) return result;
    struct work *work = malloc(sizeof *work);
    if (!work) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    *work = *asked;
    work->role = strdup(role);
    if (!work->role) {
        drop(work);
        return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    }
    work = kend_task_start(request, &kind, work, &result);
    return work ? answer(request, work) : result;
}

static bool read_query(const struct kend_query *query, struct ken_layers *wanted, char *detail, size_t size)
{
    uint64_t width = 0;
    *wanted = (struct ken_layers){.view = KEN_VIEW_DENSITY};
    if (!kend_query_get(query, "role")) {
        snprintf(detail, size, "query parameter \"role\" is needed");
        return false;
    }
    const bool good = kend_picture_view(query, &wanted->view, "", detail, size) && kend_picture_end(query, &wanted->end, detail, size) &&
                      kend_query_number(query, "width", KEN_LAYERS_LEAST, KEN_PICTURE_MOST, &width, detail, size);
    wanted->width = (unsigned)width;
    return good;
}

enum MHD_Result kend_route_layers_picture(struct kend_request *request)
{
    struct work asked = {.artifacts = request->http->parts.artifacts};
    char detail[256];
    struct kend_job *job;
    enum MHD_Result result;
    if (request->state) {
        struct work *done = kend_task_done(request, &result);
        return done ? answer(request, done) : result;
    }
    if (!kend_find_job(request, &job, &result)) return result;
    memcpy(asked.job, job->id, sizeof asked.job);
    if (!read_query(&request->query, &asked.wanted, detail, sizeof detail))
        result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    else if (kend_pruned_find(asked.variant, request, job, "variant", kend_query_get(&request->query, "variant"), &result) &&
             !kend_picture_is_known(request, &result))
        result = start(request, &asked, kend_query_get(&request->query, "role"));
    kend_job_free(&job);
    return result;
}
