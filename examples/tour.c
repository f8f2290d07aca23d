/* SPDX-License-Identifier: MIT */
/*
 * The example behind docs/design/tour.md: one address, from mmap to exit. It
 * prints what the page shows; `make check` compares the two.
 */
#include <aspen/aspen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
must(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "tour: %s: %s\n", what, aspen_error_name(error));
        exit(1);
    }
}

static void
print(void *context, const char *text, size_t length)
{
    (void)context;
    fwrite(text, 1, length, stdout);
}

static void
show(const char *title, struct aspen_mm *mm)
{
    printf("-- %s\n", title);
    aspen_inspect_mm(mm, ASPEN_INSPECT_PAGES, print, NULL);
}

static int
refuse(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    return *(bool *)context ? -ASPEN_ENOMEM : 0;
}

int
main(void)
{
    static const struct aspen_arch_ops arch = {.fork_prepare = refuse};
    bool refusing = false;
    struct aspen_config config;
    struct aspen *machine;
    struct aspen_mm *parent;
    struct aspen_mm *child;
    uint64_t address;

    aspen_config_init(&config);
    config.frames = 256;
    config.direct_map = aligned_alloc(4096, 256 * 4096);
    config.hooks.arch = &arch;
    config.hooks.context = &refusing;
    must(aspen_create(&config, &machine), "aspen_create");
    must(aspen_mm_create(machine, &parent), "aspen_mm_create");

    struct aspen_mmap_args args = {
        .address = 0x400000,
        .length_bytes = 3 * 4096,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
        .flags = ASPEN_MAP_FIXED_NOREPLACE,
    };
    must(aspen_mmap(parent, &args, &address), "aspen_mmap");
    show("mapped, untouched", parent);

    must(aspen_fault(parent, address, ASPEN_ACCESS_WRITE), "aspen_fault");
    must(aspen_fault(parent, address + 4096, ASPEN_ACCESS_READ), "aspen_fault");
    show("one page written, one read", parent);

    refusing = true;
    int error = aspen_fork(parent, &child);
    printf("-- a fork that fails at its last step: %s\n",
           aspen_error_name(error));
    refusing = false;
    show("the parent after it", parent);

    must(aspen_fork(parent, &child), "aspen_fork");
    show("the parent after a fork that succeeds", parent);
    show("the child", child);

    must(aspen_fault(child, address, ASPEN_ACCESS_WRITE), "aspen_fault");
    show("the child after it wrote", child);
    show("the parent then", parent);

    aspen_mm_put(child);
    aspen_mm_put(parent);
    must(aspen_destroy(machine), "aspen_destroy");
    free(config.direct_map);
    return 0;
}
