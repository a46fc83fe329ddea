/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_sweep.h"

vck_status vck_volume_change_metadata(struct vck_volume *volume,
                                      vck_status (*work)(void *context,
                                                         struct vck_volume_metadata *metadata),
                                      void *context)
{
    struct vck_volume_metadata metadata = {0};
    vck_status status = VCK_OK;
    bool goes_on;

    vck_mutex_acquire(&volume->control);
    if (volume->detached)
        status = VCK_DELETED;
    else if (__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE))
        status = VCK_IO;
    if (status == VCK_OK) {
        goes_on = volume_sweep_hold(volume);
        metadata.disk = volume->disk;
        if (volume->has_config && volume->config.offset_store)
            metadata.store = volume->config.offset_store->store;
        status = work(context, &metadata);
        if (metadata.flush_failed)
            volume_note_flush_failure(volume);
        else
            volume_sweep_let_go(volume, goes_on);
    }
    vck_mutex_release(&volume->control);
    return status;
}
