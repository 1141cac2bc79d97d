/* SPDX-License-Identifier: Apache-2.0 */
/* The pruned tensors by role, as a server lists them or a folder's report tells. */
#ifndef KENCTL_LAYER_LIST_H
#define KENCTL_LAYER_LIST_H

#include "http.h"
#include "kenctl.h"

/* All roles of a job, as GET /v1/jobs/{id}/layers has them, page by page; variant may be NULL. New reference. NULL after a refusal or a
 * failure: *response tells of a refusal, *error of a failure. */
json_t *kenctl_layers_get(struct kenctl_http *http, const char *job, const char *variant, struct kenctl_response *response,
                          struct ken_error *error);
/* The same of a folder that prune made, from its report. NULL with an error. */
json_t *kenctl_layers_read(const char *folder, const char *variant, struct ken_error *error);
/* The one role [a string of the roles] that the glob names, or that it is. NULL with an error that names what there is. */
const json_t *kenctl_layers_pick(const json_t *roles, const char *glob, struct ken_error *error);

#endif
