/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of testdisk.h. A word's name is the field's. */
#include "vcktest.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES      (1u << 20)
#define STORM_DATA_BYTES 65536
#define MOUNT_DATA_BYTES 65536
#define FIELD(s, f)                                                                                \
    {                                                                                              \
#f, offsetof(struct s, f), sizeof(((struct s *)0)->f), 0                                   \
    }
#define BYTES(s, f)                                                                                \
    {                                                                                              \
#f, offsetof(struct s, f), sizeof(((struct s *)0)->f), FORM_BYTES                          \
    }
#define STRING(s, f)                                                                               \
    {                                                                                              \
#f, offsetof(struct s, f), sizeof(((struct s *)0)->f), FORM_STRING                         \
    }

enum {
    FORM_NUMBER,
    FORM_BYTES,  /* hexadecimal */
    FORM_STRING, /* UTF-16 */
};

struct field {
    const char *name; /* NULL ends the table */
    size_t offset;
    size_t size;
    int form;
};

/* ---- words to structs, structs to lines ---- */

static bool put_field(const struct field *field, const char *text, uint8_t *ret_struct)
{
    uint8_t *place = ret_struct + field->offset;
    if (field->form == FORM_BYTES)
        return from_hex(text, place, field->size) == (int)field->size;
    if (field->form == FORM_STRING) {
        if (strlen(text) >= field->size / 2)
            return false;
        for (size_t i = 0; text[i]; i++)
            place[2 * i] = (uint8_t)text[i];
        return true;
    }
    uint64_t number = strtoull(text, NULL, 0);
    memcpy(place, &number, field->size);
    return true;
}

/* Every word must be a field's, but for those in `others`, a list parted by spaces. */
static bool put_words(const struct words *words, const struct field *fields, const char *others,
                      void *ret_struct)
{
    for (int i = 1; i < words->count; i++) {
        size_t size = strcspn(words->words[i], "=");
        const struct field *field = fields;
        while (field->name &&
               (strlen(field->name) != size || strncmp(field->name, words->words[i], size)))
            field++;
        const char *text = words->words[i] + size + (words->words[i][size] == '=');
        if (field->name && !put_field(field, text, ret_struct))
            return refuse(words->words[i], "not such a value");
        if (field->name)
            continue;
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)size, words->words[i]);
        if (!strstr(others, name))
            return refuse(words->words[i], "no such word");
    }
    return true;
}

static void print_fields(const struct field *fields, const void *data)
{
    for (const struct field *field = fields; field->name; field++) {
        uint64_t number = 0;
        memcpy(&number, (const uint8_t *)data + field->offset, field->size);
        printf("%s %llu\n", field->name, (unsigned long long)number);
    }
}

/* ---- asking ---- */

static bool ask(DWORD code, const void *input, size_t input_bytes, void *output,
                size_t output_bytes, DWORD *ret_size)
{
    struct words none = {0};
    DWORD size = 0;
    HANDLE handle = open_device(&none, 0);
    if (handle == INVALID_HANDLE_VALUE)
        return fail("open VckTestBus");
    bool is_ok = DeviceIoControl(handle, code, (void *)(uintptr_t)input, (DWORD)input_bytes, output,
                                 (DWORD)output_bytes, &size, NULL);
    if (!is_ok)
        fail("VckTestBus");
    CloseHandle(handle);
    if (ret_size)
        *ret_size = size;
    return is_ok;
}

static const struct field select_fields[] = {FIELD(td_select, disk), {0}};

static const struct field create_fields[] = {FIELD(td_create, disk),
                                             FIELD(td_create, sector_bytes),
                                             FIELD(td_create, size_bytes),
                                             FIELD(td_create, partition_start_bytes),
                                             FIELD(td_create, alignment),
                                             FIELD(td_create, is_gpt),
                                             BYTES(td_create, partition_id),
                                             BYTES(td_create, type_id),
                                             FIELD(td_create, can_trim),
                                             FIELD(td_create, is_read_only),
                                             {0}};

static const struct field behaviour_fields[] = {FIELD(td_behaviour, disk),
                                                FIELD(td_behaviour, completion),
                                                FIELD(td_behaviour, pend_others),
                                                FIELD(td_behaviour, delay_min_us),
                                                FIELD(td_behaviour, delay_max_us),
                                                FIELD(td_behaviour, reorder_window),
                                                FIELD(td_behaviour, start_status),
                                                FIELD(td_behaviour, lock_status),
                                                FIELD(td_behaviour, dismount_status),
                                                FIELD(td_behaviour, is_gone),
                                                {0}};

static const struct field fault_fields[] = {
    FIELD(td_fault, disk),     FIELD(td_fault, ops),      FIELD(td_fault, first_byte),
    FIELD(td_fault, end_byte), FIELD(td_fault, code),     FIELD(td_fault, skip),
    FIELD(td_fault, count),    FIELD(td_fault, status),   FIELD(td_fault, bytes),
    FIELD(td_fault, is_stall), FIELD(td_fault, delay_us), {0}};

static const struct field stats_fields[] = {
    FIELD(td_stats, reads),         FIELD(td_stats, read_bytes),
    FIELD(td_stats, writes),        FIELD(td_stats, written_bytes),
    FIELD(td_stats, flushes),       FIELD(td_stats, trims),
    FIELD(td_stats, trimmed_bytes), FIELD(td_stats, ioctls),
    FIELD(td_stats, pnp),           FIELD(td_stats, powers),
    FIELD(td_stats, shutdowns),     FIELD(td_stats, cleanups),
    FIELD(td_stats, creates),       FIELD(td_stats, closes),
    FIELD(td_stats, locks),         FIELD(td_stats, dismounts),
    FIELD(td_stats, unlocks),       FIELD(td_stats, faults),
    FIELD(td_stats, in_flight),     FIELD(td_stats, in_flight_most),
    FIELD(td_stats, write_through), FIELD(td_stats, verify_override),
    FIELD(td_stats, paging),        FIELD(td_stats, last_minor),
    FIELD(td_stats, open_files),    {0}};

static const struct field add_fields[] = {FIELD(td_add, disk), STRING(td_add, driver), {0}};

static const struct field mount_fields[] = {FIELD(td_mount, disk),
                                            FIELD(td_mount, sector_bytes),
                                            FIELD(td_mount, cluster_sectors),
                                            FIELD(td_mount, piece_bytes),
                                            FIELD(td_mount, first_sector),
                                            FIELD(td_mount, clusters),
                                            FIELD(td_mount, status),
                                            FIELD(td_mount, snapshot_bytes),
                                            STRING(td_mount, name),
                                            {0}};

static const struct field send_fields[] = {FIELD(td_send, disk),
                                           FIELD(td_send, target),
                                           FIELD(td_send, major),
                                           FIELD(td_send, minor),
                                           FIELD(td_send, stack_flags),
                                           FIELD(td_send, irp_flags),
                                           FIELD(td_send, flags),
                                           FIELD(td_send, timeout_ms),
                                           FIELD(td_send, data_bytes),
                                           FIELD(td_send, initial_status),
                                           STRING(td_send, driver),
                                           STRING(td_send, device),
                                           {"a0", offsetof(struct td_send, arguments[0]), 8, 0},
                                           {"a1", offsetof(struct td_send, arguments[1]), 8, 0},
                                           {"a2", offsetof(struct td_send, arguments[2]), 8, 0},
                                           {"a3", offsetof(struct td_send, arguments[3]), 8, 0},
                                           {0}};

static const struct field sent_fields[] = {FIELD(td_sent, status),
                                           FIELD(td_sent, returned),
                                           FIELD(td_sent, information),
                                           FIELD(td_sent, completions),
                                           FIELD(td_sent, pending_returned),
                                           FIELD(td_sent, was_cancelled),
                                           {0}};

static const struct field load_fields[] = {
    FIELD(td_load, disk),       FIELD(td_load, target),       FIELD(td_load, kind),
    FIELD(td_load, threads),    FIELD(td_load, depth),        FIELD(td_load, min_bytes),
    FIELD(td_load, max_bytes),  FIELD(td_load, read_percent), FIELD(td_load, offset_bytes),
    FIELD(td_load, size_bytes), FIELD(td_load, requests),     FIELD(td_load, flush_every),
    FIELD(td_load, stop_ms),    FIELD(td_load, seed),         {0}};

static const struct field loaded_fields[] = {FIELD(td_loaded, requests),
                                             FIELD(td_loaded, bytes),
                                             FIELD(td_loaded, reads),
                                             FIELD(td_loaded, writes),
                                             FIELD(td_loaded, errors),
                                             FIELD(td_loaded, mismatches),
                                             FIELD(td_loaded, first_mismatch_bytes),
                                             FIELD(td_loaded, elapsed_100ns),
                                             FIELD(td_loaded, first_error_status),
                                             {0}};

static const struct field storm_fields[] = {FIELD(td_storm, disk),
                                            FIELD(td_storm, count),
                                            FIELD(td_storm, seed),
                                            FIELD(td_storm, message_count),
                                            STRING(td_storm, driver),
                                            STRING(td_storm, device),
                                            {0}};

static const struct field stormed_fields[] = {FIELD(td_stormed, sent),
                                              FIELD(td_stormed, successes),
                                              FIELD(td_stormed, cancelled),
                                              FIELD(td_stormed, wrong),
                                              FIELD(td_stormed, wrong_information),
                                              FIELD(td_stormed, wrong_major),
                                              FIELD(td_stormed, wrong_status),
                                              FIELD(td_stormed, wrong_returned),
                                              FIELD(td_stormed, wrong_completions),
                                              {0}};

static bool run_create(const struct words *words)
{
    struct td_create create = {.sector_bytes = 512};
    return put_words(words, create_fields, "", &create) &&
           ask(TD_CREATE, &create, sizeof create, NULL, 0, NULL);
}

static bool run_select(const struct words *words, DWORD code)
{
    struct td_select select = {0};
    return put_words(words, select_fields, "", &select) &&
           ask(code, &select, sizeof select, NULL, 0, NULL);
}

static bool run_delete(const struct words *words)
{
    return run_select(words, TD_DELETE);
}

static bool run_clear(const struct words *words)
{
    return run_select(words, TD_CLEAR);
}

static bool run_behave(const struct words *words)
{
    struct td_behaviour behaviour = {0};
    return put_words(words, behaviour_fields, "", &behaviour) &&
           ask(TD_BEHAVE, &behaviour, sizeof behaviour, NULL, 0, NULL);
}

static bool run_fault(const struct words *words)
{
    struct td_fault fault = {.end_byte = UINT64_MAX};
    return put_words(words, fault_fields, "", &fault) &&
           ask(TD_FAULT, &fault, sizeof fault, NULL, 0, NULL);
}

static bool run_stats(const struct words *words)
{
    struct td_select select = {0};
    struct td_stats stats;
    if (!put_words(words, select_fields, "", &select) ||
        !ask(TD_STATS, &select, sizeof select, &stats, sizeof stats, NULL))
        return false;
    print_fields(stats_fields, &stats);
    return true;
}

static bool run_add(const struct words *words)
{
    struct td_add add = {0};
    return put_words(words, add_fields, "", &add) &&
           ask(TD_ADD_DEVICE, &add, sizeof add, NULL, 0, NULL);
}

static bool run_unloadable(const struct words *words)
{
    struct td_add add = {0};
    uint32_t can_unload;
    if (!put_words(words, add_fields, "", &add) ||
        !ask(TD_CAN_UNLOAD, &add, sizeof add, &can_unload, sizeof can_unload, NULL))
        return false;
    printf("can_unload %lu\n", (unsigned long)can_unload);
    return true;
}

static bool run_stack(const struct words *words)
{
    struct td_select select = {0};
    char names[4096];
    DWORD size = 0;
    if (!put_words(words, select_fields, "", &select) ||
        !ask(TD_STACK, &select, sizeof select, names, sizeof names - 1, &size))
        return false;
    names[size] = 0;
    for (char *at = strtok(names, "\n"); at; at = strtok(NULL, "\n"))
        printf("driver %s\n", at);
    return true;
}

static bool run_load(const struct words *words)
{
    struct td_load load = {.threads = 1, .depth = 1, .seed = 1};
    struct td_loaded loaded;
    if (!put_words(words, load_fields, "", &load))
        return false;
    if (load.min_bytes == 0)
        load.min_bytes = load.max_bytes;
    if (!ask(TD_LOAD, &load, sizeof load, &loaded, sizeof loaded, NULL))
        return false;
    print_fields(loaded_fields, &loaded);
    return true;
}

/* data=HEX: its size in bytes; -1: refused. */
static int read_data(const struct words *words, const char *command, uint8_t *ret_data,
                     size_t capacity)
{
    const char *hex = word_text(words, "data");
    int size = hex ? from_hex(hex, ret_data, capacity) : 0;
    if (size < 0)
        (void)refuse(command, "data is not hexadecimal");
    return size;
}

/* data: the bitmap. */
static bool run_mount(const struct words *words)
{
    static struct {
        struct td_mount mount;
        uint8_t data[MOUNT_DATA_BYTES];
    } input;
    int size = read_data(words, "mount", input.data, sizeof input.data);
    input.mount = (struct td_mount){0};
    return size >= 0 && put_words(words, mount_fields, "data", &input.mount) &&
           ask(TD_MOUNT, &input, sizeof input.mount + (size_t)size, NULL, 0, NULL);
}

/* data: the messages. */
static bool run_storm(const struct words *words)
{
    static struct {
        struct td_storm storm;
        uint8_t data[STORM_DATA_BYTES];
    } input;
    struct td_stormed stormed;
    int size = read_data(words, "storm", input.data, sizeof input.data);
    input.storm = (struct td_storm){.seed = 1};
    if (size < 0 || !put_words(words, storm_fields, "data", &input.storm) ||
        !ask(TD_STORM, &input, sizeof input.storm + (size_t)size, &stormed, sizeof stormed, NULL))
        return false;
    print_fields(stormed_fields, &stormed);
    return true;
}

/* Words of its own: data=HEX goes in; what comes out is printed when data=... or show=1 is there.
 */
static bool run_send(const struct words *words)
{
    struct td_send send = {.initial_status = 0xC00000BBu};
    struct td_sent sent;
    if (!put_words(words, send_fields, "data show", &send))
        return false;
    const char *hex = word_text(words, "data");
    size_t hex_bytes = hex ? strlen(hex) / 2 : 0;
    if (hex_bytes > send.data_bytes)
        send.data_bytes = (uint32_t)hex_bytes;
    if (send.data_bytes > TD_DATA_BYTES_MAX)
        return refuse("send", "too much data");
    uint8_t *in = calloc(1, sizeof send + send.data_bytes);
    uint8_t *out = calloc(1, sizeof sent + send.data_bytes);
    bool is_ok = in && out && (!hex || from_hex(hex, in + sizeof send, send.data_bytes) >= 0);
    if (!is_ok)
        refuse("send", "data is not hexadecimal");
    if (is_ok) {
        memcpy(in, &send, sizeof send);
        is_ok = ask(TD_SEND, in, sizeof send + send.data_bytes, out, sizeof sent + send.data_bytes,
                    NULL);
    }
    if (is_ok) {
        memcpy(&sent, out, sizeof sent);
        print_fields(sent_fields, &sent);
        if (hex || word_number(words, "show", 0))
            print_hex("data", out + sizeof sent, send.data_bytes);
    }
    free(in);
    free(out);
    return is_ok;
}

/* ---- images ---- */

static bool is_zero(const uint8_t *data, size_t size_bytes)
{
    return size_bytes == 0 || (data[0] == 0 && !memcmp(data, data + 1, size_bytes - 1));
}

static bool put_chunks(FILE *file, struct td_range range, uint8_t *buffer)
{
    for (;;) {
        size_t size = fread(buffer + sizeof range, 1, CHUNK_BYTES, file);
        if (size == 0)
            return ferror(file) ? refuse("put", "cannot read the file") : true;
        range.size_bytes = (uint32_t)size;
        memcpy(buffer, &range, sizeof range);
        if (!is_zero(buffer + sizeof range, size) &&
            !ask(TD_POKE, buffer, sizeof range + size, NULL, 0, NULL))
            return false;
        range.offset_bytes += size;
    }
}

static const struct field range_fields[] = {
    FIELD(td_range, disk), FIELD(td_range, size_bytes), FIELD(td_range, offset_bytes), {0}};

/* The file's bytes, from offset_bytes on. A new disk is zero: zeroes are left out. */
static bool run_put(const struct words *words)
{
    struct td_range range = {0};
    if (!put_words(words, range_fields, "file", &range))
        return false;
    const char *path = word_text(words, "file");
    FILE *file = path ? fopen(path, "rb") : NULL;
    uint8_t *buffer = malloc(sizeof range + CHUNK_BYTES);
    bool is_ok = file && buffer ? put_chunks(file, range, buffer) : refuse("put", "no file");
    free(buffer);
    if (file)
        fclose(file);
    return is_ok;
}

static bool get_chunks(FILE *file, struct td_range range, uint64_t end, uint8_t *buffer)
{
    while (range.offset_bytes < end) {
        uint64_t left = end - range.offset_bytes;
        range.size_bytes = left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES;
        if (!ask(TD_PEEK, &range, sizeof range, buffer, CHUNK_BYTES, NULL))
            return false;
        if (fwrite(buffer, 1, range.size_bytes, file) != range.size_bytes)
            return refuse("get", "cannot write the file");
        range.offset_bytes += range.size_bytes;
    }
    return true;
}

/* Bytes from offset_bytes up to end_bytes into the file. */
static bool run_get(const struct words *words)
{
    struct td_range range = {0};
    if (!put_words(words, range_fields, "file end_bytes", &range))
        return false;
    const char *path = word_text(words, "file");
    FILE *file = path ? fopen(path, "wb") : NULL;
    uint8_t *buffer = malloc(CHUNK_BYTES);
    bool is_ok = file && buffer
                     ? get_chunks(file, range, word_number(words, "end_bytes", 0), buffer)
                     : refuse("get", "no file");
    free(buffer);
    if (file && fclose(file))
        is_ok = refuse("get", "cannot write the file");
    return is_ok;
}

static bool run_peek(const struct words *words)
{
    struct td_range range = {0};
    uint8_t data[4096];
    if (!put_words(words, range_fields, "", &range))
        return false;
    if (range.size_bytes > sizeof data)
        return refuse("peek", "too much");
    if (!ask(TD_PEEK, &range, sizeof range, data, sizeof data, NULL))
        return false;
    print_hex("data", data, range.size_bytes);
    return true;
}

static bool run_poke(const struct words *words)
{
    struct td_range range = {0};
    uint8_t data[sizeof range + 4096];
    if (!put_words(words, range_fields, "data", &range))
        return false;
    const char *hex = word_text(words, "data");
    int size = hex ? from_hex(hex, data + sizeof range, 4096) : -1;
    if (size < 0)
        return refuse("poke", "no data");
    range.size_bytes = (uint32_t)size;
    memcpy(data, &range, sizeof range);
    return ask(TD_POKE, data, sizeof range + range.size_bytes, NULL, 0, NULL);
}

const struct verb disk_verbs[] = {{"create", run_create}, {"delete", run_delete},
                                  {"behave", run_behave}, {"fault", run_fault},
                                  {"clear", run_clear},   {"stats", run_stats},
                                  {"add", run_add},       {"stack", run_stack},
                                  {"mount", run_mount},   {"unloadable", run_unloadable},
                                  {"send", run_send},     {"load", run_load},
                                  {"put", run_put},       {"get", run_get},
                                  {"storm", run_storm},   {"peek", run_peek},
                                  {"poke", run_poke},     {NULL, NULL}};
