/* SPDX-License-Identifier: Apache-2.0 */
#include "http/inspect.h"

#include "heatmap/cells.h"
#include "http/failure.h"
#include "http/memory.h"
#include "http/picture_files.h"
#include "http/pruned.h"
#include "http/task.h"
#include "inspect/row.h"
#include "inspect/values.h"
#include "jobs/inputs.h"
#include "jobs/revisit.h"
#include "json_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a checkpoint and a plan take, as a multiple of its headers; and headers that are read while the request waits: some milliseconds. */
enum { HEADER_TIMES = 6, SMALL_HEADERS = 100 << 10 };

bool kend_inspection_read(struct kend_inspection *inspection, struct kend_request *request, const struct kend_job *job,
                          enum MHD_Result *result)
{
    const char *tensor = kend_query_get(&request->query, "tensor");
    inspection->tensor = tensor ? strdup(tensor) : NULL;
    if (inspection->tensor)
        return kend_pruned_find(inspection->variant, request, job, "variant", kend_query_get(&request->query, "variant"), result);
    *result = tensor ? kend_answer_problem(request, PROTO_INTERNAL, "out of memory")
                     : kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"tensor\" is needed");
    return false;
}

void kend_inspection_free(struct kend_inspection *inspection)
{
    inspection->clear(inspection);
    free(inspection->tensor);
    free(inspection);
}

/* ---- one look */

/* How far it came, which tells what a failure means. */
enum step { STEP_DELTA, STEP_TENSOR, STEP_ROOM, STEP_INPUTS, STEP_LOOK };

struct looking {
    const struct kend_http_parts *parts;
    struct kend_job *job;
    struct kend_inspection *inspection;
    struct kend_picture_files files;
    json_t *spec, *inputs;
    struct kend_revisit revisit;
    enum step step;
    int code;
    struct ken_error error;
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
    struct kend_artifacts *artifacts = looking->parts->artifacts;
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
    const struct kend_revisit_request request = {
        .conf = looking->parts->conf,
        .fetcher = looking->parts->fetcher,
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

/* All that is small, and room for what is not. */
static int prepare(struct looking *looking, struct kend_request *request, struct ken_error *error)
{
    uint64_t bytes = 0;
    int code = kend_picture_files_open(&looking->files, looking->parts->artifacts, looking->job->id, looking->inspection->variant, error);
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
    return kend_request_hold_document(request, bytes) ? KEN_OK : ken_fail(error, KEN_EBUSY, KEND_CROWDED);
}

static int look(struct looking *looking, struct ken_error *error)
{
    looking->step = STEP_INPUTS;
    int code = revisit(looking, error);
    if (code) return code;
    looking->step = STEP_LOOK;
    code = looking->inspection->look(looking->inspection, &looking->revisit.pair, error);
    if (code == KEN_EINVALID || code == KEN_ENOMEM) return code;
    /* Whatever else it fails with comes second: bytes that changed while they were read may have led to it. */
    struct ken_error reason = {0};
    const int changed = code == KEN_EFETCH ? KEN_ENOT_FOUND : kend_revisit_check(&looking->revisit, &reason);
    if (changed) looking->step = STEP_INPUTS;
    if (changed && code != KEN_EFETCH) *error = reason;
    return changed ? changed : code;
}

/* ---- */

static enum MHD_Result answer_failure(const struct looking *looking, struct kend_request *request)
{
    static const struct kend_failure failure = {
        .missing = KEND_NO_PICTURE_FILES, .log = "a job's inputs cannot be looked at", .told = "the job's inputs cannot be looked at"};
    const int code = looking->code;
    const struct ken_error *error = &looking->error;
    if (code == KEN_EINVALID) return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter %s", error->message);
    if (looking->step == STEP_ROOM) return kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", error->message);
    if (code == KEN_ENOT_FOUND && looking->step == STEP_TENSOR) return kend_answer_problem(request, PROTO_NOT_FOUND, "%s", error->message);
    if (code == KEN_ENOT_FOUND && looking->step != STEP_DELTA)
        return kend_answer_problem(request, PROTO_INPUTS_GONE, "what the job pruned is not in the cache any more, or not as it was");
    return kend_answer_failure(request, error, &failure);
}

static enum MHD_Result answer(struct looking *looking, struct kend_request *request)
{
    enum MHD_Result result = looking->code ? answer_failure(looking, request) : looking->inspection->answer(looking->inspection, request);
    kend_request_let_go_document(request);
    return result;
}

static void run(void *opaque, struct kend_task *task)
{
    struct looking *looking = opaque;
    (void)task; /* a second at most, which is not called off */
    looking->code = look(looking, &looking->error);
}

static void drop(void *opaque)
{
    struct looking *looking = opaque;
    kend_revisit_close(&looking->revisit);
    kend_picture_files_close(&looking->files);
    json_decref(looking->inputs);
    json_decref(looking->spec);
    kend_job_free(&looking->job);
    kend_inspection_free(looking->inspection);
    free(looking);
}

enum MHD_Result kend_inspect_again(struct kend_request *request)
{
    enum MHD_Result result;
    struct looking *done = kend_task_done(request, &result);
    return done ? answer(done, request) : result;
}

enum MHD_Result kend_inspect(struct kend_request *request, struct kend_job **job, struct kend_inspection *inspection)
{
    static const struct kend_task_kind kind = {run, drop};
    struct looking *looking = calloc(1, sizeof *looking);
    enum MHD_Result result;
    if (!looking) {
        kend_inspection_free(inspection);
        kend_job_free(job);
        return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    }
    *looking = (struct looking){.parts = &request->http->parts, .job = *job, .inspection = inspection};
    looking->files.cells = looking->files.delta = -1;
    *job = NULL;
    looking->code = prepare(looking, request, &looking->error);
    if (!looking->code && kend_inputs_header_bytes(looking->inputs) > SMALL_HEADERS) {
        looking = kend_task_start(request, &kind, looking, &result);
        return looking ? answer(looking, request) : result;
    }
    if (!looking->code) run(looking, NULL);
    result = answer(looking, request);
    drop(looking);
    return result;
}
