/* SPDX-License-Identifier: MIT */
/*
 * elf.c - the segments of a program become mappings of its file.
 */
#include "proc/exec.h"

#include "mm/space.h"
#include "mm/user.h"
#include "sched/thread.h"
#include "sys/random.h"

#define ELF_EXEC    2u
#define ELF_DYN     3u
#define ELF_X86_64  62u
#define PT_LOAD     1u
#define PT_INTERP   3u
#define HEADERS_MAX 32u

/* Where position-independent programs go: two thirds up. */
#define PROGRAM_BASE 0x555555554000u

struct elf_header {
    uint8_t magic[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, headers, sections;
    uint32_t flags;
    uint16_t bytes, header_bytes, header_count, unused[3];
};

struct program_header {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_bytes, memory_bytes, align;
};

struct loader {
    struct aspen_mm *mm;
    struct aspen_object *object;
    struct elf_header header;
    struct program_header headers[HEADERS_MAX];
};

static int
read_exactly(struct aspen_object *object, uint64_t at, void *to, size_t bytes)
{
    uint64_t done;
    int error = aspen_object_read(object, at, to, bytes, &done);

    return error ? error : done == bytes ? 0 : -ENOEXEC;
}

static int
read_headers(struct loader *loader)
{
    struct elf_header *header = &loader->header;
    int error = read_exactly(loader->object, 0, header, sizeof(*header));

    if (error)
        return error;
    if (memcmp(header->magic, "\177ELF\2\1", 6) != 0 ||
        (header->type != ELF_EXEC && header->type != ELF_DYN) ||
        header->machine != ELF_X86_64 ||
        header->header_bytes != sizeof(struct program_header) ||
        header->header_count > HEADERS_MAX)
        return -ENOEXEC;
    return read_exactly(loader->object, header->headers, loader->headers,
                        header->header_count * sizeof(struct program_header));
}

/* From the first page of all segments to the end of the last. */
static int
measure(const struct loader *loader, uint64_t *start, uint64_t *end)
{
    *start = UINT64_MAX;
    *end = 0;
    for (unsigned i = 0; i < loader->header.header_count; i++) {
        const struct program_header *segment = &loader->headers[i];
        if (segment->type != PT_LOAD)
            continue;
        if (segment->address > USER_LIMIT ||
            segment->memory_bytes > USER_LIMIT - segment->address ||
            segment->file_bytes > segment->memory_bytes)
            return -ENOEXEC;
        *start = MIN(*start, round_down(segment->address, PAGE_BYTES));
        *end = MAX(*end, segment->address + segment->memory_bytes);
    }
    return *end ? 0 : -ENOEXEC;
}

static uint64_t
vm_flags_of(const struct program_header *segment)
{
    return (segment->flags & 4 ? ASPEN_VM_READ : 0) |
           (segment->flags & 2 ? ASPEN_VM_WRITE : 0) |
           (segment->flags & 1 ? ASPEN_VM_EXEC : 0);
}

static int
map_fixed(struct loader *loader, uint64_t start, uint64_t end,
          uint64_t vm_flags, struct aspen_object *object, uint64_t offset)
{
    struct aspen_mmap_args args = {
        .address = start,
        .length_bytes = end - start,
        .vm_flags = vm_flags,
        .flags = ASPEN_MAP_FIXED,
        .object = object,
        .offset_bytes = offset,
    };
    uint64_t address;

    return start < end ? aspen_mmap(loader->mm, &args, &address) : 0;
}

/* What the file says, then zeroes: to the end of its last page, which the
 * dynamic linker counts on, and more. */
static int
map_segment(struct loader *loader, const struct program_header *segment,
            uint64_t base)
{
    static const char zeroes[PAGE_BYTES];
    uint64_t start = base + segment->address, flags = vm_flags_of(segment);
    uint64_t file_end = start + segment->file_bytes;
    uint64_t end = start + segment->memory_bytes;
    uint64_t page_end = round_up(file_end, PAGE_BYTES), done;
    uint64_t skip = start % PAGE_BYTES;
    int error = 0;

    if (segment->offset % PAGE_BYTES != skip)
        return -ENOEXEC;
    if (segment->file_bytes)
        error = map_fixed(loader, start - skip, page_end, flags, loader->object,
                          segment->offset - skip);
    else
        page_end = round_down(start, PAGE_BYTES);
    if (!error)
        error = map_fixed(loader, page_end, round_up(end, PAGE_BYTES), flags,
                          NULL, 0);
    if (!error && end > file_end && segment->file_bytes &&
        flags & ASPEN_VM_WRITE)
        error =
            aspen_write_memory(loader->mm, file_end, zeroes,
                               page_end - file_end, ASPEN_MEMORY_REMOTE, &done);
    return error;
}

static int
read_interpreter(const struct loader *loader,
                 const struct program_header *header, struct elf_image *image)
{
    if (header->file_bytes >= sizeof(image->interpreter))
        return -ENOEXEC;
    image->interpreter[header->file_bytes] = 0;
    return read_exactly(loader->object, header->offset, image->interpreter,
                        header->file_bytes);
}

/* Where it goes: fixed, or where programs go, or wherever there is room. */
static int
choose_base(struct loader *loader, bool is_interpreter, uint64_t start,
            uint64_t end, uint64_t *base)
{
    struct aspen_mmap_args args = {
        .length_bytes = end - start,
        .vm_flags = ASPEN_VM_READ,
    };
    int error;

    *base = 0;
    if (loader->header.type == ELF_EXEC)
        return 0;
    *base = PROGRAM_BASE + random_pages(1 << 16) - start;
    if (!is_interpreter)
        return 0;
    error = aspen_mmap(loader->mm, &args, base);
    if (error)
        return error;
    error = aspen_munmap(loader->mm, *base, round_up(end - start, PAGE_BYTES));
    *base -= start;
    return error;
}

static int
map_segments(struct loader *loader, struct elf_image *image)
{
    int error = 0;

    for (unsigned i = 0; i < loader->header.header_count && !error; i++) {
        const struct program_header *segment = &loader->headers[i];
        if (segment->type == PT_INTERP)
            error = read_interpreter(loader, segment, image);
        if (segment->type != PT_LOAD)
            continue;
        error = map_segment(loader, segment, image->base);
        uint64_t at = loader->header.headers - segment->offset;
        if (at < segment->file_bytes)
            image->headers = image->base + segment->address + at;
    }
    return error;
}

int
elf_load(struct aspen_mm *mm, struct aspen_object *object, bool is_interpreter,
         struct elf_image *image)
{
    struct loader loader = {.mm = mm, .object = object};
    uint64_t start = 0, end = 0;
    int error = read_headers(&loader);

    *image = (struct elf_image){0};
    if (!error)
        error = measure(&loader, &start, &end);
    if (!error)
        error = choose_base(&loader, is_interpreter, start, end, &image->base);
    if (!error)
        error = map_segments(&loader, image);
    image->entry = image->base + loader.header.entry;
    image->header_bytes = loader.header.header_bytes;
    image->header_count = loader.header.header_count;
    image->start = image->base + start;
    image->end = image->base + end;
    return error;
}
