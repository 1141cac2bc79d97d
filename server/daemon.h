/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the process: parts are built in order, run until a signal ends them, and are taken down in reverse. */
#ifndef KEND_DAEMON_H
#define KEND_DAEMON_H

#include "conf.h"
#include "error.h"

/* Whether kend may run so; tells each thing that has to be changed. Nothing is touched. */
bool kend_daemon_check(const struct kend_conf *conf, void (*tell)(const char *fault));
/* Whether kend could start with the job store as it is; tells why not. Nothing is changed. */
bool kend_daemon_check_store(const struct kend_conf *conf, void (*tell)(const char *fault));
/* Runs until SIGTERM or SIGINT. The exit status: 0, or 1 after a failure, which has been logged. Main thread, before any other is started.
 */
int kend_daemon_run(const struct kend_conf *conf);

#endif
