/* SPDX-License-Identifier: Apache-2.0 */
/* What a prune job asks of the core: the job document without its URLs. Filled by proto (JSON) or by a caller; plain data. */
#ifndef KEN_OPTIONS_H
#define KEN_OPTIONS_H

#include "glob.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One table each; the name is the word of the job document. The first is the default. */
#define KEN_METHOD_MAP(X) \
    X(KEN_METHOD_KEN, "ken") X(KEN_METHOD_DENSITY, "density") X(KEN_METHOD_MAGNITUDE, "magnitude") X(KEN_METHOD_RANDOM, "random")
#define KEN_RESCALE_MAP(X) X(KEN_RESCALE_NONE, "none") X(KEN_RESCALE_L1, "l1")
#define KEN_DUPLICATES_MAP(X) X(KEN_DUPLICATES_EXACT, "exact") X(KEN_DUPLICATES_ALL, "all")
#define KEN_NON_FINITE_MAP(X) X(KEN_NON_FINITE_FAIL, "fail") X(KEN_NON_FINITE_KEEP, "keep")
#define KEN_UNMATCHED_MAP(X) X(KEN_UNMATCHED_ADD, "add") X(KEN_UNMATCHED_FAIL, "fail")
#define KEN_ACTION_MAP(X) X(KEN_ACTION_PRUNE, "prune") X(KEN_ACTION_KEEP, "keep") X(KEN_ACTION_RESET, "reset")
#define KEN_ENCODING_MAP(X) X(KEN_ENCODING_PLAIN, "plain") X(KEN_ENCODING_PACKED, "packed")
#define KEN_OUTPUT_MAP(X) X(KEN_OUTPUT_DELTA, "delta", 1U) X(KEN_OUTPUT_MODEL, "model", 2U) X(KEN_OUTPUT_REPORT, "report", 4U)

#define X(symbol, name) symbol,
enum ken_method { KEN_METHOD_MAP(X) KEN_METHOD_COUNT };
enum ken_rescale { KEN_RESCALE_MAP(X) KEN_RESCALE_COUNT };
enum ken_duplicates { KEN_DUPLICATES_MAP(X) KEN_DUPLICATES_COUNT };
enum ken_non_finite { KEN_NON_FINITE_MAP(X) KEN_NON_FINITE_COUNT };
enum ken_unmatched { KEN_UNMATCHED_MAP(X) KEN_UNMATCHED_COUNT };
enum ken_action { KEN_ACTION_MAP(X) KEN_ACTION_COUNT };
enum ken_encoding { KEN_ENCODING_MAP(X) KEN_ENCODING_COUNT };
#undef X
#define X(symbol, name, bit) symbol = bit,
enum ken_output { KEN_OUTPUT_MAP(X) };
#undef X

enum { KEN_MAX_VARIANTS = 16, KEN_MAX_RULES = 256, KEN_MAX_VARIANT_NAME = 64 };

/* How many columns a row selects: k if k > 0, else from keep: max(1, rint(keep * n)). */
struct ken_amount {
    uint64_t k;  /* 0: not given */
    double keep; /* 0 < keep < 1; 0: not given */
};

struct ken_rule {
    char match[KEN_MAX_GLOB + 1];
    enum ken_action action;
    struct ken_amount amount; /* both 0: the variant's */
};

/* A tensor whose name `match` matches has as its base the one that ken_glob_replace makes of `base`. */
struct ken_renaming {
    char match[KEN_MAX_GLOB + 1], base[KEN_MAX_GLOB + 1];
};

struct ken_variant {
    char name[KEN_MAX_VARIANT_NAME + 1]; /* "" for the only one of a job without variants */
    struct ken_amount amount;
    enum ken_method method;
    enum ken_rescale rescale;
    enum ken_duplicates duplicates;
    uint64_t seed; /* 0 to 2^53 - 1 */
};

struct ken_options {
    struct ken_variant variants[KEN_MAX_VARIANTS];
    size_t variant_count;   /* at least 1 */
    struct ken_rule *rules; /* [rule_count], owned by whoever made the options */
    size_t rule_count;
    struct ken_renaming *names; /* [name_count], owned likewise; the first that matches decides */
    size_t name_count;
    bool rules_layers; /* the preset "layers": a digit in the name: prune, else keep */
    enum ken_unmatched unmatched;
    enum ken_non_finite non_finite;
    enum ken_encoding encoding;
    unsigned outputs; /* bits of enum ken_output, at least one */
};

/* k for a row of n: as given, or max(1, rint(keep * n)) with halves to even. */
uint64_t ken_amount_k(const struct ken_amount *amount, uint64_t n);
/*
 * Whether a rule decides about a name: the first whose glob matches does. *used becomes true if the glob matches; behind the rule that has
 * decided, it is asked only until then.
 */
bool ken_rule_decides(const char *match, const char *name, bool decided, bool *used);
/* What the rules say of a tensor; *amount becomes the rule's own, or NULL where the variant's holds. used[rule_count]: as above. */
enum ken_action ken_options_action(const struct ken_options *options, const char *name, const struct ken_amount **amount, bool *used);
/* Names of the enumerated words; NULL out of range. */
const char *ken_method_name(enum ken_method method);
const char *ken_rescale_name(enum ken_rescale rescale);
const char *ken_duplicates_name(enum ken_duplicates duplicates);
const char *ken_action_name(enum ken_action action);
const char *ken_encoding_name(enum ken_encoding encoding);

#endif
