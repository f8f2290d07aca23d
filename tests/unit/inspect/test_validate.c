/* SPDX-License-Identifier: MIT */
/*
 * test_validate.c - the validator: clean machines have no finding; each kind
 * of corruption, planted alone, is found under the name that
 * docs/use/inspect.md gives it, and every name of that page is planted.
 */
#include "fork_parent.h"
#include "helper.h"
#include "plants.h"
#include "unit.h"

#include "inspect/validate.h"

static const struct plant *const all_plants[] = {
    plants_mm,     plants_vma,     plants_table, plants_rmap,
    plants_object, plants_machine, plants_group,
};

/* ---- Tests ------------------------------------------------------------- */

static void
assert_clean(struct scene *scene)
{
    struct aspen_finding finding;

    if (aspen_validate(scene->aspen, &finding) ||
        aspen_validate_mm(scene->parent, &finding) ||
        aspen_validate_mm(scene->child, &finding) ||
        aspen_validate_mm(scene->empty, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
    assert_null(finding.check);
    assert_string_equal(finding.text, "");
}

static void
assert_found(int result, const struct aspen_finding *finding,
             const struct plant *plants, const struct plant *plant)
{
    if (result != 1)
        fail_msg("%s, planted as number %zu of its table: not found",
                 plant->check, (size_t)(plant - plants));
    if (strcmp(finding->check, plant->check) != 0)
        fail_msg("planted %s, found %s: %s", plant->check, finding->check,
                 finding->text);
    assert_true(strlen(finding->text) > 10);
    assert_true(strlen(finding->text) < ASPEN_FINDING_BYTES - 1);
    assert_null(strchr(finding->text, '\n'));
}

/* Plant all of a table, one after the other; returns how many there are. */
static size_t
plant_all(struct scene *scene, const struct plant *plants)
{
    struct aspen_finding finding;
    const struct plant *plant;

    for (plant = plants; plant->check; plant++) {
        plant->plant(scene);
        if (plant->finder != CHILD_ALONE)
            assert_found(aspen_validate(scene->aspen, &finding), &finding,
                         plants, plant);
        else /* the machine meets what follows from it, in the parent, first */
            assert_int_equal(aspen_validate(scene->aspen, &finding), 1);
        if (plant->finder != MACHINE)
            assert_found(aspen_validate_mm(plant->finder == PARENT
                                               ? scene->parent
                                               : scene->child,
                                           &finding),
                         &finding, plants, plant);
        if (getenv("ASPEN_SHOW"))
            print_message("%-20s %s\n", finding.check, finding.text);
        restore(scene);
        assert_clean(scene);
    }
    return (size_t)(plant - plants);
}

static void
test_plants(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    size_t count = 0;

    assert_clean(&scene);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(all_plants); i++)
        count += plant_all(&scene, all_plants[i]);
    print_message("%zu corruptions planted, %zu found\n", count, count);
    scene_destroy(&scene);
}

/* ---- Names ------------------------------------------------------------- */

struct names {
    char names[128][32];
    size_t count;
};

static bool
has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->names[i], name))
            return true;
    return false;
}

/* Rows of a page's tables that begin with `name`. */
static void
read_names(const char *path, struct names *names)
{
    char line[512];
    FILE *file = fopen(path, "r");

    if (!file)
        fail_msg("%s: run this from the top of the project", path);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "| `%31[a-z_.]`", names->names[names->count]) == 1 &&
            strchr(names->names[names->count], '.')) {
            names->count++;
            assert_true(names->count < ASPEN_ARRAY_SIZE(names->names));
        }
    fclose(file);
}

static char *
read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 18);
    assert_non_null(file);
    assert_non_null(text);
    text[fread(text, 1, (1 << 18) - 1, file)] = 0;
    fclose(file);
    return text;
}

static bool
is_planted(const char *name)
{
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(all_plants); i++)
        for (const struct plant *p = all_plants[i]; p->check; p++)
            if (!strcmp(p->check, name))
                return true;
    return false;
}

static bool
is_ours(const char *name)
{
    for (unsigned i = 0; i < ASPEN_CHECK_KINDS; i++)
        if (!strcmp(aspen_check_name((enum aspen_check)i), name))
            return true;
    return false;
}

/* Code, page and plants have the same names; those of the allocator are in
 * frames.h and planted by test_frames_check.c. */
static void
test_names(void **unused)
{
    (void)unused;
    static struct names names;
    char *header = read_file("src/frames/frames.h");
    char *frames = read_file("tests/unit/frames/test_frames_check.c");
    size_t allocator = 0;

    read_names("docs/use/inspect.md", &names);
    for (unsigned i = 0; i < ASPEN_CHECK_KINDS; i++) {
        const char *name = aspen_check_name((enum aspen_check)i);
        if (!has_name(&names, name))
            fail_msg("docs/use/inspect.md does not have %s", name);
        if (!is_planted(name))
            fail_msg("%s is not planted", name);
    }
    for (size_t i = 0; i < names.count; i++) {
        char comment[48], quoted[48];
        if (is_ours(names.names[i]))
            continue;
        snprintf(comment, sizeof(comment), " *   %s ", names.names[i]);
        snprintf(quoted, sizeof(quoted), "\"%s\"", names.names[i]);
        if (!strstr(header, comment) || !strstr(frames, quoted))
            fail_msg("docs/use/inspect.md has %s, which is nowhere else",
                     names.names[i]);
        allocator++;
    }
    assert_int_equal(names.count, ASPEN_CHECK_KINDS + allocator);
    assert_int_equal(allocator, 12);
    free(header);
    free(frames);
}

/* ---- Clean machines ---------------------------------------------------- */

static void
assert_valid(struct aspen *aspen, struct aspen_mm *const *mms, size_t count)
{
    struct aspen_finding finding;
    if (aspen_validate(aspen, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
    for (size_t i = 0; i < count; i++)
        if (aspen_validate_mm(mms[i], &finding))
            fail_msg("mm: %s: %s", finding.check, finding.text);
}

/* Generations that fork, write, unmap and exit at random. */
static void
test_clean(void **unused)
{
    (void)unused;
    enum { MMS = 8 };
    static const uint64_t places[] = {ANON,  ANON + MIB, LOCKED,
                                      SHMEM, FILE_COW,   FILE_SHARED};
    uint64_t seed = unit_seed("test_validate", 7);
    struct fork_parent *rich = fork_parent_rich();
    struct aspen_mm *mms[MMS] = {rich->mm};
    size_t count = 1;
    unsigned faults = 0;
    int error;

    for (unsigned step = 0; step < 400; step++) {
        size_t i = unit_random(&seed) % count;
        uint64_t address =
            places[unit_random(&seed) % 6] + unit_random(&seed) % 16 * PAGE;
        switch (unit_random(&seed) % 8) {
        case 0:
            if (count < MMS && aspen_fork(mms[i], &mms[count]) == 0)
                count++;
            break;
        case 1:
            if (i > 0) {
                aspen_mm_put(mms[i]);
                mms[i] = mms[--count];
            }
            break;
        case 2:
            assert_int_equal(aspen_munmap(mms[i], address,
                                          (1 + unit_random(&seed) % 16) * PAGE),
                             0);
            break;
        case 3: {
            struct aspen_mmap_args args = {
                .address = address,
                .length_bytes = (1 + unit_random(&seed) % 16) * PAGE,
                .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
                .flags = ASPEN_MAP_FIXED,
            };
            assert_int_equal(aspen_mmap(mms[i], &args, &address), 0);
            break;
        }
        default:
            error =
                aspen_fault(mms[i], address,
                            step % 2 ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
            faults += error == 0;
        }
        assert_valid(rich->helper.aspen, mms, count);
    }
    assert_true(faults > 50);
    while (--count)
        aspen_mm_put(mms[count]);
    assert_valid(rich->helper.aspen, mms, 1);
    fork_parent_free(rich);
}

/* A machine with nothing in it, and one whose memory for tallies is refused
 * only where the port refuses: nothing to plant, so just the plain answer. */
static void
test_nothing(void **unused)
{
    (void)unused;
    struct fork_parent *parent = fork_parent_empty();
    assert_valid(parent->helper.aspen, &parent->mm, 1);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_plants),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
