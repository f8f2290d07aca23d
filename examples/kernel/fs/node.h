/* SPDX-License-Identifier: MIT */
/*
 * node.h - the tree of files: it is all in memory, and the contents of files
 * are Aspen objects. What came with the archive is read from the disk when
 * somebody looks at it.
 */
#ifndef KERNEL_FS_NODE_H
#define KERNEL_FS_NODE_H

#include "lib/lib.h"
#include "sched/thread.h"

#define NAME_BYTES_MAX 255u
#define PATH_BYTES_MAX 4096u

/* Linux's modes. */
#define S_IFMT  0170000u
#define S_IFIFO 0010000u
#define S_IFCHR 0020000u
#define S_IFDIR 0040000u
#define S_IFBLK 0060000u
#define S_IFREG 0100000u
#define S_IFLNK 0120000u

struct aspen_object;
struct file;
struct node;
struct pipe;

struct node_ops;

struct made_up {
    const char *name; /* NULL: the end of a table */
    uint32_t mode;
    const struct node_ops *ops;
};

/* A directory whose contents are made up as one looks: /proc. */
struct node_ops {
    const struct made_up *kinds; /* what is always there */
    /* A node with a reference of the caller's; NULL: nothing of that name. */
    struct node *(*lookup)(struct node *directory, const char *name);
    /* The first entry that is not before *place, which becomes its own: what
     * goes meanwhile does not move the others. False: there is none. */
    bool (*list)(struct node *directory, uint64_t *place, char *name);
    /* The text of a file, or of a symbolic link. */
    int (*show)(struct node *node, struct text *text);
    /* Of a link that leads to what no path names. A reference, or NULL. */
    struct node *(*follow)(struct node *node);
    long (*write)(struct node *node, const char *text);
};

struct node {
    uint32_t references; /* files, entries, whoever walks a path */
    uint32_t mode;
    uint32_t links;
    uint32_t uid, gid;
    uint64_t number;
    uint64_t device; /* of a device node: major << 32 | minor */
    uint64_t modified;
    struct aspen_object *object; /* S_IFREG */
    struct mutex lock;           /* its length, and where the next write goes */
    char *target;                /* S_IFLNK */
    struct pipe *pipe;           /* S_IFIFO, while it is open */
    const struct node_ops *ops;  /* made up */
    uint64_t argument;           /* for them */
    struct node *parent;         /* S_IFDIR; a reference */
    struct list entries;         /* S_IFDIR: struct entry */
    uint64_t last_position;      /* of an entry */
    char *name; /* as it was made, for maps; the object's, if there is one */
};

struct entry {
    struct list sibling;
    struct list hash;
    struct node *directory;
    struct node *node;
    uint64_t position; /* in its directory, for as long as it is there */
    char name[];
};

extern struct node *root_node;

void tree_init(void);

/* One reference, the caller's; NULL: no memory. */
struct node *node_create(uint32_t mode, const char *name);
struct node *node_get(struct node *node);
void node_put(struct node *node);
uint64_t node_size(const struct node *node);

static inline bool
node_is(const struct node *node, uint32_t type)
{
    return (node->mode & S_IFMT) == type;
}

/* ---- With tree_lock held ----------------------------------------------- */

void tree_lock(void);
void tree_unlock(void);

struct entry *entry_find(struct node *directory, const char *name);
/* The entry takes a reference of its own. */
int entry_add(struct node *directory, const char *name, struct node *node);
void entry_remove(struct entry *entry);

/* ---- Paths ------------------------------------------------------------- */

#define WALK_NOFOLLOW 1u /* of the last name, if it is a symbolic link */
#define WALK_PARENT   2u /* the directory that the last name is in */
#define WALK_MAKE     4u /* with PARENT: of where a last symbolic link leads */

struct path {
    struct node *node;             /* a reference of the caller's */
    char name[NAME_BYTES_MAX + 1]; /* with PARENT: the last name */
    bool slash;                    /* and a slash came after it */
};

/* From `start`, or from the root. 0, -ENOENT, -ENOTDIR, -ELOOP ... */
int path_walk(struct node *start, const char *text, unsigned flags,
              struct path *path);
/* The whole path of a directory. */
int path_of(struct node *directory, char *text, size_t bytes);

/* ---- Making things ----------------------------------------------------- */

/* Nobody finds it before it is whole. *node, unless NULL: a reference. */
int tree_make(struct node *directory, const char *name, uint32_t mode,
              struct node **node);
/* With a device's number (S_IFCHR, S_IFBLK), or what a link leads to. */
int tree_make_special(struct node *directory, const char *name, uint32_t mode,
                      uint64_t device, const char *target, struct node **node);
int tree_link(struct node *directory, const char *name, struct node *node);
int tree_unlink(struct node *directory, const char *name, bool is_directory);
int tree_rename(struct node *from, const char *from_name, struct node *to,
                const char *to_name, bool replace);

/* Every node of an archive on the disk (fs/archive.c). */
int archive_read(void);

/* /proc and /dev. */
void proc_init(void);
/* Around a call that /proc/aspen/fail is for. */
void fail_call_begin(void);
void fail_call_end(void);
void devices_init(void);

#endif
