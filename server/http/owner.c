/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

const char *kend_request_owner(const struct kend_request *request)
{
    (void)request; /* without tokens every request is the anonymous owner's */
    return "";
}
