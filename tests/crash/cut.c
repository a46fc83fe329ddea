/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cut.h"
#include "vck/secret.h"
#include "vck/store.h"

#define NESTED_MAX      3u /* cuts of recoveries of cuts ... */
#define RECOVERY_CUTS   3u /* at places of one recovery */
#define NO_SECTOR       UINT64_MAX
#define PHYSICAL_BYTES  4096u
#define LOG_TAIL_EVENTS 24u

/* One image that a cut has left, and what is known of it. */
struct state {
    struct scenario *s;
    const char *name;
    const struct cut_options *options;
    size_t cut;           /* in the scenario's history */
    unsigned depth;       /* 0: cut of the scenario itself */
    uint64_t torn_sector; /* a data sector torn inside, NO_SECTOR: none */
    bool torn_was_user;   /* ... while a user's write to it was in flight */
    const uint8_t *seen;  /* contents that an earlier attach of the same image read; may be NULL */
    const bool *was_damaged;
    uint64_t random;
};

/* ---- making an image ---- */

static uint64_t data_start_bytes(const struct scenario *s)
{
    return (uint64_t)s->geometry.headers * VCK_METADATA_SIZE_MIN;
}

static bool is_data(const struct scenario *s, uint64_t offset_bytes)
{
    uint64_t start = data_start_bytes(s);

    return offset_bytes >= start &&
           offset_bytes < start + s->geometry.data_sectors * s->geometry.sector_bytes;
}

static void land_units(const struct crash_disk *d, const struct write_record *w, uint8_t *image,
                       uint64_t *random, bool whole)
{
    uint32_t unit = d->disk.atomic_bytes;

    for (uint32_t at = 0; at < w->size_bytes; at += unit)
        if (whole || random_below(random, 2))
            memcpy(image + w->offset_bytes + at, w->data + at, VCK_MIN(unit, w->size_bytes - at));
}

static void land(const struct replay *r, uint8_t *image, uint64_t *random)
{
    uint64_t mode = random_below(random, 8);

    memcpy(image, r->durable, r->disk->disk.size_bytes);
    for (size_t i = 0; i < r->floating_count; i++) {
        const struct write_record *w = &r->disk->writes[r->floating[i]];

        if (replay_must_land(r, i))
            land_units(r->disk, w, image, random, true);
        else if (mode == 1 || mode >= 5 || (mode >= 2 && random_below(random, 2)))
            land_units(r->disk, w, image, random, mode < 5);
    }
}

/* One that is still on its way; NULL when there is none. */
static const struct write_record *pick_in_flight(const struct replay *r, uint64_t *random)
{
    size_t i = r->floating_count ? random_below(random, r->floating_count) : 0;

    if (i >= r->floating_count || replay_must_land(r, i))
        return NULL;
    return &r->disk->writes[r->floating[i]];
}

/* The first half of a unit is new and the rest is what was there. */
static void tear_inside(struct state *st, const struct replay *r, uint8_t *image)
{
    const struct scenario *s = st->s;
    const struct write_record *w = pick_in_flight(r, &st->random);
    uint32_t unit = r->disk->disk.atomic_bytes;
    uint64_t at;
    uint64_t sector;

    if (!w)
        return;
    at = random_below(&st->random, w->size_bytes / unit) * unit;
    memcpy(image + w->offset_bytes + at, w->data + at, unit / 2);
    st->options->statistics->inner_tears++;
    if (!is_data(s, w->offset_bytes + at))
        return;
    sector = (w->offset_bytes + at - data_start_bytes(s)) / s->geometry.sector_bytes;
    st->torn_sector = sector;
    for (uint32_t k = 0; k < s->truth.counts[sector]; k++) {
        const struct version *v = &s->truth.versions[sector][k];
        if (v->issued < st->cut && !(v->durable <= st->cut))
            st->torn_was_user = true;
    }
}

/* A physical block under a write of metadata is lost, with its neighbours. */
static void garble(struct state *st, const struct replay *r, uint8_t *image)
{
    const struct write_record *w = pick_in_flight(r, &st->random);
    uint64_t at;

    if (!w)
        return;
    at = w->offset_bytes + random_below(&st->random, w->size_bytes / 512) * 512;
    at = at / PHYSICAL_BYTES * PHYSICAL_BYTES;
    if (is_data(st->s, at) || is_data(st->s, at + PHYSICAL_BYTES - 1))
        return;
    for (uint32_t i = 0; i < PHYSICAL_BYTES; i++)
        image[at + i] = (uint8_t)random_next(&st->random);
    st->options->statistics->garbled++;
}

/* ---- looking at it ---- */

static void print_tail(const struct crash_disk *d, size_t cut)
{
    size_t first = cut > LOG_TAIL_EVENTS ? cut - LOG_TAIL_EVENTS : 0;
    static const char *const kinds[] = {"write", "write done", "flush", "flush done"};

    for (size_t i = first; i < cut && i < d->event_count; i++) {
        const struct event *e = &d->events[i];
        fprintf(stderr, "  %6zu %-10s #%" PRIu32, i, kinds[e->kind], e->id);
        if (e->kind == EVENT_WRITE_SUBMIT)
            fprintf(stderr, " at %" PRIu64 " size %" PRIu32 "%s", d->writes[e->id].offset_bytes,
                    d->writes[e->id].size_bytes, d->writes[e->id].fua ? " FUA" : "");
        fprintf(stderr, "\n");
    }
}

static bool complain(const struct state *st, const char *what, uint64_t sector)
{
    const struct geometry *g = &st->s->geometry;

    if (st->options->flushes_lie)
        return false;
    fprintf(stderr,
            "crash-sim: %s: %s\n  sector %" PRId64 ", cut after %zu of %zu events, depth %u, "
            "sectors of %" PRIu32 ", unit %" PRIu32 ", %" PRIu32 "+%" PRIu32 " replicas, %" PRIu64
            " data sectors, batch %" PRIu32 "\n",
            st->name, what, (int64_t)sector, st->cut, st->s->disk->event_count, st->depth,
            g->sector_bytes, g->atomic_bytes, g->headers, g->footers, g->data_sectors,
            st->s->batch_bytes);
    print_tail(st->s->disk, st->cut);
    return false;
}

static bool check_damaged(struct state *st, uint64_t sector)
{
    st->options->statistics->damaged++;
    if (st->was_damaged ? st->was_damaged[sector] : sector == st->torn_sector)
        return true;
    return complain(st, "a sector is reported as damaged that is not", sector);
}

static bool check_content(struct state *st, uint64_t sector, const uint8_t *content)
{
    uint32_t size = st->s->truth.sector_bytes;

    if (sector == st->torn_sector && st->torn_was_user)
        return true;
    if (st->was_damaged && st->was_damaged[sector])
        return complain(st, "damage is forgotten", sector);
    if (st->seen && memcmp(st->seen + sector * size, content, size) != 0)
        return complain(st, "a second recovery reads something else", sector);
    if (!st->seen && !truth_allows(&st->s->truth, sector, content, st->cut))
        return complain(st, "a sector holds what it never may", sector);
    return true;
}

static bool check_volume(struct state *st, struct vck_volume *volume, uint8_t *contents,
                         bool *damaged) VCK_CAN_WAIT
{
    uint32_t size = st->s->truth.sector_bytes;
    uint64_t sectors = st->s->truth.sectors;
    bool ok = true;
    bool whole = vck_volume_io(volume, VCK_REQUEST_READ, 0, 0, contents, sectors * size) == VCK_OK;

    for (uint64_t i = 0; i < sectors && ok; i++) {
        vck_status status =
            whole ? VCK_OK
                  : vck_volume_io(volume, VCK_REQUEST_READ, 0, i * size, contents + i * size, size);
        damaged[i] = status == VCK_DAMAGED;
        if (status == VCK_DAMAGED)
            ok = check_damaged(st, i);
        else if (status == VCK_OK)
            ok = check_content(st, i, contents + i * size);
        else
            ok = complain(st, "a read fails", i);
    }
    return ok;
}

/* After an orderly detach: replicas equal, halves zero. */
static bool check_closed(struct state *st, struct crash_disk *d) VCK_CAN_WAIT
{
    struct vck_store store;
    struct vck_journal_area area;
    bool ok = true;

    if (vck_store_open(&store, &d->disk, scenario_vmk, NULL, VCK_STORE_ANY_REPLICA) != VCK_OK)
        return complain(st, "a detached volume does not open", NO_SECTOR);
    if (store.any_differs || store.any_generation_zero || store.any_digest_absent)
        ok = complain(st, "replicas differ after a detach", NO_SECTOR);
    vck_layout_journal_area(&store.layout, &area);
    for (uint32_t i = 0; i < area.replica_count && ok; i++)
        if (!vck_all_zero(d->now + area.journal_offset_bytes[i], 2 * area.half_bytes))
            ok = complain(st, "the journal is not closed after a detach", NO_SECTOR);
    vck_store_fini(&store);
    return ok;
}

static bool cut_image(struct state *st, struct crash_disk *d, bool nest) VCK_CAN_WAIT;

/* Cuts the recovery that has just been recorded on d. */
static bool cut_recovery(const struct state *st, struct crash_disk *d, const uint8_t *contents,
                         const bool *damaged, bool cache_was_kept) VCK_CAN_WAIT
{
    struct state inner = *st;
    struct replay replay;
    size_t first = d->adopted_events;
    size_t stop = first + random_below(&inner.random, d->event_count - first + 1);
    struct crash_disk *next =
        crash_disk_create(d->disk.size_bytes, d->disk.sector_size_bytes, d->disk.atomic_bytes);
    bool ok;

    replay_begin(&replay, d, st->options->flushes_lie);
    while (replay.at < stop)
        replay_step(&replay);
    land(&replay, next->now, &inner.random);
    crash_disk_settle(next);
    replay_end(&replay);
    inner.depth++;
    inner.seen = cache_was_kept ? NULL : contents;
    inner.was_damaged = cache_was_kept ? NULL : damaged;
    st->options->statistics->nested++;
    ok = cut_image(&inner, next, random_below(&inner.random, 8) == 0);
    crash_disk_free(next);
    return ok;
}

/* Attaches what is on d, compares, detaches; with `nest`, records that and cuts it again. */
static bool cut_image(struct state *st, struct crash_disk *d, bool nest)
{
    struct vck_volume_options options = {
        .path = "cut", .vmk = scenario_vmk, .batch_bytes = st->s->batch_bytes};
    struct vck_volume *volume = NULL;
    bool cache_was_kept = d->adopted_events != 0;
    uint8_t *contents = malloc(st->s->truth.sectors * st->s->truth.sector_bytes);
    bool *damaged = calloc(st->s->truth.sectors, sizeof *damaged);
    bool ok;

    st->options->statistics->states++;
    d->recording = nest || cache_was_kept;
    if (vck_volume_attach(&d->disk, &options, &volume) != VCK_OK) {
        ok = complain(st, "a volume does not attach", NO_SECTOR);
        goto out;
    }
    ok = check_volume(st, volume, contents, damaged);
    if (vck_volume_detach(volume) != VCK_OK)
        ok = complain(st, "a volume does not detach", NO_SECTOR);
    d->recording = false;
    if (ok)
        ok = check_closed(st, d);
    if (ok && nest && st->depth < NESTED_MAX)
        for (unsigned i = 0; i < RECOVERY_CUTS && ok; i++) {
            ok = cut_recovery(st, d, contents, damaged, cache_was_kept);
            (void)random_next(&st->random);
        }
out:
    free(contents);
    free(damaged);
    return ok;
}

/* The process dies, the cache lives: everything done is visible and nothing of it durable. */
static bool kill_here(struct state *st, const struct replay *r) VCK_CAN_WAIT
{
    struct crash_disk *d = crash_disk_create(
        r->disk->disk.size_bytes, r->disk->disk.sector_size_bytes, r->disk->disk.atomic_bytes);
    bool ok;

    memcpy(d->now, r->durable, d->disk.size_bytes);
    crash_disk_settle(d);
    d->recording = true;
    for (size_t i = 0; i < r->floating_count; i++)
        if (r->done[i] || random_below(&st->random, 2))
            crash_disk_adopt(d, &r->disk->writes[r->floating[i]]);
    st->options->statistics->killed++;
    ok = cut_image(st, d, true);
    crash_disk_free(d);
    return ok;
}

static bool cut_here(struct state *st, const struct replay *r) VCK_CAN_WAIT
{
    struct crash_disk *d = crash_disk_create(
        r->disk->disk.size_bytes, r->disk->disk.sector_size_bytes, r->disk->disk.atomic_bytes);
    bool redundant = st->s->geometry.headers + st->s->geometry.footers > 1;
    uint64_t kind = random_below(&st->random, 12);
    bool ok;

    land(r, d->now, &st->random);
    if (redundant && kind < 2)
        tear_inside(st, r, d->now);
    else if (redundant && kind < 4)
        garble(st, r, d->now);
    crash_disk_settle(d);
    ok = cut_image(st, d, random_below(&st->random, 16) == 0);
    crash_disk_free(d);
    return ok;
}

bool cut_everywhere(struct scenario *s, const char *name, const struct cut_options *options)
{
    uint64_t first = options->statistics->states;
    uint64_t places = s->disk->event_count + 1;
    struct replay replay;
    bool ok = true;

    replay_begin(&replay, s->disk, options->flushes_lie);
    for (;;) {
        /* Spread over the whole history: cuts of recoveries count, too. */
        uint64_t due = first + options->states_wanted * (replay.at + 1) / places;

        while (ok && options->statistics->states < due) {
            struct state st = {
                .s = s,
                .name = name,
                .options = options,
                .cut = replay.at,
                .torn_sector = NO_SECTOR,
                .random = random_next(&s->random) | 1,
            };
            ok = random_below(&st.random, 12) == 0 ? kill_here(&st, &replay)
                                                   : cut_here(&st, &replay);
        }
        if (!ok || replay.at == s->disk->event_count)
            break;
        replay_step(&replay);
    }
    replay_end(&replay);
    return ok;
}
