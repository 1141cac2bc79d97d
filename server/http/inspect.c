/* SPDX-License-Identifier: Apache-2.0 */
#include "http/inspect.h"

#include "heatmap/cells.h"
#include "http/failure.h"
#include "http/memory.h"
#include "http/picture_files.h"
#include "http/pruned.h"
#include "inspect/row.h"
#include "inspect/values.h"
#include "jobs/inputs.h"
#include "jobs/revisit.h"
#include "json_load.h"

#include <unistd.h>

enum { HEADER_TIMES = 6 }; /* what a checkpoint and a plan take, as a multiple of its headers */

bool kend_inspection_read(struct kend_inspection *inspection, struct kend_request *request, const struct kend_job *job,
                          enum MHD_Result *result)
{
    inspection->tensor = kend_query_get(&request->query, "tensor");
    if (inspection->tensor)
        return kend_pruned_find(inspection->variant, request, job, "variant", kend_query_get(&request->query, "variant"), result);
    *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"tensor\" is needed");
    return false;
}

/* ---- one look */

/* How far it came, which tells what a failure means. */
enum step { STEP_DELTA, STEP_TENSOR, STEP_ROOM, STEP_INPUTS, STEP_LOOK };

struct looking {
    struct kend_request *request;
    const struct kend_job *job;
    const struct kend_inspection *inspection;
    struct kend_picture_files files;
    json_t *spec, *inputs;
    struct kend_revisit revisit;
    enum step step;
};

/* Bytes of memory for it, so far as the headers of the delta's side tell. */
static int measure(const struct looking *looking, uint64_t *bytes, struct ken_error *error)
{
    struct ken_cells cells;
    struct ken_cells_found tensor;
    const struct kend_picture_files *files = &looking->files;
    int code = ken_cells_open(&cells, files->cells, files->cells_bytes, files->delta_bytes, error);
    if (!code) code = ken_cells_find(&cells, looking->inspection->tensor, &tensor, error);
    if (code) return code;
    *bytes = KEN_VALUES_BYTES;
    if (looking->inspection->row) *bytes = ken_row_bytes(tensor.shape.n < KEN_ROW_MOST ? tensor.shape.n : KEN_ROW_MOST);
    return KEN_OK;
}

/* What the inputs were. Jobs of an older kend did not say. */
static int read_inputs(struct looking *looking, struct ken_error *error)
{
    struct kend_artifacts *artifacts = looking->request->http->parts.artifacts;
    int file;
    uint64_t size;
    int code = artifacts->ops->open(artifacts, looking->job->id, KEND_INPUTS_NAME, &file, &size, error);
    if (code) return code;
    code = kend_inputs_read(&looking->inputs, file, size, error);
    close(file);
    return code;
}

static int revisit(struct looking *looking, struct ken_error *error)
{
    const struct kend_http_parts *parts = &looking->request->http->parts;
    const struct kend_revisit_request request = {
        .conf = parts->conf,
        .fetcher = parts->fetcher,
        .job = looking->job,
        .spec = looking->spec,
        .variant = looking->inspection->variant,
        .inputs = looking->inputs,
        .cells = looking->files.cells,
        .cells_bytes = looking->files.cells_bytes,
        .delta = looking->files.delta,
        .delta_bytes = looking->files.delta_bytes,
    };
    return kend_revisit_open(&looking->revisit, &request, error);
}

static int look(struct looking *looking, struct ken_error *error)
{
    struct kend_request *request = looking->request;
    uint64_t bytes = 0;
    int code =
        kend_picture_files_open(&looking->files, request->http->parts.artifacts, looking->job->id, looking->inspection->variant, error);
    if (code) return code;
    looking->step = STEP_TENSOR;
    code = measure(looking, &bytes, error);
    if (code) return code;
    looking->step = STEP_INPUTS;
    looking->spec = proto_json_load_text(looking->job->spec);
    if (!looking->spec) return ken_fail(error, KEN_ENOMEM, "out of memory");
    code = read_inputs(looking, error);
    if (code) return code;
    looking->step = STEP_ROOM;
    bytes += HEADER_TIMES * kend_inputs_header_bytes(looking->inputs);
    if (!kend_request_hold_document(request, bytes)) return ken_fail(error, KEN_EBUSY, KEND_CROWDED);
    looking->step = STEP_INPUTS;
    code = revisit(looking, error);
    if (code) return code;
    looking->step = STEP_LOOK;
    code = looking->inspection->look(looking->inspection->opaque, &looking->revisit.pair, error);
    if (code == KEN_EINVALID || code == KEN_ENOMEM) return code;
    /* Whatever else it fails with comes second: bytes that changed while they were read may have led to it. */
    struct ken_error reason = {0};
    const int changed = code == KEN_EFETCH ? KEN_ENOT_FOUND : kend_revisit_check(&looking->revisit, &reason);
    if (changed) looking->step = STEP_INPUTS;
    if (changed && code != KEN_EFETCH) *error = reason;
    return changed ? changed : code;
}

static enum MHD_Result answer_failure(const struct looking *looking, int code, const struct ken_error *error)
{
    struct kend_request *request = looking->request;
    static const struct kend_failure failure = {
        .missing = KEND_NO_PICTURE_FILES, .log = "a job's inputs cannot be looked at", .told = "the job's inputs cannot be looked at"};
    if (code == KEN_EINVALID) return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter %s", error->message);
    if (looking->step == STEP_ROOM) return kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", error->message);
    if (code == KEN_ENOT_FOUND && looking->step == STEP_TENSOR) return kend_answer_problem(request, PROTO_NOT_FOUND, "%s", error->message);
    if (code == KEN_ENOT_FOUND && looking->step != STEP_DELTA)
        return kend_answer_problem(request, PROTO_INPUTS_GONE, "what the job pruned is not in the cache any more, or not as it was");
    return kend_answer_failure(request, error, &failure);
}

bool kend_inspect(struct kend_request *request, const struct kend_job *job, const struct kend_inspection *inspection,
                  enum MHD_Result *result)
{
    struct looking looking = {.request = request, .job = job, .inspection = inspection};
    struct ken_error error = {0};
    int code = look(&looking, &error);
    kend_revisit_close(&looking.revisit);
    kend_picture_files_close(&looking.files);
    json_decref(looking.inputs);
    json_decref(looking.spec);
    if (code) *result = answer_failure(&looking, code, &error);
    return !code;
}
