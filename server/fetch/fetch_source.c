/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_source.h"

void kend_source_join(struct kend_source *source)
{
    struct kend_location *location = source->location;
    kend_location_retain(location);
    pthread_mutex_lock(&location->mutex);
    source->next = location->sources;
    location->sources = source;
    pthread_mutex_unlock(&location->mutex);
}

void kend_source_leave(struct kend_source *source)
{
    struct kend_location *location = source->location;
    pthread_mutex_lock(&location->mutex);
    struct kend_source **at = &location->sources;
    while (*at != source) at = &(*at)->next;
    *at = source->next;
    pthread_mutex_unlock(&location->mutex);
}
