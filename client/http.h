/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to one kend over libcurl's easy interface. */
#ifndef KENCTL_HTTP_H
#define KENCTL_HTTP_H

#include "certificate.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kenctl;
struct kenctl_http;

struct kenctl_request {
    const char *method;          /* "GET", "POST", "DELETE" */
    const char *path;            /* from "/v1" on, query and all, percent-encoded */
    const json_t *body;          /* or NULL */
    const char *if_none_match;   /* or NULL */
    const char *idempotency_key; /* or NULL; makes a POST one that may be repeated */
    unsigned wait_seconds;       /* that the server may take beyond the usual */
    bool once;                   /* not tried again */
};

enum { KENCTL_ETAG_SIZE = 256 };

/* A zeroed struct is empty. */
struct kenctl_response {
    long status;
    char etag[KENCTL_ETAG_SIZE]; /* "" if there was none */
    char date[64];               /* as well */
    char *text;                  /* the body, NUL-terminated */
    json_t *json;                /* the body where it is JSON, else NULL */
};
void kenctl_response_clear(struct kenctl_response *response);

/* A connection of its own to kenctl->server, with kenctl->token. NULL (and told) if that is no URL or out of memory. */
struct kenctl_http *kenctl_http_open(const struct kenctl *kenctl);
void kenctl_http_close(struct kenctl_http **http);
/*
 * Sends a request and reads the whole answer, whatever its status. What may be repeated is tried again with growing pauses when the
 * connection fails or the server is busy (429, 502, 503, 504). KEN_EFETCH: there was no answer, KEN_ECANCELLED: a signal came.
 */
int kenctl_http_call(struct kenctl_http *http, const struct kenctl_request *request, struct kenctl_response *response,
                     struct ken_error *error);

/* How long the certificate is good that the last answer's connection began with. False: it did not begin with that answer, or has none. */
bool kenctl_http_validity(const struct kenctl_http *http, struct kenctl_validity *validity);

struct kenctl_sink {
    /* The answer begins: status 200 (from the first byte) or 206 (from `offset`). False ends the transfer. */
    bool (*begin)(void *opaque, long status);
    bool (*bytes)(void *opaque, const void *bytes, size_t length);
    void *opaque;
};
/*
 * GET of path's bytes from offset on into the sink; offset > 0 asks with If-Range: etag. One try. A status other than 200 and 206 is put
 * into *response, with its body, and KEN_OK returned: the sink has not been called then. KEN_EFETCH: the connection failed or broke.
 */
int kenctl_http_download(struct kenctl_http *http, const char *path, uint64_t offset, const char *etag, const struct kenctl_sink *sink,
                         struct kenctl_response *response, struct ken_error *error);

/*
 * GET of a stream of events into the sink, behind the event last_id ("": from the beginning), until it ends or is silent for longer than a
 * kend is. One try; a status other than 200 as above.
 */
int kenctl_http_stream(struct kenctl_http *http, const char *path, const char *last_id, const struct kenctl_sink *sink,
                       struct kenctl_response *response, struct ken_error *error);

/* Whether an HTTP status says that the same request may be answered later. */
bool kenctl_is_busy(long status);
/* Sleeps before the n-th new try (from 0): half a second, doubled up to 8. False if no try is left or a signal came. A server that has
 * answered before is given a minute to come back, another one a second. */
bool kenctl_back_off(const struct kenctl_http *http, unsigned attempt);
/*
 * Prints what a refusal says: title, detail, the faults with their pointers, and what to do next; other answers by their status. Returns
 * KENCTL_FAILURE.
 */
int kenctl_refused(const struct kenctl *kenctl, const struct kenctl_response *response);

#endif
