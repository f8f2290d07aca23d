/* SPDX-License-Identifier: MIT */
/*
 * The smallest embedding: a machine, an address space, one page, one fork.
 * README.md shows the body of main(); `make check` compares the two.
 */
#include <aspen/aspen.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(call)                                                             \
    do {                                                                       \
        int error = (call);                                                    \
        if (error) {                                                           \
            fprintf(stderr, "%s: %s\n", #call, aspen_error_name(error));       \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

int
main(void)
{
    struct aspen_config config;
    struct aspen *machine;
    struct aspen_mm *parent, *child;
    uint64_t address;

    aspen_config_init(&config);
    config.frames = 1024;
    config.direct_map = aligned_alloc(4096, 1024 * 4096);
    MUST(aspen_create(&config, &machine));
    MUST(aspen_mm_create(machine, &parent));
    MUST(aspen_mmap(parent,
                    &(struct aspen_mmap_args){
                        .length_bytes = 16384,
                        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
                    },
                    &address));
    MUST(aspen_fault(parent, address, ASPEN_ACCESS_WRITE));
    MUST(aspen_fork(parent, &child)); /* all of it, or nothing */

    uint32_t frame, shared;
    MUST(aspen_translate(parent, address, ASPEN_ACCESS_READ, &frame));
    MUST(aspen_translate(child, address, ASPEN_ACCESS_READ, &shared));
    printf("0x%llx: %s page\n", (unsigned long long)address,
           frame == shared ? "one shared" : "two");

    aspen_mm_put(child);
    aspen_mm_put(parent);
    MUST(aspen_destroy(machine));
    free(config.direct_map);
    return 0;
}
