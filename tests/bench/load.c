/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends requests at fixed rates, whether or not earlier ones have been answered (an open loop), over connections that are kept open, and
 * counts each one's time from when it was due: what a request waits for a free connection is part of it.
 *
 * usage: load PORT SECONDS CONNECTIONS IDS GETS BODY POSTS [TOKEN]
 *
 * GETS and POSTS are per second: GET /v1/jobs/ID of the ids in the file IDS (a line each) in turn, POST /v1/jobs with what is in the file
 * BODY. Prints one JSON object: for each kind, how many were sent, answered by status, failed, and quantiles of milliseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { HEAD_ROOM = 16384, TICK_MS = 1, CONNECT_MS = 200, DRAIN_MS = 10000, STATUSES = 600 };

#define KIND_MAP(X) X(GET, "get") X(POST, "post")
#define X(symbol, name) symbol,
enum kind { KIND_MAP(X) KIND_COUNT };
#undef X

struct request {
    enum kind kind;
    uint64_t due; /* ns, on the loop's clock */
    size_t number;
};

struct connection {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct load *load;
    struct connection *next_free;
    bool open, busy;
    struct request request;
    char *sent;           /* what is being written */
    char head[HEAD_ROOM]; /* [head_length] of the answer */
    size_t head_length;
    uint64_t body_left;
    bool has_head;
    int status;
};

struct series {
    double rate;
    uint64_t sent, failed, by_status[STATUSES];
    double *milliseconds; /* [answered] */
    size_t answered, capacity;
};

struct load {
    uv_loop_t loop;
    uv_timer_t timer;
    struct sockaddr_in address;
    uint64_t begin, length; /* ns */
    struct series series[KIND_COUNT];
    struct request *waiting; /* ring [capacity] of requests without a connection */
    size_t first, count, capacity;
    struct connection *connections, *free_ones;
    size_t connection_count, in_flight;
    char **ids; /* [id_count] */
    size_t id_count;
    char *body, *token;
    size_t body_length;
};

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(2);
}

static void *must(void *memory)
{
    if (!memory) die("memory", "none left");
    return memory;
}

/* ---- answers */

static void release(struct connection *connection)
{
    connection->busy = false;
    connection->head_length = 0;
    connection->has_head = false;
    connection->next_free = connection->load->free_ones;
    connection->load->free_ones = connection;
}

static void send_next(struct load *load);

static void answered(struct connection *connection)
{
    struct load *load = connection->load;
    struct series *series = &load->series[connection->request.kind];
    double elapsed = (double)(uv_hrtime() - connection->request.due) / 1e6;
    if (series->answered == series->capacity) {
        series->capacity = series->capacity ? 2 * series->capacity : 1024;
        series->milliseconds = must(realloc(series->milliseconds, series->capacity * sizeof *series->milliseconds));
    }
    series->milliseconds[series->answered++] = elapsed;
    if (connection->status > 0 && connection->status < STATUSES) series->by_status[connection->status]++;
    load->in_flight--;
    release(connection);
    send_next(load);
}

static void on_closed(uv_handle_t *handle);

static void broken(struct connection *connection)
{
    if (connection->busy) {
        connection->load->series[connection->request.kind].failed++;
        connection->load->in_flight--;
        connection->busy = false;
    }
    connection->open = false;
    if (!uv_is_closing((uv_handle_t *)&connection->tcp)) uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

/* The value of a header, which the answers of kend write in one way only. */
static const char *header(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

/* Takes up bytes of an answer; false if it is none. */
static bool take(struct connection *connection, const char *bytes, size_t length)
{
    if (!connection->has_head) {
        if (length > HEAD_ROOM - 1 - connection->head_length) return false;
        memcpy(connection->head + connection->head_length, bytes, length);
        connection->head_length += length;
        connection->head[connection->head_length] = '\0';
        const char *end = strstr(connection->head, "\r\n\r\n");
        if (!end) return true;
        const char *size = header(connection->head, "\r\nContent-Length: ");
        if (strncmp(connection->head, "HTTP/1.1 ", 9) != 0 || !size) return false;
        connection->status = atoi(connection->head + 9);
        connection->body_left = strtoull(size, NULL, 10);
        connection->has_head = true;
        length = connection->head_length - (size_t)(end + 4 - connection->head);
    }
    if (length > connection->body_left) return false;
    connection->body_left -= length;
    return true;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char room[65536];
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (length == 0) return;
    if (length < 0 || !connection->busy || !take(connection, buffer->base, (size_t)length))
        broken(connection);
    else if (connection->has_head && !connection->body_left)
        answered(connection);
}

/* ---- requests */

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    free(connection->sent);
    connection->sent = NULL;
    if (status < 0) broken(connection);
}

static char *text_of(const struct load *load, const struct request *request, size_t *length)
{
    char *text = NULL, authorization[300] = "";
    if (load->token) snprintf(authorization, sizeof authorization, "Authorization: Bearer %.200s\r\n", load->token);
    int written =
        request->kind == GET
            ? asprintf(&text, "GET /v1/jobs/%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", load->ids[request->number % load->id_count],
                       authorization)
            : asprintf(&text,
                       "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       authorization, load->body_length, load->body);
    if (written < 0) die("memory", "none left");
    *length = (size_t)written;
    return text;
}

static void send_on(struct connection *connection, const struct request *request)
{
    size_t length;
    connection->busy = true;
    connection->request = *request;
    connection->sent = text_of(connection->load, request, &length);
    uv_buf_t buffer = uv_buf_init(connection->sent, (unsigned)length);
    connection->write.data = connection;
    connection->load->in_flight++;
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written) < 0) broken(connection);
}

static void send_next(struct load *load)
{
    while (load->free_ones && load->count) {
        struct connection *connection = load->free_ones;
        load->free_ones = connection->next_free;
        if (!connection->open) continue; /* it has been broken, and comes back when it is open again */
        send_on(connection, &load->waiting[load->first]);
        load->first = (load->first + 1) % load->capacity;
        load->count--;
    }
}

static void add(struct load *load, enum kind kind, uint64_t due)
{
    struct series *series = &load->series[kind];
    if (load->count == load->capacity) die("requests", "more are waiting than were to be sent");
    load->waiting[(load->first + load->count++) % load->capacity] = (struct request){kind, due, (size_t)series->sent};
    series->sent++;
}

static void on_tick(uv_timer_t *timer)
{
    struct load *load = timer->data;
    uint64_t clock = uv_hrtime(), now = clock > load->begin ? clock - load->begin : 0, until = now < load->length ? now : load->length;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct series *series = &load->series[kind];
        while (series->rate > 0 && (double)series->sent / series->rate * 1e9 < (double)until)
            add(load, (enum kind)kind, load->begin + (uint64_t)((double)series->sent / series->rate * 1e9));
    }
    send_next(load);
    if (now < load->length || (now < load->length + DRAIN_MS * UINT64_C(1000000) && load->count + load->in_flight)) return;
    for (size_t i = 0; i < load->connection_count; i++) broken(&load->connections[i]);
    uv_close((uv_handle_t *)timer, NULL);
}

/* ---- connections */

static void on_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;
    if (status < 0 || uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_read) < 0) {
        broken(connection);
        return;
    }
    connection->open = true;
    release(connection);
    send_next(connection->load);
}

static void connect_to(struct connection *connection)
{
    uv_tcp_init(&connection->load->loop, &connection->tcp);
    uv_tcp_nodelay(&connection->tcp, 1);
    connection->tcp.data = connection->connect.data = connection;
    int code = uv_tcp_connect(&connection->connect, &connection->tcp, (const struct sockaddr *)&connection->load->address, on_connected);
    if (code < 0) die("connecting", uv_strerror(code));
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    if (!uv_is_closing((uv_handle_t *)&connection->load->timer)) connect_to(connection);
}

/* ---- what comes of it */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double quantile(const struct series *series, double fraction)
{
    if (!series->answered) return 0;
    size_t at = (size_t)(fraction * (double)series->answered);
    return series->milliseconds[at < series->answered ? at : series->answered - 1];
}

static void print(const struct load *load)
{
    static const char *const names[] = {
#define X(symbol, name) name,
        KIND_MAP(X)
#undef X
    };
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct series *series = &load->series[kind];
        const char *separator = "";
        qsort(series->milliseconds, series->answered, sizeof *series->milliseconds, compare);
        printf("%s\"%s\": {\"sent\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"unanswered\": %" PRIu64 ", \"statuses\": {", kind ? ", " : "{",
               names[kind], series->sent, series->failed, series->sent - series->failed - series->answered);
        for (int status = 0; status < STATUSES; status++)
            if (series->by_status[status]) {
                printf("%s\"%d\": %" PRIu64, separator, status, series->by_status[status]);
                separator = ", ";
            }
        printf("}, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}", quantile(series, 0.5),
               quantile(series, 0.9), quantile(series, 0.99), quantile(series, 0.999), quantile(series, 1));
    }
    printf("}\n");
}

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = must(malloc(1 << 20));
    if (!file) die(path, strerror(errno));
    *length = fread(text, 1, (1 << 20) - 1, file);
    text[*length] = '\0';
    fclose(file);
    return text;
}

static void read_ids(struct load *load, const char *path)
{
    size_t length;
    char *text = read_file(path, &length), *rest = text;
    load->ids = must(calloc(length + 1, sizeof *load->ids));
    for (char *id = strtok_r(rest, "\n", &rest); id; id = strtok_r(NULL, "\n", &rest)) load->ids[load->id_count++] = id;
    if (!load->id_count) die(path, "no ids in it");
}

int main(int argc, char **argv)
{
    static struct load load;
    if (argc < 8) die("usage", "load PORT SECONDS CONNECTIONS IDS GETS BODY POSTS [TOKEN]");
    uv_loop_init(&load.loop);
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &load.address);
    load.length = (uint64_t)(atof(argv[2]) * 1e9);
    load.connection_count = (size_t)atoi(argv[3]);
    read_ids(&load, argv[4]);
    load.series[GET].rate = atof(argv[5]);
    load.body = read_file(argv[6], &load.body_length);
    load.series[POST].rate = atof(argv[7]);
    load.token = argc > 8 ? argv[8] : NULL;
    load.capacity = (size_t)((load.series[GET].rate + load.series[POST].rate) * (double)load.length / 1e9) + 16;
    load.waiting = must(calloc(load.capacity, sizeof *load.waiting));
    load.connections = must(calloc(load.connection_count, sizeof *load.connections));
    load.begin = uv_hrtime() + CONNECT_MS * UINT64_C(1000000);
    uv_timer_init(&load.loop, &load.timer);
    load.timer.data = &load;
    for (size_t i = 0; i < load.connection_count; i++) {
        load.connections[i].load = &load;
        connect_to(&load.connections[i]);
    }
    uv_timer_start(&load.timer, on_tick, CONNECT_MS, TICK_MS);
    uv_run(&load.loop, UV_RUN_DEFAULT);
    print(&load);
    return 0;
}
