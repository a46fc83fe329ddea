/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_internal.h"

/* Memory for the queue is made outside of the lock, by who has claimed the binding. */
static vck_status claim(struct vck_frame_binding *binding, struct vck_frame_opener *opener)
{
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&binding->lock);
    if (!vck_frame_state_takes_news(&binding->state))
        status = VCK_DELETED;
    else if (binding->opener || binding->lent_count > 0)
        status = VCK_BUSY;
    else
        binding->opener = opener;
    vck_spinlock_release(&binding->lock);
    return status;
}

static void unclaim(struct vck_frame_binding *binding)
{
    vck_spinlock_acquire(&binding->lock);
    binding->opener = NULL;
    vck_spinlock_release(&binding->lock);
}

vck_status vck_frame_open(struct vck_frame_protocol *protocol, struct vck_bytes name,
                          uint16_t ether_type, struct vck_frame_opener *opener)
{
    struct vck_frame_opener placeholder = {.binding = NULL};
    struct vck_frame_binding *binding;
    vck_status status;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (opener->binding)
        return VCK_BUSY;
    status = vck_frame_binding_find(protocol, name, &binding);
    if (status)
        return status;
    /* Frames are taken in for an opener: one for nobody keeps others out meanwhile. */
    status = claim(binding, &placeholder);
    if (status)
        goto out;
    status = vck_frame_queue_prepare(binding);
    if (status) {
        unclaim(binding);
        goto out;
    }
    opener->ether_type = ether_type;
    opener->binding = binding;
    vck_spinlock_acquire(&binding->lock);
    vck_frame_queue_empty(binding);
    binding->status_count = 0;
    binding->opener = opener;
    vck_spinlock_release(&binding->lock);
    return VCK_OK;
out:
    vck_frame_binding_put(binding);
    return status;
}

void vck_frame_set_ether_type(struct vck_frame_opener *opener, uint16_t ether_type)
{
    struct vck_frame_binding *binding = opener->binding;

    vck_spinlock_acquire(&binding->lock);
    opener->ether_type = ether_type;
    if (binding->opener == opener)
        vck_frame_queue_empty(binding);
    vck_spinlock_release(&binding->lock);
}

void vck_frame_close(struct vck_frame_opener *opener)
{
    struct vck_frame_binding *binding = opener->binding;
    struct vck_link ended;
    struct vck_link *link;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!binding)
        return;
    vck_link_init(&ended);
    vck_spinlock_acquire(&binding->lock);
    binding->opener = NULL;
    binding->filter = 0;
    while ((link = vck_list_pop_front(&binding->reads)) != NULL)
        vck_frame_call_take(link, &ended);
    while ((link = vck_list_pop_front(&binding->status_waits)) != NULL)
        vck_frame_call_take(link, &ended);
    vck_frame_queue_empty(binding);
    if (!vck_list_is_empty(&binding->sends)) {
        binding->todo |= VCK_FRAME_DO_CANCEL_SENDS;
        vck_frame_sends_mark_due(binding);
    }
    vck_spinlock_release(&binding->lock);
    vck_frame_calls_finish(&ended, VCK_CANCELLED);
    vck_frame_binding_work(binding);
    vck_frame_request_forget(binding, VCK_OID_GEN_CURRENT_PACKET_FILTER, 0);
    opener->binding = NULL;
    vck_frame_binding_put(binding);
}
