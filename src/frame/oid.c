/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/frame_oid.h"
#include "vck/bytes.h"

#define FILTERS                                                                                    \
    (VCK_FRAME_FILTER_DEFAULT | VCK_FRAME_FILTER_ALL_MULTICAST | VCK_FRAME_FILTER_PROMISCUOUS)
#define ADDRESS_BYTES 6u

static const uint32_t queries[] = {
    VCK_OID_GEN_MEDIA_SUPPORTED,
    VCK_OID_GEN_MEDIA_IN_USE,
    VCK_OID_GEN_MAXIMUM_FRAME_SIZE,
    VCK_OID_GEN_LINK_SPEED,
    VCK_OID_GEN_VENDOR_DESCRIPTION,
    VCK_OID_GEN_CURRENT_PACKET_FILTER,
    VCK_OID_GEN_CURRENT_LOOKAHEAD,
    VCK_OID_GEN_MAXIMUM_TOTAL_SIZE,
    VCK_OID_GEN_MEDIA_CONNECT_STATUS,
    VCK_OID_GEN_XMIT_OK,
    VCK_OID_GEN_RCV_OK,
    VCK_OID_GEN_XMIT_ERROR,
    VCK_OID_GEN_RCV_ERROR,
    VCK_OID_GEN_RCV_NO_BUFFER,
    VCK_OID_802_3_PERMANENT_ADDRESS,
    VCK_OID_802_3_CURRENT_ADDRESS,
    VCK_OID_802_3_MULTICAST_LIST,
    VCK_OID_802_3_MAXIMUM_LIST_SIZE,
};

bool vck_frame_oid_may_query(uint32_t oid)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(queries); i++)
        if (queries[i] == oid)
            return true;
    return false;
}

/* Group addresses only: the bit that is sent first. */
static bool is_multicast_list(const uint8_t *data, uint32_t size_bytes)
{
    if (size_bytes % ADDRESS_BYTES != 0)
        return false;
    for (uint32_t i = 0; i < size_bytes; i += ADDRESS_BYTES)
        if ((data[i] & 1) == 0)
            return false;
    return true;
}

bool vck_frame_oid_may_set(uint32_t oid, const void *data, uint32_t size_bytes)
{
    switch (oid) {
    case VCK_OID_GEN_CURRENT_PACKET_FILTER:
        return size_bytes == 4 && (vck_load_le32(data) & ~FILTERS) == 0;
    case VCK_OID_GEN_CURRENT_LOOKAHEAD:
        return size_bytes == 4;
    case VCK_OID_802_3_MULTICAST_LIST:
        return is_multicast_list(data, size_bytes);
    default:
        return false;
    }
}
