/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tang_exchange: one question to a server and its answer over HTTP, several servers at a time: each
 * is a task, all share one thread, which sleeps in the network's own wait.
 */
#ifndef VCK_PRODUCTS_VCK_TANG_EXCHANGE_H
#define VCK_PRODUCTS_VCK_TANG_EXCHANGE_H

#include "products/vck/http_answer.h"
#include "products/vck/tang_url.h"
#include "vck/coroutine.h"
#include "vck/resolver.h"
#include "vck/socket.h"
#include "vck/task.h"

#define TANG_ADDRESSES_MAX 4u
#define TANG_REQUEST_BYTES 2048u
#define TANG_ANSWER_BYTES  (HTTP_ANSWER_HEAD_MAX + HTTP_ANSWER_BODY_MAX)

/* How far it came. */
enum tang_stage {
    TANG_NAME,    /* the host's name */
    TANG_CONNECT, /* the connection */
    TANG_ANSWER,  /* what the server says */
};

struct tang_meeting;

struct tang_exchange {
    struct tang_url url;
    char request[TANG_REQUEST_BYTES];
    size_t request_bytes;

    enum tang_stage stage;
    vck_status status; /* OK: there is an answer */
    struct http_answer answer;
    char data[TANG_ANSWER_BYTES + 1]; /* the answer as it came; wiped by its owner */
    size_t data_bytes;

    /* The rest is the exchange's own. */
    struct vck_future future;
    struct vck_task task;
    struct vck_coroutine co;
    struct tang_meeting *meeting;
    struct vck_resolve resolve;
    struct vck_socket_call call;
    struct vck_socket *socket;
    struct vck_network_call *in_flight;
    struct vck_address addresses[TANG_ADDRESSES_MAX];
    uint32_t address;
    uint64_t deadline_ns;
};

/* Writes the request: GET without a body, else POST. suffix follows the URL's path. False: it is
 * too long. */
bool tang_exchange_prepare(struct tang_exchange *exchange, const char *suffix, const char *body);

/* Those who are asked together. */
struct tang_meeting {
    struct tang_exchange **exchanges;
    uint32_t count;
    uint32_t time_s; /* for each */
    /* An exchange has ended, with an answer or without; true: nobody else is needed. May be NULL.
     */
    bool (*ended)(struct tang_meeting *meeting, uint32_t index);

    struct vck_network *network;
    struct vck_executor *executor;
    uint32_t left;
    bool is_over; /* the others are cancelled */
};

/* Asks everybody; returns when each has an end. An error is the system's, before anybody was
 * asked. */
VCK_CHECKED vck_status tang_meeting_hold(struct tang_meeting *meeting) VCK_CAN_WAIT;

#endif
