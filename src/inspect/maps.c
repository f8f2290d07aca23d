/* SPDX-License-Identifier: MIT */
/*
 * inspect/maps.c - text of /proc/P/maps, in Linux's format.
 *
 *     start-end rwxp offset   major:minor inode      name from column 73 on
 *     7f89b90a5000-7f89b90a7000 rw-p 00033000 fe:00 332383         /usr/...
 *
 * Areas without a file have these names, in the order in which Linux looks:
 *
 *     a special mapping   its kind's; imported: [vdso] with code, else [vvar]
 *     [heap]              it touches the brk area
 *     [stack]             it holds the address where the stack started; if that
 *                         is not known, the highest area that grows down
 *     [anon:NAME]         it was given a name; shared: [anon_shmem:NAME]
 *
 * The first test to break is tests/unit/inspect/test_inspect.c.
 */
#include "inspect/maps.h"

#include "space/vma.h"

#define NAME_COLUMN 73

const struct aspen_vma *
aspen_maps_stack(struct aspen_mm *mm)
{
    uint64_t range[2] = {mm->address_limit, 0};
    uint64_t start = mm->layout.stack_start;
    const struct aspen_vma *vma;

    /* The bound counts as inside, on either side. */
    if (start) {
        vma = aspen_vma_find(mm, start - 1);
        return vma && vma->start <= start ? vma : NULL;
    }

    if (mm->stack_pages == 0)
        return NULL;
    do {
        vma = aspen_tree_find_back(&mm->vmas, range[0] - 1, 0, range);
        if (vma && vma->flags & ASPEN_VM_GROWSDOWN)
            return vma;
    } while (vma && range[0] > 0);
    return NULL;
}

static bool
is_heap(const struct aspen_vma *vma)
{
    const struct aspen_mm *mm = vma->mm;
    return vma->start < mm->layout.brk && vma->end > mm->layout.brk_start;
}

/* All but what was given by aspen_name_anon(); NULL: none. */
static const char *
fixed_name(const struct aspen_vma *vma, const struct aspen_vma *stack)
{
    if (vma->object)
        return vma->name ? NULL : vma->object->name;
    if (vma->special)
        return vma->special->name;
    if (vma->flags & ASPEN_VM_SPECIAL)
        return vma->flags & ASPEN_VM_EXEC ? "[vdso]" : "[vvar]";
    if (is_heap(vma))
        return "[heap]";
    return vma == stack ? "[stack]" : NULL;
}

/* A name may hold anything but a line end. */
static void
put_escaped(struct aspen_text *text, const char *name)
{
    for (; *name; name++)
        if (*name == '\n')
            aspen_text_string(text, "\\012");
        else
            aspen_text_char(text, *name);
}

static void
put_name(struct aspen_text *text, const struct aspen_vma *vma,
         const struct aspen_vma *stack)
{
    const char *name = fixed_name(vma, stack);

    if (!name && !vma->name)
        return;
    aspen_text_pad(text, NAME_COLUMN, 0);
    if (name) {
        put_escaped(text, name);
        return;
    }
    aspen_text_string(text, vma->object ? "[anon_shmem:" : "[anon:");
    aspen_text_string(text, vma->name->text);
    aspen_text_char(text, ']');
}

void
aspen_maps_line(struct aspen_text *text, const struct aspen_vma *vma,
                const struct aspen_vma *stack)
{
    const struct aspen_object *object = vma->object;
    uint64_t device = object ? object->device : 0;

    ASPEN_TEXT(text, "%8x-%8x %c%c%c%c %8x %2x:%2x %u ", vma->start, vma->end,
               vma->flags & ASPEN_VM_READ ? 'r' : '-',
               vma->flags & ASPEN_VM_WRITE ? 'w' : '-',
               vma->flags & ASPEN_VM_EXEC ? 'x' : '-',
               vma->flags & (ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE) ? 's' : 'p',
               object ? vma->pgoff << ASPEN_PAGE_SHIFT : 0, device >> 32,
               device & UINT32_MAX, object ? object->inode : 0);
    put_name(text, vma, stack);
    aspen_text_char(text, '\n');
}

void
aspen_inspect_maps(struct aspen_mm *mm, aspen_text_sink *sink, void *context)
{
    aspen_inspect_maps_range(mm, 0, mm->address_limit, sink, context);
}

void
aspen_inspect_maps_range(struct aspen_mm *mm, uint64_t start, uint64_t end,
                         aspen_text_sink *sink, void *context)
{
    struct aspen_tree_cursor cursor;
    struct aspen_text text;
    struct aspen_vma *vma;
    char buffer[512];

    aspen_text_begin(&text, buffer, sizeof(buffer), sink, context);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    const struct aspen_vma *stack = aspen_maps_stack(mm);
    end = aspen_min_u64(end, mm->address_limit);
    aspen_tree_cursor_init(&cursor, &mm->vmas, start);
    while (start < end && (vma = aspen_tree_next(&cursor, end - 1)) != NULL)
        aspen_maps_line(&text, vma, stack);
    aspen_read_unlock(&mm->mmap_lock);
    aspen_text_end(&text);
}
