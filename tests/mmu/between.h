/* SPDX-License-Identifier: MIT */
/*
 * between.h - the hooks that beside.h puts between a test and the library:
 * those of the architecture, since CPUs go on with the tables of a space until
 * it ends; and those of the second MMU.
 */
#ifndef ASPEN_TESTS_MMU_BETWEEN_H
#define ASPEN_TESTS_MMU_BETWEEN_H

#include <aspen/aspen.h>

/* The CPU that stands beside a space. */
unsigned between_cpu(const struct aspen_mm *mm);

/* For config.hooks.arch: the test's, or NULL, and what sends away that CPU; and
 * all others, if the test does not see to them by a mm_exit of its own. */
const struct aspen_arch_ops *between_arch(const struct aspen_arch_ops *theirs);

/* The machine is gone that had them, or others. */
void between_arch_free(const struct aspen_arch_ops *arch);

/* Does the test give no hooks, or all that belong together? */
bool between_notifier_whole(const struct aspen_notifier_ops *theirs);

/* For config.hooks.notifier: the second MMU's, and theirs inside of its
 * brackets; or theirs alone. Of one machine at a time. */
const struct aspen_notifier_ops *
between_notifier(const struct aspen_notifier_ops *theirs, bool second);

#endif
