/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_asyncnet: any bytes as each message of the sample driver. What is taken is within its limits
 * and comes back when it is written and read again; what is refused has a reason.
 */
#include "port/port.h"
#include "products/asyncnet/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union message {
    struct message_load load;
    struct message_timers timers;
    struct message_echo echo;
    struct message_status status;
    struct message_text text;
    struct message_result result;
};

struct counters {
    uint64_t codes[1000];
    uint64_t errors[VCK_STATUS_COUNT];
};

static void set_room(const struct message_shape *shape, union message *message,
                     struct counters *counters)
{
    memset(message, 0, sizeof(*message));
    if (shape != &message_result)
        return;
    message->result.codes = (struct message_counts){counters->codes, 1000};
    message->result.errors = (struct message_counts){counters->errors, VCK_STATUS_COUNT};
}

static void check(const struct message_shape *shape, struct vck_bytes data)
{
    static struct counters counters[2];
    static uint8_t out[2][MESSAGE_BYTES_MAX];
    char fault[MESSAGE_TEXT_BYTES] = "";
    union message message;
    union message again;
    size_t bytes[2];

    set_room(shape, &message, &counters[0]);
    set_room(shape, &again, &counters[1]);
    if (message_decode(shape, data, &message, fault)) {
        VCK_ASSERT(fault[0] != 0);
        return;
    }
    if (shape == &message_load)
        VCK_ASSERT(message.load.port >= 1 && message.load.port <= 65535);
    VCK_ASSERT(message_encode(shape, &message, out[0], sizeof(out[0]), &bytes[0]) == VCK_OK);
    VCK_ASSERT(message_decode(shape, (struct vck_bytes){out[0], bytes[0]}, &again, fault) ==
               VCK_OK);
    VCK_ASSERT(message_encode(shape, &again, out[1], sizeof(out[1]), &bytes[1]) == VCK_OK);
    VCK_ASSERT(bytes[0] == bytes[1] && memcmp(out[0], out[1], bytes[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct message_shape *const shapes[] = {&message_load,  &message_threads, &message_timers,
                                                  &message_echo,  &message_status,  &message_text,
                                                  &message_result};

    for (size_t i = 0; i < VCK_ARRAY_COUNT(shapes); i++)
        check(shapes[i], (struct vck_bytes){data, size});
    return 0;
}
