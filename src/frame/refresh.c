/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an adapter is asked when it has been opened and when it restarts, one request after the
 * other. Each answer asks for the next step instead of making it, so that adapters that answer at
 * once do not nest.
 */
#include "frame_internal.h"

enum need {
    MUST_HAVE, /* without it the adapter is of no use */
    MAY_LACK,
};

struct question {
    uint32_t oid;
    uint8_t size_bytes;
    uint8_t need; /* enum need */
};

static const struct question questions[] = {
    {VCK_OID_GEN_MEDIA_IN_USE, 4, MUST_HAVE},
    {VCK_OID_GEN_MAXIMUM_FRAME_SIZE, 4, MUST_HAVE},
    {VCK_OID_802_3_CURRENT_ADDRESS, VCK_FRAME_ADDRESS_BYTES, MUST_HAVE},
    {VCK_OID_GEN_MEDIA_CONNECT_STATUS, 4, MAY_LACK},
    {VCK_OID_GEN_LINK_SPEED, 4, MAY_LACK},
    /* Set, not asked: what the opener wanted before the pause. */
    {VCK_OID_GEN_CURRENT_PACKET_FILTER, 4, MAY_LACK},
};

static void end(struct vck_frame_binding *binding, vck_status status)
{
    vck_spinlock_acquire(&binding->lock);
    vck_frame_binding_note(
        binding, vck_frame_state_event(&binding->state, VCK_FRAME_EVENT_REFRESHED, status));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
}

static void answered(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding =
        VCK_CONTAINER_OF(call, struct vck_frame_binding, refresh.call);

    vck_spinlock_acquire(&binding->lock);
    binding->todo |= DO_REFRESH_STEP;
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
}

static uint32_t filter_of(struct vck_frame_binding *binding)
{
    uint32_t filter;

    vck_spinlock_acquire(&binding->lock);
    filter = binding->filter;
    vck_spinlock_release(&binding->lock);
    return filter;
}

static void ask(struct vck_frame_binding *binding)
{
    struct refresh *refresh = &binding->refresh;
    const struct question *question = &questions[refresh->step];

    if (question->oid == VCK_OID_GEN_CURRENT_PACKET_FILTER) {
        vck_store_le32(refresh->data, filter_of(binding));
        vck_frame_set_init(&refresh->call, binding, question->oid, refresh->data, 4);
    } else {
        vck_frame_query_init(&refresh->call, binding, question->oid, refresh->data,
                             question->size_bytes);
    }
    refresh->call.done = answered;
    vck_frame_call_start(&refresh->call);
}

void vck_frame_refresh_begin(struct vck_frame_binding *binding)
{
    binding->refresh.step = 0;
    ask(binding);
}

/* Under the lock. */
static vck_status take(struct vck_frame_binding *binding)
{
    struct vck_frame_info *info = &binding->info;
    const uint8_t *data = binding->refresh.data;

    switch (questions[binding->refresh.step].oid) {
    case VCK_OID_GEN_MEDIA_IN_USE:
        return vck_load_le32(data) == VCK_FRAME_MEDIUM_ETHERNET ? VCK_OK : VCK_UNSUPPORTED;
    case VCK_OID_GEN_MAXIMUM_FRAME_SIZE:
        info->mtu_bytes = vck_load_le32(data);
        break;
    case VCK_OID_802_3_CURRENT_ADDRESS:
        memcpy(info->address, data, VCK_FRAME_ADDRESS_BYTES);
        break;
    case VCK_OID_GEN_MEDIA_CONNECT_STATUS:
        info->link.is_known = true;
        info->link.is_up = vck_load_le32(data) == 0;
        break;
    case VCK_OID_GEN_LINK_SPEED:
        info->link.bits_per_s = (uint64_t)vck_load_le32(data) * 100;
        break;
    default:
        break;
    }
    return VCK_OK;
}

static vck_status take_answer(struct vck_frame_binding *binding)
{
    const struct question *question = &questions[binding->refresh.step];
    const struct vck_frame_call *call = &binding->refresh.call;
    vck_status status = call->status;

    if (status == VCK_OK && call->request_type == VCK_FRAMES_QUERY &&
        call->done_bytes != question->size_bytes)
        status = VCK_SIZE_MISMATCH;
    if (status == VCK_OK) {
        vck_spinlock_acquire(&binding->lock);
        status = take(binding);
        vck_spinlock_release(&binding->lock);
    }
    if (status && question->need == MAY_LACK && status != VCK_CANCELLED && status != VCK_DELETED)
        status = VCK_OK;
    return status;
}

void vck_frame_refresh_step(struct vck_frame_binding *binding)
{
    struct refresh *refresh = &binding->refresh;
    vck_status status = take_answer(binding);

    refresh->step++;
    if (status == VCK_OK && refresh->step < VCK_ARRAY_COUNT(questions) - (filter_of(binding) == 0))
        ask(binding);
    else
        end(binding, status);
}
