/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_map: a picture of the volume. A cell stands for a run of sectors and shows the most notable
 * thing in it, so that one damaged chunk of a terabyte is seen.
 */
#include <inttypes.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/carrier.h"
#include "products/vck/client.h"
#include "products/vck/inspect.h"
#include "products/vck/json.h"
#include "products/vck/key.h"
#include "products/vck/os.h"

#define ROWS          4
#define WIDTH_MIN     20
#define WIDTH_MAX     1000
#define WIDTH_DEFAULT 80
#define REGIONS_MAX   5

struct map {
    struct vck_layout layout;
    uint64_t encrypted_sectors; /* where is_rekeying: the boundary between the keys */
    bool is_rekeying;
    uint64_t hot_first_sector; /* of the data region, as all below */
    uint64_t hot_sectors;
    uint32_t damage_count;
    uint64_t damage_bytes[VCK_DAMAGE_MAX];
};

struct region {
    const char *kind;
    char cell;
    uint64_t start_sector; /* of the disk */
    uint64_t sectors;
};

/* ---- what is where ---- */

/* Regions without sectors are left out. */
static void add_region(struct region *regions, unsigned *count, const char *kind, char cell,
                       uint64_t start_sector, uint64_t end_sector)
{
    if (end_sector > start_sector)
        regions[(*count)++] = (struct region){kind, cell, start_sector, end_sector - start_sector};
}

static unsigned make_regions(const struct map *map, struct region regions[REGIONS_MAX])
{
    unsigned count = 0;
    uint64_t data = map->layout.data_start_lba;
    uint64_t end = data + map->layout.data_sectors;
    uint64_t boundary = data + VCK_MIN(map->encrypted_sectors, map->layout.data_sectors);
    uint64_t hot = boundary;
    uint64_t hot_end = boundary;
    if (map->hot_sectors != 0) {
        hot_end = VCK_MIN(data + map->hot_first_sector + map->hot_sectors, end);
        hot = VCK_MIN(data + map->hot_first_sector, hot_end);
    }
    add_region(regions, &count, "header", 'M', 0, data);
    add_region(regions, &count, map->is_rekeying ? "new key" : "ciphertext", '#', data,
               VCK_MIN(boundary, hot));
    add_region(regions, &count, "hot", '*', hot, hot_end);
    if (map->is_rekeying)
        add_region(regions, &count, "old key", '=', VCK_MAX(boundary, hot_end), end);
    else
        add_region(regions, &count, "plaintext", '.', VCK_MAX(boundary, hot_end), end);
    add_region(regions, &count, "footer", 'M', end, map->layout.volume_sectors);
    return count;
}

/* A record that begins or ends at the boundary is what the sweep works on. */
static void find_hot(const struct inspection *in, struct map *map)
{
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++) {
        const struct half_view *half = &in->halves[i / 2][i % 2];
        const struct vck_record *record = &half->record;
        bool is_open = half->kind == HALF_APPLIES || half->kind == HALF_UNVERIFIED;
        uint64_t edge = record->direction == VCK_DECRYPTING ? record->first_sector + record->sectors
                                                            : record->first_sector;
        if (!is_open || edge != map->encrypted_sectors)
            continue;
        map->hot_first_sector = record->first_sector;
        map->hot_sectors = record->sectors;
    }
}

/* ---- where it is known from ---- */

/* All that is known of the layout of a volume whose metadata is hidden. */
static void take_data_region(const struct vck_msg_volume_status *status, struct map *map)
{
    map->layout.sector_size_bytes = status->sector_size;
    map->layout.data_sectors = status->total_sectors;
    map->layout.volume_sectors = status->total_sectors;
}

static int ask_host(const struct command *command, const char *path, struct map *map)
{
    struct client client;
    struct vck_msg_volume_status status;
    struct vck_msg_volume_request request = {.volume_path = path};
    struct vck_msg_damage_list damage = {.offsets = map->damage_bytes, .capacity = VCK_DAMAGE_MAX};
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_get_status(&client, path, &status);
    if (code == EXIT_OK && !status.is_attached)
        code =
            report(command, EXIT_NOT_FOUND,
                   "%s is not attached; --vmk-file, --key-file or --unlock reads the disk", path);
    if (code == EXIT_OK) {
        map->is_rekeying = status.rekeying;
        map->encrypted_sectors = status.rekeying ? status.rekeyed_sector : status.encrypted_sector;
        take_data_region(&status, map);
        code = client_call(&client, VCK_CODE_DAMAGE, &request, &damage);
    }
    if (code == EXIT_OK)
        map->damage_count = damage.count;
    client_close(&client);
    return code;
}

static void take_inspection(const struct inspection *in, struct map *map)
{
    map->is_rekeying = vck_store_is_rekeying(&in->store);
    map->encrypted_sectors = in->store.state.encrypted_offset_sectors;
    map->damage_count = in->damage.count;
    memcpy(map->damage_bytes, in->damage.offset_bytes, sizeof(map->damage_bytes));
}

static int read_disk(const struct command *command, const char *path, struct vck_bytes vmk,
                     struct map *map)
{
    struct inspection in;
    char text[EXPLANATION_BYTES];
    int code =
        inspect_open(&in, command, path, DISK_READ_ONLY | DISK_SHARED, VCK_STORE_ANY_REPLICA, vmk);
    if (code == EXIT_OK && !inspect_is_open(&in))
        code = report(command, exit_code_of(in.status), "%s: %s", path, inspect_explain(&in, text));
    if (code == EXIT_OK && in.has_key)
        take_inspection(&in, map);
    else if (code == EXIT_OK)
        code = ask_host(command, path, map);
    if (code == EXIT_OK) {
        map->layout = in.store.layout;
        find_hot(&in, map);
    }
    inspect_fini(&in);
    return code;
}

static int gather(const struct command *command, const char *path, struct map *map)
{
    struct key_access access = {0};
    waiting_is_fine();
    memset(map, 0, sizeof(*map));
    if (carrier_hides(command, path))
        return ask_host(command, path, map);
    int code = inspect_find_key(command, path, &access);
    if (code == EXIT_OK)
        code = read_disk(command, path, key_access_vmk(&access), map);
    key_access_fini(&access);
    return code;
}

/* ---- drawing ---- */

/* The cell that sector lies in, of `count` over the whole volume. */
static unsigned cell_of(const struct map *map, uint64_t sector, unsigned count)
{
    double place = (double)sector / (double)map->layout.volume_sectors * count;
    return VCK_MIN((unsigned)place, count - 1);
}

static void fill(const struct map *map, const struct region *region, char *cells, unsigned count)
{
    unsigned first = cell_of(map, region->start_sector, count);
    unsigned last = cell_of(map, region->start_sector + region->sectors - 1, count);
    memset(cells + first, region->cell, last - first + 1);
}

static void draw(const struct map *map, char *cells, unsigned count)
{
    static const char order[] = ".=#M*"; /* the later ones are the more notable */
    struct region regions[REGIONS_MAX];
    unsigned region_count = make_regions(map, regions);
    for (const char *cell = order; *cell != 0; cell++)
        for (unsigned i = 0; i < region_count; i++)
            if (regions[i].cell == *cell)
                fill(map, &regions[i], cells, count);
    for (uint32_t i = 0; i < map->damage_count; i++) {
        uint64_t sector = map->damage_bytes[i] / map->layout.sector_size_bytes;
        cells[cell_of(map, map->layout.data_start_lba + sector, count)] = 'X';
    }
}

static void print_legend(const struct map *map)
{
    struct region regions[REGIONS_MAX];
    unsigned count = make_regions(map, regions);
    char size[SIZE_TEXT_BYTES];
    for (unsigned i = 0; i < count; i++)
        printf("%c %-10s %s from sector %" PRIu64 "\n", regions[i].cell, regions[i].kind,
               size_text(regions[i].sectors * map->layout.sector_size_bytes, size),
               regions[i].start_sector);
    if (map->damage_count > 0)
        printf("X %-10s %u chunks\n", "damage", map->damage_count);
}

static void print_picture(const struct map *map, uint32_t width)
{
    char cells[ROWS * WIDTH_MAX];
    unsigned count = ROWS * width;
    draw(map, cells, count);
    for (unsigned row = 0; row < ROWS; row++)
        printf("%.*s\n", (int)width, cells + row * width);
    print_legend(map);
}

static void print_json(const struct map *map, const char *path)
{
    struct json json = {0};
    struct region regions[REGIONS_MAX];
    unsigned count = make_regions(map, regions);
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_u64(&json, "sector_size_bytes", map->layout.sector_size_bytes);
    json_array_begin(&json, "regions");
    for (unsigned i = 0; i < count; i++) {
        json_object_begin(&json, NULL);
        json_string(&json, "kind", regions[i].kind);
        json_u64(&json, "start_sector", regions[i].start_sector);
        json_u64(&json, "sectors", regions[i].sectors);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_array_begin(&json, "damaged_offsets_bytes");
    for (uint32_t i = 0; i < map->damage_count; i++)
        json_u64(&json, NULL, map->damage_bytes[i]);
    json_array_end(&json);
    json_object_end(&json);
}

static uint32_t terminal_width(void)
{
    unsigned columns = os_terminal_columns();
    return columns < WIDTH_MIN ? WIDTH_DEFAULT : VCK_MIN(columns, WIDTH_MAX);
}

int run_map(const struct command *command)
{
    struct map map;
    uint32_t width;
    char path[VOLUME_PATH_BYTES];
    int code = option_u32(command, OPTION_WIDTH, WIDTH_MIN, WIDTH_MAX, terminal_width(), &width);
    if (code == EXIT_OK)
        code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK)
        code = gather(command, path, &map);
    if (code != EXIT_OK)
        return code;
    if (option_given(command, OPTION_JSON))
        print_json(&map, path);
    else
        print_picture(&map, width);
    return EXIT_OK;
}
