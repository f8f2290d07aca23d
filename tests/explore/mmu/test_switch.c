/* SPDX-License-Identifier: MIT */
/*
 * A CPU goes from one space's tables to another's beside calls that take away
 * what it may have cached, or that end the space, over all orders. The
 * processor of tests/mmu caches all that it can as soon as its register leads
 * there.
 */
#include "mmu_scene.h"

#define MOST 1500u

/* CPU is the one that switches. */
static struct {
    bool lazy; /* the CPU has it loaded when the tasks begin */
    struct aspen_mm *loaded;
    /* An interrupt on the CPU comes before or after a switch. */
    struct aspen_port_spinlock interrupts_off;
} scene;

/* ---- The register ------------------------------------------------------ */

static void
load_root(void *unused, struct aspen_mm *mm)
{
    (void)unused;
    if (scene.loaded)
        mmu_leave(CPU, scene.loaded->root);
    scene.loaded = mm;
    if (mm)
        mmu_load(CPU, mm->root, START, START + PAGE, 1);
}

/* What an interrupt does on the CPU, or who switches there. */
static void
leave_tables(const struct aspen_mm *mm)
{
    aspen_port_spin_lock(&scene.interrupts_off);
    if (scene.loaded && scene.loaded == mm)
        must(aspen_mm_switch(CPU, scene.loaded, NULL));
    aspen_port_spin_unlock(&scene.interrupts_off);
}

static void
send_away(void *unused, struct aspen_mm *mm)
{
    (void)unused;
    leave_tables(mm);
    must(aspen_mm_deactivate(mm, CHILD));
}

static const struct aspen_arch_ops arch = {
    .mm_exit = send_away,
    .mm_load = load_root,
};

/* ---- Set up, and afterwards -------------------------------------------- */

static void
setup(void *unused)
{
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.hooks.arch = &arch;
    scene.loaded = NULL;
    mmu_scene_begin(&config);
    mmu_scene_map(false, false);
    must(aspen_mm_switch(CPU, NULL, mmu_scene.mm));
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    if (!scene.lazy)
        must(aspen_mm_switch(CPU, mmu_scene.mm, NULL));
}

static void
check(void *unused)
{
    (void)unused;
    mmu_scene_end();
    if (scene.loaded)
        sim_fail("the CPU has the tables of a space that is gone");
}

/* ---- Tasks ------------------------------------------------------------- */

/* It comes, reads what is there by then, and leaves again. */
static void
switch_task(void *unused)
{
    char byte = 0;

    (void)unused;
    must(aspen_mm_switch(CPU, NULL, mmu_scene.mm));
    int error = told_run(CPU, mmu_scene.mm, START, MMU_READ, &byte, 1);
    if (!error && byte != '1')
        sim_fail("the processor reads what nobody wrote");
    must(aspen_mm_switch(CPU, mmu_scene.mm, NULL));
}

static void
leave_task(void *unused)
{
    (void)unused;
    leave_tables(scene.loaded);
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
}

static void
exit_task(void *unused)
{
    (void)unused;
    told_put(&mmu_scene.mm);
}

/* ---- Scenes ------------------------------------------------------------ */

static void
explore(const char *name, bool lazy, void (*cpu)(void *context),
        void (*beside)(void *context))
{
    struct sim_program program = {
        .setup = setup, .task = {cpu, beside}, .tasks = 2, .check = check};

    scene.lazy = lazy;
    explore_holds(name, &program, MOST);
}

static void
test_switch(void **state)
{
    (void)state;
    explore("switch, munmap", false, switch_task, munmap_task);
    explore("switch, mprotect", false, switch_task, protect_task);
    explore("switch, fork", false, switch_task, fork_task);
}

static void
test_lazy(void **state)
{
    (void)state;
    explore("lazy: leave, munmap", true, leave_task, munmap_task);
    explore("lazy: leave, fork", true, leave_task, fork_task);
    explore("lazy: leave, exit", true, leave_task, exit_task);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_lazy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
