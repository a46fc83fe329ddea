/* SPDX-License-Identifier: Apache-2.0 */
/*
 * efi: the part of the firmware's interface that boot programs here use, declared after the UEFI
 * specification 2.10 (tables: chapter 4; services: 7 and 8; protocols: 9 to 13, 37). Names of
 * fields are the specification's. What nothing here calls is an untyped pointer that keeps the
 * place.
 */
#ifndef VCK_PORT_UEFI_EFI_H
#define VCK_PORT_UEFI_EFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/guid.h"

#define EFIAPI __attribute__((ms_abi))

typedef uint64_t efi_status;
typedef uint16_t efi_char;
typedef void *efi_handle;
typedef void *efi_event;

#define EFI_ERROR_BIT            (1ull << 63)
#define EFI_SUCCESS              0ull
#define EFI_LOAD_ERROR           (EFI_ERROR_BIT | 1)
#define EFI_INVALID_PARAMETER    (EFI_ERROR_BIT | 2)
#define EFI_UNSUPPORTED          (EFI_ERROR_BIT | 3)
#define EFI_BAD_BUFFER_SIZE      (EFI_ERROR_BIT | 4)
#define EFI_BUFFER_TOO_SMALL     (EFI_ERROR_BIT | 5)
#define EFI_NOT_READY            (EFI_ERROR_BIT | 6)
#define EFI_DEVICE_ERROR         (EFI_ERROR_BIT | 7)
#define EFI_WRITE_PROTECTED      (EFI_ERROR_BIT | 8)
#define EFI_OUT_OF_RESOURCES     (EFI_ERROR_BIT | 9)
#define EFI_VOLUME_CORRUPTED     (EFI_ERROR_BIT | 10)
#define EFI_VOLUME_FULL          (EFI_ERROR_BIT | 11)
#define EFI_NO_MEDIA             (EFI_ERROR_BIT | 12)
#define EFI_MEDIA_CHANGED        (EFI_ERROR_BIT | 13)
#define EFI_NOT_FOUND            (EFI_ERROR_BIT | 14)
#define EFI_ACCESS_DENIED        (EFI_ERROR_BIT | 15)
#define EFI_TIMEOUT              (EFI_ERROR_BIT | 18)
#define EFI_ALREADY_STARTED      (EFI_ERROR_BIT | 20)
#define EFI_ABORTED              (EFI_ERROR_BIT | 21)
#define EFI_INCOMPATIBLE_VERSION (EFI_ERROR_BIT | 25)
#define EFI_SECURITY_VIOLATION   (EFI_ERROR_BIT | 26)
#define EFI_CRC_ERROR            (EFI_ERROR_BIT | 27)

#define TPL_APPLICATION 4u
#define TPL_CALLBACK    8u
#define TPL_NOTIFY      16u
#define TPL_HIGH        31u

/* Data1, Data2, Data3, the eight bytes of Data4, in EFI order. */
#define EFI_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                          \
    {                                                                                              \
        {                                                                                          \
            (uint8_t)(a), (uint8_t)((a) >> 8), (uint8_t)((a) >> 16),                               \
                (uint8_t)((uint32_t)(a) >> 24), (uint8_t)(b), (uint8_t)((b) >> 8), (uint8_t)(c),   \
                (uint8_t)((c) >> 8), d0, d1, d2, d3, d4, d5, d6, d7                                \
        }                                                                                          \
    }

struct efi_table_header {
    uint64_t Signature;
    uint32_t Revision;
    uint32_t HeaderSize;
    uint32_t CRC32;
    uint32_t Reserved;
};

/* ---- device paths ---- */

struct efi_device_path {
    uint8_t Type;
    uint8_t SubType;
    uint8_t Length[2]; /* of this node, little-endian */
};

#define EFI_PATH_MEDIA      4u
#define EFI_PATH_HARD_DRIVE 1u /* of MEDIA */
#define EFI_PATH_VENDOR     3u
#define EFI_PATH_FILE       4u
#define EFI_PATH_END        0x7fu
#define EFI_PATH_END_ENTIRE 0xffu
#define EFI_PATH_GPT        2u /* efi_path_hard_drive.SignatureType */

struct efi_path_hard_drive {
    struct efi_device_path Header;
    uint32_t PartitionNumber;
    uint8_t PartitionStart[8];
    uint8_t PartitionSize[8];
    struct vck_guid Signature; /* of GPT: the unique partition GUID */
    uint8_t PartitionFormat;
    uint8_t SignatureType;
};

/* ---- consoles ---- */

struct efi_input_key {
    uint16_t ScanCode;
    efi_char UnicodeChar;
};

#define EFI_SCAN_DELETE 0x08u
#define EFI_SCAN_ESC    0x17u

struct efi_text_input {
    void *Reset;
    efi_status(EFIAPI *ReadKeyStroke)(struct efi_text_input *This, struct efi_input_key *Key);
    efi_event WaitForKey;
};

struct efi_text_output {
    void *Reset;
    efi_status(EFIAPI *OutputString)(struct efi_text_output *This, const efi_char *String);
    void *TestString;
    void *QueryMode;
    void *SetMode;
    void *SetAttribute;
    void *ClearScreen;
    void *SetCursorPosition;
    efi_status(EFIAPI *EnableCursor)(struct efi_text_output *This, uint8_t Visible);
    void *Mode;
};

/* ---- services ---- */

enum efi_memory_type {
    EFI_LOADER_DATA = 2,
    EFI_RUNTIME_SERVICES_DATA = 6,
};

enum efi_allocate_type { EFI_ALLOCATE_ANY_PAGES = 0 };
enum efi_locate_type { EFI_ALL_HANDLES = 0, EFI_BY_PROTOCOL = 2 };
enum efi_reset_type { EFI_RESET_COLD = 0, EFI_RESET_SHUTDOWN = 2 };
enum efi_timer_type { EFI_TIMER_CANCEL = 0, EFI_TIMER_RELATIVE = 2 };

#define EFI_EVT_TIMER                     0x80000000u
#define EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES 0x00000201u

#define EFI_VARIABLE_NON_VOLATILE       1u
#define EFI_VARIABLE_BOOTSERVICE_ACCESS 2u
#define EFI_VARIABLE_RUNTIME_ACCESS     4u

struct efi_boot_services {
    struct efi_table_header Hdr;
    uint64_t(EFIAPI *RaiseTPL)(uint64_t NewTpl);
    void(EFIAPI *RestoreTPL)(uint64_t OldTpl);
    efi_status(EFIAPI *AllocatePages)(enum efi_allocate_type Type, enum efi_memory_type MemoryType,
                                      uint64_t Pages, uint64_t *Memory);
    efi_status(EFIAPI *FreePages)(uint64_t Memory, uint64_t Pages);
    efi_status(EFIAPI *GetMemoryMap)(uint64_t *MemoryMapSize, void *MemoryMap, uint64_t *MapKey,
                                     uint64_t *DescriptorSize, uint32_t *DescriptorVersion);
    efi_status(EFIAPI *AllocatePool)(enum efi_memory_type PoolType, uint64_t Size, void **Buffer);
    efi_status(EFIAPI *FreePool)(void *Buffer);
    efi_status(EFIAPI *CreateEvent)(uint32_t Type, uint64_t NotifyTpl,
                                    void(EFIAPI *NotifyFunction)(efi_event Event, void *Context),
                                    void *NotifyContext, efi_event *Event);
    efi_status(EFIAPI *SetTimer)(efi_event Event, enum efi_timer_type Type, uint64_t TriggerTime);
    efi_status(EFIAPI *WaitForEvent)(uint64_t NumberOfEvents, efi_event *Event, uint64_t *Index);
    efi_status(EFIAPI *SignalEvent)(efi_event Event);
    efi_status(EFIAPI *CloseEvent)(efi_event Event);
    efi_status(EFIAPI *CheckEvent)(efi_event Event);
    void *InstallProtocolInterface;
    void *ReinstallProtocolInterface;
    void *UninstallProtocolInterface;
    efi_status(EFIAPI *HandleProtocol)(efi_handle Handle, const struct vck_guid *Protocol,
                                       void **Interface);
    void *Reserved;
    void *RegisterProtocolNotify;
    efi_status(EFIAPI *LocateHandle)(enum efi_locate_type SearchType,
                                     const struct vck_guid *Protocol, void *SearchKey,
                                     uint64_t *BufferSize, efi_handle *Buffer);
    void *LocateDevicePath;
    void *InstallConfigurationTable;
    efi_status(EFIAPI *LoadImage)(uint8_t BootPolicy, efi_handle ParentImageHandle,
                                  const struct efi_device_path *DevicePath,
                                  const void *SourceBuffer, uint64_t SourceSize,
                                  efi_handle *ImageHandle);
    efi_status(EFIAPI *StartImage)(efi_handle ImageHandle, uint64_t *ExitDataSize,
                                   efi_char **ExitData);
    void *Exit;
    efi_status(EFIAPI *UnloadImage)(efi_handle ImageHandle);
    efi_status(EFIAPI *ExitBootServices)(efi_handle ImageHandle, uint64_t MapKey);
    void *GetNextMonotonicCount;
    efi_status(EFIAPI *Stall)(uint64_t Microseconds);
    efi_status(EFIAPI *SetWatchdogTimer)(uint64_t Timeout, uint64_t WatchdogCode, uint64_t DataSize,
                                         const efi_char *WatchdogData);
    efi_status(EFIAPI *ConnectController)(efi_handle ControllerHandle,
                                          efi_handle *DriverImageHandle,
                                          const struct efi_device_path *RemainingDevicePath,
                                          uint8_t Recursive);
    efi_status(EFIAPI *DisconnectController)(efi_handle ControllerHandle,
                                             efi_handle DriverImageHandle, efi_handle ChildHandle);
    void *OpenProtocol;
    void *CloseProtocol;
    void *OpenProtocolInformation;
    void *ProtocolsPerHandle;
    efi_status(EFIAPI *LocateHandleBuffer)(enum efi_locate_type SearchType,
                                           const struct vck_guid *Protocol, void *SearchKey,
                                           uint64_t *NoHandles, efi_handle **Buffer);
    efi_status(EFIAPI *LocateProtocol)(const struct vck_guid *Protocol, void *Registration,
                                       void **Interface);
    /* Variable arguments: pairs of GUID and interface up to NULL. */
    efi_status(EFIAPI *InstallMultipleProtocolInterfaces)(efi_handle *Handle, ...);
    efi_status(EFIAPI *UninstallMultipleProtocolInterfaces)(efi_handle Handle, ...);
    void *CalculateCrc32;
    void *CopyMem;
    void *SetMem;
    void *CreateEventEx;
};

struct efi_runtime_services {
    struct efi_table_header Hdr;
    void *GetTime;
    void *SetTime;
    void *GetWakeupTime;
    void *SetWakeupTime;
    void *SetVirtualAddressMap;
    void *ConvertPointer;
    efi_status(EFIAPI *GetVariable)(const efi_char *VariableName, const struct vck_guid *VendorGuid,
                                    uint32_t *Attributes, uint64_t *DataSize, void *Data);
    void *GetNextVariableName;
    efi_status(EFIAPI *SetVariable)(const efi_char *VariableName, const struct vck_guid *VendorGuid,
                                    uint32_t Attributes, uint64_t DataSize, const void *Data);
    void *GetNextHighMonotonicCount;
    void(EFIAPI *ResetSystem)(enum efi_reset_type ResetType, efi_status ResetStatus,
                              uint64_t DataSize, const void *ResetData);
};

struct efi_configuration_table {
    struct vck_guid VendorGuid;
    void *VendorTable;
};

struct efi_system_table {
    struct efi_table_header Hdr;
    const efi_char *FirmwareVendor;
    uint32_t FirmwareRevision;
    efi_handle ConsoleInHandle;
    struct efi_text_input *ConIn;
    efi_handle ConsoleOutHandle;
    struct efi_text_output *ConOut;
    efi_handle StandardErrorHandle;
    struct efi_text_output *StdErr;
    struct efi_runtime_services *RuntimeServices;
    struct efi_boot_services *BootServices;
    uint64_t NumberOfTableEntries;
    struct efi_configuration_table *ConfigurationTable;
};

/* ---- protocols ---- */

struct efi_loaded_image {
    uint32_t Revision;
    efi_handle ParentHandle;
    struct efi_system_table *SystemTable;
    efi_handle DeviceHandle;
    struct efi_device_path *FilePath;
    void *Reserved;
    uint32_t LoadOptionsSize;
    void *LoadOptions;
    void *ImageBase;
    uint64_t ImageSize;
    uint32_t ImageCodeType;
    uint32_t ImageDataType;
    void *Unload;
};

/* From LowestAlignedLba on only where the protocol's revision is above 0x10000. */
struct efi_media {
    uint32_t MediaId;
    bool RemovableMedia;
    bool MediaPresent;
    bool LogicalPartition;
    bool ReadOnly;
    bool WriteCaching;
    uint32_t BlockSize;
    uint32_t IoAlign; /* 0 and 1: any */
    uint64_t LastBlock;
    uint64_t LowestAlignedLba;
    uint32_t LogicalBlocksPerPhysicalBlock;
    uint32_t OptimalTransferLengthGranularity;
};

struct efi_block_io {
    uint64_t Revision;
    struct efi_media *Media;
    efi_status(EFIAPI *Reset)(struct efi_block_io *This, uint8_t ExtendedVerification);
    efi_status(EFIAPI *ReadBlocks)(struct efi_block_io *This, uint32_t MediaId, uint64_t LBA,
                                   uint64_t BufferSize, void *Buffer);
    efi_status(EFIAPI *WriteBlocks)(struct efi_block_io *This, uint32_t MediaId, uint64_t LBA,
                                    uint64_t BufferSize, const void *Buffer);
    efi_status(EFIAPI *FlushBlocks)(struct efi_block_io *This);
};

struct efi_block_io2_token {
    efi_event Event; /* NULL: the call blocks */
    efi_status TransactionStatus;
};

struct efi_block_io2 {
    struct efi_media *Media;
    efi_status(EFIAPI *Reset)(struct efi_block_io2 *This, uint8_t ExtendedVerification);
    efi_status(EFIAPI *ReadBlocksEx)(struct efi_block_io2 *This, uint32_t MediaId, uint64_t LBA,
                                     struct efi_block_io2_token *Token, uint64_t BufferSize,
                                     void *Buffer);
    efi_status(EFIAPI *WriteBlocksEx)(struct efi_block_io2 *This, uint32_t MediaId, uint64_t LBA,
                                      struct efi_block_io2_token *Token, uint64_t BufferSize,
                                      const void *Buffer);
    efi_status(EFIAPI *FlushBlocksEx)(struct efi_block_io2 *This,
                                      struct efi_block_io2_token *Token);
};

#define EFI_FILE_READ      1ull
#define EFI_FILE_WRITE     2ull
#define EFI_FILE_CREATE    0x8000000000000000ull
#define EFI_FILE_REVISION2 0x20000ull

struct efi_file_token {
    efi_event Event;
    efi_status Status;
    uint64_t BufferSize;
    void *Buffer;
};

struct efi_file {
    uint64_t Revision;
    efi_status(EFIAPI *Open)(struct efi_file *This, struct efi_file **NewHandle,
                             const efi_char *FileName, uint64_t OpenMode, uint64_t Attributes);
    efi_status(EFIAPI *Close)(struct efi_file *This);
    void *Delete;
    efi_status(EFIAPI *Read)(struct efi_file *This, uint64_t *BufferSize, void *Buffer);
    efi_status(EFIAPI *Write)(struct efi_file *This, uint64_t *BufferSize, const void *Buffer);
    void *GetPosition;
    efi_status(EFIAPI *SetPosition)(struct efi_file *This, uint64_t Position);
    efi_status(EFIAPI *GetInfo)(struct efi_file *This, const struct vck_guid *InformationType,
                                uint64_t *BufferSize, void *Buffer);
    void *SetInfo;
    efi_status(EFIAPI *Flush)(struct efi_file *This);
    /* The next ones from EFI_FILE_REVISION2 on. */
    void *OpenEx;
    efi_status(EFIAPI *ReadEx)(struct efi_file *This, struct efi_file_token *Token);
    void *WriteEx;
    void *FlushEx;
};

struct efi_file_info {
    uint64_t Size; /* of this struct with the name */
    uint64_t FileSize;
    uint64_t PhysicalSize;
    uint8_t Times[48];
    uint64_t Attribute;
    efi_char FileName[];
};

#define EFI_FILE_DIRECTORY 0x10ull /* efi_file_info.Attribute */

struct efi_simple_file_system {
    uint64_t Revision;
    efi_status(EFIAPI *OpenVolume)(struct efi_simple_file_system *This, struct efi_file **Root);
};

struct efi_rng {
    void *GetInfo;
    efi_status(EFIAPI *GetRNG)(struct efi_rng *This, const struct vck_guid *RNGAlgorithm,
                               uint64_t RNGValueLength, uint8_t *RNGValue);
};

struct efi_acpi_table {
    efi_status(EFIAPI *InstallAcpiTable)(struct efi_acpi_table *This, const void *AcpiTableBuffer,
                                         uint64_t AcpiTableBufferSize, uint64_t *TableKey);
    efi_status(EFIAPI *UninstallAcpiTable)(struct efi_acpi_table *This, uint64_t TableKey);
};

struct efi_load_file2 {
    efi_status(EFIAPI *LoadFile)(struct efi_load_file2 *This,
                                 const struct efi_device_path *FilePath, uint8_t BootPolicy,
                                 uint64_t *BufferSize, void *Buffer);
};

/* TCG EFI Protocol Specification, family 2.0. */
struct efi_tcg2_event {
    uint32_t Size; /* of this struct with the event behind it */
    uint32_t HeaderSize;
    uint16_t HeaderVersion;
    uint32_t PCRIndex;
    uint32_t EventType;
} __attribute__((packed));

#define EFI_TCG2_HEADER_BYTES   14u
#define EFI_TCG2_HEADER_VERSION 1u
#define EFI_TCG2_EV_IPL         13u

struct efi_tcg2 {
    void *GetCapability;
    void *GetEventLog;
    efi_status(EFIAPI *HashLogExtendEvent)(struct efi_tcg2 *This, uint64_t Flags,
                                           uint64_t DataToHash, uint64_t DataToHashLen,
                                           const struct efi_tcg2_event *EfiTcgEvent);
    efi_status(EFIAPI *SubmitCommand)(struct efi_tcg2 *This, uint32_t InputParameterBlockSize,
                                      const uint8_t *InputParameterBlock,
                                      uint32_t OutputParameterBlockSize,
                                      uint8_t *OutputParameterBlock);
};

extern const struct vck_guid efi_tcg2_guid;
extern const struct vck_guid efi_loaded_image_guid;
extern const struct vck_guid efi_device_path_guid;
extern const struct vck_guid efi_block_io_guid;
extern const struct vck_guid efi_block_io2_guid;
extern const struct vck_guid efi_simple_file_system_guid;
extern const struct vck_guid efi_file_info_guid;
extern const struct vck_guid efi_rng_guid;
extern const struct vck_guid efi_acpi_table_guid;
extern const struct vck_guid efi_load_file2_guid;
extern const struct vck_guid efi_global_variable_guid;
extern const struct vck_guid efi_acpi20_guid; /* configuration table: the RSDP */
extern const struct vck_guid efi_pci_io_guid;
extern const struct vck_guid efi_pci_root_bridge_guid;

#endif
