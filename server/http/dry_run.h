/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/jobs?dry_run=true: the connection is suspended while the engine looks at both checkpoints. */
#ifndef KEND_HTTP_DRY_RUN_H
#define KEND_HTTP_DRY_RUN_H

#include "http/respond.h"
#include "job.h"

/* Takes the job over. */
enum MHD_Result kend_dry_run_start(struct kend_request *request, struct proto_job *job);
/* When the request is resumed. */
enum MHD_Result kend_dry_run_answer(struct kend_request *request);

#endif
