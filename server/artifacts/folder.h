/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts in a folder: ROOT/JOB/ what is published, ROOT/.work/JOB/ what a job works with, ROOT/.trash/ what is being deleted. A
 * published folder comes by one rename and goes by one, so it is never seen in part.
 */
#ifndef KEND_FOLDER_H
#define KEND_FOLDER_H

#include "artifacts/artifacts.h"

int kend_folder_open(struct kend_artifacts **artifacts, const char *path, struct ken_error *error);

#endif
