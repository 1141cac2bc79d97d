/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connections.h"
#include "clock.h"
#include "http/request.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static struct kend_http_metrics metrics;

/* One connection, and the far end of its socket. */
struct peer {
    struct kend_connection *connection;
    int near, far;
};

static struct kend_conf limits(uint64_t most, uint64_t of_address)
{
    return (struct kend_conf){.http_max_connections = most,
                              .http_max_connections_per_address = of_address,
                              .http_header_seconds = 60,
                              .http_idle_seconds = 60,
                              .http_body_seconds = 60};
}

static struct kend_connections *create(const struct kend_conf *conf)
{
    struct kend_connections *connections;
    memset(&metrics, 0, sizeof metrics);
    ck_assert_int_eq(kend_connections_create(&connections, conf, &metrics, NULL), KEN_OK);
    return connections;
}

static struct peer connect_from(struct kend_connections *connections, const char *from, bool encrypted)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int ends[2];
    ck_assert_int_eq(inet_pton(AF_INET, from, &address.sin_addr), 1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct kend_connection *connection = kend_connections_open(connections, NULL, ends[0], (struct sockaddr *)&address, encrypted);
    ck_assert_ptr_nonnull(connection);
    return (struct peer){connection, ends[0], ends[1]};
}

static void hang_up(struct kend_connections *connections, struct peer *peer)
{
    kend_connections_close(connections, peer->connection);
    close(peer->near);
    close(peer->far);
}

/* Whether the far end finds the connection ended, within so long. */
static bool ends_within(const struct peer *peer, int ms)
{
    struct pollfd waiting = {.fd = peer->far, .events = POLLIN};
    char byte;
    return poll(&waiting, 1, ms) == 1 && recv(peer->far, &byte, 1, MSG_DONTWAIT) == 0;
}

static unsigned long long refused(enum kend_refusal reason)
{
    return atomic_load(&metrics.refused[reason]);
}

/* Of whom it counts, and what the log calls it. */
static void client_is(const char *text, int family, const unsigned char wanted[16], const char *called)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.any.sa_family = (sa_family_t)family};
    struct kend_client client;
    char written[INET6_ADDRSTRLEN];
    void *place = family == AF_INET ? (void *)&address.four.sin_addr : (void *)&address.six.sin6_addr;
    ck_assert_int_eq(inet_pton(family, text, place), 1);
    kend_client_of(&client, &address.any);
    ck_assert_mem_eq(client.address, wanted, 16);
    ck_assert_str_eq(kend_client_text(written, &address.any), called);
}

START_TEST(a_client_is_an_address_or_a_network_of_one)
{
    static const unsigned char four[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1};
    static const unsigned char six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2};
    client_is("192.0.2.1", AF_INET, four, "192.0.2.1");
    client_is("::ffff:192.0.2.1", AF_INET6, four, "192.0.2.1");
    client_is("2001:db8:1:2::1", AF_INET6, six, "2001:db8:1:2::1");
    client_is("2001:db8:1:2:3:4:5:6", AF_INET6, six, "2001:db8:1:2:3:4:5:6");
    ck_assert_ptr_null(kend_client_text((char[INET6_ADDRSTRLEN]){0}, NULL));
}
END_TEST

START_TEST(so_many_of_one_address)
{
    const struct kend_conf conf = limits(100, 2);
    struct kend_connections *connections = create(&conf);
    struct peer peers[5], other;
    for (int i = 0; i < 5; i++) peers[i] = connect_from(connections, "192.0.2.1", false);
    other = connect_from(connections, "192.0.2.2", false);
    for (int i = 0; i < 5; i++) ck_assert(peers[i].connection->surplus == (i >= 2));
    ck_assert(!other.connection->surplus);
    /* Those that are told so take connections as well: from twice as many on, they are not. */
    ck_assert(ends_within(&peers[4], 0) && !ends_within(&peers[3], 0));
    ck_assert_uint_eq(refused(KEND_REFUSED_ADDRESS), 1);
    ck_assert_uint_eq(kend_connections_count(connections), 6);
    for (int i = 0; i < 5; i++) hang_up(connections, &peers[i]);
    peers[0] = connect_from(connections, "192.0.2.1", false);
    ck_assert(!peers[0].connection->surplus);
    hang_up(connections, &peers[0]);
    hang_up(connections, &other);
    kend_connections_destroy(&connections);
    ck_assert_ptr_null(connections);
}
END_TEST

START_TEST(a_header_has_its_time)
{
    struct kend_conf conf = limits(100, 0);
    conf.http_header_seconds = 1;
    conf.http_idle_seconds = 1;
    struct kend_connections *connections = create(&conf);
    struct peer slow = connect_from(connections, "192.0.2.1", false), quick = connect_from(connections, "192.0.2.1", false);
    struct peer next = connect_from(connections, "192.0.2.1", false);
    ck_assert(kend_connection_reads(connections, quick.connection, "id") && kend_connection_answers(connections, quick.connection));
    ck_assert(kend_connection_reads(connections, next.connection, "id") && kend_connection_answers(connections, next.connection));
    ck_assert(!kend_connection_rests(connections, next.connection));
    const int64_t begin = kend_monotonic_ms();
    ck_assert(ends_within(&slow, 20000));
    ck_assert_int_ge(kend_monotonic_ms() - begin, 900);
    ck_assert(!kend_connection_reads(connections, slow.connection, "id"));
    ck_assert(ends_within(&next, 20000)); /* rested, and then was slow */
    ck_assert_int_ge(kend_monotonic_ms() - begin, 1900);
    ck_assert(!ends_within(&quick, 0)); /* still busy */
    ck_assert_uint_eq(refused(KEND_REFUSED_HEADER), 2);
    hang_up(connections, &slow);
    hang_up(connections, &quick);
    hang_up(connections, &next);
    kend_connections_destroy(&connections);
}
END_TEST

START_TEST(a_body_has_its_time)
{
    struct kend_conf conf = limits(100, 0);
    conf.http_body_seconds = 1;
    struct kend_connections *connections = create(&conf);
    struct peer slow = connect_from(connections, "192.0.2.1", false), secret = connect_from(connections, "192.0.2.1", true);
    struct peer quick = connect_from(connections, "192.0.2.1", false);
    char answer[2048] = "";
    ck_assert(kend_connection_reads(connections, slow.connection, "the-id"));
    ck_assert(kend_connection_reads(connections, secret.connection, "the-id"));
    ck_assert(kend_connection_reads(connections, quick.connection, "the-id") && kend_connection_answers(connections, quick.connection));
    ck_assert_int_gt(recv(slow.far, answer, sizeof answer - 1, 0), 0);
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 408 Request Timeout\r\n", 30), 0);
    ck_assert_ptr_nonnull(strstr(answer, "\r\nX-Request-Id: the-id\r\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\"code\":\"request_timeout\""));
    ck_assert(ends_within(&slow, 0));
    /* What its client sends meanwhile does no harm to the answer; and nothing else is sent. */
    ck_assert_int_eq(send(slow.far, "x", 1, MSG_NOSIGNAL), 1);
    ck_assert(!kend_connection_answers(connections, slow.connection));
    ck_assert(kend_connection_rests(connections, slow.connection));
    ck_assert(ends_within(&secret, 20000)); /* without a word */
    ck_assert(!kend_connection_rests(connections, secret.connection));
    ck_assert(!ends_within(&quick, 0));
    ck_assert_uint_eq(refused(KEND_REFUSED_BODY), 2);
    hang_up(connections, &slow);
    hang_up(connections, &secret);
    hang_up(connections, &quick);
    kend_connections_destroy(&connections);
}
END_TEST

/* The same over TCP, whose kernel tells what was taken. */
static struct peer connect_by_tcp(struct kend_connections *connections)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int listening = socket(AF_INET, SOCK_STREAM, 0), far = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert(bind(listening, (struct sockaddr *)&address, length) == 0 && listen(listening, 1) == 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(connect(far, (struct sockaddr *)&address, length), 0);
    const int near = accept(listening, NULL, NULL);
    close(listening);
    struct kend_connection *connection = kend_connections_open(connections, NULL, near, (struct sockaddr *)&address, false);
    ck_assert(near >= 0 && connection && kend_connection_answers(connections, connection));
    return (struct peer){connection, near, far};
}

START_TEST(an_answer_has_its_rate)
{
    static char piece[64 << 10];
    struct kend_conf conf = limits(100, 0);
    conf.http_send_seconds = 1;
    struct kend_connections *connections = create(&conf);
    struct peer slow = connect_by_tcp(connections), steady = connect_by_tcp(connections), waiting = connect_by_tcp(connections);
    kend_connection_sends(connections, slow.connection);
    kend_connection_sends(connections, steady.connection);
    const int64_t begin = kend_monotonic_ms();
    for (bool ended = false; !ended; ended = ended || ends_within(&slow, 100)) {
        ck_assert_int_lt(kend_monotonic_ms() - begin, 20000);
        ck_assert_int_eq(send(steady.near, piece, sizeof piece, MSG_NOSIGNAL), sizeof piece);
        ck_assert_int_eq(recv(steady.far, piece, sizeof piece, MSG_WAITALL), sizeof piece);
    }
    ck_assert_int_ge(kend_monotonic_ms() - begin, 1900); /* after one look */
    ck_assert(!ends_within(&steady, 0) && !ends_within(&waiting, 0));
    ck_assert_uint_eq(refused(KEND_REFUSED_SEND), 1);
    ck_assert(!kend_connection_rests(connections, slow.connection) && !kend_connection_rests(connections, steady.connection));
    ck_assert(kend_connection_reads(connections, steady.connection, "id") && !kend_connection_reads(connections, slow.connection, "id"));
    conf.http_send_seconds = 0;
    kend_connection_sends(connections, waiting.connection);
    ck_assert_int_eq(waiting.connection->phase, KEND_CONNECTION_BUSY);
    hang_up(connections, &slow);
    hang_up(connections, &steady);
    hang_up(connections, &waiting);
    kend_connections_destroy(&connections);
}
END_TEST

START_TEST(who_rests_makes_room)
{
    const struct kend_conf conf = limits(8, 0);
    struct kend_connections *connections = create(&conf);
    struct peer peers[8];
    for (int i = 0; i < 6; i++) {
        peers[i] = connect_from(connections, "192.0.2.1", false);
        ck_assert(kend_connection_answers(connections, peers[i].connection));
    }
    kend_connection_rests(connections, peers[3].connection);
    kend_connection_rests(connections, peers[1].connection);
    peers[6] = connect_from(connections, "192.0.2.1", false);
    ck_assert(!kend_connections_are_scarce(connections) && !ends_within(&peers[3], 0));
    peers[7] = connect_from(connections, "192.0.2.1", false); /* one in eight is kept free */
    ck_assert(ends_within(&peers[3], 0) && !ends_within(&peers[1], 0));
    ck_assert(!kend_connections_are_scarce(connections));
    hang_up(connections, &peers[3]);
    peers[3] = connect_from(connections, "192.0.2.1", false);
    ck_assert(ends_within(&peers[1], 0));
    hang_up(connections, &peers[1]);
    peers[1] = connect_from(connections, "192.0.2.1", false);
    ck_assert(kend_connections_are_scarce(connections)); /* nobody rests */
    ck_assert(ends_within(&peers[6], 20000));            /* has sent no header for a while */
    ck_assert(!ends_within(&peers[0], 0));
    ck_assert_uint_ge(refused(KEND_REFUSED_CONNECTIONS), 3);
    for (int i = 0; i < 8; i++) hang_up(connections, &peers[i]);
    kend_connections_destroy(&connections);
}
END_TEST

START_TEST(one_address_leaves_some_to_others)
{
    const struct kend_conf conf = limits(16, 10); /* twice as many as 10 would be all */
    struct kend_connections *connections = create(&conf);
    struct peer peers[15];
    for (int i = 0; i < 15; i++) peers[i] = connect_from(connections, "192.0.2.1", false);
    ck_assert(!ends_within(&peers[13], 0) && ends_within(&peers[14], 0));
    ck_assert(!kend_connections_are_scarce(connections));
    for (int i = 0; i < 15; i++) hang_up(connections, &peers[i]);
    kend_connections_destroy(&connections);
}
END_TEST

START_TEST(a_slow_body_makes_room)
{
    const struct kend_conf conf = limits(8, 0);
    struct kend_connections *connections = create(&conf);
    struct peer peers[8];
    for (int i = 0; i < 8; i++) {
        peers[i] = connect_from(connections, i == 0 ? "192.0.2.1" : i < 4 ? "192.0.2.2" : "192.0.2.3", false);
        ck_assert(kend_connection_reads(connections, peers[i].connection, "id"));
    }
    ck_assert(kend_connections_are_scarce(connections));
    ck_assert(ends_within(&peers[4], 20000)); /* the oldest of those who have the most */
    ck_assert(!kend_connections_are_scarce(connections));
    ck_assert(!kend_connection_answers(connections, peers[4].connection));
    for (int i = 0; i < 8; i++) ck_assert(i == 4 || !ends_within(&peers[i], 0));
    ck_assert_uint_eq(refused(KEND_REFUSED_CONNECTIONS), 1);
    for (int i = 0; i < 8; i++) hang_up(connections, &peers[i]);
    kend_connections_destroy(&connections);
}
END_TEST

START_TEST(one_address_holds_a_share_of_the_memory)
{
    struct kend_conf conf = limits(8, 4);
    conf.http_max_memory = 800;
    struct kend_connections *connections = create(&conf);
    struct peer one = connect_from(connections, "192.0.2.1", false), two = connect_from(connections, "192.0.2.1", false);
    struct peer other = connect_from(connections, "192.0.2.2", false);
    ck_assert(kend_connection_hold(connections, one.connection, 60) && kend_connection_hold(connections, two.connection, 40));
    ck_assert(!kend_connection_hold(connections, two.connection, 1) && !kend_connection_hold(connections, one.connection, 1));
    ck_assert(kend_connection_hold(connections, other.connection, 700)); /* alone of its address */
    kend_connection_let_go(connections, two.connection, 40);
    ck_assert(kend_connection_hold(connections, one.connection, 400));
    kend_connection_let_go(connections, one.connection, 460);
    conf.http_max_connections_per_address = 0; /* a proxy's: no share */
    ck_assert(kend_connection_hold(connections, one.connection, 500) && kend_connection_hold(connections, two.connection, 500));
    hang_up(connections, &one);
    hang_up(connections, &two);
    hang_up(connections, &other);
    kend_connections_destroy(&connections);
}
END_TEST

UNIT_MAIN("connections", a_client_is_an_address_or_a_network_of_one, so_many_of_one_address, a_header_has_its_time, a_body_has_its_time,
          an_answer_has_its_rate, who_rests_makes_room, one_address_leaves_some_to_others, a_slow_body_makes_room,
          one_address_holds_a_share_of_the_memory)
