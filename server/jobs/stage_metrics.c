/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the engine for /metrics. */
#include "jobs/engine_parts.h"

static const double bounds[KEND_STAGE_BUCKET_COUNT] = KEND_STAGE_BUCKETS;

void kend_metrics_stage(struct kend_engine *engine, enum proto_stage stage, double seconds)
{
    if (stage == PROTO_NO_STAGE) return;
    pthread_mutex_lock(&engine->mutex);
    for (int i = 0; i < KEND_STAGE_BUCKET_COUNT; i++) engine->metrics.stage[stage].bucket[i] += seconds <= bounds[i];
    engine->metrics.stage[stage].count++;
    engine->metrics.stage[stage].sum += seconds;
    pthread_mutex_unlock(&engine->mutex);
}

void kend_metrics_job(struct kend_engine *engine, enum proto_status status)
{
    pthread_mutex_lock(&engine->mutex);
    engine->metrics.jobs_total[status]++;
    pthread_mutex_unlock(&engine->mutex);
}

void kend_metrics_error(struct kend_engine *engine, enum proto_job_error error)
{
    pthread_mutex_lock(&engine->mutex);
    engine->metrics.errors_total[error]++;
    pthread_mutex_unlock(&engine->mutex);
}

void kend_metrics_pruned(struct kend_engine *engine, enum ken_method method, uint64_t parameters)
{
    pthread_mutex_lock(&engine->mutex);
    engine->metrics.pruned_parameters[method] += parameters;
    pthread_mutex_unlock(&engine->mutex);
}

void kend_engine_metrics(struct kend_engine *engine, struct kend_engine_metrics *metrics)
{
    pthread_mutex_lock(&engine->mutex);
    *metrics = engine->metrics;
    pthread_mutex_unlock(&engine->mutex);
    metrics->evicted_bytes = atomic_load(&engine->room.evicted_bytes);
}
