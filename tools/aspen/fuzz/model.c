/* SPDX-License-Identifier: MIT */
/*
 * model.c - the scratch processes in Aspen: the same operations, answered
 * in the same words.
 *
 * The machine has the host's settings, the zygote the host's limits and layout
 * and an executor of its own, so that both sides start with the same mappings.
 *
 * Called by pair.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"
#include "guest/drive.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FRAMES 131072u
/* Far from what a few processes of FUZZ_ADDRESS_SPACE can come to. */
#define PROMISE_BYTES (512ull << 20)

/* ---- The disk: bytes behind a pager ------------------------------------- */

#define DISK_PAGES ((uint64_t)4096)

struct fuzz_disk {
    uint8_t bytes[DISK_PAGES * FUZZ_PAGE];
    uint64_t size;
};

static int
disk_read(void *context, uint64_t offset_bytes, void *page)
{
    struct fuzz_disk *disk = context;
    uint64_t start = offset_bytes;

    if (start < disk->size)
        memcpy(page, disk->bytes + start,
               disk->size - start < FUZZ_PAGE ? disk->size - start : FUZZ_PAGE);
    return 0;
}

static int
disk_write(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    struct fuzz_disk *disk = context;

    for (uint64_t i = 0; i * FUZZ_PAGE < bytes; i++)
        memcpy(disk->bytes + offset_bytes + i * FUZZ_PAGE, pages[i],
               bytes - i * FUZZ_PAGE < FUZZ_PAGE ? bytes - i * FUZZ_PAGE
                                                 : FUZZ_PAGE);
    return 0;
}

static int
disk_resize(void *context, uint64_t size)
{
    struct fuzz_disk *disk = context;

    if (size > sizeof(disk->bytes))
        return -EFBIG;
    if (size < disk->size)
        memset(disk->bytes + size, 0, disk->size - size);
    disk->size = size;
    return 0;
}

static int
disk_punch(void *context, uint64_t offset, uint64_t length)
{
    struct fuzz_disk *disk = context;

    if (offset < sizeof(disk->bytes))
        memset(disk->bytes + offset, 0,
               length < sizeof(disk->bytes) - offset
                   ? length
                   : sizeof(disk->bytes) - offset);
    return 0;
}

static const struct aspen_pager_ops disk_pager = {
    .read = disk_read,
    .write = disk_write,
    .resize = disk_resize,
    .punch = disk_punch,
};

/* ---- What threads may do by protection keys ----------------------------- */

static unsigned
process_of(const struct fuzz_model *model, const struct aspen_mm *mm)
{
    unsigned i = 0;

    while (i < FUZZ_PROCESSES && model->process[i] != mm)
        i++;
    return i;
}

static uint32_t
thread_rights(void *context, const struct aspen_mm *mm)
{
    struct fuzz_model *model = context;
    unsigned process = process_of(model, mm);

    return process < FUZZ_PROCESSES ? model->rights[process] : ASPEN_RIGHTS_ALL;
}

static void
thread_rights_set(void *context, const struct aspen_mm *mm, uint32_t rights)
{
    struct fuzz_model *model = context;
    unsigned process = process_of(model, mm);

    if (process < FUZZ_PROCESSES)
        model->rights[process] = rights;
}

/* ---- Begin, end --------------------------------------------------------- */

static int
make_machine(struct fuzz_model *model, struct tool_error *error)
{
    struct aspen_config config;
    int result;

    host_config(&config);
    if (host_promise_bytes() < PROMISE_BYTES)
        return tool_fail(error,
                         "vm.overcommit_memory is 2, and less than %llu MiB "
                         "are left to promise",
                         PROMISE_BYTES >> 20);
    if (config.mmap_min_fixed > FUZZ_EXECUTOR)
        return tool_fail(error,
                         "vm.mmap_min_addr is above %#llx, where the scratch "
                         "process has its code",
                         (unsigned long long)FUZZ_EXECUTOR);
    model->semantics = config.semantics;
    model->call_limit = config.call_limit;
    config.frames = FRAMES;
    result = host_direct_map(&config);
    if (result == 0 && config.frames < FRAMES / 4)
        result = -ENOMEM; /* processes together have more */
    if (result != 0)
        return tool_fail(error, "no addresses for the machine: %s",
                         strerror(-result));
    model->direct_map = config.direct_map;
    model->direct_map_bytes = (size_t)config.frames * FUZZ_PAGE;
    model->pkeys = config.pkeys > 1;
    model->arch.rights = thread_rights;
    model->arch.rights_set = thread_rights_set;
    config.hooks.arch = &model->arch;
    config.hooks.context = model;
    result = aspen_create(&config, &model->aspen);
    if (result == 0)
        return 0;
    munmap(model->direct_map, model->direct_map_bytes);
    return tool_fail(error, "cannot make the machine: %s",
                     aspen_error_name(result));
}

/* Where its mmap area is can only be seen while exec's mappings are there: it
 * is kept for machines that are made later. */
static int
set_up(struct fuzz_model *model, const struct host_process *process)
{
    struct aspen_mm *mm = model->zygote;
    int result = host_process_apply(process, mm);

    if (result != 0)
        return result;
    aspen_layout_read(mm, &model->layout);
    model->privileges = process->privileges;
    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        model->limits[i] = process->limits[i];
    model->limits[ASPEN_LIMIT_AS] = FUZZ_ADDRESS_SPACE;
    return aspen_limit_set(mm, ASPEN_LIMIT_AS, FUZZ_ADDRESS_SPACE);
}

static int
set_up_again(struct fuzz_model *model)
{
    struct aspen_mm *mm = model->zygote;
    int result = aspen_privileges_set(mm, model->privileges);

    for (unsigned i = 0; i < ASPEN_LIMITS && result == 0; i++)
        result = aspen_limit_set(mm, (enum aspen_limit)i, model->limits[i]);
    return result ? result : aspen_layout_set(mm, &model->layout);
}

static int
map_executor(struct aspen_mm *mm)
{
    struct aspen_mmap_args args = {
        .address = FUZZ_EXECUTOR,
        .length_bytes = FUZZ_EXECUTOR_PAGES * FUZZ_PAGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_EXEC,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t address;
    int result = aspen_mmap(mm, &args, &address);

    return result ? result : aspen_fault(mm, FUZZ_EXECUTOR, ASPEN_ACCESS_WRITE);
}

/* The machine, and in it the zygote: as the process is, or as it was before. */
static int
make_model(struct fuzz_model *model, const struct host_process *process,
           struct tool_error *error)
{
    int result;

    if (make_machine(model, error) != 0)
        return -1;
    result = aspen_mm_create(model->aspen, &model->zygote);
    if (result == 0)
        result = process ? set_up(model, process) : set_up_again(model);
    if (result == 0)
        result = map_executor(model->zygote);
    if (result != 0)
        return tool_fail(error, "cannot set up the model: %s",
                         strerror(-result));
    /* After a first fork, which may make what later ones find made. */
    if (fuzz_model_fresh(model, error) != 0)
        return -1;
    fuzz_model_clear(model);
    counters_read(model->aspen, &model->empty);
    return 0;
}

int
fuzz_model_begin(struct fuzz_model *model, const struct fuzz_kernel *kernel,
                 struct tool_error *error)
{
    struct host_process process;
    int result = host_process_read(kernel->zygote, &process);

    if (result != 0)
        return tool_fail(error, "cannot read the scratch process: %s",
                         strerror(-result));
    for (unsigned i = 0; i < FUZZ_FILES; i++) {
        model->placement[i] = host_file_placement(kernel->files[i]);
        model->executable[i] = host_file_executes(kernel->files[i]);
    }
    model->disk = calloc(1, sizeof(*model->disk));
    model->vector = calloc(1, FUZZ_VECTOR_BYTES);
    if (!model->disk || !model->vector)
        return tool_fail(error, "no memory");
    return make_model(model, &process, error);
}

/* In place of a machine that broke, which is not taken apart. */
static int
make_again(struct fuzz_model *model, struct tool_error *error)
{
    model->broken = false;
    munmap(model->direct_map, model->direct_map_bytes);
    model->aspen = NULL;
    memset(model->process, 0, sizeof(model->process));
    memset(model->files, 0, sizeof(model->files));
    return make_model(model, NULL, error);
}

void
fuzz_model_end(struct fuzz_model *model)
{
    /* What is broken may not end well. */
    if (model->aspen && !model->broken) {
        fuzz_model_clear(model);
        if (model->zygote)
            aspen_mm_put(model->zygote);
        if (aspen_destroy(model->aspen) == 0)
            munmap(model->direct_map, model->direct_map_bytes);
    }
    free(model->disk);
    free(model->vector);
}

/* ---- Fresh processes ---------------------------------------------------- */

static int
make_file(struct fuzz_model *model, enum fuzz_file file)
{
    struct aspen_object_args args = {
        .kind = file == FUZZ_DISK ? ASPEN_OBJECT_FILE : ASPEN_OBJECT_SHMEM,
        .device = FUZZ_DEVICE,
        .inode = 1 + (uint64_t)file,
        .size_bytes = FUZZ_FILE_PAGES * FUZZ_PAGE,
        .placement = model->placement[file],
    };

    if (file == FUZZ_DISK) {
        args.pager = &disk_pager;
        args.context = model->disk;
        memset(model->disk, 0, sizeof(*model->disk));
        model->disk->size = args.size_bytes;
    }
    return aspen_object_create(model->aspen, &args, &model->files[file]);
}

void
fuzz_model_clear(struct fuzz_model *model)
{
    for (unsigned i = 0; i < FUZZ_PROCESSES; i++)
        if (model->process[i]) {
            aspen_mm_put(model->process[i]);
            model->process[i] = NULL;
        }
    for (unsigned i = 0; i < FUZZ_FILES; i++)
        if (model->files[i]) {
            aspen_object_put(model->files[i]);
            model->files[i] = NULL;
        }
}

int
fuzz_model_fresh(struct fuzz_model *model, struct tool_error *error)
{
    int result = 0;

    if (model->broken && make_again(model, error) != 0)
        return -1;
    fuzz_model_clear(model);
    for (unsigned i = 0; i < FUZZ_FILES && result == 0; i++)
        result = make_file(model, (enum fuzz_file)i);
    if (result == 0)
        result = aspen_fork(model->zygote, &model->process[0]);
    model->rights[0] = ASPEN_RIGHTS_START;
    return result ? tool_fail(error, "no fresh process in the model: %s",
                              aspen_error_name(result))
                  : 0;
}

/* ---- Operations --------------------------------------------------------- */

static int
find_file(void *context, int descriptor, struct linux_file *file)
{
    struct fuzz_model *model = context;
    int number = descriptor - FUZZ_DESCRIPTOR;

    if (number < 0 || number >= FUZZ_DESCRIPTORS)
        return -EBADF;
    *file = (struct linux_file){
        .object = model->files[number / 3],
        .readable = number % 3 != 2,
        .writable = number % 3 != 1,
        .executable = model->executable[number / 3],
    };
    return 0;
}

static int64_t
make_call(struct fuzz_model *model, struct aspen_mm *mm,
          const struct linux_call *call)
{
    struct linux_space space = {
        .mm = mm,
        .find_file = find_file,
        .context = model,
        .unknown_flags = host_unknown_flags(),
        .no_pkey_calls = host_lacks_pkey_calls(),
        .vector = model->vector,
    };
    int64_t answer = 0;

    return linux_call_make(&space, call, &answer) ? answer : -ENOSYS;
}

/* What a processor meets. */
static int64_t
signal_of(int error)
{
    switch (error) {
    case -ASPEN_EFAULT:
        return GUEST_SIGNAL(SIGSEGV, SEGV_MAPERR);
    case -ASPEN_EKEYREJECTED:
        return GUEST_SIGNAL(SIGSEGV, SEGV_PKUERR);
    case -ASPEN_EACCES:
        return GUEST_SIGNAL(SIGSEGV, SEGV_ACCERR);
    case -ASPEN_EFBIG:
        return GUEST_SIGNAL(SIGBUS, BUS_ADRERR);
    default:
        return GUEST_SIGNAL(0, -error & 15);
    }
}

static int64_t
make_access(struct fuzz_model *model, struct aspen_mm *mm, uint64_t address,
            unsigned access, uint8_t byte)
{
    uint8_t *at = model->direct_map;
    uint32_t frame;
    int error;

    while (aspen_translate(mm, address, access, &frame) != 0) {
        error = aspen_fault(mm, address, access);
        if (error != 0)
            return signal_of(error);
    }
    at += frame * FUZZ_PAGE + address % FUZZ_PAGE;
    if (access == ASPEN_ACCESS_WRITE)
        *at = byte;
    return *at;
}

int64_t
fuzz_model_do(struct fuzz_model *model, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    struct aspen_mm *mm = model->process[op->process];

    switch (op->kind) {
    case FUZZ_CALL:
        return make_call(model, mm, &op->call);
    case FUZZ_READ:
        return make_access(model, mm, a[0], ASPEN_ACCESS_READ, 0);
    case FUZZ_WRITE:
        return make_access(model, mm, a[0], ASPEN_ACCESS_WRITE, (uint8_t)a[1]);
    case FUZZ_FORK:
        model->rights[a[0]] = model->rights[op->process];
        return aspen_fork(mm, &model->process[a[0]]);
    case FUZZ_EXIT:
        aspen_mm_put(mm);
        model->process[op->process] = NULL;
        return 0;
    case FUZZ_RESIZE:
        return aspen_object_resize(model->files[a[0]], a[1]);
    case FUZZ_PUNCH:
        return aspen_object_punch(model->files[a[0]], a[1], a[2]);
    case FUZZ_LIMIT:
        if (!fuzz_limit_is_allowed((enum aspen_limit)a[0], a[1]))
            return -EINVAL;
        return aspen_limit_set(mm, (enum aspen_limit)a[0], a[1]);
    case FUZZ_RIGHTS:
        model->rights[op->process] = (uint32_t)a[0];
        return (int64_t)(uint32_t)a[0];
    case FUZZ_KINDS:
        break;
    }
    return -ENOSYS;
}
