/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether libmicrohttpd has seen all of a request's head. Version 0.9, without a word, ends a text at a NUL byte, takes a LF alone for the
 * end of a line, leaves out a header without a name, and glues a folded line to the *name* of the header before it: "Content-Lengt: 5"
 * and " h" become a Content-Length. Other readers of the same bytes do otherwise, and then see other requests. But it leaves each text
 * where it was received, so whatever it passed over is a gap between two of them.
 */
#ifndef KEND_HTTP_FRAMING_H
#define KEND_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

struct kend_framing {
    const char *next; /* where the next header has to begin */
    bool gap;
};

/* All texts are those of libmicrohttpd itself, headers in the order received; target_length: with the query. */
void kend_framing_begin(struct kend_framing *framing, const char *method, size_t target_length, const char *version);
void kend_framing_add(struct kend_framing *framing, const char *name, const char *value);
/* size: of the head, from the method to the empty line's end. False: there was a gap. */
bool kend_framing_end(const struct kend_framing *framing, const char *method, size_t size);

#endif
