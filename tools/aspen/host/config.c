/* SPDX-License-Identifier: MIT */
/*
 * config.c - a machine that answers as the host's kernel does: its settings,
 * and what only a call can tell.
 *
 * The first test to break is tests/host/test_place_host.c.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/settings.h"

#include <aspen/calls/pkey.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)

#define SET_VMA   0x53564d41 /* PR_SET_VMA */
#define ANON_NAME 0          /* PR_SET_VMA_ANON_NAME */

/* ---- Memory that may be promised ---------------------------------------- */

/* From /proc/meminfo; 0 when there is no such line. */
static uint64_t
meminfo_kbytes(const char *name)
{
    unsigned long long kbytes = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    size_t length = strlen(name);
    char line[256];

    if (!file)
        return 0;
    while (!kbytes && fgets(line, sizeof(line), file))
        if (!strncmp(line, name, length) && line[length] == ':')
            kbytes = strtoull(line + length + 1, NULL, 10);
    fclose(file);
    return kbytes;
}

/* What the kernel has promised is a sum over all processes, of which few are
 * Aspen's. The limit is the host's; how much of it is left is not known. */
static void
overcommit_config(struct aspen_config *config)
{
    const uint64_t kb = PAGE / 1024;
    struct sysinfo memory;

    config->overcommit = (enum aspen_overcommit)host_number_in(
        "/proc/sys/vm/overcommit_memory", ASPEN_OVERCOMMIT_GUESS);
    config->overcommit_kbytes = meminfo_kbytes("CommitLimit");
    if (!sysinfo(&memory))
        config->overcommit_guess_pages =
            (memory.totalram + memory.totalswap) * memory.mem_unit / PAGE;
    config->admin_reserve_pages =
        host_number_in("/proc/sys/vm/admin_reserve_kbytes", 0) / kb;
    config->user_reserve_pages =
        host_number_in("/proc/sys/vm/user_reserve_kbytes", 0) / kb;
}

uint64_t
host_promise_bytes(void)
{
    uint64_t limit = meminfo_kbytes("CommitLimit");
    uint64_t promised = meminfo_kbytes("Committed_AS");

    if (host_number_in("/proc/sys/vm/overcommit_memory",
                       ASPEN_OVERCOMMIT_GUESS) != ASPEN_OVERCOMMIT_NEVER)
        return UINT64_MAX;
    return limit > promised ? (limit - promised) * 1024 : 0;
}

/* ---- What a call tells -------------------------------------------------- */

/* What the kernel makes of a hint that is too low: the larger of the sysctl
 * and a constant of its security modules, which nothing else tells. */
static uint64_t
lowest_hint(void)
{
    void *lowest =
        mmap((void *)PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (lowest == MAP_FAILED)
        return 65536;
    munmap(lowest, PAGE);
    return (uint64_t)(uintptr_t)lowest;
}

/* smaps has a line for keys where the processor has them. */
static bool
has_pkeys(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool found = false;

    while (smaps && !found && fgets(line, sizeof(line), smaps) &&
           strncmp(line, "VmFlags:", 8))
        found = strncmp(line, "ProtectionKey:", 14) == 0;
    if (smaps)
        fclose(smaps);
    return found;
}

/* Where the processor has none, but kernels for it know keys: key 0 is there.
 */
static bool
takes_key_0(void)
{
    void *page =
        mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool takes;

    if (page == MAP_FAILED)
        return false;
    takes = syscall(SYS_pkey_mprotect, page, PAGE, PROT_NONE, 0) == 0;
    munmap(page, PAGE);
    return takes;
}

/* Does the kernel, which reads as the program would, read what is mapped to be
 * executed alone? */
static bool
reads_what_is_executed(void)
{
    void *page =
        mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool answer = true;
    int ends[2];

    if (page == MAP_FAILED)
        return true;
    if (!pipe2(ends, O_CLOEXEC)) {
        answer = write(ends[1], page, 1) == 1;
        close(ends[0]);
        close(ends[1]);
    }
    munmap(page, PAGE);
    return answer;
}

/* Not asked where it is by key: the answer would take a key of the process. */
static enum aspen_execute_only
execute_only(const struct aspen_config *config)
{
    if (config->pkeys > 1)
        return ASPEN_EXECUTE_ONLY_KEY;
    return reads_what_is_executed() ? ASPEN_EXECUTE_ONLY_NONE
                                    : ASPEN_EXECUTE_ONLY_ENTRY;
}

/* With 57-bit addresses nothing is mapped at their top, and Linux says so. The
 * C library is not asked: a sanitizer would look for its notes about the place.
 */
static uint64_t
call_limit(void)
{
    const uint64_t limit = ((uint64_t)1 << 56) - PAGE;

    return syscall(SYS_munmap, limit - PAGE, PAGE) ? 0 : limit;
}

/* A page goes there and back, and a page is mapped beside what the way back
 * leaves: both together can grow where they became one mapping. */
static bool
joins_remnant(char *at)
{
    const int prot = PROT_READ | PROT_WRITE;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const int to = MREMAP_MAYMOVE | MREMAP_FIXED;
    char *page = mmap(at + 3 * PAGE, PAGE, prot, flags, -1, 0);

    if (page == MAP_FAILED)
        return false;
    *(volatile char *)page = 1;
    if (mremap(page, PAGE, PAGE, to, at) == MAP_FAILED ||
        mremap(at, PAGE, PAGE, to | MREMAP_DONTUNMAP, page) == MAP_FAILED ||
        mmap(at + PAGE, PAGE, prot, flags, -1, 0) == MAP_FAILED)
        return false;
    void *grown = mremap(at, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    if (grown != MAP_FAILED)
        munmap(grown, 3 * PAGE);
    return grown != MAP_FAILED;
}

bool
host_dontunmap_apart(void)
{
    char *at =
        mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return false;
    bool apart = joins_remnant(at);
    munmap(at, 4 * PAGE);
    return apart;
}

void
host_config(struct aspen_config *config)
{
    long pages = sysconf(_SC_PHYS_PAGES);

    aspen_config_init(config);
    config->frames = pages > 0 ? (uint32_t)pages : 1u << 20;
    (void)host_semantics(&config->semantics);
    config->call_limit = call_limit();
    overcommit_config(config);
    config->map_count_max =
        (uint32_t)host_number_in("/proc/sys/vm/max_map_count", 65530);
    config->mmap_min_fixed =
        host_number_in("/proc/sys/vm/mmap_min_addr", 65536);
    config->mmap_min_address = lowest_hint();
    /* /sys may be out of sight; an empty range tells what there is. */
    if (madvise(NULL, 0, MADV_HUGEPAGE))
        config->huge_placement = ASPEN_HUGE_PLACEMENT_NEVER;
    config->pkeys = has_pkeys() ? ASPEN_PKEYS_MAX : takes_key_0();
    config->execute_only = execute_only(config);
    if (prctl(SET_VMA, ANON_NAME, NULL, 0, NULL))
        config->flags |= ASPEN_CONFIG_VMA_NAMES_ABSENT;
    if (host_file_says(THP "shmem_enabled", "[") &&
        !host_file_says(THP "shmem_enabled", "[never]") &&
        !host_file_says(THP "shmem_enabled", "[deny]"))
        config->flags |= ASPEN_CONFIG_HUGE_SHARED_PLACEMENT;
    if (host_dontunmap_apart())
        config->flags |= ASPEN_CONFIG_DONTUNMAP_APART;
}
