/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"
#include "vck/secret.h"
#include "vck/xts.h"

#define MIB          (1024u * 1024u)
#define SECTOR_BYTES 4096u
#define DEFAULT_MIB  1024u
#define FREE_MIB     1024u /* more is for administrators */
#define MOST_MIB     (64u * 1024u)

struct bench {
    struct vck_xts xts;
    uint8_t keys[2][VCK_XTS_KEY_BYTES];
};

static vck_status check_size(struct control_request *r, uint64_t size_bytes, uint64_t *ret_mib)
{
    uint64_t mib = size_bytes / MIB + (size_bytes % MIB != 0);

    if (mib == 0)
        mib = DEFAULT_MIB;
    if (mib > MOST_MIB)
        return control_explain(&r->why, VCK_INVALID_DATA, "size_bytes is %u, at most %u",
                               size_bytes, (uint64_t)MOST_MIB * MIB);
    if (mib > FREE_MIB && !r->caller->is_admin)
        return control_explain(&r->why, VCK_PERMISSION_DENIED,
                               "more than %u bytes are for administrators",
                               (uint64_t)FREE_MIB * MIB);
    *ret_mib = mib;
    return VCK_OK;
}

static bool is_cancelled(struct control_request *r)
{
    return r->host->ops->is_cancelled && r->host->ops->is_cancelled(r->host, r->caller);
}

static vck_status measure(struct control_request *r, const struct bench *bench, uint8_t *buffer,
                          uint64_t mib, bool decrypt, uint64_t *ret_mib_s)
{
    uint64_t start_ns = vck_clock_ns();
    uint64_t elapsed_ns;

    for (uint64_t i = 0; i < mib; i++) {
        uint64_t first_sector = i * (MIB / SECTOR_BYTES);

        if (is_cancelled(r))
            return control_explain(&r->why, VCK_CANCELLED, "cancelled after %u of %u MiB", i, mib);
        if (decrypt)
            vck_xts_decrypt(&bench->xts, buffer, buffer, MIB, SECTOR_BYTES, first_sector);
        else
            vck_xts_encrypt(&bench->xts, buffer, buffer, MIB, SECTOR_BYTES, first_sector);
    }
    elapsed_ns = vck_clock_ns() - start_ns;
    *ret_mib_s = mib * 1000000000u / VCK_MAX(elapsed_ns, 1);
    return VCK_OK;
}

static vck_status init_keys(struct bench *bench)
{
    vck_status status = vck_random(bench->keys, sizeof(bench->keys));

    if (status)
        return status;
    return vck_xts_init(&bench->xts, bench->keys[0], bench->keys[1]);
}

vck_status control_bench(struct control_request *r, const void *message)
{
    const struct vck_msg_bench_request *request = message;
    struct vck_msg_bench_response response = {0};
    struct bench *bench = NULL;
    uint8_t *buffer = NULL;
    uint64_t mib = 0;
    vck_status status = check_size(r, request->size_bytes, &mib);

    if (status)
        return status;
    response.size_bytes = mib * MIB;
    bench = vck_alloc_pages(sizeof(*bench), CONTROL_TAG);
    buffer = vck_alloc_pages(MIB, CONTROL_TAG);
    status = bench && buffer ? init_keys(bench) : VCK_NO_MEMORY;
    if (status == VCK_OK)
        status = measure(r, bench, buffer, mib, false, &response.encrypt_mib_s);
    if (status == VCK_OK)
        status = measure(r, bench, buffer, mib, true, &response.decrypt_mib_s);
    if (status == VCK_OK)
        status = control_respond(r, &response);
    if (bench) {
        vck_wipe(bench, sizeof(*bench));
        vck_free_pages(bench, sizeof(*bench));
    }
    if (buffer)
        vck_free_pages(buffer, MIB);
    return status;
}
