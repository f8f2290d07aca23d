/* SPDX-License-Identifier: MIT */
/*
 * The contract of contract.h, on the sim port, in every order.
 */
#include <aspen_port.h>

#include "../unit/port/contract.h"
#include "explore.h"

static void
contract_fail(const char *why)
{
    sim_fail(why);
}

static void
contract_between(const void *word, bool is_write)
{
    sim_point(word, is_write);
}

static void
contract_run(const struct contract_program *program)
{
    struct sim_program simulated = {
        .setup = program->setup,
        .tasks = program->tasks,
        .check = program->check,
    };

    for (unsigned i = 0; i < program->tasks; i++)
        simulated.task[i] = program->task[i];
    explore_holds(program->name, &simulated, 20000);
}

int
main(void)
{
    return contract_tests();
}
