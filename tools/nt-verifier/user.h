/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user: the Windows interface below Wine's kernel, as far as the verifier uses it. Its headers and
 * those of the kernel cannot be included together.
 */
#ifndef VERIFY_USER_H
#define VERIFY_USER_H

#include "port/nt/ntapi.h"

struct user_exception_record {
    ULONG code;
    ULONG flags;
    struct user_exception_record *nested;
    PVOID address;
    ULONG parameter_count;
    ULONG_PTR parameters[15];
};

struct user_exception {
    struct user_exception_record *record;
    CONTEXT *context;
};

enum {
    USER_EXCEPTION_SEARCH = 0,
    USER_EXCEPTION_CONTINUE = -1,
    USER_PRIVILEGED_INSTRUCTION = (int)0xC0000096,
    USER_PAGE_READWRITE = 4,
    USER_PAGE_EXECUTE_READWRITE = 0x40,
    USER_COMMIT_RESERVE = 0x3000,
    USER_RELEASE = 0x8000,
    USER_MODULE_FROM_ADDRESS = 4,
    USER_MODULE_NO_REFERENCE = 2,
};

struct user_lock {
    void *state;
};

struct user_condition {
    void *state;
};

#define USER_IMPORT __declspec(dllimport)

USER_IMPORT void NTAPI AcquireSRWLockExclusive(struct user_lock *lock);
USER_IMPORT void NTAPI ReleaseSRWLockExclusive(struct user_lock *lock);
USER_IMPORT int NTAPI SleepConditionVariableSRW(struct user_condition *condition,
                                                struct user_lock *lock, ULONG wait_ms, ULONG flags);
USER_IMPORT void NTAPI WakeAllConditionVariable(struct user_condition *condition);
USER_IMPORT void *NTAPI AddVectoredExceptionHandler(ULONG is_first,
                                                    LONG(NTAPI *handler)(struct user_exception *));
USER_IMPORT ULONG NTAPI RemoveVectoredExceptionHandler(void *handler);
USER_IMPORT ULONG NTAPI FlsAlloc(void(NTAPI *release)(void *value));
USER_IMPORT int NTAPI FlsFree(ULONG index);
USER_IMPORT void *NTAPI FlsGetValue(ULONG index);
USER_IMPORT int NTAPI FlsSetValue(ULONG index, void *value);
USER_IMPORT ULONG NTAPI GetModuleFileNameW(void *module, WCHAR *ret_name, ULONG count);
USER_IMPORT int NTAPI GetModuleHandleExW(ULONG flags, const void *address, void **ret_module);
USER_IMPORT void NTAPI GetSystemTimePreciseAsFileTime(LARGE_INTEGER *ret_time);
USER_IMPORT int NTAPI SwitchToThread(void);
USER_IMPORT int NTAPI TrySubmitThreadpoolCallback(void(NTAPI *callback)(void *instance,
                                                                        void *context),
                                                  void *context, void *environment);
USER_IMPORT void *NTAPI VirtualAlloc(void *address, SIZE_T bytes, ULONG kind, ULONG protection);
USER_IMPORT int NTAPI VirtualFree(void *address, SIZE_T bytes, ULONG kind);
USER_IMPORT int NTAPI VirtualProtect(void *address, SIZE_T bytes, ULONG protection, ULONG *ret_old);

#endif
