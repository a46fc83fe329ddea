/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"
#include "port/nt/name.h"
#include "vck/bytes.h"
#include "vck/log.h"

#define PLACE_TAG VCK_TAG('V', 'p', 'l', 'c')

static struct {
    struct vck_mutex lock;
    struct vck_link list;
} places;

void places_start(void)
{
    vck_mutex_init(&places.lock);
    vck_link_init(&places.list);
}

void places_stop(void)
{
    VCK_ASSERT(vck_list_is_empty(&places.list));
    vck_mutex_fini(&places.lock);
}

struct place *place_create(void)
{
    struct place *place = vck_alloc(sizeof(*place), PLACE_TAG);

    if (!place)
        return NULL;
    place->thread_id = vck_thread_id();
    vck_mutex_acquire(&places.lock);
    vck_list_push_back(&places.list, &place->link);
    vck_mutex_release(&places.lock);
    return place;
}

struct place *place_find(void)
{
    struct place *found = NULL;
    uint32_t id = vck_thread_id();

    vck_mutex_acquire(&places.lock);
    VCK_LIST_FOR_EACH(link, next, &places.list)
    {
        struct place *place = VCK_CONTAINER_OF(link, struct place, link);

        if (place->thread_id == id)
            found = place;
    }
    vck_mutex_release(&places.lock);
    return found;
}

void place_destroy(struct place *place)
{
    if (!place)
        return;
    vck_mutex_acquire(&places.lock);
    vck_link_remove(&place->link);
    vck_mutex_release(&places.lock);
    if (place->filter && !place->is_borrowed)
        filter_release(place->filter);
    volume_handle_close(&place->volume);
    vck_free(place);
}

vck_status place_find_filter(const char *nt_path, struct filter **ret_filter)
{
    struct vck_nt_name *name = vck_alloc(sizeof(*name), PLACE_TAG);
    vck_status status;

    if (!name)
        return VCK_NO_MEMORY;
    status = vck_nt_name_set(name, nt_path);
    if (status == VCK_OK)
        status = filter_find_by_name(&name->string, ret_filter);
    vck_free(name);
    return status == VCK_OK || status == VCK_NO_MEMORY ? status : VCK_NOT_FOUND;
}

static vck_status explain(struct vck_explanation *ret_why, vck_status status, const char *nt_path,
                          const char *what)
{
    vck_format(ret_why->text, sizeof(ret_why->text), "%s %s: %s", nt_path, what,
               vck_status_text(status));
    return status;
}

/* A filesystem that nobody uses is mounted afresh when the volume is in place: it may be one that
 * found nothing it knows in the ciphertext. One that is in use stays: what it sees stays the same.
 */
static void dismount_if_unused(struct place *place, const char *nt_path) VCK_CAN_WAIT
{
    if (volume_handle_open(nt_path, &place->volume))
        return;
    if (volume_handle_dismount(&place->volume))
        volume_handle_close(&place->volume);
}

/* What cannot hold a volume keeps its stack as it is. */
static bool is_disk(const DEVICE_OBJECT *device)
{
    return device->DeviceType == FILE_DEVICE_DISK || device->DeviceType == FILE_DEVICE_VIRTUAL_DISK;
}

static vck_status use_device(struct place *place, PDEVICE_OBJECT device) VCK_CAN_WAIT
{
    vck_status status;

    if (!is_disk(device))
        return VCK_UNSUPPORTED;
    status = filter_find(device, &place->filter);
    if (status != VCK_NOT_FOUND)
        return status;
    status = filter_attach_to(device, &place->filter);
    place->is_new = status == VCK_OK;
    return status;
}

static vck_status lock_and_attach(struct place *place, const char *nt_path,
                                  struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    PDEVICE_OBJECT device = NULL;
    vck_status status = volume_handle_open(nt_path, &place->volume);

    if (status)
        return explain(ret_why, status, nt_path, "cannot be opened");
    status = volume_handle_dismount(&place->volume);
    if (status)
        return explain(ret_why, status, nt_path, "is in use and cannot be locked");
    status = volume_handle_device(&place->volume, &device);
    if (status)
        return explain(ret_why, status, nt_path, "has no device");
    status = use_device(place, device);
    ObDereferenceObject(device);
    return status ? explain(ret_why, status, nt_path, "takes no filter") : VCK_OK;
}

vck_status place_fill(struct place *place, const char *nt_path, struct vck_explanation *ret_why)
{
    vck_status status = place_find_filter(nt_path, &place->filter);

    if (status == VCK_OK)
        dismount_if_unused(place, nt_path);
    else if (status == VCK_NOT_FOUND)
        status = lock_and_attach(place, nt_path, ret_why);
    if (status == VCK_OK)
        place->refused_writes = filter_refuses_writes(place->filter);
    return status;
}

void place_take_back(struct place *place)
{
    if (!place->filter)
        return;
    filter_set_write_refusal(place->filter, place->refused_writes);
    if (place->is_new && filter_detach(place->filter) == VCK_OK)
        place->filter = NULL;
}
