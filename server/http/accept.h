/* SPDX-License-Identifier: Apache-2.0 */
/* The Accept header (RFC 9110, 12.5.1), as far as it chooses between JSON and a stream of events. */
#ifndef KEND_HTTP_ACCEPT_H
#define KEND_HTTP_ACCEPT_H

#include <stdbool.h>

enum kend_media { KEND_MEDIA_NONE, KEND_MEDIA_JSON, KEND_MEDIA_EVENTS };

/* What is wanted more, of what there is: by weight, then by how exactly it is named, then JSON. NULL and "" accept all. NONE: neither. */
enum kend_media kend_accept_choose(const char *accept);
/* Whether a stream of events is accepted at all. */
bool kend_accept_events(const char *accept);

#endif
