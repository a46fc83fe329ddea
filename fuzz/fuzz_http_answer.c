/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_answer: any stream as the answer of a server, as it grows byte by byte. What is decided
 * once stays so, whatever follows, and a body lies within what has come.
 */
#include <stdlib.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/http_answer.h"
#include "vck/bytes.h"

#define STEPS_MAX 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of its size exactly, so that reading on is noticed. */
static vck_status parse(const uint8_t *data, size_t size, bool is_ended,
                        struct http_answer *ret_answer)
{
    char *copy = malloc(size + (size == 0));
    VCK_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    vck_status status = http_answer_parse(copy, size, is_ended, ret_answer);
    free(copy);
    if (status == VCK_OK) {
        VCK_ASSERT(ret_answer->code >= 200 && ret_answer->code <= 599);
        VCK_ASSERT(ret_answer->body_at <= size);
        VCK_ASSERT(ret_answer->body_bytes <= size - ret_answer->body_at);
        VCK_ASSERT(ret_answer->body_bytes <= HTTP_ANSWER_BODY_MAX);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_answer answer, first = {0};
    vck_status decided = VCK_NOT_READY;
    size_t begin = size > STEPS_MAX ? size - STEPS_MAX : 0;
    for (size_t taken = begin; taken <= size; taken++) {
        vck_status status = parse(data, taken, false, &answer);
        if (decided == VCK_NOT_READY) {
            decided = status;
            first = answer;
        } else {
            VCK_ASSERT(status == decided);
        }
        if (status == VCK_OK)
            VCK_ASSERT(memcmp(&answer, &first, sizeof(first)) == 0);
        vck_status ended = parse(data, taken, true, &answer);
        VCK_ASSERT(ended != VCK_NOT_READY);
        if (status != VCK_NOT_READY)
            VCK_ASSERT(ended == status);
    }
    return 0;
}
