/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/boot_linux.h"
#include "vck/gpt.h"

#define BLOCKS   "/sys/class/block"
#define PART_TAG VCK_TAG('C', 'g', 'p', 't')

struct disk_reader {
    int fd;
    uint32_t sector_size_bytes;
};

static vck_status read_sectors(void *context, uint64_t lba, uint32_t count_sectors, uint8_t *buffer)
{
    const struct disk_reader *reader = context;
    size_t size = (size_t)count_sectors * reader->sector_size_bytes;
    off_t at = (off_t)(lba * reader->sector_size_bytes);
    return pread(reader->fd, buffer, size, at) == (ssize_t)size ? VCK_OK : VCK_IO;
}

/* Loads the table of this whole disk into the buffer. */
static bool load_table(const char *disk, uint8_t *buffer, struct vck_gpt *ret_gpt)
{
    bool is_there = false;
    int sector_size = 0;
    uint64_t size_bytes = 0;
    struct disk_reader reader = {.fd = open(disk, O_RDONLY | O_CLOEXEC)};
    if (reader.fd < 0)
        return false;
    if (ioctl(reader.fd, BLKSSZGET, &sector_size) == 0 && sector_size > 0 &&
        ioctl(reader.fd, BLKGETSIZE64, &size_bytes) == 0) {
        reader.sector_size_bytes = (uint32_t)sector_size;
        struct vck_gpt_source source = {.sector_count = size_bytes / reader.sector_size_bytes,
                                        .sector_size_bytes = reader.sector_size_bytes,
                                        .read = read_sectors,
                                        .context = &reader};
        is_there = vck_gpt_load(&source, buffer, VCK_GPT_BUFFER_BYTES, ret_gpt) == VCK_OK;
    }
    close(reader.fd);
    return is_there;
}

/* The number in the table of this whole disk, 0 when it has none with the GUID. */
static uint32_t number_on(const char *disk, const struct vck_guid *guid, uint8_t *buffer)
{
    struct vck_gpt gpt;
    struct vck_gpt_partition partition;
    bool is_there =
        load_table(disk, buffer, &gpt) && vck_gpt_find(&gpt, guid, &partition) == VCK_OK;
    return is_there ? partition.number : 0;
}

/* What the kernel says a partition's number is, 0 for a whole disk. */
static uint32_t number_of(const char *name)
{
    char folder[sizeof(BLOCKS) + 256];
    uint64_t number = 0;
    snprintf(folder, sizeof(folder), BLOCKS "/%s", name);
    return sysfs_number(folder, "partition", &number) ? (uint32_t)number : 0;
}

/* The disk that a partition is on, from the folder it is in; "" when there is none. */
static void name_of_disk(const char *name, char ret_disk[256])
{
    char path[512];
    char real[PATH_MAX];
    *ret_disk = 0;
    snprintf(path, sizeof(path), BLOCKS "/%s", name);
    if (realpath(path, real) == NULL)
        return;
    char *last = strrchr(real, '/');
    if (last == NULL)
        return;
    *last = 0;
    const char *disk = strrchr(real, '/');
    if (disk != NULL)
        snprintf(ret_disk, 256, "%s", disk + 1);
}

/* In /dev the kernel writes a slash for what is ! in names of folders. */
static void path_of(const char *name, char ret_path[PARTITION_PATH_BYTES])
{
    snprintf(ret_path, PARTITION_PATH_BYTES, "/dev/%s", name);
    for (char *at = ret_path; *at != 0; at++)
        if (*at == '!')
            *at = '/';
}

/* The partition of this whole disk that has the GUID. The folder of a disk has those of its
 * partitions; a disk without any is not read. */
static bool find_on(const char *disk, const struct vck_guid *guid, uint8_t *buffer,
                    char ret_path[PARTITION_PATH_BYTES])
{
    char path[PARTITION_PATH_BYTES];
    char folder[sizeof(BLOCKS) + 256];
    struct dirent *entry;
    uint32_t number, wanted = 0;
    bool is_read = false, is_found = false;
    path_of(disk, path);
    snprintf(folder, sizeof(folder), BLOCKS "/%s", disk);
    DIR *parts = opendir(folder);
    while (parts != NULL && !is_found && (entry = readdir(parts)) != NULL) {
        number = number_of(entry->d_name);
        if (number == 0)
            continue;
        if (!is_read)
            wanted = number_on(path, guid, buffer);
        is_read = true;
        is_found = number == wanted;
        if (is_found)
            path_of(entry->d_name, ret_path);
    }
    if (parts != NULL)
        closedir(parts);
    return is_found;
}

bool partition_find(const struct vck_guid *guid, char ret_path[PARTITION_PATH_BYTES])
{
    bool is_found = false;
    struct dirent *entry;
    uint8_t *buffer = vck_alloc_pages(VCK_GPT_BUFFER_BYTES, PART_TAG);
    DIR *blocks = buffer != NULL ? opendir(BLOCKS) : NULL;
    while (blocks != NULL && !is_found && (entry = readdir(blocks)) != NULL)
        is_found = entry->d_name[0] != '.' && number_of(entry->d_name) == 0 &&
                   find_on(entry->d_name, guid, buffer, ret_path);
    if (blocks != NULL)
        closedir(blocks);
    vck_free_pages(buffer, VCK_GPT_BUFFER_BYTES);
    return is_found;
}

/* The name in /sys/class/block of a device of the kernel's. */
static bool name_of_device(dev_t device, char ret_name[256])
{
    char path[64];
    char real[PATH_MAX];
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device), minor(device));
    if (realpath(path, real) == NULL)
        return false;
    snprintf(ret_name, 256, "%s", strrchr(real, '/') + 1);
    return true;
}

int partition_option(const struct command *command, struct vck_guid *ret_guid)
{
    const char *text = command->values[OPTION_PARTITION];
    struct vck_guid guid = {0};
    if (text != NULL &&
        (vck_guid_parse((struct vck_bytes){(const uint8_t *)text, strlen(text)}, &guid) != VCK_OK ||
         vck_guid_is_zero(&guid)))
        return report_usage(command, "--partition is %s; the GUID of a partition is expected",
                            text);
    *ret_guid = guid;
    return EXIT_OK;
}

bool partition_identify(dev_t device, struct partition_place *ret_place)
{
    char name[256];
    char disk[256];
    struct vck_gpt gpt;
    struct vck_gpt_partition partition;
    uint8_t *buffer = vck_alloc_pages(VCK_GPT_BUFFER_BYTES, PART_TAG);
    bool is_found = buffer != NULL && name_of_device(device, name) && number_of(name) != 0;
    if (is_found) {
        name_of_disk(name, disk);
        path_of(disk, ret_place->disk);
        ret_place->number = number_of(name);
        is_found = load_table(ret_place->disk, buffer, &gpt) &&
                   vck_gpt_get(&gpt, ret_place->number, &partition) == VCK_OK;
    }
    if (is_found)
        ret_place->guid = partition.partition_guid;
    vck_free_pages(buffer, VCK_GPT_BUFFER_BYTES);
    return is_found;
}
