/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, answered by the host's resolver; each address is there twice, as systems do it that list
 * one for each protocol.
 */
#include "fake_wsk_internal.h"
#include <stdlib.h>
#include "vck/utf.h"

#define ANSWERS 8

struct answers {
    struct wsk_addrinfo info[2 * ANSWERS];
    struct wsk_sockaddr addresses[ANSWERS];
};

struct question {
    struct request *request;
    struct vck_resolve_io io;
    struct vck_address addresses[ANSWERS];
    char host[512];
    struct wsk_addrinfo **ret_answers;
};

static struct wsk_addrinfo *answer(const struct question *question)
{
    struct answers *answers = calloc(1, sizeof *answers);

    VCK_ASSERT(answers != NULL);
    for (uint32_t i = 0; i < 2 * question->io.count; i++) {
        fake_wsk_to_system(&question->addresses[i / 2], &answers->addresses[i / 2]);
        answers->info[i].ai_family = answers->addresses[i / 2].family;
        answers->info[i].ai_addr = &answers->addresses[i / 2];
        answers->info[i].ai_next = i + 1 < 2 * question->io.count ? &answers->info[i + 1] : NULL;
    }
    return answers->info;
}

static void on_answer(struct vck_resolve_io *io)
{
    struct question *question = VCK_CONTAINER_OF(io, struct question, io);
    struct request *request = question->request;
    NTSTATUS status = io->status == VCK_NOT_FOUND ? (NTSTATUS)0xC0000272 /* NO_MATCH */
                                                  : fake_wsk_status(request, io->status);

    if (io->status == VCK_OK)
        *question->ret_answers = answer(question);
    free(question);
    fake_wsk_done(request, status);
}

NTSTATUS fake_wsk_get_address_info(PWSK_CLIENT wsk_client, PUNICODE_STRING host,
                                   PUNICODE_STRING service, ULONG name_space, GUID *provider,
                                   struct wsk_addrinfo *hints, struct wsk_addrinfo **ret_answers,
                                   PEPROCESS process, PETHREAD thread, PIRP irp) VCK_NO_ANALYSIS
{
    struct fake_client *client = (struct fake_client *)wsk_client;
    size_t size_bytes;
    NTSTATUS status;
    struct request *request = fake_wsk_begin(client, NULL, irp, FAKE_WSK_ADDRESS_INFO, &status);

    if (!request)
        return status;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(!service && name_space == 0 && !provider && !process && !thread);
    struct question *question = calloc(1, sizeof *question);
    VCK_ASSERT(question != NULL);
    question->request = request;
    question->ret_answers = ret_answers;
    VCK_ASSERT(vck_utf16le_to_utf8((struct vck_bytes){(const uint8_t *)host->Buffer, host->Length},
                                   (uint8_t *)question->host, sizeof(question->host) - 1,
                                   &size_bytes) == VCK_OK);
    question->io = (struct vck_resolve_io){.host = question->host,
                                           .addresses = question->addresses,
                                           .capacity = ANSWERS,
                                           .done = on_answer};
    question->io.family = hints->ai_family == WSK_AF_INET    ? VCK_ADDRESS_IPV4
                          : hints->ai_family == WSK_AF_INET6 ? VCK_ADDRESS_IPV6
                                                             : VCK_ADDRESS_NONE;
    (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
    vck_sockets_resolve(client->host, &question->io);
    return STATUS_PENDING;
}

void fake_wsk_free_address_info(PWSK_CLIENT client, struct wsk_addrinfo *answers)
{
    (void)client;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    free(answers);
}
