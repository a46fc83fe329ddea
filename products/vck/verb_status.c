/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include "port/port.h"
#include "products/vck/client.h"
#include "products/vck/json.h"
#include "vck/block.h"

#define STATUS_TAG VCK_TAG('C', 's', 't', 'a')

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0.0 : 100.0 * (double)part / (double)whole;
}

/* ---- one volume ---- */

static void print_status_json(const char *path, const struct vck_msg_volume_status *status)
{
    struct json json = {0};
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_bool(&json, "attached", status->is_attached);
    json_string(&json, "state", state_text(status->state));
    json_bool(&json, "suspended", status->is_suspended);
    json_string(&json, "direction", direction_text(status->direction));
    json_u64(&json, "encrypted_sectors", status->encrypted_sector);
    json_u64(&json, "total_sectors", status->total_sectors);
    json_u64(&json, "sector_size_bytes", status->sector_size);
    json_u64(&json, "damaged_chunks", status->damaged_chunks);
    json_u64(&json, "rate_mib_s", status->rate_mib_s);
    json_u64(&json, "bytes_per_s", status->bytes_per_s);
    json_string(&json, "error", *status->error != 0 ? status->error : NULL);
    json_bool(&json, "rekeying", status->rekeying);
    json_u64(&json, "rekeyed_sectors", status->rekeyed_sector);
    json_bool(&json, "used_only", status->used_only);
    json_u64(&json, "skipped_sectors", status->skipped_sectors);
    json_object_end(&json);
}

static void print_status_text(const char *path, const struct vck_msg_volume_status *status)
{
    char encrypted[SIZE_TEXT_BYTES];
    char total[SIZE_TEXT_BYTES];
    char speed[SIZE_TEXT_BYTES];
    printf("%s: %s, %.1f %% ciphertext (%s of %s)\n", path,
           status->is_suspended ? "suspended" : state_text(status->state),
           percent(status->encrypted_sector, status->total_sectors),
           size_text(status->encrypted_sector * status->sector_size, encrypted),
           size_text(status->total_sectors * status->sector_size, total));
    if (status->rekeying)
        printf("  rekey:   %.1f %% is under the new key (%s), %s\n",
               percent(status->rekeyed_sector, status->total_sectors),
               size_text(status->rekeyed_sector * status->sector_size, encrypted),
               status->direction == VCK_DECRYPTING ? "on the way back" : "on the way there");
    if (status->used_only)
        printf("  unused:  %s left out, as it was before\n",
               size_text(status->skipped_sectors * status->sector_size, encrypted));
    if (status->bytes_per_s != 0)
        printf("  speed:   %s/s\n", size_text(status->bytes_per_s, speed));
    if (status->rate_mib_s != 0)
        printf("  limit:   %u MiB/s\n", status->rate_mib_s);
    if (status->damaged_chunks != 0)
        printf("  damage:  %" PRIu64 " chunks are lost\n", status->damaged_chunks);
    if (*status->error != 0)
        printf("  error:   %s\n", status->error);
}

static int print_status(const struct command *command, const char *path,
                        const struct vck_msg_volume_status *status)
{
    if (option_given(command, OPTION_JSON))
        print_status_json(path, status);
    else if (status->is_attached)
        print_status_text(path, status);
    if (status->is_attached)
        return EXIT_OK;
    return report(command, EXIT_NOT_FOUND, "%s is not attached", path);
}

int run_status(const struct command *command)
{
    struct client client;
    struct vck_msg_volume_status status;
    char path[VOLUME_PATH_BYTES];
    int code = volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_get_status(&client, path, &status);
    if (code == EXIT_OK)
        code = print_status(command, path, &status);
    client_close(&client);
    return code;
}

/* ---- all volumes ---- */

static void print_list_json(const struct vck_msg_volume_list *list)
{
    struct json json = {0};
    json_array_begin(&json, NULL);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct vck_msg_volume_entry *entry = &list->volumes[i];
        json_object_begin(&json, NULL);
        json_string(&json, "volume", entry->volume_path);
        json_string(&json, "state", state_text(entry->state));
        json_u64(&json, "encrypted_sectors", entry->encrypted_sector);
        json_u64(&json, "total_sectors", entry->total_sectors);
        json_u64(&json, "sector_size_bytes", entry->sector_size);
        json_bool(&json, "is_os_volume", entry->is_os_volume);
        json_bool(&json, "suspended", entry->is_suspended);
        json_object_end(&json);
    }
    json_array_end(&json);
}

static void print_list_text(const struct vck_msg_volume_list *list)
{
    char size[SIZE_TEXT_BYTES];
    for (uint32_t i = 0; i < list->count; i++) {
        const struct vck_msg_volume_entry *entry = &list->volumes[i];
        printf("%-10s %5.1f %%  %10s  %s%s\n",
               entry->is_suspended ? "suspended" : state_text(entry->state),
               percent(entry->encrypted_sector, entry->total_sectors),
               size_text(entry->total_sectors * entry->sector_size, size), entry->volume_path,
               entry->is_os_volume ? " (system)" : "");
    }
}

int run_list(const struct command *command)
{
    struct client client;
    struct vck_msg_volume_list list = {.capacity = VCK_MSG_COUNT_MAX};
    list.volumes = vck_alloc(list.capacity * sizeof(*list.volumes), STATUS_TAG);
    if (list.volumes == NULL)
        return report(command, EXIT_FAILED, "no memory for the list");
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_LIST_VOLUMES, NULL, &list);
    if (code == EXIT_OK && option_given(command, OPTION_JSON))
        print_list_json(&list);
    else if (code == EXIT_OK)
        print_list_text(&list);
    client_close(&client);
    vck_free(list.volumes);
    return code;
}
