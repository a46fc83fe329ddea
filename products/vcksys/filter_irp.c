/* SPDX-License-Identifier: Apache-2.0 */
/* One IRP in a lane: which requests it is made of, and how it completes. */
#include "products/vcksys/filter_internal.h"

static NTSTATUS find_buffer(struct lane *lane, ULONG size_bytes, uint8_t **ret_buffer)
{
    PIRP irp = lane->irp;
    PMDL mdl = irp->MdlAddress;

    lane->origin.mdl = mdl;
    if (!mdl) {
        *ret_buffer = irp->AssociatedIrp.SystemBuffer;
        return *ret_buffer || size_bytes == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if (MmGetMdlByteCount(mdl) < size_bytes)
        return STATUS_INVALID_PARAMETER;
    *ret_buffer = MmGetSystemAddressForMdlSafe(mdl, HighPagePriority | MdlMappingNoExecute);
    lane->origin.start = *ret_buffer;
    if (*ret_buffer)
        return STATUS_SUCCESS;
    lane->is_pieced = (irp->Flags & IRP_PAGING_IO) != 0;
    return lane->is_pieced ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static void init_transfer(struct lane *lane, uint32_t from, void *buffer, uint32_t size_bytes)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(lane->irp);
    bool is_read = stack->MajorFunction == IRP_MJ_READ;
    LONGLONG offset_bytes = is_read ? stack->Parameters.Read.ByteOffset.QuadPart
                                    : stack->Parameters.Write.ByteOffset.QuadPart;
    unsigned flags = !is_read && (stack->Flags & SL_WRITE_THROUGH) ? VCK_REQUEST_FUA : 0;

    vck_request_init(&lane->request, lane->filter->binding->volume,
                     is_read ? VCK_REQUEST_READ : VCK_REQUEST_WRITE, flags,
                     (uint64_t)offset_bytes + from, buffer, size_bytes);
}

uint32_t lane_transfer_bytes(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    return stack->MajorFunction == IRP_MJ_READ ? stack->Parameters.Read.Length
                                               : stack->Parameters.Write.Length;
}

/* With the reserve. */
static void begin_piece(struct lane *lane)
{
    struct reserve *reserve = &lane->filter->binding->reserve;

    lane->piece_bytes = VCK_MIN(lane_transfer_bytes(lane->irp) - lane->done_bytes, RESERVE_BYTES);
    lane->origin.start =
        reserve_map(reserve, lane->irp->MdlAddress, lane->done_bytes, lane->piece_bytes);
    lane->origin.mdl = reserve->mdl;
    init_transfer(lane, lane->done_bytes, lane->origin.start, lane->piece_bytes);
}

/* The piece is ready. True: another is under way. */
static bool go_to_next_piece(struct lane *lane, bool is_good)
{
    struct reserve *reserve = &lane->filter->binding->reserve;

    reserve_unmap(reserve);
    lane->done_bytes += lane->piece_bytes;
    lane->piece_bytes = 0;
    if (is_good && lane->done_bytes < lane_transfer_bytes(lane->irp)) {
        begin_piece(lane);
        return true;
    }
    reserve_give_back(reserve, &lane->holder);
    return false;
}

/* A piece is under way, or the whole needs none. False: the reserve is somebody else's. */
static bool is_mapped(struct lane *lane)
{
    if (!lane->is_pieced || lane->piece_bytes != 0)
        return true;
    if (!reserve_take(&lane->filter->binding->reserve, &lane->holder))
        return false;
    begin_piece(lane);
    return true;
}

static NTSTATUS begin_transfer(struct lane *lane)
{
    uint32_t size_bytes = lane_transfer_bytes(lane->irp);
    uint8_t *buffer = NULL;
    NTSTATUS nt_status = find_buffer(lane, size_bytes, &buffer);

    if (NT_SUCCESS(nt_status) && !lane->is_pieced)
        init_transfer(lane, 0, buffer, size_bytes);
    return nt_status;
}

/* The next range that is not empty after clipping. False: none is left. */
static bool begin_next_trim(struct lane *lane)
{
    const struct binding *binding = lane->filter->binding;
    uint32_t count = lane->trim.whole ? 1 : lane->trim.count;

    while (lane->trim_next < count) {
        uint64_t offset_bytes;
        uint64_t size_bytes;

        view_trim_range(&binding->view, &lane->trim, lane->trim_next++, &offset_bytes, &size_bytes);
        if (size_bytes == 0)
            continue;
        vck_request_init(&lane->request, binding->volume, VCK_REQUEST_DISCARD, 0, offset_bytes,
                         NULL, size_bytes);
        return true;
    }
    return false;
}

static NTSTATUS begin_trim(struct lane *lane, const IO_STACK_LOCATION *stack, bool *ret_has_request)
{
    vck_status status =
        view_trim_parse(lane->irp->AssociatedIrp.SystemBuffer,
                        stack->Parameters.DeviceIoControl.InputBufferLength, &lane->trim);

    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    lane->trim_next = 0;
    if (!vck_volume_can_discard(lane->filter->binding->volume))
        return STATUS_NOT_SUPPORTED;
    *ret_has_request = begin_next_trim(lane);
    return STATUS_SUCCESS;
}

/* The first request of the lane's IRP. Without one the IRP's result is what is returned. */
static NTSTATUS begin(struct lane *lane, bool *ret_has_request)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(lane->irp);
    NTSTATUS nt_status;

    lane->origin = (struct vck_disk_lower_origin){.irp = lane->irp};
    lane->is_pieced = false;
    lane->piece_bytes = 0;
    lane->done_bytes = 0;
    *ret_has_request = false;
    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        nt_status = begin_transfer(lane);
        break;
    case IRP_MJ_FLUSH_BUFFERS:
        vck_request_init(&lane->request, lane->filter->binding->volume, VCK_REQUEST_FLUSH, 0, 0,
                         NULL, 0);
        nt_status = STATUS_SUCCESS;
        break;
    default:
        return begin_trim(lane, stack, ret_has_request);
    }
    *ret_has_request = NT_SUCCESS(nt_status);
    return nt_status;
}

/* The hold on `bound` is given back by whoever has brought the lane to rest. */
static void finish(struct lane *lane, NTSTATUS nt_status, ULONG_PTR information)
{
    PIRP irp = lane->irp;

    lane->irp = NULL;
    irp->IoStatus.Status = nt_status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
}

/* What the device below said, where the failure is one of the device. */
static NTSTATUS result_of(const struct lane *lane)
{
    NTSTATUS below = __atomic_load_n(&lane->origin.nt_status, __ATOMIC_RELAXED);

    if (lane->request.status == VCK_OK)
        return STATUS_SUCCESS;
    if (below && lane->request.status != VCK_DAMAGED)
        return below;
    return (NTSTATUS)vck_status_to_nt(lane->request.status);
}

/* The request is ready: the next one of the IRP, or its end. True: the IRP has ended. */
static bool advance(struct lane *lane)
{
    NTSTATUS nt_status = result_of(lane);
    enum vck_request_op op = lane->request.op;

    if (NT_SUCCESS(nt_status) && op == VCK_REQUEST_DISCARD && begin_next_trim(lane))
        return false;
    if (lane->is_pieced && go_to_next_piece(lane, NT_SUCCESS(nt_status)))
        return false;
    finish(lane, nt_status,
           NT_SUCCESS(nt_status) && op <= VCK_REQUEST_WRITE ? lane_transfer_bytes(lane->irp) : 0);
    return true;
}

bool lane_begin_irp(struct lane *lane)
{
    bool has_request;
    NTSTATUS nt_status = begin(lane, &has_request);

    if (!has_request)
        finish(lane, nt_status, 0);
    return has_request;
}

enum vck_poll lane_go_on(struct lane *lane)
{
    do {
        if (!is_mapped(lane) || vck_future_poll(&lane->request.future, &lane->waker) == VCK_PENDING)
            return VCK_PENDING;
    } while (!advance(lane));
    return VCK_READY;
}
