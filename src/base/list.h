/* SPDX-License-Identifier: MIT */
/*
 * base/list.h - a circular doubly linked list whose links live in the
 * elements. An empty head points at itself, and so does a link that was
 * removed: one may ask it whether it is on a list.
 */
#ifndef ASPEN_BASE_LIST_H
#define ASPEN_BASE_LIST_H

#include "base/bits.h"

struct aspen_list {
    struct aspen_list *next;
    struct aspen_list *previous;
};

static inline void
aspen_list_init(struct aspen_list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool
aspen_list_is_empty(const struct aspen_list *list)
{
    return list->next == list;
}

/* Insert `link` right after `position`. */
static inline void
aspen_list_insert_after(struct aspen_list *position, struct aspen_list *link)
{
    link->next = position->next;
    link->previous = position;
    position->next->previous = link;
    position->next = link;
}

static inline void
aspen_list_push_front(struct aspen_list *head, struct aspen_list *link)
{
    aspen_list_insert_after(head, link);
}

static inline void
aspen_list_push_back(struct aspen_list *head, struct aspen_list *link)
{
    aspen_list_insert_after(head->previous, link);
}

static inline void
aspen_list_remove(struct aspen_list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    aspen_list_init(link);
}

#define aspen_list_for_each(link, head)                                        \
    for (struct aspen_list *link = (head)->next; link != (head);               \
         link = link->next)

/* The current link may be removed inside the body. */
#define aspen_list_for_each_safe(link, head)                                   \
    for (struct aspen_list *link = (head)->next, *link##_next = link->next;    \
         link != (head); link = link##_next, link##_next = link->next)

#define aspen_list_for_each_reverse(link, head)                                \
    for (struct aspen_list *link = (head)->previous; link != (head);           \
         link = link->previous)

#endif
