/* SPDX-License-Identifier: MIT */
/*
 * paging/table_struct.h - page tables that wait for a grace period: a part of
 * internal.h. paging/table.c is what works on it.
 */
#ifndef ASPEN_PAGING_TABLE_STRUCT_H
#define ASPEN_PAGING_TABLE_STRUCT_H

#include "base/cache.h"

struct aspen;

/*
 * Tables that a live space frees wait for the TLB flush and a grace period:
 * those that one CPU has freed, together. One RCU head serves all of them:
 * tables that come while it is in flight are collected for the next round.
 * Lists through table_next, ended by 0. Lock: `lock`.
 */
struct aspen_table_waiting {
    _Alignas(ASPEN_CACHE_LINE) struct aspen *aspen; /* whose, while armed */
    struct aspen_port_spinlock lock;
    bool armed; /* the head is in flight */
    struct aspen_port_rcu_head head;
    uint32_t waiting;    /* frames of the grace period under way */
    uint32_t collecting; /* frames for the next */
    uint64_t count;      /* atomic: of both lists */
};

#endif
