/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include <string.h>
#include "control_device.h"
#include "partition.h"
#include "path.h"
#include "place.h"
#include "policy.h"
#include "port/nt/disk_lower.h"
#include "port/nt/name.h"
#include "vck/log.h"

#define HOST_TAG          VCK_TAG('V', 'h', 's', 't')
#define DISMOUNT_TRIES    100u
#define DISMOUNT_PAUSE_NS 100000000u

static struct {
    struct vck_control_host control;
    struct vck_registry registry;
    PDRIVER_OBJECT driver;
    struct vck_mutex lock;
    PDRIVER_UNLOAD unload; /* covered by lock */
} host;

/* ---- paths ---- */

static vck_status canonical_path(struct vck_control_host *control, const char *path,
                                 char ret_path[VCK_VOLUME_PATH_BYTES],
                                 struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    const char *why = "";
    vck_status status = path_to_nt(path, ret_path, &why);

    (void)control;
    if (status) {
        vck_format(ret_why->text, sizeof(ret_why->text), "%s %s", path, why);
        return status;
    }
    return vck_nt_name_resolve(ret_path, VCK_VOLUME_PATH_BYTES);
}

static bool is_equal_without_case(const char *a, const char *b)
{
    for (;; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + ('a' - 'A')) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + ('a' - 'A')) : *b;

        if (x != y)
            return false;
        if (!x)
            return true;
    }
}

/* A path in its canonical spelling, and why it has none; too large for the stack. */
struct spelling {
    char path[VCK_VOLUME_PATH_BYTES];
    struct vck_explanation why;
};

static vck_status find_filter(struct vck_control_host *control, const char *path,
                              struct filter **ret_filter) VCK_CAN_WAIT
{
    struct spelling *spelling = vck_alloc(sizeof(*spelling), HOST_TAG);
    vck_status status = VCK_NO_MEMORY;

    if (!spelling)
        return status;
    status = canonical_path(control, path, spelling->path, &spelling->why);
    if (status == VCK_OK)
        status = place_find_filter(spelling->path, ret_filter);
    vck_free(spelling);
    return status;
}

/* The volume may be kept under a name of the device that the path does not lead to by links alone.
 */
static bool is_same(struct vck_control_host *control, const char *volume_path,
                    const char *path) VCK_CAN_WAIT
{
    struct filter *filter = NULL;
    struct vck_volume *volume = NULL;
    bool is_it;

    if (is_equal_without_case(volume_path, path))
        return true;
    if (find_filter(control, path, &filter))
        return false;
    volume = filter_get_volume(filter);
    is_it = volume && strcmp(vck_volume_path(volume), volume_path) == 0;
    if (volume)
        vck_volume_release(volume);
    filter_release(filter);
    return is_it;
}

static bool is_below_fsd(struct vck_control_host *control, const char *path) VCK_CAN_WAIT
{
    struct filter *filter = NULL;

    if (find_filter(control, path, &filter))
        return false;
    filter_release(filter);
    return true;
}

/* ---- into place ---- */

static vck_status fill_place(struct vck_control_host *control, struct place *place,
                             const char *path, const char *device_path,
                             struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    char *canonical;
    vck_status status;

    if (!*device_path)
        return place_fill(place, path, ret_why);
    canonical = vck_alloc(VCK_VOLUME_PATH_BYTES, HOST_TAG);
    if (!canonical)
        return VCK_NO_MEMORY;
    status = canonical_path(control, device_path, canonical, ret_why);
    if (status == VCK_OK)
        status = place_fill(place, canonical, ret_why);
    vck_free(canonical);
    return status;
}

/* Every record of a volume's state is sealed with a new salt. */
static vck_status check_random(struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    uint8_t salt[16];
    vck_status status = vck_random(salt, sizeof(salt));

    if (status)
        vck_format(ret_why->text, sizeof(ret_why->text),
                   "the system has no random numbers, without which no volume can be kept");
    return status;
}

static vck_status open_disk(struct vck_control_host *control, const char *path,
                            const char *device_path, struct vck_disk **ret_disk,
                            struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct place *place;
    vck_status status = check_random(ret_why);

    if (status)
        return status;
    place = place_create();
    if (!place)
        return VCK_NO_MEMORY;
    status = fill_place(control, place, path, device_path, ret_why);
    if (status == VCK_OK)
        status = filter_open_disk(place->filter, ret_disk);
    if (status) {
        place_take_back(place);
        place_destroy(place);
    }
    return status;
}

static vck_status in_place(struct vck_control_host *control, struct vck_volume *volume,
                           struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct place *place = place_find();
    vck_status status = place ? filter_bind(place->filter, volume) : VCK_NOT_READY;

    (void)control;
    if (status)
        vck_format(ret_why->text, sizeof(ret_why->text), "the filter of %s cannot be bound: %s",
                   vck_volume_path(volume), vck_status_text(status));
    return status;
}

/* The device below is asked: what the filter shows begins with the data. */
static VCK_NOINLINE size_t ask_below(const struct place *place, ULONG code, uint8_t *answer,
                                     ULONG capacity_bytes) VCK_CAN_WAIT
{
    ULONG size_bytes = 0;
    NTSTATUS status = vck_disk_lower_ioctl(filter_lower_device(place->filter), code, answer, 0,
                                           capacity_bytes, &size_bytes);

    return NT_SUCCESS(status) ? size_bytes : 0;
}

static void locate(struct vck_control_host *control, struct vck_volume *volume,
                   struct vck_control_location *ret_location) VCK_CAN_WAIT
{
    VCK_ALIGNAS(8) uint8_t info[PARTITION_INFO_BYTES];
    VCK_ALIGNAS(8) uint8_t number[DEVICE_NUMBER_BYTES];
    struct place *place = place_find();
    size_t info_bytes;
    size_t number_bytes;

    (void)control;
    (void)volume;
    if (!place)
        return;
    info_bytes = ask_below(place, IOCTL_DISK_GET_PARTITION_INFO_EX, info, sizeof(info));
    number_bytes = ask_below(place, IOCTL_STORAGE_GET_DEVICE_NUMBER, number, sizeof(number));
    partition_locate((struct vck_bytes){info, info_bytes}, (struct vck_bytes){number, number_bytes},
                     ret_location);
}

static void prepared(struct vck_control_host *control, const char *path, bool is_kept) VCK_CAN_WAIT
{
    struct place *place = place_find();

    (void)control;
    (void)path;
    if (place && !is_kept)
        place_take_back(place);
    place_destroy(place);
}

/* ---- out of place ---- */

static vck_status before_detach(struct vck_control_host *control, struct vck_volume *volume,
                                bool force, struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct place *place = place_create();
    vck_status status;

    (void)control;
    if (!place)
        return force ? VCK_OK : VCK_NO_MEMORY;
    status = volume_handle_open(vck_volume_path(volume), &place->volume);
    if (status == VCK_OK && force)
        volume_handle_force_dismount(&place->volume);
    else if (status == VCK_OK)
        status = volume_handle_dismount_patiently(&place->volume, DISMOUNT_TRIES, DISMOUNT_PAUSE_NS,
                                                  control_device_is_stopping);
    if (!status || force)
        return VCK_OK;
    /* A device that cannot be opened any more has no users either. */
    if (status == VCK_NOT_FOUND)
        return VCK_OK;
    vck_format(ret_why->text, sizeof(ret_why->text), "%s cannot be locked and dismounted: %s",
               vck_volume_path(volume), vck_status_text(status));
    place_destroy(place);
    return VCK_BUSY;
}

/* Writes are refused until it is known whether ciphertext stays: the sweep has not ended yet. */
static void out_of_place(struct vck_control_host *control, struct vck_volume *volume) VCK_CAN_WAIT
{
    struct place *place = place_find();
    struct filter *filter = place ? place->filter : NULL;

    (void)control;
    if (!filter && filter_find_by_volume(volume, &filter))
        return;
    filter_set_write_refusal(filter, true);
    filter_unbind(filter);
    if (place && !place->filter)
        place->filter = filter;
    else if (!place)
        filter_release(filter);
}

/* Without a place there was no memory for one: the filter goes on refusing. */
static void after_detach(struct vck_control_host *control, const char *path,
                         bool holds_ciphertext) VCK_CAN_WAIT
{
    struct place *place = place_find();

    (void)control;
    (void)path;
    if (place && place->filter)
        filter_set_write_refusal(place->filter, holds_ciphertext);
    place_destroy(place);
}

void host_device_removing(void *context, struct filter *filter, bool surprise)
{
    struct vck_volume *volume = filter_get_volume(filter);
    struct place *place;
    vck_status status;

    (void)context;
    if (!volume)
        return;
    place = place_create();
    if (place) {
        place->filter = filter;
        place->is_borrowed = true;
    }
    status = vck_control_end_volume(&host.control, volume);
    vck_log_warning("the device of %s %s; its volume is detached: %s", vck_volume_path(volume),
                    surprise ? "has gone" : "is being removed", vck_status_text(status));
    vck_volume_release(volume);
    host_look_at_unload(&host.control);
}

/* ---- policy ---- */

static void look_at_usage(const struct vck_volume *volume,
                          struct policy_settings *settings) VCK_CAN_WAIT
{
    struct filter *filter = NULL;
    struct filter_usage usage;

    if (filter_find_by_volume(volume, &filter))
        return;
    filter_get_usage(filter, &usage);
    filter_release(filter);
    settings->hibernation_files = usage.hibernation > 0;
    settings->dump_files = usage.dump > 0;
}

/* From here on the driver has to stay. */
static void withdraw_unload(void) VCK_CAN_WAIT
{
    vck_mutex_acquire(&host.lock);
    host.driver->DriverUnload = NULL;
    vck_mutex_release(&host.lock);
}

static vck_status before_encrypt(struct vck_control_host *control, struct vck_volume *volume,
                                 struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct policy_settings settings = {0};
    bool is_os_volume = vck_volume_is_os_volume(volume);
    vck_status status;

    (void)control;
    if (is_os_volume)
        policy_read(&settings);
    look_at_usage(volume, &settings);
    status = policy_may_encrypt(&settings, ret_why);
    if (status == VCK_OK && is_os_volume)
        withdraw_unload();
    return status;
}

static bool needs_driver(struct vck_volume *volume)
{
    struct vck_volume_status status;

    if (!vck_volume_is_os_volume(volume))
        return false;
    vck_volume_query(volume, &status);
    return status.encrypted_sectors > 0 || status.state == VCK_STATE_ENCRYPTING;
}

void host_look_at_unload(struct vck_control_host *control)
{
    struct vck_volume *volume;
    bool is_needed = false;

    vck_mutex_acquire(&host.lock);
    for (uint32_t i = 0; vck_registry_at(control->registry, i, &volume) == VCK_OK; i++) {
        is_needed = is_needed || needs_driver(volume);
        vck_volume_release(volume);
    }
    host.driver->DriverUnload = is_needed ? NULL : host.unload;
    vck_mutex_release(&host.lock);
}

void host_allow_unload(PDRIVER_UNLOAD unload)
{
    vck_mutex_acquire(&host.lock);
    host.unload = unload;
    vck_mutex_release(&host.lock);
    host_look_at_unload(&host.control);
}

void host_shutdown(struct vck_control_host *control)
{
    struct vck_volume *volume;

    for (uint32_t i = 0; vck_registry_at(control->registry, i, &volume) == VCK_OK; i++) {
        vck_volume_halt(volume);
        vck_volume_release(volume);
    }
}

/* ---- up and down ---- */

static const struct vck_control_host_ops ops = {
    .canonical_path = canonical_path,
    .is_same = is_same,
    .open_disk = open_disk,
    .in_place = in_place,
    .locate = locate,
    .out_of_place = out_of_place,
    .prepared = prepared,
    .before_detach = before_detach,
    .after_detach = after_detach,
    .before_encrypt = before_encrypt,
    .is_below_fsd = is_below_fsd,
    .is_cancelled = control_device_is_cancelled,
};

struct vck_control_host *host_control(void)
{
    return &host.control;
}

void host_start(PDRIVER_OBJECT driver, struct vck_executor *executor)
{
    host.driver = driver;
    host.unload = NULL;
    vck_mutex_init(&host.lock);
    vck_registry_init(&host.registry);
    host.control = (struct vck_control_host){
        .ops = &ops,
        .registry = &host.registry,
        .filter_below_fsd = true,
        .executor = executor,
    };
    vck_control_init(&host.control);
    places_start();
}

void host_stop(void)
{
    vck_control_detach_all(&host.control, true);
    places_stop();
    vck_control_fini(&host.control);
    vck_registry_fini(&host.registry);
    vck_mutex_fini(&host.lock);
}
