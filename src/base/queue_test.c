/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include "port/port.h"
#include "vck/list.h"
#include "vck/queue.h"

#define TAG            VCK_TAG('q', 't', 's', 't')
#define PRODUCER_COUNT 4u
#define ITEM_COUNT     20000u /* of each producer */

struct item {
    struct vck_mpsc_node node;
    unsigned producer; /* plain: the queue orders the accesses */
    unsigned number;
};

static struct item *item_of(struct vck_mpsc_node *node)
{
    return VCK_CONTAINER_OF(node, struct item, node);
}

static void one_thread_gets_back_its_order(void **state)
{
    (void)state;
    struct vck_mpsc queue;
    struct item items[8];
    unsigned pushed = 0, popped = 0;
    vck_mpsc_init(&queue);
    assert_null(vck_mpsc_pop(&queue));
    /* Random fillings between empty and full, which passes the stub around. */
    for (unsigned round = 0; round < 10000; round++) {
        if (pushed - popped < VCK_ARRAY_COUNT(items) && random_u32() % 2 == 0) {
            struct item *item = &items[pushed % VCK_ARRAY_COUNT(items)];
            item->number = pushed++;
            vck_mpsc_push(&queue, &item->node);
        } else {
            struct vck_mpsc_node *node = vck_mpsc_pop(&queue);
            assert_int_equal(node == NULL, pushed == popped);
            if (node != NULL)
                assert_int_equal(item_of(node)->number, popped++);
        }
    }
    assert_true(popped > 1000);
}

struct exchange {
    struct vck_mpsc queue;
    struct vck_event pushed;
};

struct producer {
    struct exchange *exchange;
    unsigned index;
};

static void produce(void *context)
{
    struct producer *producer = context;
    for (unsigned i = 0; i < ITEM_COUNT; i++) {
        struct item *item = vck_alloc(sizeof(*item), TAG);
        VCK_ASSERT(item != NULL);
        item->producer = producer->index;
        item->number = i;
        vck_mpsc_push(&producer->exchange->queue, &item->node);
        vck_event_set(&producer->exchange->pushed);
    }
}

/* Sleeps only for the producers' signals: a lost one would stop this test. */
static void consume(struct exchange *exchange) VCK_CAN_WAIT
{
    unsigned next[PRODUCER_COUNT] = {0};
    for (unsigned got = 0; got < PRODUCER_COUNT * ITEM_COUNT; got++) {
        struct vck_mpsc_node *node;
        while ((node = vck_mpsc_pop(&exchange->queue)) == NULL)
            assert_int_equal(vck_event_wait(&exchange->pushed, VCK_FOREVER), VCK_OK);
        struct item *item = item_of(node);
        assert_in_range(item->producer, 0, PRODUCER_COUNT - 1);
        assert_int_equal(item->number, next[item->producer]++);
        vck_free(item);
    }
    assert_null(vck_mpsc_pop(&exchange->queue));
}

static void many_threads_keep_their_orders(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct exchange exchange;
    struct producer producers[PRODUCER_COUNT];
    struct vck_thread *threads[PRODUCER_COUNT];
    size_t live_count = vck_alloc_live_count();
    vck_mpsc_init(&exchange.queue);
    vck_event_init(&exchange.pushed);
    for (unsigned i = 0; i < PRODUCER_COUNT; i++) {
        producers[i] = (struct producer){&exchange, i};
        assert_int_equal(
            vck_thread_create(produce, &producers[i], VCK_THREAD_NORMAL, "producer", &threads[i]),
            VCK_OK);
    }
    consume(&exchange);
    for (unsigned i = 0; i < PRODUCER_COUNT; i++)
        vck_thread_join(threads[i]);
    vck_event_fini(&exchange.pushed);
    assert_int_equal(vck_alloc_live_count(), live_count);
}

struct element {
    unsigned number;
    struct vck_link link;
};

static unsigned number_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct element, link)->number;
}

static void a_list_keeps_its_order_while_it_changes(void **state)
{
    (void)state;
    struct vck_link head;
    struct element elements[5];
    unsigned expected = 0;
    vck_link_init(&head);
    assert_true(vck_list_is_empty(&head));
    assert_null(vck_list_pop_front(&head));
    for (unsigned i = 0; i < 5; i++) {
        elements[i].number = i;
        vck_link_init(&elements[i].link);
        assert_false(vck_link_is_linked(&elements[i].link));
    }
    for (unsigned i = 2; i < 5; i++)
        vck_list_push_back(&head, &elements[i].link);
    vck_list_push_front(&head, &elements[1].link);
    vck_list_push_front(&head, &elements[0].link);
    VCK_LIST_FOR_EACH(link, next, &head)
    {
        assert_int_equal(number_of(link), expected++);
        if (number_of(link) % 2 == 1)
            vck_link_remove(link);
    }
    assert_int_equal(expected, 5);
    assert_false(vck_link_is_linked(&elements[1].link));
    vck_link_remove(&elements[1].link);
    for (unsigned i = 0; i < 5; i += 2)
        assert_int_equal(number_of(vck_list_pop_front(&head)), i);
    assert_true(vck_list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_gets_back_its_order),
        cmocka_unit_test(many_threads_keep_their_orders),
        cmocka_unit_test(a_list_keeps_its_order_while_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
