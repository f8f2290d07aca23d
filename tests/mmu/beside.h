/* SPDX-License-Identifier: MIT */
/*
 * beside.h - the processor of mmu.h beside every call of a test, without a word
 * of the test: it is linked with this file, which stands between it and the
 * library (ld's --wrap).
 *
 *   aspen_create()     the machine gets a processor; the second MMU listens to
 *                      its brackets
 *   a space is made    it is active on a CPU of its own
 *   before a call      the CPUs cache all that the tables have
 *   in a call          flushes reach the CPUs; frames that are freed or given
 *                      out are asked about; what a call promises to have taken
 *                      away is asked about where it returns
 *   after a call       all that is still cached is compared with the tables
 *
 * One machine at a time, the one that was made last. What is found is a panic.
 */
#ifndef ASPEN_TESTS_MMU_BESIDE_H
#define ASPEN_TESTS_MMU_BESIDE_H

#include "mmu.h"
#include <aspen/aspen.h>

/* Who writes accessed and dirty into entries, by how the core is built; with
 * nobody the processor may be asked to fault (before aspen_create()). */
void beside_flags(enum mmu_flags flags);
/* It evicts by chance from the next aspen_create() on. */
void beside_evict(uint64_t seed);

/* Whether there is a second MMU, from the next aspen_create() on: without one
 * what is reclaimed is flushed together. */
void beside_second(bool second);

/* From here on nothing is cached before calls but what the test accesses. */
void beside_load(bool load);

/* From the next aspen_create() on the test makes public calls alone: a flush in
 * one that is said to change no entry (tests/mmu/apart) is a panic. */
void beside_public(void);

/* The CPU of a space. */
unsigned beside_cpu(const struct aspen_mm *mm);

/* A program's access, with the faults that it takes: 0 or the fault's error.
 * It panics if faults answer 0 and the access goes on faulting. */
int beside_access(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
                  void *bytes, size_t length);
/* A read of a CPU that has nothing cached of the space: it notes the access,
 * whoever writes accessed bits. 0 or the fault's error. */
int beside_touch(struct aspen_mm *mm, uint64_t address);
/* An access by one CPU, without a fault: false, it faults. */
bool beside_try(unsigned cpu, struct aspen_mm *mm, uint64_t address,
                enum mmu_access access, void *bytes, size_t length);

/* Compare all that is cached with the tables: nobody is inside of a call. */
void beside_check(const char *after);

/* Panic if something was found. */
void beside_say(const char *after);

#endif
