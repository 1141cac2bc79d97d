/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEND_HTTP_DISK_H
#define KEND_HTTP_DISK_H

#include "http/server.h"

/* Whether less than disk.reserve_bytes is free where artifacts or the data folder are; an unknown amount counts as free. */
bool kend_disk_is_full(const struct kend_http_parts *parts);

#endif
