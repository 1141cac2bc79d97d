/* SPDX-License-Identifier: Apache-2.0 */
/* A kend installed on this machine, by its effective configuration. */
#ifndef KENCTL_INSTALLATION_H
#define KENCTL_INSTALLATION_H

#include "error.h"

#include <jansson.h>
#include <stdint.h>

/*
 * Asks the kend beside this kenctl, else that of PATH, what holds with the configuration file and data folder (each may be NULL): an object
 * of texts, "section.key", "data", "said" (what kend finds wrong with them, a line each, or warns of; "" for nothing), and "store_fault"
 * (why the job store cannot be opened, or ""). KEN_EINVALID: there is no such configuration, the message is kend's own; KEN_ENOT_FOUND:
 * there is no kend; KEN_EIO, KEN_ENOMEM.
 */
int kenctl_installation_read(json_t **settings, const char *config, const char *data, struct ken_error *error);

/* "" if there is no such option. */
const char *kenctl_setting(const json_t *settings, const char *name);
/* A size or a number; 0 if there is no such option. */
uint64_t kenctl_setting_number(const json_t *settings, const char *name);
/* The path in a setting that is a path, or a URL as sqlite:PATH. */
const char *kenctl_setting_path(const json_t *settings, const char *name);

#endif
