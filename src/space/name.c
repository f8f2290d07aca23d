/* SPDX-License-Identifier: MIT */
/*
 * space/name.c - names of anonymous memory. Drawn in internal.h.
 *
 * I1  A name never changes: another name is another object. So whoever holds a
 *     reference reads it without a lock.
 * I2  Names are compared by what they say: making one does not look for an
 *     equal one.
 *
 * Called by import and prctl's part in calls; VMAs hold the references. The
 * first test to break is tests/unit/calls/test_name.c.
 */
#include "space/name.h"

static bool
is_allowed(char c)
{
    return c > 0x1f && c < 0x7f && c != '\\' && c != '`' && c != '$' &&
           c != '[' && c != ']';
}

/* Its length; ASPEN_NAME_BYTES when it is none. */
static uint32_t
length_of(const char *text)
{
    uint32_t length = 0;

    while (length < ASPEN_NAME_BYTES && text[length]) {
        if (!is_allowed(text[length]))
            return ASPEN_NAME_BYTES;
        length++;
    }
    return length;
}

int
aspen_name_create(struct aspen *aspen, const char *text,
                  struct aspen_name **out)
{
    uint32_t length = length_of(text);

    if (length == ASPEN_NAME_BYTES)
        return -ASPEN_EINVAL;
    struct aspen_name *name = aspen_cache_alloc(&aspen->name_cache);
    if (!name)
        return -ASPEN_ENOMEM;
    memset(name, 0, sizeof(*name));
    name->references = 1;
    memcpy(name->text, text, length);
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_push_back(&aspen->names, &name->link);
    aspen_spin_unlock(&aspen->registry_lock);
    *out = name;
    return 0;
}

void
aspen_name_get(struct aspen_name *name)
{
    if (!name)
        return;
    uint32_t before = aspen_fetch_add_relaxed(&name->references, 1);
    ASPEN_ASSERT(before > 0 && before < UINT32_MAX);
}

void
aspen_name_put(struct aspen *aspen, struct aspen_name *name)
{
    if (!name || aspen_fetch_sub(&name->references, 1) != 1)
        return;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&name->link);
    aspen_spin_unlock(&aspen->registry_lock);
    aspen_cache_free(&aspen->name_cache, name);
}

bool
aspen_names_equal(const struct aspen_name *a, const struct aspen_name *b)
{
    /* The rest of a name is zeroes. */
    return a == b || (a && b && memcmp(a->text, b->text, sizeof(a->text)) == 0);
}
