/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmicrohttpd refuses before kend sees a request. Its own answer is a page of HTML; for a Content-Length that is no number, and for
 * more cookies than there is room for, version 0.9.75 sends two heads and one body, of which a reader takes the second head for the body.
 * So kend's answer goes before it, and the connection ends: the library's is never sent. From 1.0 on, it is one answer, and left alone.
 */
#ifndef KEND_HTTP_EARLY_H
#define KEND_HTTP_EARLY_H

#include "http/server.h"

#include <stdarg.h>

/* To be called with each line that the library logs, as it logs it. HTTP threads. */
void kend_early_look(struct kend_http *http, const char *format, va_list arguments);

#endif
