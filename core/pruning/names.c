/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/names.h"

#include "array.h"
#include "json_reader.h"

#include <stdlib.h>
#include <string.h>

/* Components in front of a name that say what a model was wrapped in, or which part of a larger one it is. */
static const char *const prefixes[] = {"module",      "_orig_mod", "_fsdp_wrapped_module",
                                       "base_model",  "model",     "language_model",
                                       "transformer", "backbone",  "net",
                                       "bert",        "roberta",   "distilbert",
                                       "albert",      "electra",   "deberta",
                                       "mpnet",       "camembert", "longformer",
                                       "xlm_roberta", "esm",       "gpt_neox",
                                       "rwkv",        "vit",       "beit",
                                       "deit",        "swin",      "wav2vec2",
                                       "hubert",      "wavlm"};
/* What stands before ".weight" in the names of tied matrices, the likeliest first. */
static const char *const embeddings[] = {"shared", "embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings"};
static const char *const heads[] = {"lm_head",           "lm_head.decoder", "predictions.decoder", "embed_out", "vocab_projector",
                                    "generator_lm_head", "proj_out"};
enum { PREFIX_COUNT = sizeof prefixes / sizeof *prefixes };
_Static_assert(PREFIX_COUNT < 256, "the number of a prefix is a byte");

enum ending { NO_ENDING, WEIGHT, BIAS };
static const struct {
    const char *word;
    enum ending ending;
} endings[] = {{"weight", WEIGHT}, {"gamma", WEIGHT}, {"bias", BIAS}, {"beta", BIAS}};

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define WANTED "the names of tensors"

/* How often each prefix stands in front of a name, at most. */
struct prefix_counts {
    unsigned char of[PREFIX_COUNT + 1];
};

/* ---- bare names */

/* The number of the prefix that is the first component of a text, or 0. */
static unsigned char prefix_of(const char *text, size_t length)
{
    size_t p = 0;
    while (p < PREFIX_COUNT && (strlen(prefixes[p]) != length || memcmp(prefixes[p], text, length) != 0)) p++;
    return p < PREFIX_COUNT ? (unsigned char)(p + 1) : 0;
}

/* Takes a name apart, all its prefixes first. */
static struct ken_bare_name take_apart(const char *text)
{
    struct ken_bare_name bare = {.stem = text};
    for (size_t p = 0; p < KEN_NAME_PREFIXES; p++) {
        size_t length = strcspn(bare.stem, ".");
        if (bare.stem[length] != '.' || !(bare.prefixes[p] = prefix_of(bare.stem, length))) break;
        bare.stem += length + 1;
    }
    const char *dot = strrchr(bare.stem, '.'), *last = dot ? dot + 1 : bare.stem;
    size_t e = 0;
    while (e < COUNT(endings) && strcmp(endings[e].word, last) != 0) e++;
    bare.ending = (unsigned char)(e < COUNT(endings) ? endings[e].ending : NO_ENDING);
    bare.length = (uint32_t)(bare.ending == NO_ENDING ? strlen(bare.stem) : dot ? (size_t)(dot - bare.stem) : 0);
    return bare;
}

int ken_bare_name_compare(const struct ken_bare_name *a, const struct ken_bare_name *b)
{
    int order = memcmp(a->prefixes, b->prefixes, sizeof a->prefixes);
    if (!order) order = (a->ending > b->ending) - (a->ending < b->ending);
    if (!order) order = (a->length > b->length) - (a->length < b->length);
    return order ? order : memcmp(a->stem, b->stem, a->length);
}

/* Whether the last components of a stem are these. */
static bool ends_with(const struct ken_bare_name *name, const char *word)
{
    size_t length = strlen(word);
    if (name->length < length || memcmp(name->stem + name->length - length, word, length) != 0) return false;
    return name->length == length || name->stem[name->length - length - 1] == '.';
}

enum ken_tied_class ken_bare_name_class(const struct ken_bare_name *name, size_t *word)
{
    static const struct {
        const char *const *words;
        size_t count;
    } classes[] = {[KEN_TIED_EMBEDDING] = {embeddings, COUNT(embeddings)}, [KEN_TIED_HEAD] = {heads, COUNT(heads)}};
    for (size_t c = 0; c < KEN_TIED_CLASSES && name->ending == WEIGHT; c++)
        for (*word = 0; *word < classes[c].count; ++*word)
            if (ends_with(name, classes[c].words[*word])) return (enum ken_tied_class)c;
    return KEN_TIED_CLASSES;
}

/* Prefixes of one name. */
static struct prefix_counts count_of(const struct ken_bare_name *name)
{
    struct prefix_counts counts = {{0}};
    for (size_t p = 0; p < KEN_NAME_PREFIXES && name->prefixes[p]; p++) counts.of[name->prefixes[p]]++;
    return counts;
}

static struct prefix_counts count_prefixes(const struct ken_names *names)
{
    struct prefix_counts most = {{0}};
    for (size_t i = 0; i < names->count; i++) {
        struct prefix_counts counts = count_of(&names->names[i].bare);
        for (size_t p = 1; p <= PREFIX_COUNT; p++)
            if (counts.of[p] > most.of[p]) most.of[p] = counts.of[p];
    }
    return most;
}

/* Takes from a name what this side has more often than the other, from the outside in. */
static void take_excess(struct ken_bare_name *name, const struct prefix_counts *own, const struct prefix_counts *other)
{
    struct prefix_counts taken = {{0}};
    size_t left = 0;
    for (size_t i = 0; i < KEN_NAME_PREFIXES && name->prefixes[i]; i++) {
        unsigned char prefix = name->prefixes[i];
        if (own->of[prefix] > other->of[prefix] + taken.of[prefix])
            taken.of[prefix]++;
        else
            name->prefixes[left++] = prefix;
    }
    memset(name->prefixes + left, 0, KEN_NAME_PREFIXES - left);
}

/* ---- reading */

static int add(struct ken_names *names, size_t *capacity, const char *text, const struct ken_tensor *tensor, bool tied,
               struct ken_error *error)
{
    struct ken_name *grown = ken_array_grow(names->names, names->count, capacity, sizeof *grown);
    if (!grown) return ken_fail_no_memory(error, WANTED);
    names->names = grown;
    grown[names->count++] = (struct ken_name){.text = text, .tensor = tensor, .tied = tied, .bare = take_apart(text)};
    return KEN_OK;
}

/*
 * Ties are in the metadata as {"lm_head.weight": "embed.weight"}: that is how safetensors.torch.save_model writes them, and how the view of
 * a torch file tells them.
 */
static int add_ties(struct ken_names *names, size_t *capacity, const struct ken_checkpoint_file *file, struct ken_error *error)
{
    struct ken_json_reader json;
    ken_json_reader_open_memory(&json, file->metadata_json, file->metadata_length, file->label, KEN_EBAD_CHECKPOINT);
    int code = ken_json_next(&json, error);
    while (!code && !(code = ken_json_next(&json, error)) && json.token == KEN_JSON_KEY) {
        const char *name = ken_arena_copy(&names->arena, json.text, json.length);
        code = name ? ken_json_next(&json, error) : ken_fail_no_memory(error, WANTED);
        bool is_name = !code && json.length == strlen(json.text);
        const struct ken_tensor *of = is_name ? ken_checkpoint_find(names->checkpoint, json.text) : NULL;
        if (of && !ken_checkpoint_find(names->checkpoint, name)) code = add(names, capacity, name, of, true, error);
    }
    ken_json_reader_free(&json);
    return code;
}

static int read_names(struct ken_names *names, const struct ken_checkpoint *checkpoint, struct ken_error *error)
{
    size_t capacity = 0;
    int code = KEN_OK;
    *names = (struct ken_names){.checkpoint = checkpoint};
    for (size_t i = 0; !code && i < checkpoint->tensor_count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        code = add(names, &capacity, tensor->name, tensor, false, error);
    }
    for (size_t f = 0; !code && f < checkpoint->file_count; f++)
        if (checkpoint->files[f].metadata_json) code = add_ties(names, &capacity, &checkpoint->files[f], error);
    return code;
}

static int compare_ties(const void *a, const void *b)
{
    const struct ken_name *const *left = a, *const *right = b;
    return strcmp((*left)->text, (*right)->text);
}

static int compare_names(const void *a, const void *b)
{
    const struct ken_name *left = a, *right = b;
    int order = ken_bare_name_compare(&left->bare, &right->bare);
    return order ? order : strcmp(left->text, right->text);
}

static int sort(struct ken_names *names, struct ken_error *error)
{
    names->ties = malloc((names->count + 1) * sizeof(struct ken_name *));
    if (!names->ties) return ken_fail_no_memory(error, WANTED);
    if (names->count) qsort(names->names, names->count, sizeof *names->names, compare_names);
    for (size_t i = 0; i < names->count; i++)
        if (names->names[i].tied) names->ties[names->tie_count++] = &names->names[i];
    if (names->tie_count) qsort(names->ties, names->tie_count, sizeof(struct ken_name *), compare_ties);
    return KEN_OK;
}

int ken_names_read(struct ken_names *model, struct ken_names *base, const struct ken_checkpoint *of_model,
                   const struct ken_checkpoint *of_base, struct ken_error *error)
{
    *base = (struct ken_names){.count = 0};
    int code = read_names(model, of_model, error);
    if (!code) code = read_names(base, of_base, error);
    if (code) return code;
    const struct prefix_counts of_both[] = {count_prefixes(model), count_prefixes(base)};
    for (size_t i = 0; i < model->count; i++) take_excess(&model->names[i].bare, &of_both[0], &of_both[1]);
    for (size_t i = 0; i < base->count; i++) take_excess(&base->names[i].bare, &of_both[1], &of_both[0]);
    code = sort(model, error);
    return code ? code : sort(base, error);
}

const struct ken_tensor *ken_names_find(const struct ken_names *names, const char *text)
{
    const struct ken_tensor *own = ken_checkpoint_find(names->checkpoint, text);
    const struct ken_name wanted = {.text = text}, *key = &wanted;
    if (own) return own;
    const struct ken_name **tie = bsearch(&key, names->ties, names->tie_count, sizeof(struct ken_name *), compare_ties);
    return tie ? (*tie)->tensor : NULL;
}

void ken_names_free(struct ken_names *names)
{
    free(names->ties);
    free(names->names);
    ken_arena_free(&names->arena);
    *names = (struct ken_names){.count = 0};
}
