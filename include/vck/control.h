/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: the control protocol, from the bytes of a request to the bytes of its response. One
 * dispatcher for every host; a carrier (a socket, a device) only moves bytes and says who asks.
 *
 * What it is not: it knows no carrier, no credentials and no spelling of paths; the host does.
 * Source: docs/control-protocol.md.
 */
#ifndef VCK_CONTROL_H
#define VCK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/disk.h"
#include "port/port.h"
#include "vck/codes.h"
#include "vck/condition.h"
#include "vck/list.h"
#include "vck/messages.h"
#include "vck/provider.h"
#include "vck/registry.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Why something failed, in words for people. */
struct vck_explanation {
    char text[VCK_MSG_TEXT_BYTES_MAX + 1];
};

/* One handle, or one connection: who asks, and what went wrong last. The carrier fills the flags
 * and keeps the struct while the handle is open; one request at a time. Starts zeroed. */
struct vck_control_caller {
    bool can_read;
    bool can_write;
    bool is_admin;
    void *context; /* the carrier's */
    char last_error[VCK_MSG_TEXT_BYTES_MAX + 1];
};

#define VCK_RAW_PATH_BYTES 64u

/* Where a volume lies, of what its host can tell: paths are "" where it cannot. */
struct vck_control_location {
    char raw_partition_path[VCK_RAW_PATH_BYTES];
    char raw_disk_path[VCK_RAW_PATH_BYTES];
    struct vck_optional_u64 start_bytes; /* of the partition, on its disk */
};

struct vck_control_host;

/* What a host adds. Called at PASSIVE with no lock held, from any number of threads. Explanations
 * are optional: an empty one is filled in by the dispatcher. */
struct vck_control_host_ops {
    /* The spelling under which a volume of that path is kept. Whether the path exists does not
     * matter; one that cannot be kept is refused. */
    vck_status (*canonical_path)(struct vck_control_host *host, const char *path,
                                 char ret_path[VCK_VOLUME_PATH_BYTES],
                                 struct vck_explanation *ret_why);
    /* Whether both name the same file or device, where comparing canonical paths does not tell.
     * Optional. */
    bool (*is_same)(struct vck_control_host *host, const char *volume_path, const char *path);
    /* Opens the disk of the volume that is to be kept under path, for the host alone. device_path:
     * PREPARE's nt_device_path, "" where it has none; a host without such paths ignores it. Users
     * stay out until prepared. */
    vck_status (*open_disk)(struct vck_control_host *host, const char *path,
                            const char *device_path, struct vck_disk **ret_disk,
                            struct vck_explanation *ret_why);
    /* The volume of an opened disk is in the registry, without its key so far: from here on what
     * comes from above has to go through it. Failure undoes the PREPARE. Optional. */
    vck_status (*in_place)(struct vck_control_host *host, struct vck_volume *volume,
                           struct vck_explanation *ret_why);
    /* The volume of a PREPARE is in place: where it lies. ret_location comes zeroed. Optional. */
    void (*locate)(struct vck_control_host *host, struct vck_volume *volume,
                   struct vck_control_location *ret_location);
    /* The volume is about to end: nothing from above may go through it any more, and nothing may
     * change what is below it. Then after_detach, or prepared. Optional. */
    void (*out_of_place)(struct vck_control_host *host, struct vck_volume *volume);
    /* PREPARE has ended after open_disk succeeded: users may come back. is_kept: the volume stays;
     * else it is gone and the disk closed. Optional. */
    void (*prepared)(struct vck_control_host *host, const char *path, bool is_kept);
    /* Makes sure that nobody uses the volume any more and keeps new users out: lock and dismount.
     * BUSY: the volume stays. force: keep out, do not insist; ret_why is then NULL. Optional. */
    vck_status (*before_detach)(struct vck_control_host *host, struct vck_volume *volume,
                                bool force, struct vck_explanation *ret_why);
    /* The volume is gone. Optional. */
    void (*after_detach)(struct vck_control_host *host, const char *path, bool holds_ciphertext);
    /* The volume has its key: from here on it can be served. Optional. */
    void (*attached)(struct vck_control_host *host, struct vck_volume *volume);
    /* Whether the host lets the volume be encrypted now; the refusal says what stands against it.
     * Optional. */
    vck_status (*before_encrypt)(struct vck_control_host *host, struct vck_volume *volume,
                                 struct vck_explanation *ret_why);
    /* Whether the filter of that path, attached or not, sits below the filesystem. Where it is
     * missing, filter_below_fsd says so for attached volumes. Optional. */
    bool (*is_below_fsd)(struct vck_control_host *host, const char *path);
    /* Whether nobody waits for the caller's request any more. Optional. */
    bool (*is_cancelled)(struct vck_control_host *host, const struct vck_control_caller *caller);
};

struct vck_control_host {
    const struct vck_control_host_ops *ops;
    struct vck_registry *registry;
    struct vck_provider *provider; /* NULL: the default one */
    bool filter_below_fsd;         /* what GET_STATUS says of attached volumes */
    struct vck_executor *executor; /* as in struct vck_volume_options */
    uint32_t batch_bytes;

    /* The rest is the dispatcher's own. */
    struct vck_mutex lock;
    struct vck_link claims; /* paths that are being prepared, attached or detached */
    struct vck_condition unclaimed;
};

/* The fields above the line are set before. */
void vck_control_init(struct vck_control_host *host);
/* No request may be running. Volumes stay in the registry: see vck_control_detach_all. */
void vck_control_fini(struct vck_control_host *host);

/*
 * Performs one request and returns the NTSTATUS for the wire. request: size_bytes of the message
 * alone, rewritten in place (it may hold a key: the carrier wipes it afterwards). response: up to
 * capacity_bytes of the answer, not overlapping the request; *ret_size_bytes is written on success.
 * An answer that does not fit is VCK_NT_BUFFER_TOO_SMALL, and a request that changes something is
 * then not begun. On failure caller->last_error says why. PASSIVE.
 */
VCK_CHECKED uint32_t vck_control_handle(struct vck_control_host *host,
                                        struct vck_control_caller *caller, uint32_t code,
                                        uint8_t *request, size_t size_bytes, uint8_t *response,
                                        size_t capacity_bytes, size_t *ret_size_bytes) VCK_CAN_WAIT;

/* Whether the caller may use the code, known or not: read codes need a handle that may read, write
 * codes one that may write and an administrator. PERMISSION_DENIED. Any level. */
VCK_CHECKED vck_status vck_control_authorize(const struct vck_control_caller *caller,
                                             uint32_t code);

/* Detaches every volume, in use or not, OS volumes only when asked; failures are logged. A volume
 * that is being prepared or detached is waited for. For the host's end, and DETACH_ALL_VOLUMES.
 * PASSIVE. */
void vck_control_detach_all(struct vck_control_host *host, bool os_volumes_too) VCK_CAN_WAIT;

/* The disk of a volume goes away: ends the volume without asking anybody. The caller holds a
 * reference. NOT_FOUND: somebody else has taken it out, and may be ending it still. PASSIVE. */
vck_status vck_control_end_volume(struct vck_control_host *host,
                                  struct vck_volume *volume) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
