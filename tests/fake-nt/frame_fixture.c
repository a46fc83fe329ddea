/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_fixture.h"
#include <stdio.h>
#include "vck/task.h"

static void name_of(uint32_t adapter, char out[64])
{
    snprintf(out, 64, "\\DEVICE\\{5C0E7A10-2F4B-4D5A-9B1E-00000000000%u}", adapter);
}

static struct vck_bytes bytes_of(const char *text)
{
    return (struct vck_bytes){(const uint8_t *)text, strlen(text)};
}

void frame_begin(struct frame_fixture *f)
{
    *f = (struct frame_fixture){.live = vck_alloc_live_count()};
    fake_ndis_begin();
}

void frame_end(struct frame_fixture *f)
{
    struct ndis_counts counts;

    fake_ndis_settle();
    counts = fake_ndis_count(0);
    assert_int_equal(counts.protocols, 0);
    assert_int_equal(counts.bindings, 0);
    assert_int_equal(counts.pools, 0);
    assert_int_equal(counts.lists, 0);
    fake_ndis_end();
    vck_defer_drain();
    assert_int_equal(vck_alloc_live_count(), f->live);
}

static vck_status wait_for_binds(struct frame_fixture *f) VCK_CAN_WAIT
{
    struct vck_frame_call wait;

    vck_frame_binds_init(&wait, f->protocol);
    vck_block_on(&wait.future);
    return wait.status;
}

static void end_tree(struct frame_fixture *f) VCK_CAN_WAIT
{
    vck_frame_protocol_destroy(f->protocol);
    f->protocol = NULL;
    assert_int_equal(vck_object_unload(f->root, 0), VCK_OK);
    f->root = NULL;
}

vck_status frame_start(struct frame_fixture *f)
{
    static const struct vck_object_type root_type = {.name = "test"};
    struct vck_frame_options options = {.name = "ndisprot"};
    vck_status status = vck_object_create(&root_type, NULL, NULL, NULL, &f->root);

    if (status)
        return status;
    options.parent = f->root;
    status = vck_frame_protocol_create(&options, &f->protocol);
    if (status == VCK_OK)
        status = vck_frame_protocol_start(f->protocol, NULL);
    if (status == VCK_OK)
        status = wait_for_binds(f);
    if (status)
        end_tree(f);
    return status;
}

void frame_stop(struct frame_fixture *f)
{
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++)
        vck_frame_close(&f->openers[i]);
    end_tree(f);
}

vck_status frame_set_filter(struct frame_fixture *f, uint32_t adapter, uint32_t filter)
{
    struct vck_frame_call call;

    vck_frame_set_init(&call, f->openers[adapter].binding, VCK_OID_GEN_CURRENT_PACKET_FILTER,
                       &filter, sizeof(filter));
    vck_block_on(&call.future);
    return call.status;
}

vck_status frame_open(struct frame_fixture *f, uint32_t adapter)
{
    char name[64];
    vck_status status;

    name_of(adapter, name);
    status = vck_frame_open(f->protocol, bytes_of(name), FRAME_TYPE, &f->openers[adapter]);
    if (status)
        return status;
    status = frame_set_filter(f, adapter, VCK_FRAME_FILTER_DEFAULT);
    if (status)
        vck_frame_close(&f->openers[adapter]);
    return status;
}

void frame_close(struct frame_fixture *f, uint32_t adapter)
{
    vck_frame_close(&f->openers[adapter]);
}

struct vck_frame_info frame_info(struct frame_fixture *f, uint32_t adapter)
{
    struct vck_frame_binding *binding;
    struct vck_frame_info info = {.phase = VCK_FRAME_CLOSED};
    char name[64];

    name_of(adapter, name);
    if (vck_frame_binding_find(f->protocol, bytes_of(name), &binding) == VCK_OK) {
        vck_frame_binding_info(binding, &info);
        vck_frame_binding_put(binding);
    }
    return info;
}

void frame_make(uint32_t adapter, uint32_t number, uint32_t bytes, uint8_t *ret_frame)
{
    const uint8_t address[6] = {0x02, 0x56, 0x43, 0x4b, 0x00, (uint8_t)(adapter + 1)};

    memcpy(ret_frame, address, 6);
    memcpy(ret_frame + 6, address, 6);
    vck_store_be16(ret_frame + 12, FRAME_TYPE);
    vck_store_le32(ret_frame + 14, number);
    for (uint32_t i = 18; i < bytes; i++)
        ret_frame[i] = (uint8_t)(number + i * 7);
}

bool frame_is(uint32_t adapter, uint32_t number, const uint8_t *frame, size_t bytes)
{
    uint8_t wanted[NDIS_FRAME_BYTES_MAX];

    frame_make(adapter, number, (uint32_t)bytes, wanted);
    return memcmp(frame, wanted, bytes) == 0;
}

vck_status frame_send(struct frame_fixture *f, uint32_t adapter, uint32_t number, uint32_t bytes)
{
    uint8_t frame[2048];
    struct vck_descriptor descriptor;
    struct vck_frame_call call;

    frame_make(adapter, number, bytes, frame);
    vck_descriptor_init(&descriptor, frame, bytes);
    vck_frame_send_init(&call, &f->openers[adapter], &descriptor, 0, bytes, 0);
    vck_block_on(&call.future);
    return call.status;
}

vck_status frame_read(struct frame_fixture *f, uint32_t adapter, uint8_t *frame, size_t *ret_bytes)
{
    struct vck_frame_call call;

    vck_frame_read_init(&call, &f->openers[adapter], frame, NDIS_FRAME_BYTES_MAX);
    vck_block_on(&call.future);
    *ret_bytes = call.done_bytes;
    return call.status;
}
