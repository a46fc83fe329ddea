/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages: the requests and responses of the control protocol, struct to MessagePack map and back,
 * from one table per message. Both directions of both sides: a host decodes requests, its client
 * encodes them. Pure: no allocation, no I/O. Source: docs/control-protocol.md, "Messages".
 *
 * Strings are NUL-terminated; an absent optional string is "". Decoded strings and bytes point into
 * the buffer they were decoded from, so wiping that buffer wipes them.
 */
#ifndef VCK_MESSAGES_H
#define VCK_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* A frame on a socket: a u32 (code or NTSTATUS), then the message or an explanation. */
#define VCK_FRAME_BYTES_MAX    65536u
#define VCK_FRAME_PREFIX_BYTES 4u

#define VCK_MSG_PATH_BYTES_MAX     1023u /* of a path, without the NUL */
#define VCK_MSG_TEXT_BYTES_MAX     1023u /* of an explanation */
#define VCK_MSG_VMK_BYTES_MAX      1024u
#define VCK_MSG_BLOCK_BYTES_MAX    32768u /* of metadata_block; 512 of them count */
#define VCK_MSG_TABLE_BYTES_MAX    24576u
#define VCK_MSG_METADATA_BYTES_MAX 32768u
#define VCK_MSG_COUNT_MAX          4096u /* of array elements that are kept */

enum vck_message_type {
    VCK_MESSAGE_NONE,  /* no bytes at all */
    VCK_MESSAGE_EMPTY, /* a map without fields */
    VCK_MESSAGE_VOLUME_REQUEST,
    VCK_MESSAGE_VOLUME_STATUS,
    VCK_MESSAGE_PROGRESS_EVENT,
    VCK_MESSAGE_PREPARE_REQUEST,
    VCK_MESSAGE_PREPARE_RESPONSE,
    VCK_MESSAGE_ATTACH_REQUEST,
    VCK_MESSAGE_ATTACH_RESPONSE,
    VCK_MESSAGE_VOLUME_LIST,
    VCK_MESSAGE_BENCH_REQUEST,
    VCK_MESSAGE_BENCH_RESPONSE,
    VCK_MESSAGE_RATE_REQUEST,
    VCK_MESSAGE_DAMAGE_LIST,
    VCK_MESSAGE_TEXT,
    VCK_MESSAGE_KEYS_REQUEST,
    VCK_MESSAGE_KEYS_RESPONSE,
    VCK_MESSAGE_WAKE_REQUEST,
    VCK_MESSAGE_METADATA_REQUEST,
    VCK_MESSAGE_METADATA_RESPONSE,
    VCK_MESSAGE_USED_RECORDING,
    VCK_MESSAGE_USED_REQUEST,
    VCK_MESSAGE_TYPE_COUNT
};

/* Optional integers whose absence means something. */
struct vck_optional_u32 {
    bool is_present;
    uint32_t value;
};
struct vck_optional_u64 {
    bool is_present;
    uint64_t value;
};

/* VCK_MESSAGE_NONE and VCK_MESSAGE_EMPTY. */
struct vck_msg_empty {
    uint8_t unused;
};

struct vck_msg_volume_request {
    const char *volume_path;
};

struct vck_msg_volume_status {
    const char *volume_path;
    uint32_t state; /* enum vck_volume_state */
    uint64_t encrypted_sector;
    uint64_t total_sectors;
    uint32_t sector_size;
    bool is_attached;
    bool filter_below_fsd;
    /* Optional, 0 or "" where another implementation answers. */
    uint32_t direction; /* enum vck_direction */
    uint64_t damaged_chunks;
    uint32_t rate_mib_s;
    uint64_t bytes_per_s;
    const char *error;
    bool rekeying; /* direction: to the new key, or back */
    uint64_t rekeyed_sector;
    bool is_suspended;
    bool used_only;
    uint64_t skipped_sectors;
};

struct vck_msg_progress_event {
    uint64_t encrypted_sector;
    uint64_t total_sectors;
    uint32_t state;
    const char *error; /* optional */
};

struct vck_msg_prepare_request {
    const char *volume_path;
    const char *nt_device_path;         /* optional */
    struct vck_optional_u32 use_header; /* number of header replicas */
    struct vck_optional_u32 use_footer; /* number of footer replicas */
    struct vck_optional_u32 metadata_size;
    struct vck_bytes vmk;            /* optional */
    struct vck_bytes metadata_block; /* optional */
    bool is_os_volume;               /* optional */
};

struct vck_msg_prepare_response {
    uint64_t offset_sector;
    uint64_t data_sectors;
    uint32_t sector_size;
    const char *raw_partition_path; /* optional */
    const char *raw_disk_path;      /* optional */
    struct vck_optional_u64 partition_start_lba;
    bool fully_attached; /* optional */
};

struct vck_msg_attach_request {
    const char *volume_path;
    struct vck_bytes vmk;
    struct vck_optional_u32 use_header;
    struct vck_optional_u32 use_footer;
    struct vck_optional_u32 metadata_size;
    const char *nt_device_path;     /* optional */
    const char *raw_partition_path; /* optional */
};

struct vck_msg_attach_response {
    uint64_t offset_sector;
    uint64_t total_sectors;
    uint32_t sector_size;
};

struct vck_msg_volume_entry {
    const char *volume_path;
    uint32_t state;
    uint64_t encrypted_sector;
    uint64_t total_sectors;
    uint32_t sector_size;
    bool is_os_volume;
    bool is_suspended; /* optional */
};

struct vck_msg_volume_list {
    struct vck_msg_volume_entry *volumes;
    uint32_t capacity; /* entries of room; before decoding */
    uint32_t count;
};

struct vck_msg_bench_request {
    uint64_t size_bytes; /* optional; 0: the default */
};

struct vck_msg_bench_response {
    uint64_t size_bytes;
    uint64_t encrypt_mib_s;
    uint64_t decrypt_mib_s;
};

struct vck_msg_rate_request {
    const char *volume_path;
    uint32_t mib_per_s; /* 0: no limit */
};

struct vck_msg_damage_list {
    uint32_t chunk_bytes;
    uint64_t *offsets; /* byte offsets in the data region */
    uint32_t capacity; /* elements of room; before decoding */
    uint32_t count;
};

struct vck_msg_text {
    const char *text;
};

struct vck_msg_keys_request {
    const char *volume_path;
    uint64_t base_generation; /* of the table that was edited; 0: there was none */
    struct vck_bytes table;   /* sealed, without the zeroes at its end */
    bool start_over;          /* optional */
    struct vck_bytes vmk;     /* optional, to rotate: the one the volume has, and */
    struct vck_bytes new_vmk; /* the one it gets */
};

struct vck_msg_keys_response {
    uint64_t generation;
    uint32_t replicas;
    uint32_t failed_replicas;
};

struct vck_msg_wake_request {
    const char *volume_path;
    struct vck_bytes vmk;
};

/* Of the disk, whole sectors. */
struct vck_msg_metadata_request {
    const char *volume_path;
    uint64_t offset_bytes;
    uint32_t size_bytes;
};

struct vck_msg_metadata_response {
    uint64_t disk_bytes;
    uint32_t sector_size;      /* the disk's */
    struct vck_bytes metadata; /* what is data of the volume is zeroes */
};

struct vck_msg_used_recording {
    uint64_t recording;
};

#define VCK_MSG_RANGE_BYTES      16u /* u64 little-endian: offset and size, in bytes */
#define VCK_MSG_RANGES_BYTES_MAX 32768u

struct vck_msg_used_request {
    const char *volume_path;
    uint64_t recording;
    struct vck_bytes ranges; /* optional, of the data region */
};

/* What is wrong with a message, for an explanation. */
enum vck_message_fault_kind {
    VCK_MESSAGE_NO_FAULT = 0,
    VCK_MESSAGE_FAULT_MALFORMED, /* not MessagePack, or cut short */
    VCK_MESSAGE_FAULT_NOT_A_MAP,
    VCK_MESSAGE_FAULT_KEY,      /* a key that is not a string */
    VCK_MESSAGE_FAULT_TYPE,     /* a field of another type */
    VCK_MESSAGE_FAULT_RANGE,    /* an integer that does not fit its field */
    VCK_MESSAGE_FAULT_LENGTH,   /* a string, byte string or array that is too long */
    VCK_MESSAGE_FAULT_TEXT,     /* a string that is not UTF-8, or with a NUL in it */
    VCK_MESSAGE_FAULT_REPEATED, /* a field that is there twice */
    VCK_MESSAGE_FAULT_MISSING,  /* a field that has to be there */
    VCK_MESSAGE_FAULT_TRAILING, /* bytes after the message */
};

struct vck_message_fault {
    enum vck_message_fault_kind kind;
    const char *field;   /* static; NULL when no field is concerned */
    size_t offset_bytes; /* in the message */
};

/* The fault in words, without the field ("has the wrong type"). Static; any level. */
const char *vck_message_fault_text(enum vck_message_fault_kind kind);

/*
 * The generic forms: message points to the struct of its type.
 *
 * encode: writes at most capacity bytes. SIZE_MISMATCH: they do not fit; *ret_size_bytes is then
 * untouched and the buffer holds a part that may contain key bytes. OUT_OF_RANGE: a string, byte
 * string or array is longer than a decoder takes.
 *
 * decode: reads exactly size_bytes. It rewrites the buffer in place, whatever it returns: strings
 * get their NUL and integer arrays become bytes. ret_message is untouched on failure, except for
 * the elements behind its array pointer. ret_fault may be NULL and is always written. INVALID_DATA.
 *
 * Any level.
 */
VCK_CHECKED vck_status vck_message_encode(enum vck_message_type type, const void *message,
                                          uint8_t *buffer, size_t capacity_bytes,
                                          size_t *ret_size_bytes);
VCK_CHECKED vck_status vck_message_decode(enum vck_message_type type, uint8_t *buffer,
                                          size_t size_bytes, void *ret_message,
                                          struct vck_message_fault *ret_fault);

/* The same for each message, with its type: vck_msg_volume_request_encode and so on. */
#define VCK_MESSAGE_FUNCTIONS(name, type)                                                          \
    VCK_CHECKED static inline vck_status vck_msg_##name##_encode(                                  \
        const struct vck_msg_##name *message, uint8_t *buffer, size_t capacity_bytes,              \
        size_t *ret_size_bytes)                                                                    \
    {                                                                                              \
        return vck_message_encode(type, message, buffer, capacity_bytes, ret_size_bytes);          \
    }                                                                                              \
    VCK_CHECKED static inline vck_status vck_msg_##name##_decode(                                  \
        uint8_t *buffer, size_t size_bytes, struct vck_msg_##name *ret_message,                    \
        struct vck_message_fault *ret_fault)                                                       \
    {                                                                                              \
        return vck_message_decode(type, buffer, size_bytes, ret_message, ret_fault);               \
    }

VCK_MESSAGE_FUNCTIONS(empty, VCK_MESSAGE_EMPTY)
VCK_MESSAGE_FUNCTIONS(volume_request, VCK_MESSAGE_VOLUME_REQUEST)
VCK_MESSAGE_FUNCTIONS(volume_status, VCK_MESSAGE_VOLUME_STATUS)
VCK_MESSAGE_FUNCTIONS(progress_event, VCK_MESSAGE_PROGRESS_EVENT)
VCK_MESSAGE_FUNCTIONS(prepare_request, VCK_MESSAGE_PREPARE_REQUEST)
VCK_MESSAGE_FUNCTIONS(prepare_response, VCK_MESSAGE_PREPARE_RESPONSE)
VCK_MESSAGE_FUNCTIONS(attach_request, VCK_MESSAGE_ATTACH_REQUEST)
VCK_MESSAGE_FUNCTIONS(attach_response, VCK_MESSAGE_ATTACH_RESPONSE)
VCK_MESSAGE_FUNCTIONS(volume_list, VCK_MESSAGE_VOLUME_LIST)
VCK_MESSAGE_FUNCTIONS(bench_request, VCK_MESSAGE_BENCH_REQUEST)
VCK_MESSAGE_FUNCTIONS(bench_response, VCK_MESSAGE_BENCH_RESPONSE)
VCK_MESSAGE_FUNCTIONS(rate_request, VCK_MESSAGE_RATE_REQUEST)
VCK_MESSAGE_FUNCTIONS(damage_list, VCK_MESSAGE_DAMAGE_LIST)
VCK_MESSAGE_FUNCTIONS(text, VCK_MESSAGE_TEXT)
VCK_MESSAGE_FUNCTIONS(keys_request, VCK_MESSAGE_KEYS_REQUEST)
VCK_MESSAGE_FUNCTIONS(keys_response, VCK_MESSAGE_KEYS_RESPONSE)
VCK_MESSAGE_FUNCTIONS(wake_request, VCK_MESSAGE_WAKE_REQUEST)
VCK_MESSAGE_FUNCTIONS(metadata_request, VCK_MESSAGE_METADATA_REQUEST)
VCK_MESSAGE_FUNCTIONS(metadata_response, VCK_MESSAGE_METADATA_RESPONSE)
VCK_MESSAGE_FUNCTIONS(used_recording, VCK_MESSAGE_USED_RECORDING)
VCK_MESSAGE_FUNCTIONS(used_request, VCK_MESSAGE_USED_REQUEST)

VCK_END_DECLS

#endif
