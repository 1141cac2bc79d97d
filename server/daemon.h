/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the process: parts are built in order, run until a signal ends them, and are taken down in reverse. */
#ifndef KEND_DAEMON_H
#define KEND_DAEMON_H

#include "conf.h"
#include "error.h"

/* Whether kend may run so; KEN_EINVALID says what to change. Nothing is touched. */
int kend_daemon_check(const struct kend_conf *conf, struct ken_error *error);
/* Runs until SIGTERM or SIGINT. The exit status: 0, or 1 after a failure, which has been logged. Main thread, before any other is started.
 */
int kend_daemon_run(const struct kend_conf *conf);

#endif
