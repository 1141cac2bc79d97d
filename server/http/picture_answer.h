/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with pictures, or with what kept them from being drawn. */
#ifndef KEND_HTTP_PICTURE_ANSWER_H
#define KEND_HTTP_PICTURE_ANSWER_H

#include "heatmap/heatmap.h"
#include "http/respond.h"

/* Whether the client has the picture already, which was answered (with *result). */
bool kend_picture_is_known(struct kend_request *request, enum MHD_Result *result);
/* Answers with the picture, whose bytes are taken over; NULL: with the error. opened: there was something to draw from. */
enum MHD_Result kend_answer_picture(struct kend_request *request, struct ken_picture *picture, const struct ken_error *error, bool opened);

#endif
