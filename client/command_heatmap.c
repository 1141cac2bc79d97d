/* SPDX-License-Identifier: Apache-2.0 */
#include "delta_folder.h"
#include "files.h"
#include "folder.h"
#include "heatmap/layers.h"
#include "heatmap/role.h"
#include "inspect/row_picture.h"
#include "layer_list.h"
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
    const char *place, *tensor, *variant; /* a job or a folder; tensor and variant may be NULL */
    struct ken_heatmap heatmap;
    bool is_row;          /* view row: of heatmap, only y, the row, and the width are told */
    char *role;           /* of --role or --layers, as it is asked for; else NULL */
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
    const char *row = kenctl_option(kenctl, KENCTL_OPT_ROW);
    struct ken_heatmap *heatmap = &picture->heatmap;
    uint64_t pixels = 0;
    char *end = NULL;
    heatmap->tensor = picture->tensor;
    heatmap->legend = kenctl_option(kenctl, KENCTL_OPT_LEGEND) != NULL;
    picture->is_row = view && strcmp(view, KEN_ROW_VIEW) == 0;
    heatmap->view = view && !picture->is_row ? ken_view_parse(view) : KEN_VIEW_DENSITY;
    if (heatmap->view == KEN_VIEW_COUNT) return kenctl_usage(kenctl, "--view is mask, neighbors, density, delta or row, not '%s'", view);
    if (picture->is_row != (row != NULL)) return kenctl_usage(kenctl, "--view row and --row go together");
    if (row && !read_number(row, &heatmap->y)) return kenctl_usage(kenctl, "--row is a number, not '%s'", row);
    if (row && (region || most || heatmap->legend)) return kenctl_usage(kenctl, "--view row has no --region, --max or --legend");
    if (region && !read_region(region, heatmap)) return kenctl_usage(kenctl, "--region is X,Y,W,H, as 0,0,768,768, not '%s'", region);
    if (width && (!read_number(width, &pixels) || pixels < KEN_PICTURE_LEAST || pixels > KEN_PICTURE_MOST))
        return kenctl_usage(kenctl, "--width is a number from %d to %d, not '%s'", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, width);
    heatmap->width = (unsigned)pixels;
    heatmap->end = most ? strtod(most, &end) : 0;
    if (most && (*end || end == most || !(heatmap->end > 0 && heatmap->end < 1e300)))
        return kenctl_usage(kenctl, "--max is a number above 0, not '%s'", most);
    return KENCTL_SUCCESS;
}

/* What belongs to one matrix, and what to all layers of a role. */
static int read_role(struct picture *picture)
{
    const struct kenctl *kenctl = picture->kenctl;
    const char *role = kenctl_option(kenctl, KENCTL_OPT_ROLE), *region = kenctl_option(kenctl, KENCTL_OPT_REGION);
    const bool layers = kenctl_option(kenctl, KENCTL_OPT_LAYERS) != NULL;
    if (role && (layers || picture->tensor)) return kenctl_usage(kenctl, "--role takes the place of TENSOR");
    if (!role && !picture->tensor) return kenctl_usage(kenctl, "'heatmap' needs TENSOR or --role");
    if (!role && !layers) return KENCTL_SUCCESS;
    if (region || picture->heatmap.legend || picture->is_row)
        return kenctl_usage(kenctl, "%s is of one matrix, not of layers", region ? "--region" : picture->is_row ? "--row" : "--legend");
    if (picture->heatmap.width && picture->heatmap.width < KEN_LAYERS_LEAST)
        return kenctl_usage(kenctl, "--width of layers is a number from %d to %d", KEN_LAYERS_LEAST, KEN_PICTURE_MOST);
    picture->role = strdup(role ? role : picture->tensor);
    if (!picture->role) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (layers) ken_role_of(picture->role, picture->tensor);
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

/* All layers of the role, as the folder's report tells them. */
static int draw_layers(struct picture *picture, struct ken_picture *drawn, const struct ken_pair *files, struct ken_error *error)
{
    json_t *roles = kenctl_layers_read(picture->place, picture->variant, error), *tensor;
    const json_t *picked = roles ? kenctl_layers_pick(roles, picture->role, error) : NULL, *tensors = json_object_get(picked, "tensors");
    struct ken_layer *layers = picked ? calloc(json_array_size(tensors), sizeof *layers) : NULL;
    const struct ken_layers wanted = {.role = json_string_value(json_object_get(picked, "role")),
                                      .layers = layers,
                                      .count = json_array_size(tensors),
                                      .view = picture->heatmap.view,
                                      .width = picture->heatmap.width,
                                      .end = picture->heatmap.end};
    int code = picked && !layers ? ken_fail(error, KEN_ENOMEM, "out of memory") : error->code;
    size_t i;
    json_array_foreach(tensors, i, tensor) if (layers) layers[i] =
        (struct ken_layer){json_string_value(json_object_get(tensor, "name")), json_real_value(json_object_get(tensor, "kept_fraction")),
                           json_number_value(json_object_get(tensor, "relative_l2"))};
    if (layers) code = ken_layers_draw(drawn, &wanted, files->cells, files->cells_bytes, files->delta, files->delta_bytes, error);
    free(layers);
    json_decref(roles);
    return code;
}

/* A row needs the fine-tuned values, too. */
static int draw_row(const struct picture *picture, struct ken_pair *pair, struct ken_picture *drawn, struct ken_error *error)
{
    struct ken_row_view view = {0};
    int code = ken_row_view_read(&view, pair, picture->tensor, picture->heatmap.y, error);
    if (!code) code = ken_pair_check(pair, error);
    if (!code) code = ken_row_draw(drawn, &view, picture->heatmap.width, error);
    ken_row_view_free(&view);
    return code;
}

static int draw(struct picture *picture, const struct ken_checkpoint *model)
{
    char cells_name[KEN_PATH_SIZE], delta_name[KEN_PATH_SIZE];
    const char *variant = picture->variant;
    struct ken_error error = {0};
    struct ken_picture drawn = {0};
    struct ken_pair pair = {.model = model, .cells = -1, .delta = -1};
    if (variant && !kenctl_is_safe_name(variant)) return kenctl_usage(picture->kenctl, "--variant is a name, not '%s'", variant);
    snprintf(cells_name, sizeof cells_name, ".kend/%s.cells", variant ? variant : "tensors");
    snprintf(delta_name, sizeof delta_name, "%s%s" KEN_DELTA_FILE_NAME, variant ? variant : "", variant ? "/" : "");
    int code = open_file(picture->place, delta_name, &pair.delta, &pair.delta_bytes, &error);
    if (!code) code = open_file(picture->place, cells_name, &pair.cells, &pair.cells_bytes, &error);
    if (!code && picture->role)
        code = draw_layers(picture, &drawn, &pair, &error);
    else if (!code)
        code = model ? draw_row(picture, &pair, &drawn, &error)
                     : ken_heatmap_draw(&drawn, &picture->heatmap, pair.cells, pair.cells_bytes, pair.delta, pair.delta_bytes, &error);
    if (pair.cells >= 0) close(pair.cells);
    if (pair.delta >= 0) close(pair.delta);
    picture->bytes = drawn.png;
    picture->length = drawn.length;
    if (code == KEN_ENOT_FOUND && picture->tensor) return kenctl_fail(KENCTL_FAILURE, "%s: %s", picture->tensor, error.message);
    if (code == KEN_ENOT_FOUND) return kenctl_fail(KENCTL_FAILURE, "%s", error.message);
    return code ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
}

static int draw_here(struct picture *picture)
{
    struct ken_checkpoint *model = NULL;
    if (!picture->is_row) return draw(picture, NULL);
    if (!kenctl_option(picture->kenctl, KENCTL_OPT_MODEL))
        return kenctl_usage(picture->kenctl, "--view row of a folder needs --model, the fine-tuned checkpoint");
    int status = kenctl_open_checkpoint(picture->kenctl, KENCTL_OPT_MODEL, "--model", &model);
    if (status == KENCTL_SUCCESS) status = draw(picture, model);
    ken_checkpoint_close(&model);
    return status;
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
    char *name = proto_percent_encode(picture->role ? picture->role : picture->tensor, "");
    char *variant = proto_percent_encode(picture->variant ? picture->variant : "", ""), *text = NULL, *path = NULL;
    size_t length;
    FILE *rest = name && variant ? open_memstream(&text, &length) : NULL;
    if (rest) {
        fprintf(rest, picture->role ? "/layers.png?role=%s" : "/heatmap.png?tensor=%s", name);
        fprintf(rest, "&view=%s", picture->is_row ? KEN_ROW_VIEW : ken_view_name(heatmap->view));
        if (picture->is_row) fprintf(rest, "&y=%" PRIu64, heatmap->y);
        if (picture->variant) fprintf(rest, "&variant=%s", variant);
        if (heatmap->w)
            fprintf(rest, "&x=%" PRIu64 "&y=%" PRIu64 "&w=%" PRIu64 "&h=%" PRIu64, heatmap->x, heatmap->y, heatmap->w, heatmap->h);
        if (heatmap->width) fprintf(rest, "&width=%u", heatmap->width);
        if (heatmap->end > 0) fprintf(rest, "&max=%.17g", heatmap->end);
        if (heatmap->legend) fprintf(rest, "&legend=true");
        if (fclose(rest) == 0) path = kenctl_job_path(picture->place, text);
    }
    free(text);
    free(variant);
    free(name);
    return path;
}

/* Which of the job's roles it is. */
static int find_role(struct picture *picture, struct kenctl_http *http)
{
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    int status = KENCTL_SUCCESS;
    json_t *roles = kenctl_layers_get(http, picture->place, picture->variant, &response, &error);
    const json_t *picked = roles ? kenctl_layers_pick(roles, picture->role, &error) : NULL;
    char *role = picked ? strdup(json_string_value(json_object_get(picked, "role"))) : NULL;
    if (role) {
        free(picture->role);
        picture->role = role;
    } else if (picked)
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (roles)
        status = kenctl_fail_error(&error);
    else
        status = error.code ? kenctl_call_failed(picture->kenctl, &error) : kenctl_refused(picture->kenctl, &response);
    kenctl_response_clear(&response);
    json_decref(roles);
    return status;
}

static int fetch(struct picture *picture)
{
    const struct kenctl *kenctl = picture->kenctl;
    const struct kenctl_sink sink = {on_begin, on_bytes, picture};
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    int status = picture->role ? find_role(picture, http) : KENCTL_SUCCESS;
    char *path = status == KENCTL_SUCCESS ? make_path(picture) : NULL;
    if (status == KENCTL_SUCCESS && !path) status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (status != KENCTL_SUCCESS) goto out;
    if (kenctl_http_download(http, path, 0, NULL, &sink, &response, &error))
        status = picture->full ? kenctl_fail(KENCTL_FAILURE, "out of memory") : kenctl_call_failed(kenctl, &error);
    else if (response.status != 200)
        status = kenctl_refused(kenctl, &response);
out:
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
                              .tensor = kenctl->arguments.operand_count > 1 ? kenctl->arguments.operands[1] : NULL,
                              .variant = kenctl_option(kenctl, KENCTL_OPT_VARIANT)};
    const char *output = kenctl_option(kenctl, KENCTL_OPT_FILE);
    struct ken_error error = {0};
    struct stat state;
    if (!output) return kenctl_usage(kenctl, "'heatmap' needs -o FILE");
    if (strcmp(output, "-") == 0) return kenctl_usage(kenctl, "a picture cannot go to standard output; -o is a file");
    int status = read_options(&picture);
    if (status == KENCTL_SUCCESS) status = read_role(&picture);
    if (status == KENCTL_SUCCESS) status = kenctl_check_free(kenctl, output);
    if (status == KENCTL_SUCCESS) {
        const bool is_folder = stat(picture.place, &state) == 0 && S_ISDIR(state.st_mode);
        status = is_folder ? draw_here(&picture) : fetch(&picture);
    }
    if (status == KENCTL_SUCCESS && write_output(output, &picture, &error)) status = kenctl_fail_error(&error);
    if (status == KENCTL_SUCCESS && kenctl->json)
        status = kenctl_print_new_json(json_pack("{s:s, s:I}", "output", output, "bytes", (json_int_t)picture.length));
    free(picture.bytes);
    free(picture.role);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_VIEW,   KENCTL_OPT_ROW,       KENCTL_OPT_VARIANT, KENCTL_OPT_REGION,
                                        KENCTL_OPT_WIDTH,  KENCTL_OPT_SCALE_END, KENCTL_OPT_LEGEND,  KENCTL_OPT_ROLE,
                                        KENCTL_OPT_LAYERS, KENCTL_OPT_MODEL,     KENCTL_OPT_FILE,    KENCTL_OPT_FORCE};

const struct kenctl_command kenctl_command_heatmap = {
    .name = "heatmap",
    .summary = "Draw what pruning did to a matrix",
    .operands = "JOB|DIR [TENSOR]",
    .text = "JOB is a job of the server that has a delta; DIR a folder that `kenctl prune` made, for which no server is needed.\n"
            "Views: mask (kept values by sign and size, blank where reset), neighbors (kept neighbours of kept values), density\n"
            "(share that is kept) and delta (size of fine-tuned minus base). Colours mean the same in all tensors of a delta.\n"
            "With --role or --layers, all tensors of one role are small pictures in one, each with the numbers of its name, the share\n"
            "that is kept, and relative L2.\n"
            "View row is of one row: histogram of its fine-tuned values, and of the kept ones among them, density curve and\n"
            "bandwidth, and where values were kept. It needs the fine-tuned model: of a job, as long as the server has it cached;\n"
            "of a folder, --model names it.\n"
            "\nExamples:\n"
            "  kenctl heatmap pruned/ encoder.layer.0.output.dense.weight -o picture.png\n"
            "  kenctl heatmap job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C lm_head.weight --view mask --region 0,0,256,256 --width 1024 -o head.png\n"
            "  kenctl heatmap pruned/ --role 'encoder.layer.*.output.dense.weight' -o layers.png\n"
            "  kenctl heatmap pruned/ lm_head.weight --view row --row 7 --model sst2/ -o row.png\n",
    .options = options,
    .option_count = sizeof options,
    .least = 1,
    .most = 2,
    .run = run,
};
