/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "conf_value.h"

#include <inttypes.h>
#include <string.h>

enum { LINE_ITEMS_WIDTH = 100 };

/* Whether the option is the first of its section. */
static bool begins_section(size_t index)
{
    return !index || strcmp(kend_conf_options[index].section, kend_conf_options[index - 1].section) != 0;
}

/* A list over several lines where one would be too long for the reader. */
static void print_list(const char *list, FILE *out)
{
    size_t width = 0;
    for (const char *item = list; *item;) {
        size_t length = strcspn(item, ",");
        if (width && width + length > LINE_ITEMS_WIDTH) {
            fputs("\n    ", out);
            width = 0;
        }
        bool last = !item[length];
        fprintf(out, "%.*s%s", (int)length, item, last ? "" : ",");
        width += length + 1;
        item += length + !last;
    }
}

void kend_conf_print(const struct kend_conf *conf, FILE *out)
{
    fprintf(out, "# data folder: %s\n", conf->data);
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        const struct kend_conf_option *option = &kend_conf_options[i];
        char buffer[KEND_CONF_SIZE_TEXT];
        const char *text = kend_conf_get(conf, option, buffer);
        if (begins_section(i)) fprintf(out, "\n[%s]\n", option->section);
        fprintf(out, "%s =%s", option->key, *text ? " " : "");
        if (kend_conf_is_list(option->kind))
            print_list(text, out);
        else
            fputs(text, out);
        fputc('\n', out);
    }
}

void kend_conf_print_sample(FILE *out)
{
    fputs("# Every option of kend with its default. Check a changed copy with: kend --config FILE --check-config\n"
          "#\n"
          "# Precedence: these defaults, then the file, then environment variables (KEND_HTTP_LISTEN for http.listen), then flags\n"
          "# (--set http.listen=ADDRESS:PORT). @DATA stands for the data folder (--data, KEND_DATA), @CPUS for the number of processors.\n"
          "# A comment begins with # or ; at the start of a line, or with ; behind a space. A list may go on in indented lines.\n",
          out);
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        const struct kend_conf_option *option = &kend_conf_options[i];
        char allowed[KEND_CONF_REASON];
        kend_conf_allowed(option, allowed);
        if (begins_section(i)) fprintf(out, "\n[%s]\n", option->section);
        fprintf(out, "\n# %s\n# It %s.\n", option->sentence, allowed);
        fprintf(out, "%s =%s%s\n", option->key, *option->preset ? " " : "", option->preset);
    }
}

void kend_conf_print_page(FILE *out)
{
    fputs("# Configuration\n\n"
          "Options come from defaults, then the file (`--config FILE`), then the environment, then flags; the later wins. `kend "
          "--check-config`\n"
          "prints what results, as a file that gives the same again. Unknown options and bad values end kend with exit status 2 and a "
          "message\n"
          "that names the place and what is allowed.\n\n"
          "| option | in the file | in the environment | as a flag |\n"
          "|---|---|---|---|\n"
          "| `http.listen` | `listen = 127.0.0.1:8377` below `[http]` | `KEND_HTTP_LISTEN` | `--set http.listen=127.0.0.1:8377` |\n\n"
          "`@DATA` is the data folder: `--data DIR`, else `KEND_DATA`, else `kend-data` in the current folder. `@CPUS` is the number of\n"
          "processors. Sizes are bytes, or carry `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`, `TB` (powers of 1000).\n"
          "A list may go on in indented lines of the file. `conf/kend.conf` holds every option with its default.\n",
          out);
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        const struct kend_conf_option *option = &kend_conf_options[i];
        char allowed[KEND_CONF_REASON];
        kend_conf_allowed(option, allowed);
        if (begins_section(i)) fprintf(out, "\n## %s\n\n| option | default | meaning |\n|---|---|---|\n", option->section);
        if (*option->preset)
            fprintf(out, "| `%s` | `%s` ", option->name, option->preset);
        else
            fprintf(out, "| `%s` | (empty) ", option->name);
        fprintf(out, "| %s It %s. |\n", option->sentence, allowed);
    }
}
