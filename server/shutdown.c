/* SPDX-License-Identifier: Apache-2.0 */
#include "shutdown.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct kend_shutdown {
    int signals; /* signalfd */
    int drained; /* eventfd: the engine runs nothing any more */
    struct kend_engine *engine;
    struct kend_http *http;
    unsigned seconds;
};

int kend_shutdown_create(struct kend_shutdown **out, struct ken_error *error)
{
    int failure = ENOMEM;
    sigset_t set;
    *out = NULL;
    struct kend_shutdown *shutdown = calloc(1, sizeof *shutdown);
    if (!shutdown) goto no_shutdown;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    shutdown->signals = signalfd(-1, &set, SFD_CLOEXEC);
    failure = errno;
    if (shutdown->signals < 0) goto no_signals;
    shutdown->drained = eventfd(0, EFD_CLOEXEC);
    failure = errno;
    if (shutdown->drained < 0) goto no_drained;
    *out = shutdown;
    return KEN_OK;

no_drained:
    close(shutdown->signals);
no_signals:
    free(shutdown);
no_shutdown:
    return ken_fail_errno(error, failure, "setting up signals");
}

void kend_shutdown_destroy(struct kend_shutdown **out)
{
    struct kend_shutdown *shutdown = *out;
    if (!shutdown) return;
    *out = NULL;
    close(shutdown->drained);
    close(shutdown->signals);
    free(shutdown);
}

/* The next SIGTERM or SIGINT until `end` of the monotonic clock (ms; INT64_MAX: any time): 1; 0 if the time is over; -1 if the engine is
   drained. */
static int next_signal(struct kend_shutdown *shutdown, int64_t end)
{
    struct pollfd descriptors[] = {{.fd = shutdown->drained, .events = POLLIN}, {.fd = shutdown->signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    for (;;) {
        int64_t left = end - kend_monotonic_ms();
        int count = poll(descriptors, 2, left > INT_MAX ? -1 : left > 0 ? (int)left : 0);
        if (count == 0) return 0;
        if (count < 0) continue; /* EINTR: a debugger's stop and the like */
        if (descriptors[0].revents) return -1;
        if (read(shutdown->signals, &info, sizeof info) != (ssize_t)sizeof info) continue;
        if (info.ssi_signo != SIGHUP) return 1;
        kend_http_reload(shutdown->http);
    }
}

static void *drain_thread(void *opaque)
{
    struct kend_shutdown *shutdown = opaque;
    uint64_t one = 1;
    kend_engine_drain(shutdown->engine, shutdown->seconds);
    ssize_t written = write(shutdown->drained, &one, sizeof one);
    KEN_ASSERT(written == (ssize_t)sizeof one);
    return NULL;
}

static void end_now(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

/* What follows takes down what runs nothing any more, but a disk or a resolver may hold it up: a further signal ends it at once. */
static void end_at_next_signal(void)
{
    sigset_t set;
    struct sigaction action = {.sa_handler = end_now};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void kend_shutdown_wait(struct kend_shutdown *shutdown, struct kend_engine *engine, struct kend_http *http, unsigned seconds)
{
    pthread_t thread;
    shutdown->http = http;
    next_signal(shutdown, INT64_MAX);
    kend_log(KEND_LOG_INFO, "shutting down: no new jobs; running ones may end", KEND_I("seconds", seconds));
    kend_http_drain(http);
    shutdown->engine = engine;
    shutdown->seconds = seconds;
    if (pthread_create(&thread, NULL, drain_thread, shutdown) != 0) {
        kend_engine_drain(engine, 0);
        end_at_next_signal();
        return;
    }
    if (next_signal(shutdown, INT64_MAX) == 1) {
        kend_log(KEND_LOG_INFO, "shutting down now: running jobs are handed back");
        kend_engine_hurry(engine);
        if (next_signal(shutdown, kend_monotonic_ms() + KEND_HURRY_SECONDS * 1000) >= 0) {
            kend_log(KEND_LOG_WARN, "ended without handing back: the jobs go on at the next start");
            _exit(EXIT_SUCCESS);
        }
    }
    pthread_join(thread, NULL);
    end_at_next_signal();
}
