/* SPDX-License-Identifier: MIT */
/*
 * anon_vmas: one for each VMA or shared with a mergeable neighbour, chains
 * that forks clone, the order of links, reuse, and nothing left in any order
 * of unlinking.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "rmap/anon_vma.h"
#include <pthread.h>

struct spaces {
    struct aspen *aspen;
    struct aspen_mm *mm;    /* the parent */
    struct aspen_mm *other; /* where copies live; never in a tree */
    struct aspen_counters before;
};

static struct spaces
spaces_create(void)
{
    struct spaces s = {.aspen = helper_machine(512)};
    s.before = helper_counts(s.aspen);
    s.mm = helper_new_mm(s.aspen);
    s.other = helper_new_mm(s.aspen);
    return s;
}

static void
spaces_destroy(struct spaces *s)
{
    aspen_mm_put(s->mm);
    aspen_mm_put(s->other);
    helper_assert_counts(s->aspen, &s->before);
    helper_machine_destroy(s->aspen);
}

/* What fork does to one VMA, the child's locks left to the test. */
static struct aspen_vma *
fork_vma(struct spaces *s, struct aspen_vma *from)
{
    struct aspen_vma *to = aspen_vma_copy(s->other, from);
    assert_non_null(to);
    assert_int_equal(aspen_anon_vma_fork(to, from), 0);
    return to;
}

static void
drop_vma(struct aspen_vma *vma)
{
    aspen_anon_vma_unlink(vma);
    assert_null(vma->anon_vma);
    aspen_vma_free(vma);
}

static unsigned
chain_length(struct aspen_vma *vma)
{
    unsigned length = 0;
    aspen_list_for_each(link, &vma->anon_chain) length++;
    return length;
}

/* The VMAs an anon_vma leads to, in order. */
static unsigned
linked(struct aspen_anon_vma *anon_vma, struct aspen_vma **vmas, unsigned most)
{
    struct aspen_interval_node *node =
        aspen_interval_first(&anon_vma->links, 0, UINT64_MAX);
    unsigned count = 0;

    assert_null(aspen_interval_tree_check(&anon_vma->links));
    for (; node; node = aspen_interval_next(node, 0, UINT64_MAX)) {
        assert_true(count < most);
        vmas[count++] =
            aspen_container_of(node, struct aspen_anon_vma_link, node)->vma;
    }
    return count;
}

/* ---- Prepare ----------------------------------------------------------- */

static void
a_first_page_makes_a_root(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_vma *found[2];
    (void)state;

    assert_null(vma->anon_vma);
    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_anon_vma *root = vma->anon_vma;
    assert_ptr_equal(root->root, root);
    assert_ptr_equal(root->parent, root);
    assert_int_equal(root->references, 1);
    assert_int_equal(root->active_vmas, 1);
    assert_int_equal(root->children, 1); /* itself */
    assert_int_equal(chain_length(vma), 1);
    assert_int_equal(linked(root, found, 2), 1);
    assert_ptr_equal(found[0], vma);
    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    assert_ptr_equal(vma->anon_vma, root);
    spaces_destroy(&s);
}

static void
neighbours_that_could_merge_share_one(void **state)
{
    struct spaces s = spaces_create();
    const uint64_t ro = MAY_RW & ~ASPEN_VM_WRITE;
    struct aspen_vma *a = helper_import(s.mm, MIB, 1, MAY_RW, NULL, 0);
    struct aspen_vma *b = helper_import(s.mm, MIB + PAGE, 1, ro, NULL, 0);
    struct aspen_vma *c =
        helper_import(s.mm, MIB + 2 * PAGE, 1, MAY_RW, NULL, 0);
    struct aspen_vma *locked = helper_import(s.mm, MIB + 3 * PAGE, 1,
                                             MAY_RW | ASPEN_VM_LOCKED, NULL, 0);
    struct aspen_vma *apart =
        helper_import(s.mm, MIB + 5 * PAGE, 1, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(a), 0);
    assert_int_equal(aspen_anon_vma_prepare(c), 0);
    assert_ptr_not_equal(a->anon_vma, c->anon_vma);
    assert_int_equal(aspen_anon_vma_prepare(b), 0); /* the next one's first */
    assert_ptr_equal(b->anon_vma, c->anon_vma);
    assert_int_equal(b->anon_vma->active_vmas, 2);
    assert_int_equal(aspen_anon_vma_prepare(locked), 0);
    assert_ptr_not_equal(locked->anon_vma, c->anon_vma);
    assert_int_equal(aspen_anon_vma_prepare(apart), 0);
    assert_int_equal(helper_counts(s.aspen).anon_vmas, 4);
    spaces_destroy(&s);
}

static void
file_neighbours_share_only_in_sequence(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_object *file =
        helper_new_object(s.aspen, ASPEN_OBJECT_FILE, MIB);
    struct aspen_vma *a = helper_import(s.mm, MIB, 1, MAY_RW, file, 0);
    struct aspen_vma *b = helper_import(s.mm, MIB + PAGE, 1, MAY_RW, file, 1);
    struct aspen_vma *c =
        helper_import(s.mm, MIB + 2 * PAGE, 1, MAY_RW, file, 9);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(a), 0);
    assert_int_equal(aspen_anon_vma_prepare(b), 0);
    assert_int_equal(aspen_anon_vma_prepare(c), 0);
    assert_ptr_equal(a->anon_vma, b->anon_vma);
    assert_ptr_not_equal(c->anon_vma, b->anon_vma);
    aspen_object_put(file);
    spaces_destroy(&s);
}

/* A neighbour with a chain from a fork would draw strangers together. */
static void
forked_neighbours_are_not_shared(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 1, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    aspen_mm_write_lock(s.other, ASPEN_LOCK_MM);
    struct aspen_vma *child = fork_vma(&s, vma);
    assert_int_equal(
        aspen_tree_store(&s.other->vmas, child->start, child->end - 1, child),
        0);
    s.other->map_count++;
    aspen_mm_account_vma(s.other, child->flags, 1, true);
    aspen_mm_write_unlock(s.other);
    struct aspen_vma *next =
        helper_import(s.other, MIB + PAGE, 1, MAY_RW, NULL, 0);
    assert_int_equal(aspen_anon_vma_prepare(next), 0);
    assert_ptr_not_equal(next->anon_vma, child->anon_vma);
    assert_ptr_equal(next->anon_vma->root, next->anon_vma);
    spaces_destroy(&s);
}

/* ---- Fork -------------------------------------------------------------- */

static void
a_fork_links_behind_the_parent(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_vma *found[8];
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_anon_vma *root = vma->anon_vma;
    struct aspen_vma *first = fork_vma(&s, vma);
    struct aspen_vma *second = fork_vma(&s, vma);
    struct aspen_vma *grandchild = fork_vma(&s, first);
    assert_ptr_not_equal(first->anon_vma, root);
    assert_ptr_equal(first->anon_vma->root, root);
    assert_ptr_equal(first->anon_vma->parent, root);
    assert_ptr_equal(grandchild->anon_vma->parent, first->anon_vma);
    assert_int_equal(root->children, 3);
    assert_int_equal(root->references, 4);
    assert_int_equal(chain_length(grandchild), 3);

    /* Each right behind the one it was forked from. */
    assert_int_equal(linked(root, found, 8), 4);
    assert_ptr_equal(found[0], vma);
    assert_ptr_equal(found[1], second);
    assert_ptr_equal(found[2], first);
    assert_ptr_equal(found[3], grandchild);
    assert_int_equal(linked(first->anon_vma, found, 8), 2);
    assert_ptr_equal(found[0], first);

    drop_vma(first);
    assert_int_equal(grandchild->anon_vma->parent->active_vmas, 0);
    drop_vma(grandchild);
    drop_vma(second);
    assert_int_equal(root->children, 1);
    assert_int_equal(root->references, 1);
    spaces_destroy(&s);
}

static void
without_pages_nothing_is_linked(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;
    struct aspen_vma *child = fork_vma(&s, vma);
    assert_null(child->anon_vma);
    assert_int_equal(chain_length(child), 0);
    assert_int_equal(aspen_anon_vma_clone(child, vma), 0);
    drop_vma(child);
    spaces_destroy(&s);
}

/*
 * Parent forks child, the child forks a grandchild and exits, and so on: the
 * chain does not grow beyond what is alive and one that can be reused.
 */
static void
a_line_of_forks_does_not_grow(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_vma *last = fork_vma(&s, vma);
    for (unsigned generation = 0; generation < 40; generation++) {
        struct aspen_vma *next = fork_vma(&s, last);
        drop_vma(last);
        last = next;
    }
    assert_true(chain_length(last) <= 4);
    assert_true(helper_counts(s.aspen).anon_vmas <= 4);
    drop_vma(last);
    spaces_destroy(&s);
}

static void
a_root_is_never_reused(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_anon_vma *root = vma->anon_vma;
    struct aspen_vma *child = fork_vma(&s, vma);
    aspen_anon_vma_unlink(vma); /* the root has no active VMA now */
    assert_int_equal(root->active_vmas, 0);
    struct aspen_vma *grandchild = fork_vma(&s, child);
    assert_ptr_not_equal(grandchild->anon_vma, root);
    drop_vma(child);
    drop_vma(grandchild);
    spaces_destroy(&s);
}

/* ---- Split and change of range ----------------------------------------- */

static void
a_split_shares_and_moves(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_vma *found[4];
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_anon_vma *root = vma->anon_vma;
    struct aspen_vma *high = aspen_vma_copy(s.mm, vma);
    high->start += 2 * PAGE;
    high->pgoff += 2;
    assert_int_equal(aspen_anon_vma_clone(high, vma), 0);
    assert_ptr_equal(high->anon_vma, root);
    assert_int_equal(root->active_vmas, 2);
    assert_int_equal(root->children, 1);

    aspen_anon_vma_links_remove(vma);
    vma->end -= PAGE;
    aspen_anon_vma_links_insert(vma);
    assert_int_equal(linked(root, found, 4), 2);
    assert_null(aspen_interval_first(&root->links, vma->pgoff + 4, UINT64_MAX));
    assert_non_null(
        aspen_interval_first(&root->links, vma->pgoff + 3, UINT64_MAX));
    vma->end += PAGE;
    drop_vma(high);
    assert_int_equal(root->active_vmas, 1);
    spaces_destroy(&s);
}

/* ---- Any order of leaving ---------------------------------------------- */

#define FAMILY 5u

/* Who is forked from whom; 0 is the VMA of the parent. */
static const unsigned family_of[FAMILY] = {0, 0, 1, 1, 2};

static void
leave_in_order(struct spaces *s, unsigned order)
{
    struct aspen_vma *vma[FAMILY];
    struct aspen_counters before = helper_counts(s->aspen);

    vma[0] = aspen_vma_alloc(s->other);
    vma[0]->start = MIB;
    vma[0]->end = MIB + 4 * PAGE;
    assert_int_equal(aspen_anon_vma_prepare(vma[0]), 0);
    for (unsigned i = 1; i < FAMILY; i++)
        vma[i] = fork_vma(s, vma[family_of[i]]);
    for (unsigned left = FAMILY; left > 0; left--) {
        unsigned pick = order % left;
        order /= left;
        drop_vma(vma[pick]);
        vma[pick] = vma[left - 1];
    }
    helper_assert_counts(s->aspen, &before);
}

static void
a_family_leaves_in_any_order(void **state)
{
    struct spaces s = spaces_create();
    (void)state;
    for (unsigned order = 0; order < 120; order++)
        leave_in_order(&s, order);
    printf("120 orders of leaving\n");
    spaces_destroy(&s);
}

/* ---- From a frame ------------------------------------------------------ */

static void
a_frame_leads_to_its_anon_vma_while_mapped(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_frame *frame;
    uint32_t number;
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    assert_int_equal(aspen_frame_alloc(s.aspen, 0, ASPEN_STEP_FRAME, &number),
                     0);
    frame = aspen_frame_at(s.aspen, number);
    assert_null(aspen_anon_vma_of_frame(s.aspen, frame)); /* KERNEL */
    aspen_frame_set(frame, ASPEN_FRAME_ANON, vma->anon_vma, vma->pgoff, 0);
    assert_null(aspen_anon_vma_of_frame(s.aspen, frame)); /* not mapped */
    aspen_frame_get(frame);
    aspen_fetch_add(&frame->counts, ASPEN_FRAME_MAP);
    struct aspen_anon_vma *found = aspen_anon_vma_of_frame(s.aspen, frame);
    assert_ptr_equal(found, vma->anon_vma);
    assert_int_equal(found->references, 2);
    aspen_anon_vma_put(s.aspen, found);

    /* Freed while the frame still looks mapped: refused by its count. */
    aspen_anon_vma_unlink(vma);
    assert_null(aspen_anon_vma_of_frame(s.aspen, frame));
    aspen_frames_release(s.aspen, &number, 1,
                         ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
    aspen_frame_put(s.aspen, number);
    spaces_destroy(&s);
}

/* A walker's reference keeps the structure over the last unlink. */
static void
a_reference_outlives_the_links(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    struct aspen_vma *child = fork_vma(&s, vma);
    struct aspen_anon_vma *held = child->anon_vma;
    aspen_fetch_add(&held->references, 1);
    drop_vma(child);
    aspen_anon_vma_unlink(vma);
    assert_int_equal(helper_counts(s.aspen).anon_vmas, 2);
    aspen_anon_vma_lock_read(held);
    assert_null(held->links.root);
    aspen_anon_vma_unlock_read(held);
    aspen_anon_vma_put(s.aspen, held);
    assert_int_equal(helper_counts(s.aspen).anon_vmas, 0);
    spaces_destroy(&s);
}

/* ---- Failing ----------------------------------------------------------- */

struct linking {
    struct spaces *s;
    struct aspen_vma *from;
    struct aspen_vma *to;
    int (*link)(struct aspen_vma *to, struct aspen_vma *from);
};

static int
link_one(void *context)
{
    struct linking *l = context;
    int error = l->link(l->to, l->from);
    if (error) {
        assert_null(l->to->anon_vma);
        assert_int_equal(chain_length(l->to), 0);
    }
    return error;
}

static void
unlink_one(void *context)
{
    aspen_anon_vma_unlink(((struct linking *)context)->to);
}

static int
prepare_only(struct aspen_vma *to, struct aspen_vma *from)
{
    (void)from;
    return aspen_anon_vma_prepare(to);
}

static void
memory_can_be_short(void **state)
{
    struct spaces s = spaces_create();
    struct aspen_vma *vma = helper_import(s.mm, MIB, 4, MAY_RW, NULL, 0);
    struct linking l = {.s = &s};
    struct helper_part trial = {s.aspen, link_one, unlink_one, &l};
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    l.from = fork_vma(&s, vma);
    l.to = aspen_vma_copy(s.other, vma);
    l.link = prepare_only;
    helper_fail_part(&trial, "anon_vma_prepare", 2);
    l.link = aspen_anon_vma_clone;
    helper_fail_part(&trial, "anon_vma_clone", 2);
    l.link = aspen_anon_vma_fork;
    helper_fail_part(&trial, "anon_vma_fork", 4);
    drop_vma(l.to);
    drop_vma(l.from);
    spaces_destroy(&s);
}

/* ---- Two first pages at once ------------------------------------------- */

#define RACES 300u

struct race {
    struct aspen_mm *mm;
    struct aspen_vma *vmas[RACES];
    uint32_t arrived; /* at the start of each round, both threads */
    unsigned failed;
};

static void *
prepare_all(void *context)
{
    struct race *race = context;
    for (unsigned i = 0; i < RACES; i++) {
        aspen_fetch_add(&race->arrived, 1);
        while (aspen_load(&race->arrived) < 2 * (i + 1))
            ;
        aspen_read_lock(&race->mm->mmap_lock, ASPEN_LOCK_MM);
        if (aspen_anon_vma_prepare(race->vmas[i]))
            aspen_fetch_add(&race->failed, 1);
        aspen_read_unlock(&race->mm->mmap_lock);
    }
    return NULL;
}

static void
two_that_prepare_agree(void **state)
{
    struct spaces s = spaces_create();
    struct race race = {.mm = s.mm};
    pthread_t thread;
    (void)state;

    for (unsigned i = 0; i < RACES; i++)
        race.vmas[i] =
            helper_import(s.mm, MIB + i * 2 * PAGE, 1, MAY_RW, NULL, 0);
    assert_int_equal(pthread_create(&thread, NULL, prepare_all, &race), 0);
    prepare_all(&race);
    pthread_join(thread, NULL);
    assert_int_equal(race.failed, 0);
    for (unsigned i = 0; i < RACES; i++) {
        assert_int_equal(chain_length(race.vmas[i]), 1);
        assert_int_equal(race.vmas[i]->anon_vma->active_vmas, 1);
        assert_int_equal(race.vmas[i]->anon_vma->references, 1);
    }
    assert_int_equal(helper_counts(s.aspen).anon_vmas, RACES);
    assert_int_equal(helper_counts(s.aspen).anon_vma_links, RACES);
    spaces_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_page_makes_a_root),
        cmocka_unit_test(neighbours_that_could_merge_share_one),
        cmocka_unit_test(file_neighbours_share_only_in_sequence),
        cmocka_unit_test(forked_neighbours_are_not_shared),
        cmocka_unit_test(a_fork_links_behind_the_parent),
        cmocka_unit_test(without_pages_nothing_is_linked),
        cmocka_unit_test(a_line_of_forks_does_not_grow),
        cmocka_unit_test(a_root_is_never_reused),
        cmocka_unit_test(a_split_shares_and_moves),
        cmocka_unit_test(a_family_leaves_in_any_order),
        cmocka_unit_test(a_frame_leads_to_its_anon_vma_while_mapped),
        cmocka_unit_test(a_reference_outlives_the_links),
        cmocka_unit_test(memory_can_be_short),
        cmocka_unit_test(two_that_prepare_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
