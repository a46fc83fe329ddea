/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     efi_main -> attempt: configuration -> partition -> key -> volume -> overlay -> handover
 *                          -> next stage
 *
 * An attempt that fails has said why, has undone what it did, and the person in front of the
 * machine says how to go on.
 */
#include "overlay.h"
#include "path.h"
#include "tpm.h"
#include "vck/log.h"
#include "vck/provider.h"
#include "vck/secret.h"
#include "unlock.h"
#include "vckboot.h"

#define CONFIG_PATH "\\vck.json"

efi_status EFIAPI efi_main(efi_handle image, struct efi_system_table *system);

/* ---- configuration ---- */

static vck_status parse_config(struct vck_bytes text, struct vck_boot_config *ret_config)
{
    struct vck_boot_config_error error;
    vck_status status = vck_boot_config_parse(text, ret_config, &error);

    if (status == VCK_INVALID_DATA)
        vck_uefi_say("%s, line %u: %s.", CONFIG_PATH, error.line, error.text);
    else if (status)
        vck_uefi_say("%s cannot be read: %s.", CONFIG_PATH, vck_status_text(status));
    return status;
}

/* From the volume the loader itself came from. */
static vck_status read_config(struct vck_boot_config *ret_config)
{
    struct efi_loaded_image *loaded;
    uint8_t *text = NULL;
    size_t size_bytes = 0;
    vck_status status = vck_uefi_status(
        vck_uefi_boot->HandleProtocol(vck_uefi_image, &efi_loaded_image_guid, (void **)&loaded));

    if (status == VCK_OK)
        status = file_read_all(loaded->DeviceHandle, CONFIG_PATH, VCK_BOOT_CONFIG_BYTES_MAX, &text,
                               &size_bytes);
    if (status == VCK_NOT_FOUND)
        vck_uefi_say("There is no %s beside the boot loader: nothing says what to unlock.",
                     CONFIG_PATH);
    else if (status)
        vck_uefi_say("%s cannot be read: %s.", CONFIG_PATH, vck_status_text(status));
    if (status)
        return status;
    measure_config((struct vck_bytes){text, size_bytes});
    status = parse_config((struct vck_bytes){text, size_bytes}, ret_config);
    vck_wipe(text, size_bytes);
    vck_free_pages(text, size_bytes);
    if (status == VCK_OK && ret_config->passed_over[0] != 0)
        vck_uefi_say("Warning: %s: \"%s\" means nothing to this version.", CONFIG_PATH,
                     ret_config->passed_over);
    return status;
}

/* ---- the partition ---- */

/* Firmware connects only what it boots from. With a protocol: the handles that have it, and all
 * that is found below them. */
static void connect(const struct vck_guid *protocol)
{
    efi_handle *handles = NULL;
    uint64_t count = 0;

    if (vck_uefi_boot->LocateHandleBuffer(protocol != NULL ? EFI_BY_PROTOCOL : EFI_ALL_HANDLES,
                                          protocol, NULL, &count, &handles) != EFI_SUCCESS)
        return;
    for (uint64_t i = 0; i < count; i++)
        (void)vck_uefi_boot->ConnectController(handles[i], NULL, NULL, true);
    (void)vck_uefi_boot->FreePool(handles);
}

static bool is_partition(efi_handle handle, const struct vck_guid *partition)
{
    struct efi_device_path *path;

    return vck_uefi_boot->HandleProtocol(handle, &efi_device_path_guid, (void **)&path) ==
               EFI_SUCCESS &&
           path_is_partition(path, partition);
}

static uint64_t count_partitions(const struct vck_guid *partition, efi_handle *ret_handle)
{
    efi_handle *handles = NULL;
    uint64_t count = 0, found = 0;

    if (vck_uefi_boot->LocateHandleBuffer(EFI_BY_PROTOCOL, &efi_block_io_guid, NULL, &count,
                                          &handles) != EFI_SUCCESS)
        count = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!is_partition(handles[i], partition))
            continue;
        *ret_handle = handles[i];
        found++;
    }
    if (handles != NULL)
        (void)vck_uefi_boot->FreePool(handles);
    return found;
}

/* Copies of a disk have copies of its GUIDs: with two of them, neither is taken. Disks are mostly
 * below PCI, whose functions firmware knows by now; from the bridge on every handle is asked about
 * twice, and all there are take several times as long. */
static vck_status find_partition(const struct vck_guid *partition, efi_handle *ret_handle)
{
    char text[VCK_GUID_TEXT_BYTES];
    static const struct vck_guid *const places[] = {&efi_pci_io_guid, &efi_pci_root_bridge_guid,
                                                    NULL};
    uint64_t found = 0;

    for (size_t i = 0; i < VCK_ARRAY_COUNT(places) && found == 0; i++) {
        connect(places[i]);
        found = count_partitions(partition, ret_handle);
    }
    if (found == 1)
        return VCK_OK;
    vck_guid_format(partition, text);
    vck_uefi_say(found == 0 ? "No disk has the partition %s."
                            : "Two disks have the partition %s: one is a copy of the other.",
                 text);
    return found == 0 ? VCK_NOT_FOUND : VCK_VALIDATION_FAILED;
}

/* ---- the volume ---- */

/* The loader opens and recovers a volume, and leaves its sweep to the operating system: without a
 * place for a journal none goes on here. Called from attach, which may wait. */
static vck_status on_attach(struct vck_provider *provider, const struct vck_attach_context *context,
                            struct vck_io_config *ret_config) VCK_NO_ANALYSIS
{
    vck_status status = vck_default_provider.on_attach(provider, context, ret_config);

    if (status == VCK_OK)
        ret_config->offset_store->batch_sectors_max = 0;
    return status;
}

static void on_detach(struct vck_provider *provider, struct vck_io_config *config)
{
    vck_default_provider.on_detach(provider, config);
}

static struct vck_provider boot_provider = {on_attach, on_detach};

static vck_status open_disk(efi_handle partition, struct vck_disk **ret_disk)
{
    struct efi_block_io *block_io;
    vck_status status = vck_uefi_status(
        vck_uefi_boot->HandleProtocol(partition, &efi_block_io_guid, (void **)&block_io));

    return status ? status : vck_uefi_disk_open(block_io, "partition", ret_disk);
}

/* OK: there is a volume, whatever its state; SIGNATURE_MISMATCH: none. */
static vck_status look_for_volume(struct vck_disk *disk) VCK_CAN_WAIT
{
    struct vck_store store = {0};
    vck_status status = vck_store_inspect(&store, disk);

    vck_store_fini(&store);
    /* Whatever else there is to say, opening it says better. */
    return status == VCK_SIGNATURE_MISMATCH || status == VCK_CHECKSUM_MISMATCH || status == VCK_IO
               ? status
               : VCK_OK;
}

/* The volume owns the disk when this succeeds. */
static vck_status attach(struct vck_disk *disk, const struct vck_boot_config *config,
                         struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "boot",
        .provider = &boot_provider,
        .vmk = vck_secret_bytes(&config->vmk),
        .partition_guid = config->partition_guid.bytes,
        .is_os_volume = true,
    };

    return vck_volume_attach(disk, &options, ret_volume);
}

static void say_why_not_attached(vck_status status)
{
    switch (status) {
    case VCK_WRONG_KEY:
        vck_uefi_say("The key does not open the volume.");
        break;
    case VCK_CHECKSUM_MISMATCH:
    case VCK_TAMPERED:
        vck_uefi_say("The volume's metadata is damaged, in every copy (%s). It can be repaired "
                     "with vck check --repair, from another system.",
                     vck_status_text(status));
        break;
    case VCK_IO:
        vck_uefi_say("The disk reports errors.");
        break;
    case VCK_READ_ONLY:
        vck_uefi_say("The volume was interrupted and must be recovered first, but the disk is "
                     "write-protected.");
        break;
    case VCK_CRYPTO_FAILED:
        vck_uefi_say("The volume was interrupted and must be recovered first. That needs random "
                     "numbers, and neither the firmware nor the processor has any.");
        break;
    default:
        vck_uefi_say("The volume cannot be opened: %s.", vck_status_text(status));
    }
}

static void say_state(struct vck_volume *volume)
{
    struct vck_volume_status status;

    vck_volume_query(volume, &status);
    vck_uefi_say("Unlocked: %llu of %llu sectors are encrypted.",
                 (unsigned long long)status.encrypted_sectors,
                 (unsigned long long)status.total_sectors);
    if (status.damaged_chunks != 0)
        vck_uefi_say("Warning: %llu pieces of it are lost and cannot be read.",
                     (unsigned long long)status.damaged_chunks);
    if (status.is_read_only)
        vck_uefi_say("Warning: it can only be read.");
}

/* ---- the next stage ---- */

static bool has_file_system(efi_handle handle)
{
    void *unused;

    return vck_uefi_boot->HandleProtocol(handle, &efi_simple_file_system_guid, &unused) ==
           EFI_SUCCESS;
}

/* Without a key there is nothing to hand over, but an initrd all the same. */
static bool offer_initrd(efi_handle volume, const struct vck_boot_config *config,
                         struct vck_bytes vmk)
{
    vck_status status;

    if (config->initrd[0] == 0 && (vmk.size_bytes == 0 || !is_linux(volume, config->osloader)))
        return true;
    status = initrd_offer(volume, config->initrd, &config->partition_guid, vmk);
    if (status)
        vck_uefi_say("The initrd %s cannot be offered: %s.", config->initrd,
                     vck_status_text(status));
    return status == VCK_OK;
}

static void boot_encrypted(efi_handle volume, const struct vck_boot_config *config)
{
    struct vck_bytes vmk = vck_secret_bytes(&config->vmk);
    vck_status status;

    if (!has_file_system(volume)) {
        vck_uefi_say("There is no file system on the volume that this firmware can read.");
        return;
    }
    status = publish(&config->partition_guid, vmk);
    if (status)
        vck_uefi_say("Warning: the operating system cannot be told its key: %s.",
                     vck_status_text(status));
    vck_uefi_log_reached("handover published");
    if (offer_initrd(volume, config, vmk))
        start_program(volume, config);
    initrd_withdraw();
    publish_undo();
}

static void boot_plain(efi_handle partition, const struct vck_boot_config *config)
{
    struct vck_bytes nothing = {0};

    vck_uefi_say("The volume is not encrypted yet.");
    if (!has_file_system(partition))
        vck_uefi_say("There is no file system on it that this firmware can read.");
    else if (offer_initrd(partition, config, nothing))
        start_program(partition, config);
    initrd_withdraw();
}

static void boot_volume(efi_handle partition, struct vck_volume *volume,
                        const struct vck_boot_config *config)
{
    struct overlay *overlay;
    vck_status status = overlay_create(partition, volume, config->mode, &overlay);

    if (status) {
        vck_uefi_say("The firmware does not take the volume: %s.", vck_status_text(status));
        return;
    }
    vck_uefi_log_reached("volume shown");
    boot_encrypted(overlay_handle(overlay), config);
    overlay_destroy(overlay);
}

/* ---- an attempt ---- */

/* By the TPM, where it is wanted and helps; else by whoever is there. */
static vck_status find_key(struct vck_disk *disk, struct vck_boot_config *config) VCK_CAN_WAIT
{
    if (config->tpm.is_wanted && unlock_by_tpm(disk, config, &config->vmk) == VCK_OK)
        return VCK_OK;
    return unlock_by_prompt(disk, config->timeout_s, &config->vmk);
}

/* config->vmk is filled when it was not there. *ret_said: why it failed has been said. */
static vck_status unlock(struct vck_disk *disk, struct vck_boot_config *config,
                         struct vck_volume **ret_volume, bool *ret_said) VCK_CAN_WAIT
{
    vck_status status = look_for_volume(disk);

    if (status)
        return status;
    if (config->vmk.data != NULL)
        vck_uefi_say("Warning: the key is in %s; whoever has the disk has the key.", CONFIG_PATH);
    else
        status = find_key(disk, config);
    *ret_said = status != VCK_OK;
    if (status == VCK_OK)
        status = attach(disk, config, ret_volume);
    /* Only the first look decides that there is no volume. */
    return status == VCK_SIGNATURE_MISMATCH ? VCK_TAMPERED : status;
}

static void boot_unlocked(efi_handle partition, struct vck_volume *volume,
                          const struct vck_boot_config *config) VCK_CAN_WAIT
{
    vck_status status;

    vck_uefi_log_reached("volume opened");
    say_state(volume);
    boot_volume(partition, volume, config);
    status = vck_volume_detach(volume);
    vck_defer_drain();
    if (status)
        vck_uefi_say("Warning: what was written to the volume last may be lost: %s.",
                     vck_status_text(status));
}

/* CANCELLED: somebody decided to go on without the volume. */
static vck_status boot_partition(efi_handle partition, struct vck_boot_config *config) VCK_CAN_WAIT
{
    struct vck_volume *volume = NULL;
    struct vck_disk *disk = NULL;
    bool said = false;
    vck_status status = open_disk(partition, &disk);

    if (status == VCK_OK)
        status = unlock(disk, config, &volume, &said);
    if (status == VCK_OK) {
        boot_unlocked(partition, volume, config);
        return VCK_OK;
    }
    if (disk != NULL)
        disk->ops->close(disk);
    if (status == VCK_SIGNATURE_MISMATCH)
        boot_plain(partition, config);
    else if (!said)
        say_why_not_attached(status);
    return status;
}

/* Returns when it failed: how to go on. */
static enum way_on attempt(void) VCK_CAN_WAIT
{
    struct vck_boot_config config;
    efi_handle partition = NULL;
    uint32_t timeout_s;
    vck_status status;

    if (read_config(&config) != VCK_OK)
        return console_ask_way_on(VCK_BOOT_TIMEOUT_S_DEFAULT);
    timeout_s = config.timeout_s;
    vck_uefi_log_reached("configuration read");
    status = find_partition(&config.partition_guid, &partition);
    vck_uefi_log_reached("drivers connected");
    if (status == VCK_OK)
        status = boot_partition(partition, &config);
    vck_boot_config_fini(&config);
    return status == VCK_CANCELLED ? WAY_NEXT : console_ask_way_on(timeout_s);
}

efi_status EFIAPI efi_main(efi_handle image, struct efi_system_table *system) VCK_NO_ANALYSIS
{
    vck_uefi_start(image, system);
    /* The firmware restarts a program that takes minutes, and people do. */
    (void)vck_uefi_boot->SetWatchdogTimer(0, 0, 0, NULL);
    vck_uefi_log_reached("loader started");
    vck_uefi_say("vckboot " VCK_VERSION);
    while (attempt() == WAY_RETRY)
        continue;
    vck_uefi_say("Back to the firmware.");
    vck_uefi_end();
    /* Firmware takes an error for "try the next entry". */
    return EFI_NOT_FOUND;
}
