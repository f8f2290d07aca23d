/* SPDX-License-Identifier: MIT */
/*
 * calls.c - what code that is compiled with -fsanitize=thread calls at each of
 * its accesses. The names and arguments are the compilers'.
 */
#include "memory.h"

#define PLACE __builtin_return_address(0)

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);

void
__tsan_init(void)
{
}

void
__tsan_func_entry(void *caller)
{
    (void)caller;
}

void
__tsan_func_exit(void)
{
}

/* ---- Plain accesses ---------------------------------------------------- */

static void
plain_write(const void *address, size_t bytes, const void *place)
{
    memory_access(address, bytes, MEMORY_WRITE, place);
    memory_forget(address, bytes);
}

#define PLAIN(name, what)                                                      \
    void __tsan_##name(void *address);                                         \
    void __tsan_##name(void *address)                                          \
    {                                                                          \
        what;                                                                  \
    }
#define READ_AND_WRITE(bytes)                                                  \
    PLAIN(read##bytes, memory_access(address, bytes, 0, PLACE))                \
    PLAIN(unaligned_read##bytes, memory_access(address, bytes, 0, PLACE))      \
    PLAIN(write##bytes, plain_write(address, bytes, PLACE))                    \
    PLAIN(unaligned_write##bytes, plain_write(address, bytes, PLACE))          \
    PLAIN(read_write##bytes, memory_access(address, bytes, 0, PLACE);          \
          plain_write(address, bytes, PLACE))

READ_AND_WRITE(1)
READ_AND_WRITE(2)
READ_AND_WRITE(4)
READ_AND_WRITE(8)
READ_AND_WRITE(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);

void
__tsan_read_range(void *address, size_t bytes)
{
    memory_access(address, bytes, 0, PLACE);
}

void
__tsan_write_range(void *address, size_t bytes)
{
    plain_write(address, bytes, PLACE);
}

/* ---- Atomic ones ------------------------------------------------------- */

static unsigned
order_of(int order)
{
    switch (order) {
    case __ATOMIC_RELAXED:
        return RELAXED;
    case __ATOMIC_CONSUME:
    case __ATOMIC_ACQUIRE:
        return ACQUIRE;
    case __ATOMIC_RELEASE:
        return RELEASE;
    default:
        return ACQUIRE | RELEASE;
    }
}

#define ATOMIC_CHANGE(bits, type, name, result)                                \
    type __tsan_atomic##bits##_##name(volatile type *address, type value,      \
                                      int order);                              \
    type __tsan_atomic##bits##_##name(volatile type *address, type value,      \
                                      int order)                               \
    {                                                                          \
        const void *word = (const void *)(uintptr_t)address;                   \
        type before = *address;                                                \
        type after = (type)(result);                                           \
        memory_access(word, sizeof(type),                                      \
                      MEMORY_ATOMIC | MEMORY_WRITE | MEMORY_LOCKED, PLACE);    \
        memory_change(word, before, after, order_of(order));                   \
        *address = after;                                                      \
        return before;                                                         \
    }

#define ATOMICS(bits, type)                                                    \
    type __tsan_atomic##bits##_load(const volatile type *address, int order);  \
    void __tsan_atomic##bits##_store(volatile type *address, type value,       \
                                     int order);                               \
    bool __tsan_atomic##bits##_compare_exchange_strong(                        \
        volatile type *address, type *expected, type value, int order,         \
        int failing);                                                          \
    type __tsan_atomic##bits##_load(const volatile type *address, int order)   \
    {                                                                          \
        const void *word = (const void *)(uintptr_t)address;                   \
        memory_access(word, sizeof(type), MEMORY_ATOMIC, PLACE);               \
        return (type)memory_load(word, *address, order_of(order));             \
    }                                                                          \
    void __tsan_atomic##bits##_store(volatile type *address, type value,       \
                                     int order)                                \
    {                                                                          \
        const void *word = (const void *)(uintptr_t)address;                   \
        memory_access(word, sizeof(type),                                      \
                      MEMORY_ATOMIC | MEMORY_WRITE |                           \
                          (order == __ATOMIC_SEQ_CST ? MEMORY_LOCKED : 0),     \
                      PLACE);                                                  \
        memory_store(word, *address, value, order_of(order));                  \
        *address = value;                                                      \
    }                                                                          \
    /* What fails may have found an older value; what it wants, the last. */   \
    bool __tsan_atomic##bits##_compare_exchange_strong(                        \
        volatile type *address, type *expected, type value, int order,         \
        int failing)                                                           \
    {                                                                          \
        const void *word = (const void *)(uintptr_t)address;                   \
        type before = *address;                                                \
        bool stores = before == *expected;                                     \
        memory_access(word, sizeof(type),                                      \
                      MEMORY_ATOMIC | MEMORY_LOCKED |                          \
                          (stores ? MEMORY_WRITE : 0),                         \
                      PLACE);                                                  \
        type found = (type)memory_load(word, before, order_of(failing));       \
        if (found != *expected || !stores) {                                   \
            *expected = found != *expected ? found : before;                   \
            return false;                                                      \
        }                                                                      \
        memory_change(word, before, value, order_of(order));                   \
        *address = value;                                                      \
        return true;                                                           \
    }                                                                          \
    /* clang's name for it. */                                                 \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *address,    \
                                                    type expected, type value, \
                                                    int order, int failing);   \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *address,    \
                                                    type expected, type value, \
                                                    int order, int failing)    \
    {                                                                          \
        (void)__tsan_atomic##bits##_compare_exchange_strong(                   \
            address, &expected, value, order, failing);                        \
        return expected;                                                       \
    }                                                                          \
    ATOMIC_CHANGE(bits, type, exchange, value)                                 \
    ATOMIC_CHANGE(bits, type, fetch_add, before + value)                       \
    ATOMIC_CHANGE(bits, type, fetch_sub, before - value)                       \
    ATOMIC_CHANGE(bits, type, fetch_or, before | value)                        \
    ATOMIC_CHANGE(bits, type, fetch_and, before &value)                        \
    ATOMIC_CHANGE(bits, type, fetch_xor, before ^ value)

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int order);

void
__tsan_atomic_thread_fence(int order)
{
    (void)order; /* the core has no others than seq_cst */
    memory_locked(&memory_now, true);
    memory_fence();
}
