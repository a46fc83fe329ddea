/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"
#include "port/nt/nt.h"

#define CONTROL_KEY L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Control"

static bool is_on(const wchar_t *key, const wchar_t *value)
{
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, key);
    return vck_nt_registry_u32(&name, value, 0) != 0;
}

void policy_read(struct policy_settings *ret_settings)
{
    *ret_settings = (struct policy_settings){
        .hibernation = is_on(CONTROL_KEY L"\\Power", L"HibernateEnabled"),
        .fast_startup = is_on(CONTROL_KEY L"\\Session Manager\\Power", L"HiberbootEnabled"),
        .crash_dumps = is_on(CONTROL_KEY L"\\CrashControl", L"CrashDumpEnabled"),
    };
}
