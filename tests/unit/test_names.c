/* SPDX-License-Identifier: Apache-2.0 */
/* Which names of a model are matched with which of its base. */
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "pruning/names.h"
#include "pruning/plan.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 16, TEXT = 2048 };

/*
 * Opens a checkpoint that is told as "a b[3] c=a": F32 tensors of 2 elements or so many, in this order, and metadata that tell c to be
 * another name of a. Every one has the tensor "anchor", too.
 */
static struct ken_checkpoint *checkpoint_of(const char *told, struct made_file *file)
{
    static const float data[4] = {1, 2, 3, 4};
    static char names[MOST][128], shapes[MOST][8];
    struct make_tensor tensors[MOST + 1];
    struct ken_checkpoint *checkpoint;
    struct ken_error error = {0};
    size_t count = 0;
    char metadata[TEXT] = "{\"format\":\"pt\"";
    while (*told) {
        size_t length = strcspn(told, " "), name = strcspn(told, " =[");
        unsigned elements = told[name] == '[' ? (unsigned)strtoul(told + name + 1, NULL, 10) : 2;
        ck_assert(count < MOST && elements <= 4);
        if (told[name] == '=') {
            size_t used = strlen(metadata);
            snprintf(metadata + used, sizeof metadata - used, ",\"%.*s\":\"%.*s\"", (int)name, told, (int)(length - name - 1),
                     told + name + 1);
        } else {
            snprintf(names[count], sizeof names[count], "%.*s", (int)name, told);
            snprintf(shapes[count], sizeof shapes[count], "[%u]", elements);
            tensors[count] = (struct make_tensor){names[count], "F32", shapes[count], data, elements * sizeof *data};
            count++;
        }
        told += length + strspn(told + length, " ");
    }
    tensors[count++] = (struct make_tensor){"anchor", "F32", "[1]", data, sizeof *data};
    strcat(metadata, "}");
    *file = make_safetensors(metadata, tensors, count);
    ck_assert_msg(!open_memory(&checkpoint, file->bytes, file->length, NULL, &error), "%s", error.message);
    return checkpoint;
}

struct pair {
    struct made_file files[2];
    struct ken_checkpoint *model, *base;
    struct ken_options options;
    struct ken_renaming names[MOST];
};

/* names: "glob=pattern glob=pattern", or NULL. */
static void open_pair(struct pair *pair, const char *model, const char *base, const char *names)
{
    *pair = (struct pair){.options = pair_options(1, 0)};
    pair->model = checkpoint_of(model, &pair->files[0]);
    pair->base = checkpoint_of(base, &pair->files[1]);
    pair->options.names = pair->names;
    while (names && *names) {
        size_t match = strcspn(names, "="), length = strcspn(names, " ");
        struct ken_renaming *one = &pair->names[pair->options.name_count++];
        snprintf(one->match, sizeof one->match, "%.*s", (int)match, names);
        snprintf(one->base, sizeof one->base, "%.*s", (int)(length - match - 1), names + match + 1);
        names += length + strspn(names + length, " ");
    }
}

static void close_pair(struct pair *pair)
{
    ken_checkpoint_close(&pair->model);
    ken_checkpoint_close(&pair->base);
    for (size_t i = 0; i < 2; i++) free(pair->files[i].bytes);
}

static int plan_pair(struct ken_plan **plan, const struct pair *pair, struct ken_error *error)
{
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    return ken_plan_make(plan, pair->model, pair->base, &pair->options, &limits, error);
}

static void add_text(char text[TEXT], const char *before, const char *item)
{
    size_t used = strlen(text);
    ck_assert_int_lt(snprintf(text + used, TEXT - used, "%s%s", used ? before : "", item), (int)(TEXT - used));
}

/* The bases' names in the order of the model's tensors, "-" for none; behind " | ", what is dropped; behind " ! ", each warning. */
static void tell(char text[TEXT], const struct ken_plan *plan)
{
    *text = '\0';
    for (size_t t = 0; t < ken_plan_tensor_count(plan); t++) {
        struct ken_plan_tensor tensor = ken_plan_tensor(plan, t);
        if (strcmp(tensor.model->name, "anchor") != 0) add_text(text, " ", tensor.base ? tensor.base->name : "-");
    }
    for (size_t i = 0; i < plan->dropped_count; i++) {
        add_text(text, "", i ? " " : " | ");
        add_text(text, "", plan->base->tensors[plan->dropped[i]].name);
    }
    for (size_t i = 0; i < ken_plan_warning_count(plan); i++) add_text(text, " ! ", ken_plan_warning(plan, i));
}

struct matched {
    const char *model, *base, *names, *told;
};

static void check(const struct matched *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pair pair;
        struct ken_plan *plan;
        struct ken_error error = {0};
        char told[TEXT];
        open_pair(&pair, table[i].model, table[i].base, table[i].names);
        ck_assert_msg(!plan_pair(&plan, &pair, &error), "%s <- %s: %s", table[i].model, table[i].base, error.message);
        tell(told, plan);
        ck_assert_msg(strcmp(told, table[i].told) == 0, "%s <- %s %s\nwanted: %s\n   got: %s", table[i].model, table[i].base,
                      table[i].names ? table[i].names : "", table[i].told, told);
        ken_plan_free(&plan);
        close_pair(&pair);
    }
}
#define CHECK(table) check(table, sizeof(table) / sizeof *(table))

START_TEST(prefixes_that_one_side_lacks)
{
    static const struct matched table[] = {
        {"a.w b.w", "a.w b.w", NULL, "a.w b.w"},
        {"bert.a.w classifier.w", "a.w pooler.w", NULL, "a.w - | pooler.w"},
        {"a.w", "bert.a.w cls.w", NULL, "bert.a.w | cls.w"},
        {"module.bert.a.w module.head.w", "bert.a.w cls.w", NULL, "bert.a.w - | cls.w"},
        {"module.a.w", "bert.a.w", NULL, "bert.a.w"},
        {"bert.a.w", "module.bert.a.w", NULL, "module.bert.a.w"},
        {"module._orig_mod.model.layers.0.w", "layers.0.w", NULL, "layers.0.w"},
        {"distilbert.transformer.layer.0.w", "transformer.layer.0.w", NULL, "transformer.layer.0.w"},
        {"language_model.model.l.w language_model.lm_head.w", "model.l.w lm_head.w", NULL, "model.l.w lm_head.w"},
        /* One side has a prefix more often. */
        {"model.model.l.w model.lm_head.w", "model.l.w lm_head.w", NULL, "model.l.w lm_head.w"},
        {"model.model.l.w", "l.w", NULL, "l.w"},
        {"base_model.model.model.l.w", "model.l.w", NULL, "model.l.w"},
        /* Both sides have it, so it is part of what a name says. */
        {"bert.a.w", "a.w bert.b.w", NULL, "- | a.w bert.b.w"},
        /* Not a prefix, and no whole component. */
        {"wrapper.a.w", "a.w", NULL, "- | a.w"},
        {"bertish.a.w", "a.w", NULL, "- | a.w"},
        {"bert", "b", NULL, "- | b"},
        /* Longer than what is looked at. */
        {"net.net.net.net.net.net.net.net.net.w", "w", NULL, "- | w"},
        {"net.net.net.net.net.net.net.net.w", "w", NULL, "w"},
    };
    CHECK(table);
}
END_TEST

START_TEST(old_names_of_norms)
{
    static const struct matched table[] = {
        {"n.weight n.bias", "n.gamma n.beta", NULL, "n.gamma n.beta"},
        {"n.gamma n.beta", "n.weight n.bias", NULL, "n.weight n.bias"},
        {"bert.n.weight", "n.gamma", NULL, "n.gamma"},
        {"gamma", "weight", NULL, "weight"},
        {"n.gamma n.weight", "n.gamma n.weight", NULL, "n.gamma n.weight"},
        {"n.gamma n.weight", "n.weight", NULL, "- n.weight"},
        {"n.weight", "n.bias", NULL, "- | n.bias"},
        {"n.gammas", "n.weight", NULL, "- | n.weight"},
        {"n.gamma.x", "n.weight.x", NULL, "- | n.weight.x"},
        {"weight.gamma", "weight.weight", NULL, "weight.weight"},
    };
    CHECK(table);
}
END_TEST

START_TEST(nothing_is_taken_that_is_anothers_or_in_doubt)
{
    static const struct matched table[] = {
        {"a.w module.a.w", "a.w", NULL, "a.w -"},
        {"module.a.w a.w", "a.w", NULL, "- a.w"},
        {"bert.a.w roberta.a.w", "a.w", NULL,
         "- - | a.w ! tensor \"bert.a.w\" is like \"a.w\" of the base, but there are others like them; it is stored whole (\"names\" can "
         "pair them) ! tensor \"roberta.a.w\" is like \"a.w\" of the base, but there are others like them; it is stored whole (\"names\" "
         "can pair them)"},
        {"a.w", "bert.a.w module.a.w", NULL,
         "- | bert.a.w module.a.w ! tensor \"a.w\" is like \"module.a.w\" of the base, but there are others like them; it is stored whole "
         "(\"names\" can pair them)"},
        {"bert.a.w roberta.a.w", "a.w", "roberta.*=*", "- a.w"},
        {"a.w[3] module.b.w[3]", "a.w b.w", NULL,
         "- - ! tensor \"a.w\" is [3], but [2] in the base; it is stored whole ! tensor \"module.b.w\" is [3], but [2] in the base, as "
         "\"b.w\"; it is stored whole"},
        {"n.weight[3]", "n.weight n.gamma[3]", NULL, "- | n.gamma ! tensor \"n.weight\" is [3], but [2] in the base; it is stored whole"},
    };
    CHECK(table);
}
END_TEST

START_TEST(other_names_of_the_same_elements)
{
    static const struct matched table[] = {
        {"lm_head.weight e.weight", "e.weight lm_head.weight=e.weight", NULL, "e.weight e.weight"},
        {"lm_head.weight", "e.weight lm_head.weight=e.weight", NULL, "e.weight"},
        {"e.weight lm_head.weight=e.weight", "lm_head.weight", NULL, "lm_head.weight"},
        {"x.weight y=x.weight", "z.weight y=z.weight", NULL, "z.weight"},
        {"module.lm_head.weight module.e.weight", "e.weight lm_head.weight=e.weight", NULL, "e.weight e.weight"},
        {"module.x lm_head.weight=module.x", "y bert.lm_head.weight=y", NULL, "y"},
        /* Metadata that are no ties. */
        {"author x", "x author=someone", NULL, "- x"},
        {"e f", "e f f=e", NULL, "e f"},
        {"e f=e", "e f", NULL, "e"},
    };
    CHECK(table);
}
END_TEST

#define TIED(name, base) " ! tensor \"" name "\" is not in the base, and compared with \"" base "\", which models tie it to"
START_TEST(heads_and_embeddings_that_models_tie)
{
    static const struct matched table[] = {
        {"model.embed_tokens.weight lm_head.weight", "model.embed_tokens.weight", NULL,
         "model.embed_tokens.weight model.embed_tokens.weight" TIED("lm_head.weight", "model.embed_tokens.weight")},
        {"transformer.wte.weight lm_head.weight", "wte.weight", NULL, "wte.weight wte.weight" TIED("lm_head.weight", "wte.weight")},
        {"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight", NULL,
         "bert.embeddings.word_embeddings.weight" TIED("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight")},
        {"lm_head.weight", "encoder.embed_tokens.weight decoder.embed_tokens.weight shared.weight", NULL,
         "shared.weight | encoder.embed_tokens.weight decoder.embed_tokens.weight" TIED("lm_head.weight", "shared.weight")},
        {"lm_head.weight", "encoder.embed_tokens.weight decoder.embed_tokens.weight", NULL,
         "- | encoder.embed_tokens.weight decoder.embed_tokens.weight"},
        {"embed_tokens.weight", "lm_head.weight", NULL, "lm_head.weight" TIED("embed_tokens.weight", "lm_head.weight")},
        /* The base has it after all, or one of the model's is gone. */
        {"lm_head.weight e", "lm_head.weight wte.weight e", NULL, "lm_head.weight e | wte.weight"},
        {"wte.weight", "wte.weight lm_head.weight", NULL, "wte.weight | lm_head.weight"},
        {"wte.weight", "embed_tokens.weight lm_head.weight", NULL, "- | embed_tokens.weight lm_head.weight"},
        {"lm_head.weight[3]", "wte.weight", NULL, "- | wte.weight"},
        {"lm_head.bias xlm_head.weight", "wte.weight", NULL, "- - | wte.weight"},
        {"lm_head.weight wte.weight", "wte.weight", "lm_head.*=none",
         "- wte.weight ! names rule 1 sends \"lm_head.weight\" to \"none\", which the base does not have"},
    };
    CHECK(table);
}
END_TEST

START_TEST(rules_of_the_job_come_first)
{
    static const struct matched table[] = {
        {"encoder.a encoder.b c", "x.a x.b c", "encoder.*=x.*", "x.a x.b c"},
        {"a b", "a b", "a=b", "b b | a"},
        {"a b", "c", "a=c b=c", "c c"},
        {"a b", "c d", "?=c b=d", "c c | d"},
        {"l.1.w l.2.w", "h1/w h2/w", "l.?.*=h?/*", "h1/w h2/w"},
        {"a.x.b.y", "x-y y-x", "a.*.b.*=*-*", "x-y | y-x"},
        {"bert.a", "a", "bert.a=b", "- | a ! names rule 1 sends \"bert.a\" to \"b\", which the base does not have"},
        {"a", "b[3]", "a=b", "- ! tensor \"a\" is [2], but [3] in the base, as \"b\"; it is stored whole"},
        {"a", "b c=b", "a=c", "b"},
        {"a b c d", "x.a d", "?=x.?",
         "x.a - - - | d ! names rule 1 sends 3 tensors to names that the base does not have: \"b\" to \"x.b\", for example"},
        {"a", "a", "b*=c", "a ! names rule 1, \"b*\", matches no tensor of the model"},
        {"a b", "a b", "a=a *=* a*=b b=a c=b", "a b ! names rule 5, \"c\", matches no tensor of the model"},
    };
    CHECK(table);
}
END_TEST

static bool asked_often_enough(void *opaque)
{
    unsigned *left = opaque;
    return !*left || !--*left;
}

START_TEST(a_plan_is_cancelled_at_any_tensor)
{
    enum { ASKED = 2 * 4 }; /* when each is matched, and when it is decided what is done to it */
    struct pair pair;
    struct ken_plan *plan;
    struct ken_error error;
    unsigned left;
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2, .cancelled = asked_often_enough, .opaque = &left};
    open_pair(&pair, "a b c", "a b d", "*=* c=d");
    for (unsigned asked = 1; asked <= ASKED; asked++) {
        left = asked;
        ck_assert_int_eq(ken_plan_make(&plan, pair.model, pair.base, &pair.options, &limits, &error), KEN_ECANCELLED);
        ck_assert_ptr_null(plan);
        ck_assert_str_eq(error.message, "cancelled");
    }
    left = ASKED + 1;
    ck_assert_int_eq(ken_plan_make(&plan, pair.model, pair.base, &pair.options, &limits, NULL), KEN_OK);
    ken_plan_free(&plan);
    close_pair(&pair);
}
END_TEST

START_TEST(what_has_no_counterpart_is_told)
{
    struct pair pair;
    struct ken_plan *plan;
    struct ken_error error = {0};
    open_pair(&pair, "module.a b", "a", NULL);
    pair.options.unmatched = KEN_UNMATCHED_FAIL;
    ck_assert_int_eq(plan_pair(&plan, &pair, &error), KEN_EMISMATCH);
    ck_assert_str_eq(error.message, "tensor \"b\" has no counterpart in the base; \"names\" can tell it one");
    close_pair(&pair);
    open_pair(&pair, "module.a b", "a c", "b=c");
    pair.options.unmatched = KEN_UNMATCHED_FAIL;
    ck_assert_int_eq(plan_pair(&plan, &pair, &error), KEN_OK);
    ck_assert_uint_eq(ken_plan_totals(plan)->renamed_tensors, 2);
    ken_plan_free(&plan);
    close_pair(&pair);
}
END_TEST

/* What is told where nothing of the model has a base; "anchor=none" takes the one that all of these tests have. */
static void check_mismatch(const char *model, const char *base, const char *names, const char *told)
{
    struct pair pair;
    struct ken_plan *plan;
    struct ken_error error = {0};
    open_pair(&pair, model, base, names);
    ck_assert_int_eq(plan_pair(&plan, &pair, &error), KEN_EMISMATCH);
    ck_assert_ptr_null(plan);
    ck_assert_str_eq(error.message, told);
    close_pair(&pair);
}

#define NOTHING "no floating-point tensor of the model has a counterpart of its name and shape in the base"
#define ANCHOR ": names rule 1 sends \"anchor\" to \"none\", which the base does not have"
#define PAIR "; \"names\" can pair them"
START_TEST(nothing_that_goes_together_is_told_with_the_reasons)
{
    check_mismatch("a b c d", "e f", "*=x*",
                   NOTHING ": names rule 1 sends 5 tensors to names that the base does not have: \"a\" to \"xa\", for example" PAIR
                           "; tensors of the model: \"a\", \"b\", \"c\", ...; of the base: \"e\", \"f\", \"anchor\"");
    check_mismatch("a[1] b[3]", "a b", "anchor=none",
                   NOTHING ANCHOR "; tensor \"a\" is [1], but [2] in the base; tensor \"b\" is [3], but [2] in the base" PAIR
                                  "; tensors of the model: \"a\", \"b\", \"anchor\"; of the base: \"a\", \"b\", \"anchor\"");
    check_mismatch("bert.a roberta.a", "a", "anchor=none",
                   NOTHING ANCHOR
                   "; tensor \"bert.a\" is like \"a\" of the base, but there are others like them; tensor \"roberta.a\" is like \"a\" of "
                   "the base, but there are others like them" PAIR
                   "; tensors of the model: \"bert.a\", \"roberta.a\", \"anchor\"; of the base: \"a\", \"anchor\"");
}
END_TEST

static void fingerprint(unsigned char sha256[32], const char *model, const char *base, const char *names)
{
    struct pair pair;
    struct ken_plan *plan;
    open_pair(&pair, model, base, names);
    ck_assert_int_eq(plan_pair(&plan, &pair, NULL), KEN_OK);
    ck_assert_int_eq(ken_plan_fingerprint(plan, sha256, NULL), KEN_OK);
    ken_plan_free(&plan);
    close_pair(&pair);
}

/* Work that was begun with other names must not be gone on with; rules that come to the same pairs may be told otherwise. */
START_TEST(the_fingerprint_has_the_pairs)
{
    unsigned char plain[32], swapped[32], same[32];
    fingerprint(plain, "a b", "a b", NULL);
    fingerprint(swapped, "a b", "a b", "a=b b=a");
    fingerprint(same, "a b", "a b", "*=*");
    ck_assert_mem_ne(plain, swapped, sizeof plain);
    ck_assert_mem_eq(plain, same, sizeof plain);
}
END_TEST

/* Groups of names that are alike, each of which could be compared with each of another. */
START_TEST(many_names_that_are_alike_take_no_time)
{
    enum { NAMES = 40000, NAME = 64 };
    static const char *const words[] = {"bert", "vit", "esm", "net", "deit", "beit", "swin", "rwkv"};
    static char names[NAMES][NAME];
    static struct make_tensor tensors[NAMES + 1];
    struct ken_checkpoint *sides[2];
    struct made_file files[2];
    struct ken_plan *plan;
    struct ken_options options = pair_options(1, 0);
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < NAMES; i++) {
            size_t used = 0;
            for (size_t digits = i, d = 0; d < 8; d++, digits /= 4)
                used += (size_t)snprintf(names[i] + used, NAME - used, "%s.", words[4 * side + digits % 4]);
            snprintf(names[i] + used, NAME - used, "%s", i % 2 ? "lm_head.weight" : "wte.weight");
            tensors[i] = (struct make_tensor){names[i], "F32", side ? "[0,1]" : "[1,0]", NULL, 0};
        }
        tensors[NAMES] = (struct make_tensor){"anchor", "F32", "[1]", NULL, 4};
        files[side] = make_safetensors(NULL, tensors, NAMES + 1);
        ck_assert_int_eq(open_memory(&sides[side], files[side].bytes, files[side].length, NULL, NULL), 0);
    }
    ck_assert_int_eq(ken_plan_make(&plan, sides[0], sides[1], &options, &limits, NULL), KEN_OK);
    ck_assert_uint_eq(ken_plan_totals(plan)->added_tensors, NAMES);
    ken_plan_free(&plan);
    for (size_t side = 0; side < 2; side++) {
        ken_checkpoint_close(&sides[side]);
        free(files[side].bytes);
    }
}
END_TEST

UNIT_MAIN("names", prefixes_that_one_side_lacks, old_names_of_norms, nothing_is_taken_that_is_anothers_or_in_doubt,
          other_names_of_the_same_elements, heads_and_embeddings_that_models_tie, rules_of_the_job_come_first,
          a_plan_is_cancelled_at_any_tensor, what_has_no_counterpart_is_told, nothing_that_goes_together_is_told_with_the_reasons,
          the_fingerprint_has_the_pairs, many_names_that_are_alike_take_no_time)
