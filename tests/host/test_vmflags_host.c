/* SPDX-License-Identifier: MIT */
/*
 * VmFlags of smaps, beside the host's kernel: every kind of mapping with every
 * access, locked ones too.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "place_pair.h"
#include "place_scratch.h"

#include "host/host.h"
#include <sys/mman.h>

/* From the text of smaps what is about the test's own areas: start, access,
 * offset and VmFlags of each. */
static char *
flags_of_smaps(FILE *smaps)
{
    char *text = NULL;
    char *line = NULL;
    size_t size, room = 0;
    bool ours = false;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    while (getline(&line, &room, smaps) > 0) {
        unsigned long long start, offset;
        char access[5];
        if (sscanf(line, "%llx-%*x %4s %llx", &start, access, &offset) == 3) {
            ours = start >= STACKS && start < STACKS + 4096 * PAGE;
            if (ours)
                fprintf(out, "%llx %s %llx ", start, access, offset);
        } else if (ours && !strncmp(line, "VmFlags: ", 9)) {
            char *soft_dirty = strstr(line, " sd "); /* by configuration */
            if (soft_dirty)
                memmove(soft_dirty, soft_dirty + 3, strlen(soft_dirty + 3) + 1);
            fputs(line, out);
        }
    }
    free(line);
    fclose(out);
    return text;
}

static char *
our_flags(struct pair *p)
{
    char *text = helper_smaps(p->mm);
    FILE *smaps = fmemopen(text, strlen(text), "r");

    assert_non_null(smaps);
    char *flags = flags_of_smaps(smaps);
    fclose(smaps);
    free(text);
    return flags;
}

static char *
host_flags(struct pair *p)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)p->scratch);
    FILE *smaps = fopen(path, "re");
    assert_non_null(smaps);
    char *flags = flags_of_smaps(smaps);
    fclose(smaps);
    return flags;
}

/* Every access, each at a distance from the others, then none of them. */
static void
compare_flags(struct pair *p, int kind)
{
    struct command clear = {
        .kind = UNMAP, .address = STACKS, .length = 4096 * PAGE};

    for (unsigned i = 0; i < 8; i++) {
        struct command c = {
            .kind = MAP,
            .address = STACKS + (512 + i * 32) * PAGE,
            .length = PAGE,
            .protection = (int)i,
            .flags = kind | MAP_FIXED_NOREPLACE,
            .file = kind & MAP_ANONYMOUS ? -1 : p->memory_number,
            .offset = kind & MAP_ANONYMOUS ? 0 : i * PAGE,
        };
        assert_int_equal(pair_both(p, &c), c.address);
    }
    char *ours = our_flags(p);
    char *host = host_flags(p);
    assert_string_equal(ours, host);
    free(ours);
    free(host);
    assert_int_equal(pair_both(p, &clear), 0);
}

static void
flags_shown(void **state)
{
    static const int kinds[] = {
        MAP_ANONYMOUS | MAP_PRIVATE,
        MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE,
        MAP_ANONYMOUS | MAP_PRIVATE | MAP_GROWSDOWN,
        MAP_ANONYMOUS | MAP_PRIVATE | MAP_STACK,
        MAP_ANONYMOUS | MAP_PRIVATE | MAP_STACK | MAP_GROWSDOWN,
        MAP_ANONYMOUS | MAP_SHARED,
        MAP_ANONYMOUS | MAP_SHARED | MAP_NORESERVE | MAP_STACK,
        MAP_PRIVATE,
        MAP_PRIVATE | MAP_NORESERVE,
        MAP_SHARED,
        MAP_SHARED | MAP_STACK,
    };
    struct pair p = {.randomized = true};
    (void)state;

    pair_begin(&p);
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        compare_flags(&p, kinds[i]);
    pair_end(&p);
}

static void
flags_of_locked(void **state)
{
    struct pair p = {.randomized = true};
    struct host_process process;
    (void)state;

    pair_begin(&p);
    assert_int_equal(host_process_read(p.scratch, &process), 0);
    bool may = process.privileges & ASPEN_PRIVILEGE_IPC_LOCK ||
               process.limits[ASPEN_LIMIT_MEMLOCK] >= 8 * PAGE;
    if (may) {
        compare_flags(&p, MAP_ANONYMOUS | MAP_PRIVATE | MAP_LOCKED);
        compare_flags(&p, MAP_SHARED | MAP_NORESERVE | MAP_LOCKED);
    }
    pair_end(&p);
    if (!may)
        unit_skip("RLIMIT_MEMLOCK is below 8 pages");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_shown),
        cmocka_unit_test(flags_of_locked),
    };

    place_scratch(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
