/* SPDX-License-Identifier: Apache-2.0 */
#include "http/ready.h"
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
    bool reasons[KEND_UNREADY_COUNT];
    kend_is_ready(request->http, reasons);
    for (int i = 0; i < KEND_UNREADY_COUNT; i++)
        if (reasons[i]) return kend_answer_problem(request, kend_unready_reasons[i].problem, "%s", kend_unready_reasons[i].detail);
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
