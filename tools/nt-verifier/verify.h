/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: what the verifier's files share. Each file watches one kind of thing (pool, IRPs, levels,
 * ...): it has functions that stand in for those a driver imports, named hook_<the function>, in a
 * table; a ledger of what drivers hold; and a function that reports what a driver left behind.
 *
 * A hook runs in the driver's thread at the driver's (emulated) level. It never waits for a driver.
 * The verifier's locks are taken in the order: that of the file, then that of the report.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "user.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VERIFY_FRAMES = 12,
    VERIFY_NAME_BYTES = 32,
    VERIFY_MAJORS = IRP_MJ_MAXIMUM_FUNCTION + 1,
    VERIFY_ENTRY_BYTES = 14,
    VERIFY_LOCKS_HELD = 16,
};

#define VERIFY_TAG ((ULONG)'yfrV')

/* ---- hooks ---- */

/* SUPPLY: Wine lacks the function; tools/wine-imports finds these texts in the image. */
#define SUPPLY(name)                                                                               \
    {                                                                                              \
        "VCKVERIFY-SUPPLIES:" #name, (uintptr_t)hook_##name                                        \
    }
/* CHECK: Wine has the function; the hook looks at how it is used. */
#define CHECK(name)                                                                                \
    {                                                                                              \
        ":" #name, (uintptr_t)hook_##name                                                          \
    }

struct verify_hook {
    const char *name; /* after the first colon */
    uintptr_t function;
};

struct verify_hooks {
    const struct verify_hook *list;
    size_t count;
};

#define VERIFY_HOOKS(table)                                                                        \
    {                                                                                              \
        table, sizeof(table) / sizeof((table)[0])                                                  \
    }

extern const struct verify_hooks verify_device_hooks, verify_dpc_hooks, verify_firmware_hooks,
    verify_import_hooks, verify_irp_hooks, verify_irp_own_hooks, verify_level_hooks,
    verify_lock_hooks, verify_mdl_hooks, verify_ndis_hooks, verify_pool_hooks,
    verify_security_hooks, verify_thread_hooks, verify_time_hooks, verify_timer_hooks,
    verify_wait_hooks, verify_work_hooks;

/* ---- drivers ---- */

struct verify_counters {
    volatile LONG64 pool_blocks, pool_bytes, pool_peak_bytes, pool_allocations;
    volatile LONG64 irps_dispatched, irps_allocated, dpcs, timers_set, work_items, threads, mdls;
    volatile LONG64 findings;
};

struct verify_driver {
    char name[VERIFY_NAME_BYTES]; /* of the file: example.sys */
    uintptr_t base;
    size_t size_bytes;
    uintptr_t entry;
    uint8_t entry_bytes[VERIFY_ENTRY_BYTES];
    volatile LONG is_loaded;
    volatile LONG is_unloading; /* DriverUnload runs or has run, or DriverEntry failed */
    PDRIVER_OBJECT object;
    PDRIVER_UNLOAD unload;
    PDRIVER_ADD_DEVICE add_device;
    PDRIVER_DISPATCH dispatch[VERIFY_MAJORS];
    volatile LONG open_handles;  /* of its own devices, opened by programs, less those closed */
    volatile LONG fail_in;       /* the allocation that fails, counted down; 0: none */
    volatile LONG64 allocations; /* since the count was last set */
    volatile LONG work_delay_ms; /* before each work item */
    struct verify_counters counters;
};

/* The loaded driver this address is in; NULL when it is in none that is watched. */
struct verify_driver *verify_driver_at(const void *address);
struct verify_driver *verify_driver_of_object(const DRIVER_OBJECT *object);
/* By name, loaded or not, "" for the first and NULL after the last; index counts from 0. */
struct verify_driver *verify_driver_number(size_t index);
struct verify_driver *verify_driver_named(const char *name);

/* Who called the hook this is written in. */
#define CALLER verify_driver_at(__builtin_return_address(0))

/* netio.c: makes the netio.sys that drivers import harmless. */
void verify_netio_prepare(void);

NTSTATUS verify_drivers_start(bool with_checks);
/* Whether anything is checked; if not, what Wine lacks is supplied and nothing reported. */
bool verify_checks(void);
void verify_drivers_stop(void);
/* The stand-in for a name; 0 when there is none. */
uintptr_t verify_hook_for(const char *name);
/* A stand-in that checks the level and calls the real function; 0 when any level is right. */
uintptr_t verify_level_thunk(const char *name, uint64_t real);
/* Takes the driver's unload routine over, also when it set another one since. */
void verify_driver_watch(struct verify_driver *driver);
/* Whether this is one of Wine's functions that only raise an exception. */
bool verify_is_wine_stub(const void *function);

/* Counts an allocation of any kind; true when this one is to fail. */
bool verify_fails_now(struct verify_driver *driver);

/* ---- findings ---- */

struct verify_stack {
    ULONG count;
    void *frames[VERIFY_FRAMES];
};

void verify_stack_capture(struct verify_stack *ret_stack);
/* A stack of one frame: a routine, as if it had just been entered. Frames are return addresses, and
 * are looked up one byte before. */
static inline struct verify_stack verify_stack_of(const void *routine)
{
    return (struct verify_stack){1, {(char *)(uintptr_t)routine + 1}};
}

/*
 * Says that a driver did wrong: one line, with where it did (the current stack) and, when there is
 * one, where the thing comes from. May be called with a file's lock held.
 */
void verify_report(const char *kind, struct verify_driver *driver,
                   const struct verify_stack *origin, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Formats without allocating; the length, cut off at the size. */
size_t verify_format(char *text, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "example.sys+0x12", after a comma unless first; the length. */
size_t verify_format_frame(char *text, size_t bytes, const void *address);
/* Findings from number first on, as the lines that were printed; ends with a zero. */
size_t verify_report_read(ULONG first, char *text, size_t bytes);
ULONG verify_report_count(void);
void verify_report_stop(void);
/* The driver's counters as words name=value. */
void verify_format_summary(const struct verify_driver *driver, char *text, size_t bytes);

/* ---- threads and levels ---- */

enum verify_lock_kind { VERIFY_LOCK_SPIN, VERIFY_LOCK_FAST_MUTEX, VERIFY_LOCK_RESOURCE };

struct verify_held {
    const void *lock;
    enum verify_lock_kind kind;
    void *taken_at;
};

/* Made when a thread first meets the verifier, gone with the thread. */
struct verify_thread {
    KIRQL level;
    LONG critical_regions;
    LONG saved_states;
    ULONG held_count;
    struct verify_held held[VERIFY_LOCKS_HELD];
    struct verify_system_thread *system_thread;
    struct verify_driver *loading;
};

struct verify_thread *verify_thread_current(void);
NTSTATUS verify_level_start(void);
void verify_level_stop(void);
NTSTATUS verify_level_rules_start(void);
void verify_level_rules_stop(void);

static inline KIRQL verify_level(void)
{
    return verify_thread_current()->level;
}

/* Reports when the level is above highest. */
void verify_level_check(struct verify_driver *driver, KIRQL highest, const char *function);

/* What a routine the driver was called in must leave as it found it. */
struct verify_context {
    KIRQL level;
    LONG critical_regions;
    LONG saved_states;
    ULONG held_count;
};

/* Enters a routine of a driver at a level; leave reports what it did not put back, and does. */
struct verify_context verify_enter(KIRQL level);
void verify_leave(const struct verify_context *before, struct verify_driver *driver, KIRQL expected,
                  const char *routine, const void *function);

/* ---- the files' ledgers ---- */

void verify_pool_leaks(struct verify_driver *driver);
void verify_irp_leaks(struct verify_driver *driver);
void verify_mdl_leaks(struct verify_driver *driver);
void verify_device_leaks(struct verify_driver *driver);
void verify_thread_leaks(struct verify_driver *driver);
void verify_timer_leaks(struct verify_driver *driver);
void verify_dpc_leaks(struct verify_driver *driver);
void verify_work_leaks(struct verify_driver *driver);
void verify_firmware_leaks(struct verify_driver *driver);
void verify_ndis_leaks(struct verify_driver *driver);

/* Keeps the image of a driver mapped for ever: something of it still runs or will. */
void verify_keep_mapped(struct verify_driver *driver);

/* ---- pool ---- */

/* Memory from the pool for a driver; as ExAllocatePoolWithTag. */
void *verify_pool_allocate(struct verify_driver *driver, SIZE_T bytes, ULONG tag, bool is_zeroed);
/* Frees what verify_pool_allocate returned; anything else goes to Wine. */
void verify_pool_free(struct verify_driver *driver, void *block, ULONG tag);
/* Gives a block to Wine, which will free it: the new address. Others are returned as they are. */
void *verify_pool_hand_over(void *block);
void verify_pool_set_quarantine(SIZE_T bytes);

/* ---- the rest ---- */

/* Report timers that run and DPCs that are queued in memory that is being freed, and stop them. */
void verify_timer_freed(struct verify_driver *driver, const void *memory, SIZE_T bytes);
void verify_dpc_freed(struct verify_driver *driver, const void *memory, SIZE_T bytes);

NTSTATUS verify_device_start(void);
/* Sends IRP_MJ_SHUTDOWN to all that registered for it; how many. */
ULONG verify_device_shutdown(void);

NTSTATUS verify_dpc_start(void);
void verify_dpc_stop(void);
/* Queues a DPC as its timer would; false when it is queued already. */
bool verify_dpc_queue(PKDPC dpc, void *argument1, void *argument2);

NTSTATUS verify_timer_start(void);
void verify_timer_stop(void);

void verify_irp_dispatch_prepare(struct verify_driver *driver);
/* A driver's dispatch routine, watched. */
NTSTATUS NTAPI verify_irp_dispatch(PDEVICE_OBJECT device, PIRP irp);

/* The lock cancel routines are entered with; the level before. */
KIRQL verify_cancel_lock_take(void);
void verify_cancel_lock_release(KIRQL level);

NTSTATUS verify_firmware_start(void);
NTSTATUS verify_firmware_set_variable(const GUID *vendor, const WCHAR *name, ULONG name_chars,
                                      ULONG attributes, const void *value, ULONG value_bytes);
NTSTATUS verify_firmware_set_memory(uint64_t physical, const void *bytes, ULONG count);
/* Copies out of an injected image; the bytes there were. */
ULONG verify_firmware_get_memory(uint64_t physical, void *bytes, ULONG count);
void verify_firmware_reset(void);

/* The NDIS of its own: ndis_model.h. */
void verify_ndis_start(void);
void verify_ndis_stop(void);
/* head: the verb and the adapter of ndis_control.h. */
NTSTATUS verify_ndis_control(const uint32_t *head, const void *in, ULONG in_bytes, void *out,
                             ULONG out_bytes, ULONG *ret_bytes);

NTSTATUS verify_control_start(PDRIVER_OBJECT driver);
void verify_control_stop(PDRIVER_OBJECT driver);

/* ---- small things ---- */

/* Time since the system started, 100 ns. */
LONG64 verify_now(void);

struct verify_list {
    LIST_ENTRY head;
    struct user_lock lock;
};

static inline void *verify_allocate(SIZE_T bytes)
{
    void *memory = ExAllocatePoolWithTag(NonPagedPool, bytes, VERIFY_TAG);
    if (memory)
        RtlZeroMemory(memory, bytes);
    return memory;
}

static inline void verify_free(void *memory)
{
    if (memory)
        ExFreePoolWithTag(memory, VERIFY_TAG);
}

static inline const char *verify_driver_name(const struct verify_driver *driver)
{
    return driver ? driver->name : "-";
}

#endif
