/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "capture_child.h"

#include "host/refused.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *
child_share(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
}

pid_t
start_child(void (*work)(int ready))
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        work(ready[1]);
        _exit(0);
    }
    assert_true(child > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

void
end_child(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void
report_ready(int ready)
{
    if (write(ready, "r", 1) != 1)
        _exit(1);
}

/* More is no program's data, but a sanitizer's. */
#define DATA_BYTES ((uintptr_t)64 << 20)

void
own_data(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];

    if (maps == NULL)
        _exit(1);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long start;
        unsigned long end;
        char rights[5];

        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) != 3 ||
            strcmp(rights, "rw-p") != 0 || end - start > DATA_BYTES)
            continue;
        for (; start < end; start += 4096) {
            volatile char *byte = (volatile char *)start;

            *byte = *byte;
        }
    }
    fclose(maps);
}

void
needs_ptrace(void)
{
    if (host_refuses(HOST_PTRACE))
        unit_skip("%s", host_refuses(HOST_PTRACE));
}
