/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_live: changes of the slots of an attached volume. The table is edited and sealed here, where
 * the secrets are; the host, which alone writes the disk, takes it from who has the VMK, and only
 * when it was made of what is there.
 */
#include <string.h>
#include "products/vck/client.h"
#include "products/vck/key_work.h"
#include "products/vck/os.h"

static int call(const struct work *w, const struct vck_msg_keys_request *request,
                struct vck_msg_keys_response *ret_response)
{
    struct client client;
    int code = client_open(&client, w->command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_CHANGE_KEYS, request, ret_response);
    client_close(&client);
    return code;
}

static int send_table(struct work *w, struct vck_bytes vmk, struct vck_bytes new_vmk,
                      struct vck_msg_keys_response *ret_response)
{
    struct vck_key_session *session = &w->session;
    struct vck_msg_keys_request request = {
        .volume_path = w->path,
        .base_generation = session->generation,
        .start_over = w->starts_over,
        .new_vmk = new_vmk,
    };
    if (new_vmk.size_bytes > 0)
        request.vmk = vmk;
    vck_status status = vck_key_table_seal(session->table, session->generation + 1,
                                           new_vmk.size_bytes > 0 ? new_vmk : vmk);
    if (status != VCK_OK)
        return report(w->command, exit_code_of(status), "cannot seal the key slots: %s",
                      vck_status_text(status));
    request.table =
        (struct vck_bytes){session->table->bytes, vck_key_table_size_bytes(session->table)};
    return call(w, &request, ret_response);
}

int live_change(struct work *w)
{
    struct vck_msg_keys_response response = {0};
    int code = send_table(w, work_vmk(w), (struct vck_bytes){0}, &response);
    if (code != EXIT_OK || response.failed_replicas == 0)
        return code;
    return report(w->command, EXIT_PROBLEMS,
                  "%s: the change is made, but could not be written to %u of %u replicas", w->path,
                  response.failed_replicas, response.replicas);
}

int live_rotate(struct work *w, const struct vck_secret *new_vmk)
{
    struct vck_msg_keys_response response = {0};
    int code = send_table(w, work_vmk(w), vck_secret_bytes(new_vmk), &response);
    if (code == EXIT_OK)
        printf("%s has a new volume master key\n", w->path);
    return code;
}

int live_erase(const struct work *w, uint32_t *ret_failed_replicas)
{
    struct client client;
    struct vck_msg_keys_response response = {0};
    struct vck_msg_volume_request request = {.volume_path = w->path};
    int code = client_open(&client, w->command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_ERASE_KEYS, &request, &response);
    client_close(&client);
    *ret_failed_replicas = response.failed_replicas;
    return code;
}
