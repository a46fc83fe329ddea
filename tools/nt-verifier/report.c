/* SPDX-License-Identifier: Apache-2.0 */
/* Findings: one line each, printed to the debugger and kept for reading. */
#include "verify.h"

enum {
    LINE_BYTES = 960, /* Wine cuts debug output at 1023 */
    FINDINGS_MAX = 512,
    PLACES_MAX = 1024,
    /* The same finding at the same place says nothing new after this many. */
    TIMES_REPORTED = 3,
};

NTSYSAPI int __cdecl _vsnprintf(char *text, size_t bytes, const char *format, va_list arguments);

struct place {
    const char *kind;
    const void *at;
    ULONG times;
};

static struct user_lock lock;
static char *lines[FINDINGS_MAX];
static ULONG line_count;
static struct place places[PLACES_MAX];
static ULONG place_count;

size_t verify_format(char *text, size_t bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = bytes ? _vsnprintf(text, bytes, format, arguments) : 0;
    va_end(arguments);
    if (!bytes)
        return 0;
    if (length < 0 || (size_t)length >= bytes)
        length = (int)bytes - 1;
    text[length] = 0;
    return (size_t)length;
}

void verify_stack_capture(struct verify_stack *ret_stack)
{
    ret_stack->count = RtlCaptureStackBackTrace(1, VERIFY_FRAMES, ret_stack->frames, NULL);
}

static bool is_own_frame(const void *address)
{
    void *own = NULL, *module = NULL;
    ULONG flags = USER_MODULE_FROM_ADDRESS | USER_MODULE_NO_REFERENCE;
    return GetModuleHandleExW(flags, (const void *)(uintptr_t)verify_report, &own) &&
           GetModuleHandleExW(flags, address, &module) && own == module;
}

/* Frames of Wine's modules are named too, so that a stack can be followed. */
static size_t format_other_frame(char *text, size_t bytes, const void *address)
{
    WCHAR path[260];
    void *module;
    if (!GetModuleHandleExW(USER_MODULE_FROM_ADDRESS | USER_MODULE_NO_REFERENCE, address, &module))
        return verify_format(text, bytes, "?+0x%llx", (unsigned long long)(uintptr_t)address);
    ULONG length = GetModuleFileNameW(module, path, 260), start = length;
    while (start && path[start - 1] != '\\')
        start--;
    size_t used = 0;
    for (; start < length && used + 1 < bytes; start++)
        text[used++] = (char)path[start];
    return used + verify_format(text + used, bytes - used, "+0x%llx",
                                (unsigned long long)((uintptr_t)address - (uintptr_t)module));
}

size_t verify_format_frame(char *text, size_t bytes, const void *address)
{
    const struct verify_driver *driver = verify_driver_at(address);
    if (!driver)
        return format_other_frame(text, bytes, address);
    return verify_format(text, bytes, "%s+0x%llx", driver->name,
                         (unsigned long long)((uintptr_t)address - driver->base));
}

static ULONG skip_own_frames(const struct verify_stack *stack)
{
    ULONG first = 0;
    while (first < stack->count && is_own_frame(stack->frames[first]))
        first++;
    return first;
}

static size_t format_stack(char *text, size_t bytes, const char *name,
                           const struct verify_stack *stack)
{
    size_t used = verify_format(text, bytes, " %s=", name);
    ULONG first = skip_own_frames(stack);
    for (ULONG i = first; i < stack->count && stack->frames[i] && used + 80 < bytes; i++) {
        if (i > first)
            text[used++] = ',';
        used += verify_format_frame(text + used, bytes - used, stack->frames[i]);
    }
    return used;
}

/* Whether the finding is new enough to be said; the lock is held. */
static bool count_place(const char *kind, const void *at)
{
    ULONG i = 0;
    while (i < place_count && (places[i].at != at || strcmp(places[i].kind, kind)))
        i++;
    if (i == place_count) {
        if (place_count == PLACES_MAX)
            return true;
        places[place_count++] = (struct place){kind, at, 0};
    }
    return ++places[i].times <= TIMES_REPORTED;
}

static void keep_line(const char *line, size_t length)
{
    char *copy = line_count < FINDINGS_MAX ? verify_allocate(length + 1) : NULL;
    if (!copy)
        return;
    RtlCopyMemory(copy, line, length + 1);
    lines[line_count++] = copy;
}

/* A line is a number, words name=value, and after text= free text to its end. */
void verify_report(const char *kind, struct verify_driver *driver,
                   const struct verify_stack *origin, const char *format, ...)
{
    static char line[LINE_BYTES]; /* with the lock */
    struct verify_stack stack;
    char text[200];
    va_list arguments;

    if (!verify_checks())
        return;
    verify_stack_capture(&stack);
    ULONG first = skip_own_frames(&stack);
    const void *at = first < stack.count ? stack.frames[first] : NULL;
    if (origin && driver && driver->is_unloading)
        at = origin->count ? origin->frames[skip_own_frames(origin) % origin->count] : NULL;
    va_start(arguments, format);
    int written = _vsnprintf(text, sizeof(text), format, arguments);
    text[written < 0 || (size_t)written >= sizeof(text) ? (int)sizeof(text) - 1 : written] = 0;
    va_end(arguments);

    AcquireSRWLockExclusive(&lock);
    if (driver)
        InterlockedIncrement64(&driver->counters.findings);
    if (count_place(kind, at)) {
        size_t used = verify_format(line, sizeof(line), "%lu kind=%s driver=%s", line_count, kind,
                                    verify_driver_name(driver));
        size_t room = (sizeof(line) - used - sizeof(text)) / (origin ? 2 : 1);
        used += format_stack(line + used, room, "stack", &stack);
        if (origin)
            used += format_stack(line + used, room, "origin", origin);
        used += verify_format(line + used, sizeof(line) - used, " text=%s", text);
        keep_line(line, used);
        DbgPrint("VCKVERIFY %s\n", line);
    }
    ReleaseSRWLockExclusive(&lock);
}

ULONG verify_report_count(void)
{
    return line_count;
}

size_t verify_report_read(ULONG first, char *text, size_t bytes)
{
    size_t used = 0;
    AcquireSRWLockExclusive(&lock);
    for (ULONG i = first; i < line_count && used + strlen(lines[i]) + 2 <= bytes; i++)
        used += verify_format(text + used, bytes - used, "%s\n", lines[i]);
    ReleaseSRWLockExclusive(&lock);
    return used;
}

void verify_report_stop(void)
{
    while (line_count)
        verify_free(lines[--line_count]);
}

void verify_format_summary(const struct verify_driver *driver, char *text, size_t bytes)
{
    const struct verify_counters *counters = &driver->counters;
    verify_format(text, bytes,
                  "driver=%s loaded=%ld findings=%lld pool_blocks=%lld pool_bytes=%lld "
                  "pool_peak_bytes=%lld pool_allocations=%lld irps_dispatched=%lld "
                  "irps_allocated=%lld dpcs=%lld timers_set=%lld work_items=%lld threads=%lld "
                  "mdls=%lld",
                  driver->name, driver->is_loaded, counters->findings, counters->pool_blocks,
                  counters->pool_bytes, counters->pool_peak_bytes, counters->pool_allocations,
                  counters->irps_dispatched, counters->irps_allocated, counters->dpcs,
                  counters->timers_set, counters->work_items, counters->threads, counters->mdls);
}
