/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "error.h"
#include "glob.h"

#include <string.h>

#define X(symbol, name) name,
static const char *const method_names[] = {KEN_METHOD_MAP(X)};
static const char *const rescale_names[] = {KEN_RESCALE_MAP(X)};
static const char *const duplicates_names[] = {KEN_DUPLICATES_MAP(X)};
static const char *const action_names[] = {KEN_ACTION_MAP(X)};
static const char *const encoding_names[] = {KEN_ENCODING_MAP(X)};
#undef X

const char *ken_method_name(enum ken_method method)
{
    return method < KEN_METHOD_COUNT ? method_names[method] : NULL;
}

const char *ken_rescale_name(enum ken_rescale rescale)
{
    return rescale < KEN_RESCALE_COUNT ? rescale_names[rescale] : NULL;
}

const char *ken_duplicates_name(enum ken_duplicates duplicates)
{
    return duplicates < KEN_DUPLICATES_COUNT ? duplicates_names[duplicates] : NULL;
}

const char *ken_action_name(enum ken_action action)
{
    return action < KEN_ACTION_COUNT ? action_names[action] : NULL;
}

const char *ken_encoding_name(enum ken_encoding encoding)
{
    return encoding < KEN_ENCODING_COUNT ? encoding_names[encoding] : NULL;
}

uint64_t ken_amount_k(const struct ken_amount *amount, uint64_t n)
{
    if (amount->k) return amount->k;
    KEN_ASSERT(amount->keep > 0 && amount->keep < 1 && n < UINT64_C(1) << 52);
    /* Adding 2^52 leaves no bits below the unit: the sum itself rounds halves to even, whatever the C library does. */
    volatile double shifted = amount->keep * (double)n + 0x1p52;
    double k = shifted - 0x1p52;
    return k < 1 ? 1 : (uint64_t)k;
}

bool ken_rule_decides(const char *match, const char *name, bool decided, bool *used)
{
    if ((decided && *used) || !ken_glob_match(match, name)) return false;
    *used = true;
    return !decided;
}

enum ken_action ken_options_action(const struct ken_options *options, const char *name, const struct ken_amount **amount, bool *used)
{
    const struct ken_rule *rule = NULL;
    *amount = NULL;
    if (options->rules_layers) return strpbrk(name, "0123456789") ? KEN_ACTION_PRUNE : KEN_ACTION_KEEP;
    for (size_t i = 0; i < options->rule_count; i++)
        if (ken_rule_decides(options->rules[i].match, name, rule, &used[i])) rule = &options->rules[i];
    if (!rule) return KEN_ACTION_PRUNE;
    bool own = rule->amount.k || rule->amount.keep > 0;
    if (rule->action == KEN_ACTION_PRUNE && own) *amount = &rule->amount;
    return rule->action;
}
