/* SPDX-License-Identifier: MIT */
/*
 * bench/fork/host_fork.h - what the host kernel takes for the work that
 * aspen_fork.c gives to Aspen. Each function makes the memory, measures once
 * and gives the memory back.
 */
#ifndef BENCH_HOST_FORK_H
#define BENCH_HOST_FORK_H

#include <stdbool.h>
#include <stddef.h>

/* fork() of this process as it is, in ns: taken off the others. */
double host_fork_bare(void);

/* fork() with `bytes` of touched 4 KiB pages more / `vmas` VMAs of one page
 * more, touched or not. */
double host_fork_pages(size_t bytes);
double host_fork_vmas(unsigned vmas, bool touched);

/* munmap of `bytes` of touched 4 KiB pages. */
double host_munmap_pages(size_t bytes);

/*
 * The same forks, failing late with ENOMEM: an untouched mapping larger than
 * memory stands above them, which Linux's overcommit mode 0 refuses to charge
 * a second time. false: not possible here (*reason says why).
 */
bool host_fork_can_fail(const char **reason);
double host_fork_pages_failing(size_t bytes);
double host_fork_vmas_failing(unsigned vmas, bool touched);

#endif
