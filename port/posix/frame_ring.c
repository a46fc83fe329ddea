/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: a ring of blocks shared with the kernel (TPACKET_V3). A block is the kernel's until it
 * is full or its time is up, then ours for as long as it takes to hand its frames up. They are not
 * lent out: the kernel goes round, and one block that stays out would stop it there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "port/posix/frame_internal.h"
#include "vck/bytes.h"
#include "vck/chain.h"

#define BLOCK_BYTES  65536u
#define RING_BYTES   (4u << 20)
#define RETIRE_MS    1u
#define TAG_BYTES    4u /* a VLAN's, which the kernel takes out */
#define BATCH_FRAMES 64u
#define FRAME_BYTES  2048u /* a formality: blocks are filled without gaps */

struct frame_entry {
    struct vck_frames_received received;
    struct vck_descriptor descriptor;
};

/* ---- making ---- */

static int configure(const struct frame_socket *socket, struct tpacket_req3 *ret_ring)
{
    const struct vck_posix_frame_config *config = &socket->protocol->config;
    uint32_t ring_bytes = config->ring_bytes ? config->ring_bytes : RING_BYTES;
    int version = TPACKET_V3;
    int reserve = TAG_BYTES;
    int yes = 1;

    *ret_ring = (struct tpacket_req3){
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = VCK_MAX(ring_bytes / BLOCK_BYTES, 2u),
        .tp_frame_size = FRAME_BYTES,
        .tp_retire_blk_tov = config->retire_ms ? config->retire_ms : RETIRE_MS,
    };
    ret_ring->tp_frame_nr = ret_ring->tp_block_nr * (BLOCK_BYTES / FRAME_BYTES);
    if (setsockopt(socket->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
        setsockopt(socket->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof(reserve)) ||
        setsockopt(socket->fd, SOL_PACKET, PACKET_RX_RING, ret_ring, sizeof(*ret_ring)))
        return errno;
    /* Older kernels do not know it; what is outgoing is also left out by its type. */
    (void)setsockopt(socket->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes));
    return 0;
}

int vck_frames_ring_make(struct frame_socket *socket)
{
    struct tpacket_req3 ring;
    struct frame_entry *entries;
    uint8_t *memory;
    int error = configure(socket, &ring);

    if (error)
        return error;
    entries = vck_alloc(sizeof(*entries) * BATCH_FRAMES, FRAMES_TAG);
    if (!entries)
        return ENOMEM;
    memory = mmap(NULL, (size_t)BLOCK_BYTES * ring.tp_block_nr, PROT_READ | PROT_WRITE, MAP_SHARED,
                  socket->fd, 0);
    if (memory == MAP_FAILED) {
        error = errno;
        vck_free(entries);
        return error;
    }
    socket->entries = entries;
    socket->block_count = ring.tp_block_nr;
    socket->ring = memory;
    return 0;
}

void vck_frames_ring_destroy(struct frame_socket *socket)
{
    if (socket->ring)
        munmap(socket->ring, (size_t)BLOCK_BYTES * socket->block_count);
    vck_free(socket->entries);
}

/* None is ever kept. */
void vck_frames_return(struct vck_frames_binding *binding, struct vck_frames_received *first)
{
    (void)binding;
    VCK_ASSERT(!first);
}

/* ---- one frame ---- */

static bool is_in_list(const struct frame_socket *socket, const uint8_t *address)
{
    for (uint32_t i = 0; i < socket->multicast_count; i++)
        if (memcmp(socket->multicast[i], address, ADDRESS_BYTES) == 0)
            return true;
    return false;
}

static bool passes(struct frame_socket *socket, const struct tpacket3_hdr *head)
{
    const struct sockaddr_ll *from =
        (const void *)((const uint8_t *)head + TPACKET_ALIGN(sizeof(*head)));
    uint32_t filter = socket->filter;

    if (from->sll_pkttype == PACKET_OUTGOING || head->tp_snaplen < HEADER_BYTES)
        return false;
    if (filter & VCK_FRAME_FILTER_PROMISCUOUS)
        return true;
    switch (from->sll_pkttype) {
    case PACKET_HOST:
        return (filter & VCK_FRAME_FILTER_DIRECTED) != 0;
    case PACKET_BROADCAST:
        return (filter & VCK_FRAME_FILTER_BROADCAST) != 0;
    case PACKET_MULTICAST:
        if (filter & VCK_FRAME_FILTER_ALL_MULTICAST)
            return true;
        return (filter & VCK_FRAME_FILTER_MULTICAST) != 0 &&
               is_in_list(socket, (const uint8_t *)head + head->tp_mac);
    default:
        return false;
    }
}

/* Puts the tag back behind the addresses; there is room for it in front of the frame. */
static uint8_t *put_tag(uint8_t *frame, const struct tpacket3_hdr *head)
{
    uint16_t type =
        head->tp_status & TP_STATUS_VLAN_TPID_VALID ? head->hv1.tp_vlan_tpid : ETH_P_8021Q;

    memmove(frame - TAG_BYTES, frame, (size_t)ADDRESS_BYTES * 2);
    frame -= TAG_BYTES;
    vck_store_be16(frame + ADDRESS_BYTES * 2, type);
    vck_store_be16(frame + ADDRESS_BYTES * 2 + 2, (uint16_t)head->hv1.tp_vlan_tci);
    return frame;
}

static void make_entry(struct frame_entry *entry, struct tpacket3_hdr *head)
{
    uint8_t *frame = (uint8_t *)head + head->tp_mac;
    uint32_t size_bytes = head->tp_snaplen;

    if (head->tp_status & TP_STATUS_VLAN_VALID) {
        frame = put_tag(frame, head);
        size_bytes += TAG_BYTES;
    }
    vck_descriptor_init(&entry->descriptor, frame, size_bytes);
    entry->received =
        (struct vck_frames_received){.first = &entry->descriptor, .size_bytes = size_bytes};
}

/* ---- reading ---- */

static void hand_up(struct frame_socket *socket, struct vck_frames_received *first)
{
    struct vck_frames_binding *binding = socket->binding;
    vck_level level = vck_frames_raise();

    (void)binding->handlers->received(binding, first, false);
    vck_frames_lower(level);
}

/* Up to a batch of frames, from *head on, which moves. */
static void read_batch(struct frame_socket *socket, struct tpacket3_hdr **head, uint32_t *left)
{
    struct vck_frames_received *first = NULL;
    struct vck_frames_received **end = &first;
    uint32_t count = 0;

    for (; *left > 0 && count < BATCH_FRAMES; (*left)--) {
        if (passes(socket, *head)) {
            struct frame_entry *entry = &socket->entries[count++];
            make_entry(entry, *head);
            *end = &entry->received;
            end = &entry->received.next;
        }
        *head = (void *)((uint8_t *)*head + (*head)->tp_next_offset);
    }
    *end = NULL;
    if (first)
        hand_up(socket, first);
}

static void count_drops(struct frame_socket *socket)
{
    struct tpacket_stats_v3 statistics;
    socklen_t size = sizeof(statistics);

    if (getsockopt(socket->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        __atomic_add_fetch(&socket->binding->dropped_frames, statistics.tp_drops, __ATOMIC_RELAXED);
}

static void read_block(struct frame_socket *socket, struct tpacket_block_desc *block)
{
    struct tpacket3_hdr *head = (void *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
    uint32_t left = block->hdr.bh1.num_pkts;

    while (left > 0)
        read_batch(socket, &head, &left);
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

/* At most once round, for the thread has others to serve. */
void vck_frames_ring_read(struct frame_socket *socket)
{
    for (uint32_t i = 0; i < socket->block_count; i++) {
        struct tpacket_block_desc *block =
            (void *)(socket->ring + (size_t)BLOCK_BYTES * socket->next_block);
        uint32_t status = __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
        if ((status & TP_STATUS_USER) == 0)
            break;
        socket->next_block = (socket->next_block + 1) % socket->block_count;
        read_block(socket, block);
    }
    count_drops(socket);
}
