/* SPDX-License-Identifier: Apache-2.0 */
#include "asyncnet_fixture.h"
#include <string.h>

/* ---- up and down ---- */

void asyncnet_begin(struct asyncnet_fixture *f)
{
    *f = (struct asyncnet_fixture){.live = vck_alloc_live_count()};
    fake_system_begin();
    f->driver.DriverInit = DriverEntry;
    f->driver.DriverExtension = &f->extension;
}

NTSTATUS asyncnet_load_driver(struct asyncnet_fixture *f)
{
    return fake_driver_load(&f->driver, ASYNCNET_SERVICE);
}

void asyncnet_unload_driver(struct asyncnet_fixture *f)
{
    fake_driver_unload(&f->driver);
}

void asyncnet_end(struct asyncnet_fixture *f)
{
    assert_null(f->driver.DeviceObject);
    fake_system_end();
    vck_defer_drain();
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(fake_live_devices(), 0);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

/* ---- programs ---- */

NTSTATUS asyncnet_open(struct asyncnet_fixture *f, struct file_object *file)
{
    return fake_file_open(f->driver.DeviceObject, file, 0);
}

NTSTATUS asyncnet_major(struct asyncnet_fixture *f, struct file_object *file, UCHAR major)
{
    return fake_file_major(f->driver.DeviceObject, file, major);
}

void asyncnet_close(struct asyncnet_fixture *f, struct file_object *file)
{
    fake_file_close(f->driver.DeviceObject, file);
}

/* ---- requests ---- */

void asyncnet_send(struct asyncnet_fixture *f, struct fake_call *call, struct file_object *file,
                   uint32_t code, const struct message_shape *shape, const void *message,
                   uint32_t room)
{
    size_t bytes = 0;

    if (shape)
        assert_int_equal(message_encode(shape, message, call->buffer, sizeof(call->buffer), &bytes),
                         VCK_OK);
    fake_call_begin_control(call, f->driver.DeviceObject, file, code, (uint32_t)bytes, room);
    fake_call_go(call);
}

uint32_t asyncnet_request(struct asyncnet_fixture *f, struct fake_call *call, uint32_t code,
                          const struct message_shape *shape, const void *message)
{
    asyncnet_send(f, call, &f->file, code, shape, message, sizeof(call->buffer));
    return fake_call_await(call);
}

uint32_t asyncnet_do(struct asyncnet_fixture *f, uint32_t code)
{
    struct fake_call *call = calloc(1, sizeof(*call));
    uint32_t status;

    asyncnet_send(f, call, &f->file, code, NULL, NULL, 0);
    status = fake_call_await(call);
    free(call);
    return status;
}

static void read_answer(const struct fake_call *call, const struct message_shape *shape,
                        void *ret_message)
{
    char fault[MESSAGE_TEXT_BYTES] = "";

    if (message_decode(shape, (struct vck_bytes){call->buffer, call->information}, ret_message,
                       fault))
        fail_msg("%s", fault);
}

struct message_status asyncnet_status(struct asyncnet_fixture *f)
{
    struct fake_call *call = calloc(1, sizeof(*call));
    struct message_status status;

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_STATUS, NULL, NULL), 0);
    read_answer(call, &message_status, &status);
    free(call);
    return status;
}

struct message_text asyncnet_last_error(struct asyncnet_fixture *f)
{
    struct fake_call *call = calloc(1, sizeof(*call));
    struct message_text text;

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_LAST_ERROR, NULL, NULL), 0);
    read_answer(call, &message_text, &text);
    free(call);
    return text;
}

struct message_load asyncnet_load(uint64_t connections, uint64_t concurrency, uint16_t port)
{
    return (struct message_load){
        .connections = connections,
        .concurrency = concurrency,
        .timeout_ms = 600000,
        .port = port,
        .address = "127.0.0.1",
        .path = "/",
    };
}

void asyncnet_read_result(const struct fake_call *call, struct asyncnet_result *ret_result)
{
    ret_result->result.codes = (struct message_counts){ret_result->codes, 1000};
    ret_result->result.errors = (struct message_counts){ret_result->errors, VCK_STATUS_COUNT};
    read_answer(call, &message_result, &ret_result->result);
}
