/* SPDX-License-Identifier: Apache-2.0 */
/* What an admin does with all jobs of one owner ("": the nameless one). */
#ifndef KENCTL_OWNER_JOBS_H
#define KENCTL_OWNER_JOBS_H

#include "kenctl.h"

/* Cancels those that are queued or running, and tells how many. The exit status. */
int kenctl_owner_cancel(const struct kenctl *kenctl, const char *owner);
/* Deletes those that have ended, and tells how many. The exit status: KENCTL_FAILURE, too, if others are left. */
int kenctl_owner_delete(const struct kenctl *kenctl, const char *owner);

#endif
