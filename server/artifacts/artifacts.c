/* SPDX-License-Identifier: Apache-2.0 */
#include "artifacts/artifacts.h"

#include "artifacts/folder.h"

#include <string.h>

int kend_artifacts_open(struct kend_artifacts **artifacts, const char *url, struct ken_error *error)
{
    *artifacts = NULL;
    /* Only the scheme is shown: a URL may carry a password. */
    if (strncmp(url, "file:", 5) != 0)
        return ken_fail(error, KEN_EINVALID, "artifacts.url: unknown kind of store \"%.*s\"; file:PATH is known", (int)strcspn(url, ":"),
                        url);
    const char *path = url + 5;
    if (strncmp(path, "///", 3) == 0) path += 2;
    return kend_folder_open(artifacts, path, error);
}

void kend_artifacts_close(struct kend_artifacts **artifacts)
{
    if (*artifacts) (*artifacts)->ops->close(*artifacts);
    *artifacts = NULL;
}
