/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key-crash-sim: cuts the power while key slots are changed. At every event of every change, and
 * for many ways in which what was in flight may have landed, the secrets that are to open the
 * volume do, the same change can be made again, and only what was removed is gone.
 *
 *     key-crash-sim [--states N]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crash_disk.h"
#include "vck/block.h"
#include "vck/key_backup.h"
#include "vck/key_change.h"
#include "vck/key_store.h"
#include "vck/future.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/volume.h"

#define METADATA_BYTES VCK_METADATA_SIZE_MIN
#define DATA_BYTES     32768u
#define SECRETS        4u
#define PHYSICAL_BYTES 4096u

struct geometry {
    uint32_t sector_bytes, atomic_bytes, headers, footers;
};

static const struct geometry geometries[] = {
    {512, 512, 0, 2}, {512, 512, 1, 1}, {4096, 4096, 0, 2}, {512, 4096, 0, 1}, {512, 512, 1, 2},
};

static const uint8_t vmk[32] = "the first key of the volume";
static const uint8_t next_vmk[32] = "the second key of the volume";

/* Bits of secrets: slot i holds secret i, unless it was changed. */
struct change {
    const char *name;
    vck_status (*run)(struct vck_disk *disk, struct vck_bytes key);
    unsigned before, after;
};

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 20) % limit;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "key-crash-sim: cannot %s\n", what);
    exit(1);
}

static struct vck_bytes secret(unsigned i)
{
    static const char *const secrets[SECRETS] = {"secret of slot 0", "secret of slot 1",
                                                 "secret of slot 2", "a changed secret"};
    return (struct vck_bytes){(const uint8_t *)secrets[i], VCK_KEY_RECOVERY_BYTES};
}

/* ---- the changes ---- */

static vck_status put(struct vck_key_session *session, uint16_t number, unsigned which,
                      struct vck_bytes key, bool is_new)
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY, .number = number};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    uint32_t size;
    vck_status status = vck_key_slot_make(&spec, session->tables.volume_id, secret(which), key,
                                          NULL, record, &size);
    if (status == VCK_OK && is_new)
        return vck_key_table_add(session->table, (struct vck_bytes){record, size});
    return status == VCK_OK
               ? vck_key_table_replace(session->table, (struct vck_bytes){record, size})
               : status;
}

/* A change that had been made already when the power went is none. */
static vck_status run(struct vck_disk *disk, struct vck_bytes key,
                      vck_status (*edit)(struct vck_key_session *session,
                                         struct vck_bytes key)) VCK_CAN_WAIT
{
    struct vck_key_session session;
    vck_status status = vck_key_session_open(&session, disk, key, false);
    if (status == VCK_OK)
        status = edit(&session, key);
    if (status == VCK_ALREADY_EXISTS || status == VCK_NOT_FOUND)
        status = VCK_OK;
    if (status == VCK_OK)
        status = vck_key_session_commit(&session);
    vck_key_session_fini(&session);
    return status;
}

static vck_status edit_first(struct vck_key_session *session, struct vck_bytes key)
{
    return put(session, 0, 0, key, true);
}

static vck_status edit_add(struct vck_key_session *session, struct vck_bytes key)
{
    return put(session, 2, 2, key, true);
}

static vck_status edit_remove(struct vck_key_session *session, struct vck_bytes key)
{
    (void)key;
    return vck_key_table_remove(session->table, 1);
}

static vck_status edit_change(struct vck_key_session *session, struct vck_bytes key)
{
    return put(session, 1, 3, key, false);
}

static vck_status run_first(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run(disk, key, edit_first);
}

static vck_status run_add(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run(disk, key, edit_add);
}

static vck_status run_remove(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run(disk, key, edit_remove);
}

static vck_status run_change(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run(disk, key, edit_change);
}

static vck_status run_rotate(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    const struct vck_bytes next = {next_vmk, sizeof(next_vmk)};
    struct vck_key_session session;
    vck_status status = vck_key_session_open(&session, disk, key, false);
    if (status == VCK_OK)
        status = put(&session, 0, 0, next, false);
    if (status == VCK_OK)
        status = put(&session, 1, 1, next, false);
    if (status == VCK_OK)
        status = vck_key_session_rotate(&session, next);
    vck_key_session_fini(&session);
    return status;
}

/* ---- the same on an open volume, whose metadata goes on to be written ---- */

/* Another block, as a sweep writes it. */
static vck_status go_on(struct vck_store *store) VCK_CAN_WAIT
{
    struct vck_store_state state = store->state;
    state.generation++;
    return vck_store_write_all(store, &state, true);
}

/* Seals what was edited as its editor does, who has no store but the key. */
static vck_status write_change(struct vck_key_session *session, struct vck_store *store,
                               struct vck_bytes key, struct vck_bytes new_key) VCK_CAN_WAIT
{
    const struct vck_key_change change = {.table = session->table,
                                          .base_generation = session->generation,
                                          .vmk = key,
                                          .new_vmk = new_key};
    struct vck_key_changed changed;
    vck_status status = vck_key_table_seal(session->table, session->generation + 1,
                                           new_key.size_bytes > 0 ? new_key : key);
    return status == VCK_OK ? vck_key_change_write(store, &change, &changed) : status;
}

static vck_status run_live(struct vck_disk *disk, struct vck_bytes key,
                           vck_status (*edit)(struct vck_key_session *session,
                                              struct vck_bytes key),
                           struct vck_bytes new_key) VCK_CAN_WAIT
{
    struct vck_key_session session = {0};
    struct vck_store store = {0};
    vck_status status = vck_store_open(&store, disk, key, NULL, VCK_STORE_ANY_REPLICA);
    if (status == VCK_OK)
        status = go_on(&store);
    if (status == VCK_OK)
        status = vck_key_session_open(&session, disk, key, false);
    if (status == VCK_OK)
        status = edit(&session, new_key.size_bytes > 0 ? new_key : key);
    if (status == VCK_ALREADY_EXISTS || status == VCK_NOT_FOUND)
        status = VCK_OK;
    if (status == VCK_OK)
        status = write_change(&session, &store, key, new_key);
    if (status == VCK_OK)
        status = go_on(&store);
    vck_key_session_fini(&session);
    vck_store_fini(&store);
    return status;
}

static vck_status edit_all(struct vck_key_session *session, struct vck_bytes key)
{
    vck_status status = put(session, 0, 0, key, false);
    return status == VCK_OK ? put(session, 1, 1, key, false) : status;
}

static vck_status run_live_change(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run_live(disk, key, edit_change, (struct vck_bytes){0});
}

static vck_status run_live_rotate(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    return run_live(disk, key, edit_all, (struct vck_bytes){next_vmk, sizeof(next_vmk)});
}

/* The backup is of a volume with the slots 0 and 2. */
static vck_status edit_restore(struct vck_key_session *session,
                               struct vck_bytes key) VCK_NO_ANALYSIS
{
    static struct vck_key_backup backup;
    if (vck_key_table_remove(session->table, 1) != VCK_OK)
        return VCK_NOT_FOUND;
    vck_status status = put(session, 2, 2, key, true);
    if (status == VCK_OK)
        status = vck_key_backup_take(session, 0, &backup);
    if (status == VCK_OK)
        status = vck_key_backup_restore(&backup, session->store.disk, false);
    vck_key_backup_fini(&backup);
    return status == VCK_OK ? VCK_CANCELLED : status;
}

static vck_status run_restore(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    vck_status status = run(disk, key, edit_restore);
    return status == VCK_CANCELLED ? VCK_OK : status;
}

static vck_status run_erase(struct vck_disk *disk, struct vck_bytes key) VCK_CAN_WAIT
{
    uint32_t failed;
    (void)key;
    return vck_key_erase(disk, &failed);
}

static const struct change changes[] = {
    {"first", run_first, 0, 1},
    {"add", run_add, 3, 7},
    {"remove", run_remove, 3, 1},
    {"change", run_change, 3, 9},
    {"rotate", run_rotate, 3, 3},
    {"restore", run_restore, 3, 5},
    {"erase", run_erase, 3, 0},
    {"change, attached", run_live_change, 3, 9},
    {"rotate, attached", run_live_rotate, 3, 3},
};

/* ---- looking at an image ---- */

struct look {
    const struct change *change;
    const struct geometry *geometry;
    size_t cut, events;
};

static bool complain(const struct look *look, const char *what, unsigned detail)
{
    fprintf(stderr,
            "key-crash-sim: %s: %s (%x), cut after %zu of %zu events, sectors of %u, unit %u, "
            "%u+%u replicas\n",
            look->change->name, what, detail, look->cut, look->events, look->geometry->sector_bytes,
            look->geometry->atomic_bytes, look->geometry->headers, look->geometry->footers);
    return false;
}

/* Which secrets open the volume; ret_key: what the last of them gave. */
static bool try_secrets(const struct look *look, struct vck_disk *disk, unsigned *ret_open,
                        uint8_t ret_key[32]) VCK_CAN_WAIT
{
    *ret_open = 0;
    for (unsigned i = 0; i < SECRETS; i++) {
        const struct vck_key_offer offer = {.recovery = secret(i)};
        struct vck_secret key = {0};
        vck_status status = vck_key_unlock(disk, &offer, NULL, &key, NULL);
        if (status == VCK_OK) {
            memcpy(ret_key, key.data, sizeof(vmk));
            *ret_open |= 1u << i;
        } else if (status != VCK_WRONG_KEY && status != VCK_NOT_FOUND &&
                   status != VCK_CHECKSUM_MISMATCH) {
            return complain(look, vck_status_text(status), i);
        }
        vck_secret_fini(&key);
    }
    return true;
}

/* The data were written as a pattern and encrypted in part. */
static bool check_data(const struct look *look, struct vck_disk *disk,
                       const uint8_t *key) VCK_CAN_WAIT
{
    static uint8_t data[DATA_BYTES];
    struct vck_volume_options options = {.path = "keys", .vmk = {key, sizeof(vmk)}};
    struct vck_volume *volume = NULL;
    if (vck_volume_attach(disk, &options, &volume) != VCK_OK)
        return complain(look, "the volume does not attach", 0);
    bool ok = vck_volume_io(volume, VCK_REQUEST_READ, 0, 0, data, DATA_BYTES) == VCK_OK;
    for (size_t i = 0; i < DATA_BYTES && ok; i++)
        ok = data[i] == (uint8_t)(i * 7 >> 3);
    ok &= vck_volume_detach(volume) == VCK_OK;
    return ok || complain(look, "the data are not what they were", 0);
}

/* The open secrets are those of before or of after; which of the two is free before the end. */
static bool check_set(const struct look *look, unsigned open)
{
    const struct change *c = look->change;
    unsigned lost = c->before & c->after & ~open, extra = open & ~(c->before | c->after);
    bool is_old = (open & c->before) == c->before, is_new = (open & c->after) == c->after;
    if (lost != 0 || extra != 0 || (!is_old && !is_new && c->after != 0))
        return complain(look, "the wrong secrets open", open);
    if (look->cut == look->events && open != c->after)
        return complain(look, "a finished change is not whole", open);
    return true;
}

static bool check_image(const struct look *look, struct crash_disk *d) VCK_CAN_WAIT
{
    unsigned open, again;
    uint8_t key[32];
    memcpy(key, vmk, sizeof(key));
    if (!try_secrets(look, &d->disk, &open, key) || !check_set(look, open) ||
        (open != 0 && !check_data(look, &d->disk, key)))
        return false;
    /* Attaching writes back replicas that a rotation left behind: what opened still does. */
    if (!try_secrets(look, &d->disk, &again, key) || (open & again) != open)
        return complain(look, "an attachment takes slots away", again);
    if (look->change->after == 0 || (open == 0 && look->change->before != 0))
        return true;
    vck_status status = look->change->run(&d->disk, (struct vck_bytes){key, sizeof(key)});
    if (status != VCK_OK && !(open == 0 && status == VCK_CHECKSUM_MISMATCH))
        return complain(look, vck_status_text(status), 0);
    if (status == VCK_OK &&
        (!try_secrets(look, &d->disk, &again, key) || again != look->change->after))
        return complain(look, "the change cannot be made again", again);
    return true;
}

/* ---- cutting ---- */

static void land_units(const struct write_record *w, uint32_t unit, uint8_t *image)
{
    for (uint32_t at = 0; at < w->size_bytes; at += unit)
        if (random_below(2))
            memcpy(image + w->offset_bytes + at, w->data + at, VCK_MIN(unit, w->size_bytes - at));
}

/* Of what is in flight: all, nothing, a prefix, any units of it; or a physical block is lost. */
static void land(const struct replay *r, bool is_redundant, unsigned mode, uint8_t *image)
{
    uint32_t unit = r->disk->disk.atomic_bytes;
    memcpy(image, r->durable, r->disk->disk.size_bytes);
    for (size_t i = 0; i < r->floating_count; i++) {
        const struct write_record *w = &r->disk->writes[r->floating[i]];
        if (mode == 0)
            memcpy(image + w->offset_bytes, w->data, w->size_bytes);
        else if (mode == 2)
            memcpy(image + w->offset_bytes, w->data, random_below(w->size_bytes / unit + 1) * unit);
        else if (mode > 2)
            land_units(w, unit, image);
        if (mode == 4 && is_redundant) {
            uint64_t at = w->offset_bytes + random_below(w->size_bytes / 512) * 512;
            memset(image + at / PHYSICAL_BYTES * PHYSICAL_BYTES, 0x5a, PHYSICAL_BYTES);
        }
    }
}

static bool cut_everywhere(const struct change *change, const struct geometry *g,
                           const struct crash_disk *d, unsigned states,
                           uint64_t *ret_states) VCK_CAN_WAIT
{
    struct replay replay;
    struct look look = {change, g, 0, d->event_count};
    struct crash_disk *cut =
        crash_disk_create(d->disk.size_bytes, d->disk.sector_size_bytes, d->disk.atomic_bytes);
    bool ok = true;
    replay_begin(&replay, d, false);
    for (;;) {
        look.cut = replay.at;
        unsigned count = replay.floating_count > 0 ? states : 1;
        for (unsigned i = 0; i < count && ok; i++, ++*ret_states) {
            land(&replay, g->headers + g->footers > 1, i % 5, cut->now);
            ok = check_image(&look, cut);
        }
        if (!ok || replay.at == d->event_count)
            break;
        replay_step(&replay);
    }
    replay_end(&replay);
    crash_disk_free(cut);
    return ok;
}

/* ---- the volume ---- */

/* Data first, half of it encrypted; then the slots the change begins with. */
static void make_volume(struct crash_disk *d, const struct geometry *g,
                        unsigned secrets) VCK_CAN_WAIT
{
    const struct vck_bytes key = {vmk, sizeof(vmk)};
    struct vck_prepare_params params = {.header_count = g->headers,
                                        .footer_count = g->footers,
                                        .metadata_size_bytes = METADATA_BYTES,
                                        .sector_size_bytes = g->sector_bytes,
                                        .single_replica = true,
                                        .vmk = key};
    struct vck_prepare_result result;
    struct vck_volume_options options = {.path = "keys", .vmk = key, .batch_bytes = 16384};
    struct vck_volume *volume = NULL;
    struct vck_key_session session;
    enum vck_prepare_fault fault;
    for (size_t i = 0; i < DATA_BYTES; i++)
        d->now[g->headers * METADATA_BYTES + i] = (uint8_t)(i * 7 >> 3);
    must(vck_prepare_volume(&d->disk, &params, &result, &fault) == VCK_OK, "prepare a volume");
    must(vck_volume_attach(&d->disk, &options, &volume) == VCK_OK, "attach it");
    must(vck_volume_start(volume, VCK_ENCRYPTING) == VCK_OK, "encrypt it");
    struct vck_future *sweep = vck_volume_sweep_future(volume);
    while (sweep != NULL && vck_future_poll(sweep, &vck_waker_noop) != VCK_READY)
        sweep = vck_volume_sweep_future(volume);
    must(vck_volume_detach(volume) == VCK_OK, "detach it");
    must(vck_key_session_open(&session, &d->disk, key, false) == VCK_OK, "open its slots");
    for (unsigned i = 0; i < SECRETS; i++)
        must((secrets >> i & 1) == 0 || put(&session, (uint16_t)i, i, key, true) == VCK_OK,
             "make a slot");
    must(secrets == 0 || vck_key_session_commit(&session) == VCK_OK, "write the slots");
    vck_key_session_fini(&session);
    crash_disk_settle(d);
}

static bool run_one(const struct change *change, const struct geometry *g, unsigned states,
                    uint64_t *ret_states) VCK_CAN_WAIT
{
    uint64_t size_bytes = (uint64_t)(g->headers + g->footers) * METADATA_BYTES + DATA_BYTES;
    struct crash_disk *d = crash_disk_create(size_bytes, g->sector_bytes, g->atomic_bytes);
    make_volume(d, g, change->before);
    d->recording = true;
    vck_status status = change->run(&d->disk, (struct vck_bytes){vmk, sizeof(vmk)});
    d->recording = false;
    bool ok = status == VCK_OK && d->event_count > 0;
    if (ok)
        ok = cut_everywhere(change, g, d, states, ret_states);
    else
        fprintf(stderr, "key-crash-sim: %s: %s\n", change->name, vck_status_text(status));
    crash_disk_free(d);
    return ok;
}

int main(int argc, char **argv) VCK_NO_ANALYSIS;

int main(int argc, char **argv)
{
    static const struct rlimit none = {0, 0};
    unsigned states = argc == 3 && strcmp(argv[1], "--states") == 0 ? (unsigned)atoi(argv[2]) : 5;
    bool ok = true;
    if (states == 0 || (argc != 1 && argc != 3)) {
        fprintf(stderr, "usage: key-crash-sim [--states N]\n");
        return 2;
    }
    /* Locking memory is most of the time that a state takes, and root may always lock. */
    (void)setrlimit(RLIMIT_MEMLOCK, &none);
    if (geteuid() == 0 && setuid(65534) != 0)
        fprintf(stderr, "key-crash-sim: still root, slower\n");
    printf("1..%zu\n", VCK_ARRAY_COUNT(changes));
    for (size_t c = 0; c < VCK_ARRAY_COUNT(changes); c++) {
        uint64_t count = 0;
        bool is_right = true;
        for (size_t g = 0; g < VCK_ARRAY_COUNT(geometries) && is_right; g++)
            is_right = run_one(&changes[c], &geometries[g], states, &count);
        printf("%sok %zu - %s, cut in %" PRIu64 " states\n", is_right ? "" : "not ", c + 1,
               changes[c].name, count);
        ok &= is_right;
    }
    return ok ? 0 : 1;
}
