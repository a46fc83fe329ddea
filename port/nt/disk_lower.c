/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of an operation:
 *
 *     submit --slot free--> start --> send --> completed --all moved--> give back the slot, done
 *        |                    ^        ^           |
 *        +--> waiting --------+        +-----------+ more to move
 *
 * What starts after a completion starts from deferred work: a completion may come at DISPATCH, and
 * not every request may be sent from there.
 */
#include "port/nt/disk_lower_internal.h"
#include "vck/bytes.h"

/* ---- what an IRP says ---- */

/* A function, because the macro's conversions are not ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void begin_mdl(PMDL mdl, void *from, uint32_t size_bytes)
{
    MmInitializeMdl(mdl, from, size_bytes);
}
#pragma GCC diagnostic pop

/* As MmSizeOfMdl. */
static size_t mdl_size(const void *at, uint64_t size_bytes)
{
    uint64_t pages = ((uintptr_t)at % PAGE_SIZE + size_bytes + PAGE_SIZE - 1) / PAGE_SIZE;

    return sizeof(MDL) + (size_t)pages * sizeof(PFN_NUMBER);
}

static PMDL build_mdl(struct slot *slot)
{
    const struct vck_disk_io *io = slot->io;
    const struct vck_disk_lower_origin *origin = slot->origin;
    uint8_t *at = (uint8_t *)io->buffer + slot->done_bytes;
    PMDL mdl = slot->large_mdl ? slot->large_mdl : slot->mdl;
    uint8_t *from = at;
    ULONG mdl_bytes = origin && origin->mdl ? MmGetMdlByteCount(origin->mdl) : 0;
    bool is_origins = mdl_bytes != 0 && at >= origin->start &&
                      at + slot->piece_bytes <= origin->start + mdl_bytes;

    if (is_origins)
        from = (uint8_t *)MmGetMdlVirtualAddress(origin->mdl) + (at - origin->start);
    begin_mdl(mdl, from, slot->piece_bytes);
    if (is_origins) {
        IoBuildPartialMdl(origin->mdl, mdl, from, slot->piece_bytes);
        return mdl;
    }
    MmBuildMdlForNonPagedPool(mdl);
    /* Done by the call above, except where it is a stub. */
    if (!(mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL)) {
        mdl->MappedSystemVa = at;
        mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    }
    return mdl;
}

static void set_buffer(struct slot *slot)
{
    PIRP irp = slot->irp;
    ULONG flags = slot->disk->device->Flags;

    if (flags & DO_DIRECT_IO)
        irp->MdlAddress = build_mdl(slot);
    else if (flags & DO_BUFFERED_IO)
        irp->AssociatedIrp.SystemBuffer = (uint8_t *)slot->io->buffer + slot->done_bytes;
    irp->UserBuffer = (uint8_t *)slot->io->buffer + slot->done_bytes;
}

static UCHAR transfer_flags(const struct slot *slot)
{
    UCHAR flags = 0;
    PIO_STACK_LOCATION above;

    if (slot->io->op == VCK_DISK_WRITE && (slot->io->flags & VCK_DISK_FUA))
        flags |= SL_WRITE_THROUGH;
    if (!slot->origin)
        return flags;
    above = IoGetCurrentIrpStackLocation(slot->origin->irp);
    if (above->MajorFunction == IRP_MJ_READ || above->MajorFunction == IRP_MJ_WRITE)
        flags |= above->Flags & SL_OVERRIDE_VERIFY_VOLUME;
    if (above->MajorFunction == IRP_MJ_WRITE)
        flags |= above->Flags & SL_FORCE_DIRECT_WRITE;
    return flags;
}

static void set_transfer(struct slot *slot, PIO_STACK_LOCATION next)
{
    const struct vck_disk_io *io = slot->io;

    set_buffer(slot);
    next->Flags = transfer_flags(slot);
    if (io->op == VCK_DISK_READ) {
        next->MajorFunction = IRP_MJ_READ;
        next->Parameters.Read.Length = slot->piece_bytes;
        next->Parameters.Read.ByteOffset.QuadPart = (LONGLONG)(io->offset_bytes + slot->done_bytes);
    } else {
        next->MajorFunction = IRP_MJ_WRITE;
        next->Parameters.Write.Length = slot->piece_bytes;
        next->Parameters.Write.ByteOffset.QuadPart =
            (LONGLONG)(io->offset_bytes + slot->done_bytes);
    }
}

static void set_trim(struct slot *slot, PIO_STACK_LOCATION next)
{
    uint8_t *p = slot->trim;

    memset(p, 0, TRIM_BYTES);
    vck_store_le32(p, TRIM_HEADER_BYTES);
    vck_store_le32(p + 4, DeviceDsmAction_Trim);
    vck_store_le32(p + 20, TRIM_RANGE_OFFSET);
    vck_store_le32(p + 24, TRIM_RANGE_BYTES);
    vck_store_le64(p + TRIM_RANGE_OFFSET, slot->io->offset_bytes);
    vck_store_le64(p + TRIM_RANGE_OFFSET + 8, slot->io->size_bytes);
    slot->irp->AssociatedIrp.SystemBuffer = p;
    next->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    next->Parameters.DeviceIoControl.IoControlCode = IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES;
    next->Parameters.DeviceIoControl.InputBufferLength = TRIM_BYTES;
}

#define CARRIED_FLAGS ((ULONG)(IRP_NOCACHE | IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO))

/* What the request above says about who waits for it, and how much. */
static void carry_over(struct slot *slot)
{
    struct lower_disk *disk = slot->disk;
    PIRP above;

    if (!slot->origin)
        return;
    above = slot->origin->irp;
    slot->irp->Tail.Overlay.Thread = above->Tail.Overlay.Thread;
    if (slot->io->op == VCK_DISK_READ || slot->io->op == VCK_DISK_WRITE)
        slot->irp->Flags |= above->Flags & CARRIED_FLAGS;
    if (disk->get_priority)
        (void)disk->set_priority(slot->irp, disk->get_priority(above));
}

/* ---- going down and coming back ---- */

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP irp, PVOID context);

static void send(struct slot *slot)
{
    PIRP irp = slot->irp;
    PIO_STACK_LOCATION next;

    IoReuseIrp(irp, STATUS_NOT_SUPPORTED);
    next = IoGetNextIrpStackLocation(irp);
    switch (slot->io->op) {
    case VCK_DISK_READ:
    case VCK_DISK_WRITE:
        set_transfer(slot, next);
        break;
    case VCK_DISK_FLUSH:
        next->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
        break;
    case VCK_DISK_DISCARD:
        set_trim(slot, next);
        break;
    }
    carry_over(slot);
    IoSetCompletionRoutine(irp, completed, slot, TRUE, TRUE, TRUE);
    /* The result comes to `completed`, perhaps before the call returns. */
    (void)IoCallDriver(slot->disk->device, irp);
}

static void size_piece(struct slot *slot)
{
    uint64_t left = slot->io->size_bytes - slot->done_bytes;

    slot->piece_bytes = (uint32_t)(slot->large_mdl ? left : VCK_MIN(left, RESERVED_BYTES));
}

static void start(struct slot *slot, struct vck_disk_io *io)
{
    const struct vck_disk_lower_options *options = &slot->disk->options;
    bool is_transfer = io->op == VCK_DISK_READ || io->op == VCK_DISK_WRITE;

    slot->io = io;
    slot->origin = options->origin ? options->origin(options->context, io) : NULL;
    slot->done_bytes = 0;
    slot->large_mdl = NULL;
    /* One IRP where memory can be had, and several where it cannot. */
    if (is_transfer && io->size_bytes > RESERVED_BYTES)
        slot->large_mdl = vck_alloc(mdl_size(io->buffer, io->size_bytes), DISK_LOWER_TAG);
    size_piece(slot);
    send(slot);
}

static void start_deferred(struct vck_work *work)
{
    struct slot *slot = VCK_CONTAINER_OF(work, struct slot, work);

    start(slot, slot->io);
}

static void continue_deferred(struct vck_work *work)
{
    struct slot *slot = VCK_CONTAINER_OF(work, struct slot, work);

    size_piece(slot);
    send(slot);
}

/* To whoever waits longest, or to the free ones. */
static void give_back(struct slot *slot)
{
    struct lower_disk *disk = slot->disk;
    struct vck_disk_io *next;

    vck_free(slot->large_mdl);
    slot->large_mdl = NULL;
    vck_spinlock_acquire(&disk->lock);
    next = disk->waiting;
    if (next) {
        disk->waiting = next->port[0];
    } else {
        slot->next = disk->free;
        disk->free = slot;
    }
    vck_spinlock_release(&disk->lock);
    if (next) {
        slot->io = next;
        vck_defer(&slot->work, start_deferred);
    }
}

static vck_status status_of(enum vck_disk_op op, NTSTATUS nt_status)
{
    vck_status status;

    if (NT_SUCCESS(nt_status))
        return VCK_OK;
    if (op == VCK_DISK_DISCARD && nt_status == STATUS_INVALID_DEVICE_REQUEST)
        return VCK_UNSUPPORTED;
    status = vck_status_from_nt((uint32_t)nt_status);
    switch (status) {
    case VCK_READ_ONLY:
    case VCK_DISK_FULL:
    case VCK_OUT_OF_RANGE:
        return status;
    case VCK_UNSUPPORTED:
        return op == VCK_DISK_DISCARD ? status : VCK_IO;
    default:
        return VCK_IO;
    }
}

static NTSTATUS result_of(const struct slot *slot)
{
    const IO_STATUS_BLOCK *result = &slot->irp->IoStatus;
    bool is_transfer = slot->io->op == VCK_DISK_READ || slot->io->op == VCK_DISK_WRITE;

    if (NT_SUCCESS(result->Status) && is_transfer && result->Information != slot->piece_bytes)
        return STATUS_UNEXPECTED_IO_ERROR;
    return result->Status;
}

static void note_failure(struct slot *slot, NTSTATUS nt_status)
{
    NTSTATUS none = 0;

    if (slot->origin)
        (void)__atomic_compare_exchange_n(&slot->origin->nt_status, &none, nt_status, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The disk may be closed once the opener knows. */
static void deliver(const struct lower_disk *disk, struct vck_disk_io *io,
                    struct vck_disk_lower_origin *origin)
{
    if (origin && disk->options.arrived)
        disk->options.arrived(disk->options.context, origin, io);
    else
        io->done(io);
}

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct slot *slot = context;
    struct vck_disk_io *io = slot->io;
    struct vck_disk_lower_origin *origin = slot->origin;
    const struct lower_disk *disk = slot->disk;
    NTSTATUS nt_status = result_of(slot);

    (void)device;
    if (irp->MdlAddress)
        MmPrepareMdlForReuse(irp->MdlAddress);
    irp->MdlAddress = NULL;
    if (!NT_SUCCESS(nt_status))
        note_failure(slot, nt_status);
    slot->done_bytes += slot->piece_bytes;
    if (NT_SUCCESS(nt_status) && slot->piece_bytes != 0 && slot->done_bytes < io->size_bytes &&
        io->op != VCK_DISK_DISCARD) {
        vck_defer(&slot->work, continue_deferred);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    io->status = status_of(io->op, nt_status);
    give_back(slot);
    deliver(disk, io, origin);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void lower_submit(struct vck_disk *vck_disk, struct vck_disk_io *io)
{
    struct lower_disk *disk = VCK_CONTAINER_OF(vck_disk, struct lower_disk, disk);
    struct slot *slot;

    vck_spinlock_acquire(&disk->lock);
    slot = disk->free;
    if (slot) {
        disk->free = slot->next;
    } else {
        io->port[0] = NULL;
        if (disk->waiting)
            disk->waiting_last->port[0] = io;
        else
            disk->waiting = io;
        disk->waiting_last = io;
    }
    vck_spinlock_release(&disk->lock);
    if (slot)
        start(slot, io);
}

/* ---- opening and closing ---- */

static void free_disk(struct lower_disk *disk)
{
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        if (disk->slots[i].irp)
            IoFreeIrp(disk->slots[i].irp);
        vck_free(disk->slots[i].mdl);
    }
    ObDereferenceObject(disk->device);
    vck_free(disk);
}

/* Called through a pointer, at PASSIVE. */
static void lower_close(struct vck_disk *vck_disk)
{
    struct lower_disk *disk = VCK_CONTAINER_OF(vck_disk, struct lower_disk, disk);
    struct vck_disk_lower_options options = disk->options;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    free_disk(disk);
    if (options.closed)
        options.closed(options.context);
}

static const struct vck_disk_ops lower_ops = {
    .submit = lower_submit,
    .query_size = lower_disk_size,
    .close = lower_close,
};

static vck_status make_slots(struct lower_disk *disk)
{
    /* From the last byte of a page: as many pages as any buffer of the size can touch. */
    size_t mdl_bytes = mdl_size((const void *)(uintptr_t)(PAGE_SIZE - 1), RESERVED_BYTES);

    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &disk->slots[i];

        slot->disk = disk;
        slot->irp = IoAllocateIrp(disk->device->StackSize, FALSE);
        slot->mdl = vck_alloc(mdl_bytes, DISK_LOWER_TAG);
        if (!slot->irp || !slot->mdl)
            return VCK_NO_MEMORY;
        slot->next = disk->free;
        disk->free = slot;
    }
    return VCK_OK;
}

static uintptr_t find_routine(const WCHAR *name)
{
    UNICODE_STRING string;

    RtlInitUnicodeString(&string, name);
    return (uintptr_t)MmGetSystemRoutineAddress(&string);
}

static void find_optional(struct lower_disk *disk)
{
    disk->get_priority = (get_priority_fn)find_routine(u"IoGetIoPriorityHint");
    disk->set_priority = (set_priority_fn)find_routine(u"IoSetIoPriorityHint");
    if (!disk->set_priority)
        disk->get_priority = NULL;
}

static void copy_name(struct lower_disk *disk, const char *name)
{
    size_t length = VCK_MIN(strlen(name), sizeof disk->disk.name - 1);

    memcpy(disk->disk.name, name, length);
}

vck_status vck_disk_lower_open(PDEVICE_OBJECT device, const struct vck_disk_lower_options *options,
                               struct vck_disk **ret_disk)
{
    struct lower_disk *disk = vck_alloc(sizeof *disk, DISK_LOWER_TAG);
    vck_status status;

    if (!disk)
        return VCK_NO_MEMORY;
    ObReferenceObject(device);
    disk->device = device;
    disk->options = *options;
    disk->disk.ops = &lower_ops;
    vck_spinlock_init(&disk->lock);
    copy_name(disk, options->name ? options->name : "device");
    find_optional(disk);
    status = make_slots(disk);
    if (status == VCK_OK)
        status = lower_disk_describe(disk);
    if (status) {
        free_disk(disk);
        return status;
    }
    *ret_disk = &disk->disk;
    return VCK_OK;
}
