/* SPDX-License-Identifier: MIT */
/*
 * calls/futex.c - words that the kernel and a program change by atomic steps.
 *
 * I1  A step is made while the mmap lock is held for reading and a reference
 *     holds the page, which the program's own steps reach as well
 *     (fault/hold.h): so each is one step for both.
 * I2  A key of an object has one reference to it.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_futex.c.
 */
#include <aspen/calls/futex.h>

#include "fault/hold.h"
#include "object/object.h"
#include "paging/icache.h"

/* ---- One word ---------------------------------------------------------- */

struct word {
    struct aspen_hold hold;
    struct aspen_mm *mm;
    uint32_t frame;
    uint32_t *at; /* through the direct map */
};

static int
check_address(const struct aspen_mm *mm, uint64_t address)
{
    if (address % sizeof(uint32_t))
        return -ASPEN_EINVAL;
    return address < mm->address_limit ? 0 : -ASPEN_EFAULT;
}

/* Fails with nothing held. */
static int
hold_word(struct word *word, struct aspen_mm *mm, uint64_t address,
          unsigned access)
{
    word->mm = mm;
    aspen_hold_begin(&word->hold, mm, access, 0);
    int error = aspen_hold_page(&word->hold, address, &word->frame);
    if (error) {
        aspen_hold_end(&word->hold);
        return error;
    }
    char *page = aspen_frame_pointer(mm->aspen, word->frame);
    word->at = (uint32_t *)(void *)(page + address % ASPEN_PAGE_SIZE);
    return 0;
}

static void
put_word(struct word *word, bool written)
{
    if (written) {
        aspen_icache_written(word->mm->aspen, word->frame,
                             (uintptr_t)word->at % ASPEN_PAGE_SIZE,
                             sizeof(*word->at));
        aspen_hold_page_written(&word->hold, word->frame);
    }
    aspen_hold_put(&word->hold, word->frame);
    aspen_hold_end(&word->hold);
}

static int
begin_step(struct word *word, struct aspen_mm *mm, uint64_t address,
           unsigned access)
{
    int error = check_address(mm, address);

    if (error)
        return error;
    if (!aspen_frames_have_contents(mm->aspen))
        return -ASPEN_EOPNOTSUPP;
    error = hold_word(word, mm, address, access);
    if (!error)
        aspen_contents_point((char *)word->at - address % ASPEN_PAGE_SIZE,
                             access == ASPEN_ACCESS_WRITE);
    return error;
}

int
aspen_futex_load(struct aspen_mm *mm, uint64_t address, uint32_t *value)
{
    struct word word;
    int error = begin_step(&word, mm, address, ASPEN_ACCESS_READ);

    if (error)
        return error;
    *value = aspen_load(word.at);
    put_word(&word, false);
    return 0;
}

int
aspen_futex_add(struct aspen_mm *mm, uint64_t address, uint32_t addend,
                uint32_t *before)
{
    struct word word;
    int error = begin_step(&word, mm, address, ASPEN_ACCESS_WRITE);

    if (error)
        return error;
    *before = aspen_fetch_add(word.at, addend);
    put_word(&word, true);
    return 0;
}

int
aspen_futex_compare_exchange(struct aspen_mm *mm, uint64_t address,
                             uint32_t expected, uint32_t desired,
                             uint32_t *before)
{
    struct word word;
    int error = begin_step(&word, mm, address, ASPEN_ACCESS_WRITE);

    if (error)
        return error;
    bool changed = aspen_compare_exchange(word.at, &expected, desired);
    *before = expected;
    put_word(&word, changed);
    return 0;
}

/* ---- Keys -------------------------------------------------------------- */

/* Whose page is it? The mmap lock is held, so the VMA stays. */
static int
fill_key(const struct word *word, uint64_t address, struct aspen_futex_key *key)
{
    const struct aspen_vma *vma = word->hold.vma;
    struct aspen *aspen = word->mm->aspen;
    uint32_t head = aspen_frame_head(aspen, word->frame);
    bool written = word->hold.fault.access == ASPEN_ACCESS_WRITE;

    if (aspen_frame_type(aspen_frame_at(aspen, head)) == ASPEN_FRAME_OBJECT) {
        aspen_object_get(vma->object);
        *key = (struct aspen_futex_key){
            .object = vma->object,
            .offset_bytes =
                (aspen_vma_offset(vma, address) << ASPEN_PAGE_SHIFT) +
                address % ASPEN_PAGE_SIZE};
        return 0;
    }
    if (!written)
        return -ASPEN_EFAULT;
    *key = (struct aspen_futex_key){.mm = word->mm, .offset_bytes = address};
    return 0;
}

static int
look_for_key(struct aspen_mm *mm, uint64_t address, unsigned access,
             struct aspen_futex_key *key)
{
    struct word word;
    int error = hold_word(&word, mm, address, access);

    if (error)
        return error;
    error = fill_key(&word, address, key);
    put_word(&word, false);
    return error;
}

int
aspen_futex_key_get(struct aspen_mm *mm, uint64_t address, unsigned flags,
                    struct aspen_futex_key *key)
{
    if (flags & ~(ASPEN_FUTEX_SHARED | ASPEN_FUTEX_WRITE))
        return -ASPEN_EINVAL;
    int error = check_address(mm, address);
    if (error)
        return error;
    if (!(flags & ASPEN_FUTEX_SHARED)) {
        *key = (struct aspen_futex_key){.mm = mm, .offset_bytes = address};
        return 0;
    }
    if (aspen_frames_refuse_contents(mm->aspen))
        return -ASPEN_EOPNOTSUPP;
    error = look_for_key(mm, address, ASPEN_ACCESS_WRITE, key);
    if (error == -ASPEN_EFAULT && !(flags & ASPEN_FUTEX_WRITE))
        error = look_for_key(mm, address, ASPEN_ACCESS_READ, key);
    return error;
}

void
aspen_futex_key_put(struct aspen_futex_key *key)
{
    if (key->object)
        aspen_object_put(key->object);
    *key = (struct aspen_futex_key){0};
}
