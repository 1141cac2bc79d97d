/* SPDX-License-Identifier: Apache-2.0 */
/* A kend installed on this machine, by its effective configuration. */
#ifndef KENCTL_INSTALLATION_H
#define KENCTL_INSTALLATION_H

#include "error.h"

#include <jansson.h>
#include <stdint.h>

/*
 * Asks the kend beside this kenctl, else that of PATH, what holds with the configuration file and data folder (each may be NULL): an object
 * of texts, "section.key", "data", and "warning" if kend had one. KEN_EINVALID: the message is kend's own; KEN_ENOT_FOUND: there is no
 * kend; KEN_EIO, KEN_ENOMEM.
 */
int kenctl_installation_read(json_t **settings, const char *config, const char *data, struct ken_error *error);

/* "" if there is no such option. */
const char *kenctl_setting(const json_t *settings, const char *name);
/* A size or a number; 0 if there is no such option. */
uint64_t kenctl_setting_number(const json_t *settings, const char *name);
/* The path in a setting that is a path, or a URL as sqlite:PATH. */
const char *kenctl_setting_path(const json_t *settings, const char *name);

#endif
