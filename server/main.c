/* SPDX-License-Identifier: Apache-2.0 */
#include "allocator.h"
#include "conf.h"
#include "daemon.h"
#include "folder.h"
#include "json_load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, MAX_SET = 256 };

static const char help[] = "Usage: kend [OPTION]...\n"
                           "Serves the pruning of language models over HTTP.\n"
                           "\n"
                           "  --config FILE             read options from FILE\n"
                           "  --data DIR                keep jobs, cache and artifacts in DIR (KEND_DATA, else ./kend-data)\n"
                           "  --listen ADDR:PORT        listen there (http.listen); port 0 takes a free one\n"
                           "  --set SECTION.KEY=VALUE   set one option; may be given often\n"
                           "  --check-config            print the effective configuration and exit\n"
                           "  --check-installation      print it, tell what is wrong with it or the job store, and exit\n"
                           "  --version                 print the version and exit\n"
                           "  --help                    print this and exit\n"
                           "\n"
                           "Options come from defaults, then the file, then the environment (KEND_SECTION_KEY), then flags.\n"
                           "\n"
                           "Examples:\n"
                           "  kend\n"
                           "  kend --data /var/lib/kend --config /etc/kend/kend.conf\n"
                           "  kend --listen 127.0.0.1:0 --set prune.threads=2 --set fetch.allow_networks=10.0.0.0/8\n"
                           "  kend --config kend.conf --check-config\n"
                           "\n"
                           "SIGHUP has it read its tokens and certificates anew.\n"
                           "Ends with 0 after SIGTERM, 1 if it cannot run, 2 for a bad option.\n";

enum flag { FLAG_CONFIG = 256, FLAG_DATA, FLAG_LISTEN, FLAG_SET, FLAG_CHECK, FLAG_CHECK_ALL, FLAG_VERSION, FLAG_HELP };

static const struct option options[] = {
    {"config", required_argument, NULL, FLAG_CONFIG},
    {"data", required_argument, NULL, FLAG_DATA},
    {"listen", required_argument, NULL, FLAG_LISTEN},
    {"set", required_argument, NULL, FLAG_SET},
    {"check-config", no_argument, NULL, FLAG_CHECK},
    {"check-installation", no_argument, NULL, FLAG_CHECK_ALL},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

static int usage(const char *message)
{
    if (message) fprintf(stderr, "kend: %s\n", message);
    fprintf(stderr, "Try 'kend --help'.\n");
    return EXIT_USAGE;
}

static void tell(const char *fault)
{
    fprintf(stderr, "kend: %s\n", fault);
}

/* The configuration goes out whatever is wrong with it: kenctl doctor looks at the rest. */
static int check_installation(const struct kend_conf *conf)
{
    bool good = kend_daemon_check(conf, tell);
    good &= kend_daemon_check_store(conf, tell);
    kend_conf_print(conf, stdout);
    return good ? EXIT_SUCCESS : EXIT_USAGE;
}

static int run(const struct kend_conf_flags *flags, enum flag check)
{
    struct kend_conf *conf;
    struct ken_error error = {0};
    if (kend_conf_load(&conf, flags, &error)) {
        tell(error.message);
        return error.code == KEN_EINVALID ? EXIT_USAGE : EXIT_FAILURE;
    }
    int status = EXIT_SUCCESS;
    if (check == FLAG_CHECK_ALL) {
        status = check_installation(conf);
    } else if (!kend_daemon_check(conf, tell)) {
        status = EXIT_USAGE;
    } else if (check) {
        kend_conf_print(conf, stdout);
    } else {
        status = kend_daemon_run(conf);
    }
    kend_conf_free(&conf);
    return status;
}

int main(int argc, char **argv)
{
    char *set[MAX_SET];
    struct kend_conf_flags flags = {.set = set};
    enum flag check = 0;
    ken_allocator_keep_freed();
    proto_json_watch_memory();
    const int failure = ken_standard_files();
    if (failure) {
        fprintf(stderr, "kend: opening /dev/null: %s\n", strerrordesc_np(failure));
        return EXIT_FAILURE;
    }
    static char name[] = "kend";
    argv[0] = name; /* what getopt_long calls it in its messages */
    for (int flag; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (flag) {
        case FLAG_CONFIG: flags.config_file = optarg; break;
        case FLAG_DATA: flags.data = optarg; break;
        case FLAG_LISTEN: flags.listen = optarg; break;
        case FLAG_SET:
            if (flags.set_count == MAX_SET) return usage("too many --set");
            set[flags.set_count++] = optarg;
            break;
        case FLAG_CHECK:
        case FLAG_CHECK_ALL: check = flag; break;
        case FLAG_VERSION: return puts("kend " PACKAGE_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        case FLAG_HELP: return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        default: /* getopt_long has said what is wrong */ return usage(NULL);
        }
    }
    return optind < argc ? usage("it takes options only") : run(&flags, check);
}
