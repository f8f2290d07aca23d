/* SPDX-License-Identifier: MIT */
/*
 * call.c - from a system call's number to its function.
 */
#include "sys/call.h"

#include "sys/half.h"
#include "mm/memory.h"

#define CALLS     512u
#define SYS_CLOSE 3u /* comes after the write to /proc/aspen/fail */

static const struct call *calls[CALLS];
static bool missed[CALLS];

static void
add(const struct call *table)
{
    for (; table->function; table++)
        calls[table->number & 0xffff] = table;
}

void
calls_init(void)
{
    half_init();
    add(file_calls);
    add(path_calls);
    add(stat_calls);
    add(memory_calls);
    add(process_calls);
    add(signal_calls);
    add(time_calls);
    add(poll_calls);
    add(system_calls);
    add(swap_calls);
}

static long
unknown(uint64_t number)
{
    if (number < CALLS && !missed[number]) {
        missed[number] = true;
        print("system call %lu is not there (%s)\n", number,
              current->process->name);
    }
    return -ENOSYS;
}

static long
do_call(uint64_t number, const uint64_t *a)
{
    const struct call *call = number < CALLS ? calls[number] : NULL;
    uint64_t from_here[6] = {(uint64_t)AT_FDCWD};

    if (!call)
        return unknown(number);
    unsigned arguments = call->number >> 16;
    memcpy(from_here + 1, a, arguments * sizeof(*a));
    return call->function(arguments ? from_here : a);
}

void
syscall_enter(struct frame *frame)
{
    const uint64_t arguments[] = {frame->rdi, frame->rsi, frame->rdx,
                                  frame->r10, frame->r8,  frame->r9};
    uint64_t number = frame->error;
    bool fails = current->fail_number && number != SYS_CLOSE;

    if (fails)
        fail_call_begin();
    frame->rax = (uint64_t)do_call(number, arguments);
    if (fails)
        fail_call_end();
}

long
nothing_to_do(const uint64_t *a)
{
    (void)a;
    return 0;
}

/* ---- Arguments --------------------------------------------------------- */

int
call_string(uint64_t text, char **string)
{
    *string = memory_alloc(PATH_BYTES_MAX);
    if (!*string)
        return -ENOMEM;
    long length = user_string(*string, text, PATH_BYTES_MAX);
    if (length >= 0)
        return 0;
    call_string_free(*string);
    return (int)length;
}

void
call_string_free(char *string)
{
    memory_free(string, PATH_BYTES_MAX);
}

int
call_directory(int number, const char *text, struct node **node)
{
    if (text[0] == '/' || number == AT_FDCWD) {
        *node = process_directory();
        return 0;
    }
    struct file *file = files_get(number);
    if (!file)
        return -EBADF;
    bool good = node_is(file->node, S_IFDIR) || !text[0];
    if (good)
        *node = node_get(file->node);
    file_put(file);
    return good ? 0 : -ENOTDIR;
}

int
call_path(int number, uint64_t text, unsigned flags, struct path *path)
{
    struct node *directory;
    char *string;
    int error = call_string(text, &string);

    if (error)
        return error;
    error = call_directory(number, string, &directory);
    if (!error) {
        error = path_walk(directory, string, flags, path);
        node_put(directory);
    }
    call_string_free(string);
    return error;
}

int
read_time(uint64_t from, unsigned unit, uint64_t *nanoseconds)
{
    int64_t time[2];

    if (user_read(time, from, sizeof(time)))
        return -EFAULT;
    if (time[0] < 0 || time[1] < 0 || (uint64_t)time[1] * unit >= SECOND)
        return -EINVAL;
    *nanoseconds = (uint64_t)MIN(time[0], (int64_t)1 << 33) * SECOND +
                   (uint64_t)time[1] * unit;
    return 0;
}

int
write_time(uint64_t to, unsigned unit, uint64_t nanoseconds)
{
    uint64_t time[2] = {nanoseconds / SECOND, nanoseconds % SECOND / unit};

    return user_write(to, time, sizeof(time));
}
