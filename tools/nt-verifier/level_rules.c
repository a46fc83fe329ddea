/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions nothing is watched of but the level they are called at: those that wait, or that are or
 * touch pageable code or data. Each import of one leads through a few bytes of code made for it, to
 * verify_level_common, which checks and goes on to the real function with all arguments in place.
 * The levels are those of the functions' documentation.
 */
#include "verify.h"

enum {
    THUNKS_MAX = 1024,
    THUNK_BYTES = 32,
};

struct level_rule {
    KIRQL highest;
    const char *names; /* separated by spaces; an ending * stands for any rest */
};

static const struct level_rule rules[] = {
    {PASSIVE_LEVEL,
     "Zw* RtlQueryRegistryValues RtlWriteRegistryValue RtlCheckRegistryKey RtlCreateRegistryKey "
     "RtlDeleteRegistryValue RtlAnsiStringToUnicodeString RtlUnicodeStringToAnsiString "
     "RtlStringFromGUID RtlGUIDFromString RtlUpcaseUnicodeString RtlUpcaseUnicodeChar "
     "RtlUnicodeToMultiByteN RtlMultiByteToUnicodeN RtlUnicodeStringToInteger "
     "RtlIntegerToUnicodeString RtlCompareUnicodeString RtlEqualUnicodeString "
     "RtlPrefixUnicodeString "
     "RtlAppendUnicodeStringToString RtlAppendUnicodeToString RtlFormatCurrentUserKeyPath "
     "RtlGetVersion RtlVerifyVersionInfo RtlCreateSecurityDescriptor "
     "RtlSetDaclSecurityDescriptor RtlSetOwnerSecurityDescriptor RtlCreateAcl "
     "RtlAddAccessAllowedAce RtlAbsoluteToSelfRelativeSD "
     "IoCreateDeviceSecure IoAttachDevice IoOpenDeviceRegistryKey IoGetDeviceProperty "
     "IoRegisterDeviceInterface IoSetDeviceInterfaceState IoGetDeviceInterfaces "
     "IoRegisterPlugPlayNotification IoUnregisterPlugPlayNotification "
     "IoRegisterDriverReinitialization IoRegisterBootDriverReinitialization "
     "IoReportDetectedDevice IoGetDmaAdapter IoConnectInterrupt "
     "IoDisconnectInterrupt ObReferenceObjectByHandle ObReferenceObjectByName "
     "ObOpenObjectByPointer ObQueryNameString ObGetObjectSecurity ObReleaseObjectSecurity "
     "PsSetCreateProcessNotifyRoutine PsSetCreateProcessNotifyRoutineEx "
     "PsSetCreateThreadNotifyRoutine PsRemoveCreateThreadNotifyRoutine "
     "PsSetLoadImageNotifyRoutine PsRemoveLoadImageNotifyRoutine PsLookupProcessByProcessId "
     "PsLookupThreadByThreadId ExUuidCreate ExCreateCallback SeSinglePrivilegeCheck "
     "SeLocateProcessImageName KeSetPriorityThread "
     "IoReleaseRemoveLockAndWaitEx WskRegister WskDeregister WskCaptureProviderNPI "
     "WskReleaseProviderNPI IoInvalidateDeviceState SePrivilegeCheck RtlConvertSidToUnicodeString"},
    {APC_LEVEL, "ExInitializePagedLookasideList ExDeletePagedLookasideList RtlLengthSid "
                "KeExpandKernelStackAndCallout "
                "KeEnterGuardedRegion KeLeaveGuardedRegion MmLockPagableDataSection "
                "MmUnlockPagableImageSection MmAllocatePagesForMdl* ExConvertExclusiveToSharedLite "
                "KeSetTargetProcessorDpcEx KeSetSystemAffinityThread KeRevertToUserAffinityThread"},
    {DISPATCH_LEVEL,
     "KeSetEvent KeResetEvent KeClearEvent KeReadStateEvent KeReleaseSemaphore ObfReferenceObject "
     "ObfDereferenceObject IoGetAttachedDevice IoGetAttachedDeviceReference IoCancelIrp "
     "IoInvalidateDeviceRelations IoAcquireRemoveLockEx IoReleaseRemoveLockEx "
     "ExInitializeNPagedLookasideList ExDeleteNPagedLookasideList MmGetPhysicalAddress "
     "MmIsAddressValid IoGetRequestorProcess PsGetProcessId KeQueryActiveProcessorCount "
     "KeExpandKernelStackAndCalloutEx"},
};

/* verify_level_common knows where these are. */
struct thunk {
    const char *name;
    uint64_t real;
    KIRQL highest;
};

static struct thunk thunks[THUNKS_MAX];
static volatile LONG thunk_count;
static uint8_t *thunk_code;

void verify_level_common(void);
void verify_level_check_thunk(const struct thunk *thunk, const void *caller);

__asm__(".text\n"
        ".globl verify_level_common\n"
        ".def verify_level_common; .scl 2; .type 32; .endef\n"
        ".seh_proc verify_level_common\n"
        "verify_level_common:\n"
        "    subq $0x58, %rsp\n"
        "    .seh_stackalloc 0x58\n"
        "    .seh_endprologue\n"
        "    movq %rcx, 0x20(%rsp)\n"
        "    movq %rdx, 0x28(%rsp)\n"
        "    movq %r8, 0x30(%rsp)\n"
        "    movq %r9, 0x38(%rsp)\n"
        "    movq %r11, 0x40(%rsp)\n"
        "    movq %r11, %rcx\n"
        "    movq 0x58(%rsp), %rdx\n"
        "    call verify_level_check_thunk\n"
        "    movq 0x20(%rsp), %rcx\n"
        "    movq 0x28(%rsp), %rdx\n"
        "    movq 0x30(%rsp), %r8\n"
        "    movq 0x38(%rsp), %r9\n"
        "    movq 0x40(%rsp), %r11\n"
        "    addq $0x58, %rsp\n"
        "    jmp *8(%r11)\n"
        ".seh_endproc\n");

void verify_level_check_thunk(const struct thunk *thunk, const void *caller)
{
    verify_level_check(verify_driver_at(caller), thunk->highest, thunk->name);
}

static bool matches(const char *pattern, size_t length, const char *name)
{
    if (length && pattern[length - 1] == '*')
        return !strncmp(pattern, name, length - 1);
    return strlen(name) == length && !strncmp(pattern, name, length);
}

static const struct level_rule *rule_for(const char *name)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const char *pattern = rules[i].names;
        while (*pattern) {
            const char *end = strchr(pattern, ' ');
            size_t length = end ? (size_t)(end - pattern) : strlen(pattern);
            if (matches(pattern, length, name))
                return &rules[i];
            pattern += length + (end != NULL);
        }
    }
    return NULL;
}

static void write_thunk(uint8_t *code, const struct thunk *thunk)
{
    static const uint8_t form[] = {
        0x49, 0xbb, 0,    0, 0, 0, 0, 0, 0, 0, /* mov r11, thunk */
        0x49, 0xba, 0,    0, 0, 0, 0, 0, 0, 0, /* mov r10, common */
        0x41, 0xff, 0xe2,                      /* jmp r10 */
    };
    uintptr_t data = (uintptr_t)thunk, common = (uintptr_t)verify_level_common;
    RtlCopyMemory(code, form, sizeof(form));
    RtlCopyMemory(code + 2, &data, sizeof(data));
    RtlCopyMemory(code + 12, &common, sizeof(common));
}

static char *copy_name(const char *name)
{
    char *copy = verify_allocate(strlen(name) + 1);
    if (copy)
        RtlCopyMemory(copy, name, strlen(name));
    return copy;
}

uintptr_t verify_level_thunk(const char *name, uint64_t real)
{
    const struct level_rule *rule = rule_for(name);
    if (!rule || !thunk_code)
        return 0;
    for (LONG i = 0; i < thunk_count; i++) {
        if (thunks[i].real == real)
            return (uintptr_t)thunk_code + (uintptr_t)i * THUNK_BYTES;
    }
    LONG index = InterlockedIncrement(&thunk_count) - 1;
    char *copy = index < THUNKS_MAX ? copy_name(name) : NULL;
    if (!copy) {
        InterlockedDecrement(&thunk_count);
        return 0;
    }
    thunks[index] = (struct thunk){copy, real, rule->highest};
    write_thunk(thunk_code + (size_t)index * THUNK_BYTES, &thunks[index]);
    return (uintptr_t)thunk_code + (uintptr_t)index * THUNK_BYTES;
}

NTSTATUS verify_level_rules_start(void)
{
    thunk_code = VirtualAlloc(NULL, (SIZE_T)THUNKS_MAX * THUNK_BYTES, USER_COMMIT_RESERVE,
                              USER_PAGE_EXECUTE_READWRITE);
    return thunk_code ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

void verify_level_rules_stop(void)
{
    while (thunk_count)
        verify_free((void *)(uintptr_t)thunks[--thunk_count].name);
    VirtualFree(thunk_code, 0, USER_RELEASE);
    thunk_code = NULL;
}
