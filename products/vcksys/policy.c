/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"
#include "vck/bytes.h"
#include "vck/log.h"

struct setting {
    bool is_set;
    const char *name;
};

vck_status policy_may_encrypt(const struct policy_settings *settings,
                              struct vck_explanation *ret_why)
{
    const struct setting table[] = {
        {settings->hibernation, "hibernation (Control\\Power\\HibernateEnabled)"},
        {settings->fast_startup,
         "Fast Startup (Control\\Session Manager\\Power\\HiberbootEnabled)"},
        {settings->crash_dumps, "crash dumps (Control\\CrashControl\\CrashDumpEnabled)"},
        {settings->hibernation_files, "a hibernation file on the volume"},
        {settings->dump_files, "a crash dump file on the volume"},
    };
    size_t used = vck_format(ret_why->text, sizeof(ret_why->text),
                             "what is written past the filter would be lost or in the clear; "
                             "switch off first: ");
    size_t count = 0;

    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++)
        if (table[i].is_set)
            used += vck_format(ret_why->text + used, sizeof(ret_why->text) - used, "%s%s",
                               count++ ? ", " : "", table[i].name);
    if (count)
        return VCK_UNSUPPORTED;
    ret_why->text[0] = 0;
    return VCK_OK;
}
