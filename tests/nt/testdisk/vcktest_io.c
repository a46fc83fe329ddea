/* SPDX-License-Identifier: Apache-2.0 */
/* Overlapped I/O on a device, as a program does it, with every byte checked. */
#include "vcktest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load_plan.h"

#define SLOTS_MAX   64 /* MAXIMUM_WAIT_OBJECTS */
#define COPY_BYTES  (1u << 20)
#define CLAIM_TRIES 32

/* Kept from one command to the next of the same process. */
static struct load_plan plan;
static uint64_t plan_offset_bytes;

struct slot {
    OVERLAPPED overlapped;
    uint8_t *data;
    uint64_t offset_bytes; /* within the plan */
    uint32_t length_bytes;
    bool is_write;
    bool is_busy;
};

struct run {
    HANDLE handle;
    uint32_t depth, min_bytes, max_bytes, read_percent;
    uint64_t requests, stop_ms, random, next_bytes;
    enum td_load_kind kind;
    struct slot slots[SLOTS_MAX];
    uint64_t begun, done, bytes, errors, mismatches, first_mismatch_bytes;
    DWORD first_error;
};

/* 0 where it cannot be told. The handle may be overlapped. */
static uint64_t device_bytes(HANDLE handle)
{
    GET_LENGTH_INFORMATION length = {0};
    OVERLAPPED overlapped = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD size;
    bool is_ok = DeviceIoControl(handle, IOCTL_DISK_GET_LENGTH_INFO, NULL, 0, &length,
                                 sizeof length, &size, &overlapped);
    if (!is_ok && GetLastError() == ERROR_IO_PENDING)
        is_ok = GetOverlappedResult(handle, &overlapped, &size, TRUE);
    CloseHandle(overlapped.hEvent);
    return is_ok ? (uint64_t)length.Length.QuadPart : 0;
}

static void set_offset(OVERLAPPED *overlapped, uint64_t offset_bytes)
{
    overlapped->Offset = (DWORD)offset_bytes;
    overlapped->OffsetHigh = (DWORD)(offset_bytes >> 32);
}

/* ---- the load ---- */

static bool new_plan(const struct words *words, HANDLE handle)
{
    plan_offset_bytes = word_number(words, "offset_bytes", 0);
    uint64_t end = device_bytes(handle);
    uint64_t size = word_number(words, "size_bytes", 0);
    if (size == 0)
        size = end > plan_offset_bytes ? end - plan_offset_bytes : 0;
    free(plan.versions);
    plan.seed = word_number(words, "seed", 1);
    plan.sector_bytes = (uint32_t)word_number(words, "sector_bytes", 512);
    plan.sector_count = (uint32_t)(size / plan.sector_bytes);
    plan.versions = calloc(plan.sector_count, sizeof *plan.versions);
    return plan.versions != NULL && plan.sector_count > 0;
}

static bool choose_random(struct run *run, struct slot *slot)
{
    for (int i = 0; i < CLAIM_TRIES; i++) {
        uint32_t least = run->min_bytes / plan.sector_bytes;
        uint32_t most = run->max_bytes / plan.sector_bytes;
        uint32_t count = least + (uint32_t)(load_plan_random(&run->random) % (most - least + 1));
        if (count > plan.sector_count)
            count = plan.sector_count;
        uint32_t first =
            (uint32_t)(load_plan_random(&run->random) % (plan.sector_count - count + 1));
        if (!load_plan_claim(&plan, first, count))
            continue;
        slot->offset_bytes = (uint64_t)first * plan.sector_bytes;
        slot->length_bytes = count * plan.sector_bytes;
        slot->is_write = load_plan_random(&run->random) % 100 >= run->read_percent;
        return true;
    }
    return false;
}

static bool choose(struct run *run, struct slot *slot)
{
    uint64_t end = (uint64_t)plan.sector_count * plan.sector_bytes;
    if (run->kind == TD_LOAD_RANDOM) {
        if ((run->requests && run->begun >= run->requests) ||
            (run->stop_ms && GetTickCount64() >= run->stop_ms))
            return false;
        return choose_random(run, slot);
    }
    if (run->next_bytes >= end)
        return false;
    uint64_t left = end - run->next_bytes;
    slot->offset_bytes = run->next_bytes;
    slot->length_bytes = left < run->max_bytes ? (uint32_t)left : run->max_bytes;
    slot->is_write = run->kind == TD_LOAD_FILL;
    run->next_bytes += slot->length_bytes;
    return load_plan_claim(&plan, (uint32_t)(slot->offset_bytes / plan.sector_bytes),
                           slot->length_bytes / plan.sector_bytes);
}

static void look_at(struct run *run, struct slot *slot, bool is_ok, DWORD moved, DWORD error)
{
    uint32_t first = (uint32_t)(slot->offset_bytes / plan.sector_bytes);
    uint32_t count = slot->length_bytes / plan.sector_bytes;
    if (!is_ok || moved != slot->length_bytes) {
        if (run->errors++ == 0)
            run->first_error = is_ok ? ERROR_HANDLE_EOF : error;
        if (slot->is_write)
            load_plan_forget(&plan, first, count);
    } else if (!slot->is_write) {
        uint32_t right = load_plan_verify(&plan, first, count, slot->data);
        if (right < count && run->mismatches++ == 0)
            run->first_mismatch_bytes = (uint64_t)(first + right) * plan.sector_bytes;
    }
    run->done++;
    run->bytes += slot->length_bytes;
    load_plan_release(&plan, first, count);
    slot->is_busy = false;
}

static void begin(struct run *run, struct slot *slot)
{
    uint32_t first = (uint32_t)(slot->offset_bytes / plan.sector_bytes);
    if (slot->is_write)
        load_plan_fill(&plan, first, slot->length_bytes / plan.sector_bytes, slot->data);
    set_offset(&slot->overlapped, plan_offset_bytes + slot->offset_bytes);
    ResetEvent(slot->overlapped.hEvent);
    run->begun++;
    slot->is_busy = true;
    bool is_ok =
        slot->is_write
            ? WriteFile(run->handle, slot->data, slot->length_bytes, NULL, &slot->overlapped)
            : ReadFile(run->handle, slot->data, slot->length_bytes, NULL, &slot->overlapped);
    if (!is_ok && GetLastError() != ERROR_IO_PENDING)
        look_at(run, slot, false, 0, GetLastError());
}

/* Waits for one request and looks at it. False: none is under way. */
static bool finish_one(struct run *run)
{
    HANDLE events[SLOTS_MAX];
    struct slot *slots[SLOTS_MAX];
    DWORD count = 0, moved = 0;
    for (uint32_t i = 0; i < run->depth; i++)
        if (run->slots[i].is_busy) {
            slots[count] = &run->slots[i];
            events[count++] = run->slots[i].overlapped.hEvent;
        }
    if (count == 0)
        return false;
    DWORD which = WaitForMultipleObjects(count, events, FALSE, INFINITE) - WAIT_OBJECT_0;
    if (which >= count)
        return false;
    bool is_ok = GetOverlappedResult(run->handle, &slots[which]->overlapped, &moved, FALSE);
    look_at(run, slots[which], is_ok, moved, GetLastError());
    return true;
}

static void keep_busy(struct run *run)
{
    bool is_more = true, has_begun;
    do {
        has_begun = false;
        for (uint32_t i = 0; is_more && i < run->depth; i++)
            if (!run->slots[i].is_busy) {
                is_more = choose(run, &run->slots[i]);
                if (is_more)
                    begin(run, &run->slots[i]);
                has_begun = has_begun || is_more;
            }
        /* Where by chance everything tried was under way, what ends makes room. */
        is_more = is_more || run->kind == TD_LOAD_RANDOM;
    } while (finish_one(run) || has_begun);
}

static bool init_run(const struct words *words, struct run *run)
{
    run->kind = (enum td_load_kind)word_number(words, "kind", TD_LOAD_RANDOM);
    run->depth = (uint32_t)word_number(words, "depth", 8);
    run->max_bytes = (uint32_t)word_number(words, "max_bytes", 65536);
    run->min_bytes = (uint32_t)word_number(words, "min_bytes", run->max_bytes);
    run->read_percent = (uint32_t)word_number(words, "read_percent", 50);
    run->requests = word_number(words, "requests", 0);
    run->random = word_number(words, "seed", 1);
    uint64_t stop_ms = word_number(words, "stop_ms", 0);
    run->stop_ms = stop_ms ? GetTickCount64() + stop_ms : 0;
    if (run->depth == 0 || run->depth > SLOTS_MAX || run->min_bytes > run->max_bytes ||
        (run->kind == TD_LOAD_RANDOM && !run->requests && !stop_ms))
        return false;
    for (uint32_t i = 0; i < run->depth; i++) {
        run->slots[i].data = take_pages(run->max_bytes);
        run->slots[i].overlapped.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
        if (!run->slots[i].data || !run->slots[i].overlapped.hEvent)
            return false;
    }
    return true;
}

static void fini_run(struct run *run)
{
    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        give_pages(run->slots[i].data);
        if (run->slots[i].overlapped.hEvent)
            CloseHandle(run->slots[i].overlapped.hEvent);
    }
    if (run->handle != INVALID_HANDLE_VALUE)
        CloseHandle(run->handle);
    free(run);
}

static void print_run(const struct run *run)
{
    printf("requests %llu\nbytes %llu\nerrors %llu\nfirst_error %lu\n",
           (unsigned long long)run->done, (unsigned long long)run->bytes,
           (unsigned long long)run->errors, (unsigned long)run->first_error);
    printf("mismatches %llu\nfirst_mismatch_bytes %llu\n", (unsigned long long)run->mismatches,
           (unsigned long long)run->first_mismatch_bytes);
}

/* The words of td_load, and path. */
static bool run_user_load(const struct words *words)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return refuse("userload", "no memory");
    run->handle = open_device(words, FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING);
    bool is_ok = run->handle != INVALID_HANDLE_VALUE;
    if (!is_ok)
        fail("userload");
    else if (!init_run(words, run) ||
             (run->kind == TD_LOAD_FILL ? !new_plan(words, run->handle) : !plan.versions))
        is_ok = refuse("userload", "wrong words, or nothing was filled before");
    if (is_ok) {
        keep_busy(run);
        print_run(run);
    }
    fini_run(run);
    return is_ok;
}

/* ---- single requests ---- */

static bool transfer(HANDLE handle, bool is_write, uint64_t offset_bytes, uint8_t *data,
                     DWORD length_bytes, DWORD *ret_moved)
{
    OVERLAPPED overlapped = {0};
    set_offset(&overlapped, offset_bytes);
    return is_write ? WriteFile(handle, data, length_bytes, ret_moved, &overlapped)
                    : ReadFile(handle, data, length_bytes, ret_moved, &overlapped);
}

static bool run_transfer(const struct words *words, bool is_write)
{
    DWORD length = (DWORD)word_number(words, "length", 512), moved = 0;
    const char *hex = word_text(words, "data");
    uint8_t *data = take_pages(length + 1);
    HANDLE handle = open_device(words, 0);
    bool is_ok = data && handle != INVALID_HANDLE_VALUE;
    if (!is_ok)
        fail("open");
    else if (hex && from_hex(hex, data, length) < 0)
        is_ok = refuse("write", "data is not hexadecimal");
    else if (!transfer(handle, is_write, word_number(words, "offset", 0), data, length, &moved))
        is_ok = fail(is_write ? "write" : "read");
    if (is_ok) {
        printf("moved %lu\n", (unsigned long)moved);
        if (!is_write && word_number(words, "show", 1))
            print_hex("data", data, moved);
    }
    if (handle != INVALID_HANDLE_VALUE)
        CloseHandle(handle);
    give_pages(data);
    return is_ok;
}

static bool run_read(const struct words *words)
{
    return run_transfer(words, false);
}

static bool run_write(const struct words *words)
{
    return run_transfer(words, true);
}

static bool copy_out(HANDLE handle, FILE *file, uint64_t at, uint64_t end, uint8_t *data)
{
    while (at < end) {
        DWORD length = end - at < COPY_BYTES ? (DWORD)(end - at) : COPY_BYTES, moved = 0;
        if (!transfer(handle, false, at, data, length, &moved) || moved != length)
            return fail("copy");
        if (fwrite(data, 1, length, file) != length)
            return refuse("copy", "cannot write the file");
        at += length;
    }
    return true;
}

/* What the device shows, all of it, into file=. */
static bool run_copy(const struct words *words)
{
    const char *path = word_text(words, "file");
    HANDLE handle = open_device(words, 0);
    FILE *file = path ? fopen(path, "wb") : NULL;
    uint8_t *data = take_pages(COPY_BYTES);
    bool is_ok = handle != INVALID_HANDLE_VALUE && file && data;
    if (!is_ok)
        fail("copy");
    else
        is_ok = copy_out(handle, file, 0, device_bytes(handle), data);
    if (is_ok)
        printf("bytes %llu\n", (unsigned long long)device_bytes(handle));
    give_pages(data);
    if (file)
        fclose(file);
    if (handle != INVALID_HANDLE_VALUE)
        CloseHandle(handle);
    return is_ok;
}

/* DeviceIoControl: code, data=HEX or in=BYTES of zeroes, out=BYTES; prints what came out. */
static bool run_control(const struct words *words)
{
    static uint8_t in[65536], out[65536];
    const char *hex = word_text(words, "data");
    DWORD in_bytes = (DWORD)word_number(words, "in", 0), size = 0;
    DWORD out_bytes = (DWORD)word_number(words, "out", 0);
    int hex_bytes = hex ? from_hex(hex, in, sizeof in) : (int)in_bytes;
    if (hex_bytes < 0 || in_bytes > sizeof in || out_bytes > sizeof out)
        return refuse("control", "wrong data");
    HANDLE handle = open_device(words, 0);
    if (handle == INVALID_HANDLE_VALUE)
        return fail("open");
    bool is_ok =
        DeviceIoControl(handle, (DWORD)word_number(words, "code", 0), hex_bytes ? in : NULL,
                        (DWORD)hex_bytes, out_bytes ? out : NULL, out_bytes, &size, NULL);
    if (is_ok)
        print_hex("data", out, size);
    else
        fail("control");
    CloseHandle(handle);
    return is_ok;
}

static bool run_flush(const struct words *words)
{
    HANDLE handle = open_device(words, 0);
    if (handle == INVALID_HANDLE_VALUE)
        return fail("open");
    bool is_ok = FlushFileBuffers(handle);
    if (!is_ok)
        fail("flush");
    CloseHandle(handle);
    return is_ok;
}

const struct verb io_verbs[] = {{"userload", run_user_load},
                                {"read", run_read},
                                {"write", run_write},
                                {"flush", run_flush},
                                {"copy", run_copy},
                                {"control", run_control},
                                {NULL, NULL}};
