/* SPDX-License-Identifier: Apache-2.0 */
/*
 * used: what of an attached volume its file system uses, found out and told to the host. The host
 * never looks: it counts what is written, and is told the rest.
 */
#ifndef VCK_PRODUCTS_VCK_USED_H
#define VCK_PRODUCTS_VCK_USED_H

#include "products/vck/client.h"

/* Starts encrypting what is used of the volume, and says how much that is. What stands against it
 * is reported, and the volume stays as it is. */
int used_encrypt(struct client *client, const char *path);

/* ---- what every system's way of finding it out shares (used.c) ---- */

/* How a refusal ends. */
#define USED_EVERYTHING "or encrypt everything, without --used-only"

/* From its return on the host counts as used what is written. */
int used_record(struct client *client, const char *path, uint64_t *ret_recording);

/* What is used; zeroed it is empty. */
struct used_ranges {
    struct used_range *ranges;
    size_t count;
    size_t capacity;
};

/* For a vck_filesystem_sink; neighbours become one. NO_MEMORY. */
vck_status used_ranges_add(void *context, uint64_t offset_bytes, uint64_t size_bytes);
void used_ranges_fini(struct used_ranges *ranges);

/* Tells the host, starts the sweep, and says how much the file system of that name uses. */
int used_start(struct client *client, const char *path, uint64_t recording, const char *name,
               struct used_ranges *ranges, uint64_t data_bytes);

/* ---- mounted file systems (used_mount_linux.c) ---- */

/* A part of the content that tells one file system from others. */
struct used_mark {
    uint64_t offset_bytes;
    uint8_t bytes[64];
    size_t size_bytes;
};

#define MOUNT_POINT_BYTES 4096

/* Where a file system with the mark is mounted. False: nowhere on this machine. */
bool used_find_mount(const struct used_mark *mark, char ret_point[MOUNT_POINT_BYTES]);

/* A file system that is held still. It goes on when it is let go, and when this process ends in any
 * way. */
struct used_freeze {
    int pipe; /* the other end is the keeper's */
    int keeper;
};

/* 0, or the system's error: then nothing is held. */
int used_freeze_begin(struct used_freeze *freeze, const char *point);
void used_freeze_end(struct used_freeze *freeze);

#endif
