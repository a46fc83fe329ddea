/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testdisk: what vcktestdisk.sys is asked through its control device, \\.\VckTestBus. The driver
 * makes disks in memory, \Device\VckTestDiskN with a link \\.\VckTestDiskN, lets them misbehave on
 * request, and sends to their stacks what a system would send.
 *
 * Every request is METHOD_BUFFERED: the struct named here, followed by data where it says so.
 * Requests run on threads of their own, so that one may wait for another.
 */
#ifndef VCK_TESTS_NT_TESTDISK_H
#define VCK_TESTS_NT_TESTDISK_H

#include <stdint.h>

#define TD_CODE(function) CTL_CODE(0x22, 0x900 + (function), METHOD_BUFFERED, FILE_ANY_ACCESS)
#define TD_CREATE         TD_CODE(0)  /* td_create -> */
#define TD_DELETE         TD_CODE(1)  /* td_select -> ; the stack above must be gone */
#define TD_BEHAVE         TD_CODE(2)  /* td_behaviour -> */
#define TD_FAULT          TD_CODE(3)  /* td_fault -> ; one more rule */
#define TD_CLEAR          TD_CODE(4)  /* td_select -> ; no rules, stalled requests go on */
#define TD_STATS          TD_CODE(5)  /* td_select -> td_stats, which start anew */
#define TD_PEEK           TD_CODE(6)  /* td_range -> data */
#define TD_POKE           TD_CODE(7)  /* td_range, data -> */
#define TD_ADD_DEVICE     TD_CODE(8)  /* td_add -> */
#define TD_STACK          TD_CODE(9)  /* td_select -> names of drivers, from the top, each a line */
#define TD_SEND           TD_CODE(10) /* td_send, data -> td_sent, data */
#define TD_LOAD           TD_CODE(11) /* td_load -> td_loaded */
#define TD_STORM          TD_CODE(12) /* td_storm, td_message... -> td_stormed */
#define TD_CAN_UNLOAD     TD_CODE(13) /* td_add -> uint32_t: whether that driver can be unloaded */
#define TD_MOUNT          TD_CODE(14) /* td_mount, bitmap -> */

#define TD_DISK_COUNT     16u
#define TD_FAULT_COUNT    16u
#define TD_DATA_BYTES_MAX (4u << 20) /* of PEEK, POKE and SEND */
#define TD_LOAD_SLOTS_MAX 64u        /* threads times depth */
#define TD_LOAD_BYTES_MAX (4u << 20) /* of one request of a load */

struct td_select {
    uint32_t disk;
};

struct td_create {
    uint32_t disk;         /* N of \Device\VckTestDiskN */
    uint32_t sector_bytes; /* 512 or 4096 */
    uint64_t size_bytes;
    uint64_t partition_start_bytes; /* what partition queries say */
    uint32_t alignment;             /* AlignmentRequirement: 0, 1, 3, ... */
    uint32_t is_gpt;                /* else MBR */
    uint8_t partition_id[16];
    uint8_t type_id[16];
    uint32_t can_trim;
    uint32_t is_read_only;
};

/* How requests are completed. */
enum td_completion {
    TD_INLINE,         /* in the dispatch routine */
    TD_INLINE_PENDING, /* there too, but marked pending and STATUS_PENDING returned */
    TD_THREAD,         /* later, on one of the disk's threads */
    TD_DPC,            /* later, at DISPATCH_LEVEL as in a DPC */
    TD_MIXED,          /* each by chance */
};

struct td_behaviour {
    uint32_t disk;
    uint32_t completion;   /* of reads, writes, flushes and trims */
    uint32_t pend_others;  /* IOCTLs, PnP and power requests complete later, too */
    uint32_t delay_min_us; /* not with the inline ways */
    uint32_t delay_max_us;
    uint32_t reorder_window;  /* above 1: so many are gathered (or 2 ms), then taken by chance */
    uint32_t start_status;    /* of START_DEVICE, an NTSTATUS */
    uint32_t lock_status;     /* of FSCTL_LOCK_VOLUME */
    uint32_t dismount_status; /* of FSCTL_DISMOUNT_VOLUME; 0: no filesystem here to dismount */
    uint32_t is_gone;         /* all but PnP fails with STATUS_DEVICE_DOES_NOT_EXIST */
};

#define TD_OP_READ  1u
#define TD_OP_WRITE 2u
#define TD_OP_FLUSH 4u
#define TD_OP_TRIM  8u
#define TD_OP_IOCTL 16u
#define TD_OP_PNP   32u
#define TD_OP_POWER 64u
#define TD_OP_OTHER 128u /* CREATE, CLEANUP, CLOSE, SHUTDOWN, SYSTEM_CONTROL, ... */

/* The first rule that applies to a request decides. */
struct td_fault {
    uint32_t disk;
    uint32_t ops;
    uint64_t first_byte; /* of reads and writes: any overlap of [first, end) applies */
    uint64_t end_byte;
    uint32_t code;     /* of IOCTLs, minor of PnP and power, major of others; 0: any */
    uint32_t skip;     /* how many it leaves alone before */
    uint32_t count;    /* and how many it applies to; 0: for ever */
    uint32_t status;   /* an NTSTATUS */
    uint32_t bytes;    /* moved all the same; UINT32_MAX: all */
    uint32_t is_stall; /* waits for TD_CLEAR, then goes on undisturbed */
    uint32_t delay_us;
};

struct td_stats {
    uint64_t reads, read_bytes;
    uint64_t writes, written_bytes;
    uint64_t flushes, trims, trimmed_bytes, ioctls, pnp, powers, shutdowns, cleanups, creates,
        closes;
    uint64_t locks, dismounts, unlocks;
    uint64_t faults;          /* requests a rule applied to */
    uint64_t in_flight;       /* now */
    uint64_t in_flight_most;  /* since the last time */
    uint64_t write_through;   /* writes with SL_WRITE_THROUGH */
    uint64_t verify_override; /* reads and writes with SL_OVERRIDE_VERIFY_VOLUME */
    uint64_t paging;          /* reads and writes with IRP_PAGING_IO */
    uint64_t last_minor;      /* of PnP */
    uint64_t open_files;
};

struct td_range {
    uint32_t disk;
    uint32_t size_bytes;
    uint64_t offset_bytes;
};

/* The disk answers as if this file system were mounted on it: to FSCTL_GET_VOLUME_BITMAP,
 * FSCTL_GET_RETRIEVAL_POINTER_BASE, queries of name and size, and, for volsnap, to how many bytes
 * the names of its shadow copies have. It keeps no files. An empty name unmounts it. */
struct td_mount {
    uint32_t disk;
    uint32_t sector_bytes;
    uint32_t cluster_sectors;
    uint32_t piece_bytes; /* of the bitmap in one answer, at most; 0: what there is room for */
    uint64_t first_sector;
    uint64_t clusters;       /* the bitmap that follows has a bit for each */
    uint32_t status;         /* of FSCTL_GET_VOLUME_BITMAP, an NTSTATUS */
    uint32_t snapshot_bytes; /* 0: nobody makes shadow copies here */
    uint16_t name[16];
};

struct td_add {
    uint32_t disk;
    uint16_t driver[62]; /* \Driver\NAME, ends with 0 */
};

enum td_target {
    TD_TO_STACK, /* the top of the disk's stack */
    TD_TO_DISK,  /* the disk, past everything above it */
    TD_TO_NAMED, /* the device of this driver and name */
};

#define TD_SEND_SYSTEM_BUFFER 1u  /* data is AssociatedIrp.SystemBuffer */
#define TD_SEND_MDL           2u  /* data is described by MdlAddress */
#define TD_SEND_ARGUMENT      4u  /* data's address is the first argument */
#define TD_SEND_FROM_USER     8u  /* RequestorMode is UserMode */
#define TD_SEND_FILE          16u /* with a file object */
#define TD_SEND_CANCEL        32u /* IoCancelIrp after timeout_ms, then waits for the completion */

/* One IRP. arguments are Parameters.Others: for READ and WRITE length, key, offset; for
 * DEVICE_CONTROL output bytes, input bytes, code; for SET_POWER context, type, state. */
struct td_send {
    uint32_t disk;
    uint32_t target;
    uint32_t major;
    uint32_t minor;
    uint32_t stack_flags; /* SL_* */
    uint32_t irp_flags;
    uint32_t flags;      /* TD_SEND_* */
    uint32_t timeout_ms; /* then it is cancelled */
    uint32_t data_bytes; /* in and out */
    uint32_t initial_status;
    uint64_t arguments[4];
    uint16_t driver[32];
    uint16_t device[32]; /* empty: the driver's first device */
};

struct td_sent {
    uint32_t status;   /* IoStatus */
    uint32_t returned; /* by IoCallDriver */
    uint64_t information;
    uint32_t completions; /* 1, or the driver is wrong */
    uint32_t pending_returned;
    uint32_t was_cancelled; /* it had not completed in time */
    uint32_t reserved;
};

enum td_load_kind {
    TD_LOAD_FILL,   /* writes every sector once, in order, and forgets what was known before */
    TD_LOAD_CHECK,  /* reads every sector once, in order, and compares */
    TD_LOAD_RANDOM, /* reads and writes by chance and compares what it reads */
    TD_LOAD_SPEED,  /* reads or writes in order, round and round, without looking at the data */
};

/* What a load knows of the contents is kept with the disk, until the next FILL. */
struct td_load {
    uint32_t disk;
    uint32_t target; /* stack or disk */
    uint32_t kind;
    uint32_t threads;
    uint32_t depth; /* in flight per thread */
    uint32_t min_bytes;
    uint32_t max_bytes;
    uint32_t read_percent;
    uint64_t offset_bytes; /* FILL: where the known region begins */
    uint64_t size_bytes;   /* FILL, SPEED: 0 is up to the end that GET_LENGTH_INFO tells */
    uint64_t requests;     /* RANDOM, SPEED: in total */
    uint32_t flush_every;  /* RANDOM: a flush after so many requests of a slot; 0: none */
    uint32_t stop_ms;      /* RANDOM, SPEED: or after this time; 0: never */
    uint64_t seed;
};

struct td_loaded {
    uint64_t requests, bytes, reads, writes;
    uint64_t errors;
    uint64_t mismatches; /* requests with a wrong sector */
    uint64_t first_mismatch_bytes;
    uint64_t elapsed_100ns;
    uint32_t first_error_status;
    uint32_t reserved;
};

/* Many IRPs, several in flight, some cancelled. Without messages: of every kind with arguments by
 * chance, to the top of the stack. With messages: device controls that begin with one of those and
 * are changed by chance, to the device of that driver and name. */
struct td_storm {
    uint32_t disk;
    uint32_t message_count;
    uint64_t count;
    uint64_t seed;
    uint16_t driver[32];
    uint16_t device[32];
};

/* Follows td_storm, as often as it says, each with its data behind it. */
struct td_message {
    uint32_t code;
    uint32_t size_bytes;
};

struct td_stormed {
    uint64_t sent, successes, cancelled;
    uint64_t wrong; /* completed not once, or not as returned, or with a wrong Information */
    uint64_t wrong_information;
    uint32_t wrong_major, wrong_status, wrong_returned, wrong_completions;
};

#endif
