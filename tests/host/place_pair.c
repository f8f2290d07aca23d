/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place_pair.h"

#include "host/host.h"
#include "host/refused.h"
#include "space/vma.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* The host's memory is what overcommit_guess_pages says. */
#define FRAMES (1u << 13)
/* Far from what the scratch process can come to. */
#define PROMISE_BYTES ((uint64_t)512 << 20)

static int64_t
ask_host(struct pair *p, const struct command *command)
{
    int64_t answer;

    assert_int_equal(write(p->in, command, sizeof(*command)), sizeof(*command));
    assert_int_equal(read(p->out, &answer, sizeof(answer)), sizeof(answer));
    return answer;
}

static rlim_t
hard_limit(__rlimit_resource_t resource)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(resource, &limit), 0);
    return limit.rlim_max;
}

/* What the scratch process may have of it. */
uint64_t
pair_allowed(__rlimit_resource_t resource, uint64_t bytes)
{
    uint64_t hard = hard_limit(resource);

    return bytes < hard ? bytes : hard;
}

static void
start_scratch(struct pair *p)
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, 0), 0);
    assert_int_equal(pipe2(out, 0), 0);
    fflush(NULL);
    p->scratch = fork();
    assert_true(p->scratch >= 0);
    if (p->scratch == 0) {
        struct rlimit stack = {p->stack_bytes, hard_limit(RLIMIT_STACK)};
        unsigned long persona = (p->bottom_up ? ADDR_COMPAT_LAYOUT : 0) |
                                (p->randomized ? 0 : ADDR_NO_RANDOMIZE);
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        setrlimit(RLIMIT_STACK, &stack);
        personality(persona);
        execl("/proc/self/exe", "scratch process", "scratch", NULL);
        _exit(1);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
    int64_t ready;
    assert_int_equal(read(p->out, &ready, sizeof(ready)), sizeof(ready));
}

static uint64_t
flags_of(const char *access, const char *name)
{
    uint64_t flags = ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC;

    flags |= access[0] == 'r' ? ASPEN_VM_READ : 0;
    flags |= access[1] == 'w' ? ASPEN_VM_WRITE : 0;
    flags |= access[2] == 'x' ? ASPEN_VM_EXEC : 0;
    flags |= strstr(name, "[v") ? ASPEN_VM_DONTEXPAND : 0; /* vdso and vvar */
    return flags | (strstr(name, "[stack]") ? ASPEN_VM_GROWSDOWN : 0);
}

/* The scratch process's maps become Aspen's. */
static void
import_maps(struct pair *p)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)p->scratch);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (getline(&line, &room, maps) > 0) {
        unsigned long long start, end;
        char access[5];
        assert_int_equal(sscanf(line, "%llx-%llx %4s", &start, &end, access),
                         3);
        struct aspen_import_vma vma = {
            .start = start, .end = end, .vm_flags = flags_of(access, line)};
        if (end <= p->mm->address_limit)
            assert_int_equal(aspen_import_vma(p->mm, &vma), 0);
    }
    free(line);
    fclose(maps);
}

/* The edge of the mmap area that searches start from is where a page goes if
 * nothing is there, else where what is there begins. */
static void
check_base(struct pair *p)
{
    struct command map = {.kind = MAP,
                          .length = PAGE,
                          .flags = MAP_PRIVATE | MAP_ANONYMOUS,
                          .file = -1};
    const struct aspen_layout *layout = &p->mm->layout;
    uint64_t page = (uint64_t)ask_host(p, &map);
    struct command unmap = {.kind = UNMAP, .address = page, .length = PAGE};

    assert_int_equal(ask_host(p, &unmap), 0);
    if (p->bottom_up)
        assert_true(page == layout->mmap_bottom ||
                    aspen_vma_at(p->mm, layout->mmap_bottom));
    else
        assert_true(page + PAGE == layout->mmap_base ||
                    aspen_vma_at(p->mm, layout->mmap_base - PAGE));
}

static void
config_of_host(struct pair *p, struct aspen_config *config)
{
    host_config(config);
    config->frames = FRAMES;
    config->flags |= ASPEN_CONFIG_CONTENTS_IGNORED;
    p->shared_aligns = config->flags & ASPEN_CONFIG_HUGE_SHARED_PLACEMENT;
}

static void
set_up(struct pair *p)
{
    struct host_process process;

    assert_int_equal(host_process_read(p->scratch, &process), 0);
    assert_int_equal(process.random, p->randomized);
    p->bottom_up |= PROCESSOR_LEGACY_MMAP && p->stack_bytes == RLIM_INFINITY;
    assert_int_equal(process.layout.bottom_up, p->bottom_up);
    assert_int_equal(process.limits[ASPEN_LIMIT_STACK], p->stack_bytes);
    assert_int_equal(host_process_apply(&process, p->mm), 0);
    assert_int_equal(p->mm->layout.brk_start, process.layout.brk_start);
    check_base(p);
}

static void
make_objects(struct pair *p)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    p->file_number = dup(fileno(file)); /* not closed on exec */
    fclose(file);
    p->memory_number = memfd_create("place", 0);
    assert_true(p->memory_number >= 0);
    p->files_align =
        host_file_placement(p->file_number) == ASPEN_PLACEMENT_HUGE;
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE,
        .size_bytes = GIB,
        .placement =
            p->files_align ? ASPEN_PLACEMENT_HUGE : ASPEN_PLACEMENT_PLAIN,
    };
    assert_int_equal(aspen_object_create(p->helper.aspen, &args, &p->file), 0);
    args.kind = ASPEN_OBJECT_SHMEM;
    args.placement =
        p->shared_aligns ? ASPEN_PLACEMENT_SHMEM_HUGE : ASPEN_PLACEMENT_PLAIN;
    assert_int_equal(aspen_object_create(p->helper.aspen, &args, &p->memory),
                     0);
}

static long
setting(const char *path, long otherwise)
{
    FILE *file = fopen(path, "re");

    if (!file)
        return otherwise;
    if (fscanf(file, "%ld", &otherwise) != 1)
        print_message("%s: not a number\n", path);
    fclose(file);
    return otherwise;
}

bool
pair_is_bottom_up(void)
{
    return setting("/proc/sys/vm/legacy_va_layout", 0) != 0;
}

bool
pair_randomizes(void)
{
    return setting("/proc/sys/kernel/randomize_va_space", 2) != 0;
}

/* ThreadSanitizer runs a program in no layout but its own. */
#ifdef __SANITIZE_THREAD__
#define FITS false
#else
#define FITS true
#endif

static bool
host_fits(void)
{
    struct utsname name;
    enum aspen_semantics semantics;

    /* The library may be built for another processor's page tables. */
    return !uname(&name) && !strcmp(name.machine, PROCESSOR_MACHINE) &&
           ASPEN_ADDRESS_BITS == PROCESSOR_ADDRESS_BITS &&
           host_semantics(&semantics) && FITS;
}

/* The layout is a matter of personality(). */
static const char *
layout_refused(const struct pair *p)
{
    const char *refused = NULL;

    if (!p->randomized)
        refused = host_refuses(HOST_NO_RANDOMIZE);
    if (!refused && p->bottom_up)
        refused = host_refuses(HOST_COMPAT_LAYOUT);
    return refused;
}

void
pair_begin(struct pair *p)
{
    struct aspen_config config;

    if (!host_fits())
        unit_skip("not Linux 6.1 or later on the processor whose page tables "
                  "these are, and not under ThreadSanitizer");
    if (host_promise_bytes() < PROMISE_BYTES)
        unit_skip("vm.overcommit_memory is 2, and less than %llu MiB are left",
                  (unsigned long long)(PROMISE_BYTES / MIB));
    p->bottom_up |= pair_is_bottom_up();
    p->randomized &= pair_randomizes();
    p->stack_bytes =
        pair_allowed(RLIMIT_STACK, p->stack_bytes ? p->stack_bytes : 8 * MIB);
    if (layout_refused(p))
        unit_skip("%s", layout_refused(p));
    config_of_host(p, &config);
    helper_create(&p->helper, &config);
    make_objects(p);
    start_scratch(p);
    p->mm = helper_mm(&p->helper);
    import_maps(p);
    set_up(p);
}

void
pair_end(struct pair *p)
{
    int status;

    close(p->in);
    close(p->out);
    close(p->file_number);
    close(p->memory_number);
    assert_int_equal(waitpid(p->scratch, &status, 0), p->scratch);
    assert_int_equal(status, 0);
    helper_assert_valid(&p->helper);
    aspen_mm_put(p->mm);
    aspen_object_put(p->file);
    aspen_object_put(p->memory);
    helper_destroy(&p->helper);
}

/* ---- The same call in Aspen -------------------------------------------- */

static uint64_t
vm_flags_of(const struct command *command)
{
    uint64_t flags = 0;

    flags |= command->protection & PROT_READ ? ASPEN_VM_READ : 0;
    flags |= command->protection & PROT_WRITE ? ASPEN_VM_WRITE : 0;
    flags |= command->protection & PROT_EXEC ? ASPEN_VM_EXEC : 0;
    flags |= command->flags & MAP_SHARED ? ASPEN_VM_SHARED : 0;
    flags |= command->flags & MAP_GROWSDOWN ? ASPEN_VM_GROWSDOWN : 0;
    flags |= command->flags & MAP_STACK ? ASPEN_VM_STACK : 0;
    flags |= command->flags & MAP_LOCKED ? ASPEN_VM_LOCKED : 0;
    return flags | (command->flags & MAP_NORESERVE ? ASPEN_VM_NORESERVE : 0);
}

static unsigned
place_of(const struct command *command)
{
    unsigned place = 0;

    place |= command->flags & MAP_FIXED ? ASPEN_MAP_FIXED : 0;
    if (command->flags & MAP_FIXED_NOREPLACE)
        place |= ASPEN_MAP_FIXED_NOREPLACE;
    if (command->flags & (int)PROCESSOR_MAP_32BIT)
        place |= ASPEN_MAP_32BIT;
    if (command->flags & (int)PROCESSOR_MAP_ABOVE4G)
        place |= ASPEN_MAP_ABOVE4G;
    return place;
}

static int64_t
map_in_aspen(struct pair *p, const struct command *command)
{
    struct aspen_mmap_args args = {
        .address = command->address,
        .length_bytes = command->length,
        .vm_flags = vm_flags_of(command),
        .flags = place_of(command),
        .object = command->file == -1               ? NULL
                  : command->file == p->file_number ? p->file
                                                    : p->memory,
        .offset_bytes = command->offset,
    };
    uint64_t address;

    int error = aspen_mmap(p->mm, &args, &address);
    return error ? error : (int64_t)address;
}

static enum aspen_limit
limit_of(int resource)
{
    switch (resource) {
    case RLIMIT_AS:
        return ASPEN_LIMIT_AS;
    case RLIMIT_DATA:
        return ASPEN_LIMIT_DATA;
    case RLIMIT_STACK:
        return ASPEN_LIMIT_STACK;
    default:
        return ASPEN_LIMIT_MEMLOCK;
    }
}

static int64_t
ask_aspen(struct pair *p, const struct command *command)
{
    switch (command->kind) {
    case MAP:
        return map_in_aspen(p, command);
    case UNMAP:
        return aspen_munmap(p->mm, command->address, command->length);
    case TOUCH:
        return aspen_fault(p->mm, command->address, ASPEN_ACCESS_READ) ? -EFAULT
                                                                       : 0;
    case LIMIT:
        return aspen_limit_set(p->mm, limit_of(command->file), command->length);
    case LOCK_ALL:
        return command->flags ? aspen_mlockall(p->mm, (unsigned)command->flags)
                              : aspen_munlockall(p->mm);
    default:
        return aspen_privileges_set(p->mm, 0);
    }
}

/* With 57-bit addresses Linux maps above 2^47 for who names a place there, and
 * Aspen does not (docs/use/semantics.md, Deviations): then neither has it.
 * Where Linux has found room, it may still refuse for another reason. */
static bool
is_beyond(struct pair *p, const struct command *command, int64_t host,
          int64_t ours)
{
    const uint64_t top = p->mm->address_limit;
    struct command unmap = {.kind = UNMAP, .length = command->length};

    if (command->kind != MAP || p->mm->call_limit == top)
        return false;
    if (host < 0)
        return ours == -ASPEN_ENOMEM && command->address > top;
    if ((uint64_t)host + command->length <= top)
        return false;
    p->beyond++;
    unmap.address = (uint64_t)host;
    assert_int_equal(ask_host(p, &unmap), 0);
    unmap.address = (uint64_t)ours;
    if (ours != -ASPEN_ENOMEM)
        assert_int_equal(ask_aspen(p, &unmap), 0);
    return true;
}

int64_t
pair_both(struct pair *p, const struct command *command)
{
    int64_t host = ask_host(p, command);
    int64_t ours = ask_aspen(p, command);

    if (is_beyond(p, command, host, ours))
        return -ENOMEM;
    if (host != ours)
        fail_msg("kind %d address %llx length %llx offset %llx protection %x "
                 "flags %x file %d: host %llx, aspen %llx",
                 (int)command->kind, (unsigned long long)command->address,
                 (unsigned long long)command->length,
                 (unsigned long long)command->offset, command->protection,
                 command->flags, command->file, (unsigned long long)host,
                 (unsigned long long)ours);
    if (command->kind == MAP) {
        p->placed += host >= 0;
        p->refused += host < 0;
    }
    return host;
}

/* ---- /proc/P/status ---------------------------------------------------- */

static uint64_t
status_pages(const char *status, const char *name)
{
    const char *line = strstr(status, name);

    assert_non_null(line);
    return strtoull(line + strlen(name), NULL, 10) / (PAGE / 1024);
}

/* What no access of the scratch process changes. */
void
pair_compare_status(struct pair *p)
{
    struct aspen_mm_counters counters;
    char path[64], status[8192];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)p->scratch);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    status[fread(status, 1, sizeof(status) - 1, file)] = 0;
    fclose(file);
    aspen_mm_counters_read(p->mm, &counters);
    assert_int_equal(counters.total_pages, status_pages(status, "VmSize:"));
    if (!p->beyond)
        assert_int_equal(counters.peak_pages, status_pages(status, "VmPeak:"));
    assert_int_equal(counters.locked_pages, status_pages(status, "VmLck:"));
    assert_int_equal(counters.data_pages, status_pages(status, "VmData:"));
    assert_int_equal(counters.stack_pages, status_pages(status, "VmStk:"));
    assert_int_equal(counters.exec_pages, status_pages(status, "VmExe:") +
                                              status_pages(status, "VmLib:"));
}

uint64_t
pair_below(struct pair *p, uint64_t limit)
{
    return unit_random(&p->random) % limit;
}

void
pair_limit(struct pair *p, int resource, uint64_t bytes)
{
    struct command c = {
        .kind = LIMIT,
        .file = resource,
        .length = pair_allowed((__rlimit_resource_t)resource, bytes),
    };

    assert_int_equal(pair_both(p, &c), 0);
}
