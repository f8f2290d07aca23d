/* SPDX-License-Identifier: MIT */
/*
 * pressure/kernel.c - see kernel.h.
 *
 * A hit is an access without a major fault: the page was in memory, mapped or
 * not. The file is on a disk, since pages of tmpfs do not leave without swap,
 * and is advised RANDOM, so that nothing is read ahead, as by our own pager.
 *
 * What the kernel has for the process, and what a processor has of the group's
 * memory in advance, is not known before. So the limit follows: as much as the
 * file should have, and what the rest has at the time.
 *
 * Called by command.c. tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "pressure/kernel.h"

#include "host/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_NS 20000000u

/* The process that accesses says it in here. */
struct seen {
    const char *failed; /* what did, or NULL */
    int errno_then;
    uint64_t done; /* accesses, atomic */
    uint64_t hits; /* of accesses that count, as the next two */
    uint64_t resident;
    uint64_t looks;
};

struct scene {
    const struct pressure_plan *plan;
    const struct pressure_result *result;
    struct host_cgroup cgroup;
    struct seen *seen; /* shared */
    int file;
    volatile char *pages;
    uint8_t *accessed;     /* by page */
    unsigned char *vector; /* of mincore */
};

/* ---- The file ----------------------------------------------------------- */

static bool
is_on_disk(int file)
{
    struct statfs of;

    return fstatfs(file, &of) == 0 && of.f_type != TMPFS_MAGIC &&
           of.f_type != RAMFS_MAGIC;
}

static int
open_in(const char *folder)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/aspen-pressure-XXXXXX", folder);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return -1;
    unlink(path);
    if (is_on_disk(file))
        return file;
    close(file);
    return -1;
}

/* It has every page, and none of them is in memory. */
static int
fill(int file, uint32_t pages)
{
    char page[PRESSURE_PAGE];

    memset(page, 0x5a, sizeof(page));
    for (uint32_t i = 0; i < pages; i++)
        if (write(file, page, sizeof(page)) != (ssize_t)sizeof(page))
            return -1;
    if (fsync(file) != 0)
        return -1;
    errno = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    return errno ? -1 : 0;
}

static int
make_file(uint32_t pages, struct tool_error *error)
{
    const char *folder = getenv("TMPDIR");
    int file = open_in(folder ? folder : "/tmp");

    if (file < 0)
        file = open_in("/var/tmp");
    if (file < 0)
        return tool_fail(error,
                         "no file on a disk, neither in %s nor in "
                         "/var/tmp, for the kernel to read",
                         folder ? folder : "/tmp");
    if (fill(file, pages) == 0)
        return file;
    tool_fail(error, "a file of %u pages: %s", pages, strerror(errno));
    close(file);
    return -1;
}

/* ---- In the cgroup ------------------------------------------------------ */

static uint64_t
bytes_of(const struct scene *scene)
{
    return (uint64_t)scene->plan->trace->pages * PRESSURE_PAGE;
}

static int
fail(struct scene *scene, const char *what, int error)
{
    scene->seen->failed = what;
    scene->seen->errno_then = error;
    return -1;
}

static uint64_t
major_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_majflt;
}

static uint64_t
resident(const struct scene *scene)
{
    uint64_t pages = 0;

    if (mincore((void *)(uintptr_t)scene->pages, bytes_of(scene),
                scene->vector) == 0)
        for (uint32_t i = 0; i < scene->plan->trace->pages; i++)
            pages += scene->vector[i] & 1;
    return pages;
}

/* As much as there should be, and what is no file's. */
static int
look(struct scene *scene, bool counts)
{
    uint64_t pages = resident(scene), used = 0;
    int error = host_cgroup_used(&scene->cgroup, &used);

    if (!error) {
        uint64_t files = pages * PRESSURE_PAGE;
        error = host_cgroup_limit(
            &scene->cgroup, (uint64_t)scene->result->resident * PRESSURE_PAGE +
                                (used > files ? used - files : 0));
    }
    if (counts) {
        scene->seen->resident += pages;
        scene->seen->looks++;
    }
    return error && error != -EBUSY
               ? fail(scene, "the limit of the cgroup", -error)
               : 0;
}

static void
access_page(struct scene *scene, size_t at)
{
    uint32_t page = scene->plan->trace->accesses[at];
    volatile char *byte = &scene->pages[(size_t)page * PRESSURE_PAGE];
    bool first = !scene->accessed[page];
    uint64_t before = major_faults();

    if (pressure_is_write(scene->plan, at, first))
        *byte = (char)at;
    else
        (void)*byte;
    scene->accessed[page] = 1;
    if (!first && at >= scene->result->skipped && major_faults() == before)
        scene->seen->hits++;
}

static int
access_all(struct scene *scene)
{
    size_t length = scene->plan->trace->length;

    for (size_t at = 0; at < length; at++) {
        if (at % scene->result->sample_each == 0 &&
            look(scene, at >= scene->result->skipped) != 0)
            return -1;
        access_page(scene, at);
        __atomic_store_n(&scene->seen->done, at + 1, __ATOMIC_RELAXED);
    }
    return 0;
}

/* What the parent has made is the parent's; from here on it is the group's. */
static int
access_in_cgroup(struct scene *scene)
{
    int error = host_cgroup_enter(&scene->cgroup);

    if (error)
        return fail(scene, "to enter the cgroup", -error);
    scene->pages = mmap(NULL, bytes_of(scene), PROT_READ | PROT_WRITE,
                        MAP_SHARED, scene->file, 0);
    if (scene->pages == MAP_FAILED ||
        madvise((void *)(uintptr_t)scene->pages, bytes_of(scene),
                MADV_RANDOM) != 0)
        return fail(scene, "to map the file", errno);
    return access_all(scene);
}

/* ---- From begin to end ------------------------------------------------- */

/* Until it has ended. */
static int
watch(const struct scene *scene, pid_t child)
{
    struct tool_progress progress;
    int status = 0;

    tool_progress_begin(&progress, "accesses by the kernel",
                        scene->plan->trace->length);
    while (waitpid(child, &status, WNOHANG) == 0) {
        tool_sleep_until_ns(tool_now_ns() + NAP_NS);
        tool_progress_set(
            &progress, __atomic_load_n(&scene->seen->done, __ATOMIC_RELAXED));
    }
    tool_progress_end(&progress);
    return status;
}

/* 0, or -1 and the reason. */
static int
run_child(struct scene *scene, struct tool_error *error)
{
    pid_t child = fork();

    if (child < 0)
        return tool_fail(error, "no process: %s", strerror(errno));
    if (child == 0)
        _exit(access_in_cgroup(scene) == 0 ? 0 : 1);
    int status = watch(scene, child);
    if (scene->seen->failed)
        return tool_fail(error, "beside the kernel: %s: %s",
                         scene->seen->failed,
                         strerror(scene->seen->errno_then));
    return WIFEXITED(status)
               ? 0
               : tool_fail(error,
                           "beside the kernel: the process was killed "
                           "by signal %d",
                           WTERMSIG(status));
}

static int
run_in_cgroup(struct scene *scene, struct tool_error *error)
{
    int status;

    scene->file = make_file(scene->plan->trace->pages, error);
    if (scene->file < 0)
        return -1;
    status = host_cgroup_begin(&scene->cgroup, error);
    if (status == 0) {
        status = run_child(scene, error);
        host_cgroup_end(&scene->cgroup);
    }
    close(scene->file);
    return status;
}

static void
tell(const struct scene *scene, struct pressure_result *result)
{
    const struct seen *seen = scene->seen;
    size_t counted = scene->plan->trace->length - result->skipped;

    result->kernel_pages =
        seen->looks ? (uint32_t)(seen->resident / seen->looks) : 0;
    if (counted)
        result->kernel_ratio = (double)seen->hits / (double)counted;
}

int
pressure_kernel_run(const struct pressure_plan *plan,
                    struct pressure_result *result, struct tool_error *error)
{
    struct scene scene = {
        .plan = plan,
        .result = result,
        .accessed = calloc(plan->trace->pages, 1),
        .vector = calloc(plan->trace->pages, 1),
        .seen = mmap(NULL, sizeof(*scene.seen), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0),
    };
    int status = -1;

    if (!scene.accessed || !scene.vector || scene.seen == MAP_FAILED)
        tool_fail(error, "no memory");
    else
        status = run_in_cgroup(&scene, error);
    if (status == 0)
        tell(&scene, result);
    if (scene.seen != MAP_FAILED)
        munmap(scene.seen, sizeof(*scene.seen));
    free(scene.accessed);
    free(scene.vector);
    return status;
}
