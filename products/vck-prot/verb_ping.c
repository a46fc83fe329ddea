/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs for one frame each way: ping and answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/json.h"
#include "prot.h"

#define FRAME_MAX 9216u
#define COUNT_MAX 1000000u

struct pinger {
    const struct command *command;
    struct client *client;
    uint8_t to[VCK_FRAME_ADDRESS_BYTES];
    uint8_t own[VCK_FRAME_ADDRESS_BYTES];
    uint16_t ether_type;
    uint64_t session;
    uint64_t answered;
    uint64_t least_ns;
    uint64_t most_ns;
    uint64_t sum_ns;
    struct slot read;
    struct slot write;
    uint8_t frame[FRAME_MAX];
    uint8_t answer[FRAME_MAX];
};

static int begin(struct pinger *p) VCK_CAN_WAIT
{
    struct vck_frame_state_message state;
    int code = option_ether_type(p->command, &p->ether_type);

    if (code == EXIT_OK && p->ether_type == VCK_FRAME_ETHER_TYPE_ALL)
        code = report_usage(p->command, "--ether-type is all; pings are sent with one");
    if (code == EXIT_OK)
        code = client_open(p->command, &p->client);
    if (code == EXIT_OK)
        code = client_open_adapter(p->client, p->command->operands[0]);
    if (code == EXIT_OK)
        code = client_state(p->client, &state);
    if (code == EXIT_OK)
        memcpy(p->own, state.address, sizeof(p->own));
    return code;
}

static void submit_read(struct pinger *p)
{
    p->read = (struct slot){
        .code = VCK_FRAME_CODE_READ, .out = p->answer, .out_bytes = sizeof(p->answer)};
    client_submit(p->client, &p->read);
}

static int write_frame(struct pinger *p, size_t size_bytes)
{
    p->write = (struct slot){.code = VCK_FRAME_CODE_WRITE, .in = p->frame, .in_bytes = size_bytes};
    client_submit(p->client, &p->write);
    return EXIT_OK;
}

/* ---- ping ---- */

static void count_answer(struct pinger *p, const struct pattern *pattern)
{
    uint64_t took_ns = vck_clock_ns() - pattern->time_ns;

    p->least_ns = p->answered == 0 ? took_ns : VCK_MIN(p->least_ns, took_ns);
    p->most_ns = VCK_MAX(p->most_ns, took_ns);
    p->sum_ns += took_ns;
    p->answered++;
}

static bool is_answer(struct pinger *p, uint64_t number)
{
    struct pattern pattern;
    bool is_ours;

    if (!pattern_read(p->answer, p->read.out_bytes, &pattern, &is_ours) ||
        pattern.kind != PATTERN_ANSWER || pattern.session != p->session || pattern.number != number)
        return false;
    count_answer(p, &pattern);
    return true;
}

static int ping_once(struct pinger *p, uint64_t number, size_t size_bytes, uint64_t timeout_ms)
{
    struct pattern pattern = {PATTERN_PING, p->session, number, vck_clock_ns()};
    uint64_t deadline_ns = pattern.time_ns + timeout_ms * 1000000;
    bool is_answered = false;
    int code;

    pattern_make(&pattern, p->to, p->own, p->ether_type, p->frame, size_bytes);
    code = write_frame(p, size_bytes);
    while (code == EXIT_OK && !is_answered) {
        uint64_t now_ns = vck_clock_ns();
        struct slot *slot;
        if (now_ns >= deadline_ns)
            break;
        code = client_wait(p->client, (int)((deadline_ns - now_ns) / 1000000 + 1), &slot);
        if (code != EXIT_OK || !slot)
            break;
        if (slot->nt != 0 && slot->nt != VCK_FRAME_NT_TRUNCATED)
            return client_refused(p->client, slot);
        if (slot == &p->read) {
            is_answered = is_answer(p, number);
            submit_read(p);
        }
    }
    return code;
}

static void report_pings(const struct pinger *p, uint64_t count)
{
    uint64_t mean_ns = p->answered > 0 ? p->sum_ns / p->answered : 0;
    struct json json = {0};

    if (!option_given(p->command, OPTION_JSON)) {
        printf("%" PRIu64 " of %" PRIu64 " pings answered; %" PRIu64 " us at least, %" PRIu64
               " us on average, %" PRIu64 " us at most\n",
               p->answered, count, p->least_ns / 1000, mean_ns / 1000, p->most_ns / 1000);
        return;
    }
    json_object_begin(&json, NULL);
    json_u64(&json, "sent", count);
    json_u64(&json, "answered", p->answered);
    json_u64(&json, "least_us", p->least_ns / 1000);
    json_u64(&json, "mean_us", mean_ns / 1000);
    json_u64(&json, "most_us", p->most_ns / 1000);
    json_object_end(&json);
}

int run_ping(const struct command *command)
{
    static struct pinger pinger;
    struct pinger *p = &pinger;
    uint64_t count;
    uint64_t timeout_ms;
    uint32_t lowest;
    uint32_t highest;
    int code;

    waiting_is_fine();
    p->command = command;
    code = option_u64(command, OPTION_COUNT_OF, 1, COUNT_MAX, 4, &count);
    if (code == EXIT_OK)
        code = option_u64(command, OPTION_TIMEOUT, 1, 3600000, 1000, &timeout_ms);
    if (code == EXIT_OK)
        code = option_range(command, OPTION_SIZE, PATTERN_BYTES_MIN, FRAME_MAX, &lowest, &highest);
    if (code == EXIT_OK)
        code = option_address(command, OPTION_TO, p->to);
    if (code == EXIT_OK)
        code = begin(p);
    if (code == EXIT_OK) {
        p->session = vck_clock_ns();
        submit_read(p);
        for (uint64_t i = 0; i < count && code == EXIT_OK; i++)
            code = ping_once(p, i, pattern_size(i, lowest, highest), timeout_ms);
        report_pings(p, count);
        if (code == EXIT_OK && p->answered < count)
            code = EXIT_PROBLEMS;
    }
    client_close(p->client);
    return code;
}

/* ---- answer ---- */

/* True when there is a frame to be sent back, to whom the ping came from. */
static bool make_answer(struct pinger *p)
{
    struct pattern pattern;
    bool is_ours;

    if (!pattern_read(p->answer, p->read.out_bytes, &pattern, &is_ours) ||
        pattern.kind != PATTERN_PING)
        return false;
    pattern.kind = PATTERN_ANSWER;
    pattern_make(&pattern, p->answer + VCK_FRAME_ADDRESS_BYTES, p->own, p->ether_type, p->frame,
                 p->read.out_bytes);
    return true;
}

/* One ping after the other: a read begins when the answer to the one before it is out. */
static int answer_all(struct pinger *p, uint64_t count)
{
    int code = EXIT_OK;
    struct slot *slot;

    submit_read(p);
    fprintf(stderr, "vck-prot answer: listening on %s\n", p->command->operands[0]);
    while (count == 0 || p->answered < count) {
        code = client_wait(p->client, -1, &slot);
        if (code != EXIT_OK)
            return code == EXIT_INTERRUPTED ? EXIT_OK : code;
        if (slot->nt != 0)
            return client_refused(p->client, slot);
        if (slot == &p->read && make_answer(p))
            code = write_frame(p, p->read.out_bytes);
        else
            submit_read(p);
        p->answered += slot == &p->write;
    }
    return code;
}

int run_answer(const struct command *command)
{
    static struct pinger pinger;
    struct pinger *p = &pinger;
    struct json json = {0};
    uint64_t count;
    int code;

    waiting_is_fine();
    p->command = command;
    code = option_u64(command, OPTION_COUNT_OF, 1, COUNT_MAX, 0, &count);
    if (code == EXIT_OK)
        code = begin(p);
    if (code == EXIT_OK) {
        code = answer_all(p, count);
        if (option_given(command, OPTION_JSON)) {
            json_object_begin(&json, NULL);
            json_u64(&json, "answered", p->answered);
            json_object_end(&json);
        } else {
            printf("%" PRIu64 " pings answered\n", p->answered);
        }
    }
    client_close(p->client);
    return code;
}
