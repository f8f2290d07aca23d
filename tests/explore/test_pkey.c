/* SPDX-License-Identifier: MIT */
/*
 * Protection keys beside faults, copies, forks and each other, over all orders.
 * Afterwards each entry has the key of its mapping (the validator looks), no
 * key was given out twice, and what was denied is denied.
 */
#include "explore.h"
#include "space/pkeys.h"
#include "space/vma.h"

#define FRAMES 64u
#define MOST   2000u

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *forked;
    struct aspen_arch_ops arch;
    uint32_t rights; /* of every task */
    int keys[2];     /* that tasks were given; 0: none */
    bool denied;     /* the mapping has the key that is denied, for good */
    bool gone;       /* what could be read at the second page */
    bool asks;       /* the machine asks for rights */
};

static struct scene scene;

static uint32_t
rights(void *context, const struct aspen_mm *mm)
{
    (void)context;
    (void)mm;
    return scene.rights;
}

static void
rights_set(void *context, const struct aspen_mm *mm, uint32_t now)
{
    (void)context;
    (void)mm;
    scene.rights = now;
}

/* Two pages, the first one written. Key 1 is everybody's, key 2 nobody's; two
 * are left. */
static void
setup(void *unused)
{
    struct aspen_config config;
    int key;

    bool asks = scene.asks;

    (void)unused;
    memset(&scene, 0, sizeof(scene));
    scene.asks = asks;
    aspen_config_init(&config);
    config.pkeys = 5;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    scene.arch.rights = rights;
    scene.arch.rights_set = rights_set;
    if (scene.asks)
        config.hooks.arch = &scene.arch;
    scene.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_pkey_alloc(scene.mm, 0, &key));
    must(aspen_pkey_alloc(scene.mm, ASPEN_PKEY_DISABLE_ACCESS, &key));
    explore_map(scene.mm, START, 2, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

static void
check(void *unused)
{
    struct aspen_pkeys pkeys;
    uint32_t frame;

    (void)unused;
    explore_validate(scene.aspen);
    aspen_pkeys_read(scene.mm, &pkeys);
    for (unsigned i = 0; i < 2; i++)
        if (scene.keys[i] && scene.keys[i] == pkeys.execute_only_key)
            sim_fail("the space's own key was given out");
    if (scene.keys[0] && scene.keys[0] == scene.keys[1])
        sim_fail("a key was given out twice");
    if (scene.denied &&
        (aspen_fault(scene.mm, START, ASPEN_ACCESS_READ) !=
             -ASPEN_EKEYREJECTED ||
         !aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &frame)))
        sim_fail("what is denied can be read");
    if (scene.forked)
        aspen_mm_put(scene.forked);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

/* As a processor: until the access goes through, or is refused. */
static void
access_at(uint64_t address, unsigned access)
{
    uint32_t frame;
    int error = 0;

    while (!error && aspen_translate(scene.mm, address, access, &frame))
        error = aspen_fault(scene.mm, address, access);
    if (error && error != -ASPEN_EKEYREJECTED && error != -ASPEN_EACCES &&
        error != -ASPEN_EFAULT)
        must(error);
}

static void
read_task(void *unused)
{
    (void)unused;
    access_at(START + PAGE, ASPEN_ACCESS_READ);
}

static void
write_task(void *unused)
{
    (void)unused;
    access_at(START + PAGE, ASPEN_ACCESS_WRITE);
}

static void
deny_task(void *unused)
{
    (void)unused;
    must(aspen_mprotect(scene.mm, START, 2 * PAGE, RW, 2));
    scene.denied = true;
}

static void
key_task(void *unused)
{
    (void)unused;
    must(aspen_mprotect(scene.mm, START + PAGE, PAGE, ASPEN_VM_READ, 1));
}

static void
execute_task(void *unused)
{
    (void)unused;
    must(aspen_mprotect(scene.mm, START, 2 * PAGE, ASPEN_VM_EXEC,
                        ASPEN_PKEY_SAME));
    must(aspen_mprotect(scene.mm, START, 2 * PAGE, RW, ASPEN_PKEY_SAME));
}

static void
map_execute_task(void *unused)
{
    struct aspen_mmap_args args = {.length_bytes = PAGE,
                                   .vm_flags = ASPEN_VM_EXEC};
    uint64_t address;

    (void)unused;
    must(aspen_mmap(scene.mm, &args, &address));
    access_at(address, ASPEN_ACCESS_EXEC);
}

/* There are two left, for three that ask. */
static void
alloc_as(unsigned task)
{
    int error = aspen_pkey_alloc(scene.mm, 0, &scene.keys[task]);
    if (error != -ASPEN_ENOSPC)
        must(error);
}

/* Always at the same place, and one that is mapped to begin with. */
static void
map_execute_fixed_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START + PAGE, PAGE));
    sim_point(&scene.gone, true);
    scene.gone = true;
    explore_map(scene.mm, START + PAGE, 1, ASPEN_VM_EXEC, NULL);
    access_at(START + PAGE, ASPEN_ACCESS_EXEC);
}

static bool
is_gone(void)
{
    sim_point(&scene.gone, false);
    return scene.gone;
}

static void
may_not_read_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    bool gone = is_gone();
    int error = aspen_fault(scene.mm, START + PAGE, ASPEN_ACCESS_READ);
    if (gone &&
        !aspen_translate(scene.mm, START + PAGE, ASPEN_ACCESS_READ, &frame))
        sim_fail("what is executed alone was read");
    (void)error;
}

static void
alloc_first_task(void *unused)
{
    (void)unused;
    alloc_as(0);
}

static void
alloc_second_task(void *unused)
{
    (void)unused;
    alloc_as(1);
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.forked));
}

static void
copy_task(void *unused)
{
    bool denied = scene.denied;
    uint8_t byte = 1;
    uint64_t done;

    (void)unused;
    int error = aspen_write_memory(scene.mm, START + PAGE, &byte, 1, 0, &done);
    if (denied && error != -ASPEN_EFAULT)
        sim_fail("what is denied was written");
    if (error != -ASPEN_EFAULT)
        must(error);
}

static void
move_task(void *unused)
{
    uint64_t address;

    (void)unused;
    must(aspen_mremap(scene.mm,
                      &(struct aspen_mremap_args){
                          .address = START,
                          .old_bytes = PAGE,
                          .new_bytes = PAGE,
                          .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                          .new_address = START + 8 * PAGE,
                      },
                      &address));
}

/* ---- Tests ------------------------------------------------------------- */

struct row {
    const char *name;
    void (*tasks[SIM_TASKS])(void *context);
};

static void
run(const struct row *rows, size_t count, bool asks)
{
    scene.asks = asks;
    for (size_t i = 0; i < count; i++) {
        struct sim_program program =
            explore_program(setup, rows[i].tasks, check);
        explore_holds(rows[i].name, &program, MOST);
    }
}

static void
test_keys(void **state)
{
    static const struct row rows[] = {
        {"a read beside a key", {read_task, key_task}},
        {"a write beside a key", {write_task, key_task}},
        {"a read beside a key that is denied", {read_task, deny_task}},
        {"a write beside execution alone", {write_task, execute_task}},
        {"a copy beside a key that is denied", {copy_task, deny_task}},
        {"a copy beside execution alone", {copy_task, execute_task}},
        {"a fork beside a key", {fork_task, key_task}},
        {"a fork beside execution alone", {fork_task, execute_task}},
        {"a move beside a key", {move_task, key_task}},
        {"execution alone beside keys given out",
         {map_execute_task, alloc_first_task, alloc_second_task}},
        {"two that map for execution alone",
         {map_execute_task, map_execute_task, alloc_first_task}},
        {"a read, a write and a key", {read_task, write_task, key_task}},
        {"a read, a fork and a key", {read_task, fork_task, key_task}},
    };

    (void)state;
    run(rows, sizeof(rows) / sizeof(rows[0]), true);
}

/* Nobody says what a thread may do: then nobody reads what is for execution
 * alone, from the moment that it is there. */
static void
test_without_rights(void **state)
{
    static const struct row rows[] = {
        {"a read beside a mapping for execution alone",
         {may_not_read_task, map_execute_fixed_task}},
    };

    (void)state;
    run(rows, sizeof(rows) / sizeof(rows[0]), false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_without_rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
