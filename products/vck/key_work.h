/* SPDX-License-Identifier: Apache-2.0 */
/* key_work: what the files of vck key share. */
#ifndef VCK_PRODUCTS_VCK_KEY_WORK_H
#define VCK_PRODUCTS_VCK_KEY_WORK_H

#include "products/vck/key.h"

struct work {
    const struct command *command;
    char path[VOLUME_PATH_BYTES];
    struct vck_disk *disk;
    struct key_access access;
    struct vck_key_session session;
    uint32_t number;  /* of --slot */
    bool starts_over; /* whatever the slots are now */
    bool is_live;     /* attached: the host writes what is changed here */
};

static inline struct vck_bytes work_vmk(const struct work *w)
{
    return vck_secret_bytes(&w->access.vmk);
}

/* The disk alone (flags of open_disk), the key that opens it, and the slots as they are. */
int work_begin(struct work *w, unsigned flags, bool start_over) VCK_CAN_WAIT;

/* Writes the table of the session: to the disk, or through the host. */
int work_commit(struct work *w) VCK_CAN_WAIT;

/* key_live.c: what the host of an attached volume writes. */
int live_change(struct work *w) VCK_CAN_WAIT;
int live_rotate(struct work *w, const struct vck_secret *new_vmk) VCK_CAN_WAIT;
int live_erase(const struct work *w, uint32_t *ret_failed_replicas) VCK_CAN_WAIT;

/* "passphrase", "key-file", "recovery", "unknown". */
const char *type_text(uint16_t type);

/* How many slots of a table somebody could open here. */
uint32_t count_usable(const struct vck_key_table *table);

/* verb_key_all.c: what concerns all slots at once. */
int key_rotate(struct work *w) VCK_CAN_WAIT;
int key_backup(struct work *w) VCK_CAN_WAIT;
int key_restore(struct work *w) VCK_CAN_WAIT;
int key_erase(struct work *w) VCK_CAN_WAIT;

#endif
