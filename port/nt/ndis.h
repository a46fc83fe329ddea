/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ndis: NDIS 6 as a protocol driver sees it: the toolchain's headers stop at NDIS 5. Names and
 * shapes are NDIS's. Declared is what this project uses; what is behind the last field named here,
 * in structures only NDIS makes, is left out.
 *
 * Source of each structure: its page in the reference of the Windows driver kit ("ndis.h",
 * "nbl.h", "oidrequest.h", "netpnp.h"), whose fields and order these are. The numbers asserted at
 * the end are what the x64 rules make of them: natural alignment, 16 where the page says
 * MEMORY_ALLOCATION_ALIGNMENT; sizes "through the last field" are as NDIS_SIZEOF_* count them.
 */
#ifndef VCK_PORT_NT_NDIS_H
#define VCK_PORT_NT_NDIS_H

#include <assert.h>
#include <stddef.h>
#include "port/nt/ntapi.h"
#include "vck/annotate.h"

VCK_BEGIN_DECLS

typedef NTSTATUS NDIS_STATUS;
typedef PVOID NDIS_HANDLE;
typedef ULONG NDIS_OID;
typedef ULONG NDIS_PORT_NUMBER;
typedef UNICODE_STRING NDIS_STRING, *PNDIS_STRING;
typedef USHORT NET_FRAME_TYPE;

/* ---- statuses ---- */

#define NDIS_STATUS_SUCCESS             ((NDIS_STATUS)0x00000000)
#define NDIS_STATUS_PENDING             ((NDIS_STATUS)0x00000103)
#define NDIS_STATUS_MEDIA_CONNECT       ((NDIS_STATUS)0x4001000B)
#define NDIS_STATUS_MEDIA_DISCONNECT    ((NDIS_STATUS)0x4001000C)
#define NDIS_STATUS_LINK_STATE          ((NDIS_STATUS)0x40010017)
#define NDIS_STATUS_NETWORK_CHANGE      ((NDIS_STATUS)0x40010018)
#define NDIS_STATUS_OPER_STATUS         ((NDIS_STATUS)0x40010023)
#define NDIS_STATUS_FAILURE             ((NDIS_STATUS)0xC0000001)
#define NDIS_STATUS_NOT_SUPPORTED       ((NDIS_STATUS)0xC00000BB)
#define NDIS_STATUS_RESOURCES           ((NDIS_STATUS)0xC000009A)
#define NDIS_STATUS_CLOSING             ((NDIS_STATUS)0xC0010002)
#define NDIS_STATUS_BAD_VERSION         ((NDIS_STATUS)0xC0010004)
#define NDIS_STATUS_BAD_CHARACTERISTICS ((NDIS_STATUS)0xC0010005)
#define NDIS_STATUS_ADAPTER_NOT_FOUND   ((NDIS_STATUS)0xC0010006)
#define NDIS_STATUS_OPEN_FAILED         ((NDIS_STATUS)0xC0010007)
#define NDIS_STATUS_REQUEST_ABORTED     ((NDIS_STATUS)0xC001000C)
#define NDIS_STATUS_INVALID_LENGTH      ((NDIS_STATUS)0xC0010014)
#define NDIS_STATUS_INVALID_DATA        ((NDIS_STATUS)0xC0010015)
#define NDIS_STATUS_BUFFER_TOO_SHORT    ((NDIS_STATUS)0xC0010016)
#define NDIS_STATUS_INVALID_OID         ((NDIS_STATUS)0xC0010017)
#define NDIS_STATUS_ADAPTER_REMOVED     ((NDIS_STATUS)0xC0010018)
#define NDIS_STATUS_UNSUPPORTED_MEDIA   ((NDIS_STATUS)0xC0010019)
#define NDIS_STATUS_INVALID_PARAMETER   ((NDIS_STATUS)0xC000000D)
#define NDIS_STATUS_PAUSED              ((NDIS_STATUS)0xC023002A)
#define NDIS_STATUS_LOW_POWER_STATE     ((NDIS_STATUS)0xC023002F)

/* ---- objects ---- */

typedef struct {
    UCHAR Type;
    UCHAR Revision;
    USHORT Size;
} NDIS_OBJECT_HEADER;

#define NDIS_OBJECT_TYPE_DEFAULT                         0x80
#define NDIS_OBJECT_TYPE_BIND_PARAMETERS                 0x86
#define NDIS_OBJECT_TYPE_OPEN_PARAMETERS                 0x87
#define NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS 0x95
#define NDIS_OBJECT_TYPE_OID_REQUEST                     0x96
#define NDIS_OBJECT_TYPE_STATUS_INDICATION               0x98

/* ---- media, links, identifiers of requests ---- */

typedef ULONG NDIS_MEDIUM;
#define NdisMedium802_3 0u

typedef ULONG NDIS_MEDIA_CONNECT_STATE;
#define MediaConnectStateUnknown      0u
#define MediaConnectStateConnected    1u
#define MediaConnectStateDisconnected 2u

#define NDIS_MAX_PHYS_ADDRESS_LENGTH 32
#define NDIS_LINK_SPEED_UNKNOWN      (~0ull)

typedef struct {
    NDIS_OBJECT_HEADER Header;
    NDIS_MEDIA_CONNECT_STATE MediaConnectState;
    ULONG MediaDuplexState;
    ULONGLONG XmitLinkSpeed; /* bits a second */
    ULONGLONG RcvLinkSpeed;
    ULONG PauseFunctions;
    ULONG AutoNegotiationFlags;
} NDIS_LINK_STATE;

#define OID_GEN_MEDIA_IN_USE          0x00010104u
#define OID_GEN_MAXIMUM_FRAME_SIZE    0x00010106u
#define OID_GEN_LINK_SPEED            0x00010107u /* 100 bits a second */
#define OID_GEN_VENDOR_DESCRIPTION    0x0001010Du
#define OID_GEN_CURRENT_PACKET_FILTER 0x0001010Eu
#define OID_GEN_CURRENT_LOOKAHEAD     0x0001010Fu
#define OID_GEN_MEDIA_CONNECT_STATUS  0x00010114u
#define OID_GEN_STATISTICS            0x00020106u
#define OID_GEN_XMIT_OK               0x00020101u
#define OID_GEN_RCV_OK                0x00020102u
#define OID_GEN_LINK_STATE            0x00010207u
#define OID_802_3_PERMANENT_ADDRESS   0x01010101u
#define OID_802_3_CURRENT_ADDRESS     0x01010102u
#define OID_802_3_MULTICAST_LIST      0x01010103u

#define NDIS_PACKET_TYPE_DIRECTED      0x00000001u
#define NDIS_PACKET_TYPE_MULTICAST     0x00000002u
#define NDIS_PACKET_TYPE_ALL_MULTICAST 0x00000004u
#define NDIS_PACKET_TYPE_BROADCAST     0x00000008u
#define NDIS_PACKET_TYPE_PROMISCUOUS   0x00000020u

/* ---- frames ---- */

typedef struct net_buffer {
    /* Also an entry of an interlocked list, which ends at a multiple of 16. */
    struct {
        struct net_buffer *Next;
        PMDL CurrentMdl;
        ULONG CurrentMdlOffset;
        union {
            ULONG DataLength;
            SIZE_T stDataLength;
        };
        PMDL MdlChain;
        ULONG DataOffset;
    };
    USHORT ChecksumBias;
    USHORT Reserved;
    NDIS_HANDLE NdisPoolHandle;
    VCK_ALIGNAS(16) PVOID NdisReserved[2];
    VCK_ALIGNAS(16) PVOID ProtocolReserved[6];
    VCK_ALIGNAS(16) PVOID MiniportReserved[4];
    ULONGLONG DataPhysicalAddress;
    PVOID SharedMemoryInfo;
} NET_BUFFER, *PNET_BUFFER;

#define NetBufferListCancelId  5
#define NetBufferListFrameType 7

typedef struct net_buffer_list {
    struct net_buffer_list *Next;
    PNET_BUFFER FirstNetBuffer;
    PVOID Context;
    struct net_buffer_list *ParentNetBufferList;
    NDIS_HANDLE NdisPoolHandle;
    VCK_ALIGNAS(16) PVOID NdisReserved[2];
    VCK_ALIGNAS(16) PVOID ProtocolReserved[4];
    PVOID MiniportReserved[2];
    PVOID Scratch;
    NDIS_HANDLE SourceHandle;
    ULONG NblFlags;
    LONG ChildRefCount;
    ULONG Flags;
    NDIS_STATUS Status;
    PVOID NetBufferListInfo[8]; /* more follow; how many depends on the system */
} NET_BUFFER_LIST, *PNET_BUFFER_LIST;

#define NDIS_SEND_FLAGS_DISPATCH_LEVEL          0x00000001u
#define NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL 0x00000001u
#define NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL       0x00000001u
#define NDIS_RECEIVE_FLAGS_RESOURCES            0x00000002u
#define NDIS_RETURN_FLAGS_DISPATCH_LEVEL        0x00000001u

typedef struct {
    NDIS_OBJECT_HEADER Header;
    UCHAR ProtocolId;
    BOOLEAN fAllocateNetBuffer;
    USHORT ContextSize; /* a multiple of 16 */
    ULONG PoolTag;
    ULONG DataSize;
} NET_BUFFER_LIST_POOL_PARAMETERS;

#define NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 1
#define NDIS_PROTOCOL_ID_DEFAULT                   0

/* ---- bindings ---- */

typedef struct {
    NDIS_OBJECT_HEADER Header;
    PNDIS_STRING ProtocolSection;
    PNDIS_STRING AdapterName;
    PDEVICE_OBJECT PhysicalDeviceObject;
    NDIS_MEDIUM MediaType;
    ULONG MtuSize; /* without the Ethernet header */
    ULONGLONG MaxXmitLinkSpeed;
    ULONGLONG XmitLinkSpeed;
    ULONGLONG MaxRcvLinkSpeed;
    ULONGLONG RcvLinkSpeed;
    NDIS_MEDIA_CONNECT_STATE MediaConnectState;
    ULONG MediaDuplexState;
    ULONG LookaheadSize;
    PVOID PowerManagementCapabilities;
    ULONG SupportedPacketFilters;
    ULONG MaxMulticastListSize;
    USHORT MacAddressLength;
    UCHAR CurrentMacAddress[NDIS_MAX_PHYS_ADDRESS_LENGTH];
    ULONG PhysicalMediumType;
    PVOID RcvScaleCapabilities;
    ULONGLONG BoundIfNetluid;
    ULONG BoundIfIndex;
    ULONGLONG LowestIfNetluid;
    ULONG LowestIfIndex;
    ULONG AccessType;
    ULONG DirectionType;
    ULONG ConnectionType;
    USHORT IfType;
    BOOLEAN IfConnectorPresent;
    PVOID ActivePorts;
    ULONG DataBackFillSize;
    ULONG ContextBackFillSize;
    ULONG MacOptions;
    ULONG CompartmentId;
    PVOID DefaultOffloadConfiguration;
    PVOID TcpConnectionOffloadCapabilities;
    PNDIS_STRING BoundAdapterName;
} NDIS_BIND_PARAMETERS, *PNDIS_BIND_PARAMETERS;

#define NDIS_BIND_PARAMETERS_REVISION_1 1

typedef struct {
    NDIS_OBJECT_HEADER Header;
    PNDIS_STRING AdapterName;
    NDIS_MEDIUM *MediumArray;
    ULONG MediumArraySize;
    ULONG *SelectedMediumIndex;
    NET_FRAME_TYPE *FrameTypeArray; /* in network order; NULL: every type */
    ULONG FrameTypeArraySize;
} NDIS_OPEN_PARAMETERS, *PNDIS_OPEN_PARAMETERS;

#define NDIS_OPEN_PARAMETERS_REVISION_1 1
/* Through the last field. */
#define NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1 52

/* ---- requests ---- */

typedef ULONG NDIS_REQUEST_TYPE;
#define NdisRequestQueryInformation 0u
#define NdisRequestSetInformation   1u
#define NdisRequestQueryStatistics  2u

typedef struct {
    NDIS_OBJECT_HEADER Header;
    NDIS_REQUEST_TYPE RequestType;
    NDIS_PORT_NUMBER PortNumber;
    ULONG Timeout; /* seconds; 0: none */
    PVOID RequestId;
    NDIS_HANDLE RequestHandle;
    union {
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            ULONG InformationBufferLength;
            ULONG BytesWritten;
            ULONG BytesNeeded;
        } QUERY_INFORMATION;
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            ULONG InformationBufferLength;
            ULONG BytesRead;
            ULONG BytesNeeded;
        } SET_INFORMATION;
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            ULONG InputBufferLength;
            ULONG OutputBufferLength;
            ULONG MethodId;
            ULONG BytesWritten;
            ULONG BytesRead;
            ULONG BytesNeeded;
        } METHOD_INFORMATION;
    } DATA;
    UCHAR NdisReserved[16 * sizeof(PVOID)];
    UCHAR MiniportReserved[2 * sizeof(PVOID)];
    UCHAR SourceReserved[2 * sizeof(PVOID)];
    UCHAR SupportedRevision;
    UCHAR Reserved1;
    USHORT Reserved2;
} NDIS_OID_REQUEST, *PNDIS_OID_REQUEST;

#define NDIS_OID_REQUEST_REVISION_1 1
/* Through the last field. */
#define NDIS_SIZEOF_OID_REQUEST_REVISION_1 236

/* ---- indications and events ---- */

typedef struct {
    NDIS_OBJECT_HEADER Header;
    NDIS_HANDLE SourceHandle;
    NDIS_PORT_NUMBER PortNumber;
    NDIS_STATUS StatusCode;
    ULONG Flags;
    NDIS_HANDLE DestinationHandle;
    PVOID RequestId;
    PVOID StatusBuffer;
    ULONG StatusBufferSize;
    VCK_ALIGNAS(4) UCHAR Guid[16];
    PVOID NdisReserved[4];
} NDIS_STATUS_INDICATION, *PNDIS_STATUS_INDICATION;

#define NDIS_STATUS_INDICATION_REVISION_1 1

typedef ULONG NET_PNP_EVENT_CODE;
#define NetEventSetPower           0u
#define NetEventQueryPower         1u
#define NetEventQueryRemoveDevice  2u
#define NetEventCancelRemoveDevice 3u
#define NetEventReconfigure        4u
#define NetEventBindList           5u
#define NetEventBindsComplete      6u
#define NetEventPnPCapabilities    7u
#define NetEventPause              8u
#define NetEventRestart            9u
#define NetEventPortActivation     10u
#define NetEventPortDeactivation   11u

/* What the buffer of SetPower and QueryPower holds. */
#define NetDeviceStateD0 1u
#define NetDeviceStateD3 4u

typedef struct {
    NDIS_OBJECT_HEADER Header;
    NDIS_PORT_NUMBER PortNumber;
    struct {
        NET_PNP_EVENT_CODE NetEvent;
        PVOID Buffer;
        ULONG BufferLength;
        ULONG_PTR NdisReserved[4];
        ULONG_PTR TransportReserved[4];
        ULONG_PTR TdiReserved[4];
        ULONG_PTR TdiClientReserved[4];
    } NetPnPEvent;
} NET_PNP_EVENT_NOTIFICATION, *PNET_PNP_EVENT_NOTIFICATION;

#define NET_PNP_EVENT_NOTIFICATION_REVISION_1 1

/* ---- the protocol driver ---- */

typedef struct {
    NDIS_OBJECT_HEADER Header;
    UCHAR MajorNdisVersion;
    UCHAR MinorNdisVersion;
    UCHAR MajorDriverVersion;
    UCHAR MinorDriverVersion;
    ULONG Flags;
    NDIS_STRING Name;
    NDIS_STATUS(NTAPI *SetOptionsHandler)(NDIS_HANDLE driver, NDIS_HANDLE driver_context);
    NDIS_STATUS(NTAPI *BindAdapterHandlerEx)
    (NDIS_HANDLE driver_context, NDIS_HANDLE bind_context, PNDIS_BIND_PARAMETERS parameters);
    NDIS_STATUS(NTAPI *UnbindAdapterHandlerEx)(NDIS_HANDLE unbind_context, NDIS_HANDLE context);
    VOID(NTAPI *OpenAdapterCompleteHandlerEx)(NDIS_HANDLE context, NDIS_STATUS status);
    VOID(NTAPI *CloseAdapterCompleteHandlerEx)(NDIS_HANDLE context);
    /* context is NULL for events that are no binding's. */
    NDIS_STATUS(NTAPI *NetPnPEventHandler)(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION event);
    VOID(NTAPI *UninstallHandler)(VOID);
    VOID(NTAPI *OidRequestCompleteHandler)
    (NDIS_HANDLE context, PNDIS_OID_REQUEST request, NDIS_STATUS status);
    VOID(NTAPI *StatusHandlerEx)(NDIS_HANDLE context, PNDIS_STATUS_INDICATION indication);
    VOID(NTAPI *ReceiveNetBufferListsHandler)
    (NDIS_HANDLE context, PNET_BUFFER_LIST lists, NDIS_PORT_NUMBER port, ULONG count, ULONG flags);
    VOID(NTAPI *SendNetBufferListsCompleteHandler)
    (NDIS_HANDLE context, PNET_BUFFER_LIST lists, ULONG flags);
    VOID(NTAPI *DirectOidRequestCompleteHandler)
    (NDIS_HANDLE context, PNDIS_OID_REQUEST request, NDIS_STATUS status);
} NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, *PNDIS_PROTOCOL_DRIVER_CHARACTERISTICS;

#define NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2 2 /* NDIS 6.1 */

NDIS_STATUS NTAPI NdisRegisterProtocolDriver(NDIS_HANDLE driver_context,
                                             PNDIS_PROTOCOL_DRIVER_CHARACTERISTICS characteristics,
                                             NDIS_HANDLE *ret_protocol);
VOID NTAPI NdisDeregisterProtocolDriver(NDIS_HANDLE protocol);
NDIS_STATUS NTAPI NdisOpenAdapterEx(NDIS_HANDLE protocol, NDIS_HANDLE context,
                                    PNDIS_OPEN_PARAMETERS parameters, NDIS_HANDLE bind_context,
                                    NDIS_HANDLE *ret_binding);
NDIS_STATUS NTAPI NdisCloseAdapterEx(NDIS_HANDLE binding);
VOID NTAPI NdisCompleteBindAdapterEx(NDIS_HANDLE bind_context, NDIS_STATUS status);
VOID NTAPI NdisCompleteUnbindAdapterEx(NDIS_HANDLE unbind_context);
NDIS_STATUS NTAPI NdisUnbindAdapter(NDIS_HANDLE binding);
VOID NTAPI NdisSendNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists,
                                  NDIS_PORT_NUMBER port, ULONG flags);
VOID NTAPI NdisReturnNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists, ULONG flags);
VOID NTAPI NdisCancelSendNetBufferLists(NDIS_HANDLE binding, PVOID cancel_id);
NDIS_STATUS NTAPI NdisOidRequest(NDIS_HANDLE binding, PNDIS_OID_REQUEST request);
VOID NTAPI NdisCancelOidRequest(NDIS_HANDLE binding, PVOID request_id);
/* The name for people, which the caller frees by NdisFreeMemory(name->Buffer, 0, 0). */
NDIS_STATUS NTAPI NdisQueryBindInstanceName(PNDIS_STRING ret_name, NDIS_HANDLE bind_context);
VOID NTAPI NdisFreeMemory(PVOID memory, ULONG bytes, ULONG flags);
VOID NTAPI NdisCompleteNetPnPEvent(NDIS_HANDLE binding, PNET_PNP_EVENT_NOTIFICATION event,
                                   NDIS_STATUS status);
UCHAR NTAPI NdisGeneratePartialCancelId(VOID);
NDIS_HANDLE NTAPI NdisAllocateNetBufferListPool(NDIS_HANDLE handle,
                                                NET_BUFFER_LIST_POOL_PARAMETERS *parameters);
VOID NTAPI NdisFreeNetBufferListPool(NDIS_HANDLE pool);
PNET_BUFFER_LIST NTAPI NdisAllocateNetBufferAndNetBufferList(NDIS_HANDLE pool, USHORT context_bytes,
                                                             USHORT context_backfill_bytes,
                                                             PMDL chain, ULONG offset_bytes,
                                                             SIZE_T length_bytes);
VOID NTAPI NdisFreeNetBufferList(PNET_BUFFER_LIST list);

/* ---- what the numbers are on x64 ---- */

#define VCK_NDIS_AT(type, field, offset) static_assert(offsetof(type, field) == (offset), #field)
#define VCK_NDIS_SIZE(type, bytes)       static_assert(sizeof(type) == (bytes), #type)

VCK_NDIS_SIZE(NDIS_OBJECT_HEADER, 4);
VCK_NDIS_SIZE(NDIS_LINK_STATE, 40);
VCK_NDIS_AT(NDIS_LINK_STATE, XmitLinkSpeed, 16);

VCK_NDIS_AT(NET_BUFFER, CurrentMdl, 8);
VCK_NDIS_AT(NET_BUFFER, CurrentMdlOffset, 16);
VCK_NDIS_AT(NET_BUFFER, DataLength, 24);
VCK_NDIS_AT(NET_BUFFER, MdlChain, 32);
VCK_NDIS_AT(NET_BUFFER, DataOffset, 40);
VCK_NDIS_AT(NET_BUFFER, ChecksumBias, 48);
VCK_NDIS_AT(NET_BUFFER, NdisPoolHandle, 56);
VCK_NDIS_AT(NET_BUFFER, NdisReserved, 64);
VCK_NDIS_AT(NET_BUFFER, ProtocolReserved, 80);
VCK_NDIS_AT(NET_BUFFER, MiniportReserved, 128);
VCK_NDIS_AT(NET_BUFFER, DataPhysicalAddress, 160);
VCK_NDIS_SIZE(NET_BUFFER, 176);
VCK_NDIS_AT(NET_BUFFER_LIST, FirstNetBuffer, 8);
VCK_NDIS_AT(NET_BUFFER_LIST, Context, 16);
VCK_NDIS_AT(NET_BUFFER_LIST, ParentNetBufferList, 24);
VCK_NDIS_AT(NET_BUFFER_LIST, NdisPoolHandle, 32);
VCK_NDIS_AT(NET_BUFFER_LIST, NdisReserved, 48);
VCK_NDIS_AT(NET_BUFFER_LIST, ProtocolReserved, 64);
VCK_NDIS_AT(NET_BUFFER_LIST, MiniportReserved, 96);
VCK_NDIS_AT(NET_BUFFER_LIST, SourceHandle, 120);
VCK_NDIS_AT(NET_BUFFER_LIST, NblFlags, 128);
VCK_NDIS_AT(NET_BUFFER_LIST, Status, 140);
VCK_NDIS_AT(NET_BUFFER_LIST, NetBufferListInfo, 144);

VCK_NDIS_SIZE(NET_BUFFER_LIST_POOL_PARAMETERS, 16);
VCK_NDIS_AT(NET_BUFFER_LIST_POOL_PARAMETERS, ContextSize, 6);
VCK_NDIS_AT(NET_BUFFER_LIST_POOL_PARAMETERS, DataSize, 12);

VCK_NDIS_AT(NDIS_BIND_PARAMETERS, AdapterName, 16);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, MediaType, 32);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, MtuSize, 36);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, XmitLinkSpeed, 48);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, MediaConnectState, 72);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, SupportedPacketFilters, 96);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, MacAddressLength, 104);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, CurrentMacAddress, 106);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, PhysicalMediumType, 140);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, IfType, 192);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, DataBackFillSize, 208);
VCK_NDIS_AT(NDIS_BIND_PARAMETERS, BoundAdapterName, 240);
VCK_NDIS_SIZE(NDIS_BIND_PARAMETERS, 248);
VCK_NDIS_AT(NDIS_OPEN_PARAMETERS, SelectedMediumIndex, 32);
VCK_NDIS_AT(NDIS_OPEN_PARAMETERS, FrameTypeArraySize, 48);
VCK_NDIS_SIZE(NDIS_OPEN_PARAMETERS, 56);

VCK_NDIS_AT(NDIS_OID_REQUEST, Timeout, 12);
VCK_NDIS_AT(NDIS_OID_REQUEST, RequestId, 16);
VCK_NDIS_AT(NDIS_OID_REQUEST, DATA, 32);
VCK_NDIS_AT(NDIS_OID_REQUEST, DATA.QUERY_INFORMATION.InformationBuffer, 40);
VCK_NDIS_AT(NDIS_OID_REQUEST, DATA.QUERY_INFORMATION.BytesNeeded, 56);
VCK_NDIS_AT(NDIS_OID_REQUEST, DATA.METHOD_INFORMATION.BytesNeeded, 68);
VCK_NDIS_AT(NDIS_OID_REQUEST, NdisReserved, 72);
VCK_NDIS_AT(NDIS_OID_REQUEST, MiniportReserved, 200);
VCK_NDIS_AT(NDIS_OID_REQUEST, SourceReserved, 216);
VCK_NDIS_AT(NDIS_OID_REQUEST, Reserved2, NDIS_SIZEOF_OID_REQUEST_REVISION_1 - 2);
VCK_NDIS_SIZE(NDIS_OID_REQUEST, 240);

VCK_NDIS_AT(NDIS_STATUS_INDICATION, StatusCode, 20);
VCK_NDIS_AT(NDIS_STATUS_INDICATION, DestinationHandle, 32);
VCK_NDIS_AT(NDIS_STATUS_INDICATION, StatusBuffer, 48);
VCK_NDIS_AT(NDIS_STATUS_INDICATION, StatusBufferSize, 56);
VCK_NDIS_AT(NDIS_STATUS_INDICATION, Guid, 60);
VCK_NDIS_SIZE(NDIS_STATUS_INDICATION, 112);
VCK_NDIS_AT(NET_PNP_EVENT_NOTIFICATION, NetPnPEvent, 8);
VCK_NDIS_AT(NET_PNP_EVENT_NOTIFICATION, NetPnPEvent.Buffer, 16);
VCK_NDIS_AT(NET_PNP_EVENT_NOTIFICATION, NetPnPEvent.TransportReserved, 64);
VCK_NDIS_SIZE(NET_PNP_EVENT_NOTIFICATION, 160);

VCK_NDIS_AT(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, Name, 16);
VCK_NDIS_AT(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, SetOptionsHandler, 32);
VCK_NDIS_AT(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, NetPnPEventHandler, 72);
VCK_NDIS_AT(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, SendNetBufferListsCompleteHandler, 112);
VCK_NDIS_SIZE(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, 128);

VCK_END_DECLS

#endif
