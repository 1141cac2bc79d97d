/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

enum { SHORT_SECONDS = 14 * 86400 };

static bool to_time(time_t *time, const ASN1_TIME *text)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(text, &parts) != 1) return false;
    *time = timegm(&parts);
    return true;
}

int kenctl_certificate_read(struct kenctl_validity *validity, const char *path, struct ken_error *error)
{
    FILE *file = fopen(path, "re");
    bool found = false;
    if (!file) return ken_fail_errno(error, errno, "%s", path);
    for (X509 *one; (one = PEM_read_X509(file, NULL, NULL, NULL));) {
        struct kenctl_validity its;
        const bool good = to_time(&its.from, X509_get0_notBefore(one)) && to_time(&its.until, X509_get0_notAfter(one));
        if (good && (!found || its.until < validity->until)) *validity = its;
        found = found || good;
        X509_free(one);
    }
    fclose(file);
    return found ? KEN_OK : ken_fail(error, KEN_EINVALID, "%s: no certificate in it", path);
}

bool kenctl_validity_is_short(const struct kenctl_validity *validity, time_t now)
{
    const double left = difftime(validity->until, now);
    return left < SHORT_SECONDS && left < difftime(validity->until, validity->from) / 3;
}
