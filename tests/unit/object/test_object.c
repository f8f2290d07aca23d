/* SPDX-License-Identifier: MIT */
/*
 * Objects: life, page cache with its pager, blocks of pages, i_mmap.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "object/i_mmap.h"
#include "object/object.h"
#include "object/page_cache.h"
#include <pthread.h>

/* A pager that writes the page number into the page. */
struct source {
    uint64_t reads;
    uint64_t released;
    int error;
};

static int
source_read(void *context, uint64_t offset_bytes, void *page)
{
    struct source *source = context;
    static const unsigned char zero[PAGE];
    aspen_fetch_add(&source->reads, 1);
    if (source->error)
        return source->error;
    assert_memory_equal(page, zero, PAGE);
    uint64_t offset = offset_bytes / PAGE;
    memcpy(page, &offset, sizeof(offset));
    return 0;
}

static void
source_release(void *context)
{
    ((struct source *)context)->released++;
}

static const struct aspen_pager_ops source_ops = {
    .read = source_read,
    .release = source_release,
};

static struct aspen_object *
file_create(struct aspen *aspen, struct source *source, uint64_t size)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = size,
                                     .pager = &source_ops,
                                     .context = source};
    struct aspen_object *object = NULL;
    assert_int_equal(aspen_object_create(aspen, &args, &object), 0);
    return object;
}

static uint64_t
first_word(struct aspen *aspen, uint32_t frame)
{
    uint64_t word;
    memcpy(&word, aspen_frame_pointer(aspen, frame), sizeof(word));
    return word;
}

static void
an_object_lives_while_referenced(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_counters before = helper_counts(aspen);
    struct source source = {0};
    struct aspen_object_args bad = {.kind = (enum aspen_object_kind)7};
    struct aspen_object *none = NULL;
    uint32_t frame;
    (void)state;

    assert_int_equal(aspen_object_create(aspen, &bad, &none), -ASPEN_EINVAL);
    assert_null(none);
    bad = (struct aspen_object_args){.placement = (enum aspen_placement)9};
    assert_int_equal(aspen_object_create(aspen, &bad, &none), -ASPEN_EINVAL);
    struct aspen_object *file = file_create(aspen, &source, 8 * PAGE);
    assert_int_equal(aspen_object_get_page(file, 3, NULL, &frame), 0);
    aspen_frame_put(aspen, frame);
    aspen_object_get(file);
    aspen_object_put(file);
    assert_int_equal(source.released, 0);
    assert_int_equal(helper_counts(aspen).objects, 1);
    aspen_object_put(file);
    assert_int_equal(source.released, 1);
    helper_assert_counts(aspen, &before);
    helper_machine_destroy(aspen);
}

static void
pages_are_read_once(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct source source = {0};
    struct aspen_object *file = file_create(aspen, &source, 5 * PAGE + 1);
    uint32_t first, again;
    (void)state;

    assert_int_equal(aspen_object_pages(file), 6);
    assert_int_equal(aspen_object_find_page(file, 5, &first), -ASPEN_ENOENT);
    assert_int_equal(aspen_object_get_page(file, 5, NULL, &first), 0);
    assert_int_equal(aspen_object_get_page(file, 5, NULL, &again), 0);
    assert_int_equal(first, again);
    assert_int_equal(source.reads, 1);
    assert_int_equal(first_word(aspen, first), 5);
    struct aspen_frame *frame = aspen_frame_at(aspen, first);
    assert_int_equal(aspen_frame_references(frame), 3);
    assert_int_equal(aspen_frame_type(frame), ASPEN_FRAME_OBJECT);
    assert_int_equal(aspen_frame_offset(frame), 5);
    assert_int_equal(aspen_rss_of(frame), ASPEN_RSS_FILE);
    aspen_frame_put(aspen, again);
    assert_int_equal(aspen_object_get_page(file, 6, NULL, &again),
                     -ASPEN_EFBIG);
    assert_int_equal(aspen_object_get_page(file, UINT64_MAX, NULL, &again),
                     -ASPEN_EFBIG);

    struct aspen_object *owner = aspen_object_of_frame(frame);
    assert_ptr_equal(owner, file);
    aspen_object_put(owner);
    aspen_object_put(file);
    assert_null(aspen_object_of_frame(frame)); /* we still hold the frame */
    struct aspen_object *next =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    assert_ptr_equal(next, file); /* the same memory, another object */
    assert_null(aspen_object_of_frame(frame));
    aspen_object_put(next);
    aspen_frame_put(aspen, first);
    helper_machine_destroy(aspen);
}

static void
a_pagers_error_passes_through(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct source source = {.error = -ASPEN_EHWPOISON};
    struct aspen_object *file = file_create(aspen, &source, PAGE);
    struct aspen_counters before = helper_counts(aspen);
    uint32_t frame = 77;
    (void)state;

    assert_int_equal(aspen_object_get_page(file, 0, NULL, &frame),
                     -ASPEN_EHWPOISON);
    helper_assert_counts(aspen, &before);
    /* Also what the core itself says when another task was quicker. */
    source.error = -ASPEN_EEXIST;
    assert_int_equal(aspen_object_get_page(file, 0, NULL, &frame),
                     -ASPEN_EEXIST);
    assert_int_equal(source.reads, 2);
    helper_assert_counts(aspen, &before);
    source.error = 0;
    assert_int_equal(aspen_object_get_page(file, 0, NULL, &frame), 0);
    aspen_frame_put(aspen, frame);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

/* To every call that leads to it, whichever number it is; only that there is no
 * such page is a copy's EFAULT. */
static void
every_call_passes_it_through(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct source source = {0};
    struct aspen_object *file = file_create(aspen, &source, 4 * PAGE);
    static const int errors[] = {ASPEN_EPERM,  ASPEN_EEXIST, ASPEN_EACCES,
                                 ASPEN_EAGAIN, ASPEN_EFBIG,  ASPEN_EIO};
    uint64_t done;
    uint32_t word, frame;
    (void)state;

    helper_map_object(mm, MIB, 4, RW | ASPEN_VM_SHARED, file, 0);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(errors); i++) {
        const int error = -errors[i];
        const int copy = error == -ASPEN_EFBIG ? -ASPEN_EFAULT : error;

        source.error = error;
        assert_int_equal(aspen_fault(mm, MIB, ASPEN_ACCESS_READ), error);
        assert_int_equal(aspen_fault(mm, MIB, ASPEN_ACCESS_WRITE), error);
        assert_int_equal(aspen_object_read(file, 0, &word, 4, &done), error);
        assert_int_equal(aspen_object_write(file, 0, &word, 4, &done), error);
        assert_int_equal(done, 0);
        assert_int_equal(aspen_read_memory(mm, MIB, &word, 4, 0, &done), copy);
        assert_int_equal(aspen_futex_load(mm, MIB, &word), copy);
        assert_int_equal(aspen_pin_range(mm, MIB, PAGE, 0, &frame), copy);
    }
    aspen_mm_put(mm);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
kinds_differ(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_object *shmem =
        helper_new_object(aspen, ASPEN_OBJECT_SHMEM, 4 * PAGE);
    struct aspen_object *device =
        helper_new_object(aspen, ASPEN_OBJECT_DEVICE, 4 * PAGE);
    struct aspen_object *huge =
        helper_new_object(aspen, ASPEN_OBJECT_HUGETLB, 4 * MIB);
    uint32_t frame;
    (void)state;

    memset(aspen->config.direct_map, 0xff, 256 * PAGE);
    assert_int_equal(aspen_object_get_page(shmem, 0, NULL, &frame), 0);
    assert_int_equal(first_word(aspen, frame), 0);
    assert_int_equal(aspen_rss_of(aspen_frame_at(aspen, frame)),
                     ASPEN_RSS_SHMEM);
    aspen_frame_put(aspen, frame);
    assert_int_equal(aspen_object_get_page(device, 0, NULL, &frame),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_object_get_page(huge, 0, NULL, &frame),
                     -ASPEN_EOPNOTSUPP);
    aspen_object_put(shmem);
    aspen_object_put(device);
    aspen_object_put(huge);
    helper_machine_destroy(aspen);
}

static void
a_block_is_one_entry(void **state)
{
    struct aspen *aspen = helper_machine(2048);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, GIB);
    struct aspen_counters before = helper_counts(aspen);
    uint32_t block, single, found;
    (void)state;

    assert_int_equal(aspen_frame_alloc(aspen, 9, ASPEN_STEP_FRAME, &block), 0);
    assert_int_equal(aspen_object_add_page(file, 512, 9, block), 0);
    assert_int_equal(file->pages.count, 1);
    assert_int_equal(aspen_object_find_page(file, 511, &found), -ASPEN_ENOENT);
    assert_int_equal(aspen_object_find_page(file, 1024, &found), -ASPEN_ENOENT);
    assert_int_equal(aspen_object_find_page(file, 1023, &found), 0);
    assert_int_equal(found, block);
    aspen_frame_put(aspen, found);
    assert_int_equal(aspen_object_get_page(file, 600, NULL, &found),
                     -ASPEN_EOPNOTSUPP);

    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &single), 0);
    assert_int_equal(aspen_object_add_page(file, 700, 0, single),
                     -ASPEN_EEXIST);
    assert_int_equal(aspen_frame_type(aspen_frame_at(aspen, single)),
                     ASPEN_FRAME_KERNEL);
    assert_int_equal(aspen_object_add_page(file, 1024, 0, single), 0);
    aspen_frame_put(aspen, single);
    aspen_frame_put(aspen, block);
    assert_int_equal(aspen_frame_references(aspen_frame_at(aspen, block)), 1);
    aspen_object_put(file);
    assert_int_equal(helper_counts(aspen).frames_free, before.frames_free);
    helper_machine_destroy(aspen);
}

/* ---- Zeroes ------------------------------------------------------------ */

/* /dev/zero: anonymous memory with an object's name. */
static void
zeroes_are_anonymous(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .flags = ASPEN_OBJECT_ZEROES};
    struct aspen_import_vma shared = {
        .start = GIB, .end = GIB + PAGE, .vm_flags = MAY_RW | ASPEN_VM_SHARED};
    struct aspen_object *zero;
    uint8_t byte;
    uint64_t done, address;
    (void)state;

    assert_int_equal(aspen_object_create(aspen, &args, &zero), 0);
    shared.object = zero;
    assert_int_equal(aspen_import_vma(mm, &shared), -ASPEN_EINVAL);
    assert_int_equal(
        aspen_mmap(mm,
                   &(struct aspen_mmap_args){.length_bytes = PAGE,
                                             .vm_flags = RW | ASPEN_VM_SHARED,
                                             .object = zero},
                   &address),
        -ASPEN_EINVAL);
    /* Open for reading only nobody could write to it. */
    assert_int_equal(
        aspen_mmap(mm,
                   &(struct aspen_mmap_args){
                       .length_bytes = PAGE,
                       .vm_flags = R | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD,
                       .object = zero,
                   },
                   &address),
        0);
    assert_int_equal(aspen_fault(mm, address, ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_mprotect(mm, address, PAGE, RW, ASPEN_PKEY_SAME),
                     -ASPEN_EACCES);
    assert_int_equal(aspen_object_writable_mappings(zero), 0);
    helper_map_object(mm, MIB, 4, RW, zero, 7);
    assert_int_equal(aspen_fault(mm, MIB, ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(aspen_fault(mm, MIB + PAGE, ASPEN_ACCESS_READ), 0);
    assert_int_equal(helper_counters(mm).anon_pages, 1);
    assert_int_equal(helper_counters(mm).file_pages, 0);
    assert_int_equal(aspen_madvise(mm, MIB, PAGE, ASPEN_MADV_FREE), 0);
    assert_int_equal(aspen_object_read(zero, 0, &byte, 1, &done),
                     -ASPEN_EINVAL);
    struct aspen_finding finding;
    assert_int_equal(aspen_validate(aspen, &finding), 0);
    aspen_mm_put(mm);
    aspen_object_put(zero);

    static const struct aspen_pager_ops pager;
    args.pager = &pager;
    assert_int_equal(aspen_object_create(aspen, &args, &zero), -ASPEN_EINVAL);
    args.pager = NULL;
    args.kind = ASPEN_OBJECT_SHMEM;
    assert_int_equal(aspen_object_create(aspen, &args, &zero), -ASPEN_EINVAL);
    args.kind = ASPEN_OBJECT_FILE;
    args.flags = ASPEN_OBJECT_CHARGED;
    assert_int_equal(aspen_object_create(aspen, &args, &zero), -ASPEN_EINVAL);
    helper_machine_destroy(aspen);
}

/* It is refused before anybody looks for its pages in the wrong machine. */
static void
another_machines_object_is_refused(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen *other = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *object =
        helper_new_object(other, ASPEN_OBJECT_SHMEM, 4 * PAGE);
    struct aspen_mmap_args map = {
        .length_bytes = PAGE, .vm_flags = R, .object = object};
    struct aspen_import_vma import = {
        .start = MIB, .end = MIB + PAGE, .vm_flags = MAY_RW, .object = object};
    uint64_t address;
    (void)state;

    assert_int_equal(aspen_mmap(mm, &map, &address), -ASPEN_EINVAL);
    assert_int_equal(aspen_import_vma(mm, &import), -ASPEN_EINVAL);
    assert_int_equal(object->references, 1);
    aspen_mm_put(mm);
    aspen_object_put(object);
    helper_machine_destroy(other);
    helper_machine_destroy(aspen);
}

/* ---- i_mmap ------------------------------------------------------------ */

static void
mappings_are_linked_in_order(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, GIB);
    struct aspen_vma *b =
        helper_import(mm, 2 * MIB, 4, MAY_RW | ASPEN_VM_SHARED, file, 0);
    struct aspen_vma *later = helper_import(mm, 3 * MIB, 4, MAY_RW, file, 0);
    (void)state;

    assert_int_equal(file->references, 3);
    assert_int_equal(file->writable_shared, 1);
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    struct aspen_vma *child = aspen_vma_copy(mm, b);
    aspen_i_mmap_insert(child, b);
    assert_int_equal(file->writable_shared, 2);
    struct aspen_interval_node *node =
        aspen_interval_first(&file->i_mmap, 3, 3);
    assert_ptr_equal(node, &b->i_mmap_node);
    node = aspen_interval_next(node, 3, 3);
    assert_ptr_equal(node, &child->i_mmap_node); /* not behind `later` */
    node = aspen_interval_next(node, 3, 3);
    assert_ptr_equal(node, &later->i_mmap_node);
    assert_null(aspen_interval_tree_check(&file->i_mmap));
    aspen_i_mmap_remove(child);
    aspen_vma_free(child);
    aspen_mm_write_unlock(mm);
    assert_int_equal(file->writable_shared, 1);
    assert_int_equal(file->i_mmap.count, 2);
    aspen_mm_put(mm);
    assert_int_equal(file->references, 1);
    assert_null(file->i_mmap.root);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

/* ---- Failing ----------------------------------------------------------- */

struct making {
    struct aspen *aspen;
    struct source source;
    struct aspen_object *object;
};

static int
make_file_and_page(void *context)
{
    struct making *making = context;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = MIB,
                                     .pager = &source_ops,
                                     .context = &making->source};
    uint32_t frame;

    int error = aspen_object_create(making->aspen, &args, &making->object);
    if (error)
        return error;
    error = aspen_object_get_page(making->object, 9, NULL, &frame);
    if (error)
        aspen_object_put(making->object);
    else
        aspen_frame_put(making->aspen, frame);
    return error;
}

static void
put_file(void *context)
{
    aspen_object_put(((struct making *)context)->object);
}

static void
each_step_can_fail(void **state)
{
    struct making making = {.aspen = helper_machine(256)};
    struct helper_part trial = {making.aspen, make_file_and_page, put_file,
                                &making};
    (void)state;
    /* the object, a frame, the pager, a node of its tree */
    helper_fail_part(&trial, "object_create, object_get_page", 4);
    helper_machine_destroy(making.aspen);
}

/* ---- Two that want the same page --------------------------------------- */

#define RACED 400u

struct race {
    struct aspen *aspen;
    struct aspen_object *file;
    uint32_t arrived;
};

struct racer {
    struct race *race;
    uint32_t frames[RACED];
};

static void *
get_all(void *context)
{
    struct racer *racer = context;
    struct race *race = racer->race;
    for (uint32_t i = 0; i < RACED; i++) {
        aspen_fetch_add(&race->arrived, 1);
        while (aspen_load(&race->arrived) < 2 * (i + 1))
            ;
        if (aspen_object_get_page(race->file, i, NULL, &racer->frames[i]))
            racer->frames[i] = ASPEN_NO_FRAME;
    }
    return NULL;
}

static void
racers_get_the_same_page(void **state)
{
    struct race race = {.aspen = helper_machine(1024)};
    struct source source = {0};
    struct racer racers[2] = {{.race = &race}, {.race = &race}};
    pthread_t thread;
    (void)state;

    race.file = file_create(race.aspen, &source, RACED * PAGE);
    assert_int_equal(pthread_create(&thread, NULL, get_all, &racers[1]), 0);
    get_all(&racers[0]);
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < RACED; i++) {
        uint32_t frame = racers[0].frames[i];
        assert_int_not_equal(frame, ASPEN_NO_FRAME);
        assert_int_equal(frame, racers[1].frames[i]);
        assert_int_equal(first_word(race.aspen, frame), i);
        assert_int_equal(
            aspen_frame_references(aspen_frame_at(race.aspen, frame)), 3);
        aspen_frame_put(race.aspen, frame);
        aspen_frame_put(race.aspen, frame);
    }
    assert_int_equal(source.reads, RACED);
    aspen_object_put(race.file);
    helper_machine_destroy(race.aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_lives_while_referenced),
        cmocka_unit_test(pages_are_read_once),
        cmocka_unit_test(a_pagers_error_passes_through),
        cmocka_unit_test(every_call_passes_it_through),
        cmocka_unit_test(kinds_differ),
        cmocka_unit_test(a_block_is_one_entry),
        cmocka_unit_test(zeroes_are_anonymous),
        cmocka_unit_test(another_machines_object_is_refused),
        cmocka_unit_test(mappings_are_linked_in_order),
        cmocka_unit_test(each_step_can_fail),
        cmocka_unit_test(racers_get_the_same_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
