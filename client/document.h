/* SPDX-License-Identifier: Apache-2.0 */
/* The job document that a command line means: read from a file, or made from options. */
#ifndef KENCTL_DOCUMENT_H
#define KENCTL_DOCUMENT_H

#include "kenctl.h"

#include <stdint.h>

/* The options that make a document, for the lists of `prune` and `submit`, and those that only a server's job has. */
#define KENCTL_DOCUMENT_OPTIONS                                                                                                           \
    KENCTL_OPT_MODEL, KENCTL_OPT_MODEL_SHA256, KENCTL_OPT_BASE, KENCTL_OPT_BASE_SHA256, KENCTL_OPT_K, KENCTL_OPT_KEEP, KENCTL_OPT_METHOD, \
        KENCTL_OPT_RESCALE, KENCTL_OPT_DUPLICATES, KENCTL_OPT_NON_FINITE, KENCTL_OPT_SEED, KENCTL_OPT_RULES_LAYERS, KENCTL_OPT_RULE,      \
        KENCTL_OPT_NAMES, KENCTL_OPT_UNMATCHED, KENCTL_OPT_OUTPUTS, KENCTL_OPT_ENCODING, KENCTL_OPT_JOB
#define KENCTL_JOB_OPTIONS \
    KENCTL_OPT_KIND, KENCTL_OPT_DELTA, KENCTL_OPT_DELTA_SHA256, KENCTL_OPT_NAME, KENCTL_OPT_METADATA, KENCTL_OPT_TIMEOUT

/*
 * Makes the document: from `file` ("-" is standard input) or --job, else from the options. NULL and *status after a fault, which has been
 * told; both a file and options are one. The values are for whoever parses the document to judge.
 */
json_t *kenctl_document(const struct kenctl *kenctl, const char *file, int *status);

/* The option that makes the field that a JSON pointer is about, "--k" of "/k"; NULL if there is none. */
const char *kenctl_option_of(const char *pointer);

/* A value as "96MiB", "1.5GB" or "1000" in bytes; false if it is none. */
bool kenctl_parse_size(const char *text, uint64_t *bytes);

#endif
