/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels are the kernel's own. What only a bug can bring about stops the system: the bug check's
 * parameters are the text, the file and the line.
 */
#include "port/nt/internal.h"

/* Of drivers, not of the system: the customer bit is set. */
#define BUG_CHECK 0xE056434Bu

vck_level vck_current_level(void)
{
    KIRQL irql = KeGetCurrentIrql();
    return irql >= DISPATCH_LEVEL ? VCK_LEVEL_DISPATCH : (vck_level)irql;
}

void vck_assert_failed(const char *what, const char *file, int line)
{
    vck_nt_log(VCK_LOG_ERROR, "%s:%d: assertion failed: %s", file, line, what);
    KeBugCheckEx(BUG_CHECK, (ULONG_PTR)what, (ULONG_PTR)file, (ULONG_PTR)line, 0);
    __builtin_unreachable();
}

static const char *level_name(vck_level level)
{
    static const char *const names[] = {"PASSIVE", "APC", "DISPATCH"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown level";
}

/* The level, and the spin lock that raised it where that is known. */
__attribute__((noreturn)) VCK_COLD static void level_is_wrong(vck_level level, vck_level highest,
                                                              const char *file, int line)
{
    const char *raised_at = vck_lock_check_raised_at(vck_lock_stack_of_thread());
    vck_nt_log(VCK_LOG_ERROR, "%s:%d: called at %s, allowed up to %s%s%s", file, line,
               level_name(level), level_name(highest),
               raised_at ? "; raised by the spin lock taken at " : "", raised_at ? raised_at : "");
    vck_assert_failed("the level is not too high", file, line);
}

void vck_level_check(vck_level highest, const char *file, int line)
{
    vck_level level = vck_current_level();
    if (level > highest)
        level_is_wrong(level, highest, file, line);
}

void vck_level_check_at(vck_level highest, const char *site)
{
    vck_level level = vck_current_level();
    if (level > highest)
        level_is_wrong(level, highest, site ? site : "a place unknown", 0);
}

void vck_critical_region_enter(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    KeEnterCriticalRegion();
}

void vck_critical_region_leave(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    FATAL_UNLESS(KeAreApcsDisabled(), "a critical region is left as often as entered");
    KeLeaveCriticalRegion();
}

bool vck_in_critical_region(void)
{
    return KeAreApcsDisabled();
}
