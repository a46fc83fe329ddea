/* SPDX-License-Identifier: Apache-2.0 */
#include "port/port.h"
#include "internal.h"
#include "vck/log.h"
#include "vck/secret.h"
#include "vck/sha256.h"

#define TAG_NO_SESSIONS 0x8001u
#define TAG_SESSIONS    0x8002u
#define HEADER_BYTES    10u

/* The TPM asks for the command again: it was interrupted, busy, or is testing itself. */
#define TRIES        12u
#define PAUSE_MS     10u
#define PAUSE_MAX_MS 1000u
enum {
    TPM_RC_YIELDED = 0x908,
    TPM_RC_TESTING = 0x90a,
    TPM_RC_RETRY = 0x922,
};

void vck_tpm_init(struct vck_tpm *tpm, struct vck_tpm_transport *transport)
{
    memset(tpm, 0, sizeof(*tpm));
    tpm->transport = transport;
}

void vck_tpm_fini(struct vck_tpm *tpm)
{
    vck_wipe(tpm, sizeof(*tpm));
}

/* ---- what went wrong ---- */

vck_status call_fail(struct vck_tpm *tpm, enum vck_tpm_fault fault, vck_status status)
{
    tpm->fault = fault;
    return status;
}

uint32_t call_base_code(uint32_t response_code)
{
    return (response_code & 0x80u) != 0 ? response_code & 0xbfu : response_code;
}

static vck_status fail_with_code(struct vck_tpm *tpm, uint32_t code)
{
    tpm->response_code = code;
    switch (call_base_code(code)) {
    case TPM_RC_LOCKOUT:
        return call_fail(tpm, VCK_TPM_FAULT_LOCKED_OUT, VCK_PERMISSION_DENIED);
    case TPM_RC_POLICY_FAIL:
    case TPM_RC_PCR_CHANGED:
        return call_fail(tpm, VCK_TPM_FAULT_PCRS, VCK_VALIDATION_FAILED);
    default:
        return call_fail(tpm, VCK_TPM_FAULT_COMMAND, VCK_IO);
    }
}

static vck_status fail_with_response(struct vck_tpm *tpm, vck_status status)
{
    return call_fail(tpm, VCK_TPM_FAULT_RESPONSE, status);
}

/* ---- the request ---- */

struct writer call_params(struct vck_tpm *tpm)
{
    return (struct writer){.start = tpm->params, .capacity_bytes = sizeof(tpm->params)};
}

/* SHA-256 of the code, the name and the parameters, as they go over the transport. */
static void request_digest(const struct call *call, const struct writer *params, uint8_t ret[32])
{
    struct vck_sha256 sha;
    uint8_t code[4];
    vck_store_be32(code, call->code);
    vck_sha256_init(&sha);
    vck_sha256_update(&sha, code, sizeof(code));
    vck_sha256_update(&sha, call->name.data, call->name.size_bytes);
    vck_sha256_update(&sha, params->start, params->size_bytes);
    vck_sha256_final(&sha, ret);
}

static void put_session(struct writer *w, const struct session *session, const uint8_t digest[32])
{
    uint8_t hmac[32];
    session_hmac(session, digest, session->nonce_caller, session->nonce_tpm, session->attributes,
                 hmac);
    put_u32(w, 4 + 2 + NONCE_BYTES + 1 + 2 + sizeof(hmac));
    put_u32(w, session->handle);
    put_sized(w, session->nonce_caller, NONCE_BYTES);
    put_u8(w, session->attributes);
    put_sized(w, hmac, sizeof(hmac));
}

static void put_password(struct writer *w)
{
    put_u32(w, 4 + 2 + 1 + 2);
    put_u32(w, TPM_RS_PW);
    put_sized(w, NULL, 0);
    put_u8(w, 0);
    put_sized(w, NULL, 0);
}

/* Encrypts the first parameter where the session says so. */
static vck_status prepare(const struct call *call, const struct writer *params, uint8_t digest[32])
{
    struct session *session = call->session;
    if (session == NULL)
        return VCK_OK;
    vck_status status = vck_random(session->nonce_caller, NONCE_BYTES);
    if (status == VCK_OK && (session->attributes & SESSION_DECRYPT) != 0)
        session_obscure(session, session->nonce_caller, session->nonce_tpm, params->start + 2,
                        vck_load_be16(params->start));
    request_digest(call, params, digest);
    return status;
}

static vck_status write_request(struct vck_tpm *tpm, const struct call *call,
                                const struct writer *params, size_t *ret_size_bytes)
{
    uint8_t digest[32];
    struct writer w = {.start = tpm->request, .capacity_bytes = sizeof(tpm->request)};
    if (params->is_full)
        return VCK_SIZE_MISMATCH;
    vck_status status = prepare(call, params, digest);
    if (status != VCK_OK)
        return status;
    put_u16(&w, call->is_authorized ? TAG_SESSIONS : TAG_NO_SESSIONS);
    put_u32(&w, 0);
    put_u32(&w, call->code);
    for (unsigned i = 0; i < call->handle_count; i++)
        put_u32(&w, call->handles[i]);
    if (call->session != NULL)
        put_session(&w, call->session, digest);
    else if (call->is_authorized)
        put_password(&w);
    put_bytes(&w, params->start, params->size_bytes);
    if (w.is_full)
        return VCK_SIZE_MISMATCH;
    vck_store_be32(w.start + 2, (uint32_t)w.size_bytes);
    *ret_size_bytes = w.size_bytes;
    return VCK_OK;
}

/* ---- the response ---- */

static bool is_to_be_repeated(uint32_t code)
{
    return code == TPM_RC_RETRY || code == TPM_RC_YIELDED || code == TPM_RC_TESTING;
}

/* Everything behind the header of a response that reports success. */
static vck_status submit(struct vck_tpm *tpm, const struct call *call, size_t request_bytes,
                         struct reader *ret_body)
{
    struct vck_tpm_transport *transport = tpm->transport;
    const struct vck_bytes request = {tpm->request, request_bytes};
    uint32_t code = 0;
    for (uint32_t i = 0, pause_ms = PAUSE_MS; i < TRIES; i++, pause_ms *= 2) {
        size_t size_bytes = 0;
        vck_status status = transport->submit(transport, request, tpm->response,
                                              sizeof(tpm->response), &size_bytes);
        if (status != VCK_OK)
            return call_fail(tpm, VCK_TPM_FAULT_TRANSPORT, status);
        struct reader r = {.at = tpm->response,
                           .left_bytes = VCK_MIN(size_bytes, sizeof(tpm->response))};
        uint16_t tag = get_u16(&r);
        uint32_t size = get_u32(&r);
        code = get_u32(&r);
        if (r.is_wrong || size != size_bytes)
            return fail_with_response(tpm, VCK_INVALID_DATA);
        if (code == 0 && tag != (call->is_authorized ? TAG_SESSIONS : TAG_NO_SESSIONS))
            return fail_with_response(tpm, VCK_INVALID_DATA);
        *ret_body = r;
        if (code == 0)
            return VCK_OK;
        if (!is_to_be_repeated(code))
            break;
        transport->pause(transport, VCK_MIN(pause_ms, PAUSE_MAX_MS));
    }
    return fail_with_code(tpm, code);
}

/* That the response is from who shares the session's key, and what is secret in it. */
static vck_status open_session(struct vck_tpm *tpm, const struct call *call,
                               struct vck_bytes params, struct reader *auth)
{
    struct session *session = call->session;
    struct vck_sha256 sha;
    uint8_t codes[8] = {0}, digest[32], hmac[32];
    struct vck_bytes nonce = get_sized(auth);
    uint8_t attributes = get_u8(auth);
    struct vck_bytes theirs = get_sized(auth);
    if (!is_read(auth) || nonce.size_bytes != NONCE_BYTES || theirs.size_bytes != sizeof(hmac))
        return fail_with_response(tpm, VCK_INVALID_DATA);
    vck_store_be32(codes + 4, call->code);
    vck_sha256_init(&sha);
    vck_sha256_update(&sha, codes, sizeof(codes));
    vck_sha256_update(&sha, params.data, params.size_bytes);
    vck_sha256_final(&sha, digest);
    memcpy(session->nonce_tpm, nonce.data, NONCE_BYTES);
    session_hmac(session, digest, session->nonce_tpm, session->nonce_caller, attributes, hmac);
    if (!vck_equal_constant_time(hmac, theirs.data, sizeof(hmac)))
        return fail_with_response(tpm, VCK_TAMPERED);
    if ((attributes & SESSION_CONTINUE) == 0)
        session->handle = TPM_HANDLE_NO;
    if ((session->attributes & SESSION_ENCRYPT) == 0)
        return VCK_OK;
    struct reader r = {.at = params.data, .left_bytes = params.size_bytes};
    struct vck_bytes first = get_sized(&r);
    if (r.is_wrong)
        return fail_with_response(tpm, VCK_INVALID_DATA);
    session_obscure(session, session->nonce_tpm, session->nonce_caller,
                    tpm->response + (first.data - tpm->response), first.size_bytes);
    return VCK_OK;
}

static vck_status read_response(struct vck_tpm *tpm, const struct call *call, struct reader *r,
                                uint32_t *ret_handle, struct reader *ret_params)
{
    uint32_t handle = ret_handle != NULL ? get_u32(r) : 0;
    uint32_t params_bytes = call->is_authorized ? get_u32(r) : (uint32_t)r->left_bytes;
    const uint8_t *params = get_bytes(r, params_bytes);
    if (r->is_wrong)
        return fail_with_response(tpm, VCK_INVALID_DATA);
    if (ret_handle != NULL)
        *ret_handle = handle;
    *ret_params = (struct reader){.at = params, .left_bytes = params_bytes};
    if (call->session != NULL)
        return open_session(tpm, call, (struct vck_bytes){params, params_bytes}, r);
    if (!call->is_authorized)
        return VCK_OK;
    (void)get_sized(r);
    (void)get_u8(r);
    (void)get_sized(r);
    return is_read(r) ? VCK_OK : fail_with_response(tpm, VCK_INVALID_DATA);
}

/* ---- both ---- */

vck_status call_run(struct vck_tpm *tpm, const struct call *call, const struct writer *params,
                    uint32_t *ret_handle, struct reader *ret_params)
{
    struct reader body = {0};
    size_t request_bytes = 0;
    tpm->fault = VCK_TPM_FAULT_NONE;
    tpm->command = call->code;
    tpm->response_code = 0;
    vck_status status = write_request(tpm, call, params, &request_bytes);
    vck_wipe(tpm->params, params->size_bytes);
    if (status == VCK_OK)
        status = submit(tpm, call, request_bytes, &body);
    if (status == VCK_OK)
        status = read_response(tpm, call, &body, ret_handle, ret_params);
    return status;
}

vck_status call_run_plain(struct vck_tpm *tpm, const struct call *call, const struct writer *params)
{
    struct reader r;
    vck_status status = call_run(tpm, call, params, NULL, &r);
    if (status == VCK_OK && !is_read(&r))
        return fail_with_response(tpm, VCK_INVALID_DATA);
    return status;
}

void call_flush(struct vck_tpm *tpm, uint32_t handle)
{
    const struct call call = {.code = TPM_CC_FLUSH_CONTEXT, .handles = {handle}, .handle_count = 1};
    enum vck_tpm_fault fault = tpm->fault;
    uint32_t command = tpm->command, response_code = tpm->response_code;
    struct writer params = call_params(tpm);
    if (handle == TPM_HANDLE_NO)
        return;
    if (call_run_plain(tpm, &call, &params) != VCK_OK)
        vck_log_warning("the TPM keeps an object of ours: response 0x%x", tpm->response_code);
    tpm->fault = fault;
    tpm->command = command;
    tpm->response_code = response_code;
}

/* ---- in words ---- */

void vck_tpm_pcrs_text(uint32_t pcrs, char *ret_text, size_t capacity_bytes)
{
    size_t used = 0;
    ret_text[0] = 0;
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++) {
        if ((pcrs >> i & 1u) == 0 || capacity_bytes - used < 5)
            continue;
        (void)vck_format(ret_text + used, capacity_bytes - used, "%s%u", used > 0 ? ", " : "", i);
        used += strlen(ret_text + used);
    }
}

void vck_tpm_explain(const struct vck_tpm *tpm, char ret_text[VCK_TPM_TEXT_BYTES])
{
    static const char *const texts[] = {
        [VCK_TPM_FAULT_TRANSPORT] = "the TPM cannot be reached",
        [VCK_TPM_FAULT_RESPONSE] = "what came back is not a response of the TPM",
        [VCK_TPM_FAULT_OTHER_TPM] = "another TPM sealed it, or this one was cleared since",
        [VCK_TPM_FAULT_PIN] = "the PIN is wrong, and the TPM counts that",
        [VCK_TPM_FAULT_LOCKED_OUT] =
            "the TPM is locked after too many wrong PINs; time or its owner unlocks it",
        [VCK_TPM_FAULT_OWNER] = "the TPM's owner has set an authorization, and there is no storage "
                                "key on P-256 at 0x81000001",
    };
    char pcrs[96];
    vck_tpm_pcrs_text(tpm->pcrs, pcrs, sizeof(pcrs));
    if (tpm->fault == VCK_TPM_FAULT_PCRS && tpm->pcrs != 0)
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES, "PCR %s has another value than sealed to",
                         pcrs);
    else if (tpm->fault == VCK_TPM_FAULT_PCRS)
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES, "the TPM says that its policy is not met");
    else if (tpm->fault == VCK_TPM_FAULT_BANK)
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES, "the TPM has no SHA-256 value of PCR %s",
                         pcrs);
    else if (tpm->fault == VCK_TPM_FAULT_COMMAND)
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES,
                         "the TPM refuses command 0x%x: response 0x%x", tpm->command,
                         tpm->response_code);
    else if (tpm->fault < VCK_ARRAY_COUNT(texts) && texts[tpm->fault] != NULL)
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES, "%s", texts[tpm->fault]);
    else
        (void)vck_format(ret_text, VCK_TPM_TEXT_BYTES, "no secret of a TPM that is known here");
}
