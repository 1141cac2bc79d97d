/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a job's matrices, drawn while the request waits: some milliseconds, in memory that does not grow with the matrix. */
#include "heatmap/agreement_picture.h"
#include "http/comparing.h"
#include "http/inspect.h"
#include "http/job_answer.h"
#include "http/picture_answer.h"
#include "http/picture_files.h"
#include "http/picture_query.h"
#include "http/pruned.h"
#include "inspect/row_picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for */

static bool is_view(const struct kend_query *query, const char *name)
{
    const char *view = kend_query_get(query, "view");
    return view && strcmp(view, name) == 0;
}

/* What belongs to the comparison alone, which an ordinary picture would leave unused. */
static bool lacks_comparison(const struct kend_query *query, char *detail, size_t size)
{
    static const char *const names[] = {"with", "with_variant"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!kend_query_get(query, names[i])) continue;
        snprintf(detail, size, "query parameter \"%s\" belongs to view " KEN_AGREEMENT_VIEW, names[i]);
        return false;
    }
    return true;
}

/* False with a reason. Whether the region lies in the matrix is known when that is. */
static bool read_query(const struct kend_query *query, struct ken_heatmap *heatmap, char *detail, size_t size)
{
    uint64_t width = 0;
    *heatmap = (struct ken_heatmap){.tensor = kend_query_get(query, "tensor"), .view = KEN_VIEW_DENSITY};
    if (!heatmap->tensor) {
        snprintf(detail, size, "query parameter \"tensor\" is needed");
        return false;
    }
    const bool viewed = is_view(query, KEN_AGREEMENT_VIEW) ||
                        (kend_picture_view(query, &heatmap->view, ", " KEN_AGREEMENT_VIEW ", " KEN_ROW_VIEW, detail, size) &&
                         lacks_comparison(query, detail, size));
    bool good =
        viewed && kend_picture_end(query, &heatmap->end, detail, size) && kend_query_number(query, "x", 0, 0, &heatmap->x, detail, size) &&
        kend_query_number(query, "y", 0, 0, &heatmap->y, detail, size) && kend_query_number(query, "w", 1, 0, &heatmap->w, detail, size) &&
        kend_query_number(query, "h", 1, 0, &heatmap->h, detail, size) &&
        kend_query_number(query, "width", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, &width, detail, size) &&
        kend_query_flag(query, "legend", &heatmap->legend, detail, size);
    heatmap->width = (unsigned)width;
    return good;
}

/* ---- drawing */

static enum MHD_Result draw(struct kend_request *request, const struct ken_heatmap *heatmap, const char *variant)
{
    struct kend_picture_files files;
    struct ken_picture picture = {0};
    struct ken_error error = {0};
    enum MHD_Result result;
    if (!kend_hold_or_answer(request, ken_heatmap_most_bytes(heatmap), &result)) return result;
    int code = kend_picture_files_open(&files, request->http->parts.artifacts, request->match.id, variant, &error);
    const bool opened = !code;
    if (opened) code = ken_heatmap_draw(&picture, heatmap, files.cells, files.cells_bytes, files.delta, files.delta_bytes, &error);
    kend_picture_files_close(&files);
    return kend_answer_picture(request, code ? NULL : &picture, &error, opened);
}

static enum MHD_Result draw_comparison(struct kend_request *request, const struct ken_heatmap *heatmap,
                                       const struct kend_comparing *comparing)
{
    const struct kend_compared_model *const models[] = {&comparing->here, &comparing->there};
    struct kend_picture_files files[2] = {{-1, -1, 0, 0}, {-1, -1, 0, 0}};
    struct ken_picture_side sides[2];
    struct ken_picture picture = {0};
    struct ken_error error = {0};
    int code = KEN_OK;
    enum MHD_Result result;
    if (!kend_hold_or_answer(request, ken_heatmap_most_bytes(heatmap), &result)) return result;
    for (size_t i = 0; !code && i < 2; i++) {
        code = kend_picture_files_open(&files[i], comparing->artifacts, models[i]->job, models[i]->variant, &error);
        sides[i] = (struct ken_picture_side){files[i].cells, files[i].delta, files[i].cells_bytes, files[i].delta_bytes};
    }
    const bool opened = !code;
    if (opened) code = ken_agreement_draw(&picture, heatmap, &sides[0], &sides[1], &error);
    for (size_t i = 0; i < 2; i++) kend_picture_files_close(&files[i]);
    return kend_answer_picture(request, code ? NULL : &picture, &error, opened);
}

static enum MHD_Result answer_comparison(struct kend_request *request, const struct ken_heatmap *heatmap)
{
    struct kend_comparing comparing = {.artifacts = request->http->parts.artifacts};
    enum MHD_Result result;
    if (!kend_comparing_read(&comparing, request, &result)) return result;
    return kend_picture_is_known(request, &result) ? result : draw_comparison(request, heatmap, &comparing);
}

static enum MHD_Result answer_job(struct kend_request *request, const struct ken_heatmap *heatmap)
{
    char variant[KEN_MAX_VARIANT_NAME + 1];
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_find_job(request, &job, &result)) return result;
    if (kend_pruned_find(variant, request, job, "variant", kend_query_get(&request->query, "variant"), &result) &&
        !kend_picture_is_known(request, &result))
        result = draw(request, heatmap, variant);
    kend_job_free(&job);
    return result;
}

static enum MHD_Result answer_row(struct kend_request *request)
{
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_find_job(request, &job, &result)) return result;
    result = kend_answer_row_picture(request, &job);
    kend_job_free(&job);
    return result;
}

/* Whose job it is comes first: who may not see it is told nothing. */
enum MHD_Result kend_route_heatmap(struct kend_request *request)
{
    struct ken_heatmap heatmap;
    char detail[256];
    struct kend_job *job;
    enum MHD_Result result;
    if (request->state) return kend_inspect_again(request); /* no other view waits */
    if (is_view(&request->query, KEN_ROW_VIEW)) return answer_row(request);
    if (!read_query(&request->query, &heatmap, detail, sizeof detail)) {
        if (!kend_find_job(request, &job, &result)) return result;
        kend_job_free(&job);
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    }
    return is_view(&request->query, KEN_AGREEMENT_VIEW) ? answer_comparison(request, &heatmap) : answer_job(request, &heatmap);
}
