/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/registry.h"

#define REGISTRY_TAG VCK_TAG('V', 'r', 'e', 'g')

struct entry {
    struct vck_link link;
    struct vck_volume *volume;
};

void vck_registry_init(struct vck_registry *registry)
{
    vck_mutex_init(&registry->lock);
    vck_link_init(&registry->entries);
    registry->count = 0;
}

void vck_registry_fini(struct vck_registry *registry)
{
    VCK_ASSERT(vck_list_is_empty(&registry->entries));
    vck_mutex_fini(&registry->lock);
}

static struct entry *find_path(struct vck_registry *registry, const char *path)
{
    VCK_LIST_FOR_EACH(link, next, &registry->entries)
    {
        struct entry *entry = VCK_CONTAINER_OF(link, struct entry, link);
        const char *name = vck_volume_path(entry->volume);
        size_t size = strlen(name) + 1;

        if (strlen(path) + 1 == size && memcmp(name, path, size) == 0)
            return entry;
    }
    return NULL;
}

vck_status vck_registry_insert(struct vck_registry *registry, struct vck_volume *volume)
{
    struct entry *entry = vck_alloc(sizeof *entry, REGISTRY_TAG);
    vck_status status = VCK_OK;

    if (!entry)
        return VCK_NO_MEMORY;
    entry->volume = volume;
    vck_mutex_acquire(&registry->lock);
    if (find_path(registry, vck_volume_path(volume))) {
        status = VCK_ALREADY_EXISTS;
    } else {
        vck_list_push_back(&registry->entries, &entry->link);
        registry->count++;
    }
    vck_mutex_release(&registry->lock);
    if (status)
        vck_free(entry);
    return status;
}

vck_status vck_registry_remove(struct vck_registry *registry, struct vck_volume *volume)
{
    struct entry *found = NULL;

    vck_mutex_acquire(&registry->lock);
    VCK_LIST_FOR_EACH(link, next, &registry->entries)
    {
        struct entry *entry = VCK_CONTAINER_OF(link, struct entry, link);
        if (entry->volume == volume)
            found = entry;
    }
    if (found) {
        vck_link_remove(&found->link);
        registry->count--;
    }
    vck_mutex_release(&registry->lock);
    if (!found)
        return VCK_NOT_FOUND;
    vck_free(found);
    return VCK_OK;
}

vck_status vck_registry_find(struct vck_registry *registry, const char *path,
                             struct vck_volume **ret_volume)
{
    struct entry *entry;

    vck_mutex_acquire(&registry->lock);
    entry = find_path(registry, path);
    if (entry) {
        vck_volume_reference(entry->volume);
        *ret_volume = entry->volume;
    }
    vck_mutex_release(&registry->lock);
    return entry ? VCK_OK : VCK_NOT_FOUND;
}

vck_status vck_registry_at(struct vck_registry *registry, uint32_t index,
                           struct vck_volume **ret_volume)
{
    vck_status status = VCK_OUT_OF_RANGE;

    vck_mutex_acquire(&registry->lock);
    VCK_LIST_FOR_EACH(link, next, &registry->entries)
    {
        if (index-- == 0) {
            *ret_volume = VCK_CONTAINER_OF(link, struct entry, link)->volume;
            vck_volume_reference(*ret_volume);
            status = VCK_OK;
            break;
        }
    }
    vck_mutex_release(&registry->lock);
    return status;
}
