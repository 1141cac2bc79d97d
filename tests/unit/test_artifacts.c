/* SPDX-License-Identifier: Apache-2.0 */
#include "artifacts/artifacts.h"
#include "id.h"
#include "unit.h"
#include "unit_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define JOB "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define OTHER "job_01ARZ3NDEKTSV4RRFFQ69G5FAW"

struct place {
    struct unit_folder folder;
    struct kend_artifacts *artifacts;
};

static void reopen(struct place *place)
{
    kend_artifacts_close(&place->artifacts);
    char url[PATH_MAX];
    snprintf(url, sizeof url, "file:%s/artifacts", place->folder.path);
    struct ken_error error = {0};
    ck_assert_msg(kend_artifacts_open(&place->artifacts, url, &error) == 0, "%s", error.message);
}

static void begin(struct place *place)
{
    place->artifacts = NULL;
    unit_folder_make(&place->folder);
    reopen(place);
}

static void end(struct place *place)
{
    kend_artifacts_close(&place->artifacts);
    ck_assert_ptr_null(place->artifacts);
    unit_folder_remove(&place->folder);
}

static bool exists(const struct place *place, const char *rest)
{
    char path[PATH_MAX];
    struct stat status;
    return lstat(unit_path(path, &place->folder, rest), &status) == 0;
}

static void write_at(int folder, const char *name, const char *text)
{
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

/* A working folder with out/ in it: two artifacts, one of a variant, and an internal file. */
static int prepare(struct place *place, const char *job)
{
    int work;
    ck_assert_int_eq(place->artifacts->ops->work(place->artifacts, job, &work, NULL), 0);
    ck_assert_int_eq(mkdirat(work, "out", 0700), 0);
    ck_assert_int_eq(mkdirat(work, "out/.kend", 0700), 0);
    ck_assert_int_eq(mkdirat(work, "out/half", 0700), 0);
    write_at(work, "out/report.json", "{}");
    write_at(work, "out/half/delta.safetensors", "delta");
    write_at(work, "out/.kend/result.json", "result");
    write_at(work, "journal", "j");
    return work;
}

static void publish(struct place *place, const char *job)
{
    close(prepare(place, job));
    struct ken_error error = {0};
    ck_assert_msg(place->artifacts->ops->publish(place->artifacts, job, &error) == 0, "%s", error.message);
}

static int open_code(struct place *place, const char *job, const char *name)
{
    int file;
    uint64_t size;
    int code = place->artifacts->ops->open(place->artifacts, job, name, &file, &size, NULL);
    if (code) ck_assert_int_eq(file, -1);
    if (!code) close(file);
    return code;
}

static void check_content(struct place *place, const char *name, const char *text)
{
    int file;
    uint64_t size;
    char content[64];
    ck_assert_int_eq(place->artifacts->ops->open(place->artifacts, JOB, name, &file, &size, NULL), 0);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_int_eq(read(file, content, sizeof content), (ssize_t)size);
    ck_assert_mem_eq(content, text, size);
    close(file);
}

START_TEST(what_is_published_can_be_opened)
{
    struct place place;
    begin(&place);
    close(prepare(&place, JOB));
    ck_assert(!place.artifacts->ops->published(place.artifacts, JOB));
    ck_assert_int_eq(open_code(&place, JOB, "report.json"), KEN_ENOT_FOUND);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    ck_assert(place.artifacts->ops->published(place.artifacts, JOB));
    check_content(&place, "report.json", "{}");
    check_content(&place, "half/delta.safetensors", "delta");
    check_content(&place, ".kend/result.json", "result");
    ck_assert(!exists(&place, "artifacts/.work/" JOB "/out"));
    ck_assert(exists(&place, "artifacts/.work/" JOB "/journal"));
    end(&place);
}
END_TEST

START_TEST(the_working_folder_stays_until_it_is_cleared)
{
    struct place place;
    begin(&place);
    close(prepare(&place, JOB));
    reopen(&place);
    int work;
    ck_assert_int_eq(place.artifacts->ops->work(place.artifacts, JOB, &work, NULL), 0);
    ck_assert_int_eq(faccessat(work, "journal", F_OK, 0), 0);
    close(work);
    ck_assert_int_eq(place.artifacts->ops->clear_work(place.artifacts, JOB, NULL), 0);
    ck_assert(!exists(&place, "artifacts/.work/" JOB));
    ck_assert_int_eq(place.artifacts->ops->clear_work(place.artifacts, JOB, NULL), 0);
    end(&place);
}
END_TEST

/* Each state that a crash may leave, then publish again. */
START_TEST(publishing_goes_on_after_a_crash)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    reopen(&place);
    /* after the rename: the working folder is still there, without out/ */
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    /* after clear_work */
    ck_assert_int_eq(place.artifacts->ops->clear_work(place.artifacts, JOB, NULL), 0);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    /* a second attempt has made out/ anew: what is published stays as it is */
    int work = prepare(&place, JOB);
    write_at(work, "out/report.json", "another");
    close(work);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    check_content(&place, "report.json", "{}");
    /* nothing to publish */
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, OTHER, NULL), KEN_ENOT_FOUND);
    ck_assert_int_eq(place.artifacts->ops->work(place.artifacts, OTHER, &work, NULL), 0);
    close(work);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, OTHER, NULL), KEN_ENOT_FOUND);
    ck_assert(!place.artifacts->ops->published(place.artifacts, OTHER));
    end(&place);
}
END_TEST

START_TEST(only_files_and_folders_are_published)
{
    struct place place;
    begin(&place);
    int work = prepare(&place, JOB);
    ck_assert_int_eq(symlinkat("/etc/passwd", work, "out/half/link"), 0);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), KEN_EINTERNAL);
    ck_assert_int_eq(unlinkat(work, "out/half/link", 0), 0);
    ck_assert_int_eq(mkfifoat(work, "out/pipe", 0600), 0);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), KEN_EINTERNAL);
    ck_assert(!place.artifacts->ops->published(place.artifacts, JOB));
    ck_assert_int_eq(unlinkat(work, "out/pipe", 0), 0);
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    close(work);
    end(&place);
}
END_TEST

START_TEST(no_name_leaves_the_folder_of_its_job)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    publish(&place, OTHER);
    char path[PATH_MAX], target[PATH_MAX];
    unit_write(unit_path(path, &place.folder, "secret"), "s");
    /* links that somebody has planted: to a file, to a folder, to a sibling */
    ck_assert_int_eq(symlink(path, unit_path(target, &place.folder, "artifacts/" JOB "/link")), 0);
    ck_assert_int_eq(symlink(place.folder.path, unit_path(target, &place.folder, "artifacts/" JOB "/folder")), 0);
    ck_assert_int_eq(symlink("report.json", unit_path(target, &place.folder, "artifacts/" JOB "/alias")), 0);
    ck_assert_int_eq(mkfifo(unit_path(target, &place.folder, "artifacts/" JOB "/pipe"), 0600), 0);
    const char *const names[] = {
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "//report.json",
        "./report.json",
        "report.json/",
        "report.json/.",
        "half",
        "half/",
        "half//delta.safetensors",
        "half/./delta.safetensors",
        "half/../report.json",
        "../" OTHER "/report.json",
        "../../secret",
        ".kend",
        ".kend/",
        ".kend/../report.json",
        "link",
        "folder/secret",
        "alias",
        "pipe",
        "missing",
        "missing/report.json",
        "REPORT.JSON",
        "half\\delta.safetensors",
        "%2e%2e/secret",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(open_code(&place, JOB, names[i]) == KEN_ENOT_FOUND, "\"%s\"", names[i]);
    char lengthy[NAME_MAX + 10];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    ck_assert_int_eq(open_code(&place, JOB, lengthy), KEN_ENOT_FOUND);
    end(&place);
}
END_TEST

START_TEST(only_an_id_is_a_job)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    const char *const jobs[] = {"", ".", "..", ".work", ".trash", "../artifacts", JOB "/half", "job_01ARZ3NDEKTSV4RRFFQ69G5FA/"};
    const struct kend_artifacts_ops *ops = place.artifacts->ops;
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        int work;
        ck_assert_int_eq(open_code(&place, jobs[i], "report.json"), KEN_ENOT_FOUND);
        ck_assert_int_eq(ops->work(place.artifacts, jobs[i], &work, NULL), KEN_ENOT_FOUND);
        ck_assert_int_eq(ops->publish(place.artifacts, jobs[i], NULL), KEN_ENOT_FOUND);
        ck_assert_int_eq(ops->clear_work(place.artifacts, jobs[i], NULL), KEN_ENOT_FOUND);
        ck_assert_int_eq(ops->remove(place.artifacts, jobs[i], NULL), KEN_ENOT_FOUND);
        ck_assert(!ops->published(place.artifacts, jobs[i]));
    }
    check_content(&place, "report.json", "{}");
    end(&place);
}
END_TEST

static int entries(const struct place *place, const char *rest)
{
    char path[PATH_MAX];
    DIR *stream = opendir(unit_path(path, &place->folder, rest));
    ck_assert_ptr_nonnull(stream);
    int count = 0;
    while (readdir(stream)) count++;
    closedir(stream);
    return count - 2;
}

START_TEST(removing_takes_artifacts_and_work)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    publish(&place, OTHER);
    int file;
    uint64_t size;
    ck_assert_int_eq(place.artifacts->ops->open(place.artifacts, JOB, "report.json", &file, &size, NULL), 0);
    ck_assert_int_eq(place.artifacts->ops->remove(place.artifacts, JOB, NULL), 0);
    ck_assert(!exists(&place, "artifacts/" JOB));
    ck_assert(!exists(&place, "artifacts/.work/" JOB));
    ck_assert_int_eq(entries(&place, "artifacts/.trash"), 0);
    ck_assert_int_eq(open_code(&place, JOB, "report.json"), KEN_ENOT_FOUND);
    ck_assert_int_eq(open_code(&place, OTHER, "report.json"), 0);
    /* who is downloading it goes on */
    char text[2];
    ck_assert_int_eq(read(file, text, 2), 2);
    close(file);
    ck_assert_int_eq(place.artifacts->ops->remove(place.artifacts, JOB, NULL), 0);
    end(&place);
}
END_TEST

START_TEST(trash_of_a_crash_is_swept)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    char from[PATH_MAX], to[PATH_MAX];
    ck_assert_int_eq(rename(unit_path(from, &place.folder, "artifacts/" JOB), unit_path(to, &place.folder, "artifacts/.trash/" JOB ".0")),
                     0);
    /* its name is taken while this process lasts */
    publish(&place, OTHER);
    close(prepare(&place, JOB));
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, NULL), 0);
    ck_assert_int_eq(place.artifacts->ops->remove(place.artifacts, JOB, NULL), 0);
    ck_assert_int_eq(entries(&place, "artifacts/.trash"), 1);
    reopen(&place);
    ck_assert_int_eq(entries(&place, "artifacts/.trash"), 0);
    ck_assert_int_eq(open_code(&place, OTHER, "report.json"), 0);
    end(&place);
}
END_TEST

START_TEST(deleting_does_not_follow_links)
{
    struct place place;
    begin(&place);
    char path[PATH_MAX], link[PATH_MAX];
    ck_assert_int_eq(mkdir(unit_path(path, &place.folder, "precious"), 0700), 0);
    unit_write(unit_path(link, &place.folder, "precious/file"), "x");
    publish(&place, JOB);
    ck_assert_int_eq(symlink(path, unit_path(link, &place.folder, "artifacts/" JOB "/half/link")), 0);
    ck_assert_int_eq(place.artifacts->ops->remove(place.artifacts, JOB, NULL), 0);
    ck_assert(exists(&place, "precious/file"));
    end(&place);
}
END_TEST

struct seen {
    struct place *place;
    int count, job, other;
};

static void visit(void *opaque, const char *job)
{
    struct seen *seen = opaque;
    seen->count++;
    if (strcmp(job, JOB) == 0) seen->job++;
    if (strcmp(job, OTHER) == 0) seen->other++;
    ck_assert_int_eq(seen->place->artifacts->ops->remove(seen->place->artifacts, job, NULL), 0);
}

START_TEST(each_job_is_visited_once)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    close(prepare(&place, OTHER));
    char path[PATH_MAX];
    ck_assert_int_eq(mkdir(unit_path(path, &place.folder, "artifacts/lost+found"), 0700), 0);
    struct seen seen = {.place = &place};
    ck_assert_int_eq(place.artifacts->ops->each(place.artifacts, visit, &seen, NULL), 0);
    ck_assert_int_eq(seen.count, 2);
    ck_assert_int_eq(seen.job, 1);
    ck_assert_int_eq(seen.other, 1);
    ck_assert(exists(&place, "artifacts/lost+found"));
    ck_assert_int_eq(place.artifacts->ops->each(place.artifacts, visit, &seen, NULL), 0);
    ck_assert_int_eq(seen.count, 2);
    end(&place);
}
END_TEST

START_TEST(free_space_is_that_of_the_file_system)
{
    struct place place;
    begin(&place);
    uint64_t bytes = 0, device = 0;
    struct stat status;
    ck_assert_int_eq(stat(place.folder.path, &status), 0);
    ck_assert_int_eq(place.artifacts->ops->free_bytes(place.artifacts, &bytes, &device, NULL), 0);
    ck_assert_uint_gt(bytes, 1 << 20);
    ck_assert_uint_eq(device, (uint64_t)status.st_dev);
    end(&place);
}
END_TEST

static uint64_t used(const struct place *place, const char *job)
{
    uint64_t bytes = 1;
    ck_assert_int_eq(place->artifacts->ops->used_bytes(place->artifacts, job, &bytes, NULL), 0);
    return bytes;
}

START_TEST(what_jobs_take_of_the_disk_is_measured)
{
    struct place place;
    struct stat status;
    char path[PATH_MAX];
    begin(&place);
    const uint64_t empty = used(&place, NULL);
    ck_assert_uint_eq(used(&place, JOB), 0);
    publish(&place, JOB);
    int work = prepare(&place, OTHER);
    int file = openat(work, "values.0", O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(posix_fallocate(file, 0, 1 << 20), 0);
    close(file);
    close(work);
    uint64_t job = used(&place, JOB), other = used(&place, OTHER);
    ck_assert_uint_ge(other, job + (1 << 20));
    ck_assert_uint_eq(used(&place, NULL), empty + job + other);
    ck_assert_int_eq(stat(unit_path(path, &place.folder, "artifacts/" JOB "/report.json"), &status), 0);
    ck_assert_uint_ge(job, (uint64_t)status.st_blocks * 512);
    ck_assert_int_eq(place.artifacts->ops->used_bytes(place.artifacts, "..", &job, NULL), KEN_ENOT_FOUND);
    end(&place);
}
END_TEST

START_TEST(folders_are_their_owners_alone)
{
    struct place place;
    begin(&place);
    publish(&place, JOB);
    const char *const folders[] = {"artifacts", "artifacts/.work", "artifacts/.trash", "artifacts/.work/" JOB};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[PATH_MAX];
        struct stat status;
        ck_assert_int_eq(stat(unit_path(path, &place.folder, folders[i]), &status), 0);
        ck_assert_uint_eq(status.st_mode & 0777, 0700);
    }
    end(&place);
}
END_TEST

START_TEST(urls_and_places_that_cannot_be_opened)
{
    struct unit_folder folder;
    unit_folder_make(&folder);
    struct kend_artifacts *artifacts;
    struct ken_error error = {0};
    char url[PATH_MAX], path[PATH_MAX];
    ck_assert_int_eq(kend_artifacts_open(&artifacts, "s3://user:secret@host/x", &error), KEN_EINVALID);
    ck_assert_ptr_null(artifacts);
    ck_assert_str_eq(error.message, "artifacts.url: unknown kind of store \"s3\"; file:PATH is known");

    snprintf(url, sizeof url, "file:%s/missing/artifacts", folder.path);
    ck_assert_int_eq(kend_artifacts_open(&artifacts, url, &error), KEN_EIO);
    ck_assert_ptr_nonnull(strstr(error.message, "No such file or directory"));

    unit_write(unit_path(path, &folder, "file"), "x");
    snprintf(url, sizeof url, "file:%s/file", folder.path);
    ck_assert_int_eq(kend_artifacts_open(&artifacts, url, &error), KEN_EIO);
    ck_assert_ptr_nonnull(strstr(error.message, "Not a directory"));

    /* a link in place of one of kend's own folders */
    ck_assert_int_eq(mkdir(unit_path(path, &folder, "planted"), 0700), 0);
    ck_assert_int_eq(symlink("/tmp", unit_path(path, &folder, "planted/.work")), 0);
    snprintf(url, sizeof url, "file:%s/planted", folder.path);
    ck_assert_int_eq(kend_artifacts_open(&artifacts, url, &error), KEN_EIO);

    snprintf(url, sizeof url, "file://%s/slashes", folder.path);
    ck_assert_int_eq(kend_artifacts_open(&artifacts, url, &error), 0);
    kend_artifacts_close(&artifacts);
    unit_folder_remove(&folder);
}
END_TEST

/* Root may do all, so a descriptor that is not a folder's stands for a refusal: the working folder has become a file. */
START_TEST(errors_of_the_file_system_are_told)
{
    struct place place;
    begin(&place);
    char path[PATH_MAX];
    int work;
    struct ken_error error = {0};
    unit_write(unit_path(path, &place.folder, "artifacts/.work/" JOB), "in the way");
    ck_assert_int_eq(place.artifacts->ops->work(place.artifacts, JOB, &work, &error), KEN_EIO);
    ck_assert_ptr_nonnull(strstr(error.message, JOB));
    ck_assert_int_eq(place.artifacts->ops->publish(place.artifacts, JOB, &error), KEN_EIO);
    ck_assert_int_eq(place.artifacts->ops->clear_work(place.artifacts, JOB, &error), 0);
    if (geteuid() != 0) {
        publish(&place, OTHER);
        ck_assert_int_eq(chmod(unit_path(path, &place.folder, "artifacts/" OTHER), 0), 0);
        ck_assert_int_eq(open_code(&place, OTHER, "report.json"), KEN_EIO);
        ck_assert_int_eq(chmod(path, 0700), 0);
        ck_assert_int_eq(chmod(unit_path(path, &place.folder, "artifacts"), 0500), 0);
        ck_assert_int_eq(place.artifacts->ops->remove(place.artifacts, OTHER, &error), KEN_EIO);
        ck_assert(place.artifacts->ops->published(place.artifacts, OTHER));
        ck_assert_int_eq(chmod(path, 0700), 0);
    }
    end(&place);
}
END_TEST

UNIT_MAIN("artifacts", what_is_published_can_be_opened, the_working_folder_stays_until_it_is_cleared, publishing_goes_on_after_a_crash,
          only_files_and_folders_are_published, no_name_leaves_the_folder_of_its_job, only_an_id_is_a_job,
          removing_takes_artifacts_and_work, trash_of_a_crash_is_swept, deleting_does_not_follow_links, each_job_is_visited_once,
          free_space_is_that_of_the_file_system, what_jobs_take_of_the_disk_is_measured, folders_are_their_owners_alone,
          urls_and_places_that_cannot_be_opened, errors_of_the_file_system_are_told)
