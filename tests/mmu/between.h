/* SPDX-License-Identifier: MIT */
/*
 * between.h - the hooks that beside.h puts between a test and the library:
 * those of the architecture, since CPUs go on with the tables of a space until
 * it ends; and those of the second MMU. And what a call of the library is put
 * between: tests/mmu/wraps.sh makes the linker's options from that.
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

/* ---- Calls ------------------------------------------------------------- */

/* Around each call that may change an entry, be it to take a page from others:
 * what is cached is loaded before, and compared after. One may be inside of
 * another. */
void beside_enter(void);
void beside_leave(const char *call);

/* What stands between the test and a function of the library. */
#define BETWEEN(type, name, parameters)                                        \
    type __real_##name parameters;                                             \
    type __wrap_##name parameters;                                             \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name),              \
                                                __typeof__(__real_##name)),    \
                   #name " takes something else");                             \
    type __wrap_##name parameters

/* Nothing but the brackets. */
#define CALL(name, parameters, arguments)                                      \
    BETWEEN(int, name, parameters)                                             \
    {                                                                          \
        beside_enter();                                                        \
        int error = __real_##name arguments;                                   \
        beside_leave(#name);                                                   \
        return error;                                                          \
    }
#define CALL_VOID(name, parameters, arguments)                                 \
    BETWEEN(void, name, parameters)                                            \
    {                                                                          \
        beside_enter();                                                        \
        __real_##name arguments;                                               \
        beside_leave(#name);                                                   \
    }

#endif
