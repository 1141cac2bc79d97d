/* SPDX-License-Identifier: Apache-2.0 */
#include "http/tls.h"

#include "clock.h"
#include "http/request.h"
#include "id.h"
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REFUSED_MS = 1000 };

/* What one reading of the files gave. */
struct credentials {
    unsigned users;  /* connections, and the kend_tls whose newest it is; under its lock */
    int authorities; /* that clients' certificates may be of; 0: none is asked for */
    int64_t end;     /* ms since 1970: the first of the chain's certificates is good until then; 0: not known */
    gnutls_certificate_credentials_t gnutls;
};

struct kend_tls {
    const struct kend_conf *conf;
    pthread_mutex_t lock;
    struct credentials *newest;
};

static void credentials_free(struct credentials *credentials)
{
    gnutls_certificate_free_credentials(credentials->gnutls);
    free(credentials);
}

/* At most one line a second: anybody can have a certificate refused. libmicrohttpd reads from the socket that GnuTLS was given. */
static void tell_refused(gnutls_session_t session, unsigned faults)
{
    static atomic_llong next;
    const long long now = kend_monotonic_ms();
    long long before = atomic_load(&next);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    gnutls_datum_t reason = {0};
    char client[INET6_ADDRSTRLEN];
    if (now < before || !atomic_compare_exchange_strong(&next, &before, now + REFUSED_MS)) return;
    const bool known = getpeername((int)(intptr_t)gnutls_transport_get_ptr(session), (struct sockaddr *)&address, &size) == 0;
    const bool told = gnutls_certificate_verification_status_print(faults, GNUTLS_CRT_X509, &reason, 0) >= 0;
    kend_log(KEND_LOG_INFO, "client certificate refused",
             KEND_S("client", known ? kend_client_text(client, (struct sockaddr *)&address) : NULL),
             KEND_S("reason", told ? (const char *)reason.data : NULL));
    gnutls_free(reason.data);
}

/* During the handshake: 0 goes on, anything else ends it. */
static int verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned faults = 0;
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &faults) == 0 && !faults) return 0;
    tell_refused(session, faults);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int check_readable(const char *option, const char *path, struct ken_error *error)
{
    return access(path, R_OK) == 0 ? KEN_OK : ken_fail(error, KEN_EINVALID, "%s: %s: %s", option, path, strerror(errno));
}

static int64_t chain_end(gnutls_certificate_credentials_t gnutls)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    int64_t end = 0;
    if (gnutls_certificate_get_x509_crt(gnutls, 0, &chain, &count) < 0) return 0;
    for (unsigned i = 0; i < count; i++) {
        const int64_t own = (int64_t)gnutls_x509_crt_get_expiration_time(chain[i]) * 1000;
        if (!i || own < end) end = own;
        gnutls_x509_crt_deinit(chain[i]);
    }
    gnutls_free(chain);
    return end;
}

static int credentials_load(struct credentials *credentials, const struct kend_conf *conf, struct ken_error *error)
{
    const char *cert = conf->http_tls_cert, *key = conf->http_tls_key, *authority = conf->http_tls_client_ca;
    int rc = check_readable("http.tls_cert", cert, error);
    if (!rc) rc = check_readable("http.tls_key", key, error);
    if (!rc && *authority) rc = check_readable("http.tls_client_ca", authority, error);
    if (rc) return rc;
    int code = gnutls_certificate_set_x509_key_file(credentials->gnutls, cert, key, GNUTLS_X509_FMT_PEM);
    if (code < 0) return ken_fail(error, KEN_EINVALID, "http.tls_cert, http.tls_key: %s, %s: %s", cert, key, gnutls_strerror(code));
    credentials->end = chain_end(credentials->gnutls);
    if (!*authority) return KEN_OK;
    code = gnutls_certificate_set_x509_trust_file(credentials->gnutls, authority, GNUTLS_X509_FMT_PEM);
    if (code <= 0)
        return ken_fail(error, KEN_EINVALID, "http.tls_client_ca: %s: %s", authority,
                        code ? gnutls_strerror(code) : "no certificate in it");
    gnutls_certificate_set_verify_function(credentials->gnutls, verify_client);
    credentials->authorities = code;
    return KEN_OK;
}

static int credentials_read(struct credentials **out, const struct kend_conf *conf, struct ken_error *error)
{
    struct credentials *credentials = *out = calloc(1, sizeof *credentials);
    if (!credentials || gnutls_certificate_allocate_credentials(&credentials->gnutls) < 0) {
        free(credentials);
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    credentials->users = 1;
    int rc = credentials_load(credentials, conf, error);
    if (rc) credentials_free(credentials);
    return rc;
}

/* Until when the certificate is good, and how many may sign those of clients. */
static void tell(const struct credentials *credentials, const struct kend_conf *conf)
{
    char text[PROTO_TIME_SIZE];
    proto_time_format(text, credentials->end);
    kend_log(credentials->end > proto_now_ms() ? KEND_LOG_INFO : KEND_LOG_WARN, "certificate read", KEND_S("file", conf->http_tls_cert),
             KEND_S("good_until", text));
    if (credentials->authorities)
        kend_log(KEND_LOG_INFO, "authorities of clients read", KEND_S("file", conf->http_tls_client_ca),
                 KEND_I("authorities", credentials->authorities));
}

void kend_tls_log(const struct kend_tls *tls)
{
    tell(tls->newest, tls->conf);
}

int kend_tls_create(struct kend_tls **out, const struct kend_conf *conf, struct ken_error *error)
{
    *out = NULL;
    if (!*conf->http_tls_cert != !*conf->http_tls_key)
        return ken_fail(error, KEN_EINVALID, "http.tls_cert and http.tls_key: one is of no use without the other");
    if (*conf->http_tls_client_ca && !*conf->http_tls_cert)
        return ken_fail(error, KEN_EINVALID, "http.tls_client_ca is of no use without http.tls_cert");
    if (!*conf->http_tls_cert) return KEN_OK;
    struct kend_tls *tls = calloc(1, sizeof *tls);
    if (!tls) return ken_fail(error, KEN_ENOMEM, "out of memory");
    tls->conf = conf;
    int rc = credentials_read(&tls->newest, conf, error);
    if (rc) {
        free(tls);
        return rc;
    }
    pthread_mutex_init(&tls->lock, NULL);
    *out = tls;
    return KEN_OK;
}

/* One user less; the lock is not held. */
static void credentials_leave(struct kend_tls *tls, struct credentials *credentials)
{
    pthread_mutex_lock(&tls->lock);
    bool last = --credentials->users == 0;
    pthread_mutex_unlock(&tls->lock);
    if (last) credentials_free(credentials);
}

void kend_tls_destroy(struct kend_tls **out)
{
    struct kend_tls *tls = *out;
    if (!tls) return;
    *out = NULL;
    credentials_leave(tls, tls->newest);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

int64_t kend_tls_end(struct kend_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    const int64_t end = tls->newest->end;
    pthread_mutex_unlock(&tls->lock);
    return end;
}

bool kend_tls_reload(struct kend_tls *tls)
{
    struct credentials *fresh, *old;
    struct ken_error error = {0};
    if (credentials_read(&fresh, tls->conf, &error)) {
        char until[PROTO_TIME_SIZE];
        proto_time_format(until, kend_tls_end(tls));
        kend_log(KEND_LOG_ERROR, "certificate not read: the one from before holds", KEND_S("file", tls->conf->http_tls_cert),
                 KEND_S("error", error.message), KEND_S("good_until", until));
        return false;
    }
    tell(fresh, tls->conf);
    pthread_mutex_lock(&tls->lock);
    old = tls->newest;
    tls->newest = fresh;
    pthread_mutex_unlock(&tls->lock);
    credentials_leave(tls, old);
    return true;
}

void kend_tls_connection(struct kend_tls *tls, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context) credentials_leave(tls, *context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    if (!session) return; /* kend_tls_no_certificate ends it */
    pthread_mutex_lock(&tls->lock);
    struct credentials *credentials = tls->newest;
    credentials->users++;
    pthread_mutex_unlock(&tls->lock);
    *context = credentials;
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->gnutls);
    if (credentials->authorities) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
}

int kend_tls_no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                            unsigned int *certs_length, gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_length, gnutls_privkey_t *key,
                            unsigned int *flags)
{
    (void)session, (void)info, (void)certs, (void)certs_length, (void)ocsp, (void)ocsp_length, (void)key, (void)flags;
    return -1;
}
