/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_nt_system: handles, names and links, tokens, security, firmware and the rest of what the
 * control half of a driver calls. Included by fake_nt.h only.
 */
#ifndef VCK_FAKE_NT_SYSTEM_H
#define VCK_FAKE_NT_SYSTEM_H

typedef PVOID HANDLE, *PHANDLE, PSID, PSECURITY_DESCRIPTOR;
typedef ULONG ACCESS_MASK, SECURITY_INFORMATION;
typedef struct fake_process *PEPROCESS;
typedef struct fake_object_type *POBJECT_TYPE;

#define STATUS_BAD_DEVICE_TYPE       ((NTSTATUS)0xC00000CB)
#define STATUS_NO_TOKEN              ((NTSTATUS)0xC000007C)
#define STATUS_INVALID_HANDLE        ((NTSTATUS)0xC0000008)
#define STATUS_NO_SUCH_FILE          ((NTSTATUS)0xC000000F)
#define STATUS_ACCESS_DENIED         ((NTSTATUS)0xC0000022)
#define STATUS_OBJECT_TYPE_MISMATCH  ((NTSTATUS)0xC0000024)
#define STATUS_OBJECT_NAME_NOT_FOUND ((NTSTATUS)0xC0000034)
#define STATUS_OBJECT_PATH_NOT_FOUND ((NTSTATUS)0xC000003A)
#define STATUS_SHARING_VIOLATION     ((NTSTATUS)0xC0000043)
#define STATUS_NOT_IMPLEMENTED       ((NTSTATUS)0xC0000002)

typedef struct {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *LPGUID;

typedef LARGE_INTEGER PHYSICAL_ADDRESS;

typedef struct {
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

#define InitializeObjectAttributes(p, name, flags, root, descriptor)                               \
    (*(p) = (OBJECT_ATTRIBUTES){(name), (flags)}, (void)(root), (void)(descriptor))

#define OBJ_CASE_INSENSITIVE 0x0040u
#define OBJ_KERNEL_HANDLE    0x0200u

typedef struct {
    ACCESS_MASK PreviouslyGrantedAccess;
} ACCESS_STATE, *PACCESS_STATE;

typedef struct io_security_context {
    PACCESS_STATE AccessState;
    ACCESS_MASK DesiredAccess;
} IO_SECURITY_CONTEXT, *PIO_SECURITY_CONTEXT;

struct file_object {
    struct fake_object fake_object; /* first */
    PDEVICE_OBJECT DeviceObject;
    PVOID FsContext;
    UNICODE_STRING FileName;
};

/* ---- handles and names ---- */

#define FILE_READ_DATA                 0x0001u
#define FILE_WRITE_DATA                0x0002u
#define WRITE_DAC                      0x00040000u
#define SYNCHRONIZE                    0x00100000u
#define FILE_SHARE_READ                1u
#define FILE_SHARE_WRITE               2u
#define FILE_OPEN                      1u
#define FSCTL_LOCK_VOLUME              0x00090018u
#define FSCTL_UNLOCK_VOLUME            0x0009001Cu
#define FSCTL_DISMOUNT_VOLUME          0x00090020u
#define FILE_NO_INTERMEDIATE_BUFFERING 0x0008u
#define FILE_SYNCHRONOUS_IO_NONALERT   0x0020u

NTSTATUS ZwClose(HANDLE handle);
NTSTATUS ZwCreateFile(PHANDLE ret_handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes,
                      IO_STATUS_BLOCK *io, LARGE_INTEGER *size, ULONG file_attributes, ULONG share,
                      ULONG disposition, ULONG options, PVOID ea, ULONG ea_bytes);
NTSTATUS ZwFsControlFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context,
                         IO_STATUS_BLOCK *io, ULONG code, PVOID in, ULONG in_bytes, PVOID out,
                         ULONG out_bytes);
NTSTATUS ZwReadFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context, IO_STATUS_BLOCK *io,
                    PVOID buffer, ULONG size_bytes, LARGE_INTEGER *offset, PULONG key);
NTSTATUS ZwWriteFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context, IO_STATUS_BLOCK *io,
                     PVOID buffer, ULONG size_bytes, LARGE_INTEGER *offset, PULONG key);
NTSTATUS ZwFlushBuffersFile(HANDLE file, IO_STATUS_BLOCK *io);
NTSTATUS ZwDeviceIoControlFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context,
                               IO_STATUS_BLOCK *io, ULONG code, PVOID in, ULONG in_bytes, PVOID out,
                               ULONG out_bytes);

typedef struct {
    LARGE_INTEGER AllocationSize;
    LARGE_INTEGER EndOfFile;
    ULONG NumberOfLinks;
    BOOLEAN DeletePending;
    BOOLEAN Directory;
} FILE_STANDARD_INFORMATION;
typedef enum { FileStandardInformation = 5 } FILE_INFORMATION_CLASS;

/* Of files only, of which the fake has none. */
NTSTATUS ZwQueryInformationFile(HANDLE file, IO_STATUS_BLOCK *io, PVOID out, ULONG out_bytes,
                                FILE_INFORMATION_CLASS what);
NTSTATUS ZwWaitForSingleObject(HANDLE handle, BOOLEAN alertable, LARGE_INTEGER *timeout);
NTSTATUS ZwOpenSymbolicLinkObject(PHANDLE ret_handle, ACCESS_MASK access,
                                  POBJECT_ATTRIBUTES attributes);
NTSTATUS ZwQuerySymbolicLinkObject(HANDLE handle, PUNICODE_STRING target, PULONG ret_bytes);
NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING link, PUNICODE_STRING target);
NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING link);
NTSTATUS ObReferenceObjectByHandle(HANDLE handle, ACCESS_MASK access, POBJECT_TYPE type,
                                   KPROCESSOR_MODE mode, PVOID *ret_object, PVOID information);
NTSTATUS ObOpenObjectByPointer(PVOID object, ULONG attributes, PACCESS_STATE state,
                               ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode,
                               PHANDLE ret_handle);

/* ---- tokens and security ---- */

enum { KernelMode, UserMode };
typedef enum {
    SecurityAnonymous,
    SecurityIdentification,
    SecurityImpersonation,
    SecurityDelegation,
} SECURITY_IMPERSONATION_LEVEL;
typedef enum { TokenGroups = 2, TokenImpersonationLevel = 9 } TOKEN_INFORMATION_CLASS;

typedef struct {
    PSID Sid;
    ULONG Attributes;
} SID_AND_ATTRIBUTES;

typedef struct {
    ULONG GroupCount;
    SID_AND_ATTRIBUTES Groups[1];
} TOKEN_GROUPS;

#define TOKEN_QUERY                         0x0008u
#define PROCESS_QUERY_INFORMATION           0x0400u
#define DACL_SECURITY_INFORMATION           0x00000004u
#define PROTECTED_DACL_SECURITY_INFORMATION 0x80000000u
#define ZwCurrentThread()                   ((HANDLE)(intptr_t)-2)

PEPROCESS IoGetRequestorProcess(PIRP irp);
NTSTATUS ZwOpenThreadTokenEx(HANDLE thread, ACCESS_MASK access, BOOLEAN as_self, ULONG attributes,
                             PHANDLE ret_token);
NTSTATUS ZwOpenProcessTokenEx(HANDLE process, ACCESS_MASK access, ULONG attributes,
                              PHANDLE ret_token);
NTSTATUS ZwQueryInformationToken(HANDLE token, TOKEN_INFORMATION_CLASS what, PVOID out,
                                 ULONG out_bytes, PULONG ret_bytes);
ULONG RtlLengthSid(PSID sid);
NTSTATUS ZwSetSecurityObject(HANDLE handle, SECURITY_INFORMATION what,
                             PSECURITY_DESCRIPTOR descriptor);

/* ---- the rest ---- */

typedef VOID (*PEXPAND_STACK_CALLOUT)(PVOID parameter);
typedef void (*PDRIVER_UNLOAD)(PDRIVER_OBJECT driver);
typedef VOID (*PDRIVER_REINITIALIZE)(PDRIVER_OBJECT driver, PVOID context, ULONG count);

NTSTATUS KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT callout, PVOID parameter,
                                         SIZE_T size_bytes, BOOLEAN wait, PVOID context);
ULONG KeQueryActiveProcessorCount(PVOID active);
NTSTATUS IoRegisterShutdownNotification(PDEVICE_OBJECT device);
void IoUnregisterShutdownNotification(PDEVICE_OBJECT device);
void IoRegisterDriverReinitialization(PDRIVER_OBJECT driver, PDRIVER_REINITIALIZE routine,
                                      PVOID context);
PVOID MmMapIoSpace(PHYSICAL_ADDRESS address, SIZE_T size_bytes, MEMORY_CACHING_TYPE caching);
void MmUnmapIoSpace(PVOID mapped, SIZE_T size_bytes);
NTSTATUS ZwQuerySystemInformation(ULONG what, PVOID buffer, ULONG size_bytes,
                                  PULONG ret_size_bytes);

#define IOCTL_DISK_GET_PARTITION_INFO_EX 0x00070048u
#define IOCTL_STORAGE_GET_DEVICE_NUMBER  0x002D1080u

/* ---- for tests ---- */

/* A token: groups, each S-1-5-32-rid with its attributes, and how far a thread may act with it. */
struct fake_token {
    uint32_t rids[4];
    uint32_t attributes[4];
    uint32_t count;
    SECURITY_IMPERSONATION_LEVEL level;
};

/* What the system is like. Tests change it while nothing runs; fake_system_begin resets it. */
struct fake_system {
    const struct fake_token *process; /* NULL: a requestor without process */
    const struct fake_token *thread;  /* NULL: it does not impersonate */
    NTSTATUS thread_status;           /* opening the thread's token fails with this instead */

    NTSTATUS (*control)(PDEVICE_OBJECT device, ULONG code); /* FSCTLs; NULL: no filesystem */
    uint32_t device_late; /* so many looks at a file object find no device yet */

    uint8_t variable[256];   /* of the firmware */
    uint32_t variable_bytes; /* 0: there is none */
    uint32_t variable_attributes;
    uint8_t table[64]; /* ACPI */
    uint32_t table_bytes;
    uint64_t physical_address;
    uint8_t *physical;
    size_t physical_bytes;

    struct {
        const wchar_t *value; /* a name in the registry that is set to 1 */
    } registry[4];

    /* What the driver did. */
    uint32_t handles; /* open */
    uint32_t mapped;
    uint8_t descriptor[128];
    SECURITY_INFORMATION descriptor_kind;
    bool was_open_when_secured; /* a link led to the device by then */
    PDEVICE_OBJECT hears_shutdown;
    PDRIVER_REINITIALIZE reinitialize;
    uint32_t fsctls[3]; /* lock, unlock, dismount: how many */
};

extern struct fake_system fake_system;

/* Everything as on a system where nothing is set. */
void fake_system_begin(void);
/* Every handle closed, every mapping undone, every link gone. */
void fake_system_end(void);

/* A device that is not made by IoCreateDevice with that name can be opened by it. */
void fake_system_add_link(const wchar_t *link, const wchar_t *target);
void fake_system_add_device(const wchar_t *name, PDEVICE_OBJECT device);

#endif
