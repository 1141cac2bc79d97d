/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensor of the base each one of the model is compared with: docs/design/architecture.md, "Names". */
#include "pruning/names.h"
#include "pruning/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_OF_A_CLASS = 16, /* tied matrices in a base: a model has a few */
    SHAPE_TEXT = 64,
    REASONS = 300, /* bytes of them in an error */
};

/* What was found out about one tensor of the model. */
struct state {
    bool settled;                           /* by a rule of the job */
    bool assumed;                           /* its base is one that models tie it to; nothing says that this one does */
    const struct ken_tensor *misfit, *like; /* the first of its name, but of another shape or kind; one of several with its bare name */
};

/* Tied matrices of the base. */
struct class
{
    struct member {
        const struct ken_tensor *tensor;
        size_t word;
    } members[MOST_OF_A_CLASS];
    size_t count; /* there may be more of them */
};

/* What a rule sends to names that the base does not have. */
struct lost {
    size_t count;
    const char *name; /* the first, as the model calls it */
    char *wanted;     /* where to */
};

struct matching {
    struct ken_plan *plan;
    struct ken_names model, base;
    struct state *states; /* [model tensors] */
    bool *taken;          /* [base tensors] */
    struct lost *lost;    /* [names rules of the job] */
    struct class classes[KEN_TIED_CLASSES];
};

static size_t number_of(const struct matching *matching, const struct ken_tensor *tensor)
{
    return (size_t)(tensor - matching->plan->model->tensors);
}

static bool is_open(const struct matching *matching, size_t tensor)
{
    return !matching->plan->entries[tensor].base && !matching->states[tensor].settled;
}

static bool kinds_fit(const struct ken_tensor *model, const struct ken_tensor *base)
{
    return model->dtype == base->dtype || (ken_dtype_is_prunable(model->dtype) && ken_dtype_is_prunable(base->dtype));
}

static bool fits(const struct ken_tensor *model, const struct ken_tensor *base)
{
    return ken_tensor_same_shape(model, base) && kinds_fit(model, base);
}

/* Makes a tensor of the base (or NULL) that of the model's if it can be. */
static void offer(struct matching *matching, size_t tensor, const struct ken_tensor *base)
{
    struct ken_entry *entry = &matching->plan->entries[tensor];
    struct state *state = &matching->states[tensor];
    if (!base) return;
    if (fits(entry->model, base))
        entry->base = base;
    else if (!state->misfit)
        state->misfit = base;
}

/* ---- by rules and names */

static int match_by_rule(struct matching *matching, size_t tensor, struct ken_error *error)
{
    const struct ken_options *options = matching->plan->options;
    const char *name = matching->plan->model->tensors[tensor].name;
    const struct ken_renaming *rule = NULL;
    bool *used = &matching->plan->used[options->rule_count];
    for (size_t r = 0; r < options->name_count; r++)
        if (ken_rule_decides(options->names[r].match, name, rule, &used[r])) rule = &options->names[r];
    if (!rule) return KEN_OK;
    char *wanted = ken_glob_replace(rule->match, rule->base, name);
    if (!wanted) return ken_fail_no_memory(error, "the name of a tensor");
    const struct ken_tensor *base = ken_names_find(&matching->base, wanted);
    matching->states[tensor].settled = true;
    offer(matching, tensor, base);
    struct lost *lost = &matching->lost[rule - options->names];
    if (!base && !lost->count++) {
        lost->name = name;
        lost->wanted = wanted;
        return KEN_OK;
    }
    free(wanted);
    return KEN_OK;
}

/* Rules first, then the tensors' own names, then other names of theirs. */
static int match_by_text(struct matching *matching, const struct ken_plan_limits *limits, struct ken_error *error)
{
    const struct ken_checkpoint *model = matching->plan->model;
    for (size_t t = 0; t < model->tensor_count; t++) {
        int code = ken_plan_go_on(limits, error);
        if (!code) code = match_by_rule(matching, t, error);
        if (code) return code;
        if (is_open(matching, t)) offer(matching, t, ken_names_find(&matching->base, model->tensors[t].name));
    }
    for (size_t i = 0; i < matching->model.tie_count; i++) {
        const struct ken_name *tie = matching->model.ties[i];
        size_t t = number_of(matching, tie->tensor);
        if (is_open(matching, t)) offer(matching, t, ken_names_find(&matching->base, tie->text));
    }
    return KEN_OK;
}

static void note_taken(struct matching *matching)
{
    const struct ken_plan *plan = matching->plan;
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (plan->entries[t].base) matching->taken[plan->entries[t].base - plan->base->tensors] = true;
}

/* ---- by bare names */

/* Names that have the same bare name. */
struct group {
    const struct ken_name *names;
    size_t count;
};

static struct group group_at(const struct ken_names *names, size_t first)
{
    struct group group = {&names->names[first], 1};
    while (first + group.count < names->count && !ken_bare_name_compare(&group.names->bare, &group.names[group.count].bare)) group.count++;
    return group;
}

/* The tensor that all names of a group, or those that are other names, stand for; NULL if there are several. */
static const struct ken_tensor *only_tensor(const struct group *group, bool tied)
{
    const struct ken_tensor *only = NULL;
    for (size_t i = 0; i < group->count; i++) {
        if (tied && !group->names[i].tied) continue;
        if (only && only != group->names[i].tensor) return NULL;
        only = group->names[i].tensor;
    }
    return only;
}

/* Other names of a tensor may lead to one that is a base already. */
static void match_ties(struct matching *matching, const struct group *model, const struct group *base)
{
    const struct ken_tensor *of_all = only_tensor(base, false), *of_tied = only_tensor(base, true);
    for (size_t i = 0; i < model->count; i++) {
        size_t t = number_of(matching, model->names[i].tensor);
        if (is_open(matching, t)) offer(matching, t, model->names[i].tied ? of_all : of_tied);
    }
}

/* A tensor that no other is like may have one as its base that no other is like. */
static void match_group(struct matching *matching, const struct group *model, const struct group *base)
{
    size_t tensor = 0, tensors = 0, bases = 0;
    const struct ken_tensor *found = NULL;
    for (size_t i = 0; i < model->count; i++) {
        size_t t = number_of(matching, model->names[i].tensor);
        if (model->names[i].tied || !is_open(matching, t)) continue;
        tensor = t;
        tensors++;
    }
    for (size_t i = 0; i < base->count; i++) {
        if (base->names[i].tied || matching->taken[base->names[i].tensor - matching->plan->base->tensors]) continue;
        found = base->names[i].tensor;
        bases++;
    }
    if (tensors == 1 && bases == 1) offer(matching, tensor, found);
    if (tensors * bases <= 1) {
        match_ties(matching, model, base);
        return;
    }
    for (size_t i = 0; i < model->count; i++) {
        size_t t = number_of(matching, model->names[i].tensor);
        if (is_open(matching, t)) matching->states[t].like = found;
    }
}

static void match_by_bare_name(struct matching *matching)
{
    const struct ken_names *model = &matching->model, *base = &matching->base;
    for (size_t m = 0, b = 0; m < model->count && b < base->count;) {
        struct group of_model = group_at(model, m), of_base = group_at(base, b);
        int order = ken_bare_name_compare(&of_model.names->bare, &of_base.names->bare);
        if (!order) match_group(matching, &of_model, &of_base);
        if (order <= 0) m += of_model.count;
        if (order >= 0) b += of_base.count;
    }
}

/* ---- by what models tie */

static void list_classes(struct matching *matching)
{
    for (size_t i = 0; i < matching->base.count; i++) {
        const struct ken_name *name = &matching->base.names[i];
        size_t word;
        enum ken_tied_class found = ken_bare_name_class(&name->bare, &word);
        if (found == KEN_TIED_CLASSES || name->tied) continue;
        struct class *class = &matching->classes[found];
        if (class->count < MOST_OF_A_CLASS) class->members[class->count] = (struct member){name->tensor, word};
        class->count++;
    }
}

/* The member that fits and has the first word, if it is the only one with it. */
static const struct ken_tensor *member_of(const struct class *class, const struct ken_tensor *model)
{
    const struct member *first = NULL;
    bool twice = false;
    for (size_t i = 0; i < class->count && class->count <= MOST_OF_A_CLASS; i++) {
        const struct member *member = &class->members[i];
        if (!fits(model, member->tensor) || (first && member->word > first->word)) continue;
        twice = first && member->word == first->word;
        first = member;
    }
    return first && !twice ? first->tensor : NULL;
}

static bool has_member(const struct class *class, const struct ken_tensor *model)
{
    bool has = class->count > MOST_OF_A_CLASS;
    for (size_t i = 0; !has && i < class->count; i++) has = fits(model, class->members[i].tensor);
    return has;
}

/* A head that the base has not is its embedding, and the other way round. */
static void match_by_class(struct matching *matching)
{
    list_classes(matching);
    for (size_t i = 0; i < matching->model.count; i++) {
        const struct ken_name *name = &matching->model.names[i];
        size_t word, t = number_of(matching, name->tensor);
        enum ken_tied_class class = ken_bare_name_class(&name->bare, &word);
        if (class == KEN_TIED_CLASSES || !is_open(matching, t) || has_member(&matching->classes[class], name->tensor)) continue;
        offer(matching, t, member_of(&matching->classes[class == KEN_TIED_HEAD ? KEN_TIED_EMBEDDING : KEN_TIED_HEAD], name->tensor));
        matching->states[t].assumed = matching->plan->entries[t].base;
    }
}

/* ---- what came of it */

/* "[2,3]", cut where it is long. */
static const char *show_shape(char text[SHAPE_TEXT], const struct ken_tensor *tensor)
{
    enum { ROOM = SHAPE_TEXT - 24 /* for one more number and the end */ };
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (uint32_t i = 0; i < tensor->rank; i++) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, used > ROOM ? ",..." : i ? ",%" PRIu64 : "%" PRIu64, tensor->shape[i]);
        if (used > ROOM) break;
    }
    snprintf(text + used, SHAPE_TEXT - used, "]");
    return text;
}

static void tell_misfit(char text[KEN_MESSAGE_MAX], const struct ken_tensor *model, const struct ken_tensor *base)
{
    char name[KEN_PLAN_NAME], other[KEN_PLAN_NAME], shape[SHAPE_TEXT], other_shape[SHAPE_TEXT];
    bool renamed = strcmp(model->name, base->name) != 0, shapes = !ken_tensor_same_shape(model, base);
    snprintf(text, KEN_MESSAGE_MAX, "tensor \"%s\" is %s, but %s in the base%s%s%s", ken_plan_show(name, model->name),
             shapes ? show_shape(shape, model) : ken_dtype_name(model->dtype),
             shapes ? show_shape(other_shape, base) : ken_dtype_name(base->dtype), renamed ? ", as \"" : "",
             renamed ? ken_plan_show(other, base->name) : "", renamed ? "\"" : "");
}

/* Why a tensor has no base, where more is to be said than that there is none of its name. */
static bool tell_reason(char text[KEN_MESSAGE_MAX], const struct matching *matching, size_t tensor)
{
    const struct ken_entry *entry = &matching->plan->entries[tensor];
    const struct state *state = &matching->states[tensor];
    char name[KEN_PLAN_NAME], other[KEN_PLAN_NAME];
    if (entry->base || (!state->misfit && !state->like)) return false;
    if (state->misfit)
        tell_misfit(text, entry->model, state->misfit);
    else
        snprintf(text, KEN_MESSAGE_MAX, "tensor \"%s\" is like \"%s\" of the base, but there are others like them",
                 ken_plan_show(name, entry->model->name), ken_plan_show(other, state->like->name));
    return true;
}

static bool tell_lost(char text[KEN_MESSAGE_MAX], const struct matching *matching, size_t rule)
{
    const struct lost *lost = &matching->lost[rule];
    char name[KEN_PLAN_NAME], wanted[KEN_PLAN_NAME];
    if (!lost->count) return false;
    ken_plan_show(name, lost->name);
    ken_plan_show(wanted, lost->wanted);
    if (lost->count == 1)
        snprintf(text, KEN_MESSAGE_MAX, "names rule %zu sends \"%s\" to \"%s\", which the base does not have", rule + 1, name, wanted);
    else
        snprintf(text, KEN_MESSAGE_MAX,
                 "names rule %zu sends %zu tensors to names that the base does not have: \"%s\" to \"%s\", for example", rule + 1,
                 lost->count, name, wanted);
    return true;
}

static int warn_of_tensor(const struct matching *matching, size_t tensor, struct ken_error *error)
{
    struct ken_plan *plan = matching->plan;
    const struct ken_entry *entry = &plan->entries[tensor];
    const struct state *state = &matching->states[tensor];
    char name[KEN_PLAN_NAME], other[KEN_PLAN_NAME], reason[KEN_MESSAGE_MAX];
    if (entry->base && state->assumed)
        return ken_plan_warn(plan, error, "tensor \"%s\" is not in the base, and compared with \"%s\", which models tie it to",
                             ken_plan_show(name, entry->model->name), ken_plan_show(other, entry->base->name));
    if (!tell_reason(reason, matching, tensor)) return KEN_OK;
    return ken_plan_warn(plan, error, "%s; it is stored whole%s", reason, state->misfit ? "" : " (\"names\" can pair them)");
}

static int warn(const struct matching *matching, struct ken_error *error)
{
    const struct ken_plan *plan = matching->plan;
    char text[KEN_MESSAGE_MAX];
    int code = KEN_OK;
    for (size_t r = 0; !code && r < plan->options->name_count; r++)
        if (tell_lost(text, matching, r)) code = ken_plan_warn(matching->plan, error, "%s", text);
    for (size_t t = 0; !code && t < plan->model->tensor_count; t++) code = warn_of_tensor(matching, t, error);
    return code;
}

/* Adds a reason as long as there is room for it. */
static void add_reason(char reasons[REASONS], const char *reason)
{
    size_t used = strlen(reasons), length = strlen(reason);
    if (!used || used + length + sizeof "; " <= REASONS) snprintf(reasons + used, REASONS - used, "%s%s", used ? "; " : "", reason);
}

static int check_matching(const struct matching *matching, struct ken_error *error)
{
    const struct ken_plan *plan = matching->plan;
    char text[KEN_MESSAGE_MAX], reasons[REASONS] = "";
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (plan->entries[t].base && ken_dtype_is_prunable(plan->entries[t].model->dtype)) return KEN_OK;
    for (size_t r = 0; r < plan->options->name_count; r++)
        if (tell_lost(text, matching, r)) add_reason(reasons, text);
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (ken_dtype_is_prunable(plan->entries[t].model->dtype) && tell_reason(text, matching, t)) add_reason(reasons, text);
    return ken_plan_mismatch(plan, &matching->base, reasons, error);
}

/* Whether the model has the name for a tensor that has another of its own. */
static bool is_tied(const struct matching *matching, const char *name)
{
    const struct ken_tensor *tensor = ken_names_find(&matching->model, name);
    return tensor && strcmp(tensor->name, name) != 0;
}

static int list_dropped(struct matching *matching, struct ken_error *error)
{
    struct ken_plan *plan = matching->plan;
    memset(matching->taken, 0, plan->base->tensor_count * sizeof *matching->taken);
    note_taken(matching);
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (!plan->entries[t].base && matching->states[t].misfit) matching->taken[matching->states[t].misfit - plan->base->tensors] = true;
    plan->dropped = calloc(plan->base->tensor_count + 1, sizeof *plan->dropped);
    if (!plan->dropped) return ken_fail_no_memory(error, "a list of tensors");
    for (size_t i = 0; i < plan->base->tensor_count; i++)
        if (!matching->taken[i] && !is_tied(matching, plan->base->tensors[i].name)) plan->dropped[plan->dropped_count++] = i;
    return KEN_OK;
}

int ken_plan_match(struct ken_plan *plan, const struct ken_plan_limits *limits, struct ken_error *error)
{
    struct matching matching = {.plan = plan};
    matching.states = calloc(plan->model->tensor_count + 1, sizeof *matching.states);
    matching.taken = calloc(plan->base->tensor_count + 1, sizeof *matching.taken);
    matching.lost = calloc(plan->options->name_count + 1, sizeof *matching.lost);
    int code = matching.states && matching.taken && matching.lost ? KEN_OK : ken_fail_no_memory(error, "matching tensors");
    if (!code) code = ken_names_read(&matching.model, &matching.base, plan->model, plan->base, error);
    if (!code) code = match_by_text(&matching, limits, error);
    if (!code) {
        note_taken(&matching);
        match_by_bare_name(&matching);
        match_by_class(&matching);
    }
    if (!code) code = check_matching(&matching, error);
    if (!code) code = warn(&matching, error);
    if (!code) code = list_dropped(&matching, error);
    ken_names_free(&matching.base);
    ken_names_free(&matching.model);
    for (size_t r = 0; matching.lost && r < plan->options->name_count; r++) free(matching.lost[r].wanted);
    free(matching.lost);
    free(matching.taken);
    free(matching.states);
    return code;
}
