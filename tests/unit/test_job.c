/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"
#include "job_faults.h"
#include "json.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define MB "'model': 'https://m.example/m.safetensors', 'base': 'https://b.example/b/'"
#define SHA "abababababababababababababababababababababababababababababababab"

static const struct proto_policy web = {.schemes = "https,file"};
static const struct proto_policy paths = {.schemes = "", .allow_paths = true};

/* ---- helpers */

/* Appends text, with MB and SHA spelled out and ' as ". */
static void append(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    while (*text) {
        const char *piece = strncmp(text, "MB", 2) == 0 ? MB : strncmp(text, "SHA", 3) == 0 ? SHA : NULL;
        size_t length = piece ? strlen(piece) : 1;
        ck_assert_uint_lt(used + length + 1, size);
        memcpy(out + used, piece ? piece : text, length);
        used += length;
        text += !piece ? 1 : *piece == 'a' ? 3 : 2;
    }
    out[used] = '\0';
    for (char *at = out; *at; at++)
        if (*at == '\'') *at = '"';
}

static json_t *document(const char *text)
{
    static char expanded[1 << 20];
    json_error_t error;
    *expanded = '\0';
    append(expanded, sizeof expanded, text);
    json_t *json = json_loads(expanded, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json, "%s: %s", text, error.text);
    return json;
}

static void list_faults(const struct proto_faults *faults, char *text, size_t size)
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < faults->count; i++) {
        const struct proto_fault *fault = &faults->fault[i];
        used += (size_t)snprintf(text + used, size - used, "%s%s%s: %s", i ? "\n" : "", fault->not_supported ? "? " : "", fault->pointer,
                                 fault->detail);
        ck_assert_uint_lt(used, size);
    }
}

/* The faults of a document as one text, which the next call overwrites; "" if it was accepted. */
static const char *faults_of(const char *text, const struct proto_policy *policy)
{
    static char listed[16384];
    struct proto_faults faults = {.count = 0};
    struct proto_job *job;
    json_t *json = document(text);
    int code = proto_job_parse(&job, json, policy, &faults);
    list_faults(&faults, listed, sizeof listed);
    ck_assert_int_eq(code, *listed ? -1 : 0);
    ck_assert_int_eq(!job, code != 0);
    proto_faults_clear(&faults);
    proto_job_free(&job);
    json_decref(json);
    return listed;
}

static struct proto_job *accept_by(const char *text, const struct proto_policy *policy)
{
    char listed[4096];
    struct proto_faults faults = {.count = 0};
    struct proto_job *job;
    json_t *json = document(text);
    proto_job_parse(&job, json, policy, &faults);
    list_faults(&faults, listed, sizeof listed);
    ck_assert_msg(job, "%s: %s", text, listed);
    json_decref(json);
    return job;
}

static struct proto_job *accept(const char *text)
{
    return accept_by(text, &web);
}

/* Dumped, for the caller to free. */
static char *canonical(const struct proto_job *job, bool redacted)
{
    json_t *json = proto_job_to_json(job, redacted);
    ck_assert_ptr_nonnull(json);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static void expect_canonical(const char *given, bool redacted, const char *wanted)
{
    char expanded[4096] = "";
    append(expanded, sizeof expanded, wanted);
    struct proto_job *job = accept(given);
    char *text = canonical(job, redacted);
    ck_assert_str_eq(text, expanded);
    free(text);
    proto_job_free(&job);
}

/* A document with `count` items, each made from the same format with its index. */
static char *many(const char *before, size_t count, const char *format, const char *after)
{
    static char text[1 << 20];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", before);
    for (size_t i = 0; i < count; i++) {
        if (i) text[used++] = ',';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        used += (size_t)snprintf(text + used, sizeof text - used, format, i, i);
#pragma GCC diagnostic pop
    }
    snprintf(text + used, sizeof text - used, "%s", after);
    return text;
}

/* before, `count` times the text, after. */
static char *repeat(const char *before, size_t count, const char *item, const char *after)
{
    static char text[1 << 16];
    char *to = stpcpy(text, before);
    for (size_t i = 0; i < count; i++) to = stpcpy(to, item);
    strcpy(to, after);
    return text;
}

/* ---- refused */

START_TEST(every_fault_has_its_pointer)
{
    for (size_t i = 0; i < sizeof job_faults / sizeof *job_faults; i++) {
        const char *faults = faults_of(job_faults[i].document, &web);
        ck_assert_msg(strcmp(faults, job_faults[i].faults) == 0, "%s\nwanted: %s\n   got: %s", job_faults[i].document, job_faults[i].faults,
                      faults);
    }
    ck_assert_uint_ge(sizeof job_faults / sizeof *job_faults, 110);
}
END_TEST

START_TEST(limits_are_exact)
{
    const char *ok = "";
    ck_assert_str_eq(faults_of(many("{MB,'variants':[", 16, "{'name':'v%zu','k':1%zu}", "]}"), &web), ok);
    ck_assert_str_eq(faults_of(many("{MB,'variants':[", 17, "{'name':'v%zu','k':1%zu}", "]}"), &web), "/variants: must have 1 to 16 items");
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'rules':[", 256, "{'match':'%zu','action':'keep'}", "]}"), &web), ok);
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'rules':[", 257, "{'match':'%zu','action':'keep'}", "]}"), &web),
                     "/rules: must have at most 256 items");
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'metadata':{", 16, "'k%zu':''", "}}"), &web), ok);
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'metadata':{", 17, "'k%zu':''", "}}"), &web), "/metadata: must have at most 16 keys");

    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'rules':[{'action':'keep','match':'", 256, "*", "'}]}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'rules':[{'action':'keep','match':'", 257, "*", "'}]}"), &web),
                     "/rules/0/match: must have 1 to 256 bytes");
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'names':[", 256, "{'match':'%zu','base':'b'}", "]}"), &web), ok);
    ck_assert_str_eq(faults_of(many("{MB,'k':1,'names':[", 257, "{'match':'%zu','base':'b'}", "]}"), &web),
                     "/names: must have at most 256 items");
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'names':[{'match':'*','base':'", 256, "b", "'}]}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'names':[{'match':'*','base':'", 257, "b", "'}]}"), &web),
                     "/names/0/base: must have 1 to 256 bytes");
    /* Characters, not bytes. */
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'name':'", 128, "\xc3\xa9", "'}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'name':'", 129, "\xc3\xa9", "'}"), &web), "/name: must have 1 to 128 characters");
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'metadata':{'a':'", 512, "\xf0\x9f\x98\x80", "'}}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'metadata':{'a':'", 513, "x", "'}}"), &web),
                     "/metadata/a: must have at most 512 characters");
    ck_assert_str_eq(faults_of(repeat("{MB,'k':1,'metadata':{'", 64, "\xc3\xa9", "':''}}"), &web), ok);
    ck_assert_ptr_nonnull(
        strstr(faults_of(repeat("{MB,'k':1,'metadata':{'", 65, "a", "':''}}"), &web), "a key must have 1 to 64 characters"));
    ck_assert_str_eq(faults_of(repeat("{MB,'variants':[{'k':1,'name':'", 64, "a", "'}]}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{MB,'variants':[{'k':1,'name':'", 65, "a", "'}]}"), &web),
                     "/variants/0/name: must match [a-z0-9][a-z0-9._-]{0,63}");

    const size_t room = 2048 - strlen("https://m/");
    ck_assert_str_eq(faults_of(repeat("{'base':'https://b/','k':1,'model':'https://m/", room, "m", "'}"), &web), ok);
    ck_assert_str_eq(faults_of(repeat("{'base':'https://b/','k':1,'model':'https://m/", room + 1, "m", "'}"), &web),
                     "/model: must have at most 2048 bytes");
    ck_assert_str_eq(faults_of("{MB,'k':9223372036854775807,'seed':9007199254740991,'timeout_seconds':31622400}", &web), ok);
}
END_TEST

START_TEST(many_faults_are_cut_at_the_limit)
{
    struct proto_faults faults = {.count = 0};
    struct proto_job *job;
    json_t *json = document(many("{MB,'k':1,'rules':[", 200, "{'match':%zu,'action':'keep'}", "]}"));
    ck_assert_int_eq(proto_job_parse(&job, json, &web, &faults), -1);
    ck_assert_uint_eq(faults.count, PROTO_MAX_FAULTS);
    ck_assert_str_eq(faults.fault[PROTO_MAX_FAULTS - 1].pointer, "/rules/63/match");
    proto_faults_clear(&faults);
    json_decref(json);
}
END_TEST

START_TEST(a_key_too_long_for_a_pointer_leads_to_its_object)
{
    const char *faults = faults_of(repeat("{MB,'k':1,'", 5000, "x", "':1}"), &web);
    ck_assert_int_eq(strncmp(faults, ": unknown field \"xxxx", 20), 0);
    ck_assert_uint_lt(strlen(faults), 200);
}
END_TEST

START_TEST(duplicate_keys_are_no_json)
{
    json_error_t error;
    ck_assert_ptr_null(json_loads("{\"k\": 1, \"k\": 2}", JSON_REJECT_DUPLICATES, &error));
}
END_TEST

START_TEST(the_problem_tells_what_kind_of_faults)
{
    struct proto_faults faults = {.count = 0};
    ck_assert_int_eq(proto_faults_problem(&faults), PROTO_INVALID_JOB);
    proto_fault_add(&faults, 1, "/publish", "later");
    ck_assert_int_eq(proto_faults_problem(&faults), PROTO_NOT_SUPPORTED);
    proto_fault_add(&faults, 0, "/k", "wrong");
    ck_assert_int_eq(proto_faults_problem(&faults), PROTO_INVALID_JOB);
    proto_faults_clear(&faults);
    ck_assert_uint_eq(faults.count, 0);
}
END_TEST

START_TEST(schemes_are_the_policys)
{
    const struct proto_policy both = {.schemes = "https,http"}, none = {.schemes = ""};
    ck_assert_str_eq(faults_of("{'model':'http://m/m','base':'HTTPS://b/b','k':1}", &both), "");
    ck_assert_str_eq(faults_of("{'model':'file:///m','base':'https://b/b','k':1}", &both),
                     "/model: scheme \"file\" is not allowed here; fetch.allow_schemes is \"https,http\"");
    ck_assert_str_eq(faults_of("{'model':'https://m/m','base':'htt://b/b','k':1}", &none),
                     "/model: scheme \"https\" is not allowed here; fetch.allow_schemes is \"\"\n"
                     "/base: scheme \"htt\" is not known; fetch.allow_schemes is \"\"");
}
END_TEST

START_TEST(paths_are_for_those_who_may)
{
    struct proto_job *job = accept_by("{'model':{'url':'a b/m.safetensors','sha256':'SHA'},'base':'../base/','k':1}", &paths);
    ck_assert_str_eq(job->model.url, "a b/m.safetensors");
    ck_assert_str_eq(job->base.url, "../base/");
    proto_job_free(&job);
    ck_assert_str_eq(faults_of("{'model':'https://m/m','base':{'url':'b/','sha256':'SHA'},'k':1}", &paths),
                     "/model: must be a path, not a URL of scheme \"https\"\n"
                     "/base/sha256: is for the URL of a single file; this one is of a folder or an index");
    ck_assert_str_eq(faults_of("{'model':'a\\nb','base':'','k':1}", &paths),
                     "/model: must not hold control characters\n/base: must not be empty");
}
END_TEST

/* ---- accepted */

START_TEST(defaults_are_the_contracts)
{
    struct proto_job *job = accept("{MB,'keep':0.25}");
    const struct ken_options *options = &job->options;
    ck_assert_int_eq(job->kind, PROTO_KIND_PRUNE);
    ck_assert_ptr_null(job->name);
    ck_assert_str_eq(job->model.url, "https://m.example/m.safetensors");
    ck_assert(!job->model.has_sha256);
    ck_assert_uint_eq(options->variant_count, 1);
    ck_assert_str_eq(options->variants[0].name, "");
    ck_assert_uint_eq(options->variants[0].amount.k, 0);
    ck_assert(options->variants[0].amount.keep == 0.25);
    ck_assert_int_eq(options->variants[0].method, KEN_METHOD_KEN);
    ck_assert_int_eq(options->variants[0].rescale, KEN_RESCALE_NONE);
    ck_assert_int_eq(options->variants[0].duplicates, KEN_DUPLICATES_EXACT);
    ck_assert_uint_eq(options->variants[0].seed, 0);
    ck_assert_int_eq(options->non_finite, KEN_NON_FINITE_FAIL);
    ck_assert_int_eq(options->unmatched, KEN_UNMATCHED_ADD);
    ck_assert_int_eq(options->encoding, KEN_ENCODING_PLAIN);
    ck_assert_uint_eq(options->outputs, KEN_OUTPUT_DELTA | KEN_OUTPUT_MODEL | KEN_OUTPUT_REPORT);
    ck_assert_uint_eq(options->rule_count, 0);
    ck_assert(!options->rules_layers);
    ck_assert_uint_eq(options->name_count, 0);
    ck_assert_uint_eq(job->metadata_count, 0);
    ck_assert_uint_eq(job->timeout_seconds, 0);
    proto_job_free(&job);
    ck_assert_ptr_null(job);
    proto_job_free(&job);
}
END_TEST

START_TEST(every_field_is_read)
{
    struct proto_job *job =
        accept("{'kind':'prune','name':'n','model':{'url':'https://m/m?sig=s','sha256':'SHA'},'base':'file:///b','method':'random','k':7,"
               "'rescale':'l1','duplicates':'all','non_finite':'keep','seed':9,'rules':[{'match':'*.a','action':'keep'},"
               "{'match':'b?','action':'reset'},{'match':'c','action':'prune','k':3},{'match':'d','action':'prune','keep':0.5},"
               "{'match':'*','action':'prune'}],'names':[{'match':'a.?','base':'b.?'},{'base':'e','match':'*'}],'unmatched':'fail','"
               "outputs':['report','delta'],'delta_encoding':'plain',"
               "'metadata':{'z':'1','a':'2'},'timeout_seconds':60}");
    const struct ken_options *options = &job->options;
    ck_assert_str_eq(job->name, "n");
    ck_assert(job->model.has_sha256);
    ck_assert_uint_eq(job->model.sha256[31], 0xab);
    ck_assert_str_eq(job->model.url, "https://m/m?sig=s");
    ck_assert_uint_eq(options->variants[0].amount.k, 7);
    ck_assert_int_eq(options->variants[0].method, KEN_METHOD_RANDOM);
    ck_assert_int_eq(options->variants[0].rescale, KEN_RESCALE_L1);
    ck_assert_int_eq(options->variants[0].duplicates, KEN_DUPLICATES_ALL);
    ck_assert_uint_eq(options->variants[0].seed, 9);
    ck_assert_int_eq(options->non_finite, KEN_NON_FINITE_KEEP);
    ck_assert_int_eq(options->unmatched, KEN_UNMATCHED_FAIL);
    ck_assert_uint_eq(options->outputs, KEN_OUTPUT_DELTA | KEN_OUTPUT_REPORT);
    ck_assert_uint_eq(options->rule_count, 5);
    ck_assert_str_eq(options->rules[1].match, "b?");
    ck_assert_int_eq(options->rules[1].action, KEN_ACTION_RESET);
    ck_assert_uint_eq(options->rules[2].amount.k, 3);
    ck_assert(options->rules[3].amount.keep == 0.5);
    ck_assert_uint_eq(options->rules[4].amount.k, 0);
    ck_assert_uint_eq(options->name_count, 2);
    ck_assert_str_eq(options->names[0].match, "a.?");
    ck_assert_str_eq(options->names[0].base, "b.?");
    ck_assert_str_eq(options->names[1].base, "e");
    ck_assert_uint_eq(job->metadata_count, 2);
    ck_assert_str_eq(job->metadata[0].key, "a");
    ck_assert_str_eq(job->metadata[0].value, "2");
    ck_assert_uint_eq(job->timeout_seconds, 60);
    proto_job_free(&job);
}
END_TEST

START_TEST(variants_inherit_what_they_leave_out)
{
    struct proto_job *job = accept("{MB,'variants':[{'name':'a','k':3},{'name':'b','keep':0.5,'method':'density','seed':4}],"
                                   "'method':'magnitude','rescale':'l1','seed':2,'rules':'layers'}");
    const struct ken_variant *a = &job->options.variants[0], *b = &job->options.variants[1];
    ck_assert_uint_eq(job->options.variant_count, 2);
    ck_assert_int_eq(a->method, KEN_METHOD_MAGNITUDE);
    ck_assert_uint_eq(a->seed, 2);
    ck_assert_uint_eq(a->amount.k, 3);
    ck_assert_int_eq(b->method, KEN_METHOD_DENSITY);
    ck_assert_int_eq(b->rescale, KEN_RESCALE_L1);
    ck_assert_uint_eq(b->amount.k, 0);
    ck_assert_uint_eq(b->seed, 4);
    ck_assert(job->options.rules_layers);
    proto_job_free(&job);

    job = accept("{MB,'keep':0.5,'variants':[{'name':'a'},{'name':'b','method':'random'}]}");
    ck_assert(job->options.variants[1].amount.keep == 0.5);
    proto_job_free(&job);
}
END_TEST

START_TEST(the_canonical_form_is_exact)
{
    expect_canonical(
        "{'keep':0.5,MB}", false,
        "{'kind':'prune','model':{'url':'https://m.example/m.safetensors'},'base':{'url':'https://b.example/b/'},'method':'ken',"
        "'keep':0.5,'rescale':'none','duplicates':'exact','non_finite':'fail','seed':0,'rules':[],'names':[],'unmatched':'add',"
        "'outputs':['delta','model','report'],'delta_encoding':'plain','metadata':{},'timeout_seconds':0}");
    expect_canonical(
        "{'name':'x','outputs':['report','delta'],'metadata':{'b':'1','a':'2'},'rules':[{'action':'prune','match':'*','k':2}],"
        "'names':[{'base':'a','match':'b'}],'model':{'sha256':'SHA','url':'https://m/m?a=b'},'base':'https://b/"
        "b','variants':[{'k':1,'name':'one'}]}",
        false,
        "{'kind':'prune','name':'x','model':{'url':'https://m/m?a=b','sha256':'SHA'},'base':{'url':'https://b/b'},"
        "'non_finite':'fail','rules':[{'match':'*','action':'prune','k':2}],'names':[{'match':'b','base':'a'}],'unmatched':'add','variants'"
        ":[{'name':'one','k':1,"
        "'method':'ken','rescale':'none','duplicates':'exact','seed':0}],'outputs':['delta','report'],'delta_encoding':'plain',"
        "'metadata':{'a':'2','b':'1'},'timeout_seconds':0}");
    expect_canonical("{'delta':{'sha256':'SHA','url':'https://d/d?a=b'},'base':'https://b/b','kind':'inject','timeout_seconds':3}", false,
                     "{'kind':'inject','base':{'url':'https://b/b'},'delta':{'url':'https://d/d?a=b','sha256':'SHA'},"
                     "'outputs':['model'],'metadata':{},'timeout_seconds':3}");
}
END_TEST

START_TEST(the_canonical_form_comes_back_equal)
{
    static const char *const documents[] = {
        "{MB,'keep':0.1}",
        "{MB,'keep':0.30000000000000004,'rules':'layers'}",
        "{MB,'k':9223372036854775807,'seed':9007199254740991,'name':'\xc3\xa9\\\"\\\\'}",
        "{MB,'k':3,'rules':[{'match':'*.LayerNorm.*','action':'keep'},{'match':'e*','action':'prune','keep':0.7}],"
        "'names':[{'match':'\xc3\xa9?*','base':'*\\\"?'}]}",
        "{MB,'variants':[{'name':'a','keep':1e-300},{'name':'b','k':2,'rescale':'l1','duplicates':'all'}],'method':'random','seed':5}",
        "{MB,'k':2,'variants':[{'name':'a'},{'name':'b','method':'density'}],'metadata':{'x':'','y':'a\\nb'},'timeout_seconds':1}",
        "{'model':{'url':'https://m/m?a=1&b=%20','sha256':'SHA'},'base':'file:///a%20b','k':1,'outputs':['model']}",
        "{'kind':'inject','base':'https://b/','delta':{'url':'https://d/d','sha256':'SHA'},'outputs':['model'],'metadata':{'a':'b'}}",
    };
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct proto_job *first = accept(documents[i]), *second;
        struct proto_faults faults = {.count = 0};
        json_t *json = proto_job_to_json(first, false);
        ck_assert_int_eq(proto_job_parse(&second, json, &web, &faults), 0);
        char *one = canonical(first, false), *two = canonical(second, false);
        ck_assert_str_eq(one, two);
        /* Through text as well, as the store keeps it. */
        json_t *stored = json_loads(one, JSON_REJECT_DUPLICATES, NULL);
        ck_assert(json_equal(stored, json));
        ck_assert_int_eq(
            memcmp(first->options.variants, second->options.variants, sizeof first->options.variants[0] * first->options.variant_count), 0);
        ck_assert_int_eq(memcmp(first->model.sha256, second->model.sha256, 32), 0);
        ck_assert_int_eq(memcmp(first->delta.sha256, second->delta.sha256, 32), 0);
        json_decref(stored);
        json_decref(json);
        free(one);
        free(two);
        proto_job_free(&first);
        proto_job_free(&second);
    }
}
END_TEST

START_TEST(query_strings_are_redacted_for_showing)
{
    struct proto_job *job = accept("{'model':'https://m/m?X-Sig=SECRET','base':{'url':'https://b/b/?token=SECRET'},'k':1}");
    char *shown = canonical(job, true), *stored = canonical(job, false);
    ck_assert_ptr_null(strstr(shown, "SECRET"));
    ck_assert_ptr_nonnull(strstr(shown, "\"https://m/m?...\""));
    ck_assert_ptr_nonnull(strstr(shown, "\"https://b/b/?...\""));
    ck_assert_ptr_nonnull(strstr(stored, "\"https://m/m?X-Sig=SECRET\""));
    json_t *json = json_loads(stored, 0, NULL);
    ck_assert_int_eq(proto_job_redact(json), 0);
    char *redacted = json_dumps(json, JSON_COMPACT);
    ck_assert_str_eq(redacted, shown);
    free(redacted);
    free(shown);
    free(stored);
    json_decref(json);
    proto_job_free(&job);
}
END_TEST

UNIT_MAIN("job", every_fault_has_its_pointer, limits_are_exact, many_faults_are_cut_at_the_limit,
          a_key_too_long_for_a_pointer_leads_to_its_object, duplicate_keys_are_no_json, the_problem_tells_what_kind_of_faults,
          schemes_are_the_policys, paths_are_for_those_who_may, defaults_are_the_contracts, every_field_is_read,
          variants_inherit_what_they_leave_out, the_canonical_form_is_exact, the_canonical_form_comes_back_equal,
          query_strings_are_redacted_for_showing)
