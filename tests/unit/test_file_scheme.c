/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of file: URLs may belong to somebody who changes them while kend looks: nothing outside the roots is opened even then. */
#include "fetch/fetch.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <stdarg.h>

/*
 *     root/sub/file   "inside"       root/link -> ../outside
 *     outside/file    "outside"
 */
struct rig {
    struct unit_folder folder;
    struct kend_fetcher *fetcher;
    char sub[PATH_MAX], link[PATH_MAX];
};

/* What happens to the folder while the file is opened: nothing, it becomes a link to what is outside, or it does so for that moment alone.
 */
static enum { NOTHING, BEFORE, MEANWHILE } happens;
static struct rig *whose;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

static void exchange(void)
{
    ck_assert_int_eq(renameat2(AT_FDCWD, whose->sub, AT_FDCWD, whose->link, RENAME_EXCHANGE), 0);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    const bool ours = happens && strstr(path, "/root/sub/file");
    if (ours) exchange();
    const int fd = __real_open(path, flags, mode);
    if (ours && happens == MEANWHILE) exchange();
    if (ours) happens = NOTHING;
    return fd;
}

static void set_up(struct rig *rig)
{
    struct ken_error error = {0};
    char path[PATH_MAX], cache[PATH_MAX], root[PATH_MAX];
    *rig = (struct rig){0};
    unit_folder_make(&rig->folder);
    unit_path(cache, &rig->folder, "cache");
    unit_path(rig->sub, &rig->folder, "root/sub");
    unit_path(rig->link, &rig->folder, "root/link");
    ck_assert_int_eq(mkdir(unit_path(root, &rig->folder, "root"), 0700), 0);
    ck_assert_int_eq(mkdir(rig->sub, 0700), 0);
    ck_assert_int_eq(mkdir(unit_path(path, &rig->folder, "outside"), 0700), 0);
    unit_write(unit_path(path, &rig->folder, "root/sub/file"), "inside");
    unit_write(unit_path(path, &rig->folder, "outside/file"), "outside");
    ck_assert_int_eq(symlink("../outside", rig->link), 0);
    const struct kend_fetch_options options = {.cache_dir = cache,
                                               .allow_schemes = "file",
                                               .allow_networks = "",
                                               .allow_ports = "",
                                               .file_roots = root,
                                               .connections = 1,
                                               .ca_file = "",
                                               .proxy = ""};
    ck_assert_msg(kend_fetcher_create(&rig->fetcher, &options, &error) == 0, "%s", error.message);
}

static void tear_down(struct rig *rig)
{
    kend_fetcher_destroy(&rig->fetcher);
    unit_folder_remove(&rig->folder);
}

/* What the file says, or the code of the failure. */
static int read_file(struct rig *rig, const char *name, char content[8])
{
    struct kend_location *location;
    struct ken_source *source = NULL;
    struct ken_error error = {0};
    char path[PATH_MAX], url[PATH_MAX + 8];
    snprintf(url, sizeof url, "file://%s", unit_path(path, &rig->folder, name));
    const struct kend_location_request request = {.url = url, .owner = ""};
    int code = kend_location_open(&location, rig->fetcher, &request, &error);
    if (code) return code;
    struct ken_opener *opener = kend_location_opener(location);
    code = opener->open(opener, opener->is_folder ? "file" : NULL, &source, &error);
    memset(content, 0, 8);
    if (!code) {
        ck_assert_uint_lt(source->size, 8);
        ck_assert_int_eq(ken_source_read(source, 0, content, source->size, &error), 0);
    }
    ken_source_close(&source);
    kend_location_close(&location);
    return code;
}

START_TEST(a_link_put_in_between_opens_nothing_outside)
{
    struct rig rig;
    char content[8], path[PATH_MAX];
    set_up(&rig);
    whose = &rig;
    ck_assert_int_eq(read_file(&rig, "root/sub", content), 0);
    happens = MEANWHILE;
    ck_assert_int_eq(read_file(&rig, "root/sub/file", content), KEN_EADDRESS);
    ck_assert_int_eq(happens, NOTHING);
    ck_assert_int_eq(read_file(&rig, "root/sub/file", content), 0);
    ck_assert_str_eq(content, "inside");
    happens = BEFORE;
    ck_assert_int_eq(read_file(&rig, "root/sub", content), KEN_EADDRESS);
    ck_assert_int_eq(happens, NOTHING);
    ck_assert_int_eq(read_file(&rig, "root/sub/file", content), KEN_EADDRESS);
    exchange(); /* back again */
    ck_assert_int_eq(unlink(unit_path(path, &rig.folder, "outside/file")), 0);
    for (int i = 0; i < 2; i++) { /* what is not there is told as what is */
        happens = i ? MEANWHILE : BEFORE;
        ck_assert_int_eq(read_file(&rig, "root/sub/file", content), KEN_EADDRESS);
    }
    tear_down(&rig);
}
END_TEST

START_TEST(links_are_judged_by_where_they_lead)
{
    struct rig rig;
    char content[8], path[PATH_MAX];
    set_up(&rig);
    ck_assert_int_eq(read_file(&rig, "root/sub/file", content), 0);
    ck_assert_int_eq(read_file(&rig, "root/link/file", content), KEN_EADDRESS);
    ck_assert_int_eq(read_file(&rig, "outside/file", content), KEN_EADDRESS);
    ck_assert_int_eq(read_file(&rig, "root/../outside/file", content), KEN_EADDRESS);
    ck_assert_int_eq(symlink("sub/file", unit_path(path, &rig.folder, "root/within")), 0);
    ck_assert_int_eq(read_file(&rig, "root/within", content), 0);
    ck_assert_str_eq(content, "inside");
    ck_assert_int_eq(symlink("/proc/self/root/etc/passwd", unit_path(path, &rig.folder, "root/magic")), 0);
    ck_assert_int_eq(read_file(&rig, "root/magic", content), KEN_EADDRESS);
    tear_down(&rig);
}
END_TEST

UNIT_MAIN("file_scheme", a_link_put_in_between_opens_nothing_outside, links_are_judged_by_where_they_lead)
