/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations, each compared with a model too simple to be wrong: who waits is an array in
 * order of arrival, and after each operation the model says who must have been woken, how often,
 * and what each future answers. Waits are dropped at any point of their life.
 */
#include <string.h>

#include "vck/async_semaphore.h"
#include "vck/channel.h"
#include "vck/mailbox.h"
#include "vck/notify.h"
#include "sync_test.h"

#define SLOTS  5
#define ROUNDS 1500
#define STEPS  120

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % n;
}

/* ---- what all the models share: futures in slots, some of which wait in line ---- */

enum slot_state {
    FREE,
    WAITS,
    ANSWERED, /* woken, and not polled since */
};

struct line {
    enum slot_state state[SLOTS];
    uint32_t want[SLOTS];
    struct wakes wakes[SLOTS];
    int expected_wakes[SLOTS];
    uint32_t order[SLOTS]; /* those that wait, oldest first */
    uint32_t length;
};

static void join_line(struct line *line, uint32_t slot, uint32_t want)
{
    line->state[slot] = WAITS;
    line->want[slot] = want;
    line->order[line->length++] = slot;
}

static void leave_line(struct line *line, uint32_t slot)
{
    uint32_t i = 0;

    while (line->order[i] != slot)
        i++;
    line->length--;
    memmove(&line->order[i], &line->order[i + 1], (line->length - i) * sizeof(line->order[0]));
    line->state[slot] = FREE;
}

static uint32_t answer_oldest(struct line *line)
{
    uint32_t slot = line->order[0];

    leave_line(line, slot);
    line->state[slot] = ANSWERED;
    line->expected_wakes[slot]++;
    return slot;
}

static void check_wakes(struct line *line)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_int_equal(line->wakes[i].woken, line->expected_wakes[i]);
        assert_int_equal(line->wakes[i].live, line->state[i] == WAITS);
    }
}

static void for_each_round(void (*round)(void))
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15u;
        round();
    }
}

/* ---- semaphore ---- */

#define PERMITS 4

struct semaphore_model {
    struct vck_async_semaphore real;
    struct vck_async_acquire acquires[SLOTS];
    struct line line;
    uint32_t free;
    uint32_t held;
};

static void model_grant(struct semaphore_model *m)
{
    while (m->line.length && m->line.want[m->line.order[0]] <= m->free)
        m->free -= m->line.want[answer_oldest(&m->line)];
}

static void begin_acquire(struct semaphore_model *m, uint32_t slot)
{
    uint32_t permits = 1 + random_below(PERMITS);
    bool at_once = m->line.length == 0 && permits <= m->free;

    vck_async_acquire_init(&m->acquires[slot], &m->real, permits);
    assert_int_equal(poll_with(&m->acquires[slot].future, &m->line.wakes[slot]),
                     at_once ? VCK_READY : VCK_PENDING);
    if (at_once) {
        m->free -= permits;
        m->held += permits;
    } else {
        join_line(&m->line, slot, permits);
    }
}

static void drop_acquire(struct semaphore_model *m, uint32_t slot)
{
    vck_future_drop(&m->acquires[slot].future);
    if (m->line.state[slot] == WAITS)
        leave_line(&m->line, slot);
    else
        m->free += m->line.want[slot];
    m->line.state[slot] = FREE;
    model_grant(m);
}

static void poll_acquire(struct semaphore_model *m, uint32_t slot)
{
    bool ready = m->line.state[slot] == ANSWERED;

    assert_int_equal(poll_with(&m->acquires[slot].future, &m->line.wakes[slot]),
                     ready ? VCK_READY : VCK_PENDING);
    if (ready) {
        m->line.state[slot] = FREE;
        m->held += m->line.want[slot];
    }
}

static void release_some(struct semaphore_model *m)
{
    uint32_t permits = m->held ? 1 + random_below(m->held) : 0;

    if (!permits)
        return;
    vck_async_semaphore_release(&m->real, permits);
    m->held -= permits;
    m->free += permits;
    model_grant(m);
}

static void semaphore_round(void)
{
    struct semaphore_model m = {.free = random_below(PERMITS + 1)};

    m.held = PERMITS - m.free;
    vck_async_semaphore_init(&m.real, m.free, PERMITS);
    for (int step = 0; step < STEPS; step++) {
        uint32_t slot = random_below(SLOTS);
        if (m.line.state[slot] == FREE) {
            if (random_below(2))
                begin_acquire(&m, slot);
            else
                release_some(&m);
        } else if (random_below(4) == 0) {
            drop_acquire(&m, slot);
        } else {
            poll_acquire(&m, slot);
        }
        check_wakes(&m.line);
        assert_int_equal(vck_async_semaphore_free_permits(&m.real), m.free);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (m.line.state[slot] != FREE)
            drop_acquire(&m, slot);
    assert_int_equal(vck_async_semaphore_free_permits(&m.real), PERMITS - m.held);
}

static void the_semaphore_does_as_its_model(void **state)
{
    (void)state;
    for_each_round(semaphore_round);
}

/* ---- notify ---- */

struct notify_model {
    struct vck_notify real;
    struct vck_notified waits[SLOTS];
    struct line line;
    bool meant_for_one[SLOTS];
    bool kept;
};

static void model_notify_one(struct notify_model *m)
{
    if (m->line.length)
        m->meant_for_one[answer_oldest(&m->line)] = true;
    else
        m->kept = true;
}

static void notify_somehow(struct notify_model *m)
{
    if (random_below(3)) {
        vck_notify_one(&m->real);
        model_notify_one(m);
        return;
    }
    vck_notify_all(&m->real);
    while (m->line.length)
        m->meant_for_one[answer_oldest(&m->line)] = false;
}

static void begin_wait(struct notify_model *m, uint32_t slot)
{
    vck_notified_init(&m->waits[slot], &m->real);
    assert_int_equal(poll_with(&m->waits[slot].future, &m->line.wakes[slot]),
                     m->kept ? VCK_READY : VCK_PENDING);
    if (!m->kept)
        join_line(&m->line, slot, 0);
    m->kept = false;
}

static void drop_wait(struct notify_model *m, uint32_t slot)
{
    bool pass_on = m->line.state[slot] == ANSWERED && m->meant_for_one[slot];

    vck_future_drop(&m->waits[slot].future);
    if (m->line.state[slot] == WAITS)
        leave_line(&m->line, slot);
    m->line.state[slot] = FREE;
    if (pass_on)
        model_notify_one(m);
}

static void notify_round(void)
{
    struct notify_model m = {.kept = false};

    vck_notify_init(&m.real);
    for (int step = 0; step < STEPS; step++) {
        uint32_t slot = random_below(SLOTS);
        if (random_below(3) == 0) {
            notify_somehow(&m);
        } else if (m.line.state[slot] == FREE) {
            begin_wait(&m, slot);
        } else if (random_below(4) == 0) {
            drop_wait(&m, slot);
        } else {
            assert_int_equal(poll_with(&m.waits[slot].future, &m.line.wakes[slot]),
                             m.line.state[slot] == ANSWERED ? VCK_READY : VCK_PENDING);
            if (m.line.state[slot] == ANSWERED)
                m.line.state[slot] = FREE;
        }
        check_wakes(&m.line);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (m.line.state[slot] != FREE)
            drop_wait(&m, slot);
    check_wakes(&m.line);
}

static void notify_does_as_its_model(void **state)
{
    (void)state;
    for_each_round(notify_round);
}

/* ---- bounded channel ---- */

#define CAPACITY 3

struct channel_model {
    struct vck_channel real;
    uint32_t ring[CAPACITY + 1];
    struct vck_channel_send sends[SLOTS];
    struct line line; /* the senders that wait; want is the element */
    uint32_t elements[CAPACITY + 1];
    uint32_t count;
    uint32_t next_element;
    struct vck_channel_receive receive;
    struct wakes receiver;
    int receiver_wakes;
    uint32_t received;
    bool receive_begun;
    bool receiver_waits; /* its waker is registered */
    bool has_given;      /* the first element came while it waited, and does not count */
    bool closed;
};

static void model_put(struct channel_model *m, uint32_t element)
{
    m->elements[m->count++] = element;
    m->receiver_wakes += m->receiver_waits;
    m->has_given |= m->receiver_waits;
    m->receiver_waits = false;
}

static vck_status model_send(const struct channel_model *m)
{
    return m->closed ? VCK_DELETED : m->count - m->has_given == CAPACITY ? VCK_BUSY : VCK_OK;
}

static void begin_send(struct channel_model *m, uint32_t slot)
{
    vck_status expected = model_send(m);
    uint32_t element = m->next_element++;

    m->line.want[slot] = element;
    vck_channel_send_init(&m->sends[slot], &m->real, &m->line.want[slot]);
    assert_int_equal(poll_with(&m->sends[slot].future, &m->line.wakes[slot]),
                     expected == VCK_BUSY ? VCK_PENDING : VCK_READY);
    assert_int_equal(m->sends[slot].status, expected);
    if (expected == VCK_OK)
        model_put(m, element);
    if (expected == VCK_BUSY)
        join_line(&m->line, slot, element);
}

static void try_send(struct channel_model *m)
{
    vck_status expected = model_send(m);
    uint32_t element = m->next_element++;

    assert_int_equal(vck_channel_try_send(&m->real, &element), expected);
    if (expected == VCK_OK)
        model_put(m, element);
}

/* What a waiting send's answer is depends on whether the channel was closed before room came. */
static void end_send(struct channel_model *m, uint32_t slot, bool drop)
{
    bool refused = m->line.want[slot] == UINT32_MAX;

    if (drop)
        vck_future_drop(&m->sends[slot].future);
    else
        assert_ready(&m->sends[slot].future, &m->line.wakes[slot]);
    assert_int_equal(m->sends[slot].status, !refused ? VCK_OK : drop ? VCK_CANCELLED : VCK_DELETED);
    m->line.state[slot] = FREE;
}

static void step_send(struct channel_model *m, uint32_t slot)
{
    bool drop = random_below(4) == 0;

    if (m->line.state[slot] == FREE) {
        begin_send(m, slot);
    } else if (m->line.state[slot] == ANSWERED) {
        end_send(m, slot, drop);
    } else if (drop) {
        vck_future_drop(&m->sends[slot].future);
        assert_int_equal(m->sends[slot].status, VCK_CANCELLED);
        leave_line(&m->line, slot);
    } else {
        assert_pending(&m->sends[slot].future, &m->line.wakes[slot]);
    }
}

static void model_take(struct channel_model *m, vck_status status, uint32_t element)
{
    if (m->count == 0) {
        assert_int_equal(status, m->closed ? VCK_DELETED : VCK_BUSY);
        return;
    }
    assert_int_equal(status, VCK_OK);
    assert_int_equal(element, m->elements[0]);
    memmove(&m->elements[0], &m->elements[1], --m->count * sizeof(m->elements[0]));
    if (m->line.length && !m->has_given)
        m->elements[m->count++] = m->line.want[answer_oldest(&m->line)];
    m->has_given = false;
}

static void step_receive(struct channel_model *m)
{
    uint32_t element = 0;
    vck_status status;

    if (!m->receive_begun && random_below(2)) {
        status = vck_channel_try_receive(&m->real, &element);
        model_take(m, status, element);
        return;
    }
    if (!m->receive_begun)
        vck_channel_receive_init(&m->receive, &m->real, &m->received);
    if (m->receive_begun && random_below(4) == 0) {
        vck_future_drop(&m->receive.future);
        m->receive_begun = m->receiver_waits = false;
        return;
    }
    m->receive_begun = poll_with(&m->receive.future, &m->receiver) == VCK_PENDING;
    model_take(m, m->receive.status, m->received);
    m->receiver_waits = m->receive_begun;
}

static void close_channel(struct channel_model *m)
{
    vck_channel_close(&m->real);
    m->closed = true;
    m->receiver_wakes += m->receiver_waits;
    m->receiver_waits = false;
    while (m->line.length)
        m->line.want[answer_oldest(&m->line)] = UINT32_MAX;
}

static void channel_round(void)
{
    struct channel_model m = {.next_element = 1};

    vck_channel_init(&m.real, m.ring, sizeof(m.ring[0]), CAPACITY, NULL, NULL);
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = random_below(100);
        if (what == 0)
            close_channel(&m);
        else if (what < 45)
            step_receive(&m);
        else if (what < 55)
            try_send(&m);
        else
            step_send(&m, random_below(SLOTS));
        check_wakes(&m.line);
        assert_int_equal(m.receiver.woken, m.receiver_wakes);
        assert_int_equal(m.receiver.live, m.receiver_waits);
    }
    close_channel(&m);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (m.line.state[slot] != FREE)
            end_send(&m, slot, true);
    if (m.receive_begun)
        vck_future_drop(&m.receive.future);
    assert_int_equal(m.receiver.live, 0);
    vck_channel_drop_receiver(&m.real);
    vck_channel_drop_sender(&m.real);
}

static void the_channel_does_as_its_model(void **state)
{
    (void)state;
    for_each_round(channel_round);
}

/* ---- unbounded mailbox ---- */

struct mailbox_model {
    struct vck_mailbox real;
    struct vck_mpsc_node nodes[STEPS];
    uint32_t sent;
    uint32_t received;
    uint32_t dropped;
    struct vck_mailbox_receive receive;
    struct wakes wakes;
    int expected_wakes;
    bool receive_begun;
    bool receiver_waits;
    bool closed;
};

static void count_dropped(void *context, struct vck_mpsc_node *node)
{
    struct mailbox_model *m = context;

    assert_ptr_equal(node, &m->nodes[m->received + m->dropped]);
    m->dropped++;
}

static void model_wake(struct mailbox_model *m)
{
    m->expected_wakes += m->receiver_waits;
    m->receiver_waits = false;
}

static void step_mailbox_receive(struct mailbox_model *m)
{
    vck_status expected = m->received < m->sent ? VCK_OK : m->closed ? VCK_DELETED : VCK_BUSY;
    struct vck_mpsc_node *node = NULL;
    vck_status status;

    if (m->receive_begun && random_below(4) == 0) {
        vck_future_drop(&m->receive.future);
        m->receive_begun = m->receiver_waits = false;
        return;
    }
    if (!m->receive_begun && random_below(2)) {
        status = vck_mailbox_try_receive(&m->real, &node);
    } else {
        if (!m->receive_begun)
            vck_mailbox_receive_init(&m->receive, &m->real);
        m->receive_begun = poll_with(&m->receive.future, &m->wakes) == VCK_PENDING;
        m->receiver_waits = m->receive_begun;
        status = m->receive.status;
        node = m->receive.message;
    }
    assert_int_equal(status, expected);
    if (status == VCK_OK)
        assert_ptr_equal(node, &m->nodes[m->received++]);
}

static void mailbox_round(void)
{
    struct mailbox_model m = {.sent = 0};

    vck_mailbox_init(&m.real, count_dropped, &m);
    for (int step = 0; step < STEPS; step++) {
        if (random_below(100) == 0) {
            vck_mailbox_close(&m.real);
            m.closed = true;
            model_wake(&m);
        } else if (random_below(2)) {
            vck_status status = vck_mailbox_send(&m.real, &m.nodes[m.sent]);
            assert_int_equal(status, m.closed ? VCK_DELETED : VCK_OK);
            m.sent += !m.closed;
            if (!m.closed)
                model_wake(&m);
        } else {
            step_mailbox_receive(&m);
        }
        assert_int_equal(m.wakes.woken, m.expected_wakes);
        assert_int_equal(m.wakes.live, m.receiver_waits);
    }
    if (m.receive_begun)
        vck_future_drop(&m.receive.future);
    assert_int_equal(m.wakes.live, 0);
    vck_mailbox_drop_receiver(&m.real);
    assert_int_equal(m.received + m.dropped, m.sent);
    vck_mailbox_drop_sender(&m.real);
}

static void the_mailbox_does_as_its_model(void **state)
{
    (void)state;
    for_each_round(mailbox_round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_semaphore_does_as_its_model),
        cmocka_unit_test(notify_does_as_its_model),
        cmocka_unit_test(the_channel_does_as_its_model),
        cmocka_unit_test(the_mailbox_does_as_its_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
