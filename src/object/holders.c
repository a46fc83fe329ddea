/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#if !defined(NDEBUG)

#include "vck/bytes.h"

#define HOLDERS_TAG   VCK_TAG('V', 'o', 'b', 'h')
#define BLOCK_HOLDERS 16u

/* Blocks are only added while the object is there. */
struct holders_block {
    struct holders_block *next;
    struct holder holders[BLOCK_HOLDERS];
};

/* The index-th place, used or not; NULL behind the last. */
static struct holder *place(struct holders *holders, size_t index)
{
    struct holders_block *block = holders->blocks;
    if (index < HOLDERS_INLINE)
        return &holders->first[index];
    index -= HOLDERS_INLINE;
    for (; block != NULL && index >= BLOCK_HOLDERS; index -= BLOCK_HOLDERS)
        block = block->next;
    return block != NULL ? &block->holders[index] : NULL;
}

/* The place of this tag and site, else a free one, else NULL. */
static struct holder *find_to_add(struct holders *holders, uint32_t tag, const char *site)
{
    struct holder *free_place = NULL;
    struct holder *holder;
    for (size_t i = 0; (holder = place(holders, i)) != NULL; i++) {
        if (holder->count == 0)
            free_place = free_place != NULL ? free_place : holder;
        else if (holder->tag == tag && holder->site == site)
            return holder;
    }
    return free_place;
}

static struct holder *add_block(struct holders *holders)
{
    struct holders_block *block = vck_alloc(sizeof(*block), HOLDERS_TAG);
    if (block == NULL)
        return NULL;
    block->next = holders->blocks;
    holders->blocks = block;
    return &block->holders[0];
}

void holders_init(struct holders *holders)
{
    vck_spinlock_init(&holders->lock);
}

void holders_fini(struct holders *holders)
{
    while (holders->blocks != NULL) {
        struct holders_block *block = holders->blocks;
        holders->blocks = block->next;
        vck_free(block);
    }
}

void holders_add(struct holders *holders, uint32_t tag, const char *site)
{
    vck_spinlock_acquire(&holders->lock);
    struct holder *holder = find_to_add(holders, tag, site);
    if (holder == NULL)
        holder = add_block(holders);
    if (holder == NULL) {
        holders->unrecorded++;
    } else {
        holder->tag = tag;
        holder->site = site;
        holder->count++;
    }
    vck_spinlock_release(&holders->lock);
}

bool holders_remove(struct holders *holders, uint32_t tag)
{
    struct holder *holder;
    struct holder *found = NULL;
    bool is_held = true;
    vck_spinlock_acquire(&holders->lock);
    for (size_t i = 0; (holder = place(holders, i)) != NULL; i++) {
        if (holder->count > 0 && holder->tag == tag)
            found = holder;
    }
    if (found != NULL)
        found->count--;
    else if (holders->unrecorded > 0)
        holders->unrecorded--;
    else
        is_held = false;
    vck_spinlock_release(&holders->lock);
    return is_held;
}

bool holders_get(struct holders *holders, size_t index, struct holder *ret_holder)
{
    struct holder *holder;
    bool is_found = false;
    vck_spinlock_acquire(&holders->lock);
    for (size_t i = 0; !is_found && (holder = place(holders, i)) != NULL; i++) {
        if (holder->count == 0 || index-- > 0)
            continue;
        *ret_holder = *holder;
        is_found = true;
    }
    if (!is_found && index == 0 && holders->unrecorded > 0) {
        *ret_holder = (struct holder){.site = "places that could not be recorded",
                                      .count = holders->unrecorded};
        is_found = true;
    }
    vck_spinlock_release(&holders->lock);
    return is_found;
}

#endif
