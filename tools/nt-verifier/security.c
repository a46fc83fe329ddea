/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens. Wine's kernel has none as objects: what drivers get here is a handle of a token in a
 * block of ours. All subjects are processes; nobody impersonates.
 */
#include "verify.h"

enum {
    TOKEN_BYTES = 4096,
    ADMINISTRATORS_AUTHORITY = 32,
    ADMINISTRATORS = 544,
    GROUP_ENABLED = 4,
};

struct token {
    HANDLE handle;
};

static struct token *open_token(PEPROCESS process)
{
    struct token *token = verify_allocate(sizeof(*token));
    HANDLE handle = NULL;
    NTSTATUS status =
        token ? ObOpenObjectByPointer(process, OBJ_KERNEL_HANDLE, NULL, PROCESS_QUERY_INFORMATION,
                                      NULL, KernelMode, &handle)
              : STATUS_INSUFFICIENT_RESOURCES;
    if (NT_SUCCESS(status)) {
        status = ZwOpenProcessTokenEx(handle, TOKEN_QUERY, OBJ_KERNEL_HANDLE, &token->handle);
        ZwClose(handle);
    }
    if (NT_SUCCESS(status))
        return token;
    verify_free(token);
    return NULL;
}

static void close_token(struct token *token)
{
    if (!token)
        return;
    ZwClose(token->handle);
    verify_free(token);
}

static bool is_administrators(const SID *sid)
{
    const ULONG *parts = sid->SubAuthority;
    return sid->SubAuthorityCount == 2 && sid->IdentifierAuthority.Value[5] == 5 &&
           parts[0] == ADMINISTRATORS_AUTHORITY && parts[1] == ADMINISTRATORS;
}

static BOOLEAN is_admin(const struct token *token)
{
    TOKEN_GROUPS *groups = verify_allocate(TOKEN_BYTES);
    ULONG bytes;
    BOOLEAN found = FALSE;
    if (groups && token &&
        NT_SUCCESS(
            ZwQueryInformationToken(token->handle, TokenGroups, groups, TOKEN_BYTES, &bytes))) {
        for (ULONG i = 0; i < groups->GroupCount; i++) {
            if (is_administrators(groups->Groups[i].Sid))
                found = (groups->Groups[i].Attributes & GROUP_ENABLED) != 0;
        }
    }
    verify_free(groups);
    return found;
}

/* ---- hooks ---- */

static PACCESS_TOKEN NTAPI hook_PsReferencePrimaryToken(PEPROCESS process)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "PsReferencePrimaryToken");
    return (PACCESS_TOKEN)open_token(process);
}

static void NTAPI hook_PsDereferencePrimaryToken(PACCESS_TOKEN token)
{
    close_token(token);
}

static PACCESS_TOKEN NTAPI
hook_PsReferenceImpersonationToken(PETHREAD thread, PBOOLEAN ret_copy, PBOOLEAN ret_effective,
                                   PSECURITY_IMPERSONATION_LEVEL ret_level)
{
    (void)thread;
    *ret_copy = FALSE;
    *ret_effective = FALSE;
    *ret_level = SecurityAnonymous;
    return NULL;
}

static void NTAPI hook_PsDereferenceImpersonationToken(PACCESS_TOKEN token)
{
    close_token(token);
}

static BOOLEAN NTAPI hook_SeTokenIsAdmin(PACCESS_TOKEN token)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "SeTokenIsAdmin");
    return is_admin(token);
}

static NTSTATUS NTAPI hook_SeQueryInformationToken(PACCESS_TOKEN token,
                                                   TOKEN_INFORMATION_CLASS what, PVOID *ret_buffer)
{
    ULONG bytes = 0;
    verify_level_check(CALLER, PASSIVE_LEVEL, "SeQueryInformationToken");
    void *buffer = verify_pool_allocate(CALLER, TOKEN_BYTES, 'uqeS', true);
    if (!buffer)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status =
        ZwQueryInformationToken(((struct token *)token)->handle, what, buffer, TOKEN_BYTES, &bytes);
    if (NT_SUCCESS(status))
        *ret_buffer = buffer;
    else
        verify_pool_free(CALLER, buffer, 'uqeS');
    return status;
}

static void NTAPI hook_SeCaptureSubjectContext(PSECURITY_SUBJECT_CONTEXT context)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "SeCaptureSubjectContext");
    RtlZeroMemory(context, sizeof(*context));
    context->PrimaryToken = open_token(IoGetCurrentProcess());
}

static void NTAPI hook_SeReleaseSubjectContext(PSECURITY_SUBJECT_CONTEXT context)
{
    close_token(context->PrimaryToken);
    context->PrimaryToken = NULL;
}

static void NTAPI hook_SeLockSubjectContext(PSECURITY_SUBJECT_CONTEXT context)
{
    (void)context;
}

static void NTAPI hook_SeUnlockSubjectContext(PSECURITY_SUBJECT_CONTEXT context)
{
    (void)context;
}

/*
 * Kernel mode may everything. Otherwise: administrators may everything, others what no descriptor
 * protects. Enough to see a driver refuse; the descriptor's list itself is not walked.
 */
static BOOLEAN NTAPI hook_SeAccessCheck(PSECURITY_DESCRIPTOR descriptor,
                                        PSECURITY_SUBJECT_CONTEXT context, BOOLEAN is_locked,
                                        ACCESS_MASK desired, ACCESS_MASK granted,
                                        PPRIVILEGE_SET *ret_privileges, PGENERIC_MAPPING mapping,
                                        KPROCESSOR_MODE mode, PACCESS_MASK ret_granted,
                                        PNTSTATUS ret_status)
{
    (void)is_locked;
    verify_level_check(CALLER, PASSIVE_LEVEL, "SeAccessCheck");
    if (ret_privileges)
        *ret_privileges = NULL;
    bool may = mode == KernelMode || !descriptor || is_admin(context->PrimaryToken);
    if (desired & MAXIMUM_ALLOWED)
        desired = (desired & ~(ULONG)MAXIMUM_ALLOWED) | mapping->GenericAll;
    *ret_granted = may ? desired | granted : 0;
    *ret_status = may ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
    return may;
}

static const struct verify_hook hooks[] = {
    SUPPLY(PsReferencePrimaryToken),
    SUPPLY(PsDereferencePrimaryToken),
    SUPPLY(PsReferenceImpersonationToken),
    SUPPLY(PsDereferenceImpersonationToken),
    SUPPLY(SeTokenIsAdmin),
    SUPPLY(SeQueryInformationToken),
    SUPPLY(SeCaptureSubjectContext),
    SUPPLY(SeReleaseSubjectContext),
    SUPPLY(SeLockSubjectContext),
    SUPPLY(SeUnlockSubjectContext),
    SUPPLY(SeAccessCheck),
};
const struct verify_hooks verify_security_hooks = VERIFY_HOOKS(hooks);
