/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of a kend, in the file that it reads, on the machine where that file is. */
#include "token_file.h"

#include "id.h"
#include "kenctl.h"
#include "print.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DAYS = 36500 };

static json_t *token_json(const struct proto_token *token)
{
    char names[PROTO_SCOPES_SIZE], *rest = names, *name, expiry[PROTO_TIME_SIZE];
    json_t *scopes = json_array();
    proto_scopes_format(names, token->scopes);
    while (scopes && (name = strsep(&rest, ","))) json_array_append_new(scopes, json_string(name));
    proto_time_format(expiry, token->expires_at);
    return json_pack("{s:s, s:s, s:o, s:s?}", "id", token->id, "owner", token->owner, "scopes", scopes, "expires_at",
                     token->expires_at ? expiry : NULL);
}

/* ---- create */

static int read_days(const struct kenctl *kenctl, int64_t *expires_at)
{
    const char *text = kenctl_option(kenctl, KENCTL_OPT_EXPIRES);
    *expires_at = 0;
    if (!text) return KENCTL_SUCCESS;
    char *end;
    unsigned long days = strtoul(text, &end, 10);
    if (strspn(text, "0123456789") == 0 || *end || !days || days > MOST_DAYS)
        return kenctl_usage(kenctl, "--expires is a number of days, 1 to %d, not '%s'", MOST_DAYS, text);
    const int64_t second = 1000, day = 86400 * second;
    *expires_at = (proto_now_ms() / second) * second + (int64_t)days * day;
    return KENCTL_SUCCESS;
}

/* What the options say of the token. */
static int read_wishes(const struct kenctl *kenctl, struct proto_token *token)
{
    const char *owner = kenctl_option(kenctl, KENCTL_OPT_OWNER), *scope = kenctl_option(kenctl, KENCTL_OPT_SCOPE);
    if (!owner || !scope) return kenctl_usage(kenctl, "'token create' needs --owner and --scope");
    if (!proto_owner_is(owner))
        return kenctl_usage(kenctl, "an owner is 1 to %d letters, digits and . _ @ + -, not '%s'", PROTO_OWNER_MAX, owner);
    if (!proto_scopes_parse(scope, &token->scopes))
        return kenctl_usage(kenctl, "--scope is of read, submit, admin, separated by commas, not '%s'", scope);
    strcpy(token->owner, owner);
    return read_days(kenctl, &token->expires_at);
}

/* The token to standard output, and nothing else there: its one appearance. Its line is for where there is no file. */
static int print_created(const struct kenctl *kenctl, const struct proto_token *token, const char *text, char *line, const char *file)
{
    if (kenctl->json) {
        json_t *answer = token_json(token);
        line[strcspn(line, "\n")] = '\0';
        if (answer) json_object_set_new(answer, "token", json_string(text));
        if (answer && !file) json_object_set_new(answer, "line", json_string(line));
        int status = kenctl_print_json(answer);
        json_decref(answer);
        return status;
    }
    puts(text);
    if (!file)
        fprintf(stderr, "Add this line to the server's tokens file, and send the server a SIGHUP:\n%s", line);
    else if (!kenctl->quiet)
        fprintf(stderr, "This is shown once. A kend that runs takes it over at SIGHUP; `kenctl token revoke %s --file %s` ends it.\n",
                token->id, file);
    return KENCTL_SUCCESS;
}

static int create(struct kenctl *kenctl)
{
    const char *file = kenctl_option(kenctl, KENCTL_OPT_TOKENS);
    struct proto_token token = {.scopes = 0};
    struct ken_error error = {0};
    char text[PROTO_TOKEN_SIZE], line[PROTO_TOKEN_LINE];
    int status = read_wishes(kenctl, &token);
    if (status != KENCTL_SUCCESS) return status;
    int code = proto_token_make(&token, text, &error);
    if (!code) code = proto_token_format(line, &token, &error);
    if (!code && file) code = proto_token_file_add(file, &token, &error);
    status = code ? kenctl_fail(KENCTL_FAILURE, "%s", error.message) : print_created(kenctl, &token, text, line, file);
    explicit_bzero(text, sizeof text);
    return status;
}

/* ---- list */

static int print_table(const struct proto_token_list *list)
{
    static const char *const heads[] = {"ID", "OWNER", "SCOPES", "EXPIRES", "STATE"};
    struct kenctl_table *table = kenctl_table_create("lllll", heads);
    const int64_t now = proto_now_ms();
    for (size_t i = 0; i < list->count; i++) {
        const struct proto_token *token = &list->item[i];
        char scopes[PROTO_SCOPES_SIZE], expiry[PROTO_TIME_SIZE];
        proto_time_format(expiry, token->expires_at);
        kenctl_table_add(table, token->id);
        kenctl_table_add(table, token->owner);
        kenctl_table_add(table, proto_scopes_format(scopes, token->scopes));
        kenctl_table_add(table, token->expires_at ? expiry : "never");
        kenctl_table_add(table, proto_token_is_over(token, now) ? "over" : "good");
    }
    return kenctl_table_finish(&table);
}

static int print_list(const struct proto_token_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < list->count; i++) {
        if (json_array_append_new(array, token_json(&list->item[i])) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    int status = kenctl_print_json(array);
    json_decref(array);
    return status;
}

static int list(struct kenctl *kenctl)
{
    struct proto_token_list tokens;
    struct ken_error error = {0};
    if (proto_token_list_read(&tokens, kenctl_option(kenctl, KENCTL_OPT_TOKENS), &error))
        return kenctl_fail(KENCTL_FAILURE, "%s", error.message);
    int status = kenctl->json ? print_list(&tokens) : print_table(&tokens);
    proto_token_list_clear(&tokens);
    return status;
}

/* ---- revoke */

/* Whose the token is, and how many others of that owner are good; false if that cannot be told. */
static bool find_owner(const char *file, const char *id, char owner[PROTO_OWNER_MAX + 1], unsigned *others)
{
    struct proto_token_list tokens;
    struct ken_error ignored = {0};
    const int64_t now = proto_now_ms();
    bool found = false;
    *others = 0;
    if (proto_token_list_read(&tokens, file, &ignored)) return false;
    for (size_t i = 0; !found && i < tokens.count; i++)
        if ((found = strcmp(tokens.item[i].id, id) == 0)) strcpy(owner, tokens.item[i].owner);
    for (size_t i = 0; found && i < tokens.count; i++)
        *others +=
            strcmp(tokens.item[i].id, id) != 0 && strcmp(tokens.item[i].owner, owner) == 0 && !proto_token_is_over(&tokens.item[i], now);
    proto_token_list_clear(&tokens);
    return found;
}

/* A token is how to come in: what it has started goes on. */
static void advise_on_jobs(const char *owner, unsigned others)
{
    fprintf(stderr,
            "A kend that runs forgets it at SIGHUP. The jobs of %s go on: `kenctl cancel --owner %s` ends them with an admin's token,\n"
            "and `kenctl delete --owner %s` removes them with their artifacts.\n",
            owner, owner, owner);
    if (others)
        fprintf(stderr, "%s has %u other token%s that %s good.\n", owner, others, kenctl_plural(others), others == 1 ? "is" : "are");
}

static int revoke(struct kenctl *kenctl)
{
    const char *id = kenctl->arguments.operands[1], *file = kenctl_option(kenctl, KENCTL_OPT_TOKENS);
    struct ken_error error = {0};
    char owner[PROTO_OWNER_MAX + 1] = "";
    unsigned others;
    const bool known = find_owner(file, id, owner, &others);
    if (proto_token_file_remove(file, id, &error)) return kenctl_fail(KENCTL_FAILURE, "%s", error.message);
    if (kenctl->json) {
        json_t *answer = json_pack("{s:s, s:b}", "id", id, "revoked", 1);
        int status = kenctl_print_json(answer);
        json_decref(answer);
        return status;
    }
    puts("revoked");
    if (!kenctl->quiet && known) advise_on_jobs(owner, others);
    return KENCTL_SUCCESS;
}

static int run(struct kenctl *kenctl)
{
    static const struct {
        const char *name;
        size_t operands;
        bool needs_file;
        int (*run)(struct kenctl *kenctl);
    } actions[] = {{"create", 1, false, create}, {"list", 1, true, list}, {"revoke", 2, true, revoke}};
    const char *word = kenctl->arguments.operands[0];
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, word) != 0) continue;
        if (kenctl->arguments.operand_count != actions[i].operands)
            return kenctl_usage(kenctl, actions[i].operands == 1 ? "'token %s' takes no argument" : "'token %s' needs the token's ID",
                                word);
        if (actions[i].needs_file && !kenctl_option(kenctl, KENCTL_OPT_TOKENS))
            return kenctl_usage(kenctl, "'token %s' needs --file FILE, the tokens file", word);
        return actions[i].run(kenctl);
    }
    return kenctl_usage(kenctl, "'token' is followed by create, list or revoke, not '%s'", word);
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_TOKENS, KENCTL_OPT_OWNER, KENCTL_OPT_SCOPE, KENCTL_OPT_EXPIRES};

const struct kenctl_command kenctl_command_token = {
    .name = "token",
    .summary = "Make, list or revoke the tokens that a server accepts",
    .operands = "create|list|revoke [ID]",
    .text =
        "Works on the tokens file (auth.tokens_file), on the server's machine. `create` prints the token on standard output, this once;\n"
        "the file keeps a salted hash of it. Without --file the line for the file is printed too, on standard error. A kend that runs\n"
        "reads its file again at SIGHUP. Jobs of a token that is revoked go on until they are cancelled (`kenctl cancel --owner`).\n"
        "\n"
        "Scopes: read sees the jobs of the token's owner, submit makes, cancels and deletes them too, admin does so with everybody's.\n"
        "\nExamples:\n"
        "  kenctl token create --file /var/lib/kend/tokens --owner nlp --scope submit --expires 90 > nlp.token\n"
        "  kenctl token list --file /var/lib/kend/tokens\n"
        "  kenctl token revoke 0f1e2d3c4b5a6978 --file /var/lib/kend/tokens\n",
    .options = options,
    .option_count = sizeof options,
    .least = 1,
    .most = 2,
    .local = true,
    .run = run,
};
