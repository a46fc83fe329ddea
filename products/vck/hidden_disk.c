/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/hidden_disk.h"
#include <string.h>
#include "port/port.h"
#include "products/vck/client.h"

#define HIDDEN_TAG VCK_TAG('C', 'v', 'h', 'd')

struct hidden_disk {
    struct vck_disk disk;
    struct client client;
    char path[VOLUME_PATH_BYTES];
};

static int read_piece(struct hidden_disk *d, uint64_t offset_bytes, uint32_t size_bytes,
                      uint8_t *ret_data, struct vck_msg_metadata_response *ret_response)
{
    const struct vck_msg_metadata_request request = {
        .volume_path = d->path, .offset_bytes = offset_bytes, .size_bytes = size_bytes};
    int code = client_call(&d->client, VCK_CODE_READ_METADATA, &request, ret_response);
    if (code != EXIT_OK)
        return code;
    if (ret_response->metadata.size_bytes != size_bytes)
        return report(d->client.command, EXIT_FAILED, "%s: not all of its metadata were given",
                      d->path);
    if (size_bytes > 0)
        memcpy(ret_data, ret_response->metadata.data, size_bytes);
    return EXIT_OK;
}

static vck_status read_all(struct hidden_disk *d, const struct vck_disk_io *io)
{
    struct vck_msg_metadata_response response;
    for (uint64_t at = 0; at < io->size_bytes;) {
        uint32_t piece = (uint32_t)VCK_MIN(io->size_bytes - at, VCK_MSG_METADATA_BYTES_MAX);
        if (read_piece(d, io->offset_bytes + at, piece, (uint8_t *)io->buffer + at, &response) !=
            EXIT_OK)
            return VCK_IO;
        at += piece;
    }
    return VCK_OK;
}

static void hidden_submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    io->status = io->op == VCK_DISK_READ
                     ? read_all(VCK_CONTAINER_OF(disk, struct hidden_disk, disk), io)
                     : VCK_READ_ONLY;
    io->done(io);
}

static vck_status hidden_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    *ret_size_bytes = disk->size_bytes;
    return VCK_OK;
}

static void hidden_close(struct vck_disk *disk)
{
    struct hidden_disk *d = VCK_CONTAINER_OF(disk, struct hidden_disk, disk);
    client_close(&d->client);
    vck_free(d);
}

static const struct vck_disk_ops hidden_ops = {
    .submit = hidden_submit,
    .query_size = hidden_size,
    .close = hidden_close,
};

static void describe(struct hidden_disk *d, const struct vck_msg_metadata_response *response)
{
    d->disk = (struct vck_disk){
        .ops = &hidden_ops,
        .size_bytes = response->disk_bytes,
        .sector_size_bytes = response->sector_size,
        .atomic_bytes = response->sector_size,
        .alignment_bytes = 1,
        .read_only = true,
    };
    memcpy(d->disk.name, d->path, VCK_MIN(strlen(d->path), sizeof(d->disk.name) - 1));
}

int hidden_disk_open(const struct command *command, const char *path, struct vck_disk **ret_disk)
{
    struct vck_msg_metadata_response response;
    struct hidden_disk *d = vck_alloc(sizeof(*d), HIDDEN_TAG);
    if (d == NULL)
        return report(command, EXIT_FAILED, "no memory for requests");
    strcpy(d->path, path);
    int code = client_open(&d->client, command);
    if (code == EXIT_OK)
        code = read_piece(d, 0, 0, NULL, &response);
    if (code != EXIT_OK) {
        hidden_close(&d->disk);
        return code;
    }
    describe(d, &response);
    *ret_disk = &d->disk;
    return EXIT_OK;
}
