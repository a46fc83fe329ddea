/* SPDX-License-Identifier: Apache-2.0 */
/* The room: which filters there are, how they come and go. */
#include "products/vcksys/filter_internal.h"
#include "vck/log.h"

static struct {
    struct filter_options options;
    struct vck_mutex lock;
    struct vck_link filters; /* oldest first */
} room;

const struct filter_options *filter_room_options(void)
{
    return &room.options;
}

/* ---- references ---- */

bool filter_reference(struct filter *filter)
{
    return vck_rundown_acquire(&filter->holders);
}

void filter_release(struct filter *filter)
{
    vck_rundown_release(&filter->holders);
}

PDEVICE_OBJECT filter_physical_device(const struct filter *filter)
{
    return filter->physical;
}

PDEVICE_OBJECT filter_lower_device(const struct filter *filter)
{
    return filter->lower;
}

PDEVICE_OBJECT filter_device(const struct filter *filter)
{
    return filter->device;
}

bool filter_is_permanent(const struct filter *filter)
{
    return filter->is_permanent;
}

bool filter_is_device(const DEVICE_OBJECT *device)
{
    const struct filter *filter = device->DeviceExtension;

    return filter && filter->signature == FILTER_SIGNATURE;
}

void filter_set_write_refusal(struct filter *filter, bool refuse)
{
    __atomic_store_n(&filter->refuses_writes, refuse, __ATOMIC_RELEASE);
}

bool filter_refuses_writes(const struct filter *filter)
{
    return __atomic_load_n(&filter->refuses_writes, __ATOMIC_ACQUIRE) != 0;
}

bool filter_refuses_now(const struct filter *filter, bool is_bound)
{
    return filter_refuses_writes(filter) &&
           (!is_bound || vck_volume_is_provisional(filter->binding->volume));
}

/* ---- coming ---- */

#define COPIED_FLAGS ((ULONG)(DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE | DO_POWER_INRUSH))
#define COPIED_CHARACTERISTICS                                                                     \
    ((ULONG)(FILE_REMOVABLE_MEDIA | FILE_READ_ONLY_DEVICE | FILE_FLOPPY_DISKETTE |                 \
             FILE_WRITE_ONCE_MEDIA | FILE_DEVICE_SECURE_OPEN | FILE_CHARACTERISTIC_PNP_DEVICE))

void filter_copy_device(struct filter *filter)
{
    PDEVICE_OBJECT device = filter->device;
    const DEVICE_OBJECT *lower = filter->lower;

    device->DeviceType = lower->DeviceType;
    device->Flags |= lower->Flags & COPIED_FLAGS;
    device->Characteristics |= lower->Characteristics & COPIED_CHARACTERISTICS;
    device->AlignmentRequirement = lower->AlignmentRequirement;
    device->SectorSize = lower->SectorSize;
}

static void init_filter(struct filter *filter, PDEVICE_OBJECT device, PDEVICE_OBJECT physical,
                        bool is_permanent) VCK_CAN_WAIT
{
    filter->is_permanent = is_permanent;
    filter->device = device;
    filter->physical = physical;
    vck_link_init(&filter->link);
    vck_rundown_init(&filter->dispatches);
    vck_rundown_init(&filter->holders);
    vck_rundown_init(&filter->bound);
    vck_rundown_wait(&filter->bound);
    vck_mutex_init(&filter->control);
    vck_spinlock_init(&filter->state);
    vck_irp_queue_init(&filter->queue, filter_irp_cancelled);
    vck_spinlock_init(&filter->idle_lock);
    vck_link_init(&filter->idle);
    filter->signature = FILTER_SIGNATURE;
}

static vck_status create(PDEVICE_OBJECT physical, bool is_permanent,
                         struct filter **ret_filter) VCK_CAN_WAIT
{
    PDEVICE_OBJECT device = NULL;
    struct filter *filter;
    bool is_referenced;

    if (!NT_SUCCESS(IoCreateDevice(room.options.driver, sizeof *filter, NULL, physical->DeviceType,
                                   FILE_DEVICE_SECURE_OPEN, FALSE, &device)))
        return VCK_NO_MEMORY;
    filter = device->DeviceExtension;
    init_filter(filter, device, physical, is_permanent);
    /* Sets filter->lower before the first IRP can come. */
    if (!NT_SUCCESS(IoAttachDeviceToDeviceStackSafe(device, physical, &filter->lower))) {
        vck_mutex_fini(&filter->control);
        IoDeleteDevice(device);
        return VCK_IO;
    }
    filter_copy_device(filter);
    is_referenced = filter_reference(filter);
    VCK_ASSERT(is_referenced);
    vck_mutex_acquire(&room.lock);
    vck_list_push_back(&room.filters, &filter->link);
    *ret_filter = filter;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    vck_mutex_release(&room.lock);
    return VCK_OK;
}

/* Called by the system, at PASSIVE. */
NTSTATUS NTAPI filter_add_device(PDRIVER_OBJECT driver,
                                 PDEVICE_OBJECT physical_device) VCK_NO_ANALYSIS
{
    struct filter *filter = NULL;
    vck_status status = create(physical_device, true, &filter);

    (void)driver;
    if (status == VCK_OK)
        filter_release(filter);
    else
        vck_log(VCK_LOG_ERROR, "a device goes without filter: %s", vck_status_text(status));
    return STATUS_SUCCESS;
}

vck_status filter_attach_to(PDEVICE_OBJECT device, struct filter **ret_filter)
{
    return create(device, false, ret_filter);
}

/* ---- going ---- */

void filter_leave(struct filter *filter)
{
    vck_mutex_acquire(&room.lock);
    vck_link_remove(&filter->link);
    vck_mutex_release(&room.lock);
    vck_spinlock_acquire(&filter->state);
    filter->is_leaving = true;
    vck_spinlock_release(&filter->state);
}

void filter_wait_for_holders(struct filter *filter)
{
    vck_rundown_wait(&filter->holders);
}

void filter_delete(struct filter *filter)
{
    PDEVICE_OBJECT device = filter->device;

    vck_mutex_fini(&filter->control);
    filter->signature = 0;
    IoDeleteDevice(device);
}

/* Nobody binds from here on, unless it is refused. */
static vck_status begin_detach(struct filter *filter)
{
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&filter->state);
    if (filter->binding || filter->has_disk || filter->is_leaving || filter->device->AttachedDevice)
        status = VCK_BUSY;
    else
        filter->is_leaving = true;
    vck_spinlock_release(&filter->state);
    return status;
}

static void take_out_of_stack(struct filter *filter) VCK_CAN_WAIT
{
    __atomic_store_n(&filter->is_detached, 1, __ATOMIC_RELEASE);
    IoDetachDevice(filter->lower);
    vck_rundown_wait(&filter->dispatches);
    filter_delete(filter);
}

vck_status filter_detach(struct filter *filter)
{
    vck_status status;

    if (filter->is_permanent)
        return VCK_UNSUPPORTED;
    status = begin_detach(filter);
    if (status)
        return status;
    filter_leave(filter);
    filter_release(filter);
    filter_wait_for_holders(filter);
    take_out_of_stack(filter);
    return VCK_OK;
}

/* ---- finding ---- */

/* The first, referenced, for which matches(filter, what) is true. */
static vck_status find(bool (*matches)(struct filter *filter, const void *what), const void *what,
                       struct filter **ret_filter) VCK_CAN_WAIT
{
    vck_status status = VCK_NOT_FOUND;

    vck_mutex_acquire(&room.lock);
    VCK_LIST_FOR_EACH(link, next_link, &room.filters)
    {
        struct filter *filter = VCK_CONTAINER_OF(link, struct filter, link);

        if (!matches(filter, what) || !filter_reference(filter))
            continue;
        *ret_filter = filter;
        status = VCK_OK;
        break;
    }
    vck_mutex_release(&room.lock);
    return status;
}

/* Devices with the same top are in the same stack. */
static bool has_top(struct filter *filter, const void *what)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(filter->device);

    ObDereferenceObject(top);
    return top == what;
}

vck_status filter_find(PDEVICE_OBJECT device, struct filter **ret_filter)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(device);
    vck_status status = find(has_top, top, ret_filter);

    ObDereferenceObject(top);
    return status;
}

#define NAME_BYTES 1024u

static bool has_name(struct filter *filter, const void *what)
{
    OBJECT_NAME_INFORMATION *info = vck_alloc(NAME_BYTES, FILTER_TAG);
    ULONG length = 0;
    bool same = info &&
                NT_SUCCESS(ObQueryNameString(filter->physical, info, NAME_BYTES, &length)) &&
                RtlEqualUnicodeString((PUNICODE_STRING)(uintptr_t)what, &info->Name, TRUE);

    vck_free(info);
    return same;
}

vck_status filter_find_by_name(PCUNICODE_STRING name, struct filter **ret_filter)
{
    return find(has_name, name, ret_filter);
}

static bool has_volume(struct filter *filter, const void *what)
{
    bool same;

    vck_spinlock_acquire(&filter->state);
    same = filter->binding && filter->binding->volume == what;
    vck_spinlock_release(&filter->state);
    return same;
}

vck_status filter_find_by_volume(const struct vck_volume *volume, struct filter **ret_filter)
{
    return find(has_volume, volume, ret_filter);
}

static bool is_at(struct filter *filter, const void *what)
{
    uint32_t *left = (uint32_t *)(uintptr_t)what;

    (void)filter;
    return (*left)-- == 0;
}

vck_status filter_at(uint32_t index, struct filter **ret_filter)
{
    uint32_t left = index;

    return find(is_at, &left, ret_filter) == VCK_OK ? VCK_OK : VCK_OUT_OF_RANGE;
}

/* ---- the room ---- */

void filter_start(const struct filter_options *options)
{
    room.options = *options;
    if (room.options.lanes == 0)
        room.options.lanes = FILTER_LANES_DEFAULT;
    room.options.lanes = VCK_MIN(room.options.lanes, FILTER_LANES_MAX);
    vck_mutex_init(&room.lock);
    vck_link_init(&room.filters);
}

void filter_stop(void)
{
    struct filter *filter;

    while (filter_at(0, &filter) == VCK_OK) {
        VCK_ASSERT(!filter->binding && !filter->has_disk);
        filter_leave(filter);
        filter_release(filter);
        filter_wait_for_holders(filter);
        take_out_of_stack(filter);
    }
    vck_mutex_fini(&room.lock);
}
