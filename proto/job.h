/* SPDX-License-Identifier: Apache-2.0 */
/* The job document: parsed wholly, all faults at once, and written back in one canonical form. */
#ifndef PROTO_JOB_H
#define PROTO_JOB_H

#include "options.h"
#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define PROTO_KIND_MAP(X) X(PROTO_KIND_PRUNE, "prune") X(PROTO_KIND_INJECT, "inject")
#define X(symbol, name) symbol,
enum proto_kind { PROTO_KIND_MAP(X) PROTO_KIND_COUNT };
#undef X
const char *proto_kind_name(enum proto_kind kind);

/* Fields that only jobs of that kind take. */
#define PROTO_PRUNE_FIELD_MAP(X) \
    X("model")                   \
    X("method")                  \
    X("k")                       \
    X("keep")                    \
    X("rescale")                 \
    X("duplicates")              \
    X("non_finite")              \
    X("seed")                    \
    X("rules")                   \
    X("names")                   \
    X("unmatched")               \
    X("variants")                \
    X("delta_encoding")
#define PROTO_INJECT_FIELD_MAP(X) X("delta")
/* Fields and URL schemes of features that are not there yet: refused as not_supported. */
#define PROTO_LATER_FIELD_MAP(X) X("publish") X("webhooks") X("mlflow") X("search")
#define PROTO_LATER_SCHEME_MAP(X) X("hf") X("s3") X("gs") X("az") X("abfs") X("oci") X("mlflow-artifacts") X("models") X("runs")

enum { PROTO_MAX_NAME = 128, PROTO_MAX_METADATA = 16, PROTO_MAX_METADATA_KEY = 64, PROTO_MAX_METADATA_VALUE = 512 };
#define PROTO_MAX_SEED (((uint64_t)1 << 53) - 1)
#define PROTO_MAX_TIMEOUT_SECONDS ((uint64_t)366 * 86400)

struct proto_input {
    char *url; /* as given, query string and all; NULL where the kind has no such input */
    bool has_sha256;
    unsigned char sha256[32];
};

struct proto_metadata {
    char *key, *value;
};

struct proto_job {
    enum proto_kind kind;
    char *name; /* or NULL */
    struct proto_input model, base, delta;
    struct ken_options options;      /* owns rules and names of it */
    struct proto_metadata *metadata; /* [metadata_count], in key order */
    size_t metadata_count;
    uint64_t timeout_seconds; /* 0: none */
};

/* What the reader of a document allows: kend its configured schemes, kenctl paths as well. */
struct proto_policy {
    const char *schemes; /* comma-separated, lower case, e.g. "https,file" */
    bool allow_paths;    /* an input may be a path instead of a URL */
};

/*
 * Parses a document into *job (owned by the caller, proto_job_free). Any fault: *job is NULL, `faults` has them all, and -1 is returned.
 * The document is borrowed. Unknown fields, wrong types, values out of range, features that are not there yet ("not_supported") are faults.
 * Out of memory: -1 without any fault.
 */
int proto_job_parse(struct proto_job **job, const json_t *document, const struct proto_policy *policy, struct proto_faults *faults);
void proto_job_free(struct proto_job **job);
/*
 * The document in canonical form: every field that holds, defaults filled in, keys in the contract's order. A new reference; NULL if out of
 * memory. redacted: query strings as "?...", for answers and logs; otherwise as given, for the store. Parsing its output gives an equal
 * job.
 */
json_t *proto_job_to_json(const struct proto_job *job, bool redacted);

/* Redacts a document in canonical form in place. -1 if out of memory: the document must not be shown then. */
int proto_job_redact(json_t *document);

#endif
