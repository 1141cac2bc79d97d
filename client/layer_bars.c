/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_bars.h"

#include "layer_list.h"
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3, MOST_LINES = 40, WIDEST_LABEL = 30, LINE = 160, L2_BAR = 8 };
/* What stands behind a bar: three shares, relative L2, and what is between them. */
enum { NUMBERS = 3 * 8 + 9 + 1 + L2_BAR, LEAST_BAR = 6, MOST_BAR = 60 };

/* The tensors of one layer. */
struct layer {
    char *label;
    size_t prefix;         /* bytes of it before the number; all of it where it has none */
    uint64_t parts[PARTS]; /* kept, reset, unchanged */
    double relative_l2;    /* the largest of its tensors' */
};

struct layers {
    struct layer *item; /* [count] */
    size_t count;
    double largest; /* relative L2 */
};

/* ---- from roles */

static struct layer *find(struct layers *layers, const char *name, size_t length)
{
    for (size_t i = layers->count; i--;)
        if (strncmp(layers->item[i].label, name, length) == 0 && !layers->item[i].label[length]) return &layers->item[i];
    return NULL;
}

/* The layer of a tensor, named up to its first number; NULL if out of memory. */
static struct layer *layer_of(struct layers *layers, const char *name)
{
    const size_t prefix = strcspn(name, "0123456789"), length = prefix + strspn(name + prefix, "0123456789");
    struct layer *layer = find(layers, name, length);
    if (layer) return layer;
    layer = &layers->item[layers->count];
    *layer = (struct layer){.label = strndup(name, length), .prefix = prefix};
    if (!layer->label) return NULL;
    layers->count++;
    return layer;
}

static bool add_tensor(struct layers *layers, const json_t *tensor)
{
    static const char *const keys[PARTS] = {"kept", "reset", "unchanged"};
    const char *name = json_string_value(json_object_get(tensor, "name"));
    struct layer *layer = name ? layer_of(layers, name) : NULL;
    if (!layer) return false;
    for (size_t i = 0; i < PARTS; i++) {
        const json_int_t part = json_integer_value(json_object_get(tensor, keys[i]));
        layer->parts[i] += part > 0 ? (uint64_t)part : 0;
    }
    const double relative_l2 = json_number_value(json_object_get(tensor, "relative_l2"));
    if (relative_l2 > layer->relative_l2) layer->relative_l2 = relative_l2;
    if (relative_l2 > layers->largest) layers->largest = relative_l2;
    return true;
}

/* False if out of memory. To be freed in both cases. */
static bool make_layers(struct layers *layers, const json_t *roles)
{
    size_t i, j, count = 0;
    json_t *role, *tensor;
    json_array_foreach(roles, i, role) count += json_array_size(json_object_get(role, "tensors"));
    *layers = (struct layers){.item = calloc(count + 1, sizeof *layers->item)};
    bool good = layers->item != NULL;
    json_array_foreach(roles, i, role)
    {
        json_array_foreach(json_object_get(role, "tensors"), j, tensor) good = good && add_tensor(layers, tensor);
    }
    return good;
}

static void free_layers(struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) free(layers->item[i].label);
    free(layers->item);
}

static uint64_t sum_of(const struct layer *layer)
{
    return layer->parts[0] + layer->parts[1] + layer->parts[2];
}

/* ---- a terminal */

/* What bars are made of: kept, reset, unchanged, with their colours; and that of relative L2. */
struct ink {
    const char *parts[PARTS], *l2;
};
static const struct ink plain = {{"#", "-", "."}, "="}, unicode = {{"\u2588", "\u2592", "\u2591"}, "\u25a0"};
static const char *const colours[PARTS] = {"\033[34m", "\033[33m", "\033[90m"};

static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *value = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !(value && *value); i++) value = getenv(names[i]);
    return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

/* Where the line ends that begins with that layer: those that follow each other share one if there are many. */
static size_t line_end(const struct layers *layers, size_t first)
{
    const size_t together = (layers->count + MOST_LINES - 1) / MOST_LINES;
    const struct layer *one = &layers->item[first];
    size_t end = first + 1;
    for (; end < layers->count && end - first < together; end++) {
        const struct layer *other = &layers->item[end];
        if (!one->label[one->prefix] || one->prefix != other->prefix || strncmp(one->label, other->label, one->prefix) != 0) break;
    }
    return end;
}

/* The label of a line, its beginning cut where it is too long. */
static void line_label(char label[LINE], const struct layers *layers, size_t first, size_t end)
{
    const struct layer *one = &layers->item[first], *last = &layers->item[end - 1];
    char *text = NULL;
    const bool several = end - first > 1;
    if (asprintf(&text, "%s%s%s", one->label, several ? "-" : "", several ? last->label + last->prefix : "") < 0) text = NULL;
    const size_t length = text ? strlen(text) : 0, cut = length > WIDEST_LABEL ? length - WIDEST_LABEL + 2 : 0;
    snprintf(label, LINE, "%s%s", cut ? ".." : "", text ? text + cut : "?");
    free(text);
}

static void print_times(const char *text, unsigned times, const char *colour)
{
    if (!times) return;
    if (colour) fputs(colour, stdout);
    while (times--) fputs(text, stdout);
    if (colour) fputs("\033[0m", stdout);
}

/* Cells of each part, so that they fill the bar, and what there is of a part is seen. */
static void share_out(unsigned cells[PARTS], const struct layer *layer, unsigned width)
{
    const double all = (double)sum_of(layer);
    unsigned largest = 0, used = 0;
    for (unsigned i = 0; i < PARTS; i++) {
        const double part = all > 0 ? (double)layer->parts[i] / all * width : 0;
        cells[i] = layer->parts[i] && part < 1 ? 1 : (unsigned)(part + 0.5);
        used += cells[i];
        if (layer->parts[i] > layer->parts[largest]) largest = i;
    }
    cells[largest] += width - used; /* which wraps around where it gets less */
}

static void print_line(const struct layers *layers, size_t first, size_t end, unsigned label_width, unsigned width)
{
    struct layer sum = {0};
    char label[LINE];
    unsigned cells[PARTS];
    const bool colour = kenctl_colour(stdout);
    const struct ink *ink = is_utf8() ? &unicode : &plain;
    for (size_t i = first; i < end; i++) {
        for (size_t j = 0; j < PARTS; j++) sum.parts[j] += layers->item[i].parts[j];
        if (layers->item[i].relative_l2 > sum.relative_l2) sum.relative_l2 = layers->item[i].relative_l2;
    }
    line_label(label, layers, first, end);
    share_out(cells, &sum, width);
    const size_t printed = kenctl_print_text(stdout, label);
    printf("%*s", printed < label_width + 1 ? (int)(label_width + 1 - printed) : 1, "");
    for (unsigned i = 0; i < PARTS; i++) print_times(ink->parts[i], cells[i], colour ? colours[i] : NULL);
    for (unsigned i = 0; i < PARTS; i++) printf("%7.1f%%", sum_of(&sum) ? 100 * (double)sum.parts[i] / (double)sum_of(&sum) : 0);
    printf("%9.4f ", sum.relative_l2);
    print_times(ink->l2, layers->largest > 0 ? (unsigned)(sum.relative_l2 / layers->largest * L2_BAR + 0.5) : 0, NULL);
    fputc('\n', stdout);
}

static void print_bars(const struct layers *layers)
{
    const unsigned columns = kenctl_terminal_width(stdout);
    unsigned label_width = 5;
    for (size_t first = 0, end; first < layers->count; first = end) {
        char label[LINE];
        end = line_end(layers, first);
        line_label(label, layers, first, end);
        const size_t width = kenctl_print_text(NULL, label);
        if (width > label_width) label_width = (unsigned)width;
    }
    const unsigned others = label_width + 1 + NUMBERS + 1, room = columns > others ? columns - others : 0;
    const unsigned width = room < LEAST_BAR ? LEAST_BAR : room > MOST_BAR ? MOST_BAR : room;
    printf("%-*s %-*s%8s%8s%8s%9s\n", (int)label_width, "LAYER", (int)width, "", "KEPT", "RESET", "SAME", "L2");
    for (size_t first = 0, end; first < layers->count; first = end) {
        end = line_end(layers, first);
        print_line(layers, first, end, label_width, width);
    }
}

/* ---- a pipe */

static int print_numbers(const struct layers *layers)
{
    static const char *const heads[] = {"LAYER", "KEPT", "RESET", "UNCHANGED", "RELATIVE-L2"};
    struct kenctl_table *table = kenctl_table_create("lrrrr", heads);
    for (size_t i = 0; i < layers->count; i++) {
        const struct layer *layer = &layers->item[i];
        kenctl_table_add(table, layer->label);
        for (size_t j = 0; j < PARTS; j++) kenctl_table_add_format(table, "%" PRIu64, layer->parts[j]);
        kenctl_table_add_format(table, "%.6g", layer->relative_l2);
    }
    return kenctl_table_finish(&table);
}

/* ---- */

static int show(const json_t *roles)
{
    struct layers layers;
    int status = KENCTL_SUCCESS;
    if (!make_layers(&layers, roles))
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (layers.count) {
        fputc('\n', stdout);
        if (kenctl_is_terminal(stdout))
            print_bars(&layers);
        else
            status = print_numbers(&layers);
    }
    free_layers(&layers);
    return status;
}

/* The variant that is shown, NULL of a job without; that it is one of several is told. */
static const char *choose_variant(const struct kenctl *kenctl, const json_t *job)
{
    const json_t *variants = json_object_get(job, "variants");
    const char *wanted = kenctl_option(kenctl, KENCTL_OPT_VARIANT);
    const char *first = json_string_value(json_object_get(json_array_get(variants, 0), "name"));
    if (wanted || !first) return wanted;
    if (!kenctl->quiet && json_array_size(variants) > 1)
        fprintf(stderr, "note: the layers are those of variant %s; --variant NAME shows another's\n", first);
    return first;
}

int kenctl_layer_bars_show(const struct kenctl *kenctl, struct kenctl_http *http, const json_t *job)
{
    const char *id = json_string_value(json_object_get(job, "id")), *state = json_string_value(json_object_get(job, "status"));
    const char *kind = json_string_value(json_object_get(job, "kind"));
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    int status = KENCTL_SUCCESS;
    if (!id || !state || strcmp(state, "succeeded") != 0 || (kind && strcmp(kind, "prune") != 0)) return KENCTL_SUCCESS;
    json_t *roles = kenctl_layers_get(http, id, choose_variant(kenctl, job), &response, &error);
    if (roles)
        status = show(roles);
    else if (!error.code && kenctl_option(kenctl, KENCTL_OPT_VARIANT))
        status = kenctl_refused(kenctl, &response);
    kenctl_response_clear(&response);
    json_decref(roles);
    return status;
}
