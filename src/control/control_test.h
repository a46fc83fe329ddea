/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_test: a host for the tests of this room, whose disks are in memory: "/a" to "/d", each
 * also called "/A" to "/D".
 */
#ifndef VCK_CONTROL_TEST_H
#define VCK_CONTROL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory_disk.h"
#include "vck/control.h"
#include "vck/prepare.h"

#define TEST_DISKS 4
#ifndef TEST_DISK_BYTES
#define TEST_DISK_BYTES (1024u * 1024u)
#endif
#define TEST_SECTOR_BYTES 512u

struct test_host {
    struct vck_control_host control; /* first */
    struct vck_registry registry;
    struct memory_disk *disks[TEST_DISKS];
    bool is_closed[TEST_DISKS];
    bool is_busy;            /* before_detach refuses */
    bool is_cancelled;       /* nobody waits */
    bool is_crowded;         /* in_place refuses */
    bool is_hibernating;     /* before_encrypt refuses */
    char places[TEST_DISKS]; /* told last: 'i'n or 'o'ut of place, 'd'etached, 'k'ept, 'u'ndone */
    struct vck_control_caller caller;
    uint8_t request[VCK_FRAME_BYTES_MAX];
    size_t request_bytes;
    uint8_t response[VCK_FRAME_BYTES_MAX];
    size_t response_bytes;
};

static const uint8_t test_key[32] = {7, 7, 7};

static inline struct test_host *test_host_of(struct vck_control_host *control)
{
    return (struct test_host *)control;
}

static inline int test_disk_index(const char *path)
{
    if (path[0] != '/' || path[2] != 0)
        return -1;
    if (path[1] >= 'a' && path[1] < 'a' + TEST_DISKS)
        return path[1] - 'a';
    return path[1] >= 'A' && path[1] < 'A' + TEST_DISKS ? path[1] - 'A' : -1;
}

static inline vck_status test_canonical_path(struct vck_control_host *control, const char *path,
                                             char ret_path[VCK_VOLUME_PATH_BYTES],
                                             struct vck_explanation *ret_why)
{
    (void)control;
    (void)ret_why;
    if (strlen(path) >= VCK_VOLUME_PATH_BYTES)
        return VCK_INVALID_DATA;
    strcpy(ret_path, path);
    return VCK_OK;
}

static inline bool test_is_same(struct vck_control_host *control, const char *volume_path,
                                const char *path)
{
    int index = test_disk_index(path);

    (void)control;
    return index >= 0 && index == test_disk_index(volume_path);
}

static inline vck_status test_open_disk(struct vck_control_host *control, const char *path,
                                        const char *device_path, struct vck_disk **ret_disk,
                                        struct vck_explanation *ret_why)
{
    struct test_host *host = test_host_of(control);
    int index = test_disk_index(*device_path ? device_path : path);

    if (index < 0) {
        strcpy(ret_why->text, "there is no such disk");
        return VCK_NOT_FOUND;
    }
    if (!__atomic_exchange_n(&host->is_closed[index], false, __ATOMIC_ACQUIRE))
        return VCK_BUSY;
    *ret_disk = &host->disks[index]->disk;
    return VCK_OK;
}

static inline vck_status test_before_detach(struct vck_control_host *control,
                                            struct vck_volume *volume, bool force,
                                            struct vck_explanation *ret_why)
{
    (void)volume;
    (void)ret_why;
    return test_host_of(control)->is_busy && !force ? VCK_BUSY : VCK_OK;
}

static inline vck_status test_in_place(struct vck_control_host *control, struct vck_volume *volume,
                                       struct vck_explanation *ret_why)
{
    if (test_host_of(control)->is_crowded) {
        strcpy(ret_why->text, "there is no room");
        return VCK_BUSY;
    }
    test_host_of(control)->places[test_disk_index(vck_volume_path(volume))] = 'i';
    return VCK_OK;
}

static inline void test_out_of_place(struct vck_control_host *control, struct vck_volume *volume)
{
    char *place = &test_host_of(control)->places[test_disk_index(vck_volume_path(volume))];

    /* The disk is still open. */
    if ((*place != 'i' && *place != 'k') || !vck_volume_disk(volume))
        abort();
    *place = 'o';
}

static inline void test_after_detach(struct vck_control_host *control, const char *path,
                                     bool holds_ciphertext)
{
    char *place = &test_host_of(control)->places[test_disk_index(path)];

    (void)holds_ciphertext;
    if (*place != 'o')
        abort();
    *place = 'd';
}

static inline void test_prepared(struct vck_control_host *control, const char *path, bool is_kept)
{
    char *place = &test_host_of(control)->places[test_disk_index(path)];

    if (is_kept != (*place == 'i'))
        abort();
    *place = is_kept ? 'k' : 'u';
}

static inline vck_status test_before_encrypt(struct vck_control_host *control,
                                             struct vck_volume *volume,
                                             struct vck_explanation *ret_why)
{
    (void)volume;
    if (!test_host_of(control)->is_hibernating)
        return VCK_OK;
    strcpy(ret_why->text, "hibernation is enabled");
    return VCK_PERMISSION_DENIED;
}

static inline bool test_is_cancelled(struct vck_control_host *control,
                                     const struct vck_control_caller *caller)
{
    (void)caller;
    return test_host_of(control)->is_cancelled;
}

static const struct vck_control_host_ops test_ops = {
    .canonical_path = test_canonical_path,
    .is_same = test_is_same,
    .open_disk = test_open_disk,
    .in_place = test_in_place,
    .out_of_place = test_out_of_place,
    .prepared = test_prepared,
    .before_detach = test_before_detach,
    .after_detach = test_after_detach,
    .before_encrypt = test_before_encrypt,
    .is_cancelled = test_is_cancelled,
};

static inline void test_make_volume(struct test_host *host, int index) VCK_NO_ANALYSIS
{
    struct vck_prepare_params params = {
        .footer_count = 2,
        .metadata_size_bytes = VCK_METADATA_SIZE_MIN,
        .sector_size_bytes = TEST_SECTOR_BYTES,
        .vmk = {test_key, sizeof(test_key)},
    };
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    if (vck_prepare_volume(&host->disks[index]->disk, &params, &result, &fault) != VCK_OK)
        abort();
}

/* A sweep runs only where a request waits for it: no thread is ever made. */
static inline struct test_host *test_host_create(void)
{
    struct test_host *host = calloc(1, sizeof(*host));

    if (!host)
        abort();
    for (int i = 0; i < TEST_DISKS; i++) {
        host->disks[i] = memory_disk_create(TEST_DISK_BYTES, TEST_SECTOR_BYTES);
        host->disks[i]->keep = true;
        host->disks[i]->closed = &host->is_closed[i];
        host->is_closed[i] = true;
        /* Data that is the same in no two sectors. */
        for (size_t at = 0; at < TEST_DISK_BYTES; at += TEST_SECTOR_BYTES)
            memset(host->disks[i]->data + at, (int)(at >> 9), TEST_SECTOR_BYTES / 2);
        for (size_t at = 0; at < TEST_DISK_BYTES; at += TEST_SECTOR_BYTES)
            memset(host->disks[i]->data + at + TEST_SECTOR_BYTES / 2, (int)(at >> 17) + i,
                   TEST_SECTOR_BYTES / 2);
    }
    vck_registry_init(&host->registry);
    host->control = (struct vck_control_host){
        .ops = &test_ops,
        .registry = &host->registry,
        .filter_below_fsd = true,
    };
    vck_control_init(&host->control);
    host->caller =
        (struct vck_control_caller){.can_read = true, .can_write = true, .is_admin = true};
    return host;
}

static inline void test_host_destroy(struct test_host *host) VCK_NO_ANALYSIS
{
    vck_control_detach_all(&host->control, true);
    vck_control_fini(&host->control);
    vck_registry_fini(&host->registry);
    for (int i = 0; i < TEST_DISKS; i++)
        memory_disk_free(host->disks[i]);
    free(host);
}

static inline int test_host_set_up(void **state)
{
    *state = test_host_create();
    return 0;
}

/* Fails where something is left of what the test allocated. */
static inline int test_host_tear_down(void **state)
{
    test_host_destroy(*state);
    return vck_alloc_live_count() == 0 ? 0 : -1;
}

/* Hands over host->request and keeps the response there. */
static inline uint32_t test_send(struct test_host *host, uint32_t code,
                                 size_t capacity_bytes) VCK_NO_ANALYSIS
{
    host->response_bytes = SIZE_MAX;
    return vck_control_handle(&host->control, &host->caller, code, host->request,
                              host->request_bytes, host->response, capacity_bytes,
                              &host->response_bytes);
}

#endif
