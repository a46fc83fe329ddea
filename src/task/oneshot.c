/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One word says who owns value and waker. The sender copies the waker before it publishes the
 * answer, so it never touches the oneshot after the receiver could have seen it.
 */
#include "vck/oneshot.h"
#include "vck/timeout.h"
#include "vck/wait_list.h"

enum {
    EMPTY,         /* no answer, nobody waits */
    WAITING,       /* the waker belongs to the next sender or to whoever withdraws it */
    ANSWERING,     /* the sender has the waker and is about to publish and to wake */
    SENT,          /* value is the receiver's */
    ENDED,         /* there is no value, or it was received */
    RECEIVER_GONE, /* nobody will ever look */
};

void vck_oneshot_init(struct vck_oneshot *oneshot, void (*drop)(void *context, void *value),
                      void *context)
{
    *oneshot = (struct vck_oneshot){
        .state = EMPTY,
        .waker = vck_waker_none(),
        .drop = drop,
        .context = context,
    };
}

vck_status vck_oneshot_create(void (*drop)(void *context, void *value), void *context,
                              struct vck_oneshot **ret_oneshot)
{
    struct vck_oneshot *oneshot = vck_alloc(sizeof(*oneshot), VCK_TAG('O', 'n', 'e', 'S'));

    if (!oneshot)
        return VCK_NO_MEMORY;
    vck_oneshot_init(oneshot, drop, context);
    oneshot->allocated = true;
    *ret_oneshot = oneshot;
    return VCK_OK;
}

static uint32_t state_of(const struct vck_oneshot *oneshot)
{
    return __atomic_load_n(&oneshot->state, __ATOMIC_ACQUIRE);
}

static bool change(struct vck_oneshot *oneshot, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&oneshot->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* ---- the sender's end ---- */

/* Publishes SENT or ENDED; false when the receiver is gone. */
static bool answer(struct vck_oneshot *oneshot, uint32_t how)
{
    struct vck_waker waker = vck_waker_none();
    bool published = false;

    while (!published) {
        uint32_t state = state_of(oneshot);
        if (state == RECEIVER_GONE)
            break;
        if (state == WAITING && change(oneshot, WAITING, ANSWERING))
            waker = oneshot->waker;
        else if (state != WAITING)
            published = change(oneshot, state, how);
    }
    vck_waker_wake_and_drop(waker);
    return published;
}

static void free_if_allocated(struct vck_oneshot *oneshot)
{
    if (oneshot->allocated)
        vck_free(oneshot);
}

vck_status vck_oneshot_send(struct vck_oneshot *oneshot, void *value)
{
    oneshot->value = value;
    if (answer(oneshot, SENT))
        return VCK_OK;
    free_if_allocated(oneshot);
    return VCK_DELETED;
}

void vck_oneshot_drop_sender(struct vck_oneshot *oneshot)
{
    if (!answer(oneshot, ENDED))
        free_if_allocated(oneshot);
}

bool vck_oneshot_is_abandoned(const struct vck_oneshot *oneshot)
{
    return state_of(oneshot) == RECEIVER_GONE;
}

/* ---- the receiver's end ---- */

vck_status vck_oneshot_try_receive(struct vck_oneshot *oneshot, void **ret_value)
{
    switch (state_of(oneshot)) {
    case SENT:
        *ret_value = oneshot->value;
        __atomic_store_n(&oneshot->state, (uint32_t)ENDED, __ATOMIC_RELAXED);
        return VCK_OK;
    case ENDED:
        return VCK_DELETED;
    default:
        return VCK_BUSY;
    }
}

/* Takes the waker back; false when the sender has it already. */
static bool withdraw(struct vck_oneshot *oneshot)
{
    struct vck_waker waker = oneshot->waker;

    if (!change(oneshot, WAITING, EMPTY))
        return false;
    vck_waker_drop(waker);
    return true;
}

/* In state EMPTY. False when an answer came in between. */
static bool arm(struct vck_oneshot *oneshot, const struct vck_waker *waker)
{
    struct vck_waker fresh = waker->ops->clone(waker->data);

    oneshot->waker = fresh;
    if (change(oneshot, EMPTY, WAITING))
        return true;
    vck_waker_drop(fresh);
    return false;
}

/* True when the waker will be woken; false when there is something to look at. */
static bool wait_for_answer(struct vck_oneshot *oneshot, const struct vck_waker *waker)
{
    switch (state_of(oneshot)) {
    case EMPTY:
        return arm(oneshot, waker);
    case WAITING:
        if (vck_waker_is_same(&oneshot->waker, waker))
            return true;
        return withdraw(oneshot) && arm(oneshot, waker);
    case ANSWERING:
        /* The sender is about to wake what was registered. If that was somebody else, look again
         * soon. */
        if (!vck_waker_is_same(&oneshot->waker, waker))
            waker->ops->wake(waker->data);
        return true;
    default:
        return false;
    }
}

static enum vck_poll receive_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_oneshot_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_oneshot_receive, future);

    do {
        receive->status = vck_oneshot_try_receive(receive->oneshot, &receive->value);
        if (receive->status != VCK_BUSY)
            return VCK_READY;
    } while (!wait_for_answer(receive->oneshot, waker));
    return VCK_PENDING;
}

static void receive_drop(struct vck_future *self)
{
    struct vck_oneshot_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_oneshot_receive, future);

    if (receive->status == VCK_BUSY) {
        (void)withdraw(receive->oneshot);
        receive->status = VCK_CANCELLED;
    }
}

void vck_oneshot_receive_init(struct vck_oneshot_receive *receive, struct vck_oneshot *oneshot)
{
    *receive = (struct vck_oneshot_receive){
        .future = {.poll = receive_poll, .drop = receive_drop},
        .oneshot = oneshot,
        .status = VCK_NOT_READY,
    };
}

vck_status vck_oneshot_receive_until(struct vck_oneshot *oneshot, uint64_t deadline_ns,
                                     void **ret_value)
{
    struct vck_oneshot_receive receive;
    vck_status status;

    vck_oneshot_receive_init(&receive, oneshot);
    status = vck_block_on_until(&receive.future, deadline_ns);
    if (status != VCK_OK)
        return status;
    if (receive.status == VCK_OK)
        *ret_value = receive.value;
    return receive.status;
}

void vck_oneshot_drop_receiver(struct vck_oneshot *oneshot)
{
    uint32_t state =
        __atomic_exchange_n(&oneshot->state, (uint32_t)RECEIVER_GONE, __ATOMIC_ACQ_REL);

    if (state == WAITING)
        vck_waker_drop(oneshot->waker);
    if (state == SENT && oneshot->drop)
        oneshot->drop(oneshot->context, oneshot->value);
    if (state == SENT || state == ENDED)
        free_if_allocated(oneshot);
}
