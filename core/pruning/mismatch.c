/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a model and a base of which nothing goes together. */
#include "pruning/names.h"
#include "pruning/plan.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_NAMES = 180, PREFIX_MAX = 60, RULE_SIZE = 96, TRIED = 64 };

/* The first names of a checkpoint's tensors, quoted. */
static const char *first_names(const struct ken_checkpoint *checkpoint, char text[FIRST_NAMES])
{
    size_t used = 0;
    char name[FIRST_NAMES / 4];
    for (size_t t = 0; t < checkpoint->tensor_count && t < 3; t++) {
        const char *full = checkpoint->tensors[t].name;
        used += (size_t)snprintf(text + used, FIRST_NAMES - used, "%s\"%s\"", t ? ", " : "",
                                 ken_printable(name, sizeof name, full, strlen(full)));
    }
    snprintf(text + used, FIRST_NAMES - used, "%s", checkpoint->tensor_count > 3 ? ", ..." : "");
    return text;
}

/* ---- a rule that would help: one that takes a prefix away, or puts it in front */

/* Whether a rule can have it as it is. */
static bool is_plain_prefix(const char *text, size_t length)
{
    char shown[PREFIX_MAX + 16];
    if (length > PREFIX_MAX || memchr(text, '*', length) || memchr(text, '?', length)) return false;
    ken_printable(shown, sizeof shown, text, length);
    return strlen(shown) == length && memcmp(shown, text, length) == 0;
}

static bool tell_rule(char rule[RULE_SIZE], const char *prefix, size_t length, bool in_base)
{
    if (!is_plain_prefix(prefix, length)) return false;
    snprintf(rule, RULE_SIZE, in_base ? ", as *=%.*s* does" : ", as %.*s*=* does", (int)length, prefix);
    return true;
}

/* The model's name begins with what the base lacks. */
static bool find_more(char rule[RULE_SIZE], const struct ken_names *base, const struct ken_tensor *tensor)
{
    for (const char *dot = strchr(tensor->name, '.'); dot; dot = strchr(dot + 1, '.')) {
        const struct ken_tensor *found = ken_names_find(base, dot + 1);
        if (found && ken_tensor_same_shape(tensor, found)) return tell_rule(rule, tensor->name, (size_t)(dot + 1 - tensor->name), false);
    }
    return false;
}

/* The other way round. */
static bool find_less(char rule[RULE_SIZE], const struct ken_checkpoint *base, const struct ken_tensor *tensor)
{
    const size_t length = strlen(tensor->name);
    for (size_t i = 0; i < base->tensor_count; i++) {
        const char *name = base->tensors[i].name;
        const size_t whole = strlen(name), more = whole > length ? whole - length : 0;
        if (more < 2 || name[more - 1] != '.' || strcmp(name + more, tensor->name) != 0) continue;
        if (ken_tensor_same_shape(tensor, &base->tensors[i])) return tell_rule(rule, name, more, true);
    }
    return false;
}

static bool find_rule(char rule[RULE_SIZE], const struct ken_plan *plan, const struct ken_names *base)
{
    for (size_t t = 0; t < plan->model->tensor_count && t < TRIED; t++) {
        const struct ken_tensor *tensor = &plan->model->tensors[t];
        if (!ken_dtype_is_prunable(tensor->dtype)) continue;
        if (find_more(rule, base, tensor) || find_less(rule, plan->base, tensor)) return true;
    }
    return false;
}

int ken_plan_mismatch(const struct ken_plan *plan, const struct ken_names *base, const char *reasons, struct ken_error *error)
{
    char model_names[FIRST_NAMES] = "none", base_names[FIRST_NAMES] = "none", rule[RULE_SIZE] = "";
    if (!plan->options->name_count && !find_rule(rule, plan, base)) *rule = '\0';
    return ken_fail(error, KEN_EMISMATCH,
                    "no floating-point tensor of the model has a counterpart of its name and shape in the base%s%s; \"names\" can pair "
                    "them%s; tensors of the model: %s; of the base: %s",
                    *reasons ? ": " : "", reasons, rule, first_names(plan->model, model_names), first_names(plan->base, base_names));
}
