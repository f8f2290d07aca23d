/* SPDX-License-Identifier: MIT */
/*
 * A CPU goes from one space's tables to another's beside calls that take away
 * what it may have cached, or that end the space, over all orders. The
 * processor of tests/mmu caches all that it can as soon as its register leads
 * there.
 */
#include "explore.h"
#include "told.h"
#include "space/mm.h"

#define FRAMES 128u
#define MOST   1500u
#define CPU    0u /* that switches */
#define OTHER  1u /* of a child */

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child;
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
    must(aspen_mm_deactivate(mm, OTHER));
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
    struct mmu_config mmu = {
        .frames = FRAMES, .flags = MMU_FLAGS_FAULT, .on_breach = sim_fail};
    char byte = '1';

    (void)unused;
    aspen_config_init(&config);
    config.hooks.arch = &arch;
    config.hooks.notifier = &told_notifier;
    scene.child = NULL;
    scene.loaded = NULL;
    told_of(NULL);
    scene.aspen = explore_machine(&config, FRAMES);
    mmu.direct_map = scene.aspen->config.direct_map;
    mmu_attach(&mmu);
    told_of(scene.aspen);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, 1, RW, NULL);
    must(aspen_mm_switch(CPU, NULL, scene.mm));
    must(told_run(CPU, scene.mm, START, MMU_WRITE, &byte, 1));
    if (!scene.lazy)
        must(aspen_mm_switch(CPU, scene.mm, NULL));
}

static void
check(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    told_put(&scene.child);
    told_put(&scene.mm);
    if (scene.loaded)
        sim_fail("the CPU has the tables of a space that is gone");
    told_of(NULL);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

/* It comes, reads what is there by then, and leaves again. */
static void
switch_task(void *unused)
{
    char byte = 0;

    (void)unused;
    must(aspen_mm_switch(CPU, NULL, scene.mm));
    int error = told_run(CPU, scene.mm, START, MMU_READ, &byte, 1);
    if (!error && byte != '1')
        sim_fail("the processor reads what nobody wrote");
    must(aspen_mm_switch(CPU, scene.mm, NULL));
}

static void
leave_task(void *unused)
{
    (void)unused;
    leave_tables(scene.loaded);
}

static void
munmap_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_munmap(scene.mm, START, PAGE));
    mmu_check_gone(scene.mm->root, START, START + PAGE, since, MMU_GONE_ALL,
                   "munmap");
}

static void
protect_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_mprotect(scene.mm, START, PAGE, ASPEN_VM_READ, -1));
    mmu_check_gone(scene.mm->root, START, START + PAGE, since,
                   MMU_GONE_WRITABLE, "mprotect");
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.child));
    must(aspen_mm_activate(scene.child, OTHER));
}

static void
exit_task(void *unused)
{
    (void)unused;
    told_put(&scene.mm);
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
