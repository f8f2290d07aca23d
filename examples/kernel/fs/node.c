/* SPDX-License-Identifier: MIT */
/*
 * node.c - nodes, and the entries of directories.
 *
 * T1  `lock` covers entries, parents and links. An entry, a file and a walk
 *     hold a reference to their node each, a directory one to its parent, which
 *     may have no name any more; the last one frees it.
 */
#include "fs/node.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "sched/thread.h"

#define BUCKETS 4096u

static struct mutex lock;
static struct list buckets[BUCKETS];
static uint64_t next_number = 1;

struct node *root_node;

void
tree_lock(void)
{
    mutex_lock(&lock);
}

void
tree_unlock(void)
{
    mutex_unlock(&lock);
}

struct node *
node_create(uint32_t mode, const char *name)
{
    struct node *node = memory_alloc(sizeof(*node));

    if (!node)
        return NULL;
    node->name = string_copy(name);
    if (!node->name) {
        memory_free(node, sizeof(*node));
        return NULL;
    }
    node->references = 1;
    node->mode = mode;
    node->number = __atomic_fetch_add(&next_number, 1, __ATOMIC_RELAXED);
    node->modified = time_unix();
    list_init(&node->entries);
    return node;
}

struct node *
node_get(struct node *node)
{
    __atomic_fetch_add(&node->references, 1, __ATOMIC_RELAXED);
    return node;
}

void
node_put(struct node *node)
{
    while (node &&
           __atomic_fetch_sub(&node->references, 1, __ATOMIC_ACQ_REL) == 1) {
        struct node *parent = node->parent;
        ASSERT(list_is_empty(&node->entries));
        if (node->object)
            aspen_object_put(node->object);
        else
            string_free(node->name);
        string_free(node->target);
        memory_free(node, sizeof(*node));
        node = parent;
    }
}

uint64_t
node_size(const struct node *node)
{
    if (node->object)
        return aspen_object_size(node->object);
    return node->target ? strlen(node->target) : 0;
}

/* ---- Entries ----------------------------------------------------------- */

static struct list *
bucket_of(const struct node *directory, const char *name)
{
    uint64_t hash = (uint64_t)(uintptr_t)directory;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x9e3779b97f4a7c15u;
    return &buckets[hash >> 52];
}

struct entry *
entry_find(struct node *directory, const char *name)
{
    struct list *bucket = bucket_of(directory, name);

    list_for_each(position, bucket)
    {
        struct entry *entry = container_of(position, struct entry, hash);
        if (entry->directory == directory && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

int
entry_add(struct node *directory, const char *name, struct node *node)
{
    size_t length = strlen(name);
    struct entry *entry = memory_alloc(sizeof(*entry) + length + 1);

    if (!entry)
        return -ENOMEM;
    memcpy(entry->name, name, length);
    entry->directory = directory;
    entry->node = node_get(node);
    entry->position = ++directory->last_position;
    list_add_tail(&directory->entries, &entry->sibling);
    list_add_tail(bucket_of(directory, name), &entry->hash);
    node->links++;
    if (node_is(node, S_IFDIR)) {
        node_put(node->parent);
        node->parent = node_get(directory);
    }
    directory->modified = time_unix();
    return 0;
}

void
entry_remove(struct entry *entry)
{
    entry->node->links--;
    entry->directory->modified = time_unix();
    list_remove(&entry->sibling);
    list_remove(&entry->hash);
    node_put(entry->node);
    memory_free(entry, sizeof(*entry) + strlen(entry->name) + 1);
}

void
tree_init(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&buckets[i]);
    root_node = node_create(S_IFDIR | 0755, "/");
    ASSERT(root_node != NULL);
    root_node->parent = root_node;
    root_node->links = 1;
}

/* ---- Making things ----------------------------------------------------- */

static void
release_name(void *name)
{
    string_free(name);
}

/* A mapping keeps an object, and shows its name, when the node is gone. */
static const struct aspen_pager_ops named_ops = {.release = release_name};

static int
node_fill(struct node *node, uint64_t device, const char *target)
{
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_SHMEM,
        .device = 1,
        .inode = node->number,
        .name = node->name,
        .pager = &named_ops,
        .context = node->name,
    };

    node->device = device;
    if (target) {
        node->target = string_copy(target);
        return node->target ? 0 : -ENOMEM;
    }
    if (!node_is(node, S_IFREG))
        return 0;
    return aspen_object_create(machine, &args, &node->object);
}

/* What every directory has without an entry. */
static bool
is_itself(const char *name)
{
    return !name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int
make_locked(struct node *directory, const char *name, struct node *node)
{
    if (directory->ops)
        return -EPERM;
    if (directory->links == 0)
        return -ENOENT; /* it has been removed */
    if (is_itself(name) || entry_find(directory, name))
        return -EEXIST;
    return entry_add(directory, name, node);
}

int
tree_make_special(struct node *directory, const char *name, uint32_t mode,
                  uint64_t device, const char *target, struct node **out)
{
    char path[PATH_BYTES_MAX];
    int error = path_of(directory, path, sizeof(path));
    size_t length = strlen(path);

    if (error)
        return error;
    format(path + length, sizeof(path) - length, "%s%s", length > 1 ? "/" : "",
           name);
    struct node *node = node_create(mode, path);
    if (!node)
        return -ENOMEM;
    error = node_fill(node, device, target);
    tree_lock();
    if (!error)
        error = make_locked(directory, name, node);
    tree_unlock();
    if (!error && out)
        *out = node;
    else
        node_put(node);
    return error;
}

int
tree_make(struct node *directory, const char *name, uint32_t mode,
          struct node **out)
{
    return tree_make_special(directory, name, mode, 0, NULL, out);
}

int
tree_link(struct node *directory, const char *name, struct node *node)
{
    if (node_is(node, S_IFDIR))
        return -EPERM;
    tree_lock();
    int error = make_locked(directory, name, node);
    tree_unlock();
    return error;
}

static int
may_remove(const struct entry *entry, bool is_directory)
{
    if (!entry)
        return -ENOENT;
    if (is_directory && !node_is(entry->node, S_IFDIR))
        return -ENOTDIR;
    if (!is_directory && node_is(entry->node, S_IFDIR))
        return -EISDIR;
    if (is_directory && entry->node->ops)
        return -EBUSY; /* /proc, which has no entries */
    return list_is_empty(&entry->node->entries) ? 0 : -ENOTEMPTY;
}

int
tree_unlink(struct node *directory, const char *name, bool is_directory)
{
    tree_lock();
    struct entry *entry = entry_find(directory, name);
    int error = may_remove(entry, is_directory);
    if (!error)
        entry_remove(entry);
    tree_unlock();
    return error;
}

/* Is `directory` the node, or below it? */
static bool
is_below(const struct node *directory, const struct node *node)
{
    for (; directory != node; directory = directory->parent)
        if (directory == root_node)
            return false;
    return true;
}

static int
rename_locked(struct node *from, const char *from_name, struct node *to,
              const char *to_name, bool replace)
{
    struct entry *entry = entry_find(from, from_name);
    struct entry *there = entry_find(to, to_name);
    int error;

    if (is_itself(from_name) || is_itself(to_name))
        return -EBUSY;
    if (!entry || to->links == 0)
        return -ENOENT;
    if (node_is(entry->node, S_IFDIR) && entry->node->ops)
        return -EBUSY; /* /proc */
    if (there && !replace)
        return -EEXIST;
    if (there && there->node == entry->node)
        return 0;
    if (node_is(entry->node, S_IFDIR) && is_below(to, entry->node))
        return -EINVAL;
    error = there ? may_remove(there, node_is(entry->node, S_IFDIR)) : 0;
    if (!error)
        error = entry_add(to, to_name, entry->node);
    if (error)
        return error;
    if (there)
        entry_remove(there);
    entry_remove(entry);
    return 0;
}

int
tree_rename(struct node *from, const char *from_name, struct node *to,
            const char *to_name, bool replace)
{
    if (to->ops || from->ops)
        return -EPERM;
    tree_lock();
    int error = rename_locked(from, from_name, to, to_name, replace);
    tree_unlock();
    return error;
}
