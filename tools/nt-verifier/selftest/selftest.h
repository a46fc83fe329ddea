/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selftest: a driver that commits each sin the verifier knows once, when told to by name. Each file
 * has a table of sins; a sin says what is to be found, and when.
 */
#ifndef SELFTEST_H
#define SELFTEST_H

#include "port/nt/ntapi.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SELFTEST_TAG ((ULONG)'tseT')

enum sin_moment {
    SIN_NOW,       /* found while it is committed */
    SIN_AT_UNLOAD, /* found when the driver is unloaded */
    SIN_AT_END,    /* as before; something of the driver still runs then */
};

struct sin {
    const char *name;
    void (*commit)(void);
    enum sin_moment moment;
    const char *kinds; /* what is found, separated by commas; empty: nothing */
};

struct sins {
    const struct sin *list;
    size_t count;
};

extern const struct sins device_sins, irp_sins, level_sins, left_sins, memory_sins, ndis_sins,
    supplied_sins;

/* The driver's own objects. */
extern PDRIVER_OBJECT selftest_driver;
extern PDEVICE_OBJECT selftest_device;
/* What DriverUnload does besides; set by a sin. */
extern void (*selftest_unload)(void);

/* What the lower device does with the requests it gets; \Device\NAMELower. */
extern NTSTATUS (*selftest_lower)(PDEVICE_OBJECT device, PIRP irp);
extern PDEVICE_OBJECT selftest_lower_device;
/* The IRP of the request under way; a sin that completes it says so. */
extern PIRP selftest_irp;
extern bool selftest_irp_is_completed;

/* A check of what the verifier supplies: a wrong result is printed, and fails the request. */
void selftest_expect(bool is_right, const char *text);

NTSTATUS selftest_complete(PIRP irp, NTSTATUS status, ULONG_PTR information);
void selftest_sleep_ms(LONG milliseconds);
void *selftest_look_up(const WCHAR *name);
/* MmProbeAndLockPages of kernel memory. */
void selftest_lock_pages(PMDL mdl);

#endif
