/* SPDX-License-Identifier: Apache-2.0 */
/* A prefix that the names of one side have and those of the other lack. */
#ifndef KEN_PREFIX_H
#define KEN_PREFIX_H

#include "compare/side.h"

#include <stdbool.h>
#include <stddef.h>

struct ken_side_prefix {
    const char *text; /* [length], with the dot at its end; borrowed from the side */
    size_t length;
    bool of_b; /* B has it */
};

/* Whether, with one prefix in front of them or without it, all names of the side with fewer tensors are names of the other. */
bool ken_side_find_prefix(struct ken_side_prefix *prefix, const struct ken_side *a, const struct ken_side *b);

#endif
