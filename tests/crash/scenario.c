/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"
#include "vck/block.h"
#include "vck/prepare.h"
#include "vck/store.h"
#include "vck/xts.h"

#define METADATA_BYTES VCK_METADATA_SIZE_MIN
#define SWEEP_POLLS    100000u

static const uint8_t vmk[32] = "the key of all simulated volumes";
const struct vck_bytes scenario_vmk = {vmk, sizeof vmk};

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return (random_next(state) >> 33) % limit;
}

static uint64_t pick(struct scenario *s, uint64_t limit)
{
    return random_below(&s->random, limit);
}

static void require(bool ok, struct scenario *s, const char *what)
{
    if (!ok && !s->failure)
        s->failure = what;
}

/* ---- users ---- */

static void end_user(struct scenario *s, struct user *u)
{
    size_t now = s->disk->event_count;
    bool fua = (u->request.flags & VCK_REQUEST_FUA) != 0;

    u->active = false;
    require(u->request.status == VCK_OK, s, "a request failed");
    if (u->op == VCK_REQUEST_FLUSH)
        truth_flushed(&s->truth, u->issued, now);
    else if (u->op != VCK_REQUEST_READ)
        truth_acknowledge(&s->truth, u->first, u->count, now, fua);
    else
        for (uint64_t i = 0; i < u->count; i++)
            require(
                truth_is_current(&s->truth, u->first + i, u->buffer + i * s->truth.sector_bytes), s,
                "a read returned something else than was written");
    free(u->buffer);
}

static void poll_user(struct scenario *s, struct user *u)
{
    if (u->active && vck_future_poll(&u->request.future, &vck_waker_noop) == VCK_READY)
        end_user(s, u);
}

/* Ranges in flight are apart from each other, so that their order is known. */
static bool is_free_range(const struct scenario *s, uint64_t first, uint64_t count)
{
    for (unsigned i = 0; i < USERS_MAX; i++)
        if (s->users[i].active && s->users[i].op != VCK_REQUEST_FLUSH &&
            vck_ranges_overlap(first, count, s->users[i].first, s->users[i].count))
            return false;
    return true;
}

static void issue_content(struct scenario *s, struct user *u)
{
    static const enum version_kind kinds[] = {
        [VCK_REQUEST_WRITE] = VERSION_DATA,
        [VCK_REQUEST_ZERO] = VERSION_ZERO,
        [VCK_REQUEST_DISCARD] = VERSION_ANYTHING,
    };

    truth_issue(&s->truth, u->first, u->count, kinds[u->op], u->issued);
    if (u->op != VCK_REQUEST_WRITE)
        return;
    for (uint64_t i = 0; i < u->count; i++) {
        uint64_t sector = u->first + i;
        truth_content(&s->truth, sector, &s->truth.versions[sector][s->truth.counts[sector] - 1],
                      u->buffer + i * s->truth.sector_bytes);
    }
}

static void issue(struct scenario *s, struct user *u, enum vck_request_op op, uint64_t first,
                  uint64_t count, unsigned flags)
{
    uint64_t size_bytes = count * s->truth.sector_bytes;

    *u = (struct user){.active = true, .op = op, .first = first, .count = count};
    u->issued = s->disk->event_count;
    u->buffer = calloc(1, size_bytes + 1);
    if (op == VCK_REQUEST_WRITE || op == VCK_REQUEST_ZERO || op == VCK_REQUEST_DISCARD)
        issue_content(s, u);
    vck_request_init(&u->request, s->volume, op, flags, first * s->truth.sector_bytes,
                     op == VCK_REQUEST_READ || op == VCK_REQUEST_WRITE ? u->buffer : NULL,
                     size_bytes);
    poll_user(s, u);
}

static void random_request(struct scenario *s)
{
    static const enum vck_request_op ops[] = {
        VCK_REQUEST_WRITE, VCK_REQUEST_WRITE, VCK_REQUEST_WRITE,   VCK_REQUEST_READ,
        VCK_REQUEST_FLUSH, VCK_REQUEST_ZERO,  VCK_REQUEST_DISCARD, VCK_REQUEST_READ};
    struct user *u = &s->users[pick(s, USERS_MAX)];
    enum vck_request_op op = ops[pick(s, VCK_ARRAY_COUNT(ops))];
    uint64_t count = 1 + pick(s, 6);
    uint64_t first = pick(s, s->truth.sectors - count + 1);
    unsigned flags = op == VCK_REQUEST_WRITE && pick(s, 5) == 0 ? VCK_REQUEST_FUA : 0;

    if (u->active)
        return;
    if (op == VCK_REQUEST_FLUSH)
        issue(s, u, op, 0, 0, 0);
    else if (is_free_range(s, first, count))
        issue(s, u, op, first, count, flags);
}

/* ---- the sweep ---- */

static void poll_sweep(struct scenario *s)
{
    struct vck_future *sweep = vck_volume_sweep_future(s->volume);

    if (sweep)
        (void)vck_future_poll(sweep, &vck_waker_noop);
}

void scenario_quiesce(struct scenario *s)
{
    for (unsigned round = 0; round < SWEEP_POLLS; round++) {
        bool busy = false;

        crash_disk_complete_all(s->disk);
        for (unsigned i = 0; i < USERS_MAX; i++) {
            poll_user(s, &s->users[i]);
            busy |= s->users[i].active;
        }
        if (!busy && s->disk->held_count == 0)
            break;
        poll_sweep(s);
        require(round + 1 < SWEEP_POLLS, s, "a request never ends");
    }
}

static bool sweep_is_running(struct scenario *s)
{
    return vck_volume_sweep_future(s->volume) != NULL;
}

/* To the next batch boundary, with operations held and completed one by one. */
static void run_to_boundary(struct scenario *s) VCK_CAN_WAIT
{
    vck_volume_request_stop(s->volume);
    for (unsigned i = 0; i < SWEEP_POLLS && sweep_is_running(s); i++) {
        poll_sweep(s);
        for (unsigned u = 0; u < USERS_MAX; u++)
            poll_user(s, &s->users[u]);
        if (s->disk->held_count)
            crash_disk_complete(s->disk, pick(s, s->disk->held_count));
    }
    require(!sweep_is_running(s), s, "a sweep does not stop");
    scenario_quiesce(s);
}

void scenario_start(struct scenario *s, enum vck_direction direction)
{
    vck_status status;

    run_to_boundary(s);
    s->disk->inline_mode = true;
    status = vck_volume_start(s->volume, direction);
    s->disk->inline_mode = false;
    require(status == VCK_OK, s, "a sweep does not start");
}

/* What is found in use, granule by granule; the rest loses what it holds. */
static void draw_used(struct scenario *s, uint32_t granule_sectors, bool *used)
{
    for (uint64_t i = 0; i < s->truth.sectors; i++) {
        used[i] = i % granule_sectors ? used[i - 1] : pick(s, 3) == 0;
        if (!used[i])
            truth_unused(&s->truth, i, s->disk->event_count);
    }
}

static vck_status add_used(struct scenario *s, uint64_t recording, const bool *used) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    for (uint64_t i = 0; i < s->truth.sectors && status == VCK_OK; i++)
        if (used[i])
            status = vck_volume_used_add(
                s->volume, recording,
                &(struct vck_used_range){i * s->truth.sector_bytes, s->truth.sector_bytes}, 1);
    return status;
}

void scenario_start_used(struct scenario *s)
{
    uint32_t granule_sectors = 1u << pick(s, 3);
    bool *used = calloc(s->truth.sectors, sizeof *used);
    uint64_t recording = 0;
    vck_status status;

    if (!used)
        abort();
    run_to_boundary(s);
    s->disk->inline_mode = true;
    status = vck_volume_used_begin(s->volume, granule_sectors * s->truth.sector_bytes, &recording);
    s->disk->inline_mode = false;
    draw_used(s, granule_sectors, used);
    for (unsigned i = 0; i < 2; i++)
        random_request(s);
    scenario_quiesce(s);
    s->disk->inline_mode = true;
    if (status == VCK_OK)
        status = add_used(s, recording, used);
    if (status == VCK_OK)
        status = vck_volume_used_start(s->volume, recording);
    s->disk->inline_mode = false;
    free(used);
    require(status == VCK_OK, s, "a sweep of what is used does not start");
}

void scenario_rekey(struct scenario *s, bool back)
{
    vck_status status;

    run_to_boundary(s);
    s->disk->inline_mode = true;
    status = back ? vck_volume_rekey_back(s->volume) : vck_volume_rekey(s->volume);
    s->disk->inline_mode = false;
    require(status == VCK_OK || (back && status == VCK_NOT_FOUND) ||
                (!back && status == VCK_VALIDATION_FAILED),
            s, "a rekey does not start");
}

void scenario_pause(struct scenario *s)
{
    vck_status status;

    run_to_boundary(s);
    s->disk->inline_mode = true;
    status = vck_volume_pause(s->volume);
    s->disk->inline_mode = false;
    require(status == VCK_OK, s, "a sweep does not pause");
}

static uint64_t boundary_of(struct scenario *s)
{
    struct vck_volume_status status;

    vck_volume_query(s->volume, &status);
    return status.is_rekeying ? status.rekeyed_sectors : status.encrypted_sectors;
}

void scenario_sweep(struct scenario *s, unsigned batches)
{
    uint64_t last = boundary_of(s);

    for (unsigned i = 0; i < SWEEP_POLLS && batches && sweep_is_running(s); i++) {
        poll_sweep(s);
        if (s->disk->held_count)
            crash_disk_complete(s->disk, pick(s, s->disk->held_count));
        if (boundary_of(s) != last)
            batches--;
        last = boundary_of(s);
    }
}

/* ---- attach and detach ---- */

static void attach(struct scenario *s) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "crash",
        .vmk = scenario_vmk,
        .batch_bytes = s->batch_bytes,
    };
    vck_status status;

    s->disk->inline_mode = true;
    status = vck_volume_attach(&s->disk->disk, &options, &s->volume);
    s->disk->inline_mode = false;
    if (status)
        abort();
}

static void detach(struct scenario *s) VCK_CAN_WAIT
{
    size_t issued;

    scenario_quiesce(s);
    if (pick(s, 2))
        run_to_boundary(s);
    s->disk->inline_mode = true;
    crash_disk_complete_all(s->disk);
    issued = s->disk->event_count;
    require(vck_volume_detach(s->volume) == VCK_OK, s, "a volume does not detach");
    s->volume = NULL;
    truth_flushed(&s->truth, issued, s->disk->event_count);
}

void scenario_reattach(struct scenario *s)
{
    detach(s);
    attach(s);
}

void scenario_forget(struct scenario *s)
{
    detach(s);
    crash_disk_settle(s->disk);
    truth_settle(&s->truth);
    attach(s);
}

/* ---- requests with a plot ---- */

void scenario_write(struct scenario *s, uint64_t first, uint64_t count)
{
    scenario_quiesce(s);
    issue(s, &s->users[0], VCK_REQUEST_WRITE, first, count, 0);
    scenario_quiesce(s);
}

void scenario_press(struct scenario *s, unsigned steps)
{
    struct vck_volume_status status;

    for (unsigned i = 0; i < steps && !s->failure; i++) {
        struct user *u = &s->users[pick(s, USERS_MAX)];
        uint64_t sector;

        vck_volume_query(s->volume, &status);
        sector = status.hot_first_sector + pick(s, status.hot_sectors + 1);
        if (!u->active && pick(s, 3) == 0 && sector < s->truth.sectors &&
            is_free_range(s, sector, 1))
            issue(s, u, VCK_REQUEST_WRITE, sector, 1, VCK_REQUEST_FUA);
        poll_user(s, u);
        if (pick(s, 3) == 0)
            poll_sweep(s);
        if (s->disk->held_count)
            crash_disk_complete(s->disk, pick(s, s->disk->held_count));
    }
}

void scenario_flush(struct scenario *s)
{
    scenario_quiesce(s);
    issue(s, &s->users[0], VCK_REQUEST_FLUSH, 0, 0, 0);
    scenario_quiesce(s);
}

void scenario_check_running(struct scenario *s)
{
    scenario_quiesce(s);
    issue(s, &s->users[0], VCK_REQUEST_READ, 0, s->truth.sectors, 0);
    scenario_quiesce(s);
}

/* ---- another implementation ---- */

static void foreign_transform(struct scenario *s, const struct vck_store *store, uint64_t boundary)
{
    uint64_t old = store->state.encrypted_offset_sectors;
    uint32_t size = s->truth.sector_bytes;
    uint8_t *data = s->disk->now + store->layout.data_start_lba * size;
    struct vck_xts xts;

    if (vck_xts_init(&xts, store->fvek_key1, store->fvek_key2) != VCK_OK)
        abort();
    if (boundary > old)
        vck_xts_encrypt(&xts, data + old * size, data + old * size, (boundary - old) * size, size,
                        old);
    else
        vck_xts_decrypt(&xts, data + boundary * size, data + boundary * size,
                        (old - boundary) * size, size, boundary);
    vck_xts_fini(&xts);
}

static void foreign_block(struct scenario *s, const struct vck_store *store, uint32_t replica,
                          uint64_t boundary, enum vck_direction direction)
{
    struct vck_block_header header = store->header;
    struct vck_block_metadata metadata = {
        .encrypted_offset_sectors = boundary,
        .direction = direction,
    };
    uint8_t *at = s->disk->now +
                  vck_layout_block_lba(&store->layout, replica) * store->layout.sector_size_bytes;

    for (unsigned i = 0; i < sizeof header.salt; i++)
        header.salt[i] = (uint8_t)pick(s, 256);
    memcpy(metadata.fvek_key1, store->fvek_key1, sizeof metadata.fvek_key1);
    memcpy(metadata.fvek_key2, store->fvek_key2, sizeof metadata.fvek_key2);
    if (store->codec->seal(store->codec, &header, &metadata, scenario_vmk, at) != VCK_OK)
        abort();
}

void scenario_foreign(struct scenario *s, bool first_replica_only)
{
    struct vck_store store;
    uint64_t old;
    uint64_t boundary;
    enum vck_direction direction;

    detach(s);
    s->disk->inline_mode = true;
    if (vck_store_open(&store, &s->disk->disk, scenario_vmk, NULL, VCK_STORE_ANY_REPLICA) != VCK_OK)
        abort();
    old = store.state.encrypted_offset_sectors;
    boundary = pick(s, s->truth.sectors + 1);
    direction = boundary >= old ? VCK_ENCRYPTING : VCK_DECRYPTING;
    if (first_replica_only && direction != store.state.direction)
        first_replica_only = false;
    foreign_transform(s, &store, boundary);
    for (uint32_t i = 0; i < store.layout.replica_count; i++)
        if (i == 0 || !first_replica_only)
            foreign_block(s, &store, i, boundary, direction);
    vck_store_fini(&store);
    crash_disk_settle(s->disk);
    truth_settle(&s->truth);
    attach(s);
}

/* ---- the whole ---- */

void scenario_begin(struct scenario *s, uint64_t seed, const struct geometry *geometry)
{
    uint64_t region_bytes =
        METADATA_BYTES / geometry->sector_bytes * (uint64_t)geometry->sector_bytes;
    uint64_t data_bytes = geometry->data_sectors * geometry->sector_bytes;
    struct vck_prepare_params params = {
        .header_count = geometry->headers,
        .footer_count = geometry->footers,
        .metadata_size_bytes = METADATA_BYTES,
        .sector_size_bytes = geometry->sector_bytes,
        .single_replica = true,
        .vmk = scenario_vmk,
    };
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    memset(s, 0, sizeof *s);
    s->random = seed * 0x9e3779b97f4a7c15ull + 1;
    s->geometry = *geometry;
    s->batch_bytes = geometry->sector_bytes * (uint32_t)(1 + pick(s, 10));
    s->disk = crash_disk_create((geometry->headers + geometry->footers) * region_bytes + data_bytes,
                                geometry->disk_sector_bytes, geometry->atomic_bytes);
    truth_init(&s->truth, geometry->data_sectors, geometry->sector_bytes, geometry->atomic_bytes,
               seed);
    truth_fill(&s->truth, s->disk->now + geometry->headers * region_bytes);
    if (vck_prepare_volume(&s->disk->disk, &params, &result, &fault) != VCK_OK)
        abort();
    crash_disk_settle(s->disk);
    s->disk->recording = true;
    attach(s);
}

void scenario_end(struct scenario *s)
{
    if (s->volume) {
        scenario_quiesce(s);
        s->disk->inline_mode = true;
        (void)vck_volume_detach(s->volume);
    }
    truth_fini(&s->truth);
    crash_disk_free(s->disk);
}

/* In the direction, or, where a rekey is open, on or back. */
static void random_start(struct scenario *s, enum vck_direction direction) VCK_CAN_WAIT
{
    struct vck_volume_status status;

    vck_volume_query(s->volume, &status);
    if (status.is_rekeying)
        scenario_rekey(s, direction == VCK_DECRYPTING);
    else
        scenario_start(s, direction);
}

static void random_command(struct scenario *s) VCK_CAN_WAIT
{
    switch (pick(s, 8)) {
    case 0:
    case 1:
    case 2:
        random_start(s, VCK_ENCRYPTING);
        break;
    case 3:
    case 4:
        random_start(s, VCK_DECRYPTING);
        break;
    case 5:
        scenario_pause(s);
        break;
    case 6:
        scenario_reattach(s);
        break;
    default:
        scenario_check_running(s);
        break;
    }
}

void scenario_run(struct scenario *s, unsigned steps)
{
    for (unsigned i = 0; i < steps && !s->failure; i++) {
        uint64_t what = pick(s, 100);

        if (what < 35)
            poll_sweep(s);
        else if (what < 75 && s->disk->held_count)
            crash_disk_complete(s->disk, pick(s, s->disk->held_count));
        else if (what < 85)
            random_request(s);
        else if (what < 98)
            poll_user(s, &s->users[pick(s, USERS_MAX)]);
        else
            random_command(s);
    }
}
