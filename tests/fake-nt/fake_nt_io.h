/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_nt_io: devices, IRPs and MDLs. Included by fake_nt.h only. Fields a driver has no business
 * with begin with fake_.
 */
#ifndef VCK_FAKE_NT_IO_H
#define VCK_FAKE_NT_IO_H

struct fake_call;
struct fake_requestor;
typedef struct irp IRP, *PIRP;
typedef struct device_object DEVICE_OBJECT, *PDEVICE_OBJECT;
typedef struct driver_object DRIVER_OBJECT, *PDRIVER_OBJECT;
typedef struct file_object FILE_OBJECT, *PFILE_OBJECT;
typedef struct fake_thread *PETHREAD;

/* ---- memory descriptor lists ---- */

#define PAGE_SIZE 4096u

#define MDL_MAPPED_TO_SYSTEM_VA     0x0001
#define MDL_PAGES_LOCKED            0x0002
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004
#define MDL_PARTIAL                 0x0010
#define MDL_PARTIAL_HAS_BEEN_MAPPED 0x0020

#define HighPagePriority    32
#define NormalPagePriority  16
#define MdlMappingNoExecute 0x40000000

typedef ULONG_PTR PFN_NUMBER;

typedef enum { MmNonCached, MmCached } MEMORY_CACHING_TYPE;

/* The page numbers follow. */
typedef struct mdl {
    struct mdl *Next;
    CSHORT Size;
    CSHORT MdlFlags;
    PVOID Process;
    PVOID MappedSystemVa;
    PVOID StartVa;
    ULONG ByteCount;
    ULONG ByteOffset;
} MDL, *PMDL;

void MmInitializeMdl(PMDL mdl, PVOID base, SIZE_T length);
void MmBuildMdlForNonPagedPool(PMDL mdl);
void IoBuildPartialMdl(PMDL source, PMDL target, PVOID base, ULONG length);
PVOID MmGetSystemAddressForMdlSafe(PMDL mdl, ULONG priority);
void MmPrepareMdlForReuse(PMDL mdl);
PVOID MmAllocateMappingAddress(SIZE_T size_bytes, ULONG tag);
void MmFreeMappingAddress(PVOID addresses, ULONG tag);
PVOID MmMapLockedPagesWithReservedMapping(PVOID addresses, ULONG tag, PMDL mdl,
                                          MEMORY_CACHING_TYPE caching);
void MmUnmapReservedMapping(PVOID addresses, ULONG tag, PMDL mdl);

static inline ULONG MmGetMdlByteCount(const MDL *mdl)
{
    return mdl->ByteCount;
}

static inline PVOID MmGetMdlVirtualAddress(const MDL *mdl)
{
    return (uint8_t *)mdl->StartVa + mdl->ByteOffset;
}

/* ---- requests ---- */

#define IRP_MJ_CREATE           0x00
#define IRP_MJ_CLOSE            0x02
#define IRP_MJ_READ             0x03
#define IRP_MJ_WRITE            0x04
#define IRP_MJ_FLUSH_BUFFERS    0x09
#define IRP_MJ_DEVICE_CONTROL   0x0e
#define IRP_MJ_SHUTDOWN         0x10
#define IRP_MJ_CLEANUP          0x12
#define IRP_MJ_POWER            0x16
#define IRP_MJ_SYSTEM_CONTROL   0x17
#define IRP_MJ_PNP              0x1b
#define IRP_MJ_MAXIMUM_FUNCTION 0x1b

#define IRP_MN_START_DEVICE              0x00
#define IRP_MN_QUERY_REMOVE_DEVICE       0x01
#define IRP_MN_REMOVE_DEVICE             0x02
#define IRP_MN_QUERY_STOP_DEVICE         0x05
#define IRP_MN_DEVICE_USAGE_NOTIFICATION 0x16
#define IRP_MN_SURPRISE_REMOVAL          0x17

#define IRP_NOCACHE               0x0001
#define IRP_PAGING_IO             0x0002
#define IRP_SYNCHRONOUS_PAGING_IO 0x0040

#define SL_OVERRIDE_VERIFY_VOLUME 0x02
#define SL_WRITE_THROUGH          0x04
#define SL_FORCE_DIRECT_WRITE     0x10

#define SL_PENDING_RETURNED  0x01
#define SL_INVOKE_ON_CANCEL  0x20
#define SL_INVOKE_ON_SUCCESS 0x40
#define SL_INVOKE_ON_ERROR   0x80

#define IO_NO_INCREMENT   0
#define IO_DISK_INCREMENT 1

typedef int IO_PRIORITY_HINT;

typedef enum {
    DeviceUsageTypeUndefined,
    DeviceUsageTypePaging,
    DeviceUsageTypeHibernation,
    DeviceUsageTypeDumpFile,
    DeviceUsageTypeBoot,
} DEVICE_USAGE_NOTIFICATION_TYPE;

typedef NTSTATUS (*PIO_COMPLETION_ROUTINE)(PDEVICE_OBJECT device, PIRP irp, PVOID context);
typedef void (*PDRIVER_CANCEL)(PDEVICE_OBJECT device, PIRP irp);
typedef NTSTATUS (*PDRIVER_DISPATCH)(PDEVICE_OBJECT device, PIRP irp);

typedef struct {
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    UCHAR Flags;
    UCHAR Control;
    union {
        struct {
            ULONG Length;
            ULONG Key;
            LARGE_INTEGER ByteOffset;
        } Read;
        struct {
            ULONG Length;
            ULONG Key;
            LARGE_INTEGER ByteOffset;
        } Write;
        struct {
            struct io_security_context *SecurityContext;
        } Create;
        struct {
            ULONG OutputBufferLength;
            ULONG InputBufferLength;
            ULONG IoControlCode;
            PVOID Type3InputBuffer;
        } DeviceIoControl;
        struct {
            BOOLEAN InPath;
            DEVICE_USAGE_NOTIFICATION_TYPE Type;
        } UsageNotification;
    } Parameters;
    PDEVICE_OBJECT DeviceObject;
    PFILE_OBJECT FileObject;
    PIO_COMPLETION_ROUTINE CompletionRoutine;
    PVOID Context;
    struct fake_call *fake_calls; /* dispatches at this location, the innermost first */
} IO_STACK_LOCATION, *PIO_STACK_LOCATION;

struct irp {
    PMDL MdlAddress;
    ULONG Flags;
    union {
        PVOID SystemBuffer;
    } AssociatedIrp;
    IO_STATUS_BLOCK IoStatus;
    KPROCESSOR_MODE RequestorMode;
    BOOLEAN PendingReturned;
    CHAR StackCount;
    CHAR CurrentLocation;
    BOOLEAN Cancel; /* atomic */
    KIRQL CancelIrql;
    PDRIVER_CANCEL CancelRoutine;
    PVOID UserBuffer;
    union {
        struct {
            PVOID DriverContext[4];
            PETHREAD Thread;
            LIST_ENTRY ListEntry;
            PFILE_OBJECT OriginalFileObject;
        } Overlay;
    } Tail;
    IO_PRIORITY_HINT fake_priority;
    struct fake_requestor *fake_requestor; /* NULL: a driver's own */
    IO_STACK_LOCATION fake_stack[];        /* [StackCount - 1]: the first driver's */
};

/* The location below the last is for nobody; a driver that takes it is stopped. */
PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP irp);
PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP irp);
PIRP IoAllocateIrp(CCHAR stack_size, BOOLEAN charge_quota);
void IoFreeIrp(PIRP irp);
void IoReuseIrp(PIRP irp, NTSTATUS status);
void IoSkipCurrentIrpStackLocation(PIRP irp);
void IoCopyCurrentIrpStackLocationToNext(PIRP irp);
void IoSetCompletionRoutine(PIRP irp, PIO_COMPLETION_ROUTINE routine, PVOID context,
                            BOOLEAN on_success, BOOLEAN on_error, BOOLEAN on_cancel);
void IoMarkIrpPending(PIRP irp);
NTSTATUS IoCallDriver(PDEVICE_OBJECT device, PIRP irp);
void IoCompleteRequest(PIRP irp, CCHAR boost);
PDRIVER_CANCEL IoSetCancelRoutine(PIRP irp, PDRIVER_CANCEL routine);
BOOLEAN IoCancelIrp(PIRP irp);
void IoAcquireCancelSpinLock(KIRQL *irql);
void IoReleaseCancelSpinLock(KIRQL irql);

/* ---- devices ---- */

#define DO_BUFFERED_IO         0x00000004
#define DO_DIRECT_IO           0x00000010
#define DO_DEVICE_INITIALIZING 0x00000080
#define DO_POWER_PAGABLE       0x00002000
#define DO_POWER_INRUSH        0x00004000

#define FILE_REMOVABLE_MEDIA           0x00000001
#define FILE_READ_ONLY_DEVICE          0x00000002
#define FILE_FLOPPY_DISKETTE           0x00000004
#define FILE_WRITE_ONCE_MEDIA          0x00000008
#define FILE_DEVICE_SECURE_OPEN        0x00000100
#define FILE_CHARACTERISTIC_PNP_DEVICE 0x00000800

#define FILE_DEVICE_DISK         0x00000007
#define FILE_DEVICE_UNKNOWN      0x00000022
#define FILE_DEVICE_VIRTUAL_DISK 0x00000024

/* What ObReferenceObject counts. */
struct fake_object {
    uint32_t references; /* the creation's among them */
    void (*destroy)(void *object);
};

struct device_object {
    struct fake_object fake_object; /* first */
    PDRIVER_OBJECT DriverObject;
    PDEVICE_OBJECT NextDevice;
    PDEVICE_OBJECT AttachedDevice;
    ULONG Flags;
    ULONG Characteristics;
    PVOID DeviceExtension;
    DEVICE_TYPE DeviceType;
    CCHAR StackSize;
    ULONG AlignmentRequirement;
    USHORT SectorSize;
    PDEVICE_OBJECT fake_below;
    bool fake_is_deleted;
    WCHAR fake_name[64];
};

struct driver_extension {
    NTSTATUS (*AddDevice)(PDRIVER_OBJECT driver, PDEVICE_OBJECT physical_device);
};

struct driver_object {
    PDEVICE_OBJECT DeviceObject;
    struct driver_extension *DriverExtension;
    NTSTATUS (*DriverInit)(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);
    void (*DriverUnload)(PDRIVER_OBJECT driver);
    PDRIVER_DISPATCH MajorFunction[IRP_MJ_MAXIMUM_FUNCTION + 1];
};

NTSTATUS IoCreateDevice(PDRIVER_OBJECT driver, ULONG extension_bytes, PUNICODE_STRING name,
                        DEVICE_TYPE type, ULONG characteristics, BOOLEAN exclusive,
                        PDEVICE_OBJECT *ret_device);
void IoDeleteDevice(PDEVICE_OBJECT device);
NTSTATUS IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT source, PDEVICE_OBJECT target,
                                         PDEVICE_OBJECT *ret_lower);
void IoDetachDevice(PDEVICE_OBJECT lower);
PDEVICE_OBJECT IoGetAttachedDeviceReference(PDEVICE_OBJECT device);
void ObReferenceObject(PVOID object);
void ObDereferenceObject(PVOID object);
NTSTATUS ObQueryNameString(PVOID object, POBJECT_NAME_INFORMATION info, ULONG size_bytes,
                           PULONG ret_size_bytes);
/* Enough, unless fake_stack_left was told. */
ULONG_PTR IoGetRemainingStackSize(void);
PVOID MmGetSystemRoutineAddress(PUNICODE_STRING name);

/* ---- codes: ntdddisk.h, ntddstor.h ---- */

#define IOCTL_DISK_GET_DRIVE_GEOMETRY            0x00070000u
#define IOCTL_DISK_IS_WRITABLE                   0x00070024u
#define IOCTL_DISK_GET_LENGTH_INFO               0x0007405Cu
#define IOCTL_STORAGE_QUERY_PROPERTY             0x002D1400u
#define IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES 0x002D9404u
#define DeviceDsmAction_Trim                     1u

/* ---- for tests ---- */

/* The N-th call from now that may fail does (1: the next); 0: none. Counts IRPs, devices, attaches
 * and mappings; allocations are vck_alloc_fail_nth's. */
void fake_fail_nth(uint64_t n);
/* Whether that has happened since. */
bool fake_has_failed(void);

/* What lives; 0 after a clean end. */
size_t fake_live_irps(void);
size_t fake_live_devices(void);

/* A request from outside: an IRP for the top of the device's stack, whose first location (the next
 * one) the caller fills in before IoCallDriver. done(context, irp) is called when it completes, at
 * up to DISPATCH, and has the IRP to free (IoFreeIrp), at once or later. */
struct fake_requestor {
    void (*done)(void *context, PIRP irp);
    void *context;
};

PIRP fake_irp_create(PDEVICE_OBJECT device, struct fake_requestor *requestor);

/* An MDL over memory as a user process would have it: locked, not mapped, and at another virtual
 * address than the mapping will be. Freed with fake_mdl_free. */
PMDL fake_mdl_create(void *buffer, size_t size_bytes);
void fake_mdl_free(PMDL mdl);
/* From now on no buffer can be mapped, but with reserved addresses; or it can again. */
void fake_mdl_fail_mappings(bool fail);

/* What every thread has left of its stack from now on; 0: enough. */
void fake_stack_left(ULONG_PTR size_bytes);

/* Raises the calling thread to DISPATCH, as a DPC would be, and back. */
void fake_raise(void);
void fake_lower(void);

#endif
