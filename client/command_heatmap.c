/* SPDX-License-Identifier: Apache-2.0 */
#include "delta_folder.h"
#include "files.h"
#include "folder.h"
#include "heatmap/heatmap.h"
#include "local.h"
#include "print.h"
#include "remote_job.h"
#include "staging.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is asked for, and what comes of it. */
struct picture {
    const struct kenctl *kenctl;
    const char *place, *tensor, *variant; /* a job or a folder; variant may be NULL */
    struct ken_heatmap heatmap;
    unsigned char *bytes; /* [length] */
    size_t length;
    bool full; /* out of memory for them */
};

/* ---- the options */

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    if (!*text || strspn(text, "0123456789") != strlen(text)) return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0;
}

/* X,Y,W,H */
static bool read_region(const char *text, struct ken_heatmap *heatmap)
{
    uint64_t *const numbers[] = {&heatmap->x, &heatmap->y, &heatmap->w, &heatmap->h};
    char *copy = strdup(text), *rest = copy, *part;
    size_t read = 0;
    while (copy && (part = strsep(&rest, ",")) && read < 4 && read_number(part, numbers[read])) read++;
    bool good = read == 4 && !rest && heatmap->w && heatmap->h;
    free(copy);
    return good;
}

static int read_options(struct picture *picture)
{
    const struct kenctl *kenctl = picture->kenctl;
    const char *view = kenctl_option(kenctl, KENCTL_OPT_VIEW), *region = kenctl_option(kenctl, KENCTL_OPT_REGION);
    const char *width = kenctl_option(kenctl, KENCTL_OPT_WIDTH), *most = kenctl_option(kenctl, KENCTL_OPT_SCALE_END);
    struct ken_heatmap *heatmap = &picture->heatmap;
    uint64_t pixels = 0;
    char *end = NULL;
    heatmap->tensor = picture->tensor;
    heatmap->view = view ? ken_view_parse(view) : KEN_VIEW_DENSITY;
    if (heatmap->view == KEN_VIEW_COUNT) return kenctl_usage(kenctl, "--view is mask, neighbors, density or delta, not '%s'", view);
    if (region && !read_region(region, heatmap)) return kenctl_usage(kenctl, "--region is X,Y,W,H, as 0,0,768,768, not '%s'", region);
    if (width && (!read_number(width, &pixels) || pixels < KEN_PICTURE_LEAST || pixels > KEN_PICTURE_MOST))
        return kenctl_usage(kenctl, "--width is a number from %d to %d, not '%s'", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, width);
    heatmap->width = (unsigned)pixels;
    heatmap->end = most ? strtod(most, &end) : 0;
    if (most && (*end || end == most || !(heatmap->end > 0 && heatmap->end < 1e300)))
        return kenctl_usage(kenctl, "--max is a number above 0, not '%s'", most);
    return KENCTL_SUCCESS;
}

/* ---- of a folder that prune made */

static int open_file(const char *folder, const char *name, int *file, uint64_t *size, struct ken_error *error)
{
    struct stat state;
    char *path = kenctl_join(folder, name);
    *file = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    int code = KEN_OK;
    if (!path)
        code = ken_fail(error, KEN_ENOMEM, "out of memory");
    else if (*file < 0 || fstat(*file, &state) != 0)
        code = ken_fail_errno(error, errno, "cannot read %s", path);
    else if (!S_ISREG(state.st_mode))
        code = ken_fail(error, KEN_EIO, "%s is no file", path);
    else
        *size = (uint64_t)state.st_size;
    free(path);
    return code;
}

static int draw(struct picture *picture)
{
    char cells_name[KEN_PATH_SIZE], delta_name[KEN_PATH_SIZE];
    const char *variant = picture->variant;
    struct ken_error error = {0};
    struct ken_picture drawn = {0};
    uint64_t cells_bytes = 0, delta_bytes = 0;
    int cells = -1, delta = -1;
    if (variant && !kenctl_is_safe_name(variant)) return kenctl_usage(picture->kenctl, "--variant is a name, not '%s'", variant);
    snprintf(cells_name, sizeof cells_name, ".kend/%s.cells", variant ? variant : "tensors");
    snprintf(delta_name, sizeof delta_name, "%s%s" KEN_DELTA_FILE_NAME, variant ? variant : "", variant ? "/" : "");
    int code = open_file(picture->place, delta_name, &delta, &delta_bytes, &error);
    if (!code) code = open_file(picture->place, cells_name, &cells, &cells_bytes, &error);
    if (!code) code = ken_heatmap_draw(&drawn, &picture->heatmap, cells, cells_bytes, delta, delta_bytes, &error);
    if (cells >= 0) close(cells);
    if (delta >= 0) close(delta);
    picture->bytes = drawn.png;
    picture->length = drawn.length;
    if (code == KEN_ENOT_FOUND) return kenctl_fail(KENCTL_FAILURE, "%s: %s", picture->tensor, error.message);
    return code ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
}

/* ---- of a job */

static bool on_begin(void *opaque, long status)
{
    (void)opaque;
    return status == 200;
}

static bool on_bytes(void *opaque, const void *bytes, size_t length)
{
    struct picture *picture = opaque;
    unsigned char *grown = realloc(picture->bytes, picture->length + length + 1);
    picture->full = !grown;
    if (!grown) return false;
    memcpy(grown + picture->length, bytes, length);
    picture->bytes = grown;
    picture->length += length;
    return true;
}

/* The path with its query, malloc'ed; NULL if out of memory. */
static char *make_path(const struct picture *picture)
{
    const struct ken_heatmap *heatmap = &picture->heatmap;
    char *tensor = proto_percent_encode(picture->tensor, ""), *variant = proto_percent_encode(picture->variant ? picture->variant : "", "");
    char *text = NULL, *path = NULL;
    size_t length;
    FILE *rest = tensor && variant ? open_memstream(&text, &length) : NULL;
    if (rest) {
        fprintf(rest, "/heatmap.png?tensor=%s&view=%s", tensor, ken_view_name(heatmap->view));
        if (picture->variant) fprintf(rest, "&variant=%s", variant);
        if (heatmap->w)
            fprintf(rest, "&x=%" PRIu64 "&y=%" PRIu64 "&w=%" PRIu64 "&h=%" PRIu64, heatmap->x, heatmap->y, heatmap->w, heatmap->h);
        if (heatmap->width) fprintf(rest, "&width=%u", heatmap->width);
        if (heatmap->end > 0) fprintf(rest, "&max=%.17g", heatmap->end);
        if (fclose(rest) == 0) path = kenctl_job_path(picture->place, text);
    }
    free(text);
    free(variant);
    free(tensor);
    return path;
}

static int fetch(struct picture *picture)
{
    const struct kenctl *kenctl = picture->kenctl;
    const struct kenctl_sink sink = {on_begin, on_bytes, picture};
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    char *path = make_path(picture);
    int status = KENCTL_SUCCESS;
    if (!path)
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (kenctl_http_download(http, path, 0, NULL, &sink, &response, &error))
        status = picture->full ? kenctl_fail(KENCTL_FAILURE, "out of memory") : kenctl_call_failed(kenctl, &error);
    else if (response.status != 200)
        status = kenctl_refused(kenctl, &response);
    kenctl_response_clear(&response);
    free(path);
    kenctl_http_close(&http);
    return status;
}

/* ---- */

static int write_output(const char *output, const struct picture *picture, struct ken_error *error)
{
    struct ken_staging *staging;
    int code = ken_staging_open(&staging, output, false, error);
    int file = code ? -1 : open(ken_staging_path(staging), O_WRONLY | O_CLOEXEC);
    if (!code && file < 0) code = ken_fail_errno(error, errno, "cannot write %s", output);
    if (!code) code = ken_file_write(file, 0, picture->bytes, picture->length, output, error);
    if (file >= 0) close(file);
    if (!code) code = ken_staging_commit(&staging, error);
    ken_staging_abandon(&staging);
    return code;
}

static int run(struct kenctl *kenctl)
{
    struct picture picture = {.kenctl = kenctl,
                              .place = kenctl->arguments.operands[0],
                              .tensor = kenctl->arguments.operands[1],
                              .variant = kenctl_option(kenctl, KENCTL_OPT_VARIANT)};
    const char *output = kenctl_option(kenctl, KENCTL_OPT_FILE);
    struct ken_error error = {0};
    struct stat state;
    if (!output) return kenctl_usage(kenctl, "'heatmap' needs -o FILE");
    if (strcmp(output, "-") == 0) return kenctl_usage(kenctl, "a picture cannot go to standard output; -o is a file");
    int status = read_options(&picture);
    if (status == KENCTL_SUCCESS) status = kenctl_check_free(kenctl, output);
    if (status == KENCTL_SUCCESS) {
        const bool is_folder = stat(picture.place, &state) == 0 && S_ISDIR(state.st_mode);
        status = is_folder ? draw(&picture) : fetch(&picture);
    }
    if (status == KENCTL_SUCCESS && write_output(output, &picture, &error)) status = kenctl_fail_error(&error);
    if (status == KENCTL_SUCCESS && kenctl->json)
        status = kenctl_print_new_json(json_pack("{s:s, s:I}", "output", output, "bytes", (json_int_t)picture.length));
    free(picture.bytes);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_VIEW,      KENCTL_OPT_VARIANT, KENCTL_OPT_REGION, KENCTL_OPT_WIDTH,
                                        KENCTL_OPT_SCALE_END, KENCTL_OPT_FILE,    KENCTL_OPT_FORCE};

const struct kenctl_command kenctl_command_heatmap = {
    .name = "heatmap",
    .summary = "Draw what pruning did to a matrix",
    .operands = "JOB|DIR TENSOR",
    .text = "JOB is a job of the server that has a delta; DIR a folder that `kenctl prune` made, for which no server is needed.\n"
            "Views: mask (kept values by sign and size, blank where reset), neighbors (kept neighbours of kept values), density\n"
            "(share that is kept) and delta (size of fine-tuned minus base). Colours mean the same in all tensors of a delta.\n"
            "\nExamples:\n"
            "  kenctl heatmap pruned/ encoder.layer.0.output.dense.weight -o picture.png\n"
            "  kenctl heatmap job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C lm_head.weight --view mask --region 0,0,256,256 --width 1024 -o head.png\n",
    .options = options,
    .option_count = sizeof options,
    .least = 2,
    .most = 2,
    .run = run,
};
