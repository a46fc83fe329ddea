/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The level (IRQL) of each thread. Drivers read and set it in line with `mov` from and to CR8,
 * which is privileged: the exception handler does what the instruction would, on the thread's own
 * level.
 */
#include "verify.h"

static ULONG slot;
static void *handler;

/* ---- threads ---- */

static void NTAPI release_thread(void *value)
{
    verify_free(value);
}

struct verify_thread *verify_thread_current(void)
{
    /* Not enough memory for a thread's state: better a wrong level than none. */
    static struct verify_thread shared;
    struct verify_thread *thread = FlsGetValue(slot);
    if (thread)
        return thread;
    thread = verify_allocate(sizeof(*thread));
    if (!thread)
        return &shared;
    FlsSetValue(slot, thread);
    return thread;
}

/* ---- the instruction ---- */

static ULONG64 *register_of(CONTEXT *context, int number)
{
    ULONG64 *const registers[] = {
        &context->Rax, &context->Rcx, &context->Rdx, &context->Rbx, &context->Rsp, &context->Rbp,
        &context->Rsi, &context->Rdi, &context->R8,  &context->R9,  &context->R10, &context->R11,
        &context->R12, &context->R13, &context->R14, &context->R15,
    };
    return registers[number];
}

static void set_level(KIRQL level, const void *at)
{
    struct verify_thread *thread = verify_thread_current();
    if (level < DISPATCH_LEVEL && thread->level >= DISPATCH_LEVEL) {
        for (ULONG i = 0; i < thread->held_count; i++) {
            if (thread->held[i].kind == VERIFY_LOCK_SPIN)
                verify_report("level-lowered-with-lock", verify_driver_at(at), NULL,
                              "level lowered to %u with spin lock %p held", level,
                              thread->held[i].lock);
        }
    }
    thread->level = level;
}

static LONG NTAPI handle_exception(struct user_exception *exception)
{
    if ((int)exception->record->code != USER_PRIVILEGED_INSTRUCTION)
        return USER_EXCEPTION_SEARCH;
    CONTEXT *context = exception->context;
    const uint8_t *code = (const uint8_t *)context->Rip;
    uint8_t rex = 0;
    int length = 0;
    if ((code[0] & 0xf0) == 0x40) {
        rex = code[0];
        length = 1;
    }
    bool is_read = code[length + 1] == 0x20;
    if (code[length] != 0x0f || (!is_read && code[length + 1] != 0x22))
        return USER_EXCEPTION_SEARCH;
    int control = ((code[length + 2] >> 3) & 7) | (rex & 4) << 1;
    ULONG64 *general = register_of(context, (code[length + 2] & 7) | (rex & 1) << 3);
    if (control != 8)
        return USER_EXCEPTION_SEARCH;
    if (is_read)
        *general = verify_level();
    else if (verify_checks()) /* else nobody lowers it: spin locks are Wine's */
        set_level((KIRQL)*general, code);
    context->Rip += (ULONG64)length + 3;
    return USER_EXCEPTION_CONTINUE;
}

NTSTATUS verify_level_start(void)
{
    slot = FlsAlloc(release_thread);
    handler = AddVectoredExceptionHandler(true, handle_exception);
    return handler ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

void verify_level_stop(void)
{
    RemoveVectoredExceptionHandler(handler);
    FlsFree(slot);
}

/* ---- entering and leaving drivers ---- */

struct verify_context verify_enter(KIRQL level)
{
    struct verify_thread *thread = verify_thread_current();
    struct verify_context before = {thread->level, thread->critical_regions, thread->saved_states,
                                    thread->held_count};
    thread->level = level;
    return before;
}

/* A spin lock may be taken over by the caller's rules, but not out of a routine of the system. */
static void check_held(struct verify_thread *thread, const struct verify_context *before,
                       struct verify_driver *driver, const char *routine)
{
    for (ULONG i = before->held_count; i < thread->held_count; i++) {
        struct verify_stack origin = {1, {thread->held[i].taken_at}};
        verify_report("lock-left-held", driver, &origin, "%s returned with lock %p held", routine,
                      thread->held[i].lock);
    }
    if (thread->held_count > before->held_count)
        thread->held_count = before->held_count;
}

void verify_leave(const struct verify_context *before, struct verify_driver *driver, KIRQL expected,
                  const char *routine, const void *function)
{
    struct verify_thread *thread = verify_thread_current();
    struct verify_stack origin = verify_stack_of(function);
    check_held(thread, before, driver, routine);
    if (thread->level != expected)
        verify_report("level-changed", driver, &origin, "%s was called at level %u, left at %u",
                      routine, expected, thread->level);
    if (thread->critical_regions != before->critical_regions)
        verify_report("critical-region-unbalanced", driver, &origin,
                      "%s entered %ld critical regions more than it left", routine,
                      thread->critical_regions - before->critical_regions);
    if (thread->saved_states != before->saved_states)
        verify_report("saved-state-unbalanced", driver, &origin,
                      "%s saved the processor's state %ld times more than it restored it", routine,
                      thread->saved_states - before->saved_states);
    thread->level = before->level;
    thread->critical_regions = before->critical_regions;
    thread->saved_states = before->saved_states;
}

void verify_level_check(struct verify_driver *driver, KIRQL highest, const char *function)
{
    KIRQL level = verify_level();
    if (level > highest)
        verify_report("level-too-high", driver, NULL, "%s called at level %u, allowed up to %u",
                      function, level, highest);
}

/* ---- functions instead of instructions ---- */

static KIRQL NTAPI hook_KeGetCurrentIrql(void)
{
    return verify_level();
}

static KIRQL NTAPI hook_KfRaiseIrql(KIRQL level)
{
    struct verify_thread *thread = verify_thread_current();
    KIRQL old = thread->level;
    if (level < old)
        verify_report("level-raised-below", CALLER, NULL, "raised from level %u to %u", old, level);
    thread->level = level;
    return old;
}

static KIRQL NTAPI hook_KeRaiseIrqlToDpcLevel(void)
{
    struct verify_thread *thread = verify_thread_current();
    KIRQL old = thread->level;
    if (old > DISPATCH_LEVEL)
        verify_report("level-raised-below", CALLER, NULL, "raised from level %u to 2", old);
    thread->level = DISPATCH_LEVEL;
    return old;
}

static void NTAPI hook_KeLowerIrql(KIRQL level)
{
    if (level > verify_level())
        verify_report("level-lowered-above", CALLER, NULL, "lowered from level %u to %u",
                      verify_level(), level);
    set_level(level, __builtin_return_address(0));
}

static void NTAPI hook_KeEnterCriticalRegion(void)
{
    verify_level_check(CALLER, APC_LEVEL, "KeEnterCriticalRegion");
    verify_thread_current()->critical_regions++;
    KeEnterCriticalRegion();
}

static void NTAPI hook_KeLeaveCriticalRegion(void)
{
    struct verify_thread *thread = verify_thread_current();
    verify_level_check(CALLER, APC_LEVEL, "KeLeaveCriticalRegion");
    if (!thread->critical_regions) {
        verify_report("critical-region-unbalanced", CALLER, NULL, "left without having entered");
        return;
    }
    thread->critical_regions--;
    KeLeaveCriticalRegion();
}

static BOOLEAN NTAPI hook_KeAreApcsDisabled(void)
{
    struct verify_thread *thread = verify_thread_current();
    return thread->critical_regions > 0 || thread->level >= APC_LEVEL;
}

/*
 * There is nothing to save: each thread of Wine's has its own registers. What is checked is that
 * the two are called in pairs, and not above DISPATCH.
 */
static NTSTATUS NTAPI hook_KeSaveExtendedProcessorState(ULONG64 mask, PXSTATE_SAVE state)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "KeSaveExtendedProcessorState");
    if (verify_fails_now(driver))
        return STATUS_INSUFFICIENT_RESOURCES;
    (void)mask;
    RtlZeroMemory(state, sizeof(*state));
    verify_thread_current()->saved_states++;
    return STATUS_SUCCESS;
}

static void NTAPI hook_KeRestoreExtendedProcessorState(PXSTATE_SAVE state)
{
    struct verify_thread *thread = verify_thread_current();
    (void)state;
    if (!thread->saved_states)
        verify_report("saved-state-unbalanced", CALLER, NULL, "restored without having saved");
    else
        thread->saved_states--;
}

static const struct verify_hook hooks[] = {
    SUPPLY(KeGetCurrentIrql),
    SUPPLY(KfRaiseIrql),
    SUPPLY(KeRaiseIrqlToDpcLevel),
    SUPPLY(KeLowerIrql),
    CHECK(KeEnterCriticalRegion),
    CHECK(KeLeaveCriticalRegion),
    CHECK(KeAreApcsDisabled),
    SUPPLY(KeSaveExtendedProcessorState),
    SUPPLY(KeRestoreExtendedProcessorState),
};
const struct verify_hooks verify_level_hooks = VERIFY_HOOKS(hooks);
