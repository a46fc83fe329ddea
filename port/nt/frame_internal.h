/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_internal: what the files of port/frames.h over NDIS 6 share.
 *
 *     NDIS                               here                       above
 *     BindAdapterHandlerEx, PENDING      a binding is made          handlers->bind
 *     NdisOpenAdapterEx <--------------- vck_frames_open
 *     NdisCompleteBindAdapterEx <------- vck_frames_bind_done; a failure frees the binding
 *     UnbindAdapterHandlerEx, PENDING                               handlers->event(UNBIND)
 *     NdisCloseAdapterEx <-------------- vck_frames_close, once no event is open
 *     NdisCompleteUnbindAdapterEx <----- vck_frames_event_done, the binding is freed
 */
#ifndef VCK_PORT_NT_FRAME_INTERNAL_H
#define VCK_PORT_NT_FRAME_INTERNAL_H

#include "port/frames.h"
#include "port/nt/ndis.h"
#include "vck/bytes.h"

#define VCK_NT_FRAME_TAG VCK_TAG('V', 'n', 'd', 's')

/* Frames of an adapter that are with the core at a time; more are dropped. */
#define VCK_NT_FRAMES_LENT   512u
#define VCK_NT_ADAPTER_CHARS 128u

struct vck_frames_protocol {
    struct vck_frames_handler *handler;
    NDIS_HANDLE handle; /* atomic; NULL until NdisRegisterProtocolDriver has returned */
    uint8_t cancel_part;
};

struct vck_nt_binding {
    struct vck_frames_protocol *protocol;
    struct vck_frames_binding *core; /* between open and closed */
    struct vck_frames_bind bind;
    struct vck_frames_event unbind;
    NDIS_HANDLE bind_context;
    NDIS_HANDLE unbind_context;
    NDIS_HANDLE handle;
    NDIS_HANDLE pool;
    NDIS_MEDIUM medium;
    ULONG medium_index;
    uint32_t
        holds; /* atomic: on the open adapter, by the core and by events that are not answered */
    struct vck_spinlock lock; /* covers the next */
    struct vck_frames_received *spare;
    uint64_t dropped; /* atomic: frames there was no place for */
    UNICODE_STRING adapter;
    WCHAR adapter_chars[VCK_NT_ADAPTER_CHARS];
    char name[VCK_NT_ADAPTER_CHARS * 3];
    char description[VCK_NT_ADAPTER_CHARS * 3];
    struct vck_frames_received frames[VCK_NT_FRAMES_LENT];
};

static inline struct vck_nt_binding *vck_nt_binding_of(struct vck_frames_binding *binding)
{
    return binding->port_data;
}

/* Of a send, a request or an open that ended so. */
vck_status vck_nt_frame_status(NDIS_STATUS status);

/* NDIS's handlers that are of frames, requests and statuses. */
VOID NTAPI vck_nt_frames_sent(NDIS_HANDLE context, PNET_BUFFER_LIST lists, ULONG flags);
VOID NTAPI vck_nt_frames_received(NDIS_HANDLE context, PNET_BUFFER_LIST lists,
                                  NDIS_PORT_NUMBER port, ULONG count, ULONG flags);
VOID NTAPI vck_nt_frames_requested(NDIS_HANDLE context, PNDIS_OID_REQUEST request,
                                   NDIS_STATUS status);
VOID NTAPI vck_nt_frames_status(NDIS_HANDLE context, PNDIS_STATUS_INDICATION indication);

/* Gives MDLs that are not mapped their address: the chain room's hook. DISPATCH. */
VCK_CHECKED vck_status vck_nt_map_descriptor(struct vck_descriptor *descriptor);

/* The places of frames, all spare. */
void vck_nt_frames_prepare(struct vck_nt_binding *binding);

#endif
