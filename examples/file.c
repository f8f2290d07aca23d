/* SPDX-License-Identifier: MIT */
/*
 * A file of the host, mapped: what is written through the mapping is in the
 * file after msync, where read(2) finds it.
 */
#define _GNU_SOURCE
#include <aspen/aspen.h>
#include <aspen_posix_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(call)                                                             \
    do {                                                                       \
        int error = (call);                                                    \
        if (error) {                                                           \
            fprintf(stderr, "%s: %s\n", #call, aspen_error_name(error));       \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static int
make_file(const char *contents)
{
    char name[] = "/tmp/aspen-example-XXXXXX";
    int descriptor = mkstemp(name);
    ssize_t length = (ssize_t)strlen(contents);

    if (descriptor < 0 || unlink(name) ||
        write(descriptor, contents, (size_t)length) != length)
        exit(1);
    return descriptor;
}

static void
show(int descriptor)
{
    char contents[100];
    ssize_t length = pread(descriptor, contents, sizeof(contents), 0);

    printf("the file: %.*s\n", length > 0 ? (int)length : 0, contents);
}

int
main(void)
{
    struct aspen_config config;
    struct aspen *machine;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint64_t address, done;
    int descriptor = make_file("written by the host ");

    aspen_config_init(&config);
    config.frames = 1024;
    config.direct_map = aligned_alloc(4096, 1024 * 4096);
    MUST(aspen_create(&config, &machine));
    MUST(aspen_mm_create(machine, &mm));
    MUST(aspen_posix_file_create(machine, descriptor, "a file", &file));
    MUST(aspen_mmap(
        mm,
        &(struct aspen_mmap_args){
            .length_bytes = 4096,
            .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_SHARED,
            .object = file,
        },
        &address));
    show(descriptor);
    MUST(aspen_write_memory(mm, address + 15, "guest", 5, 0, &done));
    show(descriptor); /* the page is dirty: only mappings see it */
    MUST(aspen_msync(mm, address, 4096, ASPEN_MS_SYNC));
    show(descriptor);

    aspen_mm_put(mm);
    aspen_object_put(file);
    MUST(aspen_destroy(machine));
    free(config.direct_map);
    close(descriptor);
    return 0;
}
