/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_shape: messages as tables of fields, and the one decoder and encoder that walk them.
 */
#ifndef VCK_MESSAGE_SHAPE_H
#define VCK_MESSAGE_SHAPE_H

#include "vck/messages.h"

enum message_field_type {
    MESSAGE_STR,       /* const char * */
    MESSAGE_BYTES,     /* struct vck_bytes */
    MESSAGE_U32,       /* uint32_t */
    MESSAGE_U64,       /* uint64_t */
    MESSAGE_BOOL,      /* bool */
    MESSAGE_MAYBE_U32, /* struct vck_optional_u32 */
    MESSAGE_MAYBE_U64, /* struct vck_optional_u64 */
    MESSAGE_ENTRIES,   /* struct message_array of struct vck_msg_volume_entry */
    MESSAGE_U64S,      /* struct message_array of uint64_t */
};

struct message_field {
    const char *name;
    enum message_field_type type;
    bool required;
    uint32_t offset; /* of the member in the message's struct */
    uint32_t max;    /* bytes or elements */
};

struct message_shape {
    const struct message_field *fields;
    uint32_t count; /* below 32 */
    size_t size_bytes;
};

/* Of any message's struct; asserted where the shapes are. */
#define MESSAGE_BYTES_MAX 160u

/* How an array lies in its message: the pointer, then these two. */
struct message_array {
    void *elements;
    uint32_t capacity;
    uint32_t count;
};

_Static_assert(offsetof(struct vck_msg_volume_list, count) -
                       offsetof(struct vck_msg_volume_list, volumes) ==
                   offsetof(struct message_array, count),
               "arrays lie as message_array");
_Static_assert(offsetof(struct vck_msg_damage_list, count) -
                       offsetof(struct vck_msg_damage_list, offsets) ==
                   offsetof(struct message_array, count),
               "arrays lie as message_array");

/* Of the elements of MESSAGE_ENTRIES. */
extern const struct message_shape message_entry_shape;

/* ret_fault->kind stays as it is when the message is good; ret_message is written only then. */
void message_decode(const struct message_shape *shape, uint8_t *buffer, size_t size_bytes,
                    void *ret_message, struct vck_message_fault *ret_fault);

/* As vck_message_encode. */
VCK_CHECKED vck_status message_encode(const struct message_shape *shape, const void *message,
                                      uint8_t *buffer, size_t capacity_bytes,
                                      size_t *ret_size_bytes);

#endif
