/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rekey: a rekey record as it may lie on the disk. With an odd first byte its keys are wrapped
 * anew first, so that what is inside is anything.
 */
#include <string.h>
#include "port/port.h"
#include "vck/rekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT_VOLUME_ID 8u
#define AT_NONCE     24u
#define AT_WRAPPED   40u
#define RECORD_BYTES 184u

static const uint8_t key[] = "jvck-cross-check-vmk";
static const struct vck_bytes vmk = {key, sizeof(key) - 1};

static void wrap(uint8_t *block)
{
    static uint8_t sealed[VCK_REKEY_BLOCK_BYTES];
    struct vck_rekey rekey;
    uint8_t volume_id[16];
    memcpy(volume_id, block + AT_VOLUME_ID, sizeof(volume_id));
    memcpy(rekey.nonce, block + AT_NONCE, sizeof(rekey.nonce));
    memcpy(rekey.fvek_key1, block + AT_WRAPPED, sizeof(rekey.fvek_key1));
    memcpy(rekey.fvek_key2, block + AT_WRAPPED + 32, sizeof(rekey.fvek_key2));
    memcpy(rekey.journal_secret, block + AT_WRAPPED + 64, sizeof(rekey.journal_secret));
    VCK_ASSERT(vck_rekey_seal(&rekey, volume_id, vmk, sealed) == VCK_OK);
    memcpy(block + AT_WRAPPED, sealed + AT_WRAPPED, RECORD_BYTES - AT_WRAPPED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[VCK_REKEY_BLOCK_BYTES];
    static uint8_t again[VCK_REKEY_BLOCK_BYTES];
    struct vck_rekey rekey;
    struct vck_journal_keys keys;
    uint8_t volume_id[16];
    uint8_t nonce[VCK_REKEY_NONCE_BYTES];
    if (size < 1)
        return 0;
    memset(block, 0, sizeof(block));
    memcpy(block, data + 1, VCK_MIN(size - 1, sizeof(block)));
    if (data[0] & 1)
        wrap(block);
    memcpy(volume_id, block + AT_VOLUME_ID, sizeof(volume_id));
    memcpy(nonce, block + AT_NONCE, sizeof(nonce));
    if (vck_rekey_open(block, volume_id, nonce, vmk, &rekey) != VCK_OK)
        return 0;
    VCK_ASSERT(vck_rekey_seal(&rekey, volume_id, vmk, again) == VCK_OK);
    VCK_ASSERT(memcmp(block, again, sizeof(block)) == 0);
    VCK_ASSERT(vck_rekey_journal_keys(&rekey, volume_id, &keys) == VCK_OK);
    nonce[0] ^= 1;
    VCK_ASSERT(vck_rekey_open(block, volume_id, nonce, vmk, &rekey) == VCK_VALIDATION_FAILED);
    return 0;
}
