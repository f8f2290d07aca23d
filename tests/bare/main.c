/* SPDX-License-Identifier: MIT */
/*
 * main.c - one scene after the other. What comes out is a line for each, and
 * the last ones "N passed, N failed, N skipped" and "status N".
 */
#include "bare.h"

#include <stdio.h>

#define MOST 12u /* of what is found is said */

static unsigned findings, passed, failed;

unsigned
found_so_far(void)
{
    return findings;
}

void
found(const char *format, ...)
{
    char line[280];
    va_list list;

    if (findings++ >= MOST)
        return;
    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    print("     %s\n", line);
}

static _Noreturn void
end(void)
{
    print("%lu accesses, %lu faults compared\n", probe_compared, probe_faults);
    print("%u passed, %u failed, 0 skipped\nstatus %d\n", passed, failed,
          failed != 0);
    machine_off(failed != 0);
}

_Noreturn void
give_up(const char *format, ...)
{
    char line[280];
    va_list list;

    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    print("FAIL gave up: %s\n", line);
    failed++;
    end();
}

static void
run(const struct scene *scenes)
{
    for (; scenes->name; scenes++) {
        findings = 0;
        scenes->run();
        kernel_settle();
        if (findings) {
            failed++;
            print("FAIL %s: %u times\n", scenes->name, findings);
        } else {
            passed++;
            print("ok   %s\n", scenes->name);
        }
    }
}

/* The machine's start comes here, on the first CPU. */
_Noreturn void bare_main(void);
_Noreturn void
bare_main(void)
{
    machine_init();
    bare_cpus[0].port = machine_cpu(0);
    aspen_kernel_cpu_online(bare_cpus[0].port);
    print("%s, accessed and dirty are set by %s\n", machine.name,
          machine.sets_flags ? "the processor" : "faults");
    kernel_begin();
    probe_begin();
    model_begin();
    run(scenes_one);
    if (two_begin())
        run(scenes_two);
    end();
}
