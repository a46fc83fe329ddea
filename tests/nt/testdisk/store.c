/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#define CHUNK_BYTES (1u << 20)
#define TAG_STORE   'sDTV'

bool td_store_init(struct td_store *store, ULONGLONG size_bytes)
{
    store->chunk_count = (ULONG)((size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
    SIZE_T table_bytes = store->chunk_count * sizeof *store->chunks;
    store->chunks = ExAllocatePoolWithTag(NonPagedPool, table_bytes, TAG_STORE);
    if (!store->chunks)
        return false;
    RtlZeroMemory((PVOID)store->chunks, table_bytes);
    return true;
}

void td_store_fini(struct td_store *store)
{
    if (!store->chunks)
        return;
    for (ULONG i = 0; i < store->chunk_count; i++)
        if (store->chunks[i])
            ExFreePoolWithTag(store->chunks[i], TAG_STORE);
    ExFreePoolWithTag((PVOID)store->chunks, TAG_STORE);
    store->chunks = NULL;
}

static ULONG part_bytes(ULONGLONG offset_bytes, ULONGLONG left_bytes)
{
    ULONG room = CHUNK_BYTES - (ULONG)(offset_bytes % CHUNK_BYTES);
    return left_bytes < room ? (ULONG)left_bytes : room;
}

void td_store_read(const struct td_store *store, ULONGLONG offset_bytes, ULONG size_bytes,
                   UCHAR *ret_data)
{
    while (size_bytes > 0) {
        ULONG part = part_bytes(offset_bytes, size_bytes);
        const UCHAR *chunk = store->chunks[offset_bytes / CHUNK_BYTES];
        if (chunk)
            RtlCopyMemory(ret_data, chunk + offset_bytes % CHUNK_BYTES, part);
        else
            RtlZeroMemory(ret_data, part);
        offset_bytes += part;
        ret_data += part;
        size_bytes -= part;
    }
}

/* The chunk of this number, made where there is none; two at once agree on one. */
static UCHAR *chunk_of(struct td_store *store, ULONG index)
{
    UCHAR *chunk = store->chunks[index];
    if (chunk)
        return chunk;
    chunk = ExAllocatePoolWithTag(NonPagedPool, CHUNK_BYTES, TAG_STORE);
    if (!chunk)
        return NULL;
    RtlZeroMemory(chunk, CHUNK_BYTES);
    UCHAR *first = InterlockedCompareExchangePointer(&store->chunks[index], chunk, NULL);
    if (!first)
        return chunk;
    ExFreePoolWithTag(chunk, TAG_STORE);
    return first;
}

bool td_store_write(struct td_store *store, ULONGLONG offset_bytes, ULONG size_bytes,
                    const UCHAR *data)
{
    while (size_bytes > 0) {
        ULONG part = part_bytes(offset_bytes, size_bytes);
        UCHAR *chunk = chunk_of(store, (ULONG)(offset_bytes / CHUNK_BYTES));
        if (!chunk)
            return false;
        RtlCopyMemory(chunk + offset_bytes % CHUNK_BYTES, data, part);
        offset_bytes += part;
        data += part;
        size_bytes -= part;
    }
    return true;
}

void td_store_clear(struct td_store *store, ULONGLONG offset_bytes, ULONGLONG size_bytes)
{
    while (size_bytes > 0) {
        ULONG part = part_bytes(offset_bytes, size_bytes);
        UCHAR *chunk = store->chunks[offset_bytes / CHUNK_BYTES];
        if (chunk)
            RtlZeroMemory(chunk + offset_bytes % CHUNK_BYTES, part);
        offset_bytes += part;
        size_bytes -= part;
    }
}
