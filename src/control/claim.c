/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"

struct allocated_claim {
    struct control_claim claim;
    char path[VCK_VOLUME_PATH_BYTES];
};

/* What a claim waits for. */
struct wanted {
    struct vck_control_host *host;
    const char *path;
};

vck_status control_canonical_path(struct control_request *r, const char *path,
                                  char ret_path[VCK_VOLUME_PATH_BYTES])
{
    if (!*path)
        return control_explain(&r->why, VCK_INVALID_DATA, "volume_path is empty");
    return r->host->ops->canonical_path(r->host, path, ret_path, &r->why);
}

/* Under the lock. */
static bool is_claimed(void *context)
{
    const struct wanted *wanted = context;
    size_t size = strlen(wanted->path) + 1;

    VCK_LIST_FOR_EACH(link, next, &wanted->host->claims)
    {
        const char *path = VCK_CONTAINER_OF(link, struct control_claim, link)->path;

        if (strlen(path) + 1 == size && memcmp(path, wanted->path, size) == 0)
            return true;
    }
    return false;
}

static vck_status enlist(struct vck_control_host *host, struct control_claim *claim,
                         uint64_t deadline_ns) VCK_CAN_WAIT
{
    struct wanted wanted = {host, claim->path};
    vck_status status;

    vck_mutex_acquire(&host->lock);
    status =
        vck_condition_wait_while(&host->unclaimed, &host->lock, is_claimed, &wanted, deadline_ns);
    if (status == VCK_OK)
        vck_list_push_back(&host->claims, &claim->link);
    vck_mutex_release(&host->lock);
    return status;
}

void control_claim_begin(struct vck_control_host *host, struct control_claim *claim)
{
    vck_status status = enlist(host, claim, VCK_FOREVER);

    VCK_ASSERT(status == VCK_OK);
}

void control_claim_end(struct vck_control_host *host, struct control_claim *claim)
{
    vck_mutex_acquire(&host->lock);
    vck_link_remove(&claim->link);
    vck_condition_broadcast(&host->unclaimed);
    vck_mutex_release(&host->lock);
}

vck_status control_claim(struct control_request *r, const char *path,
                         struct control_claim **ret_claim)
{
    struct allocated_claim *mine = vck_alloc(sizeof(*mine), CONTROL_TAG);
    vck_status status;

    if (!mine)
        return VCK_NO_MEMORY;
    mine->claim.path = mine->path;
    status = control_canonical_path(r, path, mine->path);
    if (status)
        goto out;
    status = enlist(r->host, &mine->claim, 0);
    if (status == VCK_TIMEOUT)
        status = control_explain(&r->why, VCK_BUSY, "another request is preparing or detaching %s",
                                 mine->path);
    if (status == VCK_OK)
        *ret_claim = &mine->claim;
out:
    if (status)
        vck_free(mine);
    return status;
}

void control_unclaim(struct control_request *r, struct control_claim *claim)
{
    if (!claim)
        return;
    control_claim_end(r->host, claim);
    vck_free(VCK_CONTAINER_OF(claim, struct allocated_claim, claim));
}
