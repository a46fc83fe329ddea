/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: every copy there is, the different ones in order of their age. */
#include "internal.h"
#include "vck/disk_io.h"

uint64_t vck_key_copy_offset(const struct vck_layout *layout, uint32_t replica, uint32_t copy)
{
    uint64_t offset_bytes, size_bytes;
    vck_layout_vendor_area(layout, replica, &offset_bytes, &size_bytes);
    return offset_bytes + (uint64_t)copy * VCK_KEY_COPY_BYTES;
}

static size_t tables_bytes(void)
{
    return (size_t)VCK_KEY_TABLES_MAX * sizeof(struct vck_key_table);
}

static bool is_same(const struct vck_key_table *a, const struct vck_key_table *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Keeps the newest; of what is equally old, what came first. */
static void insert(struct vck_key_tables *tables, const struct vck_key_table *table)
{
    uint64_t generation = vck_key_table_generation(table);
    uint32_t at = 0;
    for (; at < tables->table_count; at++) {
        if (vck_key_table_generation(&tables->tables[at]) < generation)
            break;
        if (is_same(&tables->tables[at], table))
            return;
    }
    if (at == VCK_KEY_TABLES_MAX)
        return;
    uint32_t moved = VCK_MIN(tables->table_count, VCK_KEY_TABLES_MAX - 1) - at;
    memmove(&tables->tables[at + 1], &tables->tables[at], moved * sizeof(*table));
    memcpy(&tables->tables[at], table, sizeof(*table));
    tables->table_count = at + moved + 1;
}

static void judge(struct vck_key_tables *tables, struct vck_key_copy *copy,
                  const struct vck_key_table *table, uint32_t which)
{
    if (copy->status == VCK_OK)
        copy->status = vck_key_table_check(table, tables->volume_id, which);
    if (copy->status == VCK_OK) {
        copy->generation = vck_key_table_generation(table);
        insert(tables, table);
    }
    tables->any_future |= copy->status == VCK_UNSUPPORTED;
    tables->any_damaged |=
        copy->status != VCK_OK && copy->status != VCK_NOT_FOUND && copy->status != VCK_UNSUPPORTED;
}

static vck_status allocate(struct vck_key_tables *tables, uint32_t replica_count)
{
    tables->copy_count = replica_count * KEY_COPIES;
    tables->copies = vck_alloc(tables->copy_count * sizeof(*tables->copies), KEYS_TAG);
    tables->tables = vck_alloc_pages(tables_bytes(), KEYS_TAG);
    return tables->copies != NULL && tables->tables != NULL ? VCK_OK : VCK_NO_MEMORY;
}

vck_status vck_key_tables_read(struct vck_key_tables *tables, struct vck_store *store)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    memset(tables, 0, sizeof(*tables));
    if (store->header.vendor_id != 0)
        return VCK_UNSUPPORTED;
    memcpy(tables->volume_id, store->header.volume_id, sizeof(tables->volume_id));
    struct vck_key_table *table = vck_alloc_pages(sizeof(*table), KEYS_TAG);
    vck_status status = allocate(tables, store->layout.replica_count);
    if (table == NULL)
        status = VCK_NO_MEMORY;
    for (uint32_t i = 0; i < tables->copy_count && status == VCK_OK; i++) {
        struct vck_key_copy *copy = &tables->copies[i];
        uint64_t at = vck_key_copy_offset(&store->layout, i / KEY_COPIES, i % KEY_COPIES);
        copy->status = vck_disk_read(store->disk, at, table->bytes, sizeof(table->bytes));
        if (copy->status == VCK_NO_MEMORY)
            status = VCK_NO_MEMORY;
        else
            judge(tables, copy, table, i % KEY_COPIES);
    }
    vck_free_pages(table, sizeof(*table));
    return status;
}

void vck_key_tables_fini(struct vck_key_tables *tables)
{
    vck_free(tables->copies);
    vck_free_pages(tables->tables, tables_bytes());
    memset(tables, 0, sizeof(*tables));
}

const struct vck_key_table *vck_key_tables_current(const struct vck_key_tables *tables,
                                                   struct vck_bytes vmk)
{
    for (uint32_t i = 0; i < tables->table_count; i++)
        if (vck_key_table_verify(&tables->tables[i], vmk) == VCK_OK)
            return &tables->tables[i];
    return NULL;
}
