/* SPDX-License-Identifier: MIT */
/*
 * path.c - from a path to a node.
 */
#include "fs/node.h"

#include "mm/memory.h"

#define LINKS_MAX 40u

struct walk {
    struct node *at; /* a reference */
    char *rest;      /* a page, so that links can be put before what follows */
    unsigned links;
    unsigned flags;
};

/* The next name of the rest, and a pointer behind it and its slashes. */
static int
next_name(const char **rest, char *name)
{
    size_t length = 0;

    while (**rest == '/')
        (*rest)++;
    while ((*rest)[length] && (*rest)[length] != '/')
        length++;
    if (length > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *rest, length);
    name[length] = 0;
    *rest += length;
    return 0;
}

static struct node *
child_of(struct node *directory, const char *name)
{
    struct node *child = NULL;

    if (strcmp(name, ".") == 0)
        return node_get(directory);
    bool up = strcmp(name, "..") == 0;
    if (directory->ops && !up)
        return directory->ops->lookup(directory, name);
    tree_lock();
    struct entry *entry = up ? NULL : entry_find(directory, name);
    if (up || entry)
        child = node_get(up ? directory->parent : entry->node);
    tree_unlock();
    return child;
}

static int
read_link(struct node *link, char *text)
{
    struct text shown = {0};
    int error = 0;

    if (link->target) {
        format(text, PATH_BYTES_MAX, "%s", link->target);
        return 0;
    }
    error = link->ops->show(link, &shown);
    text[0] = 0;
    if (!error && !shown.failed && shown.length < PATH_BYTES_MAX) {
        memcpy(text, shown.bytes, shown.length);
        text[shown.length] = 0;
    }
    memory_free(shown.bytes, shown.room);
    return error;
}

/* The link's text, then what was to follow it. */
static int
follow(struct walk *walk, struct node *link, const char *rest)
{
    char *text = memory_alloc(PATH_BYTES_MAX);

    if (!text)
        return -ENOMEM;
    int error = ++walk->links > LINKS_MAX ? -ELOOP : read_link(link, text);
    size_t length = strlen(text);
    if (!error && length + strlen(rest) + 2 > PATH_BYTES_MAX)
        error = -ENAMETOOLONG;
    if (!error) {
        format(text + length, PATH_BYTES_MAX - length, "%s", rest);
        if (text[0] == '/') {
            node_put(walk->at);
            walk->at = node_get(root_node);
        }
        memcpy(walk->rest, text, PATH_BYTES_MAX);
    }
    memory_free(text, PATH_BYTES_MAX);
    return error;
}

static bool
is_last(const char *rest)
{
    while (*rest == '/')
        rest++;
    return !*rest;
}

/* One name. 1: it was the last. */
static int
step(struct walk *walk, struct path *path)
{
    const char *rest = walk->rest;
    int error = next_name(&rest, path->name);

    if (error)
        return error;
    if (!path->name[0])
        return 1;
    if (!node_is(walk->at, S_IFDIR))
        return -ENOTDIR;
    path->slash = *rest == '/';
    bool parent = is_last(rest) && walk->flags & WALK_PARENT;
    if (parent && !(walk->flags & WALK_MAKE))
        return 1;
    struct node *child = child_of(walk->at, path->name);
    if (parent && !(child && node_is(child, S_IFLNK))) {
        node_put(child);
        return 1;
    }
    if (!child)
        return -ENOENT;
    bool follows = node_is(child, S_IFLNK) && !(is_last(rest) && !path->slash &&
                                                walk->flags & WALK_NOFOLLOW);
    if (follows && child->ops && child->ops->follow) {
        struct node *link = child;
        child = link->ops->follow(link);
        node_put(link);
        if (!child)
            return -ENOENT;
    } else if (follows) {
        error = follow(walk, child, rest);
        node_put(child);
        return error;
    }
    node_put(walk->at);
    walk->at = child;
    memmove(walk->rest, rest, strlen(rest) + 1);
    return 0;
}

int
path_walk(struct node *start, const char *text, unsigned flags,
          struct path *path)
{
    struct walk walk = {.flags = flags};
    int done = 0;

    if (!text[0])
        return -ENOENT;
    if (strlen(text) >= PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    walk.rest = memory_alloc(PATH_BYTES_MAX);
    if (!walk.rest)
        return -ENOMEM;
    memcpy(walk.rest, text, strlen(text) + 1);
    walk.at = node_get(text[0] == '/' ? root_node : start);
    path->slash = false;
    while (!done)
        done = step(&walk, path);
    memory_free(walk.rest, PATH_BYTES_MAX);
    if (done == 1 && flags & WALK_PARENT && !node_is(walk.at, S_IFDIR))
        done = -ENOTDIR;
    if (done == 1 && path->slash && !(flags & WALK_PARENT) &&
        !node_is(walk.at, S_IFDIR))
        done = -ENOTDIR;
    if (done < 0) {
        node_put(walk.at);
        return done;
    }
    path->node = walk.at;
    return 0;
}

static const char *
name_in_parent(const struct node *directory)
{
    list_for_each(position, &directory->parent->entries)
    {
        struct entry *entry = container_of(position, struct entry, sibling);
        if (entry->node == directory)
            return entry->name;
    }
    return NULL;
}

/* From the end to the beginning. */
int
path_of(struct node *directory, char *text, size_t bytes)
{
    size_t at = bytes - 1;
    int error = 0;

    if (directory->ops) {
        format(text, bytes, "%s", directory->name);
        return 0;
    }
    text[at] = 0;
    tree_lock();
    for (; directory != root_node && !error; directory = directory->parent) {
        const char *name = name_in_parent(directory);
        size_t length = name ? strlen(name) : 0;
        if (!name || length + 1 > at) {
            error = name ? -ENAMETOOLONG : -ENOENT;
            break;
        }
        at -= length + 1;
        text[at] = '/';
        memcpy(text + at + 1, name, length);
    }
    tree_unlock();
    if (error)
        return error;
    if (!text[at])
        text[--at] = '/';
    memmove(text, text + at, bytes - at);
    return 0;
}
