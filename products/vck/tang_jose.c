/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/tang_jose.h"
#include <jose/jose.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "port/posix/library.h"

/* ---- libjose and libjansson ---- */

/* clang-format off */
#define JANSSON(X) \
    X(json_array) X(json_array_append_new) X(json_array_get) X(json_array_size) X(json_delete) \
    X(json_dumpb) X(json_loadb) X(json_object_get) X(json_set_alloc_funcs) X(json_string_value) \
    X(json_vpack_ex)
#define JOSE(X) \
    X(jose_b64_dec) X(jose_b64_dec_load) X(jose_b64_enc) X(jose_cfg) X(jose_cfg_decref) \
    X(jose_cfg_set_err_func) X(jose_jwk_exc) X(jose_jwk_gen) X(jose_jwk_prm) X(jose_jwk_thp_buf) \
    X(jose_jws_ver)
/* clang-format on */
#define FIELD(name) __typeof__(name) *name;
#define ENTRY(name) VCK_POSIX_FUNCTION(#name, lib.name)

static struct {
    JANSSON(FIELD)
    JOSE(FIELD)
} lib;
static const struct vck_posix_function of_jansson[] = {JANSSON(ENTRY)};
static const struct vck_posix_function of_jose[] = {JOSE(ENTRY)};
static struct vck_posix_library libjansson =
    VCK_POSIX_LIBRARY("libjansson.so.4", "libjansson4", of_jansson);
static struct vck_posix_library libjose = VCK_POSIX_LIBRARY("libjose.so.0", "libjose0", of_jose);

/* What libjansson's headers have as code would be linked with it. */
static void drop(json_t *json)
{
    if (json != NULL && json->refcount != (size_t)-1 && --json->refcount == 0)
        lib.json_delete(json);
}

static int append(json_t *array, json_t *value)
{
    return lib.json_array_append_new(array, json_incref(value));
}

static json_t *pack(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *json = lib.json_vpack_ex(NULL, 0, format, arguments);
    va_end(arguments);
    return json;
}

/* libjose gives some of what libjansson allocated to free itself: it has to come from malloc. */
static void wipe_and_free(void *p)
{
    if (p != NULL)
        vck_wipe(p, malloc_usable_size(p));
    free(p);
}

/* Its words are for programmers. */
static void keep_quiet(void *misc, const char *file, int line, uint64_t error, const char *format,
                       va_list arguments)
{
    (void)misc, (void)file, (void)line, (void)error, (void)format, (void)arguments;
}

const char *tang_jose_load(void)
{
    static struct vck_posix_error error;
    if (vck_posix_library_load(&libjansson, &error) != VCK_OK ||
        vck_posix_library_load(&libjose, &error) != VCK_OK)
        return error.text;
    lib.json_set_alloc_funcs(malloc, wipe_and_free);
    return NULL;
}

/* NULL: no memory. */
static jose_cfg_t *begin(void)
{
    jose_cfg_t *cfg = lib.jose_cfg();
    if (cfg != NULL)
        lib.jose_cfg_set_err_func(cfg, keep_quiet, NULL);
    return cfg;
}

static void end(jose_cfg_t *cfg)
{
    if (cfg != NULL)
        lib.jose_cfg_decref(cfg);
}

static const char no_memory[] = "no memory for its keys";

/* ---- points ---- */

static json_t *make_coordinate(const uint8_t *coordinate, uint32_t bytes)
{
    return lib.jose_b64_enc(coordinate + VCK_NETWORK_COORDINATE_BYTES - bytes, bytes);
}

/* NULL: no memory. */
static json_t *make_key(enum vck_network_curve curve, const struct vck_network_point *point)
{
    uint32_t bytes = vck_network_curve_bytes(curve);
    return pack("{s:s, s:s, s:s, s:o, s:o}", "alg", "ECMR", "kty", "EC", "crv",
                vck_network_curve_name(curve), "x", make_coordinate(point->x, bytes), "y",
                make_coordinate(point->y, bytes));
}

static bool read_coordinate(const json_t *key, const char *name, uint32_t bytes, uint8_t *ret_bytes)
{
    const json_t *text = lib.json_object_get(key, name);
    if (!json_is_string(text) || lib.jose_b64_dec(text, NULL, 0) != bytes)
        return false;
    memset(ret_bytes, 0, VCK_NETWORK_COORDINATE_BYTES);
    return lib.jose_b64_dec(text, ret_bytes + VCK_NETWORK_COORDINATE_BYTES - bytes, bytes) == bytes;
}

/* false: not a point of a curve that is known here. Whether it lies on the curve is seen when it is
 * calculated with. */
static bool read_key(const json_t *key, enum vck_network_curve *ret_curve,
                     struct vck_network_point *ret_point)
{
    const char *type = lib.json_string_value(lib.json_object_get(key, "kty"));
    const char *name = lib.json_string_value(lib.json_object_get(key, "crv"));
    if (type == NULL || name == NULL || strcmp(type, "EC") != 0)
        return false;
    for (uint32_t curve = VCK_NETWORK_P256; curve <= VCK_NETWORK_P521; curve++) {
        uint32_t bytes = vck_network_curve_bytes(curve);
        if (strcmp(vck_network_curve_name(curve), name) != 0)
            continue;
        *ret_curve = curve;
        return read_coordinate(key, "x", bytes, ret_point->x) &&
               read_coordinate(key, "y", bytes, ret_point->y);
    }
    return false;
}

/* ---- advertisements ---- */

static const char *read_signer(jose_cfg_t *cfg, const json_t *key, struct tang_advert *advert)
{
    if (advert->signer_count == TANG_SIGNERS_MAX)
        return "its advertisement has more keys that sign than 8";
    if (lib.jose_jwk_thp_buf(cfg, key, "S256", advert->signers[advert->signer_count],
                             VCK_NETWORK_THUMBPRINT_BYTES) != VCK_NETWORK_THUMBPRINT_BYTES)
        return "its advertisement has a key that is none";
    advert->signer_count++;
    return NULL;
}

static const char *read_exchange_key(const json_t *key, struct tang_advert *advert)
{
    const char *algorithm = lib.json_string_value(lib.json_object_get(key, "alg"));
    if (algorithm == NULL || strcmp(algorithm, "ECMR") != 0 ||
        vck_network_curve_bytes(advert->curve) != 0)
        return NULL;
    return read_key(key, &advert->curve, &advert->key)
               ? NULL
               : "its key for the exchange is of a kind that is not known here";
}

/* Which keys sign, and the first to exchange with. */
static const char *read_keys(jose_cfg_t *cfg, const json_t *keys, json_t *signers,
                             struct tang_advert *advert)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < lib.json_array_size(keys) && wrong == NULL; i++) {
        json_t *key = lib.json_array_get(keys, i);
        if (lib.jose_jwk_prm(cfg, key, true, "verify")) {
            wrong = read_signer(cfg, key, advert);
            if (wrong == NULL && append(signers, key) != 0)
                wrong = no_memory;
        } else if (lib.jose_jwk_prm(cfg, key, true, "deriveKey")) {
            wrong = read_exchange_key(key, advert);
        }
    }
    if (wrong == NULL && advert->signer_count == 0)
        wrong = "its advertisement has no key that signs";
    if (wrong == NULL && vck_network_curve_bytes(advert->curve) == 0)
        wrong = "its advertisement has no key for the exchange";
    return wrong;
}

const char *tang_jose_read_advert(const char *text, size_t size_bytes,
                                  struct tang_advert *ret_advert)
{
    const char *wrong = "its advertisement is not JSON";
    json_t *payload = NULL, *signers = NULL;
    jose_cfg_t *cfg = begin();
    json_t *jws = lib.json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, NULL);
    memset(ret_advert, 0, sizeof(*ret_advert));
    if (jws == NULL || cfg == NULL)
        goto out;
    wrong = "its advertisement is not a signed set of keys";
    payload = lib.jose_b64_dec_load(lib.json_object_get(jws, "payload"));
    signers = lib.json_array();
    if (!json_is_array(lib.json_object_get(payload, "keys")) || signers == NULL)
        goto out;
    wrong = read_keys(cfg, lib.json_object_get(payload, "keys"), signers, ret_advert);
    if (wrong == NULL && !lib.jose_jws_ver(cfg, jws, NULL, signers, true))
        wrong = "the signature of its advertisement does not hold";
out:
    drop(signers);
    drop(payload);
    drop(jws);
    end(cfg);
    return wrong;
}

/* ---- the exchange ---- */

/* A key of our own on the curve. NULL: no memory, or no random bytes. */
static json_t *generate(jose_cfg_t *cfg, enum vck_network_curve curve)
{
    json_t *key = pack("{s:s, s:s}", "alg", "ECMR", "crv", vck_network_curve_name(curve));
    if (key != NULL && lib.jose_jwk_gen(cfg, key))
        return key;
    drop(key);
    return NULL;
}

/* Of a point that was calculated; the point goes. */
static const char *take_x(json_t *point, uint32_t bytes,
                          uint8_t ret_agreed_x[VCK_NETWORK_COORDINATE_BYTES])
{
    bool is_good = point != NULL && read_coordinate(point, "x", bytes, ret_agreed_x);
    drop(point);
    return is_good ? NULL : "its key is not a point of its curve";
}

const char *tang_jose_bind(struct vck_network_server *server,
                           uint8_t ret_agreed_x[VCK_NETWORK_COORDINATE_BYTES])
{
    const char *wrong = no_memory;
    enum vck_network_curve curve;
    jose_cfg_t *cfg = begin();
    json_t *theirs = make_key(server->curve, &server->server_key);
    json_t *ours = cfg != NULL ? generate(cfg, server->curve) : NULL;
    if (theirs != NULL && ours != NULL && read_key(ours, &curve, &server->slot_key))
        wrong = take_x(lib.jose_jwk_exc(cfg, ours, theirs), vck_network_curve_bytes(server->curve),
                       ret_agreed_x);
    drop(ours);
    drop(theirs);
    end(cfg);
    return wrong;
}

/* libjose adds the points where the one on the right has a private part. */
const char *tang_jose_ask(const struct vck_network_server *server,
                          struct tang_question *ret_question)
{
    const char *wrong = no_memory;
    jose_cfg_t *cfg = begin();
    json_t *asked = NULL;
    json_t *slot_key = make_key(server->curve, &server->slot_key);
    json_t *blind = cfg != NULL ? generate(cfg, server->curve) : NULL;
    ret_question->blind = blind;
    if (slot_key == NULL || blind == NULL)
        goto out;
    wrong = "the slot's key for it is not a point of its curve";
    asked = lib.jose_jwk_exc(cfg, slot_key, blind);
    if (asked == NULL)
        goto out;
    size_t length = lib.json_dumpb(asked, ret_question->body, sizeof(ret_question->body) - 1,
                                   JSON_COMPACT | JSON_SORT_KEYS);
    if (length > 0 && length < sizeof(ret_question->body)) {
        ret_question->body[length] = 0;
        wrong = NULL;
    }
out:
    drop(asked);
    drop(slot_key);
    end(cfg);
    return wrong;
}

/* The answer as a point and nothing else: other members of what a server sends would have libjose
 * calculate something else. */
static json_t *read_answer(const struct vck_network_server *server, const char *text,
                           size_t size_bytes, const char **ret_wrong)
{
    enum vck_network_curve curve;
    struct vck_network_point point;
    json_t *key = NULL;
    json_t *answer = lib.json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, NULL);
    *ret_wrong = answer == NULL ? "its answer is not JSON" : "its answer is not a key of its curve";
    if (answer != NULL && read_key(answer, &curve, &point) && curve == server->curve)
        key = make_key(curve, &point);
    drop(answer);
    return key;
}

/* libjose subtracts public points. */
const char *tang_jose_finish(const struct vck_network_server *server,
                             const struct tang_question *question, const char *text,
                             size_t size_bytes, uint8_t ret_agreed_x[VCK_NETWORK_COORDINATE_BYTES])
{
    const char *wrong = no_memory;
    json_t *blinding = NULL, *answer = NULL;
    jose_cfg_t *cfg = begin();
    json_t *theirs = make_key(server->curve, &server->server_key);
    if (cfg == NULL || theirs == NULL)
        goto out;
    answer = read_answer(server, text, size_bytes, &wrong);
    if (answer == NULL)
        goto out;
    wrong = "the key of it that the slot has is not a point of its curve";
    blinding = lib.jose_jwk_exc(cfg, question->blind, theirs);
    if (blinding != NULL)
        wrong = take_x(lib.jose_jwk_exc(cfg, answer, blinding),
                       vck_network_curve_bytes(server->curve), ret_agreed_x);
out:
    drop(blinding);
    drop(answer);
    drop(theirs);
    end(cfg);
    return wrong;
}

void tang_jose_fini(struct tang_question *question)
{
    drop(question->blind);
    vck_wipe(question, sizeof(*question));
}
