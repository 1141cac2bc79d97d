/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing and removing, with the n-th system call on files failing, or the process ending there, for n = 1, 2, ... until nothing is met
 * any more. What is in sight is whole, always, and the next try ends what was begun.
 */
#include "artifacts/artifacts.h"
#include "unit.h"
#include "unit_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/wait.h>

#define JOB "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"

/* ---- the linker puts these in place of the system's (--wrap) */

enum effect { FAIL, CRASH };
static struct {
    unsigned left; /* calls until it happens; 0: not armed */
    enum effect effect;
    bool met;
} plan;

static void arm(unsigned n, enum effect effect)
{
    plan.left = n;
    plan.effect = effect;
    plan.met = false;
}

static bool hit(void)
{
    if (!plan.left || --plan.left) return false;
    if (plan.effect == CRASH) _exit(77);
    plan.met = true;
    errno = ENOSPC;
    return true;
}

int __real_fsync(int file);
int __wrap_fsync(int file);
int __wrap_fsync(int file)
{
    return hit() ? -1 : __real_fsync(file);
}

int __real_renameat(int old_folder, const char *old_name, int new_folder, const char *new_name);
int __wrap_renameat(int old_folder, const char *old_name, int new_folder, const char *new_name);
int __wrap_renameat(int old_folder, const char *old_name, int new_folder, const char *new_name)
{
    return hit() ? -1 : __real_renameat(old_folder, old_name, new_folder, new_name);
}

int __real_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode)
{
    return hit() ? -1 : __real_mkdirat(folder, name, mode);
}

int __real_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags)
{
    return hit() ? -1 : __real_unlinkat(folder, name, flags);
}

int __real_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return hit() ? -1 : __real_openat(folder, name, flags, mode);
}

/* ---- */

struct place {
    struct unit_folder folder;
    char url[PATH_MAX];
    struct kend_artifacts *artifacts;
};

static void open_artifacts(struct place *place)
{
    struct ken_error error = {0};
    ck_assert_msg(kend_artifacts_open(&place->artifacts, place->url, &error) == 0, "%s", error.message);
}

static void begin(struct place *place)
{
    /* There is no power to fail, so memory serves as a disk. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    unit_folder_make(&place->folder);
    snprintf(place->url, sizeof place->url, "file:%s/artifacts", place->folder.path);
    open_artifacts(place);
}

static void end(struct place *place)
{
    kend_artifacts_close(&place->artifacts);
    unit_folder_remove(&place->folder);
}

static const char *const names[] = {"report.json", "half/delta.safetensors", ".kend/result.json"};
enum { NAMES = sizeof names / sizeof *names };

static void prepare(struct place *place)
{
    int work;
    ck_assert_int_eq(place->artifacts->ops->work(place->artifacts, JOB, &work, NULL), 0);
    ck_assert_int_eq(mkdirat(work, "out", 0700), 0);
    ck_assert_int_eq(mkdirat(work, "out/.kend", 0700), 0);
    ck_assert_int_eq(mkdirat(work, "out/half", 0700), 0);
    for (int i = 0; i < NAMES; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "out/%s", names[i]);
        int file = openat(work, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        ck_assert_int_eq(write(file, names[i], strlen(names[i])), (ssize_t)strlen(names[i]));
        close(file);
    }
    close(work);
}

/* How many of the artifacts can be opened, with all their bytes. */
static int in_sight(struct place *place)
{
    int count = 0;
    for (int i = 0; i < NAMES; i++) {
        int file;
        uint64_t size;
        if (place->artifacts->ops->open(place->artifacts, JOB, names[i], &file, &size, NULL)) continue;
        ck_assert_uint_eq(size, strlen(names[i]));
        close(file);
        count++;
    }
    return count;
}

/* All or nothing, as `published` says. */
static bool check_whole(struct place *place)
{
    bool published = place->artifacts->ops->published(place->artifacts, JOB);
    ck_assert_int_eq(in_sight(place), published ? NAMES : 0);
    return published;
}

typedef int operation(struct place *place, struct ken_error *error);

static int publish(struct place *place, struct ken_error *error)
{
    return place->artifacts->ops->publish(place->artifacts, JOB, error);
}

static int remove_job(struct place *place, struct ken_error *error)
{
    return place->artifacts->ops->remove(place->artifacts, JOB, error);
}

/* Runs it with fault n; false once no fault was met. */
static bool try_failing(struct place *place, operation *run, unsigned n)
{
    struct ken_error error = {0};
    arm(n, FAIL);
    int code = run(place, &error);
    plan.left = 0;
    if (plan.met)
        ck_assert_msg(code == KEN_ENO_SPACE && error.code == code, "%u: %d, %s", n, code, error.message);
    else
        ck_assert_int_eq(code, 0);
    return plan.met;
}

/* Runs it in a process that ends at call n, and starts anew after; false once the process came to the end. */
static bool try_crashing(struct place *place, operation *run, unsigned n)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        arm(n, CRASH);
        _exit(run(place, NULL) ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
    kend_artifacts_close(&place->artifacts);
    open_artifacts(place);
    return WEXITSTATUS(status) == 77;
}

static void sweep_publish(bool (*try_one)(struct place *place, operation *run, unsigned n))
{
    bool met = true;
    unsigned n = 1;
    for (; met; n++) {
        struct place place;
        begin(&place);
        prepare(&place);
        met = try_one(&place, publish, n);
        check_whole(&place);
        ck_assert_int_eq(publish(&place, NULL), 0);
        ck_assert(check_whole(&place));
        end(&place);
    }
    ck_assert_uint_gt(n, 10);
}

static void sweep_remove(bool (*try_one)(struct place *place, operation *run, unsigned n))
{
    bool met = true;
    unsigned n = 1;
    for (; met; n++) {
        struct place place;
        char path[PATH_MAX];
        begin(&place);
        prepare(&place);
        ck_assert_int_eq(publish(&place, NULL), 0);
        met = try_one(&place, remove_job, n);
        check_whole(&place);
        ck_assert_int_eq(remove_job(&place, NULL), 0);
        ck_assert(!check_whole(&place));
        /* a start sweeps what is left */
        kend_artifacts_close(&place.artifacts);
        open_artifacts(&place);
        ck_assert_int_eq(rmdir(unit_path(path, &place.folder, "artifacts/.trash")), 0);
        ck_assert_int_eq(rmdir(unit_path(path, &place.folder, "artifacts/.work")), 0);
        end(&place);
    }
    ck_assert_uint_gt(n, 10);
}

START_TEST(publishing_with_failing_calls)
{
    sweep_publish(try_failing);
}
END_TEST

START_TEST(publishing_with_crashes)
{
    sweep_publish(try_crashing);
}
END_TEST

START_TEST(removing_with_failing_calls)
{
    sweep_remove(try_failing);
}
END_TEST

START_TEST(removing_with_crashes)
{
    sweep_remove(try_crashing);
}
END_TEST

UNIT_MAIN("artifacts_faults", publishing_with_failing_calls, publishing_with_crashes, removing_with_failing_calls, removing_with_crashes)
