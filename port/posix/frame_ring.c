/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: a ring of blocks shared with the kernel (TPACKET_V3). A block is the kernel's, then
 * ours until all of its frames have been handed back; blocks that frames are kept in stay out of
 * the ring meanwhile, so that may_keep ends at half of them.
 *
 *     kernel fills --full, or its time is up--> read --nothing kept, or all returned--> kernel
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

struct frame_block {
    struct frame_socket *socket;
    struct tpacket_block_desc *description;
    uint32_t users; /* atomic: the reader, and each frame that is kept */
};

struct frame_entry {
    struct vck_frames_received received;
    struct vck_descriptor descriptor;
    struct frame_block *block;
    struct frame_entry *next;
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
    struct frame_block *blocks;
    uint8_t *memory;
    int error = configure(socket, &ring);

    if (error)
        return error;
    blocks = vck_alloc(sizeof(*blocks) * ring.tp_block_nr, FRAMES_TAG);
    if (!blocks)
        return ENOMEM;
    memory = mmap(NULL, (size_t)BLOCK_BYTES * ring.tp_block_nr, PROT_READ | PROT_WRITE, MAP_SHARED,
                  socket->fd, 0);
    if (memory == MAP_FAILED) {
        error = errno;
        vck_free(blocks);
        return error;
    }
    for (uint32_t i = 0; i < ring.tp_block_nr; i++)
        blocks[i] = (struct frame_block){
            .socket = socket,
            .description = (void *)(memory + (size_t)BLOCK_BYTES * i),
        };
    socket->blocks = blocks;
    socket->block_count = ring.tp_block_nr;
    socket->ring = memory;
    return 0;
}

void vck_frames_ring_destroy(struct frame_socket *socket)
{
    while (socket->free_entries) {
        struct frame_entry *entry = socket->free_entries;
        socket->free_entries = entry->next;
        vck_free(entry);
    }
    if (socket->ring)
        munmap(socket->ring, (size_t)BLOCK_BYTES * socket->block_count);
    vck_free(socket->blocks);
}

/* ---- entries ---- */

static struct frame_entry *take_entry(struct frame_socket *socket)
{
    struct frame_entry *entry;

    vck_spinlock_acquire(&socket->entry_lock);
    entry = socket->free_entries;
    if (entry)
        socket->free_entries = entry->next;
    vck_spinlock_release(&socket->entry_lock);
    return entry ? entry : vck_alloc(sizeof(*entry), FRAMES_TAG);
}

static void put_entries(struct frame_socket *socket, struct vck_frames_received *received)
{
    vck_spinlock_acquire(&socket->entry_lock);
    while (received) {
        struct frame_entry *entry = VCK_CONTAINER_OF(received, struct frame_entry, received);
        received = received->next;
        entry->next = socket->free_entries;
        socket->free_entries = entry;
    }
    vck_spinlock_release(&socket->entry_lock);
}

/* ---- blocks ---- */

static void put_block(struct frame_block *block, uint32_t users)
{
    if (__atomic_sub_fetch(&block->users, users, __ATOMIC_ACQ_REL) != 0)
        return;
    __atomic_sub_fetch(&block->socket->held_blocks, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&block->description->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

void vck_frames_return(struct vck_frames_binding *binding, struct vck_frames_received *first)
{
    struct frame_socket *socket = binding->port_data;

    while (first) {
        struct vck_frames_received *next = first->next;
        struct frame_block *block = VCK_CONTAINER_OF(first, struct frame_entry, received)->block;
        first->next = NULL;
        put_entries(socket, first);
        put_block(block, 1);
        first = next;
    }
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

static struct frame_entry *make_entry(struct frame_block *block, struct tpacket3_hdr *head)
{
    struct frame_entry *entry = take_entry(block->socket);
    uint8_t *frame = (uint8_t *)head + head->tp_mac;
    uint32_t size_bytes = head->tp_snaplen;

    if (!entry)
        return NULL;
    if (head->tp_status & TP_STATUS_VLAN_VALID) {
        frame = put_tag(frame, head);
        size_bytes += TAG_BYTES;
    }
    vck_descriptor_init(&entry->descriptor, frame, size_bytes);
    entry->received =
        (struct vck_frames_received){.first = &entry->descriptor, .size_bytes = size_bytes};
    entry->block = block;
    return entry;
}

/* ---- reading ---- */

static uint32_t hand_up(struct frame_socket *socket, struct vck_frames_received *first,
                        uint32_t count, bool may_keep)
{
    struct vck_frames_binding *binding = socket->binding;
    struct vck_frames_received *back;
    vck_level level = vck_frames_raise();

    back = binding->handlers->received(binding, first, may_keep);
    vck_frames_lower(level);
    for (const struct vck_frames_received *received = back; received; received = received->next)
        count--;
    put_entries(socket, back);
    return count;
}

/* Up to a batch of frames, from *head on, which moves. */
static void read_batch(struct frame_block *block, struct tpacket3_hdr **head, uint32_t *left)
{
    struct frame_socket *socket = block->socket;
    bool may_keep =
        __atomic_load_n(&socket->held_blocks, __ATOMIC_RELAXED) * 2 <= socket->block_count;
    struct vck_frames_received *first = NULL;
    struct vck_frames_received **end = &first;
    uint32_t count = 0;

    for (; *left > 0 && count < BATCH_FRAMES; (*left)--) {
        struct frame_entry *entry = passes(socket, *head) ? make_entry(block, *head) : NULL;
        if (entry) {
            *end = &entry->received;
            end = &entry->received.next;
            count++;
        }
        *head = (void *)((uint8_t *)*head + (*head)->tp_next_offset);
    }
    *end = NULL;
    if (count == 0)
        return;
    /* Each may be returned at any time from now on. */
    __atomic_add_fetch(&block->users, count, __ATOMIC_RELAXED);
    put_block(block, count - hand_up(socket, first, count, may_keep));
}

static void count_drops(struct frame_socket *socket)
{
    struct tpacket_stats_v3 statistics;
    socklen_t size = sizeof(statistics);

    if (getsockopt(socket->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        __atomic_add_fetch(&socket->binding->dropped_frames, statistics.tp_drops, __ATOMIC_RELAXED);
}

static void read_block(struct frame_block *block)
{
    struct tpacket_hdr_v1 *description = &block->description->hdr.bh1;
    struct tpacket3_hdr *head =
        (void *)((uint8_t *)block->description + description->offset_to_first_pkt);
    uint32_t left = description->num_pkts;

    __atomic_store_n(&block->users, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&block->socket->held_blocks, 1, __ATOMIC_RELAXED);
    while (left > 0)
        read_batch(block, &head, &left);
    put_block(block, 1);
}

/* A block that is still held from the last time round is not the kernel's and not to be read. */
static bool is_ready(struct frame_block *block)
{
    uint32_t status = __atomic_load_n(&block->description->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&block->users, __ATOMIC_ACQUIRE) == 0 && (status & TP_STATUS_USER) != 0;
}

/* At most once round, for the thread has others to serve. */
void vck_frames_ring_read(struct frame_socket *socket)
{
    for (uint32_t i = 0; i < socket->block_count; i++) {
        struct frame_block *block = &socket->blocks[socket->next_block];
        if (!is_ready(block))
            break;
        socket->next_block = (socket->next_block + 1) % socket->block_count;
        read_block(block);
    }
    count_drops(socket);
}
