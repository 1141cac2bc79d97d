/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers */

static char folder[] = "/tmp/kend-test-conf-XXXXXX";
static char file_name[sizeof folder + 16];

/* Outside of any test. */
static void make_folder(void)
{
    if (!mkdtemp(folder)) exit(EXIT_FAILURE);
    snprintf(file_name, sizeof file_name, "%s/kend.conf", folder);
}

static void remove_folder(void)
{
    unlink(file_name);
    rmdir(folder);
}

static void write_file(const char *text, size_t length)
{
    FILE *file = fopen(file_name, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    fclose(file);
}

/* Loads a file with the text (NULL: none) and assignments; the error's message, or NULL and *conf. */
static const char *load(struct kend_conf **conf, const char *text, char *const *set, int set_count)
{
    static struct ken_error error;
    const struct kend_conf_flags flags = {.config_file = text ? file_name : NULL, .data = "/data", .set = set, .set_count = set_count};
    error = (struct ken_error){0};
    if (text) write_file(text, strlen(text));
    int code = kend_conf_load(conf, &flags, &error);
    ck_assert_int_eq(!*conf, code != 0);
    if (!code) return NULL;
    ck_assert_int_eq(code, KEN_EINVALID);
    ck_assert_int_eq(error.code, code);
    return error.message;
}

static struct kend_conf *load_good(const char *text)
{
    struct kend_conf *conf;
    const char *message = load(&conf, text, NULL, 0);
    ck_assert_msg(!message, "%s", message);
    return conf;
}

static char *printed(void (*print)(const struct kend_conf *, FILE *), const struct kend_conf *conf)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    print(conf, out);
    fclose(out);
    return text;
}

static void print_sample(const struct kend_conf *conf, FILE *out)
{
    (void)conf;
    kend_conf_print_sample(out);
}

static void print_page(const struct kend_conf *conf, FILE *out)
{
    (void)conf;
    kend_conf_print_page(out);
}

/* Compares with a file of the source tree; with KEND_UPDATE set, writes it instead. */
static void expect_file(const char *name, const char *text)
{
    char path[4096];
    static char wanted[1 << 17];
    const char *source = getenv("KEND_SOURCE");
    snprintf(path, sizeof path, "%s/%s", source ? source : ".", name);
    if (getenv("KEND_UPDATE")) {
        FILE *out = fopen(path, "w");
        ck_assert_msg(out, "%s", path);
        fputs(text, out);
        fclose(out);
        return;
    }
    FILE *file = fopen(path, "r");
    ck_assert_msg(file, "%s", path);
    wanted[fread(wanted, 1, sizeof wanted - 1, file)] = '\0';
    fclose(file);
    ck_assert_msg(strcmp(wanted, text) == 0, "%s is not up to date: KEND_UPDATE=1 make check TESTS=tests/unit/test_conf makes it anew",
                  name);
}

/* ---- good */

START_TEST(areas_are_public_as_listed)
{
    struct kend_conf *conf = load_good("[auth]\npublic = metrics, openapi\n");
    ck_assert(kend_area_is_public(conf, KEND_AREA_METRICS));
    ck_assert(kend_area_is_public(conf, KEND_AREA_OPENAPI));
    ck_assert(!kend_area_is_public(conf, KEND_AREA_PROBES));
    ck_assert(!kend_area_is_public(conf, KEND_AREA_VERSION));
    ck_assert(!kend_area_is_public(conf, KEND_AREA_PRIVATE));
    kend_conf_free(&conf);
    conf = load_good("[auth]\npublic =\n");
    for (unsigned area = KEND_AREA_PRIVATE; area <= KEND_AREA_OPENAPI; area++) ck_assert(!kend_area_is_public(conf, area));
    kend_conf_free(&conf);
}
END_TEST

START_TEST(defaults_are_the_contracts)
{
    struct kend_conf *conf = load_good(NULL);
    ck_assert_str_eq(conf->data, "/data");
    ck_assert_str_eq(conf->http_listen, "127.0.0.1:8377");
    ck_assert_str_eq(conf->http_public_url, "");
    ck_assert(!conf->auth_allow_anonymous);
    ck_assert_str_eq(conf->store_url, "sqlite:/data/kend.db");
    ck_assert_str_eq(conf->artifacts_url, "file:/data/artifacts");
    ck_assert_uint_eq(conf->artifacts_max_bytes, 0);
    ck_assert_str_eq(conf->cache_dir, "/data/cache");
    ck_assert_str_eq(conf->fetch_allow_schemes, "https");
    ck_assert_str_eq(conf->fetch_allow_networks, "");
    ck_assert_uint_eq(conf->fetch_max_header_bytes, 25000000);
    ck_assert_uint_eq(conf->fetch_connections, 4);
    ck_assert_uint_eq(conf->prune_threads, (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    ck_assert_uint_eq(conf->prune_memory, 96 << 20);
    ck_assert_str_eq(conf->prune_kernel, "auto");
    ck_assert_uint_eq(conf->jobs_max_queued, 100000);
    ck_assert_uint_eq(conf->jobs_max_running, 2);
    ck_assert_uint_eq(conf->jobs_keep_days, 30);
    ck_assert_uint_eq(conf->jobs_drain_seconds, 25);
    ck_assert_uint_eq(conf->jobs_lease_seconds, 60);
    ck_assert_str_eq(conf->log_level, "info");
    ck_assert_str_eq(conf->log_format, "logfmt");
    kend_conf_free(&conf);
    ck_assert_ptr_null(conf);
    kend_conf_free(&conf);
}
END_TEST

static const char golden_input[] = "# a comment\n"
                                   "; another\n"
                                   "[http]\n"
                                   "listen = [::1]:0\n"
                                   "public_url=https://kend.example/api ; behind a proxy\n"
                                   "allowed_hosts = Kend.Example, other.example:8443,\n"
                                   "  third.example\n"
                                   "max_body_bytes = 64 KiB\n"
                                   "\n"
                                   "[fetch]\n"
                                   "allow_schemes = HTTPS , http,file\n"
                                   "allow_networks = 127.0.0.0/8, 10.1.2.3/32, fd00::/8, 0.0.0.0/0\n"
                                   "allow_ports = 443 , 8443,\n"
                                   "file_roots = /usr,/\n"
                                   "max_bytes = 2TB\n"
                                   "proxy = http://proxy.example:3128\n"
                                   "[prune]\n"
                                   "threads = 3\n"
                                   "memory = 134217728\n"
                                   "[store]\n"
                                   "url = sqlite:@DATA/other.db\n"
                                   "[log]\n"
                                   "level = debug\n"
                                   "format = json\n";

START_TEST(the_effective_configuration_is_golden)
{
    struct kend_conf *conf = load_good(golden_input);
    char *text = printed(kend_conf_print, conf);
    expect_file("tests/golden/kend.conf", text);
    kend_conf_free(&conf);

    /* As a file it gives the same again. */
    conf = load_good(text);
    char *again = printed(kend_conf_print, conf);
    ck_assert_str_eq(again, text);
    free(again);
    free(text);
    kend_conf_free(&conf);
}
END_TEST

START_TEST(a_long_list_goes_on_in_further_lines)
{
    char text[8192] = "[fetch]\nallow_networks =\n";
    for (int i = 0; i < 100; i++) sprintf(text + strlen(text), "    10.0.%d.0/24,\n", i);
    struct kend_conf *conf = load_good(text);
    ck_assert_uint_gt(strlen(conf->fetch_allow_networks), 1000);
    char *once = printed(kend_conf_print, conf);
    kend_conf_free(&conf);
    conf = load_good(once);
    char *twice = printed(kend_conf_print, conf);
    ck_assert_str_eq(once, twice);
    free(once);
    free(twice);
    kend_conf_free(&conf);
}
END_TEST

START_TEST(the_sample_and_the_page_are_current)
{
    char *sample = printed(print_sample, NULL), *page = printed(print_page, NULL);
    expect_file("conf/kend.conf", sample);
    expect_file("docs/configuration.md", page);
    struct kend_conf *by_sample = load_good(sample), *by_default = load_good(NULL);
    char *one = printed(kend_conf_print, by_sample), *other = printed(kend_conf_print, by_default);
    ck_assert_str_eq(one, other);
    free(one);
    free(other);
    free(sample);
    free(page);
    kend_conf_free(&by_sample);
    kend_conf_free(&by_default);
}
END_TEST

START_TEST(later_sources_win)
{
    struct kend_conf *conf;
    char *const set[] = {"jobs.max_running=7", "jobs.keep_days=1", "jobs.keep_days=2"};
    setenv("KEND_JOBS_MAX_RUNNING", "6", 1);
    setenv("KEND_JOBS_MAX_QUEUED", "6", 1);
    setenv("KEND_HTTP_THREADS", "9", 1);
    ck_assert_ptr_null(load(&conf, "[jobs]\nmax_running = 5\nmax_queued = 5\ndrain_seconds = 5\n", set, 3));
    ck_assert_uint_eq(conf->jobs_max_running, 7);
    ck_assert_uint_eq(conf->jobs_max_queued, 6);
    ck_assert_uint_eq(conf->jobs_drain_seconds, 5);
    ck_assert_uint_eq(conf->jobs_keep_days, 2);
    ck_assert_uint_eq(conf->http_threads, 9);
    kend_conf_free(&conf);

    const struct kend_conf_flags flags = {
        .data = "/data", .listen = "[::1]:1", .set = (char *const[]){"http.listen=127.0.0.1:2"}, .set_count = 1};
    ck_assert_int_eq(kend_conf_load(&conf, &flags, NULL), 0);
    ck_assert_str_eq(conf->http_listen, "[::1]:1");
    kend_conf_free(&conf);
}
END_TEST

START_TEST(the_data_folder_is_absolute)
{
    struct kend_conf *conf;
    char here[4096], wanted[sizeof here + 32];
    struct kend_conf_flags flags = {.data = NULL};
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(wanted, sizeof wanted, "%s/kend-data", here);
    unsetenv("KEND_DATA");
    ck_assert_int_eq(kend_conf_load(&conf, &flags, NULL), 0);
    ck_assert_str_eq(conf->data, wanted);
    kend_conf_free(&conf);

    setenv("KEND_DATA", "./some/where/", 1);
    snprintf(wanted, sizeof wanted, "file:%s/some/where/artifacts", here);
    ck_assert_int_eq(kend_conf_load(&conf, &flags, NULL), 0);
    ck_assert_str_eq(conf->artifacts_url, wanted);
    kend_conf_free(&conf);

    flags.data = "/flag//";
    ck_assert_int_eq(kend_conf_load(&conf, &flags, NULL), 0);
    ck_assert_str_eq(conf->data, "/flag");
    kend_conf_free(&conf);

    struct ken_error error = {0};
    unsetenv("KEND_DATA");
    flags.data = "./";
    ck_assert_int_eq(kend_conf_load(&conf, &flags, &error), KEN_EINVALID);
    ck_assert_ptr_null(conf);
}
END_TEST

START_TEST(other_variables_are_none_of_its_business)
{
    struct kend_conf *conf;
    setenv("KEND_HTTPS", "x", 1);
    setenv("KENDHTTP_LISTEN", "x", 1);
    setenv("KEND_NOTHING_LISTEN", "x", 1);
    ck_assert_ptr_null(load(&conf, NULL, NULL, 0));
    kend_conf_free(&conf);
    setenv("KEND_HTTP_LISTN", "127.0.0.1:1", 1);
    ck_assert_str_eq(load(&conf, NULL, NULL, 0), "environment: unknown option \"KEND_HTTP_LISTN\"; did you mean \"KEND_HTTP_LISTEN\"?");
    unsetenv("KEND_HTTP_LISTN");
    setenv("KEND_HTTP_LISTEN", "nowhere", 1);
    ck_assert_str_eq(load(&conf, NULL, NULL, 0),
                     "KEND_HTTP_LISTEN: http.listen = \"nowhere\": must be ADDRESS:PORT with an IPv4 address, an IPv6 "
                     "address in brackets or localhost");
    unsetenv("KEND_HTTP_LISTEN");
    unsetenv("KEND_HTTPS");
}
END_TEST

START_TEST(good_values_are_taken)
{
    static char *const good[] = {"http.listen=127.9.9.9:0",
                                 "http.listen=localhost:80",
                                 "http.listen=[::1]:65535",
                                 "http.public_url=",
                                 "http.public_url=http://a/b/",
                                 "http.max_body_bytes=64MiB",
                                 "http.allowed_hosts=",
                                 "http.allowed_hosts=[::1]:80,a",
                                 "fetch.allow_schemes=file",
                                 "fetch.allow_networks=::/0",
                                 "fetch.allow_networks=::ffff:10.0.0.0/104",
                                 "fetch.max_header_bytes=1GB",
                                 "fetch.retries=0",
                                 "fetch.ca_file=/x",
                                 "fetch.proxy=",
                                 "fetch.file_roots=/",
                                 "prune.threads=@CPUS",
                                 "prune.memory=8MiB",
                                 "prune.kernel=scalar",
                                 "auth.allow_anonymous=true",
                                 "artifacts.max_bytes=16777215TiB",
                                 "jobs.keep_days=0",
                                 "log.level= warn ",
                                 "http.tls_cert=",
                                 "auth.tokens_file=/tokens",
                                 "auth.public=",
                                 "auth.public=metrics, PROBES"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct kend_conf *conf;
        const char *message = load(&conf, NULL, &good[i], 1);
        ck_assert_msg(!message, "%s: %s", good[i], message);
        kend_conf_free(&conf);
    }
}
END_TEST

/* ---- bad */

#define PORTS "must be port numbers from 1 to 65535, comma-separated"
#define NETWORKS "must be networks as ADDRESS/LENGTH, comma-separated, without bits behind the length"
#define SIZES "must be a number of bytes, with an optional KiB, MiB, GiB, TiB, kB, MB, GB or TB"
#define LISTEN "must be ADDRESS:PORT with an IPv4 address, an IPv6 address in brackets or localhost"
#define AREAS "must be any of probes, metrics, version, openapi, comma-separated"

START_TEST(bad_values_name_what_is_allowed)
{
    static const struct {
        char *assignment;
        const char *wanted; /* behind "OPTION = "VALUE": " */
    } bad[] = {
        {"http.listen=", LISTEN},
        {"http.listen=8377", LISTEN},
        {"http.listen=127.0.0.1", LISTEN},
        {"http.listen=127.0.0.1:", LISTEN},
        {"http.listen=127.0.0.1:65536", LISTEN},
        {"http.listen=127.0.0.1:8a", LISTEN},
        {"http.listen=127.0.0.1:-1", LISTEN},
        {"http.listen=kend.example:80", LISTEN},
        {"http.listen=::1:80", LISTEN},
        {"http.listen=[localhost]:80", LISTEN},
        {"http.listen=[127.0.0.1]:80", LISTEN},
        {"http.public_url=kend.example", "must be empty, or an http: or https: URL without a query string"},
        {"http.public_url=ftp://kend.example", "must be empty, or an http: or https: URL without a query string"},
        {"http.public_url=https://kend.example/?x", "must be empty, or an http: or https: URL without a query string"},
        {"http.allowed_hosts=a b", "must be host names, with or without a port, comma-separated"},
        {"http.allowed_hosts=a/b", "must be host names, with or without a port, comma-separated"},
        {"http.allowed_hosts=*.example", "must be host names, with or without a port, comma-separated"},
        {"auth.public=page", AREAS},
        {"auth.public=probes metrics", AREAS},
        {"auth.session_seconds=0", "must be a whole number from 1 to 2592000"},
        {"http.max_connections=3", "must be a whole number from 4 to 65536"},
        {"http.max_connections=65537", "must be a whole number from 4 to 65536"},
        {"http.max_connections=", "must be a whole number from 4 to 65536"},
        {"http.max_connections=-4", "must be a whole number from 4 to 65536"},
        {"http.max_connections=+4", "must be a whole number from 4 to 65536"},
        {"http.max_connections=4.5", "must be a whole number from 4 to 65536"},
        {"http.max_connections=0x10", "must be a whole number from 4 to 65536"},
        {"http.max_connections=64KiB", "must be a whole number from 4 to 65536"},
        {"http.max_connections=99999999999999999999", "must be a whole number from 4 to 65536"},
        {"http.max_body_bytes=1023", SIZES " from 1KiB to 64MiB"},
        {"http.max_body_bytes=1 GiB", SIZES " from 1KiB to 64MiB"},
        {"cache.max_bytes=1mb", SIZES},
        {"cache.max_bytes=MiB", SIZES},
        {"cache.max_bytes=1 MiB x", SIZES},
        {"cache.max_bytes=16777216TiB", SIZES},
        {"cache.max_bytes=18446744073709551616", SIZES},
        {"prune.memory=8388607", SIZES ", at least 8MiB"},
        {"auth.allow_anonymous=yes", "must be true or false"},
        {"auth.allow_anonymous=", "must be true or false"},
        {"store.url=postgresql://h/d", "must be sqlite:PATH (other stores are not supported yet)"},
        {"store.url=sqlite:", "must be sqlite:PATH (other stores are not supported yet)"},
        {"artifacts.url=s3://bucket/", "must be file:PATH (other stores are not supported yet)"},
        {"cache.dir=", "must be a path"},
        {"fetch.allow_schemes=", "must be one or more of https, http, file, comma-separated"},
        {"fetch.allow_schemes=https,ftp", "must be one or more of https, http, file, comma-separated"},
        {"fetch.allow_networks=10.0.0.0", NETWORKS},
        {"fetch.allow_ports=443,0", PORTS},
        {"fetch.allow_ports=65536", PORTS},
        {"fetch.allow_ports=https", PORTS},
        {"fetch.allow_networks=10.0.0.0/33", NETWORKS},
        {"fetch.allow_networks=10.0.0.1/24", NETWORKS},
        {"fetch.allow_networks=10.0.0.0/", NETWORKS},
        {"fetch.allow_networks=10.0.0.0/8x", NETWORKS},
        {"fetch.allow_networks=10.0.0/8", NETWORKS},
        {"fetch.allow_networks=fd00::1/64", NETWORKS},
        {"fetch.allow_networks=fd00::/129", NETWORKS},
        {"fetch.allow_networks=localhost/8", NETWORKS},
        {"fetch.allow_networks=127.0.0.0/8,bad/8", NETWORKS},
        {"fetch.file_roots=models", "must be absolute paths, comma-separated"},
        {"fetch.proxy=proxy:3128", "must be empty, or http://HOST:PORT without a user name"},
        {"fetch.proxy=http://u:p@proxy:3128", "must be empty, or http://HOST:PORT without a user name"},
        {"fetch.proxy=http://proxy", "must be empty, or http://HOST:PORT without a user name"},
        {"prune.kernel=sse", "must be auto, scalar, avx2, avx512 or neon"},
        {"prune.threads=0", "must be a whole number from 1 to 1000"},
        {"log.level=trace", "must be error, warn, info or debug"},
        {"log.format=text", "must be logfmt or json"},
        {"fetch.ca_file=a ;b", "must not hold control characters or \" ;\", which begins a comment"},
        {"fetch.ca_file=;b", "must not hold control characters or \" ;\", which begins a comment"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_conf *conf;
        char wanted[512];
        const char *equals = strchr(bad[i].assignment, '=');
        const char *message = load(&conf, NULL, &bad[i].assignment, 1);
        snprintf(wanted, sizeof wanted, "--set: %.*s = \"%s\": %s", (int)(equals - bad[i].assignment), bad[i].assignment, equals + 1,
                 bad[i].wanted);
        ck_assert_msg(message && strcmp(message, wanted) == 0, "%s\nwanted: %s\n   got: %s", bad[i].assignment, wanted,
                      message ? message : "accepted");
    }
}
END_TEST

START_TEST(bad_assignments_are_refused)
{
    static const struct {
        char *assignment;
        const char *wanted;
    } bad[] = {
        {"", "--set : expected section.key=value"},
        {"http.listen", "--set http.listen: expected section.key=value"},
        {"=x", "--set: unknown option \"\""},
        {"listen=x", "--set: unknown option \"listen\""},
        {"http.listn=x", "--set: unknown option \"http.listn\"; did you mean \"http.listen\"?"},
        {"http.listen\n=x", "--set: unknown option \"http.listen\\x0a\"; did you mean \"http.listen\"?"},
        {"fetch.connection=1", "--set: unknown option \"fetch.connection\"; did you mean \"fetch.connections\"?"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_conf *conf;
        const char *message = load(&conf, NULL, &bad[i].assignment, 1);
        ck_assert_msg(message && strcmp(message, bad[i].wanted) == 0, "%s\nwanted: %s\n   got: %s", bad[i].assignment, bad[i].wanted,
                      message ? message : "accepted");
    }
}
END_TEST

START_TEST(bad_files_name_the_line)
{
    static const struct {
        const char *text, *wanted; /* behind the file's name */
    } bad[] = {
        {"[http]\n\nthreads = 0\n", ":3: http.threads = \"0\": must be a whole number from 1 to 64"},
        {"[http]\nthreads = 1\nthreads = 2\n", ":3: http.threads is given twice"},
        {"[http]\nthreads = 1\n  2\n", ":3: http.threads is given twice"},
        {"[http]\nthreads = 1\n[log]\n[http]\nthreads = 1\n", ":5: http.threads is given twice"},
        {"[http]\nthread = 1\n", ":2: unknown option \"http.thread\"; did you mean \"http.threads\"?"},
        {"\n[htp]\nthreads = 1\n", ":3: unknown section \"htp\"; did you mean \"http\"?"},
        {"[zzzzzz]\nthreads = 1\n", ":2: unknown section \"zzzzzz\""},
        {"threads = 1\n", ":1: a key stands before the first [section]"},
        {"[http]\nthreads\n", ":2: expected [section] or key = value"},
        {"# x\n[http\nthreads = 1\n", ":2: expected [section] or key = value"},
        {"[http]\nthreads\nthreads = 0\n", ":2: expected [section] or key = value"},
        {"[http]\nthreads = 0\nthreads\n", ":2: http.threads = \"0\": must be a whole number from 1 to 64"},
        {"[fetch]\nallow_networks = 127.0.0.0/8,\n   10.0.0.0\n", ":3: fetch.allow_networks = \"127.0.0.0/8,10.0.0.0\": " NETWORKS},
        {"[auth]\npublic = probes,\n  all\n", ":3: auth.public = \"probes,all\": " AREAS},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_conf *conf;
        char wanted[512];
        snprintf(wanted, sizeof wanted, "%s%s", file_name, bad[i].wanted);
        const char *message = load(&conf, bad[i].text, NULL, 0);
        ck_assert_msg(message && strcmp(message, wanted) == 0, "%s\nwanted: %s\n   got: %s", bad[i].text, wanted,
                      message ? message : "accepted");
    }
}
END_TEST

START_TEST(odd_files_are_refused)
{
    struct kend_conf *conf;
    struct ken_error error = {0};
    struct kend_conf_flags flags = {.config_file = file_name, .data = "/data"};
    char text[1024] = "[cache]\n# short\ndir = /", wanted[512];
    size_t begin = strlen("[cache]\n# short\n");
    memset(text + strlen(text), 'x', 198 - strlen(text) + begin);
    struct kend_conf *longest = load_good(text);
    ck_assert_uint_eq(strlen(longest->cache_dir), 198 - strlen("dir = "));
    kend_conf_free(&longest);
    text[strlen(text)] = 'x';
    snprintf(wanted, sizeof wanted, "%s:3: the line is too long (at most 198 bytes); a list may go on in indented lines", file_name);
    ck_assert_str_eq(load(&conf, text, NULL, 0), wanted);

    write_file("[http]\nthreads = 1\0\n", 20);
    snprintf(wanted, sizeof wanted, "%s:2: the file holds a NUL byte", file_name);
    ck_assert_int_eq(kend_conf_load(&conf, &flags, &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, wanted);

    unlink(file_name);
    snprintf(wanted, sizeof wanted, "%s: No such file or directory", file_name);
    ck_assert_int_eq(kend_conf_load(&conf, &flags, &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, wanted);

    flags.config_file = folder;
    snprintf(wanted, sizeof wanted, "%s: cannot be read", folder);
    ck_assert_int_eq(kend_conf_load(&conf, &flags, &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, wanted);
}
END_TEST

int main(void)
{
    make_folder();
    const TTest *const tests[] = {areas_are_public_as_listed,
                                  defaults_are_the_contracts,
                                  the_effective_configuration_is_golden,
                                  a_long_list_goes_on_in_further_lines,
                                  the_sample_and_the_page_are_current,
                                  later_sources_win,
                                  the_data_folder_is_absolute,
                                  other_variables_are_none_of_its_business,
                                  good_values_are_taken,

                                  bad_values_name_what_is_allowed,
                                  bad_assignments_are_refused,
                                  bad_files_name_the_line,
                                  odd_files_are_refused};
    int status = unit_main("conf", tests, sizeof tests / sizeof *tests);
    remove_folder();
    return status;
}
