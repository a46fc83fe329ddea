/* SPDX-License-Identifier: Apache-2.0 */
#include "requestor.h"
#include "port/nt/security.h"
#include "port/port.h"
#include "vck/bytes.h"

#define REQUESTOR_TAG VCK_TAG('V', 'r', 'e', 'q')
/* More groups than a token can have. */
#define GROUPS_BYTES_MAX (1024u * 1024u)

/* A token that somebody only identified himself with gives nobody any rights. */
static bool may_act(HANDLE token)
{
    SECURITY_IMPERSONATION_LEVEL level = SecurityAnonymous;
    ULONG size_bytes = 0;

    return NT_SUCCESS(ZwQueryInformationToken(token, TokenImpersonationLevel, &level, sizeof(level),
                                              &size_bytes)) &&
           level >= SecurityImpersonation;
}

/* *ret_token NULL: the thread does not impersonate. */
static bool open_thread_token(HANDLE *ret_token)
{
    HANDLE token = NULL;
    NTSTATUS status =
        ZwOpenThreadTokenEx(ZwCurrentThread(), TOKEN_QUERY, TRUE, OBJ_KERNEL_HANDLE, &token);

    if (status == STATUS_NO_TOKEN) {
        *ret_token = NULL;
        return true;
    }
    if (!NT_SUCCESS(status))
        return false;
    if (!may_act(token)) {
        (void)ZwClose(token);
        return false;
    }
    *ret_token = token;
    return true;
}

static bool open_process_token(PIRP irp, HANDLE *ret_token)
{
    PEPROCESS process = IoGetRequestorProcess(irp);
    HANDLE handle = NULL;
    NTSTATUS status;

    if (!process)
        return false;
    status = ObOpenObjectByPointer(process, OBJ_KERNEL_HANDLE, NULL, PROCESS_QUERY_INFORMATION,
                                   NULL, KernelMode, &handle);
    if (!NT_SUCCESS(status))
        return false;
    status = ZwOpenProcessTokenEx(handle, TOKEN_QUERY, OBJ_KERNEL_HANDLE, ret_token);
    (void)ZwClose(handle);
    return NT_SUCCESS(status);
}

static bool has_administrators(const TOKEN_GROUPS *groups)
{
    for (ULONG i = 0; i < groups->GroupCount; i++) {
        const SID_AND_ATTRIBUTES *group = &groups->Groups[i];

        if (vck_security_group_grants(group->Attributes) &&
            vck_security_is_administrators(group->Sid, RtlLengthSid(group->Sid)))
            return true;
    }
    return false;
}

static bool is_administrators_token(HANDLE token)
{
    TOKEN_GROUPS *groups = NULL;
    ULONG size_bytes = 0;
    bool is_member = false;
    NTSTATUS status = ZwQueryInformationToken(token, TokenGroups, NULL, 0, &size_bytes);

    if (status != STATUS_BUFFER_TOO_SMALL || size_bytes > GROUPS_BYTES_MAX)
        return false;
    groups = vck_alloc(size_bytes, REQUESTOR_TAG);
    if (!groups)
        return false;
    status = ZwQueryInformationToken(token, TokenGroups, groups, size_bytes, &size_bytes);
    if (NT_SUCCESS(status))
        is_member = has_administrators(groups);
    vck_free(groups);
    return is_member;
}

bool requestor_is_admin(PIRP irp)
{
    HANDLE token = NULL;
    bool is_admin;

    if (irp->RequestorMode == KernelMode)
        return true;
    if (!open_thread_token(&token))
        return false;
    if (!token && !open_process_token(irp, &token))
        return false;
    is_admin = is_administrators_token(token);
    (void)ZwClose(token);
    return is_admin;
}
