/* SPDX-License-Identifier: MIT */
/*
 * stack.c - what a new program finds on its stack: arguments, environment, and
 * the auxiliary vector, from the top down.
 */
#include "proc/exec.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "mm/user.h"
#include "sched/thread.h"
#include "sys/random.h"

#define STACK_FIRST_BYTES (132u << 10)

enum {
    AT_PHDR = 3,
    AT_PHENT,
    AT_PHNUM,
    AT_PAGESZ,
    AT_BASE,
    AT_FLAGS,
    AT_ENTRY,
    AT_UID = 11,
    AT_EUID,
    AT_GID,
    AT_EGID,
    AT_PLATFORM,
    AT_HWCAP,
    AT_CLKTCK,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_EXECFN = 31,
};

struct builder {
    struct aspen_mm *mm;
    uint64_t at; /* the lowest byte that is used */
    int error;
};

static uint64_t
push(struct builder *builder, const void *bytes, size_t length)
{
    uint64_t done;

    builder->at -= length;
    if (!builder->error)
        builder->error = aspen_write_memory(builder->mm, builder->at, bytes,
                                            length, ASPEN_MEMORY_REMOTE, &done);
    return builder->at;
}

/* A pointer to each string, and NULL. */
static uint64_t *
add_pointers(uint64_t *words, const struct text *text, unsigned count,
             uint64_t start)
{
    for (const char *at = text->bytes; count--; at += strlen(at) + 1)
        *words++ = start + (uint64_t)(at - text->bytes);
    *words++ = 0;
    return words;
}

static uint64_t *
add_vector(uint64_t *words, const uint64_t (*vector)[2], unsigned count)
{
    memcpy(words, vector, count * sizeof(*vector));
    return words + count * 2;
}

/* Room for the strings and their pointers; the program makes more. */
static int
map_stack(struct aspen_mm *mm, uint64_t top, const struct exec_strings *strings)
{
    uint64_t count = strings->argument_count + strings->environment_count;
    uint64_t bytes = strings->arguments.length + strings->environment.length;
    uint64_t room = STACK_FIRST_BYTES + round_up(bytes + count * 8, PAGE_BYTES);
    struct aspen_mmap_args args = {
        .address = top - room,
        .length_bytes = room,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_GROWSDOWN,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t address;

    return aspen_mmap(mm, &args, &address);
}

/* Mappings go below what the stack may become. */
int
layout_begin(struct aspen_mm *mm)
{
    struct aspen_layout_choice choice = {
        .flags = ASPEN_LAYOUT_CHOICE_RANDOM_STACK,
        .random_bytes = random_pages(1 << 16),
    };
    struct aspen_layout layout;

    aspen_layout_read(mm, &layout);
    int error = aspen_layout_choose(mm, &choice, &layout);
    return error ? error : aspen_layout_set(mm, &layout);
}

static int
set_layout(struct aspen_mm *mm, const struct elf_image *program, uint64_t top,
           uint64_t arguments, uint64_t environment, uint64_t end)
{
    struct aspen_layout layout;

    aspen_layout_read(mm, &layout);
    layout.code_start = program->start;
    layout.code_end = layout.data_start = layout.data_end = program->end;
    layout.brk_start = layout.brk =
        round_up(program->end, PAGE_BYTES) + random_pages(1 << 12);
    layout.stack_start = top;
    layout.arg_start = arguments;
    layout.arg_end = layout.env_start = environment;
    layout.env_end = end;
    return aspen_layout_set(mm, &layout);
}

static void
push_words(struct builder *builder, const struct exec_strings *strings,
           const uint64_t (*vector)[2], unsigned vector_count,
           uint64_t arguments, uint64_t environment)
{
    size_t count = 1 + strings->argument_count + 1 +
                   strings->environment_count + 1 + 2 * vector_count;
    uint64_t *words = memory_alloc(count * 8), *at = words;

    if (!words) {
        builder->error = -ENOMEM;
        return;
    }
    *at++ = strings->argument_count;
    at = add_pointers(at, &strings->arguments, strings->argument_count,
                      arguments);
    at = add_pointers(at, &strings->environment, strings->environment_count,
                      environment);
    at = add_vector(at, vector, vector_count);
    builder->at -= builder->at % 16 + (count % 2 ? 8 : 0);
    push(builder, words, count * 8);
    memory_free(words, count * 8);
}

int
stack_build(struct aspen_mm *mm, const struct exec_strings *strings,
            const char *path, const struct elf_image *program,
            const struct elf_image *interpreter, uint64_t *rsp)
{
    uint64_t top = USER_LIMIT - random_pages(1 << 14);
    struct builder builder = {.mm = mm, .at = top - 8};
    uint64_t seed[2];

    builder.error = map_stack(mm, top, strings);
    uint64_t name = push(&builder, path, strlen(path) + 1), end = name;
    uint64_t environment =
        push(&builder, strings->environment.bytes, strings->environment.length);
    uint64_t arguments =
        push(&builder, strings->arguments.bytes, strings->arguments.length);
    uint64_t platform = push(&builder, "x86_64", 7);
    random_fill(seed, sizeof(seed));
    uint64_t random = push(&builder, seed, sizeof(seed));
    const uint64_t vector[][2] = {
        {AT_PHDR, program->headers},
        {AT_PHENT, program->header_bytes},
        {AT_PHNUM, program->header_count},
        {AT_PAGESZ, PAGE_BYTES},
        {AT_BASE, interpreter->base},
        {AT_FLAGS, 0},
        {AT_ENTRY, program->entry},
        {AT_UID, 0},
        {AT_EUID, 0},
        {AT_GID, 0},
        {AT_EGID, 0},
        {AT_PLATFORM, platform},
        {AT_HWCAP, 0x178bfbfd},
        {AT_CLKTCK, 100},
        {AT_SECURE, 0},
        {AT_RANDOM, random},
        {AT_EXECFN, name},
        {0, 0},
    };
    push_words(&builder, strings, vector, LENGTH(vector), arguments,
               environment);
    *rsp = builder.at;
    if (builder.error)
        return builder.error;
    return set_layout(mm, program, top, arguments, environment, end);
}
