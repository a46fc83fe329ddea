/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_handover: any bytes as a handover's payload. What is taken comes back when it is written and
 * read again, the input is wiped whatever it was, and nothing is left allocated.
 */
#include "port/port.h"
#include "vck/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct vck_handover *handover)
{
    static uint8_t out[VCK_HANDOVER_ENCODED_BYTES_MAX];
    struct vck_handover again;
    size_t size_bytes;
    VCK_ASSERT(handover->vmk.size_bytes > 0);
    VCK_ASSERT(handover->vmk.size_bytes <= VCK_HANDOVER_VMK_BYTES_MAX);
    VCK_ASSERT(vck_handover_matches(handover, &handover->partition_guid));
    VCK_ASSERT(vck_handover_encode(handover, out, sizeof(out), &size_bytes) == VCK_OK);
    VCK_ASSERT(vck_handover_take(out, size_bytes, &again) == VCK_OK);
    VCK_ASSERT(vck_all_zero(out, sizeof(out)));
    VCK_ASSERT(vck_guid_equal(&again.partition_guid, &handover->partition_guid));
    VCK_ASSERT(again.vmk.size_bytes == handover->vmk.size_bytes);
    VCK_ASSERT(memcmp(again.vmk.data, handover->vmk.data, again.vmk.size_bytes) == 0);
    vck_handover_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[VCK_HANDOVER_BYTES_MAX + 1];
    struct vck_handover handover, taken;
    struct vck_bytes input = {data, size};
    if (size > sizeof(copy))
        return 0;
    memcpy(copy, data, size);
    vck_status status = vck_handover_decode(input, &handover);
    VCK_ASSERT(vck_handover_take(copy, size, &taken) == status);
    VCK_ASSERT(vck_all_zero(copy, size));
    if (status == VCK_OK) {
        check_round_trip(&handover);
        vck_handover_fini(&handover);
        vck_handover_fini(&taken);
    }
    VCK_ASSERT(vck_alloc_live_count() == 0);
    return 0;
}
