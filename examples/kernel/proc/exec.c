/* SPDX-License-Identifier: MIT */
/*
 * exec.c - another program in place of the current one.
 *
 * The new space is made and filled while the old one is whole. Only when
 * nothing can fail any more are other threads ended and the spaces exchanged:
 * an exec that fails has changed nothing.
 */
#include "proc/exec.h"

#include "fs/file.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "mm/user.h"
#include "proc/process.h"

#define SCRIPTS_MAX 4u
#define PIECE_BYTES 1024u

/* ---- Strings ----------------------------------------------------------- */

void
exec_strings_free(struct exec_strings *strings)
{
    memory_free(strings->arguments.bytes, strings->arguments.room);
    memory_free(strings->environment.bytes, strings->environment.room);
}

static int
add(struct text *text, unsigned *count, const char *string)
{
    size_t length = strlen(string) + 1;

    if (text->length + length > EXEC_BYTES_MAX)
        return -E2BIG;
    text_add(text, string, length);
    (*count)++;
    return text->failed ? -ENOMEM : 0;
}

int
exec_strings_add(struct exec_strings *strings, const char *const arguments[],
                 const char *const environment[])
{
    int error = 0;

    for (; *arguments && !error; arguments++)
        error = add(&strings->arguments, &strings->argument_count, *arguments);
    for (; environment && *environment && !error; environment++)
        error = add(&strings->environment, &strings->environment_count,
                    *environment);
    return error;
}

/* Piece by piece: a string may be long. */
static int
read_string(struct text *text, uint64_t pointer)
{
    char piece[PIECE_BYTES];
    long length;

    do {
        length = user_string(piece, pointer, sizeof(piece));
        if (length < 0 && length != -ENAMETOOLONG)
            return (int)length;
        size_t part = length < 0 ? sizeof(piece) : (size_t)length + 1;
        if (text->length + part > EXEC_BYTES_MAX)
            return -E2BIG;
        text_add(text, piece, part);
        pointer += part;
    } while (length < 0);
    return text->failed ? -ENOMEM : 0;
}

static int
read_list(struct text *text, unsigned *count, uint64_t list)
{
    int error = 0;

    for (; list && !error; list += 8) {
        uint64_t pointer;
        error = user_read(&pointer, list, sizeof(pointer));
        if (error || !pointer)
            break;
        error = read_string(text, pointer);
        (*count)++;
    }
    return error;
}

int
exec_strings_read(struct exec_strings *strings, uint64_t arguments,
                  uint64_t environment)
{
    int error =
        read_list(&strings->arguments, &strings->argument_count, arguments);

    if (!error)
        error = read_list(&strings->environment, &strings->environment_count,
                          environment);
    return error;
}

int
exec_strings_prepend(struct exec_strings *strings,
                     const char *const arguments[])
{
    struct exec_strings all = {0};
    int error = exec_strings_add(&all, arguments, NULL);
    const char *rest = strings->arguments.bytes;
    unsigned count = strings->argument_count;

    for (unsigned i = 0; i < count && !error; i++, rest += strlen(rest) + 1)
        if (i)
            error = add(&all.arguments, &all.argument_count, rest);
    if (error) {
        exec_strings_free(&all);
        return error;
    }
    memory_free(strings->arguments.bytes, strings->arguments.room);
    strings->arguments = all.arguments;
    strings->argument_count = all.argument_count;
    return 0;
}

/* ---- Finding the program ----------------------------------------------- */

static int
open_program(struct node *directory, const char *name, struct path *path)
{
    int error = path_walk(directory, name, 0, path);

    if (error)
        return error;
    if (!node_is(path->node, S_IFREG) || !path->node->object ||
        !(path->node->mode & 0111)) {
        node_put(path->node);
        path->node = NULL;
        return -EACCES;
    }
    return 0;
}

/* "#!interpreter argument": these two, and the script's own name. */
static int
follow_script(struct path *path, char *line, const char *name,
              struct exec_strings *strings)
{
    char *interpreter = line + 2, *argument, *end = interpreter;
    const char *arguments[4] = {NULL};
    unsigned count = 0;

    while (*end && *end != '\n')
        end++;
    *end = 0;
    while (*interpreter == ' ' || *interpreter == '\t')
        interpreter++;
    argument = interpreter;
    while (*argument && *argument != ' ' && *argument != '\t')
        argument++;
    while (*argument == ' ' || *argument == '\t')
        *argument++ = 0;
    arguments[count++] = interpreter;
    if (*argument)
        arguments[count++] = argument;
    arguments[count++] = name;
    int error = exec_strings_prepend(strings, arguments);
    node_put(path->node);
    path->node = NULL;
    return error ? error : open_program(root_node, interpreter, path);
}

/* The program itself, if need be by way of scripts. */
static int
find_program(struct node *directory, const char *name, struct path *path,
             struct exec_strings *strings)
{
    char line[257], script[257];
    int error = open_program(directory, name, path);

    for (unsigned i = 0; !error; i++) {
        uint64_t done = 0;
        error = aspen_object_read(path->node->object, 0, line, 256, &done);
        line[done] = 0;
        if (error || strncmp(line, "#!", 2) != 0)
            break;
        if (i == SCRIPTS_MAX) {
            error = -ELOOP;
            break;
        }
        error = follow_script(path, line, name, strings);
        format(script, sizeof(script), "%s", line + 2);
        name = script;
    }
    if (error && path->node)
        node_put(path->node);
    return error;
}

/* ---- The exchange ------------------------------------------------------ */

struct image {
    struct aspen_mm *mm;
    struct elf_image program, interpreter;
    uint64_t rsp;
};

static int
load_interpreter(struct image *image)
{
    struct path path;
    int error = open_program(root_node, image->program.interpreter, &path);

    if (error)
        return error;
    error = elf_load(image->mm, path.node->object, true, &image->interpreter);
    node_put(path.node);
    return error;
}

static int
build_image(struct image *image, struct node *program, const char *name,
            const struct exec_strings *strings)
{
    int error = layout_begin(image->mm);

    if (!error)
        error = elf_load(image->mm, program->object, false, &image->program);
    if (!error && image->program.interpreter[0])
        error = load_interpreter(image);
    if (!error)
        error = stack_build(image->mm, strings, name, &image->program,
                            &image->interpreter, &image->rsp);
    return error;
}

static void
reset_signals(struct process *process)
{
    for (unsigned i = 0; i < SIGNALS; i++) {
        struct signal_action *action = &process->actions[i];
        uint64_t handler = action->handler == SIG_IGN ? SIG_IGN : SIG_DFL;
        *action = (struct signal_action){.handler = handler};
    }
}

static void
set_name(struct process *process, const char *path)
{
    const char *name = path;

    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    format(process->name, sizeof(process->name), "%s", name);
}

/* Nothing here can fail. */
static void
become(const struct image *image, struct node *program, const char *name)
{
    struct thread *self = current;
    struct process *process = self->process;
    struct aspen_mm *before = process->mm;
    struct frame *frame = thread_frame(self);
    bool interpreted = image->program.interpreter[0];

    bool on = irq_lock(&process_lock);
    struct node *old = process->program;
    process->mm = image->mm;
    process->program = program;
    irq_unlock(&process_lock, on);
    thread_set_mm(self, image->mm);
    aspen_exec_commit(before, image->mm);
    node_put(old);
    set_name(process, name);
    reset_signals(process);
    files_close_on_exec(process->files);
    self->id = process->id;
    self->fs_base = 0;
    self->clear_tid = 0;
    self->alternate_bytes = 0;
    write_msr(MSR_FS_BASE, 0);
    __asm__ volatile("fxrstor64 %0" ::"m"(fpu_reset));
    *frame = (struct frame){
        .rip = interpreted ? image->interpreter.entry : image->program.entry,
        .cs = USER_CODE,
        .rflags = 0x202,
        .rsp = image->rsp,
        .ss = USER_DATA,
    };
    vfork_done(self);
}

int
process_exec(struct node *directory, const char *name,
             struct exec_strings *strings)
{
    struct image image = {0};
    struct path path = {0};
    int error = find_program(directory, name, &path, strings);

    if (error)
        return error;
    error = aspen_exec_prepare(current->process->mm, &image.mm);
    if (!error) {
        error = build_image(&image, path.node, name, strings);
        if (!error)
            error = process_end_others();
        if (error)
            aspen_exec_abort(image.mm);
    }
    if (error)
        node_put(path.node);
    else
        become(&image, path.node, name);
    return error;
}
