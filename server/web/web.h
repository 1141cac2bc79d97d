/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the page, as they lie in this folder; web_files.c is made from them. */
#ifndef KEND_WEB_WEB_H
#define KEND_WEB_WEB_H

#include <stddef.h>

struct kend_web_file {
    const char *name; /* below this folder, such as "views/jobs.js" */
    const char *type; /* its Content-Type */
    const char *text;
    size_t length;
};

extern const struct kend_web_file kend_web_files[];
extern const size_t kend_web_count;

#endif
