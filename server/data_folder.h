/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder: made, locked against a second kend, and named. */
#ifndef KEND_DATA_FOLDER_H
#define KEND_DATA_FOLDER_H

#include "error.h"

enum { KEND_INSTANCE_SIZE = 33 };

struct kend_data_folder {
    int lock;                          /* descriptor of DATA/lock */
    char instance[KEND_INSTANCE_SIZE]; /* who this installation is in leases: 32 hexadecimal digits, kept in DATA/instance */
};

/* Makes the folder (0700) and its parents if missing, and takes it. KEN_EINVALID if another process has it; KEN_EIO, KEN_ENO_SPACE. */
int kend_data_folder_open(struct kend_data_folder *folder, const char *path, struct ken_error *error);
void kend_data_folder_close(struct kend_data_folder *folder);

#endif
