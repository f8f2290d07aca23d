/* SPDX-License-Identifier: MIT */
/*
 * lib.h - strings, lists, text, and what is said when all is lost.
 */
#ifndef KERNEL_LIB_H
#define KERNEL_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *__restrict to, const void *__restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);

/* ---- Text -------------------------------------------------------------- */

/* %s %c %d %u %x %lx %lu %ld %p %%, widths, 0 and - before them. Always ends
 * with a zero; returns what the whole text would take. */
int format(char *to, size_t bytes, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
int format_list(char *to, size_t bytes, const char *text, va_list list);

/* Text that grows; no memory: it is cut off, and `failed`. */
struct text {
    char *bytes;
    size_t length;
    size_t room;
    bool failed;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_print(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* As the sink of aspen/inspect.h. */
void text_sink(void *text, const char *bytes, size_t length);

/* To the log: QEMU's debug console. */
void print(const char *text, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic(const char *text, ...)
    __attribute__((format(printf, 1, 2)));
/* QEMU ends, and the log's last line has the status. */
_Noreturn void power_off(int status);

#define ASSERT(condition)                                                      \
    do {                                                                       \
        if (__builtin_expect(!(condition), 0))                                 \
            panic("%s:%d: %s", __FILE__, __LINE__, #condition);                \
    } while (0)

/* ---- Lists ------------------------------------------------------------- */

struct list {
    struct list *next;
    struct list *previous;
};

#define container_of(pointer, type, member)                                    \
    ((type *)((char *)(pointer)-offsetof(type, member)))
#define list_for_each(entry, head)                                             \
    for (struct list *entry = (head)->next, *entry##_next = entry->next;       \
         entry != (head); entry = entry##_next, entry##_next = entry->next)

static inline void
list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool
list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void
list_add_tail(struct list *list, struct list *entry)
{
    entry->previous = list->previous;
    entry->next = list;
    list->previous->next = entry;
    list->previous = entry;
}

/* The entry is a list of its own afterwards: it can be removed again. */
static inline void
list_remove(struct list *entry)
{
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
    list_init(entry);
}

/* ---- Numbers ----------------------------------------------------------- */

#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))
#define LENGTH(list) (sizeof(list) / sizeof((list)[0]))

static inline uint64_t
round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

static inline uint64_t
round_down(uint64_t value, uint64_t unit)
{
    return value & ~(unit - 1);
}

/* Of Linux's system calls; the core's numbers are the same. */
enum error {
    EPERM = 1,
    ENOENT,
    ESRCH,
    EINTR,
    EIO,
    ENXIO,
    E2BIG,
    ENOEXEC,
    EBADF,
    ECHILD,
    EAGAIN,
    ENOMEM,
    EACCES,
    EFAULT,
    EBUSY = 16,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENFILE,
    EMFILE,
    ENOTTY,
    EFBIG = 27,
    ENOSPC,
    ESPIPE,
    EROFS,
    EMLINK,
    EPIPE,
    ERANGE = 34,
    ENAMETOOLONG = 36,
    ENOSYS = 38,
    ENOTEMPTY,
    ELOOP,
    EOVERFLOW = 75,
    EOPNOTSUPP = 95,
    EAFNOSUPPORT = 97,
    ETIMEDOUT = 110,
    /* Inside the kernel: do the call again, unless a handler says EINTR. */
    ERESTART = 512,
};

#endif
