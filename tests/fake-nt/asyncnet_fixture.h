/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncnet_fixture: asyncnet.sys loaded through its DriverEntry, programs that send it requests,
 * and a server on this host that treats its clients well or badly.
 */
#ifndef VCK_ASYNCNET_FIXTURE_H
#define VCK_ASYNCNET_FIXTURE_H

#include "fake_program.h"
#include "products/asyncnet/messages.h"

/* ---- the driver ---- */

struct asyncnet_fixture {
    DRIVER_OBJECT driver;
    struct driver_extension extension;
    size_t live;
    struct file_object file; /* an open handle */
};

#define ASYNCNET_SERVICE FAKE_SERVICE(L"asyncnet")

void asyncnet_begin(struct asyncnet_fixture *f) VCK_CAN_WAIT;
NTSTATUS asyncnet_load_driver(struct asyncnet_fixture *f) VCK_CAN_WAIT;
void asyncnet_unload_driver(struct asyncnet_fixture *f) VCK_CAN_WAIT;
/* Checks that nothing is left. */
void asyncnet_end(struct asyncnet_fixture *f) VCK_CAN_WAIT;

NTSTATUS asyncnet_open(struct asyncnet_fixture *f, struct file_object *file) VCK_CAN_WAIT;
/* CLEANUP, and CLOSE. */
void asyncnet_close(struct asyncnet_fixture *f, struct file_object *file) VCK_CAN_WAIT;
NTSTATUS asyncnet_major(struct asyncnet_fixture *f, struct file_object *file,
                        UCHAR major) VCK_CAN_WAIT;

/* ---- requests ---- */

/* shape NULL: no message. room: of the answer. */
void asyncnet_send(struct asyncnet_fixture *f, struct fake_call *call, struct file_object *file,
                   uint32_t code, const struct message_shape *shape, const void *message,
                   uint32_t room) VCK_CAN_WAIT;
/* Through f->file. */
uint32_t asyncnet_request(struct asyncnet_fixture *f, struct fake_call *call, uint32_t code,
                          const struct message_shape *shape, const void *message) VCK_CAN_WAIT;
/* The same without message and answer. */
uint32_t asyncnet_do(struct asyncnet_fixture *f, uint32_t code) VCK_CAN_WAIT;
struct message_status asyncnet_status(struct asyncnet_fixture *f) VCK_CAN_WAIT;
/* Why the last request through f->file was refused. */
struct message_text asyncnet_last_error(struct asyncnet_fixture *f) VCK_CAN_WAIT;

/* A request for connections to port, the rest as by default. */
struct message_load asyncnet_load(uint64_t connections, uint64_t concurrency, uint16_t port);

/* What a run answered. */
struct asyncnet_result {
    struct message_result result;
    uint64_t codes[1000];
    uint64_t errors[VCK_STATUS_COUNT];
};
void asyncnet_read_result(const struct fake_call *call, struct asyncnet_result *ret_result);

/* ---- the server ---- */

enum server_fate {
    SERVER_ANSWERS,
    SERVER_RESETS,
    SERVER_STALLS,      /* and says nothing */
    SERVER_HALF_CLOSES, /* in the middle of the reply, and goes on reading */
    SERVER_MIXES,       /* of ten requests it stalls one and resets one */
};

struct server;

struct server *server_start(enum server_fate fate);
void server_stop(struct server *server);
uint16_t server_port(const struct server *server);
/* Connections accepted, and those that are open. */
uint64_t server_accepted(const struct server *server);
/* A port nobody listens on, and no connection gets as its own while the socket is open. */
int server_bind_only(uint16_t *ret_port);

#endif
