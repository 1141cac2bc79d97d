/* SPDX-License-Identifier: Apache-2.0 */
/* One option's value: from text, to text. For the files conf*.c alone. */
#ifndef KEND_CONF_VALUE_H
#define KEND_CONF_VALUE_H

#include "conf.h"

#include <stddef.h>

#define X(kind, type, allowed) KEND_CONF_KIND_##kind,
enum kend_conf_kind { KEND_KIND_MAP(X) };
#undef X

#define X(section, key, kind, preset, least, most, sentence) +1
enum { KEND_CONF_OPTIONS = 0 KEND_OPTION_MAP(X), KEND_CONF_REASON = 192, KEND_CONF_SIZE_TEXT = 32 };
#undef X

struct kend_conf_option {
    const char *section, *key, *name; /* name: "section.key" */
    enum kend_conf_kind kind;
    const char *preset;
    uint64_t least, most;
    const char *sentence;
    size_t offset; /* of its field in struct kend_conf */
};
extern const struct kend_conf_option kend_conf_options[KEND_CONF_OPTIONS];

/*
 * Sets the option from text. KEN_EINVALID: reason has what is allowed, as in "must be a whole number from 1 to 64"; KEN_ENOMEM. The field
 * keeps its value on failure.
 */
int kend_conf_set(struct kend_conf *conf, const struct kend_conf_option *option, const char *text, char reason[KEND_CONF_REASON]);
/* What is allowed, with the range where there is one. */
void kend_conf_allowed(const struct kend_conf_option *option, char reason[KEND_CONF_REASON]);
/* The value as text that sets the same: its own, or from a buffer. */
const char *kend_conf_get(const struct kend_conf *conf, const struct kend_conf_option *option, char buffer[KEND_CONF_SIZE_TEXT]);
/* Whether a value of this kind is a list, which may go on in further lines of the file. */
bool kend_conf_is_list(enum kend_conf_kind kind);

#endif
