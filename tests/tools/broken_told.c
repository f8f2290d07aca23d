/* SPDX-License-Identifier: MIT */
/*
 * broken_told.c - the part of broken.c that tells what is not so:
 *
 *   counts        reference, map and swap counts differ after a failed fork
 *   valid:WHAT    the validator finds something after a failed fork: in a
 *                 space, in the whole machine, in the child of the next one;
 *                 or it has no memory to look
 *   next-vmas     the child of the next fork has a mapping more
 *   counter:NAME  a counter of the machine is one more after the next fork
 *   shown:NAME    a counter of a space is one more
 *   invalid       the validator finds something in a machine
 *   flags         smaps has no VmFlags
 *   untold        mincore refuses
 *   resident      mincore's answers for anonymous memory are the opposite
 *   vector        those for files
 *   fault, bytes  a page cannot be read; another page is there
 *   size          a file is larger
 *   contents      a byte of a file is another
 */
#define _GNU_SOURCE
#include "broken.h"
#include "base/lock.h"
#include "space/vma.h"

#include <stdlib.h>
#include <string.h>

BREAKABLE(uint64_t, aspen_hash_mm, struct aspen_mm *mm,
          enum aspen_hash_kind kind);
BREAKABLE(int, aspen_validate, struct aspen *aspen,
          struct aspen_finding *finding);
BREAKABLE(int, aspen_validate_mm, struct aspen_mm *mm,
          struct aspen_finding *finding);
BREAKABLE(void, aspen_counters_read, const struct aspen *aspen,
          struct aspen_counters *counters);
BREAKABLE(void, aspen_mm_counters_read, struct aspen_mm *mm,
          struct aspen_mm_counters *counters);
BREAKABLE(void, aspen_inspect_smaps, struct aspen_mm *mm, aspen_text_sink *sink,
          void *context);
BREAKABLE(int, aspen_mincore, struct aspen_mm *mm, uint64_t address,
          uint64_t length_bytes, uint8_t *vector);
BREAKABLE(int, aspen_translate_with_rights, struct aspen_mm *mm,
          uint64_t address, unsigned access, uint32_t rights, uint32_t *frame);
BREAKABLE(uint64_t, aspen_object_size, const struct aspen_object *object);
BREAKABLE(int, aspen_object_read, struct aspen_object *object,
          uint64_t offset_bytes, void *buffer, uint64_t length_bytes,
          uint64_t *done);

/* ---- Hash and validator ------------------------------------------------- */

uint64_t
WRAPPED(aspen_hash_mm)(struct aspen_mm *mm, enum aspen_hash_kind kind)
{
    bool other = breaks("counts") && kind == ASPEN_HASH_COUNTS &&
                 broken_state.phase == BROKEN_FAILED;

    return REAL(aspen_hash_mm)(mm, kind) ^ (other ? 1 : 0);
}

static int
find(struct aspen_finding *finding)
{
    finding->check = "planted";
    strcpy(finding->text, "found");
    return 1;
}

/* Whether $ASPEN_BROKEN is "valid:PART". */
static bool
is_invalid(const char *part)
{
    const char *wanted = broken_part("valid");

    return wanted && strcmp(wanted, part) == 0;
}

int
WRAPPED(aspen_validate)(struct aspen *aspen, struct aspen_finding *finding)
{
    if (breaks("invalid") ||
        (is_invalid("whole") && broken_state.phase != BROKEN_PLAIN))
        return find(finding);
    if (is_invalid("unlooked")) /* no memory to look */
        return -ASPEN_ENOMEM;
    return REAL(aspen_validate)(aspen, finding);
}

int
WRAPPED(aspen_validate_mm)(struct aspen_mm *mm, struct aspen_finding *finding)
{
    if (is_invalid("parent") && broken_state.phase == BROKEN_FAILED)
        return find(finding);
    if (is_invalid("child") && broken_state.phase == BROKEN_NEXT)
        return find(finding);
    return REAL(aspen_validate_mm)(mm, finding);
}

/* ---- Counters ----------------------------------------------------------- */

struct counter {
    const char *name;
    size_t offset;
};

#define MACHINE(name)                                                          \
    {                                                                          \
#name, offsetof(struct aspen_counters, name)                           \
    }
#define SPACE(name)                                                            \
    {                                                                          \
#name, offsetof(struct aspen_mm_counters, name)                        \
    }

static const struct counter of_machine[] = {
    MACHINE(frames_total),
    MACHINE(frames_free),
    MACHINE(frames_table),
    MACHINE(mms),
    MACHINE(mms_live),
    MACHINE(mms_swap_list),
    MACHINE(vmas),
    MACHINE(anon_vmas),
    MACHINE(anon_vma_links),
    MACHINE(objects),
    MACHINE(tree_nodes),
    MACHINE(committed_pages),
    MACHINE(swap_slots_used),
    MACHINE(swap_references),
    MACHINE(swap_continuations),
};
static const struct counter of_space[] = {
    SPACE(total_pages), SPACE(locked_pages), SPACE(data_pages),
    SPACE(stack_pages), SPACE(exec_pages),
};

static void
add_one(void *counters, const char *name, const struct counter *list,
        size_t count)
{
    uint64_t value;

    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) {
            char *at = (char *)counters + list[i].offset;
            memcpy(&value, at, sizeof(value));
            value++;
            memcpy(at, &value, sizeof(value));
            return;
        }
    abort();
}

void
WRAPPED(aspen_counters_read)(const struct aspen *aspen,
                             struct aspen_counters *counters)
{
    const char *name = broken_part("counter");

    REAL(aspen_counters_read)(aspen, counters);
    if (name && broken_state.phase == BROKEN_NEXT)
        add_one(counters, name, of_machine, ASPEN_ARRAY_SIZE(of_machine));
}

void
WRAPPED(aspen_mm_counters_read)(struct aspen_mm *mm,
                                struct aspen_mm_counters *counters)
{
    const char *name = broken_part("shown");

    REAL(aspen_mm_counters_read)(mm, counters);
    if (name)
        add_one(counters, name, of_space, ASPEN_ARRAY_SIZE(of_space));
    if (breaks("next-vmas") && broken_state.phase == BROKEN_NEXT)
        counters->vmas++;
}

/* ---- Mappings ----------------------------------------------------------- */

void
WRAPPED(aspen_inspect_smaps)(struct aspen_mm *mm, aspen_text_sink *sink,
                             void *context)
{
    if (breaks("flags"))
        aspen_inspect_maps(mm, sink, context);
    else
        REAL(aspen_inspect_smaps)(mm, sink, context);
}

/* ---- Pages, files ------------------------------------------------------- */

static bool
is_of_file(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_vma *vma;
    bool is;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    vma = aspen_vma_at(mm, address);
    is = vma && vma->object;
    aspen_read_unlock(&mm->mmap_lock);
    return is;
}

int
WRAPPED(aspen_mincore)(struct aspen_mm *mm, uint64_t address,
                       uint64_t length_bytes, uint8_t *vector)
{
    int result = REAL(aspen_mincore)(mm, address, length_bytes, vector);

    if (result != 0 || length_bytes == 0)
        return result;
    if (breaks("untold"))
        return -ASPEN_ENOMEM;
    if (is_of_file(mm, address) ? breaks("vector") : breaks("resident"))
        vector[0] ^= 1;
    return 0;
}

int
WRAPPED(aspen_translate_with_rights)(struct aspen_mm *mm, uint64_t address,
                                     unsigned access, uint32_t rights,
                                     uint32_t *frame)
{
    int result =
        REAL(aspen_translate_with_rights)(mm, address, access, rights, frame);

    if (result != 0 || breaks("fault"))
        return -ASPEN_EFAULT;
    if (breaks("bytes"))
        *frame = 0; /* zeroes */
    return 0;
}

uint64_t
WRAPPED(aspen_object_size)(const struct aspen_object *object)
{
    return REAL(aspen_object_size)(object) + (breaks("size") ? 1 : 0);
}

int
WRAPPED(aspen_object_read)(struct aspen_object *object, uint64_t offset_bytes,
                           void *buffer, uint64_t length_bytes, uint64_t *done)
{
    int result = REAL(aspen_object_read)(object, offset_bytes, buffer,
                                         length_bytes, done);

    if (breaks("contents") && *done > 0)
        ((uint8_t *)buffer)[0] ^= 1;
    return result;
}
