/* SPDX-License-Identifier: MIT */
/*
 * explore.h - running programs of sim.h inside cmocka, and what their scenes
 * are made of: a machine anew for each run, which is looked at when it ends.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "unit.h"
#include <aspen/aspen.h>
#include <sim.h>

#define PAGE  4096ull
#define START (16 * PAGE) /* where scenes begin to map */
#define RW    (ASPEN_VM_READ | ASPEN_VM_WRITE)

/* As many tasks as are named: up to SIM_TASKS, or to the first NULL. */
struct sim_program explore_program(void (*setup)(void *context),
                                   void (*const *tasks)(void *context),
                                   void (*check)(void *context));

/* Every order of the program holds; prints how many there were. With more
 * orders than `most` the rest is sampled at random, and said. ASPEN_ROUNDS_OF
 * divides both. Each is a scenario of `aspen explore` (serve.h), for which its
 * name is to be the only one of this program. */
void explore_holds(const char *name, const struct sim_program *program,
                   uint64_t most);

/* The same of every order with at most so many preemptions, to the end. */
void explore_bounded(const char *name, const struct sim_program *program,
                     unsigned preemptions);

/* Some order breaks it, with a message that holds `what`; its schedule, when
 * replayed, breaks it again. */
void explore_breaks(const char *name, const struct sim_program *program,
                    const char *what);

/* ---- Scenes ------------------------------------------------------------ */

/* What may not fail here; the run has failed if it does. */
void must(int error);

/* A machine of `config` (NULL: as it is without), with so many frames. */
struct aspen *explore_machine(const struct aspen_config *config,
                              uint32_t frames);

/* It is valid. */
void explore_validate(struct aspen *aspen);

/* Nothing may be left. */
void explore_machine_end(struct aspen *aspen);

uint8_t *explore_bytes(struct aspen *aspen, uint32_t frame);

/* Map at `address` exactly. */
void explore_map(struct aspen_mm *mm, uint64_t address, uint64_t pages,
                 uint64_t vm_flags, struct aspen_object *object);

/* The step with this number fails, once; 0: none does. */
void explore_plan(struct aspen *aspen, uint64_t fail_at);

/* What may fail where a step of the plan does. */
void must_or_planned(int error);

/* What was crossed since; from here on nothing fails. */
void explore_plan_end(struct aspen *aspen,
                      struct aspen_failpoint_counts *counts);

#endif
