/* SPDX-License-Identifier: Apache-2.0 */
#include "http/disk.h"
#include "http/respond.h"
#include "openapi.h"
#include "selection/kernel.h"

/* Answers while everything else is busy: touches nothing that could block. */
enum MHD_Result kend_route_livez(struct kend_request *request)
{
    return kend_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

enum MHD_Result kend_route_readyz(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    if (atomic_load(&request->http->draining)) return kend_answer_problem(request, PROTO_DRAINING, "kend is shutting down");
    enum kend_store_result result = parts->store->ops->check(parts->store);
    if (result != KEND_STORE_OK) return kend_answer_store(request, result);
    if (kend_disk_is_full(parts)) return kend_answer_problem(request, PROTO_NO_SPACE, "less disk is free than disk.reserve_bytes");
    return kend_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

enum MHD_Result kend_route_version(struct kend_request *request)
{
    return kend_answer_json(request, 200,
                            json_pack("{s:s, s:s, s:s}", "name", "kend", "version", PACKAGE_VERSION, "kernel", ken_kernel()->name));
}

enum MHD_Result kend_route_openapi(struct kend_request *request)
{
    return kend_send(request, 200, kend_response_text(request, proto_openapi_json, proto_openapi_length, "application/json"));
}
