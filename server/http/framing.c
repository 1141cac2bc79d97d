/* SPDX-License-Identifier: Apache-2.0 */
#include "http/framing.h"

#include <string.h>

enum { LINE_END = 2 };

void kend_framing_begin(struct kend_framing *framing, const char *method, size_t target_length, const char *version)
{
    framing->gap = version != method + strlen(method) + 1 + target_length + 1;
    framing->next = version + strlen(version) + LINE_END;
}

void kend_framing_add(struct kend_framing *framing, const char *name, const char *value)
{
    const char *colon = name + strlen(name);
    if (framing->gap || name != framing->next || value != colon + 1 + strspn(colon + 1, " \t"))
        framing->gap = true;
    else
        framing->next = value + strlen(value) + LINE_END;
}

bool kend_framing_end(const struct kend_framing *framing, const char *method, size_t size)
{
    return !framing->gap && framing->next + LINE_END == method + size;
}
