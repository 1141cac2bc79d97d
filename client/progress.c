/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "error.h"
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STAGE_WIDTH = 10, BAR_WIDTH = 30, MINUTE = 60 };
static const double redraw_seconds = 0.1, line_seconds = 10;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void kenctl_progress_begin(struct kenctl_progress *progress, bool quiet)
{
    *progress = (struct kenctl_progress){.quiet = quiet, .terminal = kenctl_is_terminal(stderr), .began = now()};
}

static unsigned percent_of(const struct kenctl_progress_state *state)
{
    if (!state->total) return 0;
    return state->done >= state->total ? 100 : (unsigned)(100.0 * (double)state->done / (double)state->total);
}

static void amount(char *text, size_t size, enum kenctl_unit unit, double value)
{
    if (unit == KENCTL_BYTES)
        kenctl_human_size(text, size, (uint64_t)value);
    else
        snprintf(text, size, "%.0f", value);
}

/* "38 %  1.2 GB of 3.1 GB  110 MB/s  0:17 left" */
static void describe(char *text, size_t size, const struct kenctl_progress *progress, const struct kenctl_progress_state *state)
{
    char done[32], total[32], speed[48] = "", left[48] = "", time[32];
    double elapsed = now() - progress->stage_began, eta = state->eta_seconds;
    double rate = elapsed > 0.5 && state->done > progress->stage_first ? (double)(state->done - progress->stage_first) / elapsed : 0;
    const char *rows = state->unit == KENCTL_ROWS ? " rows" : "";
    amount(done, sizeof done, state->unit, (double)state->done);
    amount(total, sizeof total, state->unit, (double)state->total);
    if (rate >= 1) {
        amount(time, sizeof time, state->unit, rate);
        snprintf(speed, sizeof speed, "  %s%s/s", time, rows);
    }
    if (eta < 0 && rate > 0 && state->total > state->done) eta = (double)(state->total - state->done) / rate;
    if (eta >= MINUTE) snprintf(left, sizeof left, "  %s left", kenctl_duration(time, sizeof time, eta));
    if (eta >= 1 && eta < MINUTE) snprintf(left, sizeof left, "  %.0f s left", eta);
    snprintf(text, size, "%3u %%  %s of %s%s%s%s", percent_of(state), done, total, rows, speed, left);
}

/* One line that does not wrap: what has no room is cut, the bar first. */
static void draw_bar(const struct kenctl_progress *progress, const struct kenctl_progress_state *state, const char *text)
{
    char bar[BAR_WIDTH + 1], stage[sizeof progress->stage];
    int width = (int)kenctl_terminal_width(stderr), room = width - (int)strlen(text) - STAGE_WIDTH - (int)sizeof " [] ";
    unsigned length = room < 0 ? 0 : room < BAR_WIDTH ? (unsigned)room : BAR_WIDTH, filled = percent_of(state) * length / 100;
    memset(bar, '-', length);
    memset(bar, '#', filled);
    bar[length] = '\0';
    fprintf(stderr, "\r\033[K%-*s [%s] %.*s", STAGE_WIDTH, ken_printable(stage, sizeof stage, progress->stage, strlen(progress->stage)),
            bar, width > STAGE_WIDTH + 5 ? width - STAGE_WIDTH - 5 : 0, text);
    fflush(stderr);
}

/* A pipe's line: at the beginning of a stage what there is to do, later how much of it is done. */
static void print_line(const struct kenctl_progress *progress, const struct kenctl_progress_state *state, bool begins, const char *text)
{
    const bool rows = state->unit == KENCTL_ROWS;
    char total[32];
    kenctl_print_text(stderr, progress->stage);
    amount(total, sizeof total, state->unit, (double)state->total);
    if (begins && state->total) fprintf(stderr, ", %s%s%s", total, rows ? " row" : "", rows ? kenctl_plural(state->total) : "");
    fprintf(stderr, "%s%s\n", begins ? "" : " ", begins ? "" : text);
}

void kenctl_progress_show(struct kenctl_progress *progress, const struct kenctl_progress_state *state)
{
    if (progress->quiet) return;
    double time = now();
    bool new_stage = strcmp(progress->stage, state->stage) != 0;
    if (new_stage) {
        snprintf(progress->stage, sizeof progress->stage, "%s", state->stage);
        progress->stage_began = time;
        progress->stage_first = state->done;
    }
    bool soon = time - progress->shown_at < (progress->terminal ? redraw_seconds : line_seconds);
    if (!new_stage && (soon || (!progress->terminal && !state->total))) return;
    char text[200] = "";
    if (state->total) describe(text, sizeof text, progress, state);
    progress->shown_at = time;
    progress->drawn = true;
    if (progress->terminal)
        draw_bar(progress, state, text);
    else
        print_line(progress, state, new_stage, text);
}

void kenctl_progress_clear(struct kenctl_progress *progress)
{
    if (!progress->drawn || !progress->terminal) return; /* lines stay, and are followed by the one of the end */
    fputs("\r\033[K", stderr);
    progress->drawn = false;
}

void kenctl_progress_end(struct kenctl_progress *progress, const char *result)
{
    char time[32];
    if (progress->drawn && !progress->terminal)
        fprintf(stderr, "%s after %s\n", result, kenctl_duration(time, sizeof time, now() - progress->began));
    kenctl_progress_clear(progress);
}
