/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of an installation on this machine, and the job store in them. */
#include "doctor.h"
#include "file_system.h"
#include "files.h"
#include "installation.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* setting, what kend has below it ("" for itself), whether that is a folder */
static const struct place {
    const char *setting, *below;
    bool folder;
} places[] = {
    {"data", "lock", false},          {"data", "instance", false},       {"artifacts.url", "", true},
    {"artifacts.url", ".work", true}, {"artifacts.url", ".trash", true}, {"cache.dir", "", true},
};

/* Adds a finding if kend could not use it, or others could. */
static bool is_usable(struct kenctl_findings *findings, const struct place *place, const char *path)
{
    static const char advice[] = "run kend, and this, as the user whose folders they are, or name others";
    char above[PATH_MAX];
    struct stat status;
    const int how = place->folder ? R_OK | W_OK | X_OK : R_OK | W_OK;
    kenctl_nearest(path, above);
    const bool there = strcmp(above, path) == 0;
    if (stat(above, &status) != 0)
        kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_FAIL, advice, "%s: %s: %s", place->setting, above, strerrordesc_np(errno));
    else if (!there && (!S_ISDIR(status.st_mode) || access(above, W_OK | X_OK) != 0))
        kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_FAIL, advice, "%s: %s is not there, and this user cannot make it",
                    place->setting, path);
    else if (there && place->folder != S_ISDIR(status.st_mode))
        kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_FAIL, "move it away, or name another place", "%s: %s is %s folder",
                    place->setting, path, place->folder ? "not a" : "a");
    else if (there && access(path, how) != 0)
        kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_FAIL, advice, "%s: this user may not write to %s", place->setting, path);
    else if (there && status.st_mode & S_IWOTH)
        kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_WARN, "chmod 700: kend serves what lies there",
                    "%s: every user may write to %s (mode %03o)", place->setting, path, status.st_mode & 0777);
    else
        return true;
    return false;
}

static void check_folders(const json_t *settings, struct kenctl_findings *findings)
{
    bool good = true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *above = kenctl_setting_path(settings, places[i].setting);
        struct stat status;
        if (*places[i].below && stat(above, &status) != 0) continue; /* told by itself */
        if (*places[i].below && !S_ISDIR(status.st_mode)) continue;
        char *path = *places[i].below ? kenctl_join(above, places[i].below) : strdup(above);
        findings->failed |= !path;
        if (path && !is_usable(findings, &places[i], path)) good = false;
        free(path);
    }
    if (good) kenctl_find(findings, KENCTL_CHECK_FOLDERS, KENCTL_OK, NULL, "artifacts and cache can be written");
}

void kenctl_doctor_folders(const json_t *settings, struct kenctl_findings *findings)
{
    const char *fault = kenctl_setting(settings, "store_fault"), *path = kenctl_setting_path(settings, "store.url");
    check_folders(settings, findings);
    if (*fault)
        kenctl_find(findings, KENCTL_CHECK_STORE, KENCTL_FAIL,
                    "put a backup in its place, or move it away: kend makes a new one, without jobs (docs/operations.md)", "%s", fault);
    else
        kenctl_find(findings, KENCTL_CHECK_STORE, KENCTL_OK, NULL, access(path, F_OK) == 0 ? "%s is whole" : "%s is yet to be made", path);
}
