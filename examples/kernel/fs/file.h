/* SPDX-License-Identifier: MIT */
/*
 * file.h - open files, and a process's table of them.
 */
#ifndef KERNEL_FS_FILE_H
#define KERNEL_FS_FILE_H

#include "fs/node.h"
#include "sched/thread.h"

#define FILES_MAX 256u

/* Linux's numbers. */
#define O_ACCMODE   3u
#define O_WRONLY    1u
#define O_RDWR      2u
#define O_CREAT     0100u
#define O_EXCL      0200u
#define O_TRUNC     01000u
#define O_APPEND    02000u
#define O_NONBLOCK  04000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW  0400000u
#define O_CLOEXEC   02000000u
#define O_PATH      010000000u
#define O_TMPFILE   020000000u

#define POLLIN   1u
#define POLLOUT  4u
#define POLLERR  8u
#define POLLHUP  16u
#define POLLNVAL 32u

struct file;

/* Addresses are the program's. `offset` is where to begin, and is moved on. */
struct file_ops {
    long (*read)(struct file *file, uint64_t to, size_t bytes,
                 uint64_t *offset);
    long (*write)(struct file *file, uint64_t from, size_t bytes,
                  uint64_t *offset);
    unsigned (*poll)(struct file *file);
    long (*ioctl)(struct file *file, unsigned request, uint64_t argument);
    void (*close)(struct file *file);
};

struct file {
    uint32_t references;
    unsigned flags; /* O_* */
    const struct file_ops *ops;
    struct node *node; /* always: of a pipe without a name, too */
    struct pipe *pipe;
    struct mutex lock; /* the offset */
    uint64_t offset;
    struct text text; /* of a file that was made up when it was opened */
};

struct file_table {
    struct aspen_port_spinlock lock;
    struct file *files[FILES_MAX];
    bool close_on_exec[FILES_MAX];
};

/* One reference, the caller's; NULL: no memory. */
struct file *file_create(const struct file_ops *ops, unsigned flags);
struct file *file_get(struct file *file);
void file_put(struct file *file);

/* Open a node; the file takes a reference of its own. */
int file_open(struct node *node, unsigned flags, struct file **file);

bool file_reads(const struct file *file);
bool file_writes(const struct file *file);

/* Whoever polls looks again. */
void poll_wake(void);
extern uint64_t poll_events; /* how often that was said */

/* ---- The current process's table --------------------------------------- */

/* With a reference; NULL: no such number. */
struct file *files_get(int number);
/* The lowest free number from `lowest` on; takes the reference, or -EMFILE. */
int files_add(struct file *file, int lowest, bool close_on_exec);
/* In place of what is there. */
int files_set(struct file *file, int number, bool close_on_exec);
int files_close(int number);

struct file_table *files_create(void);
struct file_table *files_copy(struct file_table *from);
void files_close_on_exec(struct file_table *table);
void files_free(struct file_table *table);

/* ---- Kinds ------------------------------------------------------------- */

extern const struct file_ops regular_ops, directory_ops, text_ops, block_ops;

/* The length of a file's contents; 0 or a negative errno. */
int regular_resize(struct node *node, uint64_t bytes);

int pipe_create(struct file **reader, struct file **writer);
int fifo_open(struct node *node, unsigned flags, struct file **file);

/* NULL: there is no such device. */
const struct file_ops *device_ops(uint64_t device);
/* The number of a disk, or DISKS_MAX: it is none; and its size. */
unsigned device_disk(uint64_t device);
uint64_t device_bytes(uint64_t device);

/* The bytes of a directory, as getdents64 has them. */
long directory_list(struct file *file, uint64_t to, size_t bytes);

#endif
