/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_map.h"

static vck_status read_pair(struct vck_msgpack_reader *reader, const struct boot_field *fields,
                            size_t count, void *message, uint32_t *seen)
{
    struct vck_bytes name;
    size_t i = 0;
    vck_status status = vck_msgpack_read_str(reader, &name);
    if (status)
        return status;
    while (i < count && !vck_msgpack_str_is(name, fields[i].name))
        i++;
    if (i == count)
        return vck_msgpack_skip(reader);
    if (*seen >> i & 1)
        return VCK_INVALID_DATA;
    *seen |= 1u << i;
    return fields[i].read(reader, message);
}

vck_status boot_map_read(struct vck_bytes data, const struct boot_field *fields, size_t count,
                         void *message)
{
    struct vck_msgpack_reader reader;
    uint32_t seen = 0;
    size_t pairs;
    vck_msgpack_reader_init(&reader, data);
    vck_status status = vck_msgpack_read_map(&reader, &pairs);
    for (size_t i = 0; status == VCK_OK && i < pairs; i++)
        status = read_pair(&reader, fields, count, message, &seen);
    if (status)
        return status;
    if (seen != (uint32_t)((UINT64_C(1) << count) - 1))
        return VCK_INVALID_DATA;
    return vck_msgpack_reader_end(&reader);
}
