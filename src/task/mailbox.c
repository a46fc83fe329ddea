/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head is a stack of messages that the receiver takes as a whole and turns round. While it is
 * empty and the receiver waits, it is WAITING instead: the sender whose push replaces WAITING is
 * the one that wakes, so a send with nobody waiting and a send that wakes cost the same one
 * exchange.
 */
#include "vck/mailbox.h"
#include "vck/timeout.h"
#include "vck/wait_list.h"

#define CLOSED  ((uintptr_t)1) /* a bit: nothing will be pushed any more */
#define WAITING ((uintptr_t)2) /* no messages, and the waker waits for one */

static bool has_messages(uintptr_t head)
{
    return (head & ~CLOSED) != 0 && head != WAITING;
}

static bool change_head(struct vck_mailbox *mailbox, uintptr_t *from, uintptr_t to)
{
    return __atomic_compare_exchange_n(&mailbox->head, from, to, true, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

void vck_mailbox_init(struct vck_mailbox *mailbox,
                      void (*drop)(void *context, struct vck_mpsc_node *message), void *context)
{
    *mailbox = (struct vck_mailbox){
        .waker = vck_waker_none(),
        .senders = 1,
        .ends = 2,
        .drop = drop,
        .context = context,
    };
}

vck_status vck_mailbox_create(void (*drop)(void *context, struct vck_mpsc_node *message),
                              void *context, struct vck_mailbox **ret_mailbox)
{
    struct vck_mailbox *mailbox = vck_alloc(sizeof(*mailbox), VCK_TAG('M', 'b', 'o', 'x'));

    if (!mailbox)
        return VCK_NO_MEMORY;
    vck_mailbox_init(mailbox, drop, context);
    mailbox->allocated = true;
    *ret_mailbox = mailbox;
    return VCK_OK;
}

static void end_one_side(struct vck_mailbox *mailbox)
{
    bool allocated = mailbox->allocated;

    if (__atomic_fetch_sub(&mailbox->ends, 1, __ATOMIC_ACQ_REL) == 1 && allocated)
        vck_free(mailbox);
}

/* For the one that replaced WAITING. */
static void wake_receiver(struct vck_mailbox *mailbox)
{
    struct vck_waker waker = mailbox->waker;

    __atomic_store_n(&mailbox->waker_lent, 0, __ATOMIC_RELEASE);
    vck_waker_wake_and_drop(waker);
}

/* ---- senders ---- */

void vck_mailbox_add_sender(struct vck_mailbox *mailbox)
{
    uint32_t before = __atomic_fetch_add(&mailbox->senders, 1, __ATOMIC_RELAXED);

    VCK_ASSERT(before != 0 && before != UINT32_MAX);
}

void vck_mailbox_drop_sender(struct vck_mailbox *mailbox)
{
    uint32_t before = __atomic_fetch_sub(&mailbox->senders, 1, __ATOMIC_ACQ_REL);

    VCK_ASSERT(before != 0);
    if (before != 1)
        return;
    vck_mailbox_close(mailbox);
    end_one_side(mailbox);
}

vck_status vck_mailbox_send(struct vck_mailbox *mailbox, struct vck_mpsc_node *message)
{
    uintptr_t head = __atomic_load_n(&mailbox->head, __ATOMIC_RELAXED);

    do {
        if (head & CLOSED)
            return VCK_DELETED;
        message->next = head == WAITING ? NULL : (struct vck_mpsc_node *)head;
    } while (!change_head(mailbox, &head, (uintptr_t)message));
    if (head == WAITING)
        wake_receiver(mailbox);
    return VCK_OK;
}

bool vck_mailbox_is_closed(const struct vck_mailbox *mailbox)
{
    return (__atomic_load_n(&mailbox->head, __ATOMIC_ACQUIRE) & CLOSED) != 0;
}

void vck_mailbox_close(struct vck_mailbox *mailbox)
{
    uintptr_t head = __atomic_load_n(&mailbox->head, __ATOMIC_RELAXED);

    while (!change_head(mailbox, &head, head == WAITING ? CLOSED : head | CLOSED))
        ;
    if (head == WAITING)
        wake_receiver(mailbox);
}

/* ---- the receiver ---- */

/* Takes all messages from the head; returned oldest first. */
static struct vck_mpsc_node *take_all(struct vck_mailbox *mailbox)
{
    uintptr_t head = __atomic_load_n(&mailbox->head, __ATOMIC_RELAXED);
    struct vck_mpsc_node *oldest = NULL;
    struct vck_mpsc_node *newest;

    do {
        if (!has_messages(head))
            return NULL;
    } while (!change_head(mailbox, &head, head & CLOSED));
    newest = (struct vck_mpsc_node *)(head & ~CLOSED);
    while (newest) {
        struct vck_mpsc_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static struct vck_mpsc_node *take_one(struct vck_mailbox *mailbox)
{
    struct vck_mpsc_node *message = mailbox->taken;

    if (!message)
        message = take_all(mailbox);
    if (message)
        mailbox->taken = message->next;
    return message;
}

vck_status vck_mailbox_try_receive(struct vck_mailbox *mailbox, struct vck_mpsc_node **ret_message)
{
    bool closed = vck_mailbox_is_closed(mailbox);
    struct vck_mpsc_node *message = take_one(mailbox);

    if (!message)
        return closed ? VCK_DELETED : VCK_BUSY;
    *ret_message = message;
    return VCK_OK;
}

/* Takes the waker back; false when somebody is about to wake it. */
static bool withdraw(struct vck_mailbox *mailbox)
{
    struct vck_waker waker = mailbox->waker;
    uintptr_t head = WAITING;

    if (!__atomic_compare_exchange_n(&mailbox->head, &head, 0, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&mailbox->waker_lent, 0, __ATOMIC_RELAXED);
    vck_waker_drop(waker);
    return true;
}

static bool arm(struct vck_mailbox *mailbox, const struct vck_waker *waker)
{
    struct vck_waker fresh = waker->ops->clone(waker->data);
    uintptr_t head = 0;

    mailbox->waker = fresh;
    __atomic_store_n(&mailbox->waker_lent, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&mailbox->head, &head, WAITING, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        return true;
    __atomic_store_n(&mailbox->waker_lent, 0, __ATOMIC_RELAXED);
    vck_waker_drop(fresh);
    return false;
}

/* After a look that found nothing. True when the waker will be woken; false when it is worth
 * another look. */
static bool wait_for_message(struct vck_mailbox *mailbox, const struct vck_waker *waker)
{
    bool same;

    if (!__atomic_load_n(&mailbox->waker_lent, __ATOMIC_ACQUIRE))
        return arm(mailbox, waker);
    same = vck_waker_is_same(&mailbox->waker, waker);
    if (__atomic_load_n(&mailbox->head, __ATOMIC_ACQUIRE) == WAITING)
        return same || (withdraw(mailbox) && arm(mailbox, waker));
    /* A sender has replaced WAITING and is about to wake the waker that was registered. If that was
     * somebody else's, look again soon. */
    if (!same)
        waker->ops->wake(waker->data);
    return true;
}

static enum vck_poll receive_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_mailbox_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_mailbox_receive, future);

    do {
        receive->status = vck_mailbox_try_receive(receive->mailbox, &receive->message);
        if (receive->status != VCK_BUSY)
            return VCK_READY;
    } while (!wait_for_message(receive->mailbox, waker));
    return VCK_PENDING;
}

static void receive_drop(struct vck_future *self)
{
    struct vck_mailbox_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_mailbox_receive, future);

    if (receive->status != VCK_BUSY)
        return;
    (void)withdraw(receive->mailbox);
    receive->status = VCK_CANCELLED;
}

void vck_mailbox_receive_init(struct vck_mailbox_receive *receive, struct vck_mailbox *mailbox)
{
    *receive = (struct vck_mailbox_receive){
        .future = {.poll = receive_poll, .drop = receive_drop},
        .mailbox = mailbox,
        .status = VCK_NOT_READY,
    };
}

vck_status vck_mailbox_receive_until(struct vck_mailbox *mailbox, uint64_t deadline_ns,
                                     struct vck_mpsc_node **ret_message)
{
    struct vck_mailbox_receive receive;
    vck_status status;

    vck_mailbox_receive_init(&receive, mailbox);
    status = vck_block_on_until(&receive.future, deadline_ns);
    if (status != VCK_OK)
        return status;
    if (receive.status == VCK_OK)
        *ret_message = receive.message;
    return receive.status;
}

void vck_mailbox_drop_receiver(struct vck_mailbox *mailbox)
{
    struct vck_mpsc_node *message;

    (void)withdraw(mailbox);
    vck_mailbox_close(mailbox);
    while ((message = take_one(mailbox)) != NULL)
        if (mailbox->drop)
            mailbox->drop(mailbox->context, message);
    end_one_side(mailbox);
}
