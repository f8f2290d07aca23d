/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_name.c - names of anonymous memory: the list of them, and
 * who has each.
 */
#include "inspect/validate.h"

static struct aspen_name *
name_at(const struct aspen *aspen, const struct aspen_list *link)
{
    return link == &aspen->names
               ? NULL
               : aspen_container_of(link, struct aspen_name, link);
}

static struct aspen_name *
first_name(const struct aspen *aspen)
{
    return name_at(aspen, aspen->names.next);
}

static struct aspen_name *
next_name(const struct aspen *aspen, const struct aspen_name *name)
{
    return name_at(aspen, name->link.next);
}

bool
aspen_validate_names_begin(struct aspen_validator *v)
{
    bool whole = aspen_validate_link(&v->aspen->names);

    for (struct aspen_name *name = whole ? first_name(v->aspen) : NULL; name;
         name = next_name(v->aspen, name)) {
        whole = aspen_validate_link(&name->link);
        if (!whole)
            break;
        name->met = 0;
        v->names++;
    }
    return ASPEN_EXPECT(v, whole, NAME_LIST,
                        "the list of names is broken after %u of them",
                        v->names);
}

bool
aspen_validate_name(struct aspen_validator *v, const struct aspen_vma *vma)
{
    struct aspen_name *name = vma->name;

    if (!name)
        return true;
    if (v->entries) /* a whole machine */
        name->met++;
    return ASPEN_EXPECT(v, !vma->object || vma->object->anonymous, VMA_NAME,
                        ASPEN_VMA_FORMAT ": a name, but not anonymous memory",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v, name->references > 0, NAME_REFERENCES,
                        ASPEN_VMA_FORMAT ": its name has no references",
                        ASPEN_VMA_VALUES(vma));
}

void
aspen_validate_names_end(struct aspen_validator *v)
{
    for (const struct aspen_name *name = first_name(v->aspen); name;
         name = next_name(v->aspen, name))
        if (!ASPEN_EXPECT(v, name->met == name->references, NAME_REFERENCES,
                          "%u VMAs have the name \"%s\", but it counts %u",
                          name->met, ASPEN_TEXT_STRING(name->text),
                          name->references))
            return;
}
