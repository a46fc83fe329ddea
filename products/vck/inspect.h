/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect: everything a volume's metadata says, read and judged without changing it: replicas,
 * journal halves and damage slots, with or without the key.
 */
#ifndef VCK_PRODUCTS_VCK_INSPECT_H
#define VCK_PRODUCTS_VCK_INSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include "products/vck/vck.h"
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/rekey.h"
#include "vck/store.h"

enum half_kind {
    HALF_EMPTY,
    HALF_UNREADABLE, /* something that is no record */
    HALF_UNVERIFIED, /* a record, and no key to check it with */
    HALF_BROKEN,     /* a record whose check fails: a cut tore it, or somebody changed it */
    HALF_VOID,       /* whole, and not about the state the metadata is in */
    HALF_APPLIES,    /* whole; attaching carries it out */
};

struct half_view {
    enum half_kind kind;
    vck_status status;
    struct vck_record record; /* unless EMPTY or UNREADABLE; as it stands there */
};

enum slot_kind {
    SLOT_EMPTY,
    SLOT_UNREADABLE,
    SLOT_UNVERIFIED,
    SLOT_BROKEN,
    SLOT_VALID,
};

struct slot_view {
    enum slot_kind kind;
    vck_status status;
    uint32_t count; /* unless EMPTY or UNREADABLE */
    uint64_t sequence;
};

struct inspection {
    struct vck_disk *disk;
    struct vck_store store;
    bool has_key;
    vck_status status; /* of opening the store, with or without the key */
    bool is_rekey_lost;
    bool has_layout;  /* the geometry is known: store.layout, header and replicas are filled */
    uint32_t model;   /* the replica the others are compared with */
    bool has_journal; /* the vendor area is ours, and could be read */
    struct vck_journal_area area;
    struct half_view halves[VCK_JOURNAL_REPLICAS_MAX][2];
    struct slot_view slots[VCK_JOURNAL_REPLICAS_MAX][2];
    struct vck_damage_list damage; /* the newest valid slot; count 0 without a key */
};

struct key_access;

/* The key that the options name or ask for; none where they do not speak of one. key_access_fini in
 * every case. */
int inspect_find_key(const struct command *command, const char *path,
                     struct key_access *ret_access) VCK_CAN_WAIT;

/* Opens path (flags of open_disk) and reads what is there, with the key unless it is empty.
 * use_replica as for vck_store_open. EXIT_OK says only that the disk could be read: look at status.
 * End it with inspect_fini in every case. */
int inspect_open(struct inspection *inspection, const struct command *command, const char *path,
                 unsigned flags, uint32_t use_replica, struct vck_bytes vmk);
void inspect_fini(struct inspection *inspection);

/* A volume could be made out and, where there is a key, opened. */
bool inspect_is_open(const struct inspection *inspection);

/* The status of opening in words with numbers, for a report. */
#define EXPLANATION_BYTES 256
const char *inspect_explain(const struct inspection *inspection, char buffer[EXPLANATION_BYTES]);

/* "header 0", "footer 1". */
#define REPLICA_NAME_BYTES 24
const char *replica_name(const struct vck_layout *layout, uint32_t replica,
                         char buffer[REPLICA_NAME_BYTES]);
const char *half_kind_text(enum half_kind kind);
const char *slot_kind_text(enum slot_kind kind);

#endif
