/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers that are watched: their images, their imports, their entry and unload. */
#include "verify.h"

enum {
    DRIVERS_MAX = 64,
    HANDLES_WAIT_MS = 10000,
    /* The DOS header of Wine's own modules says so behind its end. */
    WINE_MARK_OFFSET = 0x40,
    PE_OFFSET_AT = 0x3c,
    PE_ENTRY_AT = 0x28,
    PE_IMAGE_SIZE_AT = 0x50,
    PE_IMPORTS_AT = 0x90,
};

static const char wine_mark[] = "Wine builtin DLL";

static const struct verify_hooks *const all_hooks[] = {
    &verify_device_hooks, &verify_dpc_hooks,     &verify_firmware_hooks, &verify_import_hooks,
    &verify_irp_hooks,    &verify_irp_own_hooks, &verify_level_hooks,    &verify_lock_hooks,
    &verify_mdl_hooks,    &verify_ndis_hooks,    &verify_pool_hooks,     &verify_security_hooks,
    &verify_thread_hooks, &verify_time_hooks,    &verify_timer_hooks,    &verify_wait_hooks,
    &verify_work_hooks,
};

/* Where nothing is checked, only what Wine lacks is used of these; the others are one piece of work
 * each. The pool's not even that, as what one of them allocates only another can free. */
static const struct verify_hooks *const checking_hooks[] = {
    &verify_irp_hooks,  &verify_irp_own_hooks, &verify_level_hooks, &verify_lock_hooks,
    &verify_pool_hooks, &verify_wait_hooks,    &verify_work_hooks,
};
static const char supplied_mark[] = "VCKVERIFY-SUPPLIES:";

static bool checks;
static struct verify_driver drivers[DRIVERS_MAX];
static volatile LONG driver_count;

/* One entry of the import directory. */
struct import_descriptor {
    ULONG names, timestamp, forwarder, module, slots;
};

/* ---- finding drivers and hooks ---- */

struct verify_driver *verify_driver_at(const void *address)
{
    LONG count = __atomic_load_n(&driver_count, __ATOMIC_ACQUIRE);
    for (LONG i = 0; i < count; i++) {
        struct verify_driver *driver = &drivers[i];
        if (driver->is_loaded && (uintptr_t)address - driver->base < driver->size_bytes)
            return driver;
    }
    return NULL;
}

struct verify_driver *verify_driver_of_object(const DRIVER_OBJECT *object)
{
    LONG count = __atomic_load_n(&driver_count, __ATOMIC_ACQUIRE);
    for (LONG i = 0; i < count; i++) {
        if (drivers[i].is_loaded && drivers[i].object == object)
            return &drivers[i];
    }
    return NULL;
}

struct verify_driver *verify_driver_number(size_t index)
{
    return (LONG)index < driver_count ? &drivers[index] : NULL;
}

struct verify_driver *verify_driver_named(const char *name)
{
    for (LONG i = 0; i < driver_count; i++) {
        if (!strcmp(drivers[i].name, name))
            return &drivers[i];
    }
    return NULL;
}

static bool is_checking(const struct verify_hooks *hooks)
{
    for (size_t i = 0; i < sizeof(checking_hooks) / sizeof(checking_hooks[0]); i++) {
        if (checking_hooks[i] == hooks)
            return true;
    }
    return false;
}

static bool is_used(const struct verify_hooks *hooks, const struct verify_hook *hook)
{
    if (checks || !is_checking(hooks))
        return true;
    return hooks != &verify_pool_hooks &&
           !strncmp(hook->name, supplied_mark, sizeof(supplied_mark) - 1);
}

bool verify_checks(void)
{
    return checks;
}

uintptr_t verify_hook_for(const char *name)
{
    for (size_t i = 0; i < sizeof(all_hooks) / sizeof(all_hooks[0]); i++) {
        for (size_t j = 0; j < all_hooks[i]->count; j++) {
            const struct verify_hook *hook = &all_hooks[i]->list[j];
            if (!strcmp(strchr(hook->name, ':') + 1, name) && is_used(all_hooks[i], hook))
                return hook->function;
        }
    }
    return 0;
}

bool verify_is_wine_stub(const void *function)
{
    /* sub rsp, 28h; lea; lea; call: hands its own name to a function that raises. */
    const uint8_t *code = function;
    return code[0] == 0x48 && code[1] == 0x83 && code[2] == 0xec && code[3] == 0x28 &&
           code[4] == 0x48 && code[5] == 0x8d && code[11] == 0x48 && code[12] == 0x8d &&
           code[18] == 0xe8;
}

bool verify_fails_now(struct verify_driver *driver)
{
    if (!driver)
        return false;
    InterlockedIncrement64(&driver->allocations);
    return driver->fail_in > 0 && InterlockedDecrement(&driver->fail_in) == 0;
}

void verify_keep_mapped(struct verify_driver *driver)
{
    void *module;
    GetModuleHandleExW(USER_MODULE_FROM_ADDRESS, (const void *)driver->base, &module);
}

/* ---- images ---- */

static ULONG read_u32(uintptr_t at)
{
    return *(const ULONG *)at;
}

static void write_code(uintptr_t at, const void *bytes, size_t count, ULONG protection)
{
    ULONG old;
    VirtualProtect((void *)at, count, protection, &old);
    RtlCopyMemory((void *)at, bytes, count);
    VirtualProtect((void *)at, count, old, &old);
}

static void patch_slot(uint64_t *slot, const char *name)
{
    uint64_t function = verify_hook_for(name);
    if (!function)
        function = verify_level_thunk(name, *slot);
    if (function)
        write_code((uintptr_t)slot, &function, sizeof(function), USER_PAGE_READWRITE);
}

static void patch_imports(uintptr_t base)
{
    ULONG imports = read_u32(base + read_u32(base + PE_OFFSET_AT) + PE_IMPORTS_AT);
    if (!imports)
        return;
    const struct import_descriptor *module = (const void *)(base + imports);
    for (; module->module; module++) {
        const uint64_t *names =
            (const void *)(base + (module->names ? module->names : module->slots));
        uint64_t *slots = (void *)(base + module->slots);
        for (; *names; names++, slots++) {
            /* The highest bit: by number, without a name. */
            if (!(*names >> 63))
                patch_slot(slots, (const char *)(base + *names + 2));
        }
    }
}

/* ---- a driver's life ---- */

static void report_leaks(struct verify_driver *driver)
{
    verify_thread_leaks(driver);
    verify_timer_leaks(driver);
    verify_dpc_leaks(driver);
    verify_work_leaks(driver);
    verify_irp_leaks(driver);
    verify_mdl_leaks(driver);
    verify_device_leaks(driver);
    verify_firmware_leaks(driver);
    verify_ndis_leaks(driver);
    verify_pool_leaks(driver);
}

static void print_summary(const struct verify_driver *driver)
{
    char text[320];
    verify_format_summary(driver, text, sizeof(text));
    DbgPrint("VCKVERIFY-SUMMARY %s\n", text);
}

/* Windows does not unload a driver before the last handle of its devices is closed. Wine does, and
 * closes afterwards what a program has closed just before. */
static void wait_for_handles(const struct verify_driver *driver)
{
    LARGE_INTEGER step = {.QuadPart = -10000};
    for (int i = 0; i < HANDLES_WAIT_MS && driver->open_handles > 0; i++)
        KeDelayExecutionThread(KernelMode, FALSE, &step);
    if (driver->open_handles > 0)
        DbgPrint("VCKVERIFY-NOTE %s is unloaded with %ld handles open\n", driver->name,
                 driver->open_handles);
}

static void NTAPI unload_watched(PDRIVER_OBJECT object)
{
    struct verify_driver *driver = verify_driver_of_object(object);
    wait_for_handles(driver);
    struct verify_context before = verify_enter(PASSIVE_LEVEL);
    driver->is_unloading = true;
    driver->unload(object);
    verify_leave(&before, driver, PASSIVE_LEVEL, "DriverUnload",
                 (const void *)(uintptr_t)driver->unload);
    report_leaks(driver);
    print_summary(driver);
    driver->is_loaded = false;
}

void verify_driver_watch(struct verify_driver *driver)
{
    PDRIVER_OBJECT object = driver->object;
    if (object->DriverUnload && object->DriverUnload != unload_watched) {
        driver->unload = object->DriverUnload;
        object->DriverUnload = unload_watched;
    }
}

static NTSTATUS NTAPI add_device_watched(PDRIVER_OBJECT object, PDEVICE_OBJECT physical)
{
    struct verify_driver *driver = verify_driver_of_object(object);
    struct verify_context before = verify_enter(PASSIVE_LEVEL);
    NTSTATUS status = driver->add_device(object, physical);
    verify_leave(&before, driver, PASSIVE_LEVEL, "AddDevice",
                 (const void *)(uintptr_t)driver->add_device);
    return status;
}

static struct verify_driver *driver_of_entry(PDRIVER_OBJECT object)
{
    for (LONG i = 0; i < driver_count; i++) {
        if (drivers[i].is_loaded && drivers[i].entry == (uintptr_t)object->DriverInit)
            return &drivers[i];
    }
    return verify_thread_current()->loading;
}

/* Reached from the driver's first bytes, which lead here until it is called. */
static NTSTATUS NTAPI enter_driver(PDRIVER_OBJECT object, PUNICODE_STRING registry_path)
{
    struct verify_driver *driver = driver_of_entry(object);
    PDRIVER_INITIALIZE entry = (PDRIVER_INITIALIZE)driver->entry;
    struct verify_context before;
    NTSTATUS status;

    write_code(driver->entry, driver->entry_bytes, VERIFY_ENTRY_BYTES, USER_PAGE_EXECUTE_READWRITE);
    driver->object = object;
    before = verify_enter(PASSIVE_LEVEL);
    status = entry(object, registry_path);
    verify_leave(&before, driver, PASSIVE_LEVEL, "DriverEntry", (const void *)driver->entry);
    if (!NT_SUCCESS(status)) {
        driver->is_unloading = true;
        report_leaks(driver);
        driver->is_loaded = false;
        return status;
    }
    verify_irp_dispatch_prepare(driver);
    if (object->DriverExtension && object->DriverExtension->AddDevice) {
        driver->add_device = object->DriverExtension->AddDevice;
        object->DriverExtension->AddDevice = add_device_watched;
    }
    verify_driver_watch(driver);
    return status;
}

static void divert_entry(struct verify_driver *driver)
{
    uint8_t jump[VERIFY_ENTRY_BYTES] = {0xff, 0x25}; /* jmp [rip + 0] */
    uintptr_t target = (uintptr_t)enter_driver;
    RtlCopyMemory(driver->entry_bytes, (const void *)driver->entry, VERIFY_ENTRY_BYTES);
    RtlCopyMemory(jump + 6, &target, sizeof(target));
    write_code(driver->entry, jump, sizeof(jump), USER_PAGE_EXECUTE_READWRITE);
}

static void copy_file_name(const UNICODE_STRING *path, char *ret_name)
{
    ULONG length = path ? path->Length / (ULONG)sizeof(WCHAR) : 0, start = length, used = 0;
    while (start && path->Buffer[start - 1] != '\\')
        start--;
    for (ULONG i = start; i < length && used < VERIFY_NAME_BYTES - 1; i++) {
        char letter = (char)path->Buffer[i];
        ret_name[used++] = letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
    }
    ret_name[used] = 0;
}

/* Images are loaded one after the other. */
static struct verify_driver *find_place(const char *name)
{
    struct verify_driver *driver = verify_driver_named(name);
    if (driver && !driver->is_loaded) {
        RtlZeroMemory(driver, sizeof(*driver));
        return driver;
    }
    return driver_count < DRIVERS_MAX ? &drivers[driver_count] : NULL;
}

static void NTAPI image_loaded(PUNICODE_STRING path, HANDLE process, PIMAGE_INFO image)
{
    uintptr_t base = (uintptr_t)image->ImageBase;
    uintptr_t headers = base + read_u32(base + PE_OFFSET_AT);
    char name[VERIFY_NAME_BYTES];
    (void)process;
    if (!memcmp((const void *)(base + WINE_MARK_OFFSET), wine_mark, sizeof(wine_mark)))
        return;
    copy_file_name(path, name);
    struct verify_driver *driver = find_place(name);
    if (!driver) {
        DbgPrint("VCKVERIFY-ERROR too many drivers: %s is not watched\n", name);
        return;
    }
    memcpy(driver->name, name, sizeof(name));
    driver->base = base;
    driver->size_bytes = read_u32(headers + PE_IMAGE_SIZE_AT);
    driver->entry = base + read_u32(headers + PE_ENTRY_AT);
    patch_imports(base);
    verify_netio_prepare();
    divert_entry(driver);
    driver->is_loaded = true;
    if (driver == &drivers[driver_count])
        __atomic_store_n(&driver_count, driver_count + 1, __ATOMIC_RELEASE);
    verify_thread_current()->loading = driver;
    DbgPrint("VCKVERIFY-LOADED %s base=%p\n", name, (void *)base);
}

NTSTATUS verify_drivers_start(bool with_checks)
{
    checks = with_checks;
    return PsSetLoadImageNotifyRoutine(image_loaded);
}

void verify_drivers_stop(void)
{
    PsRemoveLoadImageNotifyRoutine(image_loaded);
}

/* ---- looking functions up at run time ---- */

static PVOID NTAPI hook_MmGetSystemRoutineAddress(PUNICODE_STRING name)
{
    char text[64];
    ULONG length = name->Length / (ULONG)sizeof(WCHAR);
    if (length >= sizeof(text))
        return NULL;
    for (ULONG i = 0; i < length; i++)
        text[i] = (char)name->Buffer[i];
    text[length] = 0;
    verify_level_check(CALLER, PASSIVE_LEVEL, "MmGetSystemRoutineAddress");

    uintptr_t function = verify_hook_for(text);
    if (function)
        return (PVOID)function;
    PVOID real = MmGetSystemRoutineAddress(name);
    if (!real || verify_is_wine_stub(real))
        return NULL;
    function = verify_level_thunk(text, (uint64_t)(uintptr_t)real);
    return function ? (PVOID)function : real;
}

static const struct verify_hook hooks[] = {
    CHECK(MmGetSystemRoutineAddress),
};
const struct verify_hooks verify_import_hooks = VERIFY_HOOKS(hooks);
