/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_rmap.c - goes from a VMA into the reverse maps, and checks
 * that they lead back.
 *
 * The VMA that is first in an anon_vma's tree checks the anon_vma as a whole:
 * so each is checked once, and no memory is needed to know which were. Its
 * counts are compared with the VMAs in its tree: every VMA that is linked to an
 * anon_vma is linked to its parent and root as well.
 */
#include "inspect/validate.h"

#include "space/vma.h"

#define DEPTH_MAX 128 /* more than a balanced tree of 2^64 nodes has */

/* ---- Nodes of an interval tree ----------------------------------------- */

static struct aspen_interval_node *
node_parent(const struct aspen_interval_node *node)
{
    return (struct aspen_interval_node *)(node->parent_and_colour &
                                          ~(uintptr_t)1);
}

/* Depth of the node below the root, or DEPTH_MAX: it is not in the tree. */
static unsigned
node_depth(const struct aspen_interval_tree *tree,
           const struct aspen_interval_node *node)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        const struct aspen_interval_node *parent = node_parent(node);
        if (!parent)
            return node == tree->root ? depth : DEPTH_MAX;
        if (parent->child[0] != node && parent->child[1] != node)
            return DEPTH_MAX;
        node = parent;
    }
    return DEPTH_MAX;
}

static bool
node_is_first(const struct aspen_interval_tree *tree,
              const struct aspen_interval_node *node)
{
    const struct aspen_interval_node *first = tree->root;
    for (unsigned i = 0; i < DEPTH_MAX && first && first->child[0]; i++)
        first = first->child[0];
    return first == node;
}

/* Both are in the tree: does `a` come before `b`? */
static bool
node_before(const struct aspen_interval_tree *tree,
            const struct aspen_interval_node *a,
            const struct aspen_interval_node *b)
{
    unsigned depth_a = node_depth(tree, a);
    unsigned depth_b = node_depth(tree, b);
    const struct aspen_interval_node *below_a = NULL; /* on the way to a */
    const struct aspen_interval_node *below_b = NULL;

    while (a != b) {
        bool up_a = depth_a >= depth_b;
        bool up_b = depth_b >= depth_a;
        if (up_a) {
            below_a = a;
            a = node_parent(a);
            depth_a--;
        }
        if (up_b) {
            below_b = b;
            b = node_parent(b);
            depth_b--;
        }
    }
    return below_b ? below_b == b->child[1] : below_a == a->child[0];
}

static bool
node_fits(const struct aspen_interval_node *node, const struct aspen_vma *vma)
{
    return node->start == vma->pgoff &&
           node->last == vma->pgoff + aspen_vma_pages(vma) - 1;
}

/* ---- An anon_vma ------------------------------------------------------- */

static struct aspen_anon_vma_link *
link_of(struct aspen_list *same_vma)
{
    return aspen_container_of(same_vma, struct aspen_anon_vma_link, same_vma);
}

/* What the counts of an anon_vma have to be. */
struct family {
    uint64_t active;
    uint64_t children;
    uint64_t others; /* of a root's family */
};

/* The VMA may be of a space that has not been looked at yet. */
static bool
count_vma(struct aspen_validator *v, const struct aspen_anon_vma *anon_vma,
          struct aspen_vma *vma, struct family *family)
{
    family->active += vma->anon_vma == anon_vma;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        if (!ASPEN_EXPECT(v, aspen_validate_link(position), ANON_VMA_CHAIN,
                          ASPEN_VMA_FORMAT ": its chain is broken",
                          ASPEN_VMA_VALUES(vma)))
            return false;
        const struct aspen_anon_vma_link *link = link_of(position);
        const struct aspen_anon_vma *other = link->anon_vma;
        if ((other->parent != anon_vma && other->root != anon_vma) ||
            !node_is_first(&other->links, &link->node))
            continue;
        family->children += other->parent == anon_vma;
        family->others += other->root == anon_vma && other != anon_vma;
    }
    return true;
}

static bool
check_counts(struct aspen_validator *v, const struct aspen_anon_vma *anon_vma,
             const struct aspen_vma *vma, const struct family *family)
{
    return ASPEN_EXPECT(
               v, anon_vma->active_vmas == family->active, ANON_VMA_ACTIVE,
               ASPEN_VMA_FORMAT ": an anon_vma that is %u vmas' own "
                                "counts %u",
               ASPEN_VMA_VALUES(vma), family->active, anon_vma->active_vmas) &&
           ASPEN_EXPECT(
               v, anon_vma->children == family->children, ANON_VMA_CHILDREN,
               ASPEN_VMA_FORMAT ": an anon_vma with %u children "
                                "counts %u",
               ASPEN_VMA_VALUES(vma), family->children, anon_vma->children) &&
           ASPEN_EXPECT(v, anon_vma->references == 1 + family->others,
                        ANON_VMA_REFERENCES,
                        ASPEN_VMA_FORMAT ": an anon_vma has %u references, "
                                         "should have %u",
                        ASPEN_VMA_VALUES(vma), anon_vma->references,
                        1 + family->others);
}

/* `vma` is the first in its tree. */
static bool
check_anon_vma(struct aspen_validator *v, const struct aspen_anon_vma *anon_vma,
               const struct aspen_vma *vma)
{
    const struct aspen_interval_tree *tree = &anon_vma->links;
    struct aspen_interval_node *node;
    struct family family = {0};

    v->anon_vmas++;
    const char *broken = aspen_interval_tree_check(tree);
    if (!ASPEN_EXPECT(v, !broken, ANON_VMA_TREE,
                      ASPEN_VMA_FORMAT ": the tree of its anon_vma: %s",
                      ASPEN_VMA_VALUES(vma), ASPEN_TEXT_STRING(broken)))
        return false;
    for (node = aspen_interval_first(tree, 0, UINT64_MAX); node;
         node = aspen_interval_next(node, 0, UINT64_MAX)) {
        const struct aspen_anon_vma_link *link =
            aspen_container_of(node, struct aspen_anon_vma_link, node);
        if (!ASPEN_EXPECT(v, link->anon_vma == anon_vma, ANON_VMA_LINK,
                          ASPEN_VMA_FORMAT ": its anon_vma's tree has a link "
                                           "to another one",
                          ASPEN_VMA_VALUES(vma)))
            return false;
        if (!count_vma(v, anon_vma, link->vma, &family))
            return false;
    }
    return check_counts(v, anon_vma, vma, &family);
}

/* ---- A VMA's chain ----------------------------------------------------- */

static bool
chain_has(const struct aspen_vma *vma, const struct aspen_anon_vma *anon_vma)
{
    aspen_list_for_each(position, &vma->anon_chain)
    {
        if (link_of(position)->anon_vma == anon_vma)
            return true;
    }
    return false;
}

static bool
check_link(struct aspen_validator *v, struct aspen_vma *vma,
           struct aspen_anon_vma_link *link)
{
    const struct aspen_anon_vma *anon_vma = link->anon_vma;

    v->links++;
    return ASPEN_EXPECT(v, link->vma == vma, ANON_VMA_LINK,
                        ASPEN_VMA_FORMAT ": a link of its chain is another's",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v, node_fits(&link->node, vma), ANON_VMA_LINK,
                        ASPEN_VMA_FORMAT ": linked at pages %a-%a, it covers "
                                         "%a-%a",
                        ASPEN_VMA_VALUES(vma), link->node.start,
                        link->node.last, vma->pgoff,
                        vma->pgoff + aspen_vma_pages(vma) - 1) &&
           ASPEN_EXPECT(v,
                        node_depth(&anon_vma->links, &link->node) < DEPTH_MAX,
                        ANON_VMA_TREE,
                        ASPEN_VMA_FORMAT ": a link is not in the tree of its "
                                         "anon_vma",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v, anon_vma->root == vma->anon_vma->root, ANON_VMA_ROOT,
                        ASPEN_VMA_FORMAT ": linked to two families",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v, chain_has(vma, anon_vma->parent), ANON_VMA_PARENT,
                        ASPEN_VMA_FORMAT ": linked to an anon_vma, but not to "
                                         "its parent",
                        ASPEN_VMA_VALUES(vma));
}

/* Its links agree with their neighbours; how many lead to its own anon_vma. */
static bool
check_chain(struct aspen_validator *v, const struct aspen_vma *vma)
{
    uint64_t own = 0;

    if (!ASPEN_EXPECT(v, aspen_validate_link(&vma->anon_chain), ANON_VMA_CHAIN,
                      ASPEN_VMA_FORMAT ": its chain is broken",
                      ASPEN_VMA_VALUES(vma)))
        return false;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        if (!ASPEN_EXPECT(v, aspen_validate_link(position), ANON_VMA_CHAIN,
                          ASPEN_VMA_FORMAT ": its chain is broken",
                          ASPEN_VMA_VALUES(vma)))
            return false;
        own += link_of(position)->anon_vma == vma->anon_vma;
    }
    return ASPEN_EXPECT(
        v,
        own == (vma->anon_vma != NULL) &&
            (vma->anon_vma || aspen_list_is_empty(&vma->anon_chain)),
        ANON_VMA_CHAIN, ASPEN_VMA_FORMAT ": %u links to its own anon_vma",
        ASPEN_VMA_VALUES(vma), own);
}

static bool
check_i_mmap(struct aspen_validator *v, const struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;
    const struct aspen_interval_node *node = &vma->i_mmap_node;

    if (!object)
        return true;
    return ASPEN_EXPECT(v, node_fits(node, vma), OBJECT_I_MMAP,
                        ASPEN_VMA_FORMAT ": in i_mmap at pages %a-%a, it maps "
                                         "%a-%a",
                        ASPEN_VMA_VALUES(vma), node->start, node->last,
                        vma->pgoff, vma->pgoff + aspen_vma_pages(vma) - 1) &&
           ASPEN_EXPECT(v, node_depth(&object->i_mmap, node) < DEPTH_MAX,
                        OBJECT_I_MMAP,
                        ASPEN_VMA_FORMAT ": not in the i_mmap of its object",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(
               v, object->references >= object->i_mmap.count, OBJECT_REFERENCES,
               ASPEN_VMA_FORMAT ": its object has %u references, "
                                "but %u VMAs map it",
               ASPEN_VMA_VALUES(vma), object->references, object->i_mmap.count);
}

void
aspen_validate_rmap(struct aspen_validator *v, struct aspen_vma *vma)
{
    if (!check_i_mmap(v, vma) || !check_chain(v, vma))
        return;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma_link *link = link_of(position);
        if (!check_link(v, vma, link))
            return;
        if (node_is_first(&link->anon_vma->links, &link->node) &&
            !check_anon_vma(v, link->anon_vma, vma))
            return;
    }
}

/* ---- Parents before their children ------------------------------------- */

static struct aspen_mm *
parent_of(struct aspen_mm *mm)
{
    if (!mm->forked_from)
        return NULL;
    aspen_list_for_each(position, &mm->aspen->registry)
    {
        struct aspen_mm *other =
            aspen_container_of(position, struct aspen_mm, registry_link);
        if (other->id == mm->forked_from)
            return other;
    }
    return NULL;
}

/*
 * The VMA that fork copied to `vma`, if both still stand where that fork left
 * them: whoever changes a VMA locks it for writing, which leaves the present
 * sequence of its mm there. A fork locks all VMAs of the parent, and gives
 * those of the child the child's first sequence.
 */
static struct aspen_vma *
untouched_parent(const struct aspen_vma *vma, struct aspen_mm *parent)
{
    struct aspen_vma *from = aspen_tree_load(&parent->vmas, vma->start);

    if (!from || from->start != vma->start || from->end != vma->end ||
        from->pgoff != vma->pgoff || from->object != vma->object)
        return NULL;
    return vma->lock_sequence == 1 && from->lock_sequence == vma->mm->forked_at
               ? from
               : NULL;
}

static bool
check_order(struct aspen_validator *v, const struct aspen_vma *vma,
            const struct aspen_vma *from)
{
    if (vma->object &&
        !ASPEN_EXPECT(v,
                      node_before(&vma->object->i_mmap, &from->i_mmap_node,
                                  &vma->i_mmap_node),
                      OBJECT_ORDER,
                      ASPEN_VMA_FORMAT ": before its parent's in i_mmap",
                      ASPEN_VMA_VALUES(vma)))
        return false;
    struct aspen_list *theirs = from->anon_chain.next;
    for (struct aspen_list *ours = vma->anon_chain.next;
         ours != &vma->anon_chain && theirs != &from->anon_chain;
         ours = ours->next, theirs = theirs->next) {
        const struct aspen_anon_vma *anon_vma = link_of(ours)->anon_vma;
        if (link_of(theirs)->anon_vma != anon_vma)
            break;
        if (!ASPEN_EXPECT(v,
                          node_before(&anon_vma->links, &link_of(theirs)->node,
                                      &link_of(ours)->node),
                          ANON_VMA_ORDER,
                          ASPEN_VMA_FORMAT ": before its parent's in the tree "
                                           "of an anon_vma",
                          ASPEN_VMA_VALUES(vma)))
            return false;
    }
    return true;
}

void
aspen_validate_order(struct aspen_validator *v, struct aspen_mm *mm)
{
    struct aspen_mm *parent = parent_of(mm);
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    if (!parent)
        return;
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        const struct aspen_vma *from = untouched_parent(vma, parent);
        if (from && !check_order(v, vma, from))
            return;
    }
}
