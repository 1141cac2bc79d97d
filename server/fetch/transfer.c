/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/transfer.h"

#include "fetch/curl_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HOPS = 10, MAX_HEAD_BYTES = 64 << 10, MAX_DISCARDED = 64 << 10, BUFFER_BYTES = 128 << 10 };

#define COMPRESSED "the server sent it compressed, although that was not asked for"
#define LARGE_HEADER "the response's header is larger than 65536 bytes"

struct kend_transfer {
    struct kend_drive drive;
    struct kend_loop *loop;
    struct kend_transfer_settings *settings;
    struct kend_transfer_ops ops;
    void *opaque;
    struct kend_url hops[MAX_HOPS + 1]; /* those gone so far, hops[hop] the present one */
    int hop;
    char range[64];
    struct kend_validators if_range, if_none; /* empty: not sent */
    struct curl_slist *fields;
    struct kend_head head;
    size_t head_bytes; /* of this hop, in all */
    bool wanted;       /* the body goes to the caller, otherwise it is thrown away */
    bool judged;       /* the head is complete */
    bool ended;        /* by a verdict, outcome tells; what libcurl says of it does not count */
    size_t discarded;
    unsigned short_of_memory; /* libcurl was, so often, when this hop began */
    struct kend_outcome outcome;
    struct kend_connection connection; /* of this hop */
    char reason[CURL_ERROR_SIZE];
};

static const char *place(const struct kend_transfer *transfer)
{
    return transfer->hops[transfer->hop].shown;
}

/* Ends it with a failure; the first one counts. */
__attribute__((format(printf, 4, 5))) static void fail(struct kend_transfer *transfer, int code, bool may_pass, const char *format, ...)
{
    char text[KEN_MESSAGE_MAX / 2];
    if (transfer->ended) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ken_fail(&transfer->outcome.error, code, "%.240s: %s", place(transfer), text);
    transfer->outcome.may_pass = may_pass;
    transfer->ended = true;
}

/* ---- what statuses mean */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void fail_status(struct kend_transfer *transfer)
{
    long status = transfer->head.status;
    transfer->outcome.retry_after = transfer->head.retry_after;
    if (status == 404 || status == 410)
        fail(transfer, KEN_ENOT_FOUND, false, "the server answered %ld: there is no such file", status);
    else if (status == 401 || status == 403)
        fail(transfer, KEN_EFETCH, false,
             "the server answered %ld: it wants other credentials; check the URL, its query string and whether it has expired", status);
    else if (status == 408 || status == 425 || status == 429)
        fail(transfer, KEN_EFETCH, true, "the server answered %ld", status);
    else if (status >= 500 && status <= 599)
        fail(transfer, KEN_EFETCH, status != 501 && status != 505, "the server answered %ld", status);
    else
        fail(transfer, KEN_EFETCH, false, "the server answered %ld, which is no file", status);
}

static void judge(struct kend_transfer *transfer)
{
    struct kend_head *head = &transfer->head;
    kend_head_end(head);
    if (head->no_memory) fail(transfer, KEN_ENOMEM, false, "out of memory");
    if (transfer->ended || is_redirect(head->status)) return; /* followed when this hop has ended */
    bool content = head->status == 200 || head->status == 206;
    if (!content && head->status != 304 && head->status != 416)
        fail_status(transfer);
    else if (head->malformed)
        fail(transfer, KEN_EFETCH, false, "the server's response has a malformed or contradicting header field");
    else if (content && head->encoded)
        fail(transfer, KEN_EFETCH, false, COMPRESSED);
    else if (content && head->multipart)
        fail(transfer, KEN_EFETCH, false, "the server answered one range with multipart/byteranges");
    if (transfer->ended) return;
    enum kend_verdict verdict = transfer->ops.head(transfer->opaque, head, &transfer->outcome);
    transfer->ended = verdict != KEND_GO_ON;
    transfer->wanted = content && !transfer->ended;
}

/* ---- callbacks of libcurl */

static size_t on_header(char *line, size_t size, size_t length, void *opaque)
{
    struct kend_transfer *transfer = opaque;
    (void)size;
    transfer->head_bytes += length; /* interim responses and trailers, which are not looked at, do not come without end either */
    if (transfer->head_bytes > MAX_HEAD_BYTES) {
        fail(transfer, KEN_EFETCH, false, LARGE_HEADER);
        return 0;
    }
    if (transfer->judged) return length;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        long status = 0;
        curl_easy_getinfo(transfer->drive.easy, CURLINFO_RESPONSE_CODE, &status);
        kend_head_reset(&transfer->head, status);
    } else if (length && line[0] != '\r' && line[0] != '\n') {
        kend_head_line(&transfer->head, line, length);
    } else if (transfer->head.status >= 200) {
        transfer->judged = true;
        judge(transfer);
    }
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t length, void *opaque)
{
    struct kend_transfer *transfer = opaque;
    (void)size;
    if (transfer->wanted && transfer->ended) return 0; /* handed out by a resume, which does not look at what was answered */
    if (!transfer->wanted) {
        /* A short page is read to its end, so that the connection can be used again. */
        transfer->discarded += length;
        atomic_fetch_add(&transfer->settings->received, length);
        return transfer->discarded > MAX_DISCARDED ? 0 : length;
    }
    switch (transfer->ops.body(transfer->opaque, bytes, length, &transfer->outcome)) {
    case KEND_GO_ON: break;
    case KEND_PAUSE: return CURL_WRITEFUNC_PAUSE;
    case KEND_ENOUGH:
    case KEND_REFUSE: transfer->ended = true;
    }
    atomic_fetch_add(&transfer->settings->received, length);
    return transfer->ended ? 0 : length;
}

/* ---- one hop */

static bool add_field(struct curl_slist **fields, const char *name, const char *value)
{
    char field[KEND_VALIDATOR_MAX + 32];
    snprintf(field, sizeof field, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(*fields, field);
    if (longer) *fields = longer;
    return longer;
}

/* Fields are made anew for each hop. None of them is a credential. */
static bool make_fields(struct kend_transfer *transfer)
{
    const struct kend_validators *if_range = &transfer->if_range, *if_none = &transfer->if_none;
    curl_slist_free_all(transfer->fields);
    transfer->fields = NULL;
    bool good = true;
    if (if_range->etag[0])
        good = add_field(&transfer->fields, "If-Range", if_range->etag);
    else if (if_range->last_modified[0])
        good = add_field(&transfer->fields, "If-Range", if_range->last_modified);
    if (if_none->etag[0])
        good = good && add_field(&transfer->fields, "If-None-Match", if_none->etag);
    else if (if_none->last_modified[0])
        good = good && add_field(&transfer->fields, "If-Modified-Since", if_none->last_modified);
    return good;
}

static bool set_options(struct kend_transfer *transfer)
{
    CURL *easy = transfer->drive.easy;
    if (!make_fields(transfer)) return false;
    curl_easy_reset(easy);
    return kend_connection_prepare(&transfer->connection, &transfer->settings->connection, easy) &&
           KEND_SET(easy, BUFFERSIZE, (long)BUFFER_BYTES) && KEND_SET(easy, ERRORBUFFER, transfer->reason) &&
           KEND_SET(easy, HEADERFUNCTION, on_header) && KEND_SET(easy, HEADERDATA, transfer) && KEND_SET(easy, WRITEFUNCTION, on_body) &&
           KEND_SET(easy, WRITEDATA, transfer) && KEND_SET(easy, HTTPHEADER, transfer->fields) &&
           (!transfer->range[0] || KEND_SET(easy, RANGE, transfer->range)) && KEND_SET(easy, URL, transfer->hops[transfer->hop].text);
}

/* Starts the present hop. */
static int start_hop(struct kend_transfer *transfer)
{
    kend_head_reset(&transfer->head, 0);
    transfer->wanted = transfer->judged = false;
    transfer->head_bytes = transfer->discarded = 0;
    transfer->short_of_memory = kend_curl_memory_failures();
    transfer->reason[0] = '\0';
    return set_options(transfer) ? kend_loop_start(transfer->loop, &transfer->drive) : KEN_ENOMEM;
}

static void free_transfer(struct kend_transfer *transfer)
{
    curl_easy_cleanup(transfer->drive.easy);
    curl_slist_free_all(transfer->fields);
    for (int i = 0; i <= transfer->hop; i++) kend_url_clear(&transfer->hops[i]);
    kend_head_reset(&transfer->head, 0);
    free(transfer);
}

static void finish(struct kend_transfer *transfer)
{
    transfer->ops.end(transfer->opaque, &transfer->outcome);
    free_transfer(transfer);
}

/* Goes on to where the response points; false: it does not, and the transfer has failed. */
static bool follow(struct kend_transfer *transfer)
{
    struct kend_url next = {0};
    struct ken_error error;
    if (!transfer->head.location || transfer->head.malformed) {
        fail(transfer, KEN_EFETCH, false, "the server answered %ld without one usable Location", transfer->head.status);
        return false;
    }
    int code =
        kend_url_parse(&next, transfer->head.location, &transfer->hops[transfer->hop], &transfer->settings->connection.policy, &error);
    if (code) {
        transfer->outcome.error = error;
        transfer->ended = true;
        return false;
    }
    for (int i = 0; i <= transfer->hop; i++)
        if (strcmp(transfer->hops[i].text, next.text) == 0) {
            fail(transfer, KEN_EFETCH, false, "it redirects in a loop, back to %.150s", next.shown);
            kend_url_clear(&next);
            return false;
        }
    if (transfer->hop == MAX_HOPS) {
        ken_fail(&transfer->outcome.error, KEN_EFETCH, "%.240s: more than %d redirects", transfer->hops[0].shown, MAX_HOPS);
        transfer->ended = true;
        kend_url_clear(&next);
        return false;
    }
    transfer->hops[++transfer->hop] = next;
    if (start_hop(transfer) == 0) return true;
    fail(transfer, KEN_ENOMEM, false, "out of memory");
    return false;
}

/* ---- how a hop ended */

static bool is_permanent(CURLcode result)
{
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
    case CURLE_OUT_OF_MEMORY: return true;
    default: return false;
    }
}

/* Whether something has come, if only a part of the first line. */
static bool has_begun(const struct kend_transfer *transfer)
{
    curl_off_t first = 0;
    curl_easy_getinfo(transfer->drive.easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
    return transfer->head_bytes || first > 0;
}

/*
 * One line was more than libcurl takes. Until 8.6 it calls that a want of memory, although it got all that it asked for; so is called here
 * what ends a transfer that is lost.
 */
static bool is_long_line(const struct kend_transfer *transfer, CURLcode result)
{
    enum { TOO_LARGE = 100 }; /* CURLE_TOO_LARGE */
    if ((int)result == TOO_LARGE) return true;
    return result == CURLE_OUT_OF_MEMORY && !transfer->drive.lost && kend_curl_memory_failures() == transfer->short_of_memory &&
           has_begun(transfer) && !transfer->judged;
}

static void explain(struct kend_transfer *transfer, CURLcode result)
{
    const char *reason = transfer->reason[0] ? transfer->reason : curl_easy_strerror(result);
    char safe[200];
    ken_printable(safe, sizeof safe, reason, strlen(reason));
    if (is_long_line(transfer, result))
        fail(transfer, KEN_EFETCH, false, LARGE_HEADER);
    else if (result == CURLE_OUT_OF_MEMORY)
        fail(transfer, KEN_ENOMEM, false, "out of memory");
    else if (transfer->connection.vetoed && !transfer->connection.opened)
        fail(transfer, KEN_EADDRESS, false, "%s", transfer->connection.veto.message);
    else if (result == CURLE_PEER_FAILED_VERIFICATION)
        fail(transfer, KEN_EFETCH, false, "the server's certificate is not trusted (fetch.ca_file names those that are): %s", safe);
    else if (result == CURLE_BAD_CONTENT_ENCODING) /* libcurl 8 looks at Transfer-Encoding itself */
        fail(transfer, KEN_EFETCH, false, COMPRESSED);
    else if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_WEIRD_SERVER_REPLY)
        /* On a connection that was used before it may be the end of another response. */
        fail(transfer, KEN_EFETCH, !transfer->connection.opened, "what the server sends is not HTTP: %s", safe);
    else
        fail(transfer, KEN_EFETCH, !is_permanent(result), "%s", safe);
}

static void on_done(struct kend_drive *drive, CURLcode result)
{
    struct kend_transfer *transfer = (struct kend_transfer *)drive;
    if (!transfer->ended && transfer->judged && is_redirect(transfer->head.status)) {
        if (follow(transfer)) return;
    } else if (!transfer->ended && result != CURLE_OK) {
        explain(transfer, result);
    } else if (!transfer->ended && !transfer->judged) {
        fail(transfer, KEN_EFETCH, true, "the server closed the connection without a response");
    }
    finish(transfer);
}

/* ---- the whole */

int kend_transfer_start(struct kend_transfer **result, struct kend_loop *loop, struct kend_transfer_settings *settings,
                        const struct kend_transfer_request *request, const struct kend_transfer_ops *ops, void *opaque)
{
    struct kend_transfer *transfer = calloc(1, sizeof *transfer);
    *result = NULL;
    if (!transfer) return KEN_ENOMEM;
    transfer->loop = loop;
    transfer->settings = settings;
    transfer->ops = *ops;
    transfer->opaque = opaque;
    transfer->outcome.retry_after = -1;
    transfer->drive.done = on_done;
    transfer->drive.easy = curl_easy_init();
    if (request->has_range)
        snprintf(transfer->range, sizeof transfer->range, "%llu-%llu", (unsigned long long)request->first,
                 (unsigned long long)request->end - 1);
    if (request->if_range) transfer->if_range = *request->if_range;
    if (request->if_none) transfer->if_none = *request->if_none;
    int code = kend_url_copy(&transfer->hops[0], request->url);
    if (!code) code = transfer->drive.easy ? start_hop(transfer) : KEN_ENOMEM;
    if (code)
        free_transfer(transfer);
    else
        *result = transfer;
    return code;
}

void kend_transfer_resume(struct kend_transfer *transfer)
{
    kend_loop_resume(transfer->loop, &transfer->drive);
}

void kend_transfer_cancel(struct kend_transfer **own)
{
    struct kend_transfer *transfer = *own;
    if (!transfer) return;
    kend_loop_stop(transfer->loop, &transfer->drive);
    free_transfer(transfer);
    *own = NULL;
}
