/* SPDX-License-Identifier: Apache-2.0 */
/* message: device controls that are almost right. Pure; used by the driver and by vcktest. */
#ifndef VCK_TESTS_NT_MESSAGE_H
#define VCK_TESTS_NT_MESSAGE_H

#include <stdint.h>

#define MESSAGE_BYTES_MAX 4096u

struct message {
    uint32_t code;
    uint32_t size_bytes;
    uint8_t data[MESSAGE_BYTES_MAX];
};

/* Changes nothing to five things of a message: bits, bytes, length, and now and then its code. */
void message_mutate(struct message *message, uint64_t *random);

#endif
