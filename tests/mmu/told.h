/* SPDX-License-Identifier: MIT */
/*
 * told.h - what the core tells a processor of mmu.h, taken from between the
 * core and its port, on any port: flushes, frames that are freed or given out,
 * and the brackets of the second MMU. Programs that use it are linked with
 * MMU_WRAPS (tests/mmu/mmu.mk).
 */
#ifndef ASPEN_TESTS_MMU_TOLD_H
#define ASPEN_TESTS_MMU_TOLD_H

#include "mmu.h"
#include <aspen/aspen.h>

/* For config.hooks.notifier. */
extern const struct aspen_notifier_ops told_notifier;

/* The second MMU takes in what the tables have. As mmu_load(). */
uint64_t told_second_load(struct aspen_mm *mm, uint64_t start, uint64_t end,
                          uint64_t most);

/* The frames are this machine's; NULL: nobody's. Where `inside`, if
 * there is one, says that this thread is in no call, it flushes nothing. */
void told_of(struct aspen *aspen, bool (*inside)(void));

/* As mmu_access(), in a space. */
bool told_access(unsigned cpu, struct aspen_mm *mm, uint64_t address,
                 enum mmu_access access, void *bytes, size_t length);

/* The CPU runs in the space, which is active there, and keeps what it caches of
 * it over a switch: one away from it, one back to it. */
void told_keep(unsigned cpu, struct aspen_mm *mm);
void told_switch_away(unsigned cpu, struct aspen_mm *mm);
void told_switch_back(unsigned cpu, struct aspen_mm *mm);

/* Faults answer 0, and the access goes on faulting. */
#define TOLD_FOR_EVER 1

/* An access with the faults that it takes: 0, a fault's error, FOR_EVER. */
int told_run(unsigned cpu, struct aspen_mm *mm, uint64_t address,
             enum mmu_access access, void *bytes, size_t length);

/* The same of the second MMU, which fills itself as docs/use/mmu.md has
 * it. */
int told_second(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
                void *bytes, size_t length);

/* As aspen_mm_put() by the last user, if there is a space: what is cached is
 * right before, and nothing of it is cached after. */
void told_put(struct aspen_mm **mm);

/* The same while another call is under way, which may be about to flush. */
void told_put_beside(struct aspen_mm **mm);

#endif
