/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: certificate, key and the authority of clients' certificates, as libmicrohttpd's connections use them. Each connection keeps what it
 * began with; what a reload brings is for those that begin later.
 */
#ifndef KEND_HTTP_TLS_H
#define KEND_HTTP_TLS_H

#include "conf.h"

#include <gnutls/abstract.h>
#include <microhttpd.h>

/* TLS 1.2 and 1.3, for MHD_OPTION_HTTPS_PRIORITIES. */
#define KEND_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct kend_tls;

/* Reads http.tls_cert, http.tls_key and http.tls_client_ca; *tls is NULL where there are none. conf is borrowed. KEN_EINVALID: one without
 * the other, a file that cannot be read, or a key that is not the certificate's. */
int kend_tls_create(struct kend_tls **tls, const struct kend_conf *conf, struct ken_error *error);
/* Logs which certificate there is, and until when it is good. Before connections are let in. */
void kend_tls_log(const struct kend_tls *tls);
/* No connection may be open. */
void kend_tls_destroy(struct kend_tls **tls);
/* Reads the files anew and logs what came of it; after a failure (false), what was there stays. Any thread. */
bool kend_tls_reload(struct kend_tls *tls);
/* Until when the certificates that new connections get are all good, ms since 1970; 0: not known. Any thread. */
int64_t kend_tls_end(struct kend_tls *tls);

/* A connection begins or ends, as of MHD_OPTION_NOTIFY_CONNECTION, with a place to keep something: gives it its certificate, before its
 * handshake. HTTP threads. */
void kend_tls_connection(struct kend_tls *tls, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK2, without which libmicrohttpd would want a certificate of its own; fails whatever handshake would take
 * it, for such a connection was not given its certificate. */
gnutls_certificate_retrieve_function3 kend_tls_no_certificate;

#endif
