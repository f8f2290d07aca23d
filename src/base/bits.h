/* SPDX-License-Identifier: MIT */
/*
 * base/bits.h - small integer and pointer helpers.
 *
 * Nothing here may turn into a library call: no popcount or division helper
 * exists in a freestanding build (the symbol test checks).
 */
#ifndef ASPEN_BASE_BITS_H
#define ASPEN_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != UINT64_MAX
#error "Aspen needs 64-bit pointers: they stand beside flags in 64-bit words"
#endif

#define aspen_container_of(pointer, type, member)                              \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ASPEN_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define aspen_likely(x)   __builtin_expect(!!(x), 1)
#define aspen_unlikely(x) __builtin_expect(!!(x), 0)
/* What is large on the stack leaves it before its caller goes deeper. */
#define ASPEN_NOINLINE __attribute__((noinline))

/* For what is hot: a compiler's limit on how far a file may grow is not what
 * decides. */
#define ASPEN_ALWAYS_INLINE static inline __attribute__((always_inline))

/* For data that is written next: fetch its cache line in exclusive state. */
#define aspen_prefetch_write(p) __builtin_prefetch((p), 1)
#define aspen_prefetch(p)       __builtin_prefetch((p), 0)

#define ASPEN_PAGE_SHIFT 12
#define ASPEN_PAGE_SIZE  ((uint64_t)1 << ASPEN_PAGE_SHIFT)
#define ASPEN_PAGE_MASK  (~(ASPEN_PAGE_SIZE - 1))

static inline uint64_t
aspen_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t
aspen_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `alignment` is a power of two. aspen_align_up() may wrap to 0. */
static inline uint64_t
aspen_align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

static inline uint64_t
aspen_align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool
aspen_is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

static inline uint64_t
aspen_bytes_to_pages(uint64_t bytes)
{
    return bytes >> ASPEN_PAGE_SHIFT;
}

/* Index of the lowest / highest set bit; value is not 0. */
static inline unsigned
aspen_lowest_bit(uint64_t value)
{
    return (unsigned)__builtin_ctzll(value);
}

static inline unsigned
aspen_highest_bit(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

static inline unsigned
aspen_popcount(uint64_t value)
{
    value -= (value >> 1) & 0x5555555555555555u;
    value =
        (value & 0x3333333333333333u) + ((value >> 2) & 0x3333333333333333u);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)((value * 0x0101010101010101u) >> 56);
}

#endif
