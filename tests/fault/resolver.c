/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolver that changes its answers. Loaded before a program (LD_PRELOAD), it answers names from the file that RESOLVER_ANSWERS names,
 * all others as ever. A line of the file is
 *
 *     NAME ANSWER...      rebind.test 127.0.0.2 127.0.0.1,::1
 *
 * The n-th time that NAME is looked up it has the addresses of the n-th ANSWER; the last one stays. Every answer is appended to
 * RESOLVER_ANSWERS.log.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolve(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result);

enum { MAX_NAMES = 64, LINE_SIZE = 1024, NAME_SIZE = 256 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[NAME_SIZE];
    unsigned times;
} asked[MAX_NAMES];

/* How often the name was looked up before. */
static unsigned count(const char *name)
{
    for (size_t i = 0; i < MAX_NAMES; i++) {
        if (asked[i].times && strcmp(asked[i].name, name) != 0) continue;
        snprintf(asked[i].name, sizeof asked[i].name, "%s", name);
        return asked[i].times++;
    }
    abort();
}

static void take_down(const char *answers, const char *name, const char *answer)
{
    char path[LINE_SIZE];
    snprintf(path, sizeof path, "%s.log", answers);
    FILE *log = fopen(path, "ae");
    if (!log) abort();
    fprintf(log, "%s %s\n", name, answer);
    fclose(log);
}

/* The addresses that the name has this time; false: it is none of the file's. */
static bool look_up(const char *answers, const char *name, char answer[LINE_SIZE])
{
    char line[LINE_SIZE];
    bool found = false;
    FILE *file = fopen(answers, "re");
    if (!file) abort();
    while (!found && fgets(line, sizeof line, file)) {
        char *rest, *word = strtok_r(line, " \n", &rest);
        if (!word || strcmp(word, name) != 0) continue;
        found = true;
        unsigned left = count(name) + 1;
        while (left-- && (word = strtok_r(NULL, " \n", &rest))) strcpy(answer, word);
        take_down(answers, name, answer);
    }
    fclose(file);
    return found;
}

/* One list of all addresses in `answer`, in their order, but for those of a family that was not asked for. */
static int make_list(resolve *real, char *answer, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    struct addrinfo numeric = hints ? *hints : (struct addrinfo){0}, **end = result;
    char *rest;
    numeric.ai_flags = AI_NUMERICHOST;
    *result = NULL;
    for (char *one = strtok_r(answer, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (real(one, service, &numeric, end)) *end = NULL;
        while (*end) end = &(*end)->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    const char *answers = getenv("RESOLVER_ANSWERS");
    char answer[LINE_SIZE] = "";
    resolve *real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    pthread_mutex_lock(&mutex);
    bool ours = answers && name && look_up(answers, name, answer);
    pthread_mutex_unlock(&mutex);
    return ours ? make_list(real, answer, service, hints, result) : real(name, service, hints, result);
}
