/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy: what the system must not be set to while its volume is encrypted: hibernation files and
 * crash dumps are written past every volume filter, as they are in memory.
 *
 * The decision is pure; policy_read only fetches what it is about.
 * Source: "Power Management", "HiberbootEnabled" and "CrashDumpEnabled" in the Windows
 * documentation; DEVICE_USAGE_NOTIFICATION.
 */
#ifndef VCK_VCKSYS_POLICY_H
#define VCK_VCKSYS_POLICY_H

#include <stdbool.h>
#include "vck/annotate.h"
#include "vck/control.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

struct policy_settings {
    bool hibernation;       /* HibernateEnabled */
    bool fast_startup;      /* HiberbootEnabled */
    bool crash_dumps;       /* CrashDumpEnabled */
    bool hibernation_files; /* the system has one on the volume */
    bool dump_files;
};

/* UNSUPPORTED when anything is set; ret_why then names each setting and where it is. Any level. */
VCK_CHECKED vck_status policy_may_encrypt(const struct policy_settings *settings,
                                          struct vck_explanation *ret_why);

/* The three that are in the registry; the others are false. PASSIVE. */
void policy_read(struct policy_settings *ret_settings);

VCK_END_DECLS

#endif
