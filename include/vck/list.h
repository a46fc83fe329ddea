/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list: an intrusive doubly linked ring. The head is a link that is in no element; an unlinked
 * element points to itself. Not locked: whoever owns the head says which lock covers it. Any level.
 */
#ifndef VCK_LIST_H
#define VCK_LIST_H

#include <stdbool.h>
#include "vck/bytes.h"

VCK_BEGIN_DECLS

struct vck_link {
    struct vck_link *next;
    struct vck_link *prev;
};

static inline void vck_link_init(struct vck_link *link)
{
    link->next = link;
    link->prev = link;
}

static inline bool vck_list_is_empty(const struct vck_link *head)
{
    return head->next == head;
}

static inline bool vck_link_is_linked(const struct vck_link *link)
{
    return link->next != link;
}

static inline void vck_link_insert_between(struct vck_link *link, struct vck_link *prev,
                                           struct vck_link *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void vck_list_push_back(struct vck_link *head, struct vck_link *link)
{
    vck_link_insert_between(link, head->prev, head);
}

static inline void vck_list_push_front(struct vck_link *head, struct vck_link *link)
{
    vck_link_insert_between(link, head, head->next);
}

/* Takes the element out; harmless on one that is not linked. */
static inline void vck_link_remove(struct vck_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    vck_link_init(link);
}

/* The first element, taken out; NULL when the list is empty. */
static inline struct vck_link *vck_list_pop_front(struct vck_link *head)
{
    if (vck_list_is_empty(head))
        return NULL;
    struct vck_link *first = head->next;
    vck_link_remove(first);
    return first;
}

/* Iterates in order; the body may remove `link` itself (next is read first). */
#define VCK_LIST_FOR_EACH(link, next_link, head)                                                   \
    for (struct vck_link *link = (head)->next, *next_link = (link)->next; (link) != (head);        \
         (link) = (next_link), (next_link) = (link)->next)

VCK_END_DECLS

#endif
