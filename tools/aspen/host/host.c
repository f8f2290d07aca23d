/* SPDX-License-Identifier: MIT */
/*
 * host.c - the host's release, its files, and its processes. What a machine is
 * to be for it is config.c.
 *
 * The first test to break is tests/host/test_place_host.c, which makes the
 * same calls on the host and in a machine that is set up by this.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/processor.h"
#include "host/settings.h"

#include <aspen/calls/pkey.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)

/* ---- Its release ------------------------------------------------------- */

/* Releases as numbers: 6.18 is 6018. */
#define OLDEST_KNOWN 6001
#define NEWEST_KNOWN 6018

/* 0: it is nothing like that. */
static unsigned
version_of(const char *release)
{
    unsigned major = 0, minor = 0;

    if (sscanf(release, "%u.%u", &major, &minor) != 2)
        return 0;
    return major * 1000 + minor;
}

static const char *
host_release(void)
{
    static struct utsname name;

    return uname(&name) == 0 ? name.release : "";
}

int
host_release_compare(const char *release)
{
    unsigned version = version_of(release);

    if (version == 0 || version > NEWEST_KNOWN)
        return 1;
    return version < OLDEST_KNOWN ? -1 : 0;
}

bool
host_say_release(const char *command)
{
    int compared = host_release_compare(host_release());

    if (compared != 0)
        fprintf(stderr,
                "aspen %s: Linux %s is %s than what is known here (%u.%u to "
                "%u.%u): "
                "what differs may be the release's\n",
                command, host_release(), compared < 0 ? "older" : "newer",
                OLDEST_KNOWN / 1000, OLDEST_KNOWN % 1000, NEWEST_KNOWN / 1000,
                NEWEST_KNOWN % 1000);
    return compared == 0;
}

enum aspen_semantics
host_release_semantics(const char *release)
{
    unsigned version = version_of(release);

    if (version >= 6018)
        return ASPEN_SEMANTICS_6_18;
    return version < 6007 ? ASPEN_SEMANTICS_6_1 : ASPEN_SEMANTICS_6_12;
}

bool
host_semantics(enum aspen_semantics *semantics)
{
    const char *release = host_release();

    *semantics = host_release_semantics(release);
    return version_of(release) >= OLDEST_KNOWN &&
           sysconf(_SC_PAGESIZE) == (long)PAGE;
}

uint64_t
host_unknown_flags(void)
{
    enum aspen_semantics semantics;

    (void)host_semantics(&semantics);
    return semantics < ASPEN_SEMANTICS_6_12 ? PROCESSOR_MAP_ABOVE4G : 0;
}

bool
host_lacks_pkey_calls(void)
{
    return syscall(SYS_pkey_free, -1) && errno == ENOSYS;
}

enum aspen_placement
host_file_placement(int file)
{
    struct statfs fs;

    if (fstatfs(file, &fs))
        return ASPEN_PLACEMENT_PLAIN;
    switch ((uint64_t)fs.f_type) {
    case 0xef53:     /* ext4 */
    case 0x58465342: /* xfs */
    case 0x9123683e: /* btrfs */
        return ASPEN_PLACEMENT_HUGE;
    default: /* tmpfs as well, unless it was mounted for huge pages */
        return host_file_says(THP "shmem_enabled", "[force]") &&
                       fs.f_type == 0x01021994
                   ? ASPEN_PLACEMENT_SHMEM_HUGE
                   : ASPEN_PLACEMENT_PLAIN;
    }
}

static bool
pipes_execute(void)
{
    int ends[2];
    void *mapped;
    bool refused;

    if (pipe2(ends, O_CLOEXEC))
        return true;
    mapped = mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, ends[0], 0);
    refused = mapped == MAP_FAILED && errno == EPERM;
    close(ends[0]);
    close(ends[1]);
    return !refused;
}

bool
host_file_executes(int file)
{
    struct statvfs fs;
    struct statfs kind;

    if (fstatfs(file, &kind))
        return true;
    /* File systems of the kernel's own, which do not say. */
    switch ((uint64_t)kind.f_type) {
    case 0x50495045: /* pipefs */
        return pipes_execute();
    case 0x9fa0:     /* proc */
    case 0x62656572: /* sysfs */
    case 0x63677270: /* cgroup2 */
        return false;
    default:
        return fstatvfs(file, &fs) || !(fs.f_flag & ST_NOEXEC);
    }
}

bool
host_file_refuses_sync(int file)
{
    struct statx status;
    struct statfs fs;

    if (fstatfs(file, &fs))
        return false;
    switch ((uint64_t)fs.f_type) {
    case 0xef53:     /* ext4 */
    case 0x58465342: /* xfs */
    case 0x65735546: /* fuse */
        return statx(file, "", AT_EMPTY_PATH, 0, &status) != 0 ||
               !(status.stx_attributes & STATX_ATTR_DAX);
    default:
        return false;
    }
}

bool
host_file_is_sealed(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int seals;

    if (file < 0)
        return false;
    seals = fcntl(file, F_GET_SEALS);
    close(file);
    return seals > 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

bool
host_seals_as_now(void)
{
    struct utsname name;

    return uname(&name) == 0 &&
           host_release_semantics(name.release) >= ASPEN_SEMANTICS_6_18;
}

/* ---- Memory for a machine ---------------------------------------------- */

#define FRAMES_FEWEST 16384u

int
host_direct_map(struct aspen_config *config)
{
    uint64_t left = host_promise_bytes() / PAGE / 4;
    void *map;

    if (left < config->frames)
        config->frames = left < FRAMES_FEWEST ? FRAMES_FEWEST : (uint32_t)left;
    while (
        (map = mmap(NULL, (size_t)config->frames * PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) ==
            MAP_FAILED &&
        config->frames / 2 >= FRAMES_FEWEST)
        config->frames /= 2;
    if (map == MAP_FAILED)
        return -errno;
    /* Children run other programs, and would be charged for it. */
    (void)madvise(map, (size_t)config->frames * PAGE, MADV_DONTFORK);
    config->direct_map = map;
    return 0;
}

/* ---- A process --------------------------------------------------------- */

static FILE *
open_of(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* A number or "unlimited". */
static uint64_t
limit_bytes(const char *text)
{
    return *text == 'u' ? ASPEN_UNLIMITED : strtoull(text, NULL, 10);
}

/* prlimit() asks for more rights than looking does. */
static int
read_limits(pid_t pid, uint64_t *limits)
{
    static const struct {
        const char *name;
        enum aspen_limit limit;
    } all[] = {{"Max address space", ASPEN_LIMIT_AS},
               {"Max stack size", ASPEN_LIMIT_STACK},
               {"Max locked memory", ASPEN_LIMIT_MEMLOCK},
               {"Max data size", ASPEN_LIMIT_DATA}};
    FILE *file = open_of(pid, "limits");
    char line[256], soft[32], hard[32];

    if (!file)
        return -errno;
    while (fgets(line, sizeof(line), file))
        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
            size_t length = strlen(all[i].name);
            if (strncmp(line, all[i].name, length) ||
                sscanf(line + length, "%31s %31s", soft, hard) != 2)
                continue;
            limits[all[i].limit] = limit_bytes(soft);
            if (all[i].limit == ASPEN_LIMIT_DATA)
                limits[ASPEN_LIMIT_DATA_HARD] = limit_bytes(hard);
        }
    fclose(file);
    return 0;
}

/* A limit without bound has the same value on both sides. */
int
host_limits_read(pid_t pid, uint64_t limits[ASPEN_LIMITS])
{
    static const struct {
        int resource;
        enum aspen_limit limit;
    } all[] = {{RLIMIT_AS, ASPEN_LIMIT_AS},
               {RLIMIT_STACK, ASPEN_LIMIT_STACK},
               {RLIMIT_MEMLOCK, ASPEN_LIMIT_MEMLOCK},
               {RLIMIT_DATA, ASPEN_LIMIT_DATA}};
    struct rlimit limit;

    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (prlimit(pid, (enum __rlimit_resource)all[i].resource, NULL,
                    &limit) != 0)
            return read_limits(pid, limits);
        limits[all[i].limit] = limit.rlim_cur;
        if (all[i].limit == ASPEN_LIMIT_DATA)
            limits[ASPEN_LIMIT_DATA_HARD] = limit.rlim_max;
    }
    return 0;
}

static unsigned
privileges_of(uint64_t capabilities)
{
    unsigned privileges = 0;

    if (capabilities & (uint64_t)1 << CAP_IPC_LOCK)
        privileges |= ASPEN_PRIVILEGE_IPC_LOCK;
    if (capabilities & (uint64_t)1 << CAP_SYS_ADMIN)
        privileges |= ASPEN_PRIVILEGE_SYS_ADMIN;
    if (capabilities & (uint64_t)1 << CAP_SYS_RAWIO)
        privileges |= ASPEN_PRIVILEGE_SYS_RAWIO;
    if (capabilities & (uint64_t)1 << CAP_SYS_RESOURCE)
        privileges |= ASPEN_PRIVILEGE_SYS_RESOURCE;
    return privileges;
}

static int
read_privileges(pid_t pid, unsigned *privileges)
{
    FILE *status = open_of(pid, "status");
    unsigned long long capabilities;
    char line[256];

    if (!status)
        return -errno;
    *privileges = 0;
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "CapEff: %llx", &capabilities) == 1)
            *privileges = privileges_of(capabilities);
    fclose(status);
    return 0;
}

/* Fields of stat by their number in proc(5); what comes before is a name that
 * may hold anything, in brackets. */
static int
read_stat(pid_t pid, struct aspen_layout *layout)
{
    uint64_t *const fields[52] = {
        [26] = &layout->code_start,  [27] = &layout->code_end,
        [28] = &layout->stack_start, [45] = &layout->data_start,
        [46] = &layout->data_end,    [47] = &layout->brk_start,
        [48] = &layout->arg_start,   [49] = &layout->arg_end,
        [50] = &layout->env_start,   [51] = &layout->env_end,
    };
    FILE *stat = open_of(pid, "stat");
    char text[2048];

    if (!stat)
        return -errno;
    text[fread(text, 1, sizeof(text) - 1, stat)] = 0;
    fclose(stat);
    char *save = NULL;
    char *at = strrchr(text, ')');
    char *word = at ? strtok_r(at + 1, " ", &save) : NULL;
    for (unsigned i = 3; word && i < 52; i++) {
        if (fields[i])
            *fields[i] = strtoull(word, NULL, 10);
        word = strtok_r(NULL, " ", &save);
    }
    return 0;
}

static unsigned long
personality_of(pid_t pid)
{
    FILE *file = open_of(pid, "personality");
    unsigned long value = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%lx", &value) != 1)
        value = 0;
    fclose(file);
    return value;
}

/* The heap's end; exec leaves an empty one. */
static int
read_brk(pid_t pid, struct aspen_layout *layout)
{
    FILE *maps = open_of(pid, "maps");
    unsigned long long start, end;
    char line[512];

    if (!maps)
        return -errno;
    layout->brk = layout->brk_start;
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "[heap]") &&
            sscanf(line, "%llx-%llx", &start, &end) == 2)
            layout->brk = end;
    fclose(maps);
    return 0;
}

int
host_process_read(pid_t pid, struct host_process *process)
{
    unsigned long persona = personality_of(pid);

    memset(process, 0, sizeof(*process));
    process->pid = pid;
    process->random =
        !(persona & ADDR_NO_RANDOMIZE) &&
        host_number_in("/proc/sys/kernel/randomize_va_space", 2) != 0;
    int error = read_limits(pid, process->limits);
    process->layout.bottom_up =
        persona & ADDR_COMPAT_LAYOUT ||
        (PROCESSOR_LEGACY_MMAP &&
         process->limits[ASPEN_LIMIT_STACK] == ASPEN_UNLIMITED) ||
        host_number_in("/proc/sys/vm/legacy_va_layout", 0) != 0;
    if (!error)
        error = read_privileges(pid, &process->privileges);
    if (!error)
        error = read_stat(pid, &process->layout);
    return error ? error : read_brk(pid, &process->layout);
}

/* ---- The mmap area ----------------------------------------------------- */

/* Where chance, which lies between 0 and what the area can lose, has put the
 * end that searches start from: top down where the highest mapping of the area
 * ends, bottom up where the lowest begins. */
static int
find_edge(const struct host_process *process, const struct aspen_layout *most,
          uint64_t *edge)
{
    FILE *maps = open_of(process->pid, "maps");
    char line[512];

    if (!maps)
        return -errno;
    *edge = process->layout.bottom_up ? 0 : most->mmap_base;
    while (fgets(line, sizeof(line), maps)) {
        unsigned long long start, end;
        if (sscanf(line, "%llx-%llx", &start, &end) != 2)
            continue;
        if (!process->layout.bottom_up && end <= most->mmap_base)
            *edge = end;
        if (process->layout.bottom_up && start >= most->mmap_bottom && !*edge)
            *edge = start;
    }
    fclose(maps);
    return 0;
}

static int
find_area(const struct host_process *process, struct aspen_mm *mm,
          struct aspen_layout *layout)
{
    struct aspen_layout_choice choice = {
        .flags = (layout->bottom_up ? ASPEN_LAYOUT_CHOICE_BOTTOM_UP : 0) |
                 (process->random ? ASPEN_LAYOUT_CHOICE_RANDOM_STACK : 0)};
    uint64_t edge = 0;

    int error = aspen_layout_choose(mm, &choice, layout);
    if (!error)
        error = find_edge(process, layout, &edge);
    if (error)
        return error;
    choice.random_bytes = layout->bottom_up ? edge - layout->mmap_bottom
                                            : layout->mmap_base - edge;
    return aspen_layout_choose(mm, &choice, layout);
}

/* Of data last: exec asks for no such limit, nor does a process shrink. */
int
host_process_apply(const struct host_process *process, struct aspen_mm *mm)
{
    static const enum aspen_limit of_data[] = {ASPEN_LIMIT_DATA,
                                               ASPEN_LIMIT_DATA_HARD};
    struct aspen_layout layout = process->layout;
    int error = 0;

    for (unsigned i = 0; i < ASPEN_LIMITS && !error; i++)
        error = aspen_limit_set(mm, (enum aspen_limit)i, process->limits[i]);
    for (unsigned i = 0; i < 2 && !error; i++)
        error = aspen_limit_set(mm, of_data[i], UINT64_MAX);
    if (!error)
        error = aspen_privileges_set(mm, process->privileges);
    if (!error)
        error = find_area(process, mm, &layout);
    if (!error)
        error = aspen_layout_set(mm, &layout);
    for (unsigned i = 0; i < 2 && !error; i++)
        error = aspen_limit_set(mm, of_data[i], process->limits[of_data[i]]);
    return error;
}
