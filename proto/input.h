/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_INPUT_H
#define PROTO_INPUT_H

#include "reader.h"

/* A proto_read of a struct proto_input: a URL, or an object with one and its SHA-256. */
void proto_read_input(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);

#endif
