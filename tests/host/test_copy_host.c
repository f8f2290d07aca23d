/* SPDX-License-Identifier: MIT */
/*
 * The host's process_vm_readv, process_vm_writev, /proc/PID/mem, mincore and
 * madvise(POPULATE_*) beside Aspen's: the same random calls on the same
 * mappings in a corner of this process and in Aspen give the same counts,
 * errors, bytes and residency. Skipped where the host is no Linux 6.1 or later.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/refused.h"
#include "helper.h"

#include "space/vma.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing else is there, and sanitizers allow memory there. */
#define BASE       ((uint64_t)0x552000000000)
#define PAGES      48u
#define FILE_PAGES 20u
#define OBJECTS    2u
#define CALLS      6000u

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

struct file {
    int descriptor;
    void *mapping;           /* the whole of it, for mincore alone */
    uint8_t had[FILE_PAGES]; /* whether the host ever had the page */
};

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[OBJECTS];
    struct file files[OBJECTS];
    uint64_t random;
    uint8_t written; /* another byte each time */
    unsigned counts[6];
    int memory;  /* /proc/self/mem; -1: the host does not let it be forced */
    bool has_vm; /* process_vm_readv, process_vm_writev */
};

static unsigned
below(struct pair *p, unsigned limit)
{
    return (unsigned)(unit_random(&p->random) % limit);
}

static void *
host_address(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static void
expect_same(const char *call, uint64_t address, uint64_t length, int64_t host,
            int64_t aspen)
{
    if (host != aspen)
        fail_msg("%s(page %lld + %llu, %llu bytes): host %lld, Aspen %lld",
                 call, (long long)((int64_t)(address - BASE) / (int64_t)PAGE),
                 (unsigned long long)(address % PAGE),
                 (unsigned long long)length, (long long)host, (long long)aspen);
}

/* ---- Mappings ---------------------------------------------------------- */

static void
map_both(struct pair *p, unsigned first, unsigned count)
{
    static const struct {
        int host;
        uint64_t aspen;
    } access[] = {
        {PROT_READ | PROT_WRITE, RW},
        {PROT_READ | PROT_WRITE, RW},
        {PROT_READ, R},
        {PROT_READ | PROT_EXEC, RX},
        {PROT_WRITE, ASPEN_VM_WRITE},
        {PROT_EXEC, ASPEN_VM_EXEC},
        {PROT_NONE, 0},
    };
    unsigned kind = below(p, 7);
    unsigned object = below(p, OBJECTS + 2);
    bool anonymous = object >= OBJECTS;
    bool shared = !anonymous && below(p, 2);
    uint64_t offset = anonymous ? 0 : below(p, FILE_PAGES + 2);
    struct aspen_mmap_args args = {
        .address = BASE + first * PAGE,
        .length_bytes = count * PAGE,
        .vm_flags = access[kind].aspen | (shared ? ASPEN_VM_SHARED : 0),
        .flags = ASPEN_MAP_FIXED,
        .object = anonymous ? NULL : p->objects[object],
        .offset_bytes = offset * PAGE,
    };
    uint64_t address;

    assert_true(mmap(host_address(args.address), count * PAGE,
                     access[kind].host,
                     (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED |
                         (anonymous ? MAP_ANONYMOUS : 0),
                     anonymous ? -1 : p->files[object].descriptor,
                     (off_t)(offset * PAGE)) != MAP_FAILED);
    assert_int_equal(aspen_mmap(p->mm, &args, &address), 0);
}

static void
unmap_both(struct pair *p, unsigned first, unsigned count)
{
    assert_int_equal(munmap(host_address(BASE + first * PAGE), count * PAGE),
                     0);
    helper_unmap(p->mm, BASE + first * PAGE, count);
}

/* ---- Residency --------------------------------------------------------- */

/* A host may take a clean page of a file away at any moment once it is not
 * mapped, shared memory without swap too: some do every few seconds.
 * No call of this test does. So what the host had and has no more it took,
 * while what it never had is Aspen's mistake. */

static void
host_pages_of_file(const struct file *file, uint8_t there[FILE_PAGES])
{
    assert_int_equal(mincore(file->mapping, FILE_PAGES * PAGE, there), 0);
}

static void
note_files(struct pair *p)
{
    uint8_t there[FILE_PAGES];

    for (unsigned i = 0; i < OBJECTS; i++) {
        host_pages_of_file(&p->files[i], there);
        for (unsigned page = 0; page < FILE_PAGES; page++)
            p->files[i].had[page] |= there[page] & 1;
    }
}

static bool
host_took(const struct pair *p, uint64_t address)
{
    const struct aspen_vma *vma = aspen_vma_at(p->mm, address);
    uint8_t there[FILE_PAGES];

    for (unsigned i = 0; vma && vma->object && i < OBJECTS; i++) {
        uint64_t page = vma->pgoff + (address - vma->start) / PAGE;
        if (vma->object != p->objects[i] || page >= FILE_PAGES)
            continue;
        host_pages_of_file(&p->files[i], there);
        return p->files[i].had[page] && !(there[page] & 1);
    }
    return false;
}

static void
expect_residency(const struct pair *p, uint64_t address, uint8_t host,
                 uint8_t aspen)
{
    if (host & 1 || !(aspen & 1) || !host_took(p, address))
        expect_same("residency", address, PAGE, host & 1, aspen & 1);
}

/* ---- Calls ------------------------------------------------------------- */

/* Not before the corner, where the host has mappings of its own. */
static uint64_t
somewhere(struct pair *p, uint64_t *length)
{
    uint64_t address = BASE + below(p, PAGES * PAGE);

    *length = below(p, 4) ? below(p, 3 * PAGE) : below(p, 40 * PAGE);
    if (below(p, 3) == 0)
        address &= ~(PAGE - 1);
    return address;
}

static void
read_both(struct pair *p)
{
    static uint8_t host[40 * PAGE];
    static uint8_t aspen[40 * PAGE];
    uint64_t length, done;
    uint64_t address = somewhere(p, &length);
    struct iovec local = {host, length};
    struct iovec remote = {host_address(address), length};

    ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    int error = aspen_read_memory(p->mm, address, aspen, length, 0, &done);
    expect_same("process_vm_readv", address, length, got < 0 ? -errno : got,
                done || !error ? (int64_t)done : error);
    assert_memory_equal(host, aspen, done);
    p->counts[0]++;
}

static void
write_both(struct pair *p)
{
    static uint8_t bytes[40 * PAGE];
    uint64_t length, done;
    uint64_t address = somewhere(p, &length);
    struct iovec local = {bytes, length};
    struct iovec remote = {host_address(address), length};

    memset(bytes, ++p->written, length);
    ssize_t got = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    int error = aspen_write_memory(p->mm, address, bytes, length, 0, &done);
    expect_same("process_vm_writev", address, length, got < 0 ? -errno : got,
                done || !error ? (int64_t)done : error);
    p->counts[1]++;
}

/* What a debugger does: /proc/PID/mem, which says EIO for EFAULT. */
static void
force_both(struct pair *p)
{
    static uint8_t host[40 * PAGE];
    static uint8_t aspen[40 * PAGE];
    uint64_t length, done;
    uint64_t address = somewhere(p, &length);
    bool write = below(p, 2);
    ssize_t got;
    int error;

    memset(host, ++p->written, length);
    memset(aspen, p->written, length);
    if (write) {
        got = pwrite(p->memory, host, length, (off_t)address);
        error = aspen_write_memory(p->mm, address, aspen, length,
                                   ASPEN_MEMORY_FORCE, &done);
    } else {
        got = pread(p->memory, host, length, (off_t)address);
        error = aspen_read_memory(p->mm, address, aspen, length,
                                  ASPEN_MEMORY_FORCE, &done);
    }
    expect_same(write ? "write to /proc/self/mem" : "read of /proc/self/mem",
                address, length, got < 0 ? -errno : got,
                done || !error           ? (int64_t)done
                : error == -ASPEN_EFAULT ? -ASPEN_EIO
                                         : error);
    assert_memory_equal(host, aspen, done);
    p->counts[5]++;
}

static void
mincore_both(struct pair *p)
{
    uint8_t host[64] = {0};
    uint8_t aspen[64] = {0};
    uint64_t length;
    uint64_t address = somewhere(p, &length);

    if (below(p, 4))
        address &= ~(PAGE - 1);
    int result = mincore(host_address(address), length, host);
    expect_same("mincore", address, length, result ? -errno : 0,
                aspen_mincore(p->mm, address, length, aspen));
    for (unsigned i = 0; i < sizeof(host); i++)
        expect_residency(p, address + i * PAGE, host[i], aspen[i]);
    p->counts[2]++;
}

static void
populate_both(struct pair *p)
{
    uint64_t length;
    uint64_t address = somewhere(p, &length);
    bool write = below(p, 2);

    if (below(p, 8))
        address &= ~(PAGE - 1);
    int result = madvise(host_address(address), length,
                         write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    expect_same(write ? "MADV_POPULATE_WRITE" : "MADV_POPULATE_READ", address,
                length, result ? -errno : 0,
                aspen_populate(p->mm, address, length,
                               write ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ,
                               NULL));
    p->counts[3]++;
}

/* The whole corner. */
static void
compare_residency(struct pair *p)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint8_t host = 0;
        uint8_t aspen = 0;
        uint64_t address = BASE + i * PAGE;
        int result = mincore(host_address(address), PAGE, &host);
        expect_same("mincore", address, PAGE, result ? -errno : 0,
                    aspen_mincore(p->mm, address, PAGE, &aspen));
        expect_residency(p, address, host, aspen);
    }
}

static void
call_both(struct pair *p)
{
    unsigned first = below(p, PAGES);
    unsigned count = 1 + below(p, 6);

    if (count > PAGES - first)
        count = PAGES - first;
    switch (below(p, 15)) {
    case 0:
        map_both(p, first, count);
        break;
    case 1:
        if (below(p, 2))
            unmap_both(p, first, count);
        else
            map_both(p, first, count);
        break;
    case 2:
    case 3:
    case 4:
        if (p->has_vm)
            read_both(p);
        break;
    case 5:
    case 6:
    case 7:
        if (p->has_vm)
            write_both(p);
        break;
    case 8:
        populate_both(p);
        break;
    case 9:
    case 10:
    case 11:
        if (p->memory >= 0)
            force_both(p);
        break;
    default:
        mincore_both(p);
    }
    note_files(p);
    p->counts[4]++;
}

/* ---- The whole --------------------------------------------------------- */

/* Hosts may forbid what a debugger needs (proc_mem.force_override): tried on
 * a page of our own. */
static int
open_memory(void)
{
    char *page =
        mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

    assert_true(page != MAP_FAILED);
    if (memory >= 0 && pwrite(memory, "x", 1, (off_t)(uintptr_t)page) != 1) {
        close(memory);
        memory = -1;
    }
    munmap(page, PAGE);
    return memory;
}

static void
test_host(void **state)
{
    (void)state;
    struct aspen_config config;
    struct pair p = {0};

    aspen_config_init(&config);
    if (!host_semantics(&config.semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    p.random = unit_seed("test_copy_host", 1);
    helper_create(&p.helper, &config);
    p.mm = helper_mm(&p.helper);
    p.memory = open_memory();
    if (p.memory < 0)
        unit_skip_part("/proc/self/mem: writes are not forced here");
    p.has_vm = !host_refuses(HOST_PROCESS_VM);
    if (!p.has_vm)
        unit_skip_part("copies: %s", host_refuses(HOST_PROCESS_VM));
    for (unsigned i = 0; i < OBJECTS; i++) {
        int file = memfd_create("test_copy_host", MFD_CLOEXEC);
        assert_true(file >= 0);
        assert_int_equal(ftruncate(file, (off_t)(FILE_PAGES * PAGE)), 0);
        p.files[i].descriptor = file;
        p.files[i].mapping =
            mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_SHARED, file, 0);
        assert_true(p.files[i].mapping != MAP_FAILED);
        p.objects[i] = helper_object(&p.helper, ASPEN_OBJECT_SHMEM, FILE_PAGES,
                                     NULL, NULL);
    }
    for (unsigned i = 0; i < unit_rounds(CALLS); i++) {
        call_both(&p);
        if (i % 16 == 0)
            compare_residency(&p);
    }
    helper_assert_valid(&p.helper);
    print_message("%u calls alike: %u reads, %u writes, %u mincore, %u "
                  "populate, %u forced\n",
                  p.counts[4], p.counts[0], p.counts[1], p.counts[2],
                  p.counts[3], p.counts[5]);
    if (p.memory >= 0)
        close(p.memory);
    unmap_both(&p, 0, PAGES);
    aspen_mm_put(p.mm);
    for (unsigned i = 0; i < OBJECTS; i++) {
        aspen_object_put(p.objects[i]);
        munmap(p.files[i].mapping, FILE_PAGES * PAGE);
        close(p.files[i].descriptor);
    }
    helper_destroy(&p.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
