/* SPDX-License-Identifier: Apache-2.0 */
/* What pruning did to each layer of a model: bars on a terminal, numbers in a pipe. */
#ifndef KENCTL_LAYER_BARS_H
#define KENCTL_LAYER_BARS_H

#include "http.h"
#include "kenctl.h"

/* Prints the layers of a job that has some. What cannot be asked for is left out: it comes beside an answer. The exit status. */
int kenctl_layer_bars_show(const struct kenctl *kenctl, struct kenctl_http *http, const json_t *job);

#endif
