/* SPDX-License-Identifier: Apache-2.0 */
/* proto/openapi.json, embedded at build time. */
#ifndef PROTO_OPENAPI_H
#define PROTO_OPENAPI_H

#include <stddef.h>

extern const char proto_openapi_json[]; /* [proto_openapi_length], a NUL behind it */
extern const size_t proto_openapi_length;

#endif
