/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <string.h>
#include "load_plan.h"

void message_mutate(struct message *message, uint64_t *random)
{
    for (uint64_t changes = load_plan_random(random) % 6; changes > 0; changes--) {
        uint64_t chance = load_plan_random(random);
        uint32_t at = message->size_bytes ? (uint32_t)(chance >> 32) % message->size_bytes : 0;
        switch (chance % 6) {
        case 0:
            if (message->size_bytes)
                message->data[at] ^= (uint8_t)(1u << (chance >> 8) % 8);
            break;
        case 1:
            if (message->size_bytes)
                message->data[at] = (uint8_t)(chance >> 16);
            break;
        case 2:
            message->size_bytes = at;
            break;
        case 3: /* one byte more */
            if (message->size_bytes < MESSAGE_BYTES_MAX - 1) {
                memmove(message->data + at + 1, message->data + at, message->size_bytes - at);
                message->data[at] = (uint8_t)(chance >> 16);
                message->size_bytes++;
            }
            break;
        case 4: /* MessagePack's lengths of 16 and 32 bits */
            if (message->size_bytes)
                message->data[at] = (uint8_t)(0xC4 + (chance >> 16) % 28);
            break;
        default:
            if ((chance >> 16) % 8 == 0)
                message->code ^= 4u << (chance >> 20) % 8;
            break;
        }
    }
}
