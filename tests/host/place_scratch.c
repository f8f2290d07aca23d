/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place_scratch.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
    case LOCK_ALL:
        /* Sanitizers make mlockall() do nothing. */
        return (command->flags ? syscall(SYS_mlockall, command->flags)
                               : syscall(SYS_munlockall))
                   ? -errno
                   : 0;
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

void
place_scratch(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "scratch"))
        _exit(scratch()); /* a sanitizer has no memory left to look for leaks */
}
