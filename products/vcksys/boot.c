/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"
#include "firmware.h"
#include "host.h"
#include "partition.h"
#include "port/nt/disk_lower.h"
#include "port/nt/name.h"
#include "vck/disk_io.h"
#include "vck/handover.h"
#include "vck/log.h"

#define BOOT_TAG    VCK_TAG('V', 'b', 'o', 't')
#define STACK_BYTES 0x8000u

static struct {
    struct vck_control_host *host;
    struct vck_mutex lock;
    struct vck_handover handover; /* these two are covered by lock */
    VCK_ALIGNAS(8) uint8_t info[PARTITION_INFO_BYTES];
    bool has_handover; /* atomic, so that devices after the boot cost a look */
} boot;

static void forget(void)
{
    __atomic_store_n(&boot.has_handover, false, __ATOMIC_RELEASE);
    vck_handover_fini(&boot.handover);
}

/* ---- the provider's answer ---- */

static struct vck_provider *real_provider(void)
{
    return boot.host->provider ? boot.host->provider : &vck_default_provider;
}

/* A device the provider wants nothing done to is not bound at all. */
static vck_status refuse_passthrough(struct vck_provider *provider,
                                     const struct vck_attach_context *context,
                                     struct vck_io_config *ret_config)
{
    struct vck_provider *real = real_provider();
    vck_status status = real->on_attach(real, context, ret_config);

    (void)provider;
    if (status == VCK_OK && ret_config->kind == VCK_IO_PASSTHROUGH) {
        real->on_detach(real, ret_config);
        status = VCK_UNSUPPORTED;
    }
    return status;
}

static void pass_detach(struct vck_provider *provider, struct vck_io_config *config)
{
    struct vck_provider *real = real_provider();

    (void)provider;
    real->on_detach(real, config);
}

static struct vck_provider boot_provider = {
    .on_attach = refuse_passthrough,
    .on_detach = pass_detach,
};

/* ---- binding ---- */

static void name_of(struct filter *filter, char ret_path[VCK_VOLUME_PATH_BYTES])
{
    PDEVICE_OBJECT device = filter_physical_device(filter);

    if (vck_nt_name_of_object(device, ret_path, VCK_VOLUME_PATH_BYTES))
        vck_format(ret_path, VCK_VOLUME_PATH_BYTES, "\\Device\\VckHandover%p", (void *)device);
}

static vck_status attach(struct filter *filter, const char *path,
                         struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    struct vck_disk *disk = NULL;
    struct vck_volume_options options = {
        .path = path,
        .provider = &boot_provider,
        .vmk = vck_secret_bytes(&boot.handover.vmk),
        .is_os_volume = true,
        .bound_by_handover = true,
        .partition_guid = boot.handover.partition_guid.bytes,
        .executor = boot.host->executor,
        .batch_bytes = boot.host->batch_bytes,
    };
    vck_status status = filter_open_disk(filter, &disk);

    if (status)
        return status;
    status = vck_volume_attach(disk, &options, ret_volume);
    if (status)
        vck_disk_close(disk);
    return status;
}

static vck_status bind(struct filter *filter, const char *path) VCK_CAN_WAIT
{
    struct vck_volume *volume = NULL;
    vck_status status = attach(filter, path, &volume);

    if (status)
        return status;
    status = vck_registry_insert(boot.host->registry, volume);
    if (status) {
        (void)vck_volume_detach(volume);
        return status;
    }
    vck_volume_reference(volume);
    status = filter_bind(filter, volume);
    if (status)
        (void)vck_control_end_volume(boot.host, volume);
    else if (boot.host->ops->attached)
        boot.host->ops->attached(boot.host, volume);
    vck_volume_release(volume);
    return status;
}

/* Under the lock. */
static void note_result(struct filter *filter, const char *path, vck_status status) VCK_CAN_WAIT
{
    if (status == VCK_OK) {
        vck_log_info("boot: %s is bound", path);
        forget();
        host_look_at_unload(boot.host);
    } else if (status == VCK_UNSUPPORTED) {
        vck_log_info("boot: %s is left as it is, as its provider wants", path);
    } else {
        vck_log_error("boot: %s cannot be bound and refuses writes: %s", path,
                      vck_status_text(status));
        filter_set_write_refusal(filter, true);
    }
}

static void bind_matching(struct filter *filter) VCK_CAN_WAIT
{
    char *path = vck_alloc(VCK_VOLUME_PATH_BYTES, BOOT_TAG);

    if (path)
        name_of(filter, path);
    note_result(filter, path ? path : "the matching device",
                path ? bind(filter, path) : VCK_NO_MEMORY);
    vck_free(path);
}

/* ---- matching ---- */

/* Under the lock. NOT_FOUND: not a partition of a GPT; NO_MEMORY: it may be. */
static vck_status partition_of(struct filter *filter, struct vck_guid *ret_guid) VCK_CAN_WAIT
{
    ULONG size_bytes = 0;
    NTSTATUS nt =
        vck_disk_lower_ioctl(filter_lower_device(filter), IOCTL_DISK_GET_PARTITION_INFO_EX,
                             boot.info, 0, sizeof(boot.info), &size_bytes);

    if (nt == STATUS_INSUFFICIENT_RESOURCES)
        return VCK_NO_MEMORY;
    if (!NT_SUCCESS(nt))
        return VCK_NOT_FOUND;
    return partition_guid_of((struct vck_bytes){boot.info, size_bytes}, ret_guid);
}

static bool is_bound(struct filter *filter) VCK_CAN_WAIT
{
    struct vck_volume *volume = filter_get_volume(filter);

    if (volume)
        vck_volume_release(volume);
    return volume != NULL;
}

/* It may be the one: better no writes than wrong ones. */
static void refuse_unknown(struct filter *filter)
{
    vck_log_error("boot: no memory to look at a device; it refuses writes");
    filter_set_write_refusal(filter, true);
}

static void look_at(struct filter *filter) VCK_CAN_WAIT
{
    struct vck_guid partition;
    vck_status status;

    if (is_bound(filter))
        return;
    vck_mutex_acquire(&boot.lock);
    status = partition_of(filter, &partition);
    if (status == VCK_NO_MEMORY)
        refuse_unknown(filter);
    else if (status == VCK_OK && vck_handover_matches(&boot.handover, &partition))
        bind_matching(filter);
    else
        vck_log_info("boot: a device of another partition starts as it is");
    vck_mutex_release(&boot.lock);
}

static VOID NTAPI look_on_expanded_stack(PVOID filter) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    look_at(filter);
}

void boot_device_started(void *context, struct filter *filter)
{
    NTSTATUS status;

    (void)context;
    if (!__atomic_load_n(&boot.has_handover, __ATOMIC_ACQUIRE))
        return;
    status =
        KeExpandKernelStackAndCalloutEx(look_on_expanded_stack, filter, STACK_BYTES, TRUE, NULL);
    if (!NT_SUCCESS(status))
        refuse_unknown(filter);
}

/* ---- up and down ---- */

/* The system's own drivers have been read from the system's volume by now. */
static VOID NTAPI booting_ended(PDRIVER_OBJECT driver, PVOID context,
                                ULONG count) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    (void)driver;
    (void)context;
    (void)count;
    vck_mutex_acquire(&boot.lock);
    if (boot.has_handover)
        vck_log_warning("boot: no device took the handover");
    forget();
    vck_mutex_release(&boot.lock);
}

void boot_start(PDRIVER_OBJECT driver, struct vck_control_host *host)
{
    vck_status status;

    boot.host = host;
    vck_mutex_init(&boot.lock);
    status = firmware_take_handover(&boot.handover);
    if (status == VCK_OK) {
        __atomic_store_n(&boot.has_handover, true, __ATOMIC_RELEASE);
        IoRegisterDriverReinitialization(driver, booting_ended, NULL);
    } else if (status != VCK_NOT_FOUND) {
        vck_log_error("boot: the handover cannot be used: %s", vck_status_text(status));
    }
}

void boot_stop(void)
{
    forget();
    vck_mutex_fini(&boot.lock);
}
