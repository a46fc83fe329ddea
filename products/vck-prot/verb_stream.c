/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs for many frames one way: send and receive.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/json.h"
#include "prot.h"
#include "vck/thread.h"

#define WINDOW      64u /* writes in flight */
#define READ_WINDOW 192u
#define FRAME_MAX   9216u
#define COUNT_MAX   UINT64_C(1000000000000)
#define END_FRAMES  10u
#define END_PAUSE   (1000u * 1000u) /* ns, before the second; doubled each time */

/* ---- send ---- */

struct sender {
    const struct command *command;
    struct client *client;
    uint8_t to[VCK_FRAME_ADDRESS_BYTES];
    uint8_t from[VCK_FRAME_ADDRESS_BYTES];
    uint16_t ether_type;
    uint32_t lowest;
    uint32_t highest;
    uint64_t count;
    uint64_t session;
    uint64_t sent;
    uint64_t refused;
    struct slot slots[WINDOW];
    uint8_t frames[WINDOW][FRAME_MAX];
};

static int parse_send(struct sender *s)
{
    int code = option_address(s->command, OPTION_TO, s->to);

    if (code == EXIT_OK)
        code = option_ether_type(s->command, &s->ether_type);
    if (code == EXIT_OK && s->ether_type == VCK_FRAME_ETHER_TYPE_ALL)
        code = report_usage(s->command, "--ether-type is all; frames are sent with one");
    if (code == EXIT_OK)
        code = option_range(s->command, OPTION_SIZE, PATTERN_BYTES_MIN, FRAME_MAX, &s->lowest,
                            &s->highest);
    if (code == EXIT_OK)
        code = option_u64(s->command, OPTION_COUNT_OF, 1, COUNT_MAX, 1, &s->count);
    return code;
}

static void submit(struct sender *s, struct slot *slot, const struct pattern *pattern,
                   size_t size_bytes)
{
    uint8_t *frame = s->frames[slot - s->slots];

    pattern_make(pattern, s->to, s->from, s->ether_type, frame, size_bytes);
    *slot = (struct slot){.code = VCK_FRAME_CODE_WRITE, .in = frame, .in_bytes = size_bytes};
    client_submit(s->client, slot);
}

static void submit_data(struct sender *s, struct slot *slot, uint64_t number)
{
    struct pattern pattern = {PATTERN_DATA, s->session, number, 0};

    submit(s, slot, &pattern, pattern_size(number, s->lowest, s->highest));
}

/* Counts an answer. A frame the adapter had no memory for is lost, not an error. */
static int take_written(struct sender *s, const struct slot *slot)
{
    if (slot->nt == 0) {
        s->sent++;
        return EXIT_OK;
    }
    s->refused++;
    return vck_status_from_nt(slot->nt) == VCK_NO_MEMORY ? EXIT_OK
                                                         : client_refused(s->client, slot);
}

static int send_all(struct sender *s)
{
    uint64_t begun = 0;
    uint64_t in_flight = 0;
    int code = EXIT_OK;
    struct slot *slot;

    for (; begun < s->count && begun < WINDOW; begun++, in_flight++)
        submit_data(s, &s->slots[begun], begun);
    while (code == EXIT_OK && in_flight > 0) {
        code = client_wait(s->client, -1, &slot);
        if (code != EXIT_OK)
            break;
        in_flight--;
        code = take_written(s, slot);
        if (code == EXIT_OK && begun < s->count) {
            submit_data(s, slot, begun++);
            in_flight++;
        }
    }
    return code;
}

/* Tells the receiver how many there were; more than once and ever later, for its queue may still be
 * full of what came before. */
static int send_end(struct sender *s) VCK_CAN_WAIT
{
    struct pattern pattern = {PATTERN_END, s->session, s->sent, 0};
    int code = EXIT_OK;
    struct slot *slot;

    for (unsigned i = 0; i < END_FRAMES && code == EXIT_OK; i++) {
        if (i > 0)
            vck_thread_sleep(END_PAUSE << (i - 1));
        submit(s, &s->slots[0], &pattern, PATTERN_BYTES_MIN);
        code = client_wait(s->client, -1, &slot);
    }
    return code;
}

static void report_sent(const struct sender *s, uint64_t took_ns)
{
    uint64_t took_us = took_ns / 1000 + 1;
    struct json json = {0};

    if (!option_given(s->command, OPTION_JSON)) {
        printf("%" PRIu64 " frames sent, %" PRIu64 " refused, in %" PRIu64 ".%03" PRIu64 " s\n",
               s->sent, s->refused, took_us / 1000000, took_us / 1000 % 1000);
        return;
    }
    json_object_begin(&json, NULL);
    json_u64(&json, "sent", s->sent);
    json_u64(&json, "refused", s->refused);
    json_u64(&json, "microseconds", took_us);
    json_object_end(&json);
}

int run_send(const struct command *command)
{
    struct sender *s = calloc(1, sizeof(*s));
    struct vck_frame_state_message state;
    uint64_t began_ns;
    uint64_t took_ns;
    int code;

    waiting_is_fine();
    if (!s)
        return report(command, EXIT_FAILED, "there is no memory");
    s->command = command;
    code = parse_send(s);
    if (code == EXIT_OK)
        code = client_open(command, &s->client);
    if (code == EXIT_OK)
        code = client_open_adapter(s->client, command->operands[0]);
    if (code == EXIT_OK)
        code = client_state(s->client, &state);
    if (code == EXIT_OK) {
        memcpy(s->from, state.address, sizeof(s->from));
        began_ns = vck_clock_ns();
        s->session = began_ns;
        code = send_all(s);
        took_ns = vck_clock_ns() - began_ns;
        if (code == EXIT_OK)
            code = send_end(s);
        report_sent(s, took_ns);
    }
    client_close(s->client);
    free(s);
    return code;
}

/* ---- receive ---- */

struct receiver {
    const struct command *command;
    struct client *client;
    uint64_t count; /* 0: no limit */
    uint64_t idle_s;
    uint64_t session;
    uint64_t next;     /* number */
    uint64_t received; /* numbered ones */
    uint64_t bytes;
    uint64_t others; /* frames that are not numbered */
    uint64_t damaged;
    uint64_t disordered; /* and duplicates */
    uint64_t announced;  /* by the sender's end */
    bool is_ended;
    uint64_t began_ns;
    uint64_t ended_ns;
    struct vck_frame_state_message before;
    struct vck_frame_state_message after;
    unsigned oldest; /* of the reads */
    bool is_answered[READ_WINDOW];
    struct slot slots[READ_WINDOW];
    uint8_t frames[READ_WINDOW][FRAME_MAX];
};

static void submit_read(struct receiver *r, struct slot *slot)
{
    size_t i = (size_t)(slot - r->slots);

    *slot = (struct slot){
        .code = VCK_FRAME_CODE_READ, .out = r->frames[i], .out_bytes = sizeof(r->frames[i])};
    client_submit(r->client, slot);
}

static void take_data(struct receiver *r, const struct pattern *pattern, size_t size_bytes)
{
    if (r->received == 0) {
        r->session = pattern->session;
        r->began_ns = vck_clock_ns();
    }
    if (pattern->session != r->session) {
        r->others++;
        return;
    }
    if (pattern->number < r->next)
        r->disordered++;
    r->next = pattern->number + 1;
    r->received++;
    r->bytes += size_bytes;
    r->ended_ns = vck_clock_ns();
}

static void take_frame(struct receiver *r, const uint8_t *frame, size_t size_bytes)
{
    struct pattern pattern;
    bool is_ours;

    if (!pattern_read(frame, size_bytes, &pattern, &is_ours)) {
        r->damaged += is_ours;
        r->others += !is_ours;
    } else if (pattern.kind == PATTERN_DATA) {
        take_data(r, &pattern, size_bytes);
    } else if (pattern.kind == PATTERN_END && (r->received == 0 || pattern.session == r->session)) {
        r->announced = pattern.number;
        r->is_ended = true;
    }
}

static bool has_enough(const struct receiver *r)
{
    return r->is_ended || (r->count > 0 && r->received + r->others >= r->count);
}

/* Frames are given to reads in the order of these, but the answers may overtake one another. */
static int take_in_order(struct receiver *r)
{
    while (r->is_answered[r->oldest] && !has_enough(r)) {
        struct slot *slot = &r->slots[r->oldest];
        if (slot->nt != 0 && slot->nt != VCK_FRAME_NT_TRUNCATED)
            return client_refused(r->client, slot);
        take_frame(r, slot->out, slot->out_bytes);
        r->is_answered[r->oldest] = false;
        submit_read(r, slot);
        r->oldest = (r->oldest + 1) % READ_WINDOW;
    }
    return EXIT_OK;
}

static int receive_all(struct receiver *r)
{
    int timeout_ms = r->idle_s > 0 ? (int)(r->idle_s * 1000) : -1;
    int code = EXIT_OK;
    struct slot *slot;

    for (unsigned i = 0; i < READ_WINDOW; i++)
        submit_read(r, &r->slots[i]);
    fprintf(stderr, "vck-prot receive: listening on %s\n", r->command->operands[0]);
    while (code == EXIT_OK && !has_enough(r)) {
        code = client_wait(r->client, timeout_ms, &slot);
        if (code == EXIT_INTERRUPTED)
            return EXIT_OK;
        if (code != EXIT_OK || !slot)
            return code;
        r->is_answered[slot - r->slots] = true;
        code = take_in_order(r);
    }
    return code;
}

static void report_received(const struct receiver *r)
{
    uint64_t took_us = (r->ended_ns - r->began_ns) / 1000 + 1;
    uint64_t lost = r->announced > r->received ? r->announced - r->received : 0;
    const struct vck_frame_statistics *a = &r->after.statistics;
    const struct vck_frame_statistics *b = &r->before.statistics;
    struct json json = {0};

    if (!option_given(r->command, OPTION_JSON)) {
        printf("%" PRIu64 " frames, %" PRIu64 " bytes, in %" PRIu64 ".%03" PRIu64 " s; %" PRIu64
               " lost, %" PRIu64 " out of order, %" PRIu64 " damaged, %" PRIu64 " others\n",
               r->received, r->bytes, took_us / 1000000, took_us / 1000 % 1000, lost, r->disordered,
               r->damaged, r->others);
        return;
    }
    json_object_begin(&json, NULL);
    json_u64(&json, "received", r->received);
    json_u64(&json, "bytes", r->bytes);
    json_u64(&json, "announced", r->announced);
    json_u64(&json, "lost", lost);
    json_u64(&json, "out_of_order", r->disordered);
    json_u64(&json, "damaged", r->damaged);
    json_u64(&json, "others", r->others);
    json_u64(&json, "dropped", a->dropped_frames - b->dropped_frames);
    json_u64(&json, "port_dropped", a->port_dropped_frames - b->port_dropped_frames);
    json_u64(&json, "microseconds", took_us);
    json_object_end(&json);
}

static int open_receiver(struct receiver *r) VCK_CAN_WAIT
{
    int code = option_u64(r->command, OPTION_COUNT_OF, 1, COUNT_MAX, 0, &r->count);

    if (code == EXIT_OK)
        code = option_u64(r->command, OPTION_IDLE, 1, 86400, 0, &r->idle_s);
    if (code == EXIT_OK)
        code = client_open(r->command, &r->client);
    if (code == EXIT_OK)
        code = client_open_adapter(r->client, r->command->operands[0]);
    if (code == EXIT_OK)
        code = client_state(r->client, &r->before);
    return code;
}

int run_receive(const struct command *command)
{
    struct receiver *r = calloc(1, sizeof(*r));
    int code;

    waiting_is_fine();
    if (!r)
        return report(command, EXIT_FAILED, "there is no memory");
    r->command = command;
    code = open_receiver(r);
    if (code == EXIT_OK) {
        code = receive_all(r);
        /* What was dropped is known as long as the adapter is there. */
        r->after = r->before;
        if (code == EXIT_OK && !is_interrupted())
            code = client_state(r->client, &r->after);
        report_received(r);
        if (code == EXIT_OK && (r->damaged > 0 || r->disordered > 0))
            code = EXIT_PROBLEMS;
    }
    client_close(r->client);
    free(r);
    return code;
}
