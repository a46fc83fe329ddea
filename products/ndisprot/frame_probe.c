/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_probe: a program over \\.\Ndisprot, and what it saw: words name=value, or a line that
 * begins with "not ok" and exit code 1 for what must not happen. ADAPTER is the index of a binding.
 *
 *     frame_probe list                     a line for each binding
 *     frame_probe errors ADAPTER           requests that must be refused, each in its way
 *     frame_probe traffic ADAPTER COUNT    frames of all sizes to itself, every one of them back
 *     frame_probe flood ADAPTER MS         the same while the adapter may go: what comes, is right
 *     frame_probe cancel ADAPTER           reads given up one by one, and all at once by the close
 */
#include <windows.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vck/frame_control.h"

enum {
    FRAME_BYTES = 1514,
    NAME_BYTES = 512,
    READS = 32,
    WRITES = 16,
    WAIT_MS = 300000,
    AHEAD = 128, /* fewer than wait for a program that is late */
    SIZES = FRAME_BYTES - 59,
};

#define STATUS_ADDRESS 0xC0000206u
#define NT_BUSY        0xC0000043u
#define NT_NOT_FOUND   0xC0000225u
#define NT_CANCELLED   0xC0000120u
#define NT_STILL       0x00000103u

struct io {
    OVERLAPPED overlapped;
    uint8_t data[FRAME_BYTES + 2];
    bool is_under_way;
};

static int failures;

static void expect(bool is_right, const char *what, uint32_t value)
{
    if (is_right)
        return;
    printf("not ok %s: %08x\n", what, (unsigned)value);
    failures++;
}

static HANDLE open_device(void)
{
    HANDLE device = CreateFileW(L"\\\\.\\Ndisprot", GENERIC_READ | GENERIC_WRITE,
                                FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                                FILE_FLAG_OVERLAPPED, NULL);

    if (device == INVALID_HANDLE_VALUE) {
        printf("not ok cannot open the device: error %lu\n", GetLastError());
        exit(1);
    }
    return device;
}

/* ---- requests ---- */

static uint32_t status_of(const OVERLAPPED *overlapped)
{
    return (uint32_t)overlapped->Internal;
}

static uint32_t ask(HANDLE device, uint32_t code, const void *in, uint32_t in_bytes, void *out,
                    uint32_t out_bytes, uint32_t *ret_bytes)
{
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD bytes = 0;

    if (!DeviceIoControl(device, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, NULL,
                         &overlapped) &&
        GetLastError() == ERROR_IO_PENDING &&
        WaitForSingleObject(overlapped.hEvent, WAIT_MS) != WAIT_OBJECT_0) {
        printf("not ok %08x is not answered\n", (unsigned)code);
        exit(1);
    }
    (void)GetOverlappedResult(device, &overlapped, &bytes, FALSE);
    CloseHandle(overlapped.hEvent);
    if (ret_bytes)
        *ret_bytes = bytes;
    return status_of(&overlapped);
}

/* The name of a binding in UTF-16; its length in bytes, 0: there is none. */
static uint32_t name_of(HANDLE device, uint32_t index, uint8_t *ret_name)
{
    uint8_t message[2048] = {0};
    struct vck_frame_binding_message binding;
    uint32_t bytes;

    vck_store_le32(message, index);
    if (ask(device, VCK_FRAME_CODE_QUERY_BINDING, message, VCK_FRAME_BINDING_MESSAGE_BYTES, message,
            sizeof(message), &bytes))
        return 0;
    binding = (struct vck_frame_binding_message){
        .name_offset = vck_load_le32(message + 4),
        .name_bytes = vck_load_le32(message + 8),
    };
    if (binding.name_bytes < 2 || binding.name_bytes > NAME_BYTES ||
        binding.name_offset > bytes - binding.name_bytes) {
        printf("not ok a binding's name lies outside of its message\n");
        exit(1);
    }
    memcpy(ret_name, message + binding.name_offset, binding.name_bytes - 2);
    return binding.name_bytes - 2;
}

static uint32_t open_binding(HANDLE device, uint32_t index, uint8_t *ret_address)
{
    uint8_t name[NAME_BYTES];
    uint8_t state[VCK_FRAME_STATE_MESSAGE_BYTES];
    uint8_t address[14] = {0};
    uint32_t name_bytes = name_of(device, index, name);
    uint32_t status = name_bytes
                          ? ask(device, VCK_FRAME_CODE_OPEN_DEVICE, name, name_bytes, NULL, 0, NULL)
                          : NT_NOT_FOUND;

    (void)state;
    vck_store_le32(address, VCK_OID_802_3_CURRENT_ADDRESS);
    if (status == 0)
        status = ask(device, VCK_FRAME_CODE_QUERY_OID, address, sizeof(address), address,
                     sizeof(address), NULL);
    memcpy(ret_address, address + VCK_FRAME_OID_MESSAGE_BYTES, VCK_FRAME_ADDRESS_BYTES);
    return status;
}

/* ---- frames ---- */

static uint32_t size_of(uint32_t number)
{
    return 60 + number * 37 % SIZES;
}

static void make_frame(const uint8_t *address, uint32_t number, uint8_t *ret_frame)
{
    memcpy(ret_frame, address, VCK_FRAME_ADDRESS_BYTES);
    memcpy(ret_frame + VCK_FRAME_ADDRESS_BYTES, address, VCK_FRAME_ADDRESS_BYTES);
    vck_store_be16(ret_frame + 12, VCK_FRAME_ETHER_TYPE_DEFAULT);
    vck_store_le32(ret_frame + 14, number);
    for (uint32_t i = 18; i < size_of(number); i++)
        ret_frame[i] = (uint8_t)(number * 3 + i);
}

/* Its number; UINT32_MAX: it is none of ours, or changed. */
static uint32_t number_of(const uint8_t *address, const uint8_t *frame, uint32_t bytes)
{
    uint8_t wanted[FRAME_BYTES];
    uint32_t number = bytes < 60 ? UINT32_MAX : vck_load_le32(frame + 14);

    if (bytes < 60 || size_of(number) != bytes)
        return UINT32_MAX;
    make_frame(address, number, wanted);
    return memcmp(frame, wanted, bytes) == 0 ? number : UINT32_MAX;
}

struct traffic {
    HANDLE device;
    HANDLE port;
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    struct io reads[READS];
    struct io writes[WRITES];
    uint32_t count; /* to send; UINT32_MAX: until it ends */
    bool may_go;    /* the adapter may pause or go meanwhile */
    uint32_t begun; /* writes */
    uint32_t sent;
    uint32_t failed;
    uint32_t received;
    uint32_t disorder; /* not the one that had to come */
    uint32_t next;
    uint32_t last_status;
    bool is_over; /* the binding has gone */
};

static void begin_io(struct traffic *t, struct io *io, bool is_write)
{
    HANDLE event = io->overlapped.hEvent;

    memset(&io->overlapped, 0, sizeof(io->overlapped));
    io->overlapped.hEvent = event;
    io->overlapped.Internal = NT_STILL;
    io->is_under_way = true;
    if (is_write) {
        make_frame(t->address, t->begun, io->data);
        (void)WriteFile(t->device, io->data, size_of(t->begun), NULL, &io->overlapped);
        t->begun++;
    } else {
        (void)ReadFile(t->device, io->data, FRAME_BYTES, NULL, &io->overlapped);
    }
}

static bool is_done(const struct io *io)
{
    return io->is_under_way && *(const volatile ULONG_PTR *)&io->overlapped.Internal != NT_STILL;
}

static void end_read(struct traffic *t, struct io *io)
{
    uint32_t status = status_of(&io->overlapped);
    uint32_t number;

    io->is_under_way = false;
    if (status) {
        t->last_status = status;
        t->is_over = true;
        return;
    }
    number = number_of(t->address, io->data, (uint32_t)io->overlapped.InternalHigh);
    expect(number != UINT32_MAX, "a frame is another one", number);
    if (number < t->next)
        t->disorder++;
    t->next = number + 1;
    t->received++;
}

static void end_write(struct traffic *t, struct io *io)
{
    uint32_t status = status_of(&io->overlapped);

    io->is_under_way = false;
    if (status == 0) {
        t->sent++;
        expect(io->overlapped.InternalHigh >= 60, "a write says how much it wrote",
               (uint32_t)io->overlapped.InternalHigh);
    } else {
        t->failed++;
        t->last_status = status;
        expect(t->may_go, "a frame is not sent", status);
    }
}

/* Reads end in the order they were begun in, so they are looked at in it. */
static bool end_reads(struct traffic *t, uint32_t *at)
{
    bool has_moved = false;

    while (is_done(&t->reads[*at])) {
        end_read(t, &t->reads[*at]);
        if (!t->is_over)
            begin_io(t, &t->reads[*at], false);
        *at = (*at + 1) % READS;
        has_moved = true;
    }
    return has_moved;
}

/* Frames of an adapter that may go are not waited for: they may have gone with it. */
static bool is_ahead(const struct traffic *t)
{
    return !t->may_go && t->begun - t->received >= AHEAD;
}

static bool go_on_writing(struct traffic *t)
{
    bool has_moved = false;

    for (uint32_t i = 0; i < WRITES; i++) {
        struct io *io = &t->writes[i];

        if (is_done(io)) {
            end_write(t, io);
            has_moved = true;
        }
        if (io->is_under_way || t->is_over || t->begun >= t->count || is_ahead(t))
            continue;
        begin_io(t, io, true);
        has_moved = true;
    }
    return has_moved;
}

static bool has_writes(const struct traffic *t)
{
    for (uint32_t i = 0; i < WRITES; i++) {
        if (t->writes[i].is_under_way)
            return true;
    }
    return false;
}

static bool has_reads(const struct traffic *t)
{
    for (uint32_t i = 0; i < READS; i++) {
        if (t->reads[i].is_under_way)
            return true;
    }
    return false;
}

/* What is still under way ends, by itself or cancelled. */
static void drain(struct traffic *t)
{
    DWORD end = GetTickCount() + WAIT_MS;

    (void)CancelIoEx(t->device, NULL);
    while (has_reads(t) || has_writes(t)) {
        for (uint32_t i = 0; i < READS; i++) {
            if (is_done(&t->reads[i]))
                t->reads[i].is_under_way = false;
        }
        for (uint32_t i = 0; i < WRITES; i++) {
            if (is_done(&t->writes[i]))
                t->writes[i].is_under_way = false;
        }
        if (GetTickCount() > end) {
            printf("not ok requests do not end\n");
            exit(1);
        }
        Sleep(1);
    }
}

/* Every end of a request comes to the port, too. */
static void wait_for_any(struct traffic *t)
{
    DWORD bytes;
    ULONG_PTR key;
    OVERLAPPED *overlapped;

    (void)GetQueuedCompletionStatus(t->port, &bytes, &key, &overlapped, 10);
}

/* Until all are back, the time is up, or the binding has gone. */
static void run_traffic(struct traffic *t, DWORD limit_ms)
{
    DWORD moved = GetTickCount();
    DWORD begun = moved;
    uint32_t read_at = 0;

    t->port = CreateIoCompletionPort(t->device, NULL, 0, 0);
    for (uint32_t i = 0; i < READS; i++)
        begin_io(t, &t->reads[i], false);
    while (!t->is_over && (t->sent + t->failed < t->count || t->received < t->sent)) {
        bool has_moved = end_reads(t, &read_at);

        if (go_on_writing(t) || has_moved)
            moved = GetTickCount();
        else
            wait_for_any(t);
        if (limit_ms ? GetTickCount() - begun >= limit_ms : GetTickCount() - moved >= WAIT_MS)
            break;
    }
    drain(t);
    CloseHandle(t->port);
}

static void print_traffic(const struct traffic *t)
{
    printf("sent=%u failed=%u received=%u disorder=%u last=%08x\n", t->sent, t->failed, t->received,
           t->disorder, (unsigned)t->last_status);
}

/* ---- verbs ---- */

static int list(void)
{
    HANDLE device = open_device();
    uint8_t name[NAME_BYTES];
    uint32_t bytes;

    expect(ask(device, VCK_FRAME_CODE_BIND_WAIT, NULL, 0, NULL, 0, NULL) == 0, "BIND_WAIT", 0);
    for (uint32_t i = 0; (bytes = name_of(device, i, name)) != 0; i++) {
        for (uint32_t j = 0; j < bytes; j += 2)
            putchar(name[j]);
        putchar('\n');
    }
    CloseHandle(device);
    return failures != 0;
}

static int traffic(uint32_t index, uint32_t count, DWORD limit_ms, bool may_go)
{
    static struct traffic t;
    uint32_t status;

    t = (struct traffic){.device = open_device(), .count = count, .may_go = may_go};
    status = open_binding(t.device, index, t.address);
    if (status && may_go) {
        print_traffic(&t);
        CloseHandle(t.device);
        return 0;
    }
    expect(status == 0, "the binding is not opened", status);
    if (status == 0)
        run_traffic(&t, limit_ms);
    print_traffic(&t);
    CloseHandle(t.device);
    return failures != 0;
}

/* Opened again and again, while the adapter goes and comes. */
static int flood(uint32_t index, DWORD limit_ms)
{
    static struct traffic t;
    static struct traffic sum;
    DWORD begun = GetTickCount();
    uint32_t opens = 0;

    while (GetTickCount() - begun < limit_ms) {
        t = (struct traffic){.device = open_device(), .count = UINT32_MAX, .may_go = true};
        if (open_binding(t.device, index, t.address) == 0) {
            opens++;
            run_traffic(&t, limit_ms - min(limit_ms, GetTickCount() - begun) + 1);
        } else {
            Sleep(1);
        }
        sum.sent += t.sent;
        sum.failed += t.failed;
        sum.received += t.received;
        sum.last_status = t.last_status;
        CloseHandle(t.device);
    }
    printf("opens=%u ", opens);
    print_traffic(&sum);
    return failures != 0;
}

static uint32_t write_now(HANDLE device, const void *frame, uint32_t bytes)
{
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD done;

    (void)WriteFile(device, frame, bytes, NULL, &overlapped);
    (void)GetOverlappedResult(device, &overlapped, &done, TRUE);
    CloseHandle(overlapped.hEvent);
    return status_of(&overlapped);
}

static void refuse(uint32_t status, uint32_t wanted, const char *what)
{
    printf("%08x %s\n", (unsigned)status, what);
    expect(status == wanted, what, status);
}

static int errors(uint32_t index)
{
    HANDLE device = open_device();
    HANDLE second = open_device();
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    uint8_t frame[FRAME_BYTES + 1] = {0};
    uint8_t oid[12] = {0};

    expect(write_now(device, frame, 60) != 0, "a write before an open succeeds", 0);
    refuse(ask(device, VCK_FRAME_CODE_OPEN_DEVICE, "x\0y", 4, NULL, 0, NULL), NT_NOT_FOUND,
           "an adapter that is not there");
    expect(open_binding(device, index, address) == 0, "the binding is not opened", 0);
    refuse(open_binding(second, index, oid), NT_BUSY, "a second opener");
    make_frame(address, 0, frame);
    expect(write_now(device, frame, 13) != 0, "a frame shorter than its header is sent", 0);
    expect(write_now(device, frame, sizeof(frame)) != 0, "a frame too long is sent", 0);
    frame[VCK_FRAME_ADDRESS_BYTES] ^= 4;
    expect(write_now(device, frame, 60) != 0, "a frame of another's address is sent", 0);
    vck_store_le32(oid, 0x00010101);
    expect(ask(device, VCK_FRAME_CODE_QUERY_OID, oid, 12, oid, 12, NULL) != 0,
           "a number that is not allowed is asked for", 0);
    vck_store_le32(oid, VCK_OID_802_3_CURRENT_ADDRESS);
    expect(ask(device, VCK_FRAME_CODE_QUERY_OID, oid, 12, oid, 12, NULL) != 0,
           "an address fits into four bytes", 0);
    expect(ask(device, VCK_FRAME_CODE_SET_OID, oid, 12, NULL, 0, NULL) != 0, "an address is set",
           0);
    expect(ask(device, 0x0012cffc, NULL, 0, NULL, 0, NULL) != 0, "an unknown request succeeds", 0);
    CloseHandle(second);
    CloseHandle(device);
    return failures != 0;
}

static int cancel(uint32_t index)
{
    static struct traffic t;
    uint32_t status;

    t = (struct traffic){.device = open_device()};
    status = open_binding(t.device, index, t.address);
    expect(status == 0, "the binding is not opened", status);
    for (uint32_t i = 0; i < READS; i++)
        begin_io(&t, &t.reads[i], false);
    (void)CancelIoEx(t.device, &t.reads[5].overlapped);
    for (uint32_t i = 0; i < WAIT_MS && !is_done(&t.reads[5]); i++)
        Sleep(1);
    refuse(status_of(&t.reads[5].overlapped), NT_CANCELLED, "a read that was given up");
    for (uint32_t i = 0; i < READS; i++)
        expect(i == 5 || !is_done(&t.reads[i]), "another read has ended, too", i);
    t.reads[5].is_under_way = false;
    drain(&t);
    CloseHandle(t.device);
    return failures != 0;
}

int main(int count, char **words)
{
    uint32_t index = count > 2 ? (uint32_t)atoi(words[2]) : 0;
    uint32_t number = count > 3 ? (uint32_t)atoi(words[3]) : 0;

    setvbuf(stdout, NULL, _IONBF, 0);
    if (count == 2 && !strcmp(words[1], "list"))
        return list();
    if (count == 3 && !strcmp(words[1], "errors"))
        return errors(index);
    if (count == 3 && !strcmp(words[1], "cancel"))
        return cancel(index);
    if (count == 4 && !strcmp(words[1], "traffic"))
        return traffic(index, number, 0, false);
    if (count == 4 && !strcmp(words[1], "flood"))
        return flood(index, number);
    fprintf(stderr, "frame_probe: wrong arguments; its source says which there are\n");
    return 2;
}
