/* SPDX-License-Identifier: Apache-2.0 */
/* What of a job document is about names of tensors: globs, and the field "names". */
#ifndef PROTO_JOB_NAMES_H
#define PROTO_JOB_NAMES_H

#include "options.h"
#include "reader.h"

/* A proto_read for a glob or pattern: char [KEN_MAX_GLOB + 1]. */
void proto_read_glob(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);
/* A proto_read for the field "names": the names of a struct ken_options, which are NULL. */
void proto_read_names(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);
/* Names of the options as the document has them. New reference; NULL if out of memory. */
json_t *proto_names_to_json(const struct ken_options *options);

#endif
