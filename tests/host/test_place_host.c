/* SPDX-License-Identifier: MIT */
/*
 * Where the host's kernel puts mappings, and what it refuses first, beside
 * Aspen: a scratch process makes random calls without FIXED, Aspen starts from
 * its maps and makes the same. Every address and every error has to be the
 * same. Skipped where the host is no Linux 6.12 or later, or has another
 * processor than the library's page tables are for.
 *
 * The scratch process is this program again, run with its layout as an
 * argument; between calls it touches no memory but its stack.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "host/host.h"
#include "host/processor.h"
#include "host/refused.h"
#include "space/vma.h"
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 2000u
#define HUGE  ((uint64_t)2 << 20)
#define LIVE  64u
#define TOP   ((uint64_t)1 << PROCESSOR_ADDRESS_BITS)
/* The host's memory is what overcommit_guess_pages says. */
#define FRAMES (1u << 13)
/* Far from what the scratch process can come to. */
#define PROMISE_BYTES ((uint64_t)512 << 20)
/* Nothing else is there, and sanitizers allow memory there. */
#define STACKS ((uint64_t)0x551000000000)

/* No processor has other flags of these values. */
#define FLAG_32BIT   0x40
#define FLAG_ABOVE4G 0x80

/* ---- The scratch process ----------------------------------------------- */

enum command_kind { MAP, UNMAP, TOUCH, LIMIT, DROP_PRIVILEGES };

struct command {
    enum command_kind kind;
    uint64_t address;
    uint64_t length;
    uint64_t offset;
    int protection;
    int flags;
    int file;
};

static int64_t
drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    memset(data, 0, sizeof(data));
    return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static int64_t
set_limit(const struct command *command)
{
    struct rlimit limit;

    getrlimit((__rlimit_resource_t)command->file, &limit);
    limit.rlim_cur = command->length;
    return setrlimit((__rlimit_resource_t)command->file, &limit) ? -errno : 0;
}

static sigjmp_buf touched;

static void
on_fault(int signal_number)
{
    (void)signal_number;
    siglongjmp(touched, 1);
}

static int64_t
touch(const volatile char *at)
{
    if (sigsetjmp(touched, 1))
        return -EFAULT;
    (void)*at;
    return 0;
}

static int64_t
obey(const struct command *command)
{
    void *at = (void *)(uintptr_t)command->address;

    switch (command->kind) {
    case MAP:
        at = mmap(at, command->length, command->protection, command->flags,
                  command->file, (off_t)command->offset);
        return at == MAP_FAILED ? -errno : (int64_t)(uintptr_t)at;
    case UNMAP:
        return munmap(at, command->length) ? -errno : 0;
    case TOUCH:
        return touch(at);
    case LIMIT:
        return set_limit(command);
    default:
        return drop_privileges();
    }
}

static int
scratch(void)
{
    struct sigaction action = {.sa_handler = on_fault};
    struct command command;
    int64_t answer = 0;

    sigaction(SIGSEGV, &action, NULL);
    /* Whatever is set up lazily is set up before the maps are read. */
    command = (struct command){.kind = UNMAP, .length = PAGE, .address = PAGE};
    answer = obey(&command);
    while (write(1, &answer, sizeof(answer)) == sizeof(answer) &&
           read(0, &command, sizeof(command)) == sizeof(command))
        answer = obey(&command);
    return 0;
}

/* ---- Both sides -------------------------------------------------------- */

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *file; /* on disk */
    struct aspen_object *memory;
    int file_number; /* the scratch process's */
    int memory_number;
    bool files_align;
    bool shared_aligns;
    bool bottom_up;
    bool randomized;
    uint64_t stack_bytes; /* its limit; 0: 8 MiB */
    pid_t scratch;
    int in;
    int out;
    uint64_t random;
    uint64_t live[LIVE][2]; /* address, length */
    unsigned live_count;
    uint64_t placed;
    uint64_t refused;
    uint64_t beyond; /* above Aspen's page tables, and not left there */
};

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
static uint64_t
allowed(__rlimit_resource_t resource, uint64_t bytes)
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
        execl("/proc/self/exe", "test_place_host", "scratch", NULL);
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
            .start = start, .end = end, .flags = flags_of(access, line)};
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
    config->contents_ignored = true;
    p->shared_aligns = config->huge_shared_placement;
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

static bool
host_is_bottom_up(void)
{
    return setting("/proc/sys/vm/legacy_va_layout", 0) != 0;
}

static bool
host_randomizes(void)
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

static void
begin(struct pair *p)
{
    struct aspen_config config;

    if (!host_fits())
        unit_skip("not Linux 6.12 or later on the processor whose page tables "
                  "these are, and not under ThreadSanitizer");
    if (host_promise_bytes() < PROMISE_BYTES)
        unit_skip("vm.overcommit_memory is 2, and less than %llu MiB are left",
                  (unsigned long long)(PROMISE_BYTES / MIB));
    p->bottom_up |= host_is_bottom_up();
    p->randomized &= host_randomizes();
    p->stack_bytes =
        allowed(RLIMIT_STACK, p->stack_bytes ? p->stack_bytes : 8 * MIB);
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

static void
end(struct pair *p)
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
        .place = place_of(command),
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

    if (command->kind != MAP || p->mm->names_limit == top)
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

static int64_t
both(struct pair *p, const struct command *command)
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
static void
compare_status(struct pair *p)
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

/* ---- Random calls ------------------------------------------------------ */

static uint64_t
below(struct pair *p, uint64_t limit)
{
    return unit_random(&p->random) % limit;
}

static uint64_t
random_length(struct pair *p)
{
    switch (below(p, 10)) {
    case 0:
        return HUGE * (1 + below(p, 4));
    case 1:
        return HUGE * (1 + below(p, 3)) + PAGE * below(p, 4) - PAGE;
    case 2:
        return GIB * (1 + below(p, 64));
    case 3:
        return below(p, 40) ? PAGE * below(p, 600) + 1
                            : (uint64_t)1 << (40 + below(p, 24));
    default:
        return PAGE * (1 + below(p, 16));
    }
}

static uint64_t
random_hint(struct pair *p)
{
    const uint64_t *live =
        p->live_count ? p->live[below(p, p->live_count)] : NULL;

    switch (below(p, 10)) {
    case 0:
        return PAGE * below(p, 40) + below(p, 3);
    case 1:
        return p->mm->address_limit - PAGE * below(p, 3000);
    case 2:
        /* Not the last page: Linux takes a fixed address there for an error
         * number and answers that. */
        return UINT64_MAX - PAGE * (1 + below(p, 10));
    case 3:
        return GIB + below(p, GIB);
    case 4:
    case 5:
        return live ? live[0] + live[1] * below(p, 2) +
                          PAGE * (below(p, 600) - 300) + below(p, 2)
                    : 0;
    default:
        return 0;
    }
}

static struct command
random_map(struct pair *p)
{
    struct command c = {.kind = MAP, .file = -1};

    c.address = random_hint(p);
    c.length = random_length(p);
    c.protection = PROT_NONE;
    if (c.length < GIB)
        c.protection = (int)below(p, 8);
    c.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (below(p, 8) == 0)
        c.flags |= MAP_GROWSDOWN;
    if (below(p, 8) == 0)
        c.flags |= MAP_STACK;
    if (below(p, 16) == 0)
        c.flags |= FLAG_ABOVE4G;
    if (!p->randomized && below(p, 6) == 0) {
        c.flags |= FLAG_32BIT;
        if (below(p, 3) == 0)
            c.length = MIB * (1 + below(p, 600)), c.protection = PROT_NONE;
    }
    if (below(p, 10) == 0)
        c.flags |= MAP_FIXED_NOREPLACE;
    if (below(p, 10) == 0)
        c.flags ^= MAP_PRIVATE | MAP_SHARED;
    if (below(p, 4) == 0) {
        bool memory = !p->files_align || below(p, 2);
        c.file = memory ? p->memory_number : p->file_number;
        c.flags &= ~MAP_ANONYMOUS;
        c.offset = below(p, 2) ? 0 : PAGE * below(p, 2000);
        if (below(p, 2))
            c.flags ^= MAP_PRIVATE | MAP_SHARED;
    }
    return c;
}

/* Any answer will do, if it is the same. */
static void
call_map(struct pair *p)
{
    struct command c = random_map(p);

    int64_t answer = both(p, &c);
    if (answer < 0)
        return;
    if (p->live_count == LIVE) {
        unsigned i = (unsigned)below(p, LIVE);
        struct command unmap = {
            .kind = UNMAP, .address = p->live[i][0], .length = p->live[i][1]};
        both(p, &unmap);
        p->live[i][0] = p->live[LIVE - 1][0];
        p->live[i][1] = p->live[LIVE - 1][1];
        p->live_count--;
    }
    p->live[p->live_count][0] = (uint64_t)answer;
    p->live[p->live_count++][1] = (c.length + PAGE - 1) / PAGE * PAGE;
}

/* All of one, or a piece, from one side or the middle. */
static void
call_unmap(struct pair *p)
{
    if (!p->live_count)
        return;
    unsigned i = (unsigned)below(p, p->live_count);
    uint64_t pages = p->live[i][1] / PAGE;
    uint64_t from = below(p, 2) ? 0 : below(p, pages);
    struct command c = {
        .kind = UNMAP,
        .address = p->live[i][0] + from * PAGE,
        .length = (1 + below(p, pages - from)) * PAGE,
    };

    both(p, &c);
}

static void
run(struct pair p, const char *name)
{
    if (!p.bottom_up && host_is_bottom_up())
        unit_skip("vm.legacy_va_layout is 1: nothing goes top down");
    if (p.randomized && !host_randomizes())
        unit_skip("kernel.randomize_va_space is 0");
    p.random = unit_seed("test_place_host", p.randomized ? 1 : 2);
    begin(&p);
    for (unsigned i = 0; i < unit_rounds(CALLS); i++)
        if (below(&p, 3))
            call_map(&p);
        else
            call_unmap(&p);
    compare_status(&p);
    printf("%s: %llu of %llu addresses the same, %llu refusals the same\n",
           name, (unsigned long long)p.placed, (unsigned long long)p.placed,
           (unsigned long long)p.refused);
    end(&p);
}

static void
top_down(void **state)
{
    (void)state;
    run((struct pair){.randomized = false}, "top down");
}

static void
top_down_random(void **state)
{
    (void)state;
    run((struct pair){.randomized = true}, "top down, randomized");
}

static void
bottom_up(void **state)
{
    (void)state;
    run((struct pair){.bottom_up = true}, "bottom up");
}

static void
bottom_up_random(void **state)
{
    (void)state;
    run((struct pair){.bottom_up = true, .randomized = true},
        "bottom up, randomized");
}

/* The limit of stacks says where the mmap area ends. */
static void
no_stack_limit(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = RLIM_INFINITY}, "no limit of stacks");
}

static void
no_stack_limit_random(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = RLIM_INFINITY, .randomized = true},
        "no limit of stacks, randomized");
}

static void
large_stacks(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = GIB + 12345}, "stacks of a GiB");
}

static void
large_stacks_random(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = GIB + 12345, .randomized = true},
        "stacks of a GiB, randomized");
}

/* ---- Limits, and which error comes first ------------------------------- */

/* Numbers that are wrong in several ways at once. */
static struct command
wrong_map(struct pair *p)
{
    static const uint64_t addresses[] = {0,
                                         1,
                                         PAGE,
                                         8 * PAGE,
                                         64 * PAGE + 1,
                                         TOP / 2,
                                         TOP - PAGE,
                                         TOP - 2 * PAGE,
                                         TOP,
                                         UINT64_MAX - PAGE + 1,
                                         UINT64_MAX - PAGE};
    static const uint64_t lengths[] = {
        0,          1,       PAGE, 3 * PAGE,          40 * PAGE,
        300 * PAGE, TOP / 2, TOP,  UINT64_MAX - PAGE, UINT64_MAX};
    static const uint64_t offsets[] = {0, PAGE, 1, ((uint64_t)1 << 63) - PAGE,
                                       (uint64_t)0 - PAGE};
    static const int flags[] = {MAP_FIXED,    MAP_FIXED_NOREPLACE,
                                MAP_LOCKED,   MAP_GROWSDOWN,
                                MAP_STACK,    MAP_FIXED_NOREPLACE | MAP_LOCKED,
                                MAP_NORESERVE};
    struct command c = {.kind = MAP, .file = -1};

    c.address = addresses[below(p, sizeof(addresses) / 8)];
    c.length = lengths[below(p, sizeof(lengths) / 8)];
    c.protection = (int)below(p, 4);
    c.flags = MAP_PRIVATE | MAP_ANONYMOUS |
              flags[below(p, sizeof(flags) / sizeof(flags[0]))];
    /* What is the process's own is not for it to replace. */
    if (c.flags & MAP_FIXED && c.length > 300 * PAGE)
        c.flags |= MAP_FIXED_NOREPLACE;
    if (below(p, 4) == 0)
        c.flags ^= MAP_PRIVATE | MAP_SHARED;
    if (below(p, 2)) {
        c.flags &= ~MAP_ANONYMOUS;
        c.file = p->memory_number;
        c.offset = offsets[below(p, sizeof(offsets) / 8)];
    }
    return c;
}

static void
limit(struct pair *p, int resource, uint64_t bytes)
{
    struct command c = {
        .kind = LIMIT,
        .file = resource,
        .length = allowed((__rlimit_resource_t)resource, bytes),
    };

    assert_int_equal(both(p, &c), 0);
}

static void
wrong_maps(struct pair *p, unsigned calls)
{
    for (unsigned i = 0; i < calls; i++) {
        struct command c = wrong_map(p);
        int64_t answer = both(p, &c);
        if (answer < 0 || below(p, 3) == 0)
            continue;
        struct command unmap = {
            .kind = UNMAP, .address = (uint64_t)answer, .length = c.length};
        both(p, &unmap);
    }
    compare_status(p);
}

static void
wrong_unmaps(struct pair *p)
{
    const uint64_t top = p->mm->address_limit;
    const uint64_t wrong[][2] = {
        {STACKS + 1, PAGE},     {STACKS, 0},
        {STACKS + 1, 0},        {top, PAGE},
        {top - PAGE, 2 * PAGE}, {top - PAGE, PAGE + 1},
        {STACKS, UINT64_MAX},   {STACKS, UINT64_MAX - PAGE},
        {STACKS, PAGE},         {UINT64_MAX - PAGE + 1, PAGE}};

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct command c = {
            .kind = UNMAP, .address = wrong[i][0], .length = wrong[i][1]};
        both(p, &c);
    }
}

static void
errors_and_limits(void **state)
{
    struct pair p = {.randomized = true};
    struct command drop = {.kind = DROP_PRIVILEGES};
    struct aspen_mm_counters counters;
    (void)state;

    p.random = unit_seed("test_place_host", 3);
    begin(&p);
    wrong_unmaps(&p);
    wrong_maps(&p, 300);
    assert_int_equal(both(&p, &drop), 0);
    limit(&p, RLIMIT_MEMLOCK, 64 * PAGE + 5);
    wrong_maps(&p, 300);
    limit(&p, RLIMIT_MEMLOCK, 0);
    wrong_maps(&p, 300);
    aspen_mm_counters_read(p.mm, &counters);
    limit(&p, RLIMIT_AS, (counters.total_pages + 350) * PAGE + 17);
    wrong_maps(&p, 300);
    aspen_mm_counters_read(p.mm, &counters);
    limit(&p, RLIMIT_DATA, (counters.data_pages + 50) * PAGE);
    wrong_maps(&p, 300);
    limit(&p, RLIMIT_DATA, 0);
    wrong_maps(&p, 100);
    printf("%llu addresses and %llu errors the same\n",
           (unsigned long long)p.placed, (unsigned long long)p.refused);
    end(&p);
}

/* ---- Stacks that grow -------------------------------------------------- */

static int64_t
map_at(struct pair *p, uint64_t address, uint64_t pages, int protection,
       int flags)
{
    struct command c = {
        .kind = MAP,
        .address = address,
        .length = pages * PAGE,
        .protection = protection,
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
        .file = -1,
    };
    return both(p, &c);
}

/* A stack, maybe something below it, and touches below its start. */
static uint64_t
one_stack(struct pair *p)
{
    static const int below_it[] = {PROT_NONE, PROT_READ, PROT_EXEC,
                                   PROT_READ | PROT_WRITE};
    uint64_t top = STACKS + 2048 * PAGE;
    uint64_t grown = 0;
    struct command clear = {
        .kind = UNMAP, .address = STACKS, .length = 2048 * PAGE};

    limit(p, RLIMIT_STACK, PAGE * (64 + below(p, 1500)) + below(p, 2) * 99);
    if (below(p, 4))
        map_at(p, STACKS + below(p, 1200) * PAGE, 1 + below(p, 20),
               below_it[below(p, 4)],
               below(p, 4) ? MAP_NORESERVE : MAP_GROWSDOWN);
    map_at(p, top - 4 * PAGE, 4, PROT_READ | PROT_WRITE, MAP_GROWSDOWN);
    for (unsigned i = 0; i < 12; i++) {
        struct command c = {.kind = TOUCH,
                            .address = top - 1 - below(p, 2000 * PAGE)};
        grown += both(p, &c) == 0;
    }
    both(p, &clear);
    return grown;
}

static void
stacks(void **state)
{
    struct pair p = {.randomized = true};
    uint64_t touched_pages = 0;
    (void)state;

    p.random = unit_seed("test_place_host", 4);
    begin(&p);
    for (unsigned i = 0; i < 300; i++)
        touched_pages += one_stack(&p);
    printf("%llu of 3600 touches grew a stack or found it\n",
           (unsigned long long)touched_pages);
    end(&p);
}

/* ---- VmFlags ----------------------------------------------------------- */

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
        assert_int_equal(both(p, &c), c.address);
    }
    char *ours = our_flags(p);
    char *host = host_flags(p);
    assert_string_equal(ours, host);
    free(ours);
    free(host);
    assert_int_equal(both(p, &clear), 0);
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

    begin(&p);
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        compare_flags(&p, kinds[i]);
    end(&p);
}

static void
flags_of_locked(void **state)
{
    struct pair p = {.randomized = true};
    struct host_process process;
    (void)state;

    begin(&p);
    assert_int_equal(host_process_read(p.scratch, &process), 0);
    bool may = process.privileges & ASPEN_PRIVILEGE_IPC_LOCK ||
               process.limits[ASPEN_LIMIT_MEMLOCK] >= 8 * PAGE;
    if (may) {
        compare_flags(&p, MAP_ANONYMOUS | MAP_PRIVATE | MAP_LOCKED);
        compare_flags(&p, MAP_SHARED | MAP_NORESERVE | MAP_LOCKED);
    }
    end(&p);
    if (!may)
        unit_skip("RLIMIT_MEMLOCK is below 8 pages");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_down),
        cmocka_unit_test(top_down_random),
        cmocka_unit_test(bottom_up),
        cmocka_unit_test(bottom_up_random),
        cmocka_unit_test(no_stack_limit),
        cmocka_unit_test(no_stack_limit_random),
        cmocka_unit_test(large_stacks),
        cmocka_unit_test(large_stacks_random),
        cmocka_unit_test(errors_and_limits),
        cmocka_unit_test(stacks),
        cmocka_unit_test(flags_shown),
        cmocka_unit_test(flags_of_locked),
    };

    if (argc > 1 && !strcmp(argv[1], "scratch"))
        _exit(scratch()); /* a sanitizer has no memory left to look for leaks */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
