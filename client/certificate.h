/* SPDX-License-Identifier: Apache-2.0 */
/* How long certificates are good. */
#ifndef KENCTL_CERTIFICATE_H
#define KENCTL_CERTIFICATE_H

#include "error.h"

#include <stdbool.h>
#include <time.h>

struct kenctl_validity {
    time_t from, until;
};

/* Of the certificate in a PEM file that ends first. KEN_EINVALID: there is none. */
int kenctl_certificate_read(struct kenctl_validity *validity, const char *path, struct ken_error *error);
/* Whether it ought to have been renewed by now: less than two weeks are left, and less than a third of its time. */
bool kenctl_validity_is_short(const struct kenctl_validity *validity, time_t now);

#endif
