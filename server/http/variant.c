/* SPDX-License-Identifier: Apache-2.0 */
#include "http/variant.h"

#include <stdio.h>
#include <string.h>

bool kend_variant_find(char name[KEN_MAX_VARIANT_NAME + 1], const json_t *spec, const char *parameter, const char *wanted, char *detail,
                       size_t size)
{
    json_t *item;
    const json_t *variants = json_object_get(spec, "variants");
    const char *known = !wanted && json_array_size(variants) == 0 ? "" : NULL;
    size_t i;
    json_array_foreach(variants, i, item)
    {
        const char *of = json_string_value(json_object_get(item, "name"));
        if (of && wanted && strcmp(of, wanted) == 0) known = of;
    }
    if (known)
        snprintf(name, KEN_MAX_VARIANT_NAME + 1, "%s", known);
    else if (wanted)
        snprintf(detail, size, "query parameter \"%s\" is not a variant of this job", parameter);
    else
        snprintf(detail, size, "query parameter \"%s\" is needed: this job has variants", parameter);
    return known != NULL;
}
