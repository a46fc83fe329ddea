/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"
#include "vck/log.h"
#include "vck/secret.h"

/* Room that a request which changes something asks for before it begins: more than its longest
 * response. */
#define CHANGE_RESPONSE_BYTES 256u

struct handler {
    uint32_t code;
    vck_status (*handle)(struct control_request *r, const void *message);
};

/* ---- finding ---- */

/* By asking the host of each volume whether it is the one. */
static vck_status find_alias(struct control_request *r, const char *path,
                             struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    struct vck_volume *volume;

    if (!r->host->ops->is_same)
        return VCK_NOT_FOUND;
    for (uint32_t i = 0; vck_registry_at(r->host->registry, i, &volume) == VCK_OK; i++) {
        if (r->host->ops->is_same(r->host, vck_volume_path(volume), path)) {
            *ret_volume = volume;
            return VCK_OK;
        }
        vck_volume_release(volume);
    }
    return VCK_NOT_FOUND;
}

vck_status control_find(struct control_request *r, const char *path, struct vck_volume **ret_volume)
{
    char *canonical = vck_alloc(VCK_VOLUME_PATH_BYTES, CONTROL_TAG);
    vck_status status;

    if (!canonical)
        return VCK_NO_MEMORY;
    status = control_canonical_path(r, path, canonical);
    if (status)
        goto out;
    status = vck_registry_find(r->host->registry, path, ret_volume);
    if (status)
        status = vck_registry_find(r->host->registry, canonical, ret_volume);
    if (status)
        status = find_alias(r, path, ret_volume);
    if (status)
        control_explain(&r->why, status, "%s is not attached", path);
out:
    vck_free(canonical);
    return status;
}

/* ---- looking ---- */

vck_status control_respond(struct control_request *r, const void *message)
{
    enum vck_message_type type = r->info->response;
    vck_status status;

    /* Whoever brings no buffer wants no empty map. */
    if (type == VCK_MESSAGE_EMPTY && r->capacity_bytes == 0)
        return VCK_OK;
    status = vck_message_encode(type, message, r->response, r->capacity_bytes, &r->response_bytes);
    r->response_too_large = status == VCK_SIZE_MISMATCH;
    return status;
}

vck_status control_respond_empty(struct control_request *r, vck_status status)
{
    const struct vck_msg_empty empty = {0};

    return status ? status : control_respond(r, &empty);
}

static bool is_below_fsd(struct control_request *r, const char *path, bool is_attached)
{
    if (r->host->ops->is_below_fsd)
        return r->host->ops->is_below_fsd(r->host, path);
    return is_attached && r->host->filter_below_fsd;
}

static vck_status get_status(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    struct vck_volume_status status;
    struct vck_msg_volume_status response = {.volume_path = request->volume_path};
    vck_status result = control_find(r, request->volume_path, &volume);

    if (result && result != VCK_NOT_FOUND)
        return result;
    response.filter_below_fsd = is_below_fsd(r, request->volume_path, result == VCK_OK);
    if (result)
        return control_respond(r, &response);
    vck_volume_query(volume, &status);
    response = (struct vck_msg_volume_status){
        .volume_path = vck_volume_path(volume),
        .state = status.state,
        .encrypted_sector = status.encrypted_sectors,
        .total_sectors = status.total_sectors,
        .sector_size = status.sector_size_bytes,
        .is_attached = status.is_attached,
        .filter_below_fsd = response.filter_below_fsd,
        .direction = status.direction,
        .damaged_chunks = status.damaged_chunks,
        .rate_mib_s = status.rate_mib_s,
        .bytes_per_s = status.bytes_per_s,
        .rekeying = status.is_rekeying,
        .rekeyed_sector = status.rekeyed_sectors,
        .error = status.error,
        .is_suspended = status.is_suspended,
        .used_only = status.is_used_only,
        .skipped_sectors = status.skipped_sectors,
    };
    result = control_respond(r, &response);
    vck_volume_release(volume);
    return result;
}

static vck_status get_progress(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    struct vck_volume_status status;
    struct vck_msg_progress_event response;
    vck_status result = control_find(r, request->volume_path, &volume);

    if (result)
        return result;
    vck_volume_query(volume, &status);
    response = (struct vck_msg_progress_event){
        .encrypted_sector = status.encrypted_sectors,
        .total_sectors = status.total_sectors,
        .state = status.state,
        .error = status.error,
    };
    result = control_respond(r, &response);
    vck_volume_release(volume);
    return result;
}

/* A volume in a list keeps its path alive by its reference. */
struct listed {
    struct vck_volume **volumes;
    struct vck_msg_volume_entry *entries;
    uint32_t count;
};

static void fill_listed(struct control_request *r, uint32_t capacity,
                        struct listed *listed) VCK_CAN_WAIT
{
    while (listed->count < capacity && vck_registry_at(r->host->registry, listed->count,
                                                       &listed->volumes[listed->count]) == VCK_OK) {
        struct vck_volume *volume = listed->volumes[listed->count];
        struct vck_volume_status status;

        vck_volume_query(volume, &status);
        listed->entries[listed->count++] = (struct vck_msg_volume_entry){
            .volume_path = vck_volume_path(volume),
            .state = status.state,
            .encrypted_sector = status.encrypted_sectors,
            .total_sectors = status.total_sectors,
            .sector_size = status.sector_size_bytes,
            .is_os_volume = vck_volume_is_os_volume(volume),
            .is_suspended = status.is_suspended,
        };
    }
}

static uint32_t volume_count(struct control_request *r) VCK_CAN_WAIT
{
    uint32_t count;

    vck_mutex_acquire(&r->host->registry->lock);
    count = r->host->registry->count;
    vck_mutex_release(&r->host->registry->lock);
    return count;
}

static vck_status list_volumes(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    uint32_t capacity = volume_count(r) + 8; /* some may be attached meanwhile */
    struct listed listed = {0};
    struct vck_msg_volume_list response;
    vck_status status = VCK_NO_MEMORY;

    (void)message;
    listed.volumes = vck_alloc(capacity * sizeof(*listed.volumes), CONTROL_TAG);
    listed.entries = vck_alloc(capacity * sizeof(*listed.entries), CONTROL_TAG);
    if (!listed.volumes || !listed.entries)
        goto out;
    fill_listed(r, capacity, &listed);
    response = (struct vck_msg_volume_list){.volumes = listed.entries, .count = listed.count};
    status = control_respond(r, &response);
out:
    for (uint32_t i = 0; i < listed.count; i++)
        vck_volume_release(listed.volumes[i]);
    vck_free(listed.entries);
    vck_free(listed.volumes);
    return status;
}

static vck_status list_damage(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    struct vck_msg_damage_list response = {0};
    struct vck_damage_list *list = vck_alloc(sizeof(*list), CONTROL_TAG);
    vck_status status = list ? control_find(r, request->volume_path, &volume) : VCK_NO_MEMORY;

    if (status)
        goto out;
    /* A provisional volume knows of no damage. */
    if (!vck_volume_is_provisional(volume))
        vck_volume_damage(volume, list);
    response.chunk_bytes = list->chunk_bytes;
    response.offsets = list->offset_bytes;
    response.count = list->count;
    status = control_respond(r, &response);
    vck_volume_release(volume);
out:
    vck_free(list);
    return status;
}

static vck_status get_last_error(struct control_request *r, const void *message)
{
    const struct vck_msg_text response = {.text = r->caller->last_error};

    (void)message;
    return control_respond(r, &response);
}

/* ---- the sweep ---- */

/* What a refused start or pause means for this volume, where the status alone says little. */
vck_status control_explain_sweep(struct control_request *r, struct vck_volume *volume,
                                 vck_status status)
{
    struct vck_volume_status now;

    if (status == VCK_OK)
        return status;
    vck_volume_query(volume, &now);
    if (!now.is_attached)
        return control_explain(&r->why, status, "%s is prepared but has no key yet",
                               vck_volume_path(volume));
    if (now.is_suspended)
        return control_explain(&r->why, status, "%s is suspended: it needs its key first",
                               vck_volume_path(volume));
    if (status == VCK_BUSY && now.is_rekeying)
        return control_explain(&r->why, status, "%s is being rekeyed: %u of %u sectors are",
                               vck_volume_path(volume), now.rekeyed_sectors, now.total_sectors);
    if (status == VCK_UNSUPPORTED)
        return control_explain(&r->why, status, "%s has no place for the journal of a sweep",
                               vck_volume_path(volume));
    if (now.failed)
        return control_explain(&r->why, status,
                               "a flush of %s has failed: detach and attach it again",
                               vck_volume_path(volume));
    if (now.error[0])
        return control_explain(&r->why, status, "%s: %s, at sector %u of %u",
                               vck_volume_path(volume), now.error, now.encrypted_sectors,
                               now.total_sectors);
    return status;
}

static vck_status explain_rekey(struct control_request *r, struct vck_volume *volume,
                                vck_status status)
{
    struct vck_volume_status now;

    vck_volume_query(volume, &now);
    if (status == VCK_VALIDATION_FAILED)
        return control_explain(&r->why, status,
                               "%s is not encrypted as a whole, with its sweep at rest: %u of %u "
                               "sectors are ciphertext",
                               vck_volume_path(volume), now.encrypted_sectors, now.total_sectors);
    if (status == VCK_DAMAGED)
        return control_explain(&r->why, status,
                               "%u chunks of %s are lost; they have to be written first",
                               now.damaged_chunks, vck_volume_path(volume));
    if (status == VCK_NOT_FOUND)
        return control_explain(&r->why, status, "%s is not being rekeyed", vck_volume_path(volume));
    return control_explain_sweep(r, volume, status);
}

enum sweep_verb {
    SWEEP_ENCRYPT,
    SWEEP_DECRYPT,
    SWEEP_RESUME,
    SWEEP_PAUSE,
    SWEEP_REKEY,
    SWEEP_REKEY_BACK,
};

vck_status control_may_encrypt(struct control_request *r, struct vck_volume *volume)
{
    return r->host->ops->before_encrypt ? r->host->ops->before_encrypt(r->host, volume, &r->why)
                                        : VCK_OK;
}

static vck_status start_encrypting(struct control_request *r,
                                   struct vck_volume *volume) VCK_CAN_WAIT
{
    vck_status status = control_may_encrypt(r, volume);

    if (status)
        return status;
    return control_explain_sweep(r, volume, vck_volume_start(volume, VCK_ENCRYPTING));
}

static vck_status move_sweep(struct control_request *r, const void *message,
                             enum sweep_verb verb) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    switch (verb) {
    case SWEEP_ENCRYPT:
        status = start_encrypting(r, volume);
        break;
    case SWEEP_DECRYPT:
        status = control_explain_sweep(r, volume, vck_volume_start(volume, VCK_DECRYPTING));
        break;
    case SWEEP_RESUME:
        status = control_explain_sweep(r, volume, vck_volume_resume(volume));
        break;
    case SWEEP_PAUSE:
        status = control_explain_sweep(r, volume, vck_volume_pause(volume));
        break;
    case SWEEP_REKEY:
        status = explain_rekey(r, volume, vck_volume_rekey(volume));
        break;
    case SWEEP_REKEY_BACK:
        status = explain_rekey(r, volume, vck_volume_rekey_back(volume));
        break;
    }
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}

static vck_status start_encrypt(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_ENCRYPT);
}

static vck_status start_decrypt(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_DECRYPT);
}

static vck_status resume(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_RESUME);
}

static vck_status pause(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_PAUSE);
}

static vck_status rekey(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_REKEY);
}

static vck_status rekey_back(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    return move_sweep(r, message, SWEEP_REKEY_BACK);
}

static vck_status pause_os_volume(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    struct vck_volume *volume;
    vck_status result = VCK_NOT_FOUND;

    (void)message;
    for (uint32_t i = 0; vck_registry_at(r->host->registry, i, &volume) == VCK_OK; i++) {
        if (vck_volume_is_os_volume(volume)) {
            vck_status status = control_explain_sweep(r, volume, vck_volume_pause(volume));

            if (result == VCK_NOT_FOUND || status)
                result = status;
        }
        vck_volume_release(volume);
    }
    if (result == VCK_NOT_FOUND)
        control_explain(&r->why, result, "no OS volume is attached");
    return result;
}

static vck_status set_rate(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_rate_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    vck_volume_set_rate(volume, request->mib_per_s);
    vck_volume_release(volume);
    return control_respond_empty(r, VCK_OK);
}

/* ---- suspending ---- */

static vck_status explain_suspend(struct control_request *r, struct vck_volume *volume,
                                  vck_status status)
{
    const char *path = vck_volume_path(volume);

    if (status == VCK_BUSY)
        return control_explain(&r->why, status,
                               "%s: its sweep is stuck in a batch, which needs the keys", path);
    if (status == VCK_UNSUPPORTED)
        return control_explain(&r->why, status, "%s has no key that could be forgotten", path);
    return status;
}

/* Whoever would ask for the key runs from the OS volume. */
static vck_status suspend(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    if (vck_volume_is_os_volume(volume))
        status = control_explain(&r->why, VCK_PERMISSION_DENIED,
                                 "%s is the OS volume, which the system cannot do without",
                                 vck_volume_path(volume));
    else
        status = explain_suspend(r, volume, vck_volume_suspend(volume));
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}

static vck_status wake(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_wake_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);
    const char *why = NULL;

    if (status)
        return status;
    status = vck_volume_wake(volume, request->vmk);
    if (status == VCK_UNSUPPORTED && !vck_volume_is_suspended(volume))
        why = "it is not suspended";
    else if (status == VCK_WRONG_KEY)
        why = "the key does not open it; it stays suspended";
    else if (status == VCK_VALIDATION_FAILED)
        why = "its disk has been changed since it was suspended; it stays so";
    if (why)
        control_explain(&r->why, status, "%s: %s", vck_volume_path(volume), why);
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}

/* ---- detaching ---- */

/* Whoever gets the volume out of the registry ends it; after_detach comes either way. */
VCK_NOINLINE vck_status vck_control_end_volume(struct vck_control_host *host,
                                               struct vck_volume *volume)
{
    struct vck_volume_status last;
    vck_status status = vck_registry_remove(host->registry, volume);

    if (status == VCK_OK && host->ops->out_of_place)
        host->ops->out_of_place(host, volume);
    if (status == VCK_OK)
        status = vck_volume_detach(volume);
    vck_volume_query(volume, &last);
    if (host->ops->after_detach)
        host->ops->after_detach(host, vck_volume_path(volume), last.encrypted_sectors > 0);
    return status;
}

/* Under a claim, which keeps others from attaching it again before it is gone. */
static vck_status detach_found(struct control_request *r, struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_control_host *host = r->host;
    struct vck_volume_status now;
    vck_status status = VCK_OK;

    vck_volume_query(volume, &now);
    if (vck_volume_is_os_volume(volume) && now.encrypted_sectors > 0)
        return control_explain(&r->why, VCK_PERMISSION_DENIED,
                               "%s is the OS volume and %u of its %u sectors are encrypted",
                               vck_volume_path(volume), now.encrypted_sectors, now.total_sectors);
    /* Users of a suspended volume can only fail: nothing they wait for would ever come. */
    if (now.is_suspended)
        vck_volume_give_up(volume);
    if (host->ops->before_detach)
        status = host->ops->before_detach(host, volume, now.is_suspended,
                                          now.is_suspended ? NULL : &r->why);
    if (status)
        return status;
    status = vck_control_end_volume(host, volume);
    if (status == VCK_IO)
        control_explain(&r->why, status, "%s is detached, but its last flush failed",
                        vck_volume_path(volume));
    return status;
}

static vck_status detach(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    const struct vck_msg_volume_request *request = message;
    struct control_claim *claim;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    status = control_claim(r, vck_volume_path(volume), &claim);
    if (status == VCK_OK) {
        status = detach_found(r, volume);
        control_unclaim(r, claim);
    }
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}

/* Who prepares or detaches it at the moment comes to an end first: half in place, it could not be
 * taken out of place. */
static void end_claimed(struct vck_control_host *host, struct vck_volume *volume) VCK_CAN_WAIT
{
    struct control_claim claim = {.path = vck_volume_path(volume)};
    vck_status status;

    vck_volume_give_up(volume);
    control_claim_begin(host, &claim);
    if (host->ops->before_detach)
        (void)host->ops->before_detach(host, volume, true, NULL);
    status = vck_control_end_volume(host, volume);
    control_claim_end(host, &claim);
    if (status && status != VCK_NOT_FOUND)
        vck_log_error("detaching %s: %s", vck_volume_path(volume), vck_status_text(status));
}

void vck_control_detach_all(struct vck_control_host *host, bool os_volumes_too)
{
    struct vck_volume *volume;
    uint32_t index = 0;

    while (vck_registry_at(host->registry, index, &volume) == VCK_OK) {
        if (vck_volume_is_os_volume(volume) && !os_volumes_too)
            index++;
        else
            end_claimed(host, volume);
        vck_volume_release(volume);
    }
}

static vck_status detach_all(struct control_request *r, const void *message) VCK_CAN_WAIT
{
    (void)message;
    vck_control_detach_all(r->host, false);
    return VCK_OK;
}

/* ---- dispatch ---- */

static const struct handler handlers[VCK_CODE_COUNT] = {
    {VCK_CODE_GET_STATUS, get_status},
    {VCK_CODE_START_ENCRYPT, start_encrypt},
    {VCK_CODE_START_DECRYPT, start_decrypt},
    {VCK_CODE_GET_PROGRESS, get_progress},
    {VCK_CODE_PAUSE, pause},
    {VCK_CODE_ATTACH, control_attach},
    {VCK_CODE_DETACH, detach},
    {VCK_CODE_PREPARE, control_prepare},
    {VCK_CODE_PAUSE_OS_VOLUME, pause_os_volume},
    {VCK_CODE_DETACH_ALL_VOLUMES, detach_all},
    {VCK_CODE_BENCH_AES, control_bench},
    {VCK_CODE_LIST_VOLUMES, list_volumes},
    {VCK_CODE_RESUME, resume},
    {VCK_CODE_SET_RATE, set_rate},
    {VCK_CODE_DAMAGE, list_damage},
    {VCK_CODE_LAST_ERROR, get_last_error},
    {VCK_CODE_CHANGE_KEYS, control_change_keys},
    {VCK_CODE_ERASE_KEYS, control_erase_keys},
    {VCK_CODE_SUSPEND, suspend},
    {VCK_CODE_WAKE, wake},
    {VCK_CODE_RECORD_USED, control_record_used},
    {VCK_CODE_ADD_USED, control_add_used},
    {VCK_CODE_START_ENCRYPT_USED, control_start_used},
    {VCK_CODE_REKEY, rekey},
    {VCK_CODE_REKEY_BACK, rekey_back},
    {VCK_CODE_READ_METADATA, control_read_metadata},
};

static const struct handler *find_handler(uint32_t code)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(handlers); i++)
        if (handlers[i].code == code)
            return &handlers[i];
    return NULL;
}

union request_message {
    struct vck_msg_empty empty;
    struct vck_msg_volume_request volume;
    struct vck_msg_prepare_request prepare;
    struct vck_msg_attach_request attach;
    struct vck_msg_bench_request bench;
    struct vck_msg_rate_request rate;
    struct vck_msg_keys_request keys;
    struct vck_msg_wake_request wake;
    struct vck_msg_metadata_request metadata;
    struct vck_msg_used_request used;
};

static vck_status decode(struct control_request *r, uint8_t *request, size_t size_bytes,
                         union request_message *ret_message)
{
    struct vck_message_fault fault;
    vck_status status =
        vck_message_decode(r->info->request, request, size_bytes, ret_message, &fault);

    if (status == VCK_OK)
        return status;
    return control_explain(&r->why, status, "%s: the request%s%s %s, at byte %u of %u",
                           r->info->name, fault.field ? "'s field " : "",
                           fault.field ? fault.field : "", vck_message_fault_text(fault.kind),
                           (uint64_t)fault.offset_bytes, (uint64_t)size_bytes);
}

static bool has_room(const struct control_request *r)
{
    if (r->info->response == VCK_MESSAGE_NONE || r->info->response == VCK_MESSAGE_EMPTY ||
        !vck_code_writes(r->info->code))
        return true;
    return r->capacity_bytes >= CHANGE_RESPONSE_BYTES;
}

static vck_status check_caller(struct control_request *r, uint32_t code)
{
    vck_status status = vck_control_authorize(r->caller, code);

    if (status)
        return control_explain(&r->why, status, "%s %s", r->info ? r->info->name : "this request",
                               vck_code_writes(code) ? "is for administrators"
                                                     : "needs a handle that may read");
    if (!r->info)
        return control_explain(&r->why, VCK_UNSUPPORTED, "no request has the code %u",
                               (uint64_t)code);
    return VCK_OK;
}

static uint32_t fail(struct control_request *r, vck_status status)
{
    if (!r->why.text[0])
        control_explain(&r->why, status, "%s: %s", r->info->name, vck_status_text(status));
    memcpy(r->caller->last_error, r->why.text, sizeof(r->why.text));
    return vck_status_to_nt(status);
}

static uint32_t fail_too_small(struct control_request *r)
{
    control_explain(&r->why, VCK_SIZE_MISMATCH, "%s: the response does not fit into %u bytes",
                    r->info->name, (uint64_t)r->capacity_bytes);
    (void)fail(r, VCK_SIZE_MISMATCH);
    return VCK_NT_BUFFER_TOO_SMALL;
}

static uint32_t handle(struct control_request *r, uint32_t code, uint8_t *request,
                       size_t size_bytes) VCK_CAN_WAIT
{
    union request_message message;
    vck_status status = check_caller(r, code);

    if (status == VCK_OK)
        status = decode(r, request, size_bytes, &message);
    if (status)
        return fail(r, status);
    if (!has_room(r))
        return fail_too_small(r);
    status = find_handler(code)->handle(r, &message);
    if (r->response_too_large)
        return fail_too_small(r);
    return status ? fail(r, status) : 0;
}

uint32_t vck_control_handle(struct vck_control_host *host, struct vck_control_caller *caller,
                            uint32_t code, uint8_t *request, size_t size_bytes, uint8_t *response,
                            size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct control_request *r = vck_alloc(sizeof(*r), CONTROL_TAG);
    uint32_t result;

    if (!r) {
        vck_format(caller->last_error, sizeof(caller->last_error), "%s",
                   vck_status_text(VCK_NO_MEMORY));
        return vck_status_to_nt(VCK_NO_MEMORY);
    }
    r->host = host;
    r->caller = caller;
    r->info = vck_code_find(code);
    r->response = response;
    r->capacity_bytes = capacity_bytes;
    result = handle(r, code, request, size_bytes);
    if (result == 0)
        *ret_size_bytes = r->response_bytes;
    vck_free(r);
    return result;
}

void vck_control_init(struct vck_control_host *host)
{
    vck_mutex_init(&host->lock);
    vck_condition_init(&host->unclaimed);
    vck_link_init(&host->claims);
}

void vck_control_fini(struct vck_control_host *host)
{
    VCK_ASSERT(vck_list_is_empty(&host->claims));
    vck_condition_fini(&host->unclaimed);
    vck_mutex_fini(&host->lock);
}
