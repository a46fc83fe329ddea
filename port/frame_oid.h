/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_oid: the numbers by which adapters are asked and set (port/frames.h). The values and the
 * layouts of their data are those of NDIS, little-endian, on every port. Source: the public
 * documentation of NDIS, "NDIS General OIDs", "Ethernet OIDs".
 */
#ifndef VCK_PORT_FRAME_OID_H
#define VCK_PORT_FRAME_OID_H

enum vck_frame_oid {
    VCK_OID_GEN_MEDIA_SUPPORTED = 0x00010103,       /* u32 list */
    VCK_OID_GEN_MEDIA_IN_USE = 0x00010104,          /* u32 list; VCK_FRAME_MEDIUM_ETHERNET */
    VCK_OID_GEN_MAXIMUM_FRAME_SIZE = 0x00010106,    /* u32: without the header (the MTU) */
    VCK_OID_GEN_LINK_SPEED = 0x00010107,            /* u32: 100 bit/s */
    VCK_OID_GEN_VENDOR_DESCRIPTION = 0x0001010d,    /* text, zero-terminated */
    VCK_OID_GEN_CURRENT_PACKET_FILTER = 0x0001010e, /* u32: VCK_FRAME_FILTER_... */
    VCK_OID_GEN_CURRENT_LOOKAHEAD = 0x0001010f,     /* u32 */
    VCK_OID_GEN_MAXIMUM_TOTAL_SIZE = 0x00010111,    /* u32: with the header */
    VCK_OID_GEN_MEDIA_CONNECT_STATUS = 0x00010114,  /* u32: 0 connected, 1 not */
    VCK_OID_GEN_XMIT_OK = 0x00020101,               /* u64 (u32 on request): frames sent */
    VCK_OID_GEN_RCV_OK = 0x00020102,
    VCK_OID_GEN_XMIT_ERROR = 0x00020103,
    VCK_OID_GEN_RCV_ERROR = 0x00020104,
    VCK_OID_GEN_RCV_NO_BUFFER = 0x00020105,
    VCK_OID_802_3_PERMANENT_ADDRESS = 0x01010101, /* 6 bytes */
    VCK_OID_802_3_CURRENT_ADDRESS = 0x01010102,   /* 6 bytes */
    VCK_OID_802_3_MULTICAST_LIST = 0x01010103,    /* 6 bytes each */
    VCK_OID_802_3_MAXIMUM_LIST_SIZE = 0x01010104, /* u32 */
};

#define VCK_FRAME_MEDIUM_ETHERNET 0u

/* Bits of VCK_OID_GEN_CURRENT_PACKET_FILTER: which frames the adapter hands up. */
#define VCK_FRAME_FILTER_DIRECTED      0x00000001u
#define VCK_FRAME_FILTER_MULTICAST     0x00000002u /* those of the list */
#define VCK_FRAME_FILTER_ALL_MULTICAST 0x00000004u
#define VCK_FRAME_FILTER_BROADCAST     0x00000008u
#define VCK_FRAME_FILTER_PROMISCUOUS   0x00000020u

/* What an opened binding has to begin with: nothing that is meant for others. */
#define VCK_FRAME_FILTER_DEFAULT                                                                   \
    (VCK_FRAME_FILTER_DIRECTED | VCK_FRAME_FILTER_MULTICAST | VCK_FRAME_FILTER_BROADCAST)

/* Status codes of adapters. */
#define VCK_FRAME_STATUS_LINK_STATE 0x40010017u

#endif
