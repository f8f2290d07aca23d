/* SPDX-License-Identifier: MIT */
/*
 * boot.c - everything is set up, in the order in which it is needed.
 */
#include "boot/boot.h"

#include "boot/pvh.h"
#include "dev/apic.h"
#include "dev/clock.h"
#include "dev/disk.h"
#include "fs/node.h"
#include "fs/tty.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "proc/process.h"
#include "sys/call.h"

#define COMMAND_BYTES 4096u

extern char first_stack[];

static const struct pvh_info *info;
static char command_line[COMMAND_BYTES];

/* entry.S calls it. */
_Noreturn void kernel_main(uint64_t argument);

unsigned
boot_memory(struct stretch ram[STRETCHES_MAX])
{
    const struct pvh_memory *map = direct_pointer(info->memory_map);
    unsigned count = 0;

    for (unsigned i = 0; i < info->memory_map_entries; i++) {
        uint64_t start = round_up(map[i].address, PAGE_BYTES);
        uint64_t end = round_down(map[i].address + map[i].bytes, PAGE_BYTES);
        end = MIN(end, DIRECT_MAP_BYTES);
        if (map[i].type == PVH_MEMORY_RAM && start < end &&
            count < STRETCHES_MAX)
            ram[count++] = (struct stretch){start, end};
    }
    return count;
}

const char *
boot_option(const char *name)
{
    static char value[COMMAND_BYTES];
    size_t length = strlen(name), at = 0;

    for (const char *c = command_line; *c; c++) {
        if ((c != command_line && c[-1] != ' ') ||
            strncmp(c, name, length) != 0 || c[length] != '=')
            continue;
        c += length + 1;
        while (c[at] && (c[at] != ' ' || strcmp(name, "cmd") == 0))
            value[at] = c[at], at++;
        value[at] = 0;
        return value;
    }
    return NULL;
}

static void
rcu_loop(void *unused)
{
    (void)unused;
    for (;;)
        aspen_kernel_rcu_work();
}

/* Files, then the first program: a shell, or a shell's command. */
static void
begin(void *unused)
{
    static const char *arguments[4];
    const char *command, *shell;
    int error = disk_init();

    (void)unused;
    tree_init();
    if (!error)
        error = archive_read();
    if (error)
        panic("no archive on the disk: error %d", -error);
    devices_init();
    proc_init();
    calls_init();
    shell = boot_option("init");
    shell = string_copy(shell ? shell : "/bin/sh");
    ASSERT(shell != NULL);
    arguments[0] = shell;
    command = boot_option("cmd");
    if (command) {
        arguments[1] = "-c";
        arguments[2] = command;
    }
    print("%lu ms: the first program\n", time_now() / 1000000);
    process_first(shell, arguments);
    thread_end();
}

_Noreturn void
kernel_main(uint64_t argument)
{
    info = direct_pointer(argument);
    idt_init();
    cpu_init(0);
    sched_adopt(first_stack);
    if (info->magic != PVH_MAGIC)
        panic("not started by PVH");
    format(command_line, COMMAND_BYTES, "%s",
           (char *)direct_pointer(info->command_line));
    clock_init();
    tty_init(boot_option("tty") != NULL);
    space_init();
    apic_init(info->rsdp);
    apic_cpu_init();
    apic_route(4, VECTOR_SERIAL, false);
    interrupts_on();
    start_cpus();
    print("%u CPUs\n", cpus_online);
    thread_kernel(rcu_loop, NULL);
    thread_kernel(space_keep_free, NULL);
    thread_kernel(begin, NULL);
    sched_idle();
}
