/* SPDX-License-Identifier: MIT */
/*
 * The host's file mappings beside Aspen's, over its hosted pager: the same
 * random calls on a file of the host and on an object whose pages are another
 * file. Whatever is read, and which accesses have nothing behind them (SIGBUS),
 * has to be the same; in the end both files are. The same for shared memory: a
 * memfd of the host, an object without a pager.
 *
 * What becomes of bytes that were written beyond the end of a file, in its
 * last page, differs between file systems; Aspen does as ext4 does, so the
 * files are compared where /tmp is one.
 *
 * The host's side accesses memory by system calls, which answer where an access
 * would get a signal.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "helper.h"
#include "host_memory.h"

#include <aspen_posix_file.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether preadv and pwritev move less than they were asked for; or which of
 * them, counted from 1, does what instead (0: none). */
static bool shortens;
static struct {
    unsigned number;
    ssize_t moves; /* so many bytes; 0: the file ends there; below: -errno */
    unsigned count;
} odd;

/* Nothing else is there, and sanitizers allow memory there. */
#define BASE   ((uint64_t)0x552000000000)
#define PAGES  48u /* of address space */
#define FILE_  24u /* pages of the file at most */
#define SEEDS  20
#define CALLS  4000
#define CHUNK  300u
#define WHOLES 50 /* calls between looks at everything */

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object;
    int host;  /* the host's file */
    int aspen; /* the object's, or -1: shared memory */
    uint64_t size;
    uint64_t random;
    uint64_t seed;
    uint64_t calls;
    uint64_t missing; /* accesses that had nothing behind them */
};

/* ---- Transfers of the pager -------------------------------------------- */

#define SHORT 1000u

/* So many bytes of the vectors, wherever that ends. */
static ssize_t
move_odd(long number, int file, const struct iovec *vectors, int count,
         off_t at)
{
    struct iovec part[64];
    size_t left = (size_t)odd.moves;
    int parts = 0;

    for (; parts < count && left; parts++) {
        part[parts] = vectors[parts];
        if (part[parts].iov_len > left)
            part[parts].iov_len = left;
        left -= part[parts].iov_len;
    }
    return syscall(number, file, part, parts, (long)at, 0L);
}

static ssize_t
move_some(long number, int file, const struct iovec *vectors, int count,
          off_t at)
{
    struct iovec some = vectors[0];

    if (++odd.count == odd.number) {
        if (odd.moves <= 0) {
            errno = (int)-odd.moves;
            return odd.moves ? -1 : 0;
        }
        return move_odd(number, file, vectors, count, at);
    }
    if (!shortens)
        return syscall(number, file, vectors, count, (long)at, 0L);
    if (some.iov_len > SHORT)
        some.iov_len = SHORT;
    return syscall(number, file, &some, 1, (long)at, 0L);
}

/* In place of the C library's. */
ssize_t
preadv(int file, const struct iovec *vectors, int count, off_t at)
{
    return move_some(SYS_preadv, file, vectors, count, at);
}

ssize_t
pwritev(int file, const struct iovec *vectors, int count, off_t at)
{
    return move_some(SYS_pwritev, file, vectors, count, at);
}

static uint64_t
below(struct pair *p, uint64_t limit)
{
    return unit_random(&p->random) % limit;
}

static void *
host_at(uint64_t offset)
{
    return (void *)(uintptr_t)(BASE + offset);
}

static int
make_file(void)
{
    char name[] = "/tmp/aspen-file-XXXXXX";
    int descriptor = mkstemp(name);

    assert_true(descriptor >= 0);
    assert_int_equal(unlink(name), 0);
    return descriptor;
}

/* ---- Bytes of this process, without signals ---------------------------- */

/* How many bytes could be moved. */
static size_t
host_move(void *local, uint64_t offset, size_t length, bool write)
{
    size_t done = 0;

    /* Page by page: an error in the middle hides what was done before. */
    while (done < length) {
        size_t piece = PAGE - (offset + done) % PAGE;
        if (piece > length - done)
            piece = length - done;
        char *here = (char *)local + done;
        void *there = host_at(offset + done);
        size_t moved = write ? helper_host_write(there, here, piece)
                             : helper_host_read(here, there, piece);
        if (moved != piece)
            break;
        done += piece;
    }
    return done;
}

static void
compare_memory(struct pair *p, uint64_t offset, size_t length)
{
    unsigned char host[PAGE], aspen[PAGE];
    uint64_t done;

    assert_true(length <= PAGE);
    size_t count = host_move(host, offset, length, false);
    int error =
        aspen_read_memory(p->mm, BASE + offset, aspen, length, 0, &done);
    if (done != count || memcmp(host, aspen, count) != 0) {
        unsigned at = 0;
        while (at < count && at < done && host[at] == aspen[at])
            at++;
        fail_msg("seed %llu, call %llu: page %llu+%llu: host %zu bytes, Aspen "
                 "%llu (%d), differ at %u: %d, %d",
                 (unsigned long long)p->seed, (unsigned long long)p->calls,
                 (unsigned long long)(offset / PAGE),
                 (unsigned long long)(offset % PAGE), count,
                 (unsigned long long)done, error, at, host[at], aspen[at]);
    }
    p->missing += count < length;
}

static void
compare_file(struct pair *p, uint64_t offset, size_t length)
{
    unsigned char host[PAGE], aspen[PAGE];
    uint64_t done;

    ssize_t count = pread(p->host, host, length, (off_t)offset);
    assert_true(count >= 0);
    assert_int_equal(aspen_object_read(p->object, offset, aspen, length, &done),
                     0);
    if (done != (uint64_t)count || memcmp(host, aspen, done) != 0)
        fail_msg("seed %llu, call %llu: file at %llu: host %zd bytes, "
                 "Aspen %llu",
                 (unsigned long long)p->seed, (unsigned long long)p->calls,
                 (unsigned long long)offset, count, (unsigned long long)done);
}

static void
compare_all(struct pair *p)
{
    for (unsigned page = 0; page < PAGES; page++)
        compare_memory(p, page * PAGE, PAGE);
    for (unsigned page = 0; page < FILE_; page++)
        compare_file(p, page * PAGE, PAGE);
    helper_assert_valid(&p->helper);
}

/* ---- Calls ------------------------------------------------------------- */

static void
call_map(struct pair *p)
{
    uint64_t first = below(p, PAGES);
    uint64_t count = 1 + below(p, PAGES - first > 12 ? 12 : PAGES - first);
    uint64_t pgoff = below(p, FILE_);
    bool shared = below(p, 2);
    bool write = below(p, 4);
    struct aspen_mmap_args args = {
        .address = BASE + first * PAGE,
        .length_bytes = count * PAGE,
        .vm_flags = (write ? RW : R) | (shared ? ASPEN_VM_SHARED : 0),
        .flags = ASPEN_MAP_FIXED,
        .object = p->object,
        .offset_bytes = pgoff * PAGE,
    };
    uint64_t address;

    assert_ptr_equal(mmap(host_at(first * PAGE), count * PAGE,
                          PROT_READ | (write ? PROT_WRITE : 0),
                          MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE),
                          p->host, (off_t)(pgoff * PAGE)),
                     host_at(first * PAGE));
    assert_int_equal(aspen_mmap(p->mm, &args, &address), 0);
}

static void
call_unmap(struct pair *p)
{
    uint64_t first = below(p, PAGES);
    uint64_t count = 1 + below(p, PAGES - first > 6 ? 6 : PAGES - first);

    assert_int_equal(munmap(host_at(first * PAGE), count * PAGE), 0);
    assert_int_equal(aspen_munmap(p->mm, BASE + first * PAGE, count * PAGE), 0);
}

static void
call_write_memory(struct pair *p)
{
    unsigned char bytes[CHUNK];
    uint64_t offset = below(p, PAGES * PAGE - CHUNK);
    size_t length = 1 + below(p, CHUNK);
    uint64_t done;

    memset(bytes, (int)below(p, 256), length);
    size_t count = host_move(bytes, offset, length, true);
    int error =
        aspen_write_memory(p->mm, BASE + offset, bytes, length, 0, &done);
    if (done != count)
        fail_msg("seed %llu, call %llu: write to page %llu: host %zu bytes, "
                 "Aspen %llu (%d)",
                 (unsigned long long)p->seed, (unsigned long long)p->calls,
                 (unsigned long long)(offset / PAGE), count,
                 (unsigned long long)done, error);
    p->missing += count < length;
}

static void
call_write_file(struct pair *p)
{
    unsigned char bytes[CHUNK];
    uint64_t offset = p->size ? below(p, p->size) : 0;
    size_t length = 1 + below(p, CHUNK);
    uint64_t done;

    if (length > p->size - offset)
        length = p->size - offset;
    memset(bytes, (int)below(p, 256), sizeof(bytes));
    assert_int_equal(pwrite(p->host, bytes, length, (off_t)offset), length);
    assert_int_equal(
        aspen_object_write(p->object, offset, bytes, length, &done), 0);
    assert_int_equal(done, length);
}

static void
call_truncate(struct pair *p)
{
    uint64_t size = below(p, FILE_ * PAGE);

    if (below(p, 2))
        size -= size % PAGE;
    assert_int_equal(ftruncate(p->host, (off_t)size), 0);
    assert_int_equal(aspen_object_resize(p->object, size), 0);
    p->size = size;
}

static void
call_punch(struct pair *p)
{
    uint64_t offset = below(p, FILE_ * PAGE);
    uint64_t length = 1 + below(p, 6 * PAGE);

    if (below(p, 2))
        offset -= offset % PAGE;
    if (fallocate(p->host, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)offset, (off_t)length))
        return;
    assert_int_equal(aspen_object_punch(p->object, offset, length), 0);
}

static void
call_msync(struct pair *p)
{
    static const int host[] = {MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE,
                               MS_SYNC | MS_ASYNC, 0};
    uint64_t first = below(p, PAGES);
    uint64_t count = below(p, PAGES - first + 1);
    int flags = host[below(p, 5)];

    int result = msync(host_at(first * PAGE), count * PAGE, flags);
    int error =
        aspen_msync(p->mm, BASE + first * PAGE, count * PAGE, (unsigned)flags);
    assert_int_equal(error, result ? -errno : 0);
}

static void
call_once(struct pair *p)
{
    switch (below(p, 16)) {
    case 0:
    case 1:
        call_map(p);
        break;
    case 2:
        call_unmap(p);
        break;
    case 3:
        call_truncate(p);
        break;
    case 4:
        call_punch(p);
        break;
    case 5:
        call_msync(p);
        break;
    case 6:
    case 7:
    case 8:
        call_write_file(p);
        break;
    default:
        call_write_memory(p);
    }
}

/* ---- Runs -------------------------------------------------------------- */

static void
begin(struct pair *p, uint64_t seed, bool memory)
{
    struct aspen_config config;

    aspen_config_init(&config);
    (void)host_semantics(&config.semantics);
    memset(p, 0, sizeof(*p));
    munmap(host_at(0), PAGES * PAGE); /* of a test that failed */
    p->random = p->seed = seed;
    p->size = 10 * PAGE;
    helper_create(&p->helper, &config);
    p->mm = helper_mm(&p->helper);
    p->host = memory ? memfd_create("aspen", MFD_CLOEXEC) : make_file();
    assert_int_equal(ftruncate(p->host, (off_t)p->size), 0);
    if (memory) {
        p->aspen = -1;
        p->object =
            helper_object(&p->helper, ASPEN_OBJECT_SHMEM, 10, NULL, NULL);
        return;
    }
    p->aspen = make_file();
    assert_int_equal(ftruncate(p->aspen, (off_t)p->size), 0);
    assert_int_equal(aspen_posix_file_create(p->helper.aspen, p->aspen,
                                             "/a/file", &p->object),
                     0);
}

/* The files themselves, without Aspen. */
static void
compare_files(struct pair *p)
{
    unsigned char host[PAGE], aspen[PAGE];
    struct stat status;

    assert_int_equal(fstat(p->aspen, &status), 0);
    assert_int_equal(status.st_size, p->size);
    for (uint64_t at = 0; at < p->size; at += PAGE) {
        ssize_t count = pread(p->host, host, PAGE, (off_t)at);
        assert_int_equal(pread(p->aspen, aspen, PAGE, (off_t)at), count);
        assert_memory_equal(host, aspen, (size_t)count);
    }
}

static void
end(struct pair *p)
{
    assert_int_equal(aspen_object_sync(p->object, 0, UINT64_MAX), 0);
    if (p->aspen >= 0)
        compare_files(p);
    aspen_mm_put(p->mm);
    aspen_object_put(p->object);
    helper_destroy(&p->helper);
    munmap(host_at(0), PAGES * PAGE);
    close(p->host);
    if (p->aspen >= 0)
        close(p->aspen);
}

static void
beside_the_host(bool memory)
{
    const unsigned seeds = unit_rounds(SEEDS);
    uint64_t missing = 0;

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct pair p;
        begin(&p, seed, memory);
        for (p.calls = 1; p.calls <= CALLS; p.calls++) {
            call_once(&p);
            compare_memory(&p, below(&p, PAGES) * PAGE, PAGE);
            if (p.calls % WHOLES == 0)
                compare_all(&p);
        }
        end(&p);
        missing += p.missing;
    }
    print_message("%u x %d calls, %llu accesses with nothing behind them\n",
                  seeds, CALLS, (unsigned long long)missing);
    assert_true(missing > 100);
}

static void
test_files(void **state)
{
    struct statfs status;
    (void)state;

    assert_int_equal(statfs("/tmp", &status), 0);
    if (status.f_type != EXT4_SUPER_MAGIC)
        unit_skip("/tmp is no ext4, whose last pages Aspen's are like");
    beside_the_host(false);
}

static void
test_shared_memory(void **state)
{
    (void)state;
    beside_the_host(true);
}

/* What was not moved at once is moved after that, and to where it belongs. */
static void
test_short_transfers(void **state)
{
    enum { BYTES = 10 * PAGE };
    unsigned char *bytes = test_malloc(BYTES), *read = test_malloc(BYTES);
    uint64_t done, random = 5;
    struct pair p;
    (void)state;

    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)unit_random(&random);
    begin(&p, 1, false);
    shortens = true;
    assert_int_equal(pwrite(p.aspen, bytes, BYTES, 0), BYTES);
    assert_int_equal(aspen_object_read(p.object, 0, read, BYTES, &done), 0);
    assert_int_equal(done, BYTES);
    assert_memory_equal(read, bytes, BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)unit_random(&random);
    assert_int_equal(aspen_object_write(p.object, 0, bytes, BYTES, &done), 0);
    assert_int_equal(aspen_object_sync(p.object, 0, UINT64_MAX), 0);
    assert_int_equal(pread(p.aspen, read, BYTES, 0), BYTES);
    assert_memory_equal(read, bytes, BYTES);
    shortens = false;
    assert_int_equal(pwrite(p.host, bytes, BYTES, 0), BYTES);
    end(&p);
    test_free(read);
    test_free(bytes);
}

/* ---- Each transfer in turn --------------------------------------------- */

enum { WHOLE = 70 * PAGE + 100 };

struct transfer {
    unsigned char *bytes; /* what is to be read, or written */
    unsigned char *other; /* what is read */
    struct pair pair;
};

static void
transfer_begin(struct transfer *t, uint64_t seed)
{
    uint64_t random = seed;

    t->bytes = test_malloc(WHOLE);
    t->other = test_calloc(WHOLE, 1);
    for (unsigned i = 0; i < WHOLE; i++)
        t->bytes[i] = (unsigned char)(1 + unit_below(&random, 255));
    begin(&t->pair, 1, false);
    t->pair.size = WHOLE;
    assert_int_equal(ftruncate(t->pair.host, WHOLE), 0);
    assert_int_equal(pwrite(t->pair.host, t->bytes, WHOLE, 0), WHOLE);
    assert_int_equal(aspen_object_resize(t->pair.object, WHOLE), 0);
}

static void
transfer_end(struct transfer *t)
{
    odd.number = 0;
    end(&t->pair); /* compares the files */
    test_free(t->bytes);
    test_free(t->other);
}

static void
be_odd(unsigned number, ssize_t moves)
{
    odd.number = number;
    odd.moves = moves;
    odd.count = 0;
}

/* Returns the error of the sync in which transfer `number` was odd; how many
 * transfers there were in odd.count. */
static int
write_with(unsigned number, ssize_t moves)
{
    struct transfer t;
    uint64_t done;

    transfer_begin(&t, number);
    assert_int_equal(
        aspen_object_write(t.pair.object, 0, t.bytes, WHOLE, &done), 0);
    be_odd(number, moves);
    int error = aspen_object_sync(t.pair.object, 0, UINT64_MAX);
    unsigned count = odd.count;
    transfer_end(&t); /* what was not written is, by the next sync */
    odd.count = count;
    return error;
}

static int
read_with(unsigned number, ssize_t moves)
{
    struct transfer t;
    uint64_t done = 0;

    transfer_begin(&t, number);
    assert_int_equal(pwrite(t.pair.aspen, t.bytes, WHOLE, 0), WHOLE);
    be_odd(number, moves);
    int error = aspen_object_read(t.pair.object, 0, t.other, WHOLE, &done);
    unsigned count = odd.count;
    assert_true(error ? done < WHOLE : done == WHOLE);
    if (moves == 0 && count >= number) /* the file had ended there */
        for (uint64_t at = 0; at < done; at++)
            assert_true(t.other[at] == t.bytes[at] || t.other[at] == 0);
    else
        assert_memory_equal(t.other, t.bytes, done);
    odd.number = 0;
    if (moves != 0) { /* what failed is read by the next */
        assert_int_equal(
            aspen_object_read(t.pair.object, 0, t.other, WHOLE, &done), 0);
        assert_memory_equal(t.other, t.bytes, WHOLE);
    }
    transfer_end(&t);
    odd.count = count;
    return error;
}

static void
test_each_transfer(void **state)
{
    static const struct {
        ssize_t moves;
        int read, write; /* what becomes of it */
    } cases[] = {
        {1, 0, 0},
        {PAGE - 1, 0, 0},
        {PAGE, 0, 0},
        {PAGE + 1, 0, 0},
        {3 * PAGE, 0, 0},
        {-EINTR, 0, 0},
        {-EIO, 0, -ASPEN_EIO}, /* without those ahead, it is read again */
        {0, 0, -ASPEN_ENOSPC},
    };
    unsigned transfers = 0;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned number = 0;
        int error;
        do
            error = read_with(++number, cases[i].moves);
        while (odd.count >= number &&
               (assert_int_equal(error, cases[i].read), true));
        assert_int_equal(error, 0);
        transfers += number;
        number = 0;
        do
            error = write_with(++number, cases[i].moves);
        while (odd.count >= number &&
               (assert_int_equal(error, cases[i].write), true));
        assert_int_equal(error, 0);
        transfers += number;
    }
    print_message("%u transfers\n", transfers);
}

/* ---- The same file, opened in another way ------------------------------ */

static int
open_again(int file, int flags)
{
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int descriptor = open(path, flags | O_CLOEXEC);
    assert_true(descriptor >= 0);
    return descriptor;
}

/* What is written back to a file that is open for appending goes to its end,
 * wherever it belongs. */
static void
test_appending(void **state)
{
    struct helper helper;
    struct aspen_object *object;
    int file = make_file();
    int appends = open_again(file, O_RDWR | O_APPEND);
    (void)state;

    helper_create(&helper, NULL);
    assert_int_equal(
        aspen_posix_file_create(helper.aspen, appends, NULL, &object),
        -ASPEN_EINVAL);
    helper_destroy(&helper);
    close(appends);
    close(file);
}

static void
test_read_only(void **state)
{
    struct helper helper;
    struct aspen_object *object;
    int file = make_file();
    int reads = open_again(file, O_RDONLY);
    uint64_t done;
    char byte;
    (void)state;

    helper_create(&helper, NULL);
    assert_int_equal(ftruncate(file, 2 * PAGE), 0);
    assert_int_equal(
        aspen_posix_file_create(helper.aspen, reads, NULL, &object), 0);
    assert_int_equal(aspen_object_read(object, 0, &byte, 1, &done), 0);
    assert_int_equal(aspen_object_write(object, 0, "x", 1, &done), 0);
    assert_int_equal(aspen_object_sync(object, 0, PAGE), -ASPEN_EBADF);
    assert_int_equal(aspen_object_punch(object, 0, PAGE), -ASPEN_EBADF);
    assert_int_equal(aspen_object_resize(object, PAGE), -ASPEN_EINVAL);
    assert_int_equal(aspen_object_size(object), 2 * PAGE);
    aspen_object_put(object);
    assert_int_equal(pread(file, &byte, 1, 0), 1);
    assert_int_equal(byte, 0);
    helper_destroy(&helper);
    close(reads);
    close(file);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_shared_memory),
        cmocka_unit_test(test_short_transfers),
        cmocka_unit_test(test_each_transfer),
        cmocka_unit_test(test_appending),
        cmocka_unit_test(test_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
