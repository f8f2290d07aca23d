/* SPDX-License-Identifier: MIT */
/*
 * A server of network block devices as a swap device: nbdkit, on a socket. It
 * fails, is slow, hangs and dies; every transfer ends.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <aspen_posix_swap.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 256u
#define MOST  24u /* transfers at a time */

/* Of ports/posix/swap/nbd.c. */
extern unsigned swap_nbd_patience_ms;

/* ---- A server ---------------------------------------------------------- */

static char folder[200];
static char uri[300];
static char why[300];
static pid_t server;

static bool
is_installed(void)
{
    return system("command -v nbdkit >/dev/null 2>&1") == 0;
}

/* `words`: of nbdkit's command line, up to NULL. */
static void
start_server(const char *const words[])
{
    char path[260], ready[260];
    char *arguments[16] = {"nbdkit", "-f", "-P", ready, "-U", path};
    struct stat found = {0};
    unsigned count = 6;

    if (!is_installed())
        unit_skip("nbdkit is not installed");
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(ready, sizeof(ready), "%s/ready", folder);
    snprintf(uri, sizeof(uri), "nbd:nbd+unix:///?socket=%s", path);
    while (*words)
        arguments[count++] = (char *)(uintptr_t)*words++;
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        /* What it says would be an error of ours. */
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    /* The socket is there before anybody listens, its number is not. */
    for (unsigned i = 0; i < 3000 && found.st_size == 0; i++) {
        poll(NULL, 0, 10);
        (void)!stat(ready, &found);
    }
    assert_int_not_equal(found.st_size, 0);
}

static int
end_server(void **state)
{
    char path[260];
    (void)state;

    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = 0;
    snprintf(path, sizeof(path), "%s/socket", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/ready", folder);
    unlink(path);
    swap_nbd_patience_ms = 30000;
    return 0;
}

/* ---- Transfers without a machine -------------------------------------- */

struct asked {
    struct aspen_swap_io io;
    void *memory[ASPEN_SWAP_IO_PAGES];
    char (*pages)[PAGE];
    int error;
    bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool alone; /* there is no machine, which would be told */

void __real_aspen_swap_done(struct aspen_swap_io *io, int error);
void __wrap_aspen_swap_done(struct aspen_swap_io *io, int error);

void
__wrap_aspen_swap_done(struct aspen_swap_io *io, int error)
{
    if (!alone) {
        __real_aspen_swap_done(io, error);
        return;
    }
    struct asked *asked = (struct asked *)io; /* it is its first member */
    pthread_mutex_lock(&lock);
    assert_false(asked->done);
    asked->error = error;
    asked->done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static struct aspen_posix_swap *
open_alone(struct aspen_swap_args *args)
{
    struct aspen_posix_swap *device;
    int error = aspen_posix_swap_open(uri, SLOTS, &device, why, sizeof(why));

    if (error == -ASPEN_EOPNOTSUPP)
        unit_skip("%s", why);
    if (error)
        fail_msg("%s", why);
    memset(args, 0, sizeof(*args));
    aspen_posix_swap_area(device, args);
    alone = true;
    return device;
}

static struct asked *
ask(const struct aspen_swap_args *args, uint32_t slot, uint32_t pages,
    bool write)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    assert_non_null(asked);
    asked->pages = malloc(pages * PAGE);
    assert_non_null(asked->pages);
    asked->io = (struct aspen_swap_io){slot, pages, write, asked->memory};
    for (uint32_t i = 0; i < pages; i++) {
        asked->memory[i] = asked->pages[pages - 1 - i];
        memset(asked->memory[i], write ? (int)(slot + i) % 251 + 1 : 0, PAGE);
    }
    args->ops->submit(args->context, &asked->io);
    return asked;
}

/* What it answered; a read that went well is compared. */
static int
answer(struct asked *asked)
{
    char expected[PAGE];

    pthread_mutex_lock(&lock);
    while (!asked->done)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0;
         !asked->error && !asked->io.write && i < asked->io.pages; i++) {
        memset(expected, (int)(asked->io.slot + i) % 251 + 1, PAGE);
        assert_memory_equal(asked->memory[i], expected, PAGE);
    }
    int error = asked->error;
    free(asked->pages);
    free(asked);
    return error;
}

static void
write_and_read(const struct aspen_swap_args *args)
{
    struct asked *asked[MOST];

    for (unsigned write = 2; write-- > 0;) {
        uint32_t slot = 0;
        for (unsigned i = 0; i < MOST; i++) {
            uint32_t count = i % 4 == 0 ? 1 : 1 + i % 13;
            asked[i] = ask(args, slot, count, write);
            slot += count;
        }
        assert_true(slot <= SLOTS);
        for (unsigned i = MOST; i-- > 0;)
            assert_int_equal(answer(asked[i]), 0);
    }
}

static void
test_several_under_way(void **state)
{
    struct aspen_swap_args args;
    (void)state;

    start_server((const char *const[]){"memory", "1M", NULL});
    struct aspen_posix_swap *device = open_alone(&args);
    write_and_read(&args);
    struct aspen_posix_swap_counters counters;
    aspen_posix_swap_counters_read(device, &counters);
    assert_int_equal(counters.transfers, 2 * MOST);
    assert_int_equal(counters.failed, 0);
    assert_int_equal(answer(ask(&args, SLOTS - 32, 32, true)), 0);
    assert_int_equal(answer(ask(&args, SLOTS - 32, 32, false)), 0);
    aspen_posix_swap_close(device);
}

static void
test_slow(void **state)
{
    struct aspen_swap_args args;
    (void)state;

    start_server((const char *const[]){"--filter=delay", "memory", "1M",
                                       "rdelay=20ms", "wdelay=20ms", NULL});
    struct aspen_posix_swap *device = open_alone(&args);
    write_and_read(&args);
    aspen_posix_swap_close(device);
}

/* Writes fail, reads do not. */
static void
test_errors(void **state)
{
    struct aspen_swap_args args;
    (void)state;

    start_server((const char *const[]){"--filter=error", "pattern", "1M",
                                       "error-pwrite=ENOSPC",
                                       "error-pwrite-rate=100%", NULL});
    char path[300];
    snprintf(path, sizeof(path), "%s", uri);
    struct aspen_posix_swap *device;
    int error = aspen_posix_swap_open(path, SLOTS, &device, why, sizeof(why));
    /* The pattern cannot be written to. */
    if (error == -ASPEN_EOPNOTSUPP)
        unit_skip("%s", why);
    assert_int_equal(error, -ASPEN_EACCES);
    assert_non_null(strstr(why, "can only be read"));
    end_server(NULL);
    start_server((const char *const[]){"--filter=error", "memory", "1M",
                                       "error-pwrite=ENOSPC",
                                       "error-pwrite-rate=100%", NULL});
    device = open_alone(&args);
    struct asked *writes[4];
    for (unsigned i = 0; i < 4; i++)
        writes[i] = ask(&args, 40 * i, 1 + i, true);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(answer(writes[i]), -ASPEN_ENOSPC);
    aspen_posix_swap_close(device);
}

/* What is under way ends, and what comes later. */
static void
test_server_dies(void **state)
{
    struct aspen_swap_args args;
    struct asked *asked[MOST];
    (void)state;

    start_server((const char *const[]){"--filter=delay", "memory", "1M",
                                       "delay-read=2000ms", NULL});
    struct aspen_posix_swap *device = open_alone(&args);
    assert_int_equal(answer(ask(&args, 0, 32, true)), 0);
    for (unsigned i = 0; i < MOST; i++)
        asked[i] = ask(&args, i, 1 + i % 4, false);
    poll(NULL, 0, 50);
    kill(server, SIGKILL);
    for (unsigned i = 0; i < MOST; i++)
        assert_true(answer(asked[i]) < 0);
    assert_true(answer(ask(&args, 0, 1, false)) < 0);
    assert_true(answer(ask(&args, 0, 3, true)) < 0);
    aspen_posix_swap_close(device);
}

/* It says nothing any more: patience ends. */
static void
test_server_hangs(void **state)
{
    struct aspen_swap_args args;
    struct asked *asked[3];
    (void)state;

    start_server((const char *const[]){"memory", "1M", NULL});
    swap_nbd_patience_ms = 300;
    struct aspen_posix_swap *device = open_alone(&args);
    assert_int_equal(answer(ask(&args, 0, 32, true)), 0);
    poll(NULL, 0, 500); /* nothing is under way: that is no silence */
    assert_int_equal(answer(ask(&args, 0, 32, false)), 0);
    kill(server, SIGSTOP);
    /* Its threads stop one after the other. */
    assert_int_equal(waitpid(server, NULL, WUNTRACED), server);
    for (unsigned i = 0; i < 3; i++)
        asked[i] = ask(&args, i, 1 + i, i == 1);
    for (unsigned i = 0; i < 3; i++)
        assert_true(answer(asked[i]) < 0);
    aspen_posix_swap_close(device);
}

/* ---- Of a machine ----------------------------------------------------- */

static void
test_machine(void **state)
{
    enum { FRAMES = 192, PAGES = 4 * FRAMES };
    struct aspen_config config = helper_config(FRAMES);
    struct helper_space s;
    struct aspen_posix_swap *device;
    struct aspen_swap_args args = {.flags = ASPEN_SWAP_CHECKSUM};
    unsigned type;
    (void)state;

    start_server((const char *const[]){"memory", "8M", NULL});
    int error = aspen_posix_swap_open(uri, PAGES, &device, why, sizeof(why));
    if (error == -ASPEN_EOPNOTSUPP)
        unit_skip("%s", why);
    assert_int_equal(error, 0);
    alone = false;
    aspen_posix_swap_area(device, &args);
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&s, &config);
    assert_int_equal(aspen_swap_add(s.helper.aspen, &args, &type), 0);
    uint64_t at = helper_map(s.mm, 0, PAGES, RW);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(
            helper_write(&s.helper, s.mm, at + i * PAGE, &i, sizeof(i)), 0);
    assert_true(helper_counters(s.mm).swap_pages > PAGES - FRAMES);
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t found = UINT64_MAX;
        assert_int_equal(
            helper_read(&s.helper, s.mm, at + i * PAGE, &found, sizeof(found)),
            0);
        assert_int_equal(found, i);
    }
    helper_unmap(s.mm, at + 10 * PAGE, PAGES - 10);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, type), 0);
    helper_space_destroy(&s);
}

/* ---- Refusals --------------------------------------------------------- */

static void
refused(const char *name, uint32_t pages, const char *word)
{
    struct aspen_posix_swap *device = NULL;
    int error = aspen_posix_swap_open(name, pages, &device, why, sizeof(why));

    if (error == -ASPEN_EOPNOTSUPP)
        unit_skip("%s", why);
    assert_true(error < 0);
    assert_null(device);
    if (!strstr(why, word))
        fail_msg("%s: '%s' does not say '%s'", name, why, word);
}

static void
test_refusals(void **state)
{
    (void)state;

    refused("nbd:", 1, "nbd lacks its :URI");
    refused("nbd:nonsense", 1, "nonsense");
    refused("nbd:nbd+unix:///?socket=/no/where", 1, "No such file");
    start_server((const char *const[]){"memory", "1M", NULL});
    refused(uri, SLOTS + 1, "has 1048576 bytes, and 1052672 are wanted");
}

static int
begin(void **state)
{
    const char *temporary = getenv("TMPDIR");
    (void)state;

    signal(SIGPIPE, SIG_DFL);
    snprintf(folder, sizeof(folder), "%s/aspen-nbd-XXXXXX",
             temporary ? temporary : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int
end(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define with_server(name) cmocka_unit_test_teardown(name, end_server)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_several_under_way),
        with_server(test_slow),
        with_server(test_errors),
        with_server(test_server_dies),
        with_server(test_server_hangs),
        with_server(test_machine),
        with_server(test_refusals),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
